"""The words of a sentence as it is written and as it is spoken, and which of the two stand for each other."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from talkinghead.text_to_speech.normalization.characters import HAN
from talkinghead.text_to_speech.phones import MARK_BEGIN, MARK_END

_MARK = f"{MARK_BEGIN}[^{MARK_END}]*{MARK_END}"
OPENING = "“‘「『《【（"
"""Marks that belong to the word after them, also where no space is before them."""
_TOKEN = re.compile(rf"(?:{_MARK}|[^\s{HAN}{MARK_BEGIN}])+|[{HAN}](?:(?![{HAN}{MARK_BEGIN}])[^\w\s])*")


def split_words(sentence: str) -> list[str]:
    """The words of a sentence with their punctuation, in order; every Chinese character is one.

    A mark by itself (a dash between spaces, an opening quotation mark before a Chinese character) belongs to the word
    before it, the first one to the word after it. A word with its phones (see `phones`) stays whole.
    """
    words: list[str] = []
    opening = ""
    for found in _TOKEN.finditer(sentence):
        gap = " " if found.start() and sentence[found.start() - 1].isspace() else ""
        token = found.group().rstrip(OPENING)
        if any(map(_is_sounded, token)):
            words.append(opening + (gap if opening else "") + token)
            opening = ""
        elif token and words and not opening:
            words[-1] += gap + token
        elif token:
            opening += (gap if opening else "") + token
        opening += found.group()[len(token) :]
    if opening and words:
        words[-1] += opening
    return words


def _is_sounded(character: str) -> bool:
    return character.isalnum() or character == MARK_BEGIN or character >= "\U000f0000"


def as_written(written: str, spoken: Sequence[str]) -> list[tuple[str, int]]:
    """What a reader sees for the words of a sentence that were written out: "$5" for "five dollars".

    Returns:
        Parts of `written` in order, with all of its words, and how many of the spoken words each stands for.
    """
    words = split_words(written)
    matcher = difflib.SequenceMatcher(None, list(map(_core, words)), list(map(_core, spoken)), autojunk=False)
    parts: list[tuple[str, int]] = []
    waiting = 0
    """Spoken words before the first part."""
    for _, first, end, spoken_first, spoken_end in matcher.get_opcodes():
        count = spoken_end - spoken_first
        if end - first == count:
            parts += [(word, 1) for word in words[first:end]]
        elif end == first or not count:  # more is said than written, or less
            text = joined_words(words[first:end], written)
            if parts:
                before, number = parts[-1]
                parts[-1] = (before + (_space(before, text, written) + text if text else ""), number + count)
            elif text:
                parts.append((text, 0))
            else:
                waiting = count
        else:
            parts.append((joined_words(words[first:end], written), count))
    if parts and not parts[0][1] and len(parts) > 1:  # what is not said stands before the first word
        (first_text, _), (text, number), *rest = parts
        parts = [(first_text + _space(first_text, text, written) + text, number), *rest]
    if parts:
        parts[0] = (parts[0][0], parts[0][1] + waiting)
    return parts


def joined_words(words: Sequence[str], written: str) -> str:
    """Words of a text in a row, with spaces between them where the text has them."""
    joined = ""
    for word in words:
        joined += (_space(joined, word, written) if joined else "") + word
    return joined


def _space(before: str, after: str, written: str) -> str:
    return "" if before[-1:] + after[:1] in written and is_joined(before, after) else " "


def is_joined(before: str, after: str) -> bool:
    """Whether no space belongs between two words in a row: at a Chinese character or mark."""
    return bool(re.search(rf"[{HAN}，。！？；：、”’」』》）]$", before) or re.match(f"[{HAN}“‘「『《（]", after))


def _core(word: str) -> str:
    return "".join(character for character in word.casefold() if _is_sounded(character)) or word


def cut_parts(parts: Sequence[tuple[str, int]], lengths: Sequence[int]) -> list[list[tuple[str, int]]]:
    """What `as_written` gives, cut into pieces of so many spoken words; a part that is cut is shown in the first."""
    pieces: list[list[tuple[str, int]]] = [[] for _ in lengths]
    piece, room = 0, lengths[0] if lengths else 0
    for text, count in parts:
        shown = text
        while count > room and piece + 1 < len(pieces):
            if room:
                pieces[piece].append((shown, room))
                shown, count = "", count - room
            piece += 1
            room = lengths[piece]
        pieces[piece].append((shown, count))
        room -= count
    return pieces
