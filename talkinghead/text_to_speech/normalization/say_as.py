"""What SSML's say-as asks for, in words."""

from __future__ import annotations

import re

from talkinghead.text_to_speech.normalization import chinese_numbers, english_numbers
from talkinghead.text_to_speech.normalization.characters import usual_characters

_ORDERS = {"mdy": (2, 0, 1), "dmy": (2, 1, 0), "ymd": (0, 1, 2)}
"""Format of a date -> positions of year, month and day in it."""


def say_as(text: str, kind: str, detail: str, language: str) -> str | None:
    """A text as SSML's say-as interprets it, for the normalization that follows.

    Args:
        text: the content of the element.
        kind: its attribute interpret-as.
        detail: its attribute format, may be empty.
        language: BCP 47 tag.

    Returns:
        None if there is no such kind, or the content is not of it.
    """
    usual = usual_characters(text)
    if kind in ("characters", "spell-out", "verbatim"):
        return _characters(usual, language)
    if kind in ("digits", "telephone"):
        return _digits(usual, language, in_groups=kind == "telephone")
    if kind in ("cardinal", "number", "ordinal"):
        return _number(usual, language, is_ordinal=kind == "ordinal")
    if kind == "date":
        return _date(usual, detail)
    # Their usual forms are recognized without being named.
    return usual if kind in ("time", "fraction", "unit", "currency", "money", "address") else None


def _primary(language: str) -> str:
    return language.lower().split("-")[0]


def _characters(text: str, language: str) -> str:
    """Letter by letter; in English a single A would be the article."""
    said = []
    for character in text.upper():
        if character.isdigit():
            said.append(_digits(character, language, in_groups=False))
        elif not character.isspace():
            said.append("ay" if character == "A" and _primary(language) == "en" else character)
    return " ".join(said)


def _digits(text: str, language: str, *, in_groups: bool) -> str:
    groups = re.findall(r"\d+", text) if in_groups else ["".join(re.findall(r"\d", text))]
    primary = _primary(language)
    if primary == "en":
        return ", ".join(map(english_numbers.spelled_digits, groups))
    if primary in ("zh", "cmn"):
        return "，".join(map(chinese_numbers.spelled_digits, groups))
    return ", ".join(" ".join(group) for group in groups)


def _number(text: str, language: str, *, is_ordinal: bool) -> str | None:
    found = re.fullmatch(r"([-+]?)(\d[\d,]*)(\.\d+)?(?:st|nd|rd|th)?", text)
    if found is None or (is_ordinal and found.group(3)):
        return None
    sign, whole, decimals = found.group(1), found.group(2).replace(",", ""), found.group(3) or ""
    primary = _primary(language)
    if primary == "en":
        words = english_numbers.ordinal(int(whole)) if is_ordinal else english_numbers.cardinal(whole)
        if decimals:
            words += " point " + english_numbers.spelled_digits(decimals)
        return {"-": "minus ", "+": "plus "}.get(sign, "") + words
    if primary in ("zh", "cmn"):
        words = chinese_numbers.quantity(whole)
        if decimals:
            words += "点" + chinese_numbers.spelled_digits(decimals)
        return ("第" if is_ordinal else "") + {"-": "负", "+": "正"}.get(sign, "") + words
    return text


def _date(text: str, detail: str) -> str | None:
    """A date in the order of year, month and day, which every language reads; as it is where no order is given."""
    order = _ORDERS.get(detail.lower())
    if order is None:
        return text if not detail or set(detail.lower()) <= set("ymd") else None
    parts = re.findall(r"\d+", text)
    if len(parts) != 3:
        return None
    year, month, day = (parts[position] for position in order)
    full_year = year if len(year) == 4 else ("19" if int(year) > 50 else "20") + year.zfill(2)[-2:]
    return f"{full_year}-{int(month):02}-{int(day):02}"
