"""Phone times: which phone is spoken when, read from a table of begin, end (seconds) and phone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import TableError
from talkinghead.files import read_text, replacing
from talkinghead.text_to_speech import Phone

LABIALS = frozenset("pbm")
"""Phones that close the lips, as `plain` writes them."""
PLOSIVES = frozenset("pb")
"""Those of them that end in a burst."""
PAUSES = frozenset({"", "|", "_", "sil", "sp", "spn", "pau", "<eps>", "breath", "h#"})
"""Names for silence in the output of common aligners."""


@dataclass(frozen=True)
class PhoneTimes:
    """P phones and when each is spoken, in order of time."""

    phones: tuple[str, ...]
    """IPA or ARPABET, as in the table."""
    times_s: NDArray[np.float64]
    """(P, 2) begin and end of each."""

    @property
    def spoken(self) -> tuple[Phone, ...]:
        """The same as phones with their times, pauses left out, in the order of time whatever that of the table; where
        one begins before another ends, it ends that."""
        pairs = zip(self.phones, self.times_s.tolist(), strict=True)
        ordered = sorted((times_s, name) for name, times_s in pairs if plain(name) not in PAUSES)
        following_s = [times_s[0] for times_s, _ in ordered[1:]] + [np.inf]
        return tuple(
            Phone(name, begin_s, min(end_s, next_s))
            for ((begin_s, end_s), name), next_s in zip(ordered, following_s, strict=False)
        )

    @property
    def closures_s(self) -> NDArray[np.float64]:
        """(C, 2) begin and end of each p, b and m."""
        return self.times_s[[plain(phone) in LABIALS for phone in self.phones]]

    @property
    def plosives_s(self) -> NDArray[np.float64]:
        """(B, 2) begin and end of each p and b."""
        return self.times_s[[plain(phone) in PLOSIVES for phone in self.phones]]

    @property
    def others_s(self) -> NDArray[np.float64]:
        """(O, 2) begin and end of every other phone, without pauses."""
        return self.times_s[[plain(phone) not in LABIALS | PAUSES for phone in self.phones]]


def plain(phone: str) -> str:
    """A phone in lower case without stress, length and other marks: p for "P" and "pʰ", aa for "AA1"."""
    return re.sub(r"[0-9ˈˌːʰʲ̚]", "", phone).lower()


def read_phone_times(path: Path) -> PhoneTimes:
    """Read a table of phone times: one phone a line, columns separated by a tab, a comma or blanks.

    The first line may hold headings. Audacity's label files have this form too.

    Raises:
        MissingFileError: there is no such file.
        TableError: a line is not a begin, an end that is not earlier, and a phone.
    """
    lines = read_text(path, error=TableError).splitlines()
    phones, times_s = [], []
    for number, line in enumerate(lines, 1):
        cells = re.split(r"[\t,]|\s+", line.strip(), maxsplit=2)
        if not line.strip():
            continue
        try:
            begin_s, end_s = float(cells[0]), float(cells[1])
        except (ValueError, IndexError):
            if number == 1:
                continue
            raise TableError(
                f"{path}, line {number}: expected begin, end (seconds) and phone, found {line!r}"
            ) from None
        if not 0 <= begin_s <= end_s:
            raise TableError(f"{path}, line {number}: the phone ends before it begins, or begins before 0")
        phones.append(cells[2].strip() if len(cells) > 2 else "")
        times_s.append((begin_s, end_s))
    if not phones:
        raise TableError(f"{path} has no phone times; each line has to be begin, end (seconds) and phone.")
    return PhoneTimes(tuple(phones), np.array(times_s, np.float64))


def write_phone_times(path: Path, phones: Sequence[Phone]) -> None:
    """Write phones as a table that `read_phone_times` reads: begin, end and phone, separated by tabs.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = [f"{phone.start_s:.4f}\t{phone.end_s:.4f}\t{phone.symbol}\n" for phone in phones]
    with replacing(path) as partial:
        partial.write_text("".join(rows), "utf-8")
