"""Numbers in Chinese words (Mandarin, mainland style)."""

from __future__ import annotations

DIGITS = "零一二三四五六七八九"
_MAX_QUANTITY_DIGITS = 8
"""A longer number without commas is read digit by digit, as telephone numbers are, unless it is a round one."""
_MAX_WORD_DIGITS = 16
"""Longer numbers have no common word, and are read digit by digit."""


def spelled_digits(digits: str) -> str:
    """Each digit by itself; what is not a digit is left out."""
    return "".join(DIGITS[int(digit)] for digit in digits if digit.isdigit())


def quantity(digits: str) -> str:
    """A whole number in words; one of more than sixteen digits is read digit by digit."""
    digits = digits.lstrip("0")
    if len(digits) > _MAX_WORD_DIGITS:
        return spelled_digits(digits)
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


def number(written: str) -> str:
    """A number without sign: groups by commas and a decimal point are allowed; "007" digit by digit."""
    whole, _, decimals = written.partition(".")
    plain = whole.replace(",", "")
    is_code = (len(plain) > 1 and plain[0] == "0" and not decimals) or (
        len(plain) > _MAX_QUANTITY_DIGITS and "," not in whole and not plain.endswith("0000")
    )
    words = spelled_digits(plain) if is_code else quantity(plain or "0")
    return f"{words}点{spelled_digits(decimals)}" if decimals else words


def counted(written: str) -> str:
    """A number before a measure word or a unit: two is 两."""
    return "两" if written == "2" else number(written)


def coded(digits: str) -> str:
    """Digits of a name such as A380: 三八零; one or two digits and whole hundreds are quantities."""
    is_quantity = digits[0] != "0" and (len(digits) < 3 or (len(digits) == 3 and digits.endswith("00")))
    return quantity(digits) if is_quantity else spelled_digits(digits)
