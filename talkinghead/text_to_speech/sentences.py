"""Plain text of any length, cut into pieces that an engine can speak at once.

Nothing is lost: put together again, the pieces hold every visible character of the text, once and in order.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

LONGEST = 300
"""Weight of the longest piece, about 20 s of speech. Engines' own limits (hibari 400 phones, kokoro 510) lie above."""
HEAVY = 5
"""Weight of a character that is spoken as a syllable or a word: a digit, a sign, a Chinese character. Letters: 1."""


class Break(IntEnum):
    """What ends with a piece."""

    CLAUSE = 1
    """Only a part of a sentence that is too long to be spoken at once."""
    SENTENCE = 2
    PARAGRAPH = 3


@dataclass(frozen=True)
class Piece:
    """A sentence, or a part of one."""

    text: str
    """On one line, not empty, without control characters."""
    ends: Break


_LINE_BREAK = re.compile(r"\r\n?")
_PARAGRAPH = re.compile(r"(?:\n[^\S\n]*\n|[\f\u2029])\s*")
_CLOSING = "\"'”’»)\\]}」』）】》〉"
_OPENING = "\"'“‘«([{「『（【《〈¿¡"
_END = re.compile(rf"(?:[。！？｡]|……)[。！？｡…]*[{_CLOSING}]*|(?<![.!?…])[.!?…]++[{_CLOSING}]*+(?=\s)")
_CLAUSE_END = re.compile(rf"[，、；：](?:[{_CLOSING}])*|(?:[,;:–—][{_CLOSING}]*|[{_CLOSING}])(?=\s)|—")

NEVER_LAST = frozenset(
    [
        *("mr", "mrs", "ms", "mx", "dr", "prof", "sen", "rep", "gov", "gen", "col", "capt", "lt", "sgt", "maj", "adm"),
        *("rev", "hon", "st", "mt", "ft", "messrs", "mme", "mlle", "e.g", "i.e", "cf", "vs", "viz", "approx", "ca"),
    ]
)
"""Abbreviations that something follows, whatever its case."""
BEFORE_NUMBER = frozenset(
    [
        *("no", "nos", "fig", "figs", "eq", "vol", "ch", "sec", "p", "pp", "art"),
        *("jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec"),
    ]
)
"""Abbreviations that are not the end of a sentence when a number follows; "No." and "Mar." can be."""


def pieces(text: str) -> Iterator[Piece]:
    """Cut text into sentences, and sentences that are too long at clauses, else at blanks, else anywhere.

    A blank line ends a paragraph; any other white space, a line break too, is one blank. Control and format characters
    are blanks and nothing, respectively. Empty text has no pieces.
    """
    for paragraph in _PARAGRAPH.split(_LINE_BREAK.sub("\n", text)):
        sentences = list(_sentences(_on_one_line(paragraph)))
        for number, sentence in enumerate(sentences, 1):
            *parts, rest = _parts(sentence)
            yield from (Piece(part, Break.CLAUSE) for part in parts)
            yield Piece(rest, Break.PARAGRAPH if number == len(sentences) else Break.SENTENCE)


def _on_one_line(text: str) -> str:
    """White space and control characters as single blanks, format characters (joiners, marks of direction) left out."""
    kinds = ((character, unicodedata.category(character)) for character in text)
    visible = (" " if kind in ("Cc", "Cs") else character for character, kind in kinds if kind != "Cf")
    return " ".join("".join(visible).split())


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for found in _END.finditer(text):
        if _ends_sentence(text[start : found.start()], found.group(), text[found.end() : found.end() + 40].lstrip()):
            yield text[start : found.end()]
            start = found.end() + (text[found.end() : found.end() + 1] == " ")
    if start < len(text):
        yield text[start:]


def _ends_sentence(before: str, mark: str, after: str) -> bool:
    """Whether a mark of punctuation between two stretches of text ends a sentence."""
    if mark[0] in "。！？｡" or mark.startswith("……"):
        return True
    follows = after.lstrip(_OPENING)
    if follows[:1].islower():
        return False
    if mark[0] != "." or mark.startswith(".."):
        return True
    word = before.rpartition(" ")[2].lstrip(_OPENING)
    if word.isdecimal() and word == before.lstrip(_OPENING):
        return False  # the number of an item in a list
    name = word.lower()
    if name in BEFORE_NUMBER and follows[:1].isdecimal():
        return False
    is_initial = len(word) == 1 and word.isalpha() and word.isupper() and word != "I"
    is_dotted = re.fullmatch(r"(?:[A-Z]\.)+[A-Z]", word) is not None  # U.S, J.R.R
    return not (name in NEVER_LAST or is_initial or is_dotted)


def _parts(sentence: str) -> Iterator[str]:
    """Parts of a sentence that weigh at most LONGEST each; the sentence itself if it does."""
    start = 0
    while (stop := _reach(sentence, start)) < len(sentence):
        least = start + (stop - start) // 3
        clauses = [found.end() for found in _CLAUSE_END.finditer(sentence, least, stop)]
        blank = sentence.rfind(" ", start + 1, stop + 1)
        cut = clauses[-1] if clauses else blank if blank > 0 else stop
        yield sentence[start:cut].rstrip()
        start = cut + (sentence[cut] == " ")
    yield sentence[start:]


def _reach(text: str, start: int) -> int:
    """How far from `start` a part of full weight goes."""
    weight = 0
    for place in range(start, len(text)):
        weight += _weight(text[place])
        if weight > LONGEST:
            return place
    return len(text)


def _weight(character: str) -> int:
    is_letter = character.isalpha() and unicodedata.east_asian_width(character) not in "WF"
    return 1 if is_letter or character == " " or unicodedata.category(character).startswith("M") else HEAVY
