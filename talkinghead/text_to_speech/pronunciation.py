"""A table of pronunciations: words, and the spelling or the phones with which every voice says them.

    # one entry a line
    Nguyen = win
    GIF = /dʒɪf/
    行长 = /hang2 zhang3/

Phones are between slashes: IPA, or pinyin with the numbers of the tones. A word without capital letters is found
however it is capitalized, one with capitals only as it is; a word of letters only as a whole word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from talkinghead.errors import TextError
from talkinghead.files import read_text
from talkinghead.text_to_speech.phones import FOREIGN, PhonedWords

_HAN = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True)
class Pronunciations:
    """What is said for some words."""

    entries: tuple[tuple[str, str], ...] = ()
    """Word, and a spelling, or phones between slashes."""

    def applied(self, text: str, words: PhonedWords) -> str:
        """A text with other spellings, and with characters that stand for words with phones, which are added."""
        if not self.entries:
            return text
        # Longer words first, so that an entry of two words comes before those of each of them.
        ordered = sorted(self.entries, key=lambda entry: -len(entry[0]))
        found = re.compile("|".join(f"({_pattern(word)})" for word, _ in ordered))

        def said(match: re.Match[str]) -> str:
            spelling = ordered[(match.lastindex or 1) - 1][1]
            is_phones = len(spelling) > 2 and spelling[0] == spelling[-1] == "/"
            return words.add(" ".join(match.group().split()), spelling[1:-1].strip()) if is_phones else spelling

        return found.sub(said, text)


def _pattern(word: str) -> str:
    """A regular expression for a word, without groups."""
    escaped = r"\s+".join(map(re.escape, word.split()))
    if not any(map(str.isupper, word)):
        escaped = f"(?i:{escaped})"
    before = r"(?<!\w)" if word[0].isalnum() and not _HAN.match(word[0]) else ""
    after = r"(?!\w)" if word[-1].isalnum() and not _HAN.match(word[-1]) else ""
    return f"{before}{escaped}{after}"


def read_pronunciations(path: Path) -> Pronunciations:
    """Read a table of pronunciations.

    Raises:
        MissingFileError: there is no such file.
        TextError: it is not UTF-8, or a line of it is no entry; the message has the line's number.
    """
    entries: dict[str, str] = {}
    for number, line in enumerate(read_text(path, error=TextError).splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        word, _, spelling = (part.strip() for part in content.replace("\t", "=", 1).partition("="))
        if not word or not spelling or FOREIGN.search(content):
            raise TextError(f"{path}, line {number}: an entry is written word = spelling, or word = /phones/.")
        if entries.setdefault(word, spelling) != spelling:
            raise TextError(f"{path}, line {number}: {word} has another pronunciation above; keep one of them.")
    return Pronunciations(tuple(entries.items()))
