"""Chinese text to phonemes in Kokoro's alphabet: characters to pinyin, pinyin to IPA.

The IPA of pinyin follows Lin, The Sounds of Chinese (2007), and Wikipedia's Help:IPA/Mandarin. Tones are the arrows
that Kokoro was trained on, written after the vowel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from talkinghead.errors import TextError
from talkinghead.text_to_speech.normalization.characters import HAN
from talkinghead.text_to_speech.phones import (
    MARK_BEGIN,
    MARK_END,
    MARK_PHONES,
    PINYIN,
    PhonedWord,
    split_marks,
    to_kokoro,
)

INITIALS = {
    "": "", "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n", "l": "l",
    "g": "k", "k": "kʰ", "h": "x", "j": "ʨ", "q": "ʨʰ", "x": "ɕ", "z": "ʦ", "c": "ʦʰ", "s": "s",
    "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ", "r": "ɻ",
}  # fmt: skip
"""Pinyin initial -> IPA."""
FINALS = {
    "a": "a0", "ai": "ai0", "an": "a0n", "ang": "a0ŋ", "ao": "au0", "e": "ɤ0", "ei": "ei0", "en": "ə0n", "eng": "ə0ŋ",
    "er": "ɚ0", "i": "i0", "ia": "ja0", "ian": "jɛ0n", "iang": "ja0ŋ", "iao": "jau0", "ie": "je0", "in": "i0n",
    "ing": "i0ŋ", "io": "jɔ0", "iong": "jʊ0ŋ", "iou": "jou0", "o": "wo0", "ong": "ʊ0ŋ", "ou": "ou0", "u": "u0",
    "ua": "wa0", "uai": "wai0", "uan": "wa0n", "uang": "wa0ŋ", "uei": "wei0", "uen": "wə0n", "ueng": "wə0ŋ",
    "uo": "wo0", "v": "y0", "van": "ɥɛ0n", "ve": "ɥe0", "vn": "y0n", "ê": "ɛ0", "n": "n0", "ng": "ŋ0", "m": "m0",
}  # fmt: skip
"""Pinyin final (v for ü) -> IPA, with 0 where the tone goes."""
APICAL = frozenset(["z", "c", "s", "zh", "ch", "sh", "r"])
"""Initials after which i is an apical vowel: the consonant prolonged."""
TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}
"""Number of a tone, 5 for the neutral one -> Kokoro's arrow."""

PUNCTUATION = str.maketrans({
    "，": ", ", "、": ", ", "；": "; ", "：": ": ", "。": ". ", "！": "! ", "？": "? ", "．": ". ", "·": " ",
    "（": " (", "）": ") ", "《": " “", "》": "” ", "「": " “", "」": "” ",
    "『": " “", "』": "” ", "【": " “", "】": "” ",
})  # fmt: skip
"""Chinese punctuation -> that of Kokoro's alphabet."""
_RUN = re.compile(rf"[{HAN}]+|[^{HAN}]+")
_LETTER = re.compile(r"(?<![A-Za-z'])A(?![A-Za-z'])")
"""The letter A by itself: in a Chinese text a name, not the English article."""
_LETTER_PHONES = "eɪ"


def chinese_phonemes(text: str, foreign: Callable[[str], str], syllable_end: str = "") -> str:
    """Phonemes of a Chinese text.

    Args:
        text: may have words in other scripts, and words with their phones, in IPA or pinyin; numbers are words.
        foreign: gives the phonemes of a run of words in other scripts.
        syllable_end: put after each Chinese character and each word with its phones.
    """
    phonemes: list[str] = []
    for part in split_marks(text):
        if isinstance(part, PhonedWord):
            phonemes.append(_given(part) + syllable_end)
            continue
        for run in _RUN.findall(part.translate(PUNCTUATION)):
            if re.match(f"[{HAN}]", run):
                phonemes += (syllable + syllable_end for syllable in _syllables(run))
            else:
                phonemes.append(f" {_foreign(run, foreign)} " if any(map(str.isalpha, run)) else run)
    return " ".join("".join(phonemes).split())


def characters_without_reading(text: str) -> list[str]:
    """Chinese characters of a text for which no reading is known."""
    runs = [run for run in _RUN.findall(text) if re.match(f"[{HAN}]", run)]
    return [character for run in runs for character, ipa in zip(run, _syllables(run), strict=False) if not ipa]


def _given(word: PhonedWord) -> str:
    """The phonemes of a word with phones: syllables of pinyin, or IPA."""
    if not PINYIN.fullmatch("".join(word.phones.split())):
        return to_kokoro(word)
    from pypinyin.contrib.tone_convert import to_finals_tone3, to_initials

    syllables = []
    for pinyin in re.findall(r"[a-zü]+[1-5]", word.phones):
        syllables.append(syllable(to_initials(pinyin), to_finals_tone3(pinyin, v_to_u=False)))
        if not syllables[-1]:
            raise TextError(f"{pinyin}, in the pronunciation /{word.phones}/ of {word.word}, is no syllable of pinyin.")
    return "".join(syllables)


def _foreign(run: str, foreign: Callable[[str], str]) -> str:
    """Phonemes of a run in other scripts, in which a single A is the letter."""
    marked = _LETTER.sub(f"{MARK_BEGIN}A{MARK_PHONES}{_LETTER_PHONES}{MARK_END}", run)
    return foreign(marked)


def _syllables(characters: str) -> Iterator[str]:
    """IPA of each character of a run, read in context: pypinyin knows words of several characters, and tone sandhi."""
    from pypinyin import Style, lazy_pinyin

    initials, finals, whole = (
        lazy_pinyin(characters, style=style, neutral_tone_with_five=True, tone_sandhi=True)
        for style in (Style.INITIALS, Style.FINALS_TONE3, Style.TONE3)
    )
    for initial, final, pinyin in zip(initials, finals, whole, strict=True):
        # For interjections such as ng2, pypinyin gives neither an initial nor a final.
        yield syllable(initial, final or pinyin.removeprefix(initial))


def syllable(initial: str, final: str) -> str:
    """IPA of a syllable.

    Args:
        initial: in pinyin ("zh"), may be empty.
        final: in pinyin with the number of its tone ("ong1", "ve4").

    Returns:
        Empty if there is no such syllable, as for a rare character without a known reading.
    """
    vowel, tone = (final[:-1], final[-1]) if final[-1:] in TONES else (final, "5")
    if initial not in INITIALS or vowel not in FINALS:
        return ""
    ipa = "ɨ0" if vowel == "i" and initial in APICAL else FINALS[vowel]
    return INITIALS[initial] + ipa.replace("0", TONES[tone])
