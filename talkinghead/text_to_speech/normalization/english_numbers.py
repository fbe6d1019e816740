"""Numbers in English words, American style: no "and", no commas, so that a number is said in one breath.

hibari-tts (Apache-2.0) has the words; the choice of the reading is made in `english`.
"""

from __future__ import annotations

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
_LARGEST_DIGITS = 36
"""Whole numbers with more digits have no word, and are read digit by digit."""
_PARTS = {2: ("half", "halves"), 4: ("quarter", "quarters")}


def cardinal(digits: str) -> str:
    """A whole number: "1,205" is "one thousand two hundred five"; a very long one digit by digit."""
    from hibari.g2p import numbers

    plain = digits.replace(",", "")
    if len(plain.lstrip("0")) > _LARGEST_DIGITS:
        return spelled_digits(plain)
    return str(numbers.cardinal(int(plain or "0"))).replace(",", "").replace(" and ", " ")


def ordinal(number: int) -> str:
    """21 is "twenty-first"; of a very long number, the digits."""
    from hibari.g2p import numbers

    if number >= 10**_LARGEST_DIGITS:
        return spelled_digits(str(number))
    return str(numbers.ordinal(number)).replace(",", "").replace(" and ", " ")


def year(number: int) -> str:
    """1905 is "nineteen oh five", 2005 "two thousand five", 2026 "twenty twenty-six"."""
    from hibari.g2p import numbers

    return str(numbers.year(number)).replace(",", "").replace(" and ", " ").replace("oh-", "oh ")


def decade(number: int) -> str:
    """1990 is "nineteen nineties", 80 "eighties"."""
    words = year(number) if number >= 1000 else cardinal(str(number))
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def spelled_digits(digits: str) -> str:
    """Each digit by itself; what is not a digit is left out."""
    return " ".join(cardinal(digit) for digit in digits if digit.isdigit())


def number(written: str) -> str:
    """A number without sign: groups by commas and a decimal point are allowed; "007" digit by digit."""
    whole, point, decimals = written.partition(".")
    plain = whole.replace(",", "")
    words = spelled_digits(plain) if len(plain) > 1 and plain[0] == "0" and not point else cardinal(plain or "0")
    return f"{words} point {spelled_digits(decimals)}" if decimals else words


def groups(written: str) -> str:
    """Digit by digit, with a pause between groups of digits: a telephone number."""
    return ", ".join(spelled_digits(part) for part in "".join(c if c.isdigit() else " " for c in written).split())


def coded(digits: str) -> str:
    """Digits of a name such as A380: "three eighty"; 100 is "one hundred", 737 "seven thirty-seven"."""
    if len(digits) > 4 or digits[0] == "0":
        return spelled_digits(digits)
    if len(digits) < 3 or digits.endswith("00"):
        return cardinal(digits)
    head, tail = digits[:-2], digits[-2:]
    return f"{cardinal(head)} {f'oh {cardinal(tail[1])}' if tail[0] == '0' else cardinal(tail)}"


def fraction(numerator: str, denominator: str) -> str:
    """3 and 4 are "three quarters"."""
    top, bottom = int(numerator), int(denominator)
    one, many = _PARTS.get(bottom, (ordinal(bottom), f"{ordinal(bottom)}s"))
    if bottom < 2:
        return f"{cardinal(numerator)} over {cardinal(denominator)}"
    return f"{cardinal(numerator)} {one if top == 1 else many}"


def date(year_digits: str, month: int, day: int | None) -> str:
    """ "September twenty-eighth, twenty twenty-five"; without a day "September twenty twenty-five"."""
    named = MONTHS[month - 1] if day is None else f"{MONTHS[month - 1]} {ordinal(day)}"
    if not year_digits:
        return named
    return f"{named}{'' if day is None else ','} {year(int(year_digits))}"


def clock(hour: int, minute: int, second: int | None, half: str = "") -> str:
    """Time of day; `half` is "a" or "p" for the half of a clock of twelve hours, or empty."""
    words = cardinal(str(hour))
    if minute:
        words += f" oh {cardinal(str(minute))}" if minute < 10 else f" {cardinal(str(minute))}"
    elif second is None and not half:
        words += " o'clock" if hour else " hundred"
    if second is not None:
        words += " oh oh" * (not minute) + f" and {cardinal(str(second))} second{'' if second == 1 else 's'}"
    return f"{words} {half.upper()}.M." if half else words
