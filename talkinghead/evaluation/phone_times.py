"""Which phone is spoken when, read from a table of three columns: begin, end (seconds), phone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import MissingFileError, TableError

LABIALS = frozenset("pbm")
"""Sounds that want the lips shut, in IPA and, in capitals, in ARPABET."""
PAUSES = frozenset({"", "|", "_", "sil", "sp", "spn", "pau", "<eps>", "breath", "h#"})


@dataclass(frozen=True)
class PhoneTimes:
    """P phones in the order of their times."""

    phones: tuple[str, ...]
    """As the table writes them."""
    times_s: NDArray[np.float64]
    """(P, 2) begin and end."""

    @property
    def closures_s(self) -> NDArray[np.float64]:
        """(C, 2) the times of p, b and m."""
        return self.times_s[[plain(phone) in LABIALS for phone in self.phones]]

    @property
    def others_s(self) -> NDArray[np.float64]:
        """(O, 2) the times of every other sound; pauses are none."""
        return self.times_s[[plain(phone) not in LABIALS | PAUSES for phone in self.phones]]


def plain(phone: str) -> str:
    """A phone without stress, length and the like: "P" and "pʰ" are p, "AA1" is aa."""
    return re.sub(r"[0-9ˈˌːʰʲ̚]", "", phone).lower()


def read_phone_times(path: Path) -> PhoneTimes:
    """Read a table of phone times: columns apart by a tab, a comma or blanks; a line of headings may come first.

    That is also what Audacity writes for labels, and what is left of other formats when their extras are cut off.

    Raises:
        MissingFileError: there is no such file.
        TableError: a line is not a begin, a later end and a phone.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise MissingFileError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not text in UTF-8.") from error
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
            raise TableError(f"{path}, line {number}: begin, end (seconds) and phone are wanted: {line!r}") from None
        if not 0 <= begin_s <= end_s:
            raise TableError(f"{path}, line {number}: a phone that ends before it begins, or begins before 0")
        phones.append(cells[2].strip() if len(cells) > 2 else "")
        times_s.append((begin_s, end_s))
    if not phones:
        raise TableError(f"{path} holds no phone times: begin, end (seconds) and phone on each line are wanted.")
    return PhoneTimes(tuple(phones), np.array(times_s, np.float64))
