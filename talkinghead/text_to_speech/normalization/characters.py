"""Unusual forms of characters as usual ones: Unicode's compatibility forms (NFKC), where these keep the meaning.

NFKC alone would turn 10² into 102, 1½ into 11⁄2 and the sentence marks of Chinese into those of the West.
"""

from __future__ import annotations

import re
import unicodedata

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff〇"
"""Ranges of Chinese characters, for a regular expression."""
FRACTION_SLASH = "\u2044"
"""Between the parts of a fraction; a plain slash may also be a date, or an alternative."""

_KEPT = frozenset("…‥′″‴™℠№、。，！？；：（）～．·「」『』【】《》")
"""Characters that keep their form: marks of sentences, and signs that have a name."""
_REPLACED = str.maketrans({
    "−": "-", "﹣": "-", "－": "-", "‐": "-", "‑": "-", "‒": "-", "―": "—", "∼": "~", "〜": "～", "∶": ":", "∕": "/",
    "￥": "¥", "∙": "·", "⋅": "·", "［": "(", "］": ")", "[": "(", "]": ")", "｛": "(", "｝": ")", "{": "(", "}": ")",
    "’": "'", "‘": "'", "＇": "'", "µ": "μ", "Ω": "Ω", "∆": "Δ", "∑": "Σ", "∏": "Π", "×": "×", "✕": "×", "✖": "×",
    "➔": "→", "➜": "→", "⟶": "→", "➕": "+", "➖": "-", "➗": "÷", "＝": "=",
})  # fmt: skip
"""One form for each of several signs that mean the same. Brackets become round, because engines take square ones for
markup of their own: espeak-ng reads what is in [[ ]] as phones, hibari (/ /) after [ ]."""
_ROUND = str.maketrans("[]{}", "()()")
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_BETWEEN_DIGITS = (
    (re.compile(r"(?<=\d)：(?=\d)"), ":"),
    (re.compile(r"(?<=\d)．(?=\d)"), "."),
    (re.compile(r"(?<=[０-９])，(?=[０-９]{3}(?![０-９]))"), ","),
    (re.compile(r"(?<=\d)[\u00a0\u2007\u2009\u202f](?=\d{3}(?!\d))"), ","),
    (re.compile(r"(?<=\d)'(?=\d{3}(?!\d))"), ","),
)
"""What separates digits, in widths and customs of several countries, as English writes it."""
_ROMAN_RUN = re.compile(r"[\u2160-\u2188]+")
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻"
_RAISED_RUN = re.compile(rf"(?<=[\w)])[{_RAISED}]+")


def usual_characters(text: str) -> str:
    """Replace unusual forms of characters by usual ones, and keep everything else.

    Digits of every script and width become ASCII digits; ① and Ⅳ numbers; ½ becomes 1, `FRACTION_SLASH`, 2; a raised
    number follows a ^; square and curly brackets become round ones.
    """
    for separator, usual in _BETWEEN_DIGITS:
        text = separator.sub(usual, text)
    if text.isascii():
        return text.translate(_REPLACED)
    text = _ROMAN_RUN.sub(lambda found: f" {roman_value(unicodedata.normalize('NFKC', found.group()))} ", text)
    text = _RAISED_RUN.sub(lambda found: "^" + unicodedata.normalize("NFKC", found.group()).replace("−", "-"), text)
    changed = "".join(_usual(character, text[index - 1 : index]) for index, character in enumerate(text))
    return unicodedata.normalize("NFC", changed.translate(_REPLACED))


def plain_characters(text: str) -> str:
    """Replace what engines that read numbers themselves do not know, and keep what has a meaning of its own.

    Characters of other widths and styles become plain ones, ① and Ⅳ what they stand for, square and curly brackets
    round ones. Fractions, raised digits, the minus sign and separators of digits stay.
    """
    return unicodedata.normalize("NFC", "".join(map(_plain, text)).translate(_ROUND))


def _plain(character: str) -> str:
    if character in _KEPT or ord(character) < 128 or unicodedata.category(character) == "No":
        value = unicodedata.numeric(character, -1.0)
        is_framed = ord(character) >= 128 and value == int(value) >= 0 and character not in _RAISED
        return f" {int(value)} " if is_framed and not "₀" <= character <= "₉" else character
    form = unicodedata.normalize("NFKC", character)
    return character if form.startswith(" ") and not character.isspace() else form


def _usual(character: str, before: str) -> str:
    """The usual form of one character; `before` is the one before it, or empty."""
    if character in _KEPT or ord(character) < 128:
        return character
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category == "No":
        form = unicodedata.normalize("NFKC", character)
        if FRACTION_SLASH in form:
            return f" {form}" if before.isdigit() else form
        value = unicodedata.numeric(character)
        if "₀" <= character <= "₉" or character in _RAISED:
            return form
        return f" {int(value)} " if value == int(value) and value >= 0 else character
    form = unicodedata.normalize("NFKC", character.translate(_REPLACED))
    return character if form.startswith(" ") and not character.isspace() else form


def roman_value(numeral: str) -> int:
    """Value of a Roman numeral in capital letters; letters of no numeral count nothing."""
    values = [_ROMAN.get(letter, 0) for letter in numeral.upper()]
    following = [*values[1:], 0]
    return sum(-value if value < after else value for value, after in zip(values, following, strict=True))
