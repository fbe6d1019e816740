"""Chinese text to phonemes in Kokoro's alphabet: numbers to words, characters to pinyin, pinyin to IPA.

The IPA of pinyin follows Lin, The Sounds of Chinese (2007), and Wikipedia's Help:IPA/Mandarin. Tones are the arrows
that Kokoro was trained on, written after the vowel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

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
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff〇"
"""Ranges of Chinese characters, for a regular expression."""
_RUN = re.compile(rf"[{_HAN}]+|[^{_HAN}]+")
_NUMBER = re.compile(r"(\d{4})(?=年)|(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?([%％])?", re.ASCII)
"""A year, or a whole number with an optional fraction and percent sign."""
DIGITS = "零一二三四五六七八九"
_MAX_QUANTITY_DIGITS = 8
"""A longer number without commas is read digit by digit, as telephone numbers are."""
_MAX_WORD_DIGITS = 16
"""Longer numbers have no common word, and are read digit by digit."""


def chinese_phonemes(text: str, foreign: Callable[[str], str]) -> str:
    """Phonemes of a Chinese text.

    Args:
        text: may have words in other scripts.
        foreign: gives the phonemes of a run of such words.
    """
    phonemes: list[str] = []
    for run in _RUN.findall(spell_numbers(text).translate(PUNCTUATION)):
        if re.match(f"[{_HAN}]", run):
            phonemes.append("".join(_syllables(run)))
        else:
            phonemes.append(f" {foreign(run)} " if any(map(str.isalpha, run)) else run)
    return " ".join("".join(phonemes).split())


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


def spell_numbers(text: str) -> str:
    """Replace ASCII digits by Chinese words: 2026年 digit by digit; 1,200 and 3.14 and 50% as quantities."""
    return _NUMBER.sub(_number_words, text)


def _number_words(number: re.Match[str]) -> str:
    """Words of a match of `_NUMBER`."""
    year, whole, fraction, percent = number.groups()
    if year:
        return _digit_by_digit(year)
    is_quantity = "," in whole or (len(whole) <= _MAX_QUANTITY_DIGITS and not re.match(r"0\d", whole))
    words = quantity(whole.replace(",", "")) if is_quantity else _digit_by_digit(whole)
    if fraction:
        words += "点" + _digit_by_digit(fraction)
    return "百分之" + words if percent else words


def _digit_by_digit(digits: str) -> str:
    return "".join(DIGITS[int(digit)] for digit in digits)


def quantity(digits: str) -> str:
    """A whole number in words; one of more than sixteen digits is read digit by digit."""
    digits = digits.lstrip("0")
    if len(digits) > _MAX_WORD_DIGITS:
        return _digit_by_digit(digits)
    # Chinese counts in powers of ten thousand. Zeros between two digits, however many, are one 零; those at the end
    # are none.
    groups = [digits[max(0, end - 4) : end] for end in range(len(digits), 0, -4)]
    words = ""
    for group, unit in reversed(list(zip(groups, ("", "万", "亿", "万亿"), strict=False))):
        if int(group):
            gap = "零" if words and group[0] == "0" and not words.endswith("零") else ""
            words += gap + _thousands(group) + unit
        elif words and not words.endswith("零"):
            words += "零"
    words = words.rstrip("零") or "零"
    return words.removeprefix("一") if words.startswith("一十") else words  # ten is 十, not 一十


def _thousands(group: str) -> str:
    """Up to four digits, not all zero: 105 is 一百零五."""
    words = ""
    for digit, unit in zip(group, ("千", "百", "十", "")[-len(group) :], strict=True):
        if digit != "0":
            words += DIGITS[int(digit)] + unit
        elif words and not words.endswith("零"):
            words += "零"
    return words.rstrip("零").lstrip("零")
