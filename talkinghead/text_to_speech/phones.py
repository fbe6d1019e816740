"""Words whose phones are given, on their way through a text to an engine.

In a text, one character of a private plane stands for each, so that neither cutting nor normalization touches it. In
the sentence that an engine gets, it is `MARK_BEGIN` word `MARK_PHONES` phones `MARK_END`, if the engine reads phones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from talkinghead.errors import TextError
from talkinghead.text_to_speech.phone_timing import IPA

MARK_BEGIN, MARK_PHONES, MARK_END = "\ufdd0", "\ufdd1", "\ufdd2"
"""Noncharacters of Unicode, which no text has."""
FIRST = 0xF0000
MOST = 60_000
"""Number of words with phones that a text may have."""

_MARK = re.compile(f"{MARK_BEGIN}([^{MARK_PHONES}]*){MARK_PHONES}([^{MARK_END}]*){MARK_END}")
FOREIGN = re.compile(f"[{MARK_BEGIN}-{MARK_END}\U000f0000-\U000ffffd]+")
"""Characters that a text must not have, because they have a meaning here."""
PINYIN = re.compile(r"(?:[a-zü]+[1-5])+")
"""Syllables of pinyin with the numbers of their tones, without the spaces between them."""


@dataclass(frozen=True)
class PhonedWord:
    """A word with its phones."""

    word: str
    """As it is written."""
    phones: str
    """IPA, with stress marks; or syllables of pinyin with the number of their tone ("hang2 zhang3")."""


@dataclass
class PhonedWords:
    """The words of one text whose phones are given."""

    words: list[PhonedWord] = field(default_factory=list)

    def add(self, word: str, phones: str) -> str:
        """The character that stands for a word with phones.

        Raises:
            TextError: there are too many of them.
        """
        wanted = PhonedWord(FOREIGN.sub("", word), FOREIGN.sub("", phones))
        if wanted not in self.words:
            if len(self.words) >= MOST:
                raise TextError(f"The text gives phones to more than {MOST} different words; divide it.")
            self.words.append(wanted)
        return chr(FIRST + self.words.index(wanted))

    def expanded(self, sentence: str, *, with_phones: bool) -> str:
        """A sentence with the words in place of the characters that stand for them, marked up where asked for."""

        def word(found: re.Match[str]) -> str:
            one = self.words[ord(found.group()) - FIRST]
            return f"{MARK_BEGIN}{one.word}{MARK_PHONES}{one.phones}{MARK_END}" if with_phones else one.word

        return re.sub("[\U000f0000-\U000ffffd]", word, sentence)


def split_marks(sentence: str) -> Iterator[str | PhonedWord]:
    """Parts of a sentence that an engine gets: plain text, and words with phones."""
    start = 0
    for found in _MARK.finditer(sentence):
        if found.start() > start:
            yield sentence[start : found.start()]
        yield PhonedWord(found.group(1), found.group(2))
        start = found.end()
    if start < len(sentence):
        yield sentence[start:]


_KOKORO = {ipa: symbol for symbol, ipa in IPA.items() if len(ipa) > 1} | {
    "g": "ɡ", "r": "ɹ", "ɝ": "ɜɹ", "ɫ": "l", ":": "ː", "ʍ": "w", "t͡ʃ": "ʧ", "d͡ʒ": "ʤ", "'": "ˈ", "ɐ": "ɐ",
}  # fmt: skip
"""IPA -> Kokoro's alphabet, where they differ."""
_ESPEAK = {
    "tʃ": "tS", "dʒ": "dZ", "eɪ": "eI", "aɪ": "aI", "aʊ": "aU", "ɔɪ": "OI", "oʊ": "oU", "əʊ": "oU", "iː": "i:",
    "uː": "u:", "ɑː": "A:", "ɔː": "O:", "ɜː": "3:", "ɪə": "i@", "eə": "e@", "ʊə": "U@", "θ": "T", "ð": "D",
    "ʃ": "S", "ʒ": "Z", "ŋ": "N", "ɡ": "g", "ɹ": "r", "ɪ": "I", "ɛ": "E", "æ": "a", "ʌ": "V",
    "ɑ": "A:", "ɒ": "0", "ɔ": "O:", "ʊ": "U", "ə": "@", "ɚ": "3", "ɝ": "3:", "ɜ": "3:", "i": "i:",
    "u": "u:", "ɾ": "t#", "ʔ": "?", "ˈ": "'", "ˌ": ",", "ɐ": "a#", "ç": "C", "x": "x", "ʁ": "R",
    "ø": "Y", "œ": "W", "ɲ": "n^", "ʎ": "l^", "ɣ": "Q", "β": "B", "ɬ": "l#",
} | {letter: letter for letter in "abdefhjklmnoprstvwyz"}  # fmt: skip
"""IPA -> espeak-ng's mnemonics (docs/phonemes.md of espeak-ng), of its English and of the most common other phones."""
_IGNORED = frozenset(" .‿͡ː")


_KOKORO_TOO = frozenset("ˈˌːabcdefhijklmnopqstuvwxyzɑɐɒæβɔɕçɖðəɚɛɜɟɡɥɨɪʝɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃʈʊʋʌɣɤχʎʒʔʰʲ\u0303")
"""Symbols that Kokoro's alphabet has in common with IPA."""


def to_kokoro(word: PhonedWord) -> str:
    """The phones of a word in Kokoro's alphabet.

    Raises:
        TextError: it has no such phone.
    """
    return "".join(_translated(word, {symbol: symbol for symbol in _KOKORO_TOO} | _KOKORO))


def to_espeak(word: PhonedWord) -> str:
    """The phones of a word in espeak-ng's mnemonics.

    Raises:
        TextError: the table of mnemonics has no such phone.
    """
    return "".join(_translated(word, _ESPEAK))


def _translated(word: PhonedWord, table: dict[str, str]) -> Iterator[str]:
    """Each phone of a word by a table whose keys have up to three characters, the longest that fits first."""
    rest = word.phones
    while rest:
        length = next((length for length in (3, 2, 1) if rest[:length] in table), 0)
        if length:
            yield table[rest[:length]]
        elif rest[0] not in _IGNORED:
            raise TextError(
                f"The voice has no phone {rest[0]!r}, which is in the pronunciation /{word.phones}/ of {word.word}; "
                "use other phones of IPA, or give another spelling."
            )
        rest = rest[max(length, 1) :]
