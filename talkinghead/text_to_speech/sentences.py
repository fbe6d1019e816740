"""Cutting plain text of any length into sentences that an engine can synthesize at once.

Nothing is lost: together, the chunks have every visible character of the text, once and in order.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from talkinghead.text_to_speech.breaks import Break
from talkinghead.text_to_speech.written_words import as_written, cut_parts, split_words

MAX_WEIGHT = 300
"""Weight of the longest chunk, about 20 s of speech. Engines' own limits (hibari 400 phones, kokoro 510) are higher."""
LONGEST_REWRITTEN = 2000
"""Length of a sentence that is rewritten as a whole, so that the time this takes is linear in the text's length."""
SYLLABLE_WEIGHT = 5
"""Weight of a character that is read as a syllable or a word: a digit, a sign, a Chinese character. Letters weigh 1."""


@dataclass(frozen=True)
class TextChunk:
    """A sentence, or a part of one that is too long."""

    text: str
    """On one line, not empty, without control characters."""
    ends: Break
    written: tuple[tuple[str, int], ...] = ()
    """What a reader sees for it: parts of the text before it was rewritten, and for how many words of `split_words`
    each stands."""


_LINE_BREAK = re.compile(r"\r\n?")
"""Those that are not written \\n."""
_PARAGRAPH = re.compile(r"(?:\n[^\S\n]*\n|[\f\u2029])\s*")
"""The end of a paragraph: a blank line, a form feed or a paragraph separator."""
_CLOSING = "\"'”’»)\\]}」』）】》〉"
"""Quotation marks and brackets that belong to the sentence before them, for a regular expression."""
_OPENING = "\"'“‘«([{「『（【《〈¿¡"
"""Marks that may stand before the first word of a sentence."""
_END = re.compile(rf"(?:[。！？｡]|……)[。！？｡…]*[{_CLOSING}]*|(?<![.!?…])[.!?…]++[{_CLOSING}]*+(?=\s)")
"""What may end a sentence: Chinese marks anywhere, Western ones before white space. See `_ends_sentence`."""
_CLAUSE_END = re.compile(rf"[，、；：](?:[{_CLOSING}])*|(?:[,;:–—][{_CLOSING}]*|[{_CLOSING}])(?=\s)|—")
"""What ends a clause, where a sentence that is too long is cut."""

NEVER_LAST = frozenset(
    [
        *("mr", "mrs", "ms", "mx", "dr", "prof", "sen", "rep", "gov", "gen", "col", "capt", "lt", "sgt", "maj", "adm"),
        *("rev", "hon", "st", "mt", "ft", "messrs", "mme", "mlle", "e.g", "i.e", "cf", "vs", "viz", "approx", "ca"),
    ]
)
"""Abbreviations, in lower case, that never end a sentence."""
BEFORE_NUMBER = frozenset(
    [
        *("no", "nos", "fig", "figs", "eq", "vol", "ch", "sec", "p", "pp", "art"),
        *("jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec"),
    ]
)
"""Abbreviations, in lower case, that do not end a sentence if a number follows; otherwise "No." and "Mar." can."""


def split_text(text: str, rewrite: Callable[[str], str] | None = None) -> Iterator[TextChunk]:
    """Cut text into sentences, and sentences that are too long at clauses, else at spaces, else anywhere.

    Args:
        text: of any length.
        rewrite: gives what a sentence is read as, before one that is too long is cut; it may become empty. A sentence
            of more than `LONGEST_REWRITTEN` characters is rewritten part by part.

    A blank line ends a paragraph; any other white space, also a line break, is read as one space. Control characters
    are read as spaces, format characters are left out. Empty text gives no chunks.
    """
    for paragraph in _PARAGRAPH.split(_LINE_BREAK.sub("\n", text)):
        sentences = list(_sentences(_on_one_line(paragraph)))
        for number, sentence in enumerate(sentences, 1):
            said = sentence if rewrite is None else _rewritten(sentence, rewrite)
            if not said:
                continue
            parts = list(_parts(said))
            spoken = [split_words(part) for part in parts]
            written = cut_parts(as_written(sentence, list(itertools.chain(*spoken))), list(map(len, spoken)))
            last = Break.PARAGRAPH if number == len(sentences) else Break.SENTENCE
            for index, (part, seen) in enumerate(zip(parts, written, strict=True), 1):
                yield TextChunk(part, last if index == len(parts) else Break.CLAUSE, tuple(seen))


def _rewritten(sentence: str, rewrite: Callable[[str], str]) -> str:
    if len(sentence) <= LONGEST_REWRITTEN:
        return rewrite(sentence)
    return " ".join(filter(None, map(rewrite, _parts(sentence))))


def _on_one_line(text: str) -> str:
    """White space and control characters as single spaces, format characters (joiners, marks of direction) left out."""
    kinds = ((character, unicodedata.category(character)) for character in text)
    visible = (" " if kind in ("Cc", "Cs") else character for character, kind in kinds if kind != "Cf")
    return " ".join("".join(visible).split())


def _sentences(text: str) -> Iterator[str]:
    """Cut one line of text into sentences, with their punctuation."""
    start = 0
    for found in _END.finditer(text):
        if _ends_sentence(text[start : found.start()], found.group(), text[found.end() : found.end() + 40].lstrip()):
            yield text[start : found.end()]
            start = found.end() + (text[found.end() : found.end() + 1] == " ")
    if start < len(text):
        yield text[start:]


def _ends_sentence(before: str, mark: str, after: str) -> bool:
    """Whether a mark of punctuation ends a sentence; `before` is the sentence up to it, `after` what follows it."""
    if mark[0] in "。！？｡" or mark.startswith("……"):
        return True
    follows = after.lstrip(_OPENING)
    if follows[:1].islower():
        return False
    if mark[0] != "." or mark.startswith(".."):
        return True
    word = before.rpartition(" ")[2].lstrip(_OPENING)
    if word.isdecimal() and word == before.lstrip(_OPENING):
        return False  # "1. First": the number of an item in a list
    name = word.lower()
    if name in BEFORE_NUMBER and follows[:1].isdecimal():
        return False
    is_initial = len(word) == 1 and word.isalpha() and word.isupper() and word != "I"
    is_dotted = re.fullmatch(r"(?:[A-Z]\.)+[A-Z]", word) is not None  # U.S, J.R.R
    return not (name in NEVER_LAST or is_initial or is_dotted)


def _parts(sentence: str) -> Iterator[str]:
    """Cut a sentence into parts that weigh at most `MAX_WEIGHT`; one that does is its only part."""
    start = 0
    while (stop := _reach(sentence, start)) < len(sentence):
        least = start + (stop - start) // 3  # a cut at an earlier clause would leave too short a part
        clauses = [found.end() for found in _CLAUSE_END.finditer(sentence, least, stop)]
        space = sentence.rfind(" ", start + 1, stop + 1)
        cut = clauses[-1] if clauses else space if space > 0 else stop
        yield sentence[start:cut].rstrip()
        start = cut + (sentence[cut] == " ")
    yield sentence[start:]


def _reach(text: str, start: int) -> int:
    """Index of the end of the longest part that begins at `start`."""
    weight = 0
    for index in range(start, len(text)):
        weight += _weight(text[index])
        if weight > MAX_WEIGHT:
            return index
    return len(text)


def _weight(character: str) -> int:
    is_letter = character.isalpha() and unicodedata.east_asian_width(character) not in "WF"
    return 1 if is_letter or character == " " or unicodedata.category(character).startswith("M") else SYLLABLE_WEIGHT
