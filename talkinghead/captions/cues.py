"""Cutting timed words into cues: what subtitles show at once, in one or two lines.

Lengths and reading speeds are those of Netflix's Timed Text Style Guides (General Requirements; English; Simplified
Chinese): at most two lines of 42 letters, or 16 Chinese characters; 20 letters or 9 Chinese characters a second; shown
for 5/6 to 7 seconds.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from talkinghead.text_to_speech.breaks import Break
from talkinghead.text_to_speech.engine import Word
from talkinghead.text_to_speech.written_words import is_joined

LINES = 2
LINE_WIDTH = 42.0
"""Width of the longest line, in letters."""
NARROWEST = 22.0
"""Width of the longest line in a narrow picture, in letters."""
WIDE = LINE_WIDTH / 16
"""Width of a Chinese, Japanese or Korean character, in letters."""
READING_SPEED = 20.0
"""Letters that can be read in a second."""
WIDE_READING = READING_SPEED / 9
"""Letters that can be read in the time of one Chinese, Japanese or Korean character."""
SHORTEST_S, LONGEST_S = 5 / 6, 7.0
"""How long a cue is shown."""
_LONG_PAUSE_S = 0.4
"""A cue ends at a pause of this length, if it can."""
_CLAUSE_END = ",;:–—，、；："
_CLOSING = "\"'”’»)]」』）】》"


@dataclass(frozen=True)
class Cue:
    """What is shown at once."""

    lines: tuple[str, ...]
    """One or two."""
    start_s: float
    """When the first word begins to be heard, seconds."""
    end_s: float
    """When the last word ends, or later, where nothing else is shown and reading takes longer."""
    is_exact: bool = True
    """Whether both times are those of phones; otherwise they are estimated within a sentence."""

    @property
    def text(self) -> str:
        """The lines in one."""
        joined = self.lines[0]
        for line in self.lines[1:]:
            joined += ("" if is_joined(joined, line) else " ") + line
        return joined

    @property
    def reading_speed(self) -> float:
        """Letters a second; a Chinese character counts as several."""
        return _reading(self.text) / max(self.end_s - self.start_s, 1e-9)


def make_cues(words: Sequence[Word], line_width: float = LINE_WIDTH) -> tuple[Cue, ...]:
    """Cut words into cues, so that these end where sentences and clauses do and can be read in their time.

    Args:
        words: in the order of time.
        line_width: width of the longest line, in letters.

    Returns:
        Cues in the order of time that do not overlap; each begins exactly with its first word.
    """
    pieces = [piece for word in words for piece in _divided(word, line_width)]
    least: list[float] = [0.0]
    begins: list[int] = [0]
    for end in range(1, len(pieces) + 1):
        # One piece always fits, so there is always a way.
        best, begin = min(
            (least[first] + _cost(pieces, first, end, line_width), first) for first in _firsts(pieces, end, line_width)
        )
        least.append(best)
        begins.append(begin)
    cues: list[Cue] = []
    end = len(pieces)
    while end:
        cues.append(_cue(pieces, begins[end], end, line_width))
        end = begins[end]
    return tuple(reversed(cues))


def line_width_in(picture_width: int, picture_height: int) -> float:
    """Width of the longest line in a picture, in letters: upright pictures hold shorter ones of the same size."""
    return max(NARROWEST, LINE_WIDTH * min(1.0, picture_width / picture_height))


def shift_cues(cues: Sequence[Cue], by_s: float, end_s: float) -> tuple[Cue, ...]:
    """The same cues later by so many seconds, without what is before 0 or after `end_s`."""
    moved = (
        replace(cue, start_s=max(0.0, cue.start_s + by_s), end_s=min(end_s, cue.end_s + by_s))
        for cue in cues
        if cue.end_s + by_s > 0
    )
    return tuple(cue for cue in moved if cue.end_s > cue.start_s)


def _divided(word: Word, line_width: float) -> list[Word]:
    """A word in pieces that fit a line each; its time is divided evenly."""
    texts, text = [], ""
    for character in word.text:
        if text and width(text + character) > line_width:
            texts.append(text)
            text = ""
        text += character
    texts.append(text)
    step_s = (word.end_s - word.start_s) / len(texts)
    return [
        replace(
            word,
            text=part,
            start_s=word.start_s + step_s * number,
            end_s=word.end_s - step_s * (len(texts) - number - 1),
            ends=word.ends if number == len(texts) - 1 else None,
            is_exact=word.is_exact and len(texts) == 1,
        )
        for number, part in enumerate(texts)
    ]


def width(text: str) -> float:
    """Width of a text on the screen, in letters."""
    return sum(WIDE if _is_wide(character) else 1.0 for character in text)


def _reading(text: str) -> float:
    """How long a text takes to be read, in letters."""
    return sum(WIDE_READING if _is_wide(character) else 1.0 for character in text)


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _joined(words: Sequence[Word]) -> str:
    text = ""
    for word in words:
        text += ("" if not text or is_joined(text, word.text) else " ") + word.text
    return text


def _firsts(words: Sequence[Word], end: int, line_width: float) -> Iterator[int]:
    """Where a cue that ends before word `end` may begin: as far back as two lines hold the words."""
    used = 0.0
    for first in range(end - 1, -1, -1):
        used += width(words[first].text)
        if used > LINES * line_width and first < end - 1:
            return
        yield first


def _lines(words: Sequence[Word], line_width: float) -> tuple[str, ...]:
    """The words in one line, or in two of like length, the first ending with a clause if it can; empty if they do not
    fit."""
    whole = _joined(words)
    if width(whole) <= line_width:
        return (whole,)
    found: list[tuple[float, tuple[str, ...]]] = []
    for cut in range(1, len(words)):
        first, second = _joined(words[:cut]), _joined(words[cut:])
        if max(width(first), width(second)) <= line_width:
            uneven = abs(width(first) - width(second)) - 8 * (_break_after(words[cut - 1]) > 0)
            found.append((uneven, (first, second)))
    return min(found)[1] if found else ()


def _break_after(word: Word) -> int:
    """What ends with a word: 3 a paragraph, 2 a sentence, 1 a clause, 0 nothing."""
    if word.ends is not None and word.ends != Break.CLAUSE:
        return int(word.ends)
    mark = word.text.rstrip(_CLOSING)[-1:]
    return int(bool(mark) and mark in _CLAUSE_END) or int(word.ends is not None)


def _shown_until_s(words: Sequence[Word], first: int, end: int) -> float:
    """When a cue disappears: with its last word, or later, if it has to be read and nothing follows at once."""
    start_s, heard_s = words[first].start_s, words[end - 1].end_s
    needed_s = max(SHORTEST_S, _reading(_joined(words[first:end])) / READING_SPEED)
    latest_s = words[end].start_s if end < len(words) else start_s + LONGEST_S
    return max(heard_s, min(start_s + needed_s, latest_s))


def _cost(words: Sequence[Word], first: int, end: int, line_width: float) -> float:
    """How bad a cue of the words from `first` to before `end` would be."""
    own = words[first:end]
    if end - first > 1 and (
        own[-1].end_s - own[0].start_s > LONGEST_S or any(_break_after(word) == Break.PARAGRAPH for word in own[:-1])
    ):
        return float("inf")
    if not _lines(own, line_width):
        return float("inf")
    cost = 1.0
    if end < len(words):
        pause = words[end].start_s - own[-1].end_s > _LONG_PAUSE_S
        cost += 0.0 if pause else {0: 3.0, 1: 0.7}.get(_break_after(own[-1]), 0.0)
    for word, following in zip(own[:-1], own[1:], strict=True):
        cost += 1.2 * (_break_after(word) == Break.SENTENCE) + 2 * (following.start_s - word.end_s > _LONG_PAUSE_S)
    shown_s = _shown_until_s(words, first, end) - own[0].start_s
    cost += 4 * max(0.0, SHORTEST_S - shown_s) / SHORTEST_S
    return cost + 5 * max(0.0, _reading(_joined(own)) / max(shown_s, 1e-3) / READING_SPEED - 1)


def _cue(words: Sequence[Word], first: int, end: int, line_width: float) -> Cue:
    own = words[first:end]
    return Cue(
        _lines(own, line_width), own[0].start_s, _shown_until_s(words, first, end), all(word.is_exact for word in own)
    )
