"""English text with its numbers and signs in words.

Rules are applied in order; each leaves words without digits, so that no later one reads the same digits again. More
special forms come first: an address before a version, a version before a decimal number.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from talkinghead.text_to_speech.normalization import english_numbers as say
from talkinghead.text_to_speech.normalization.characters import FRACTION_SLASH, roman_value
from talkinghead.text_to_speech.normalization.signs import (
    CENTS,
    CURRENCIES,
    CURRENCY_CODES,
    UNITS,
    WORDS_TOO,
    Names,
    name_signs,
)

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

_NUM = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_DASH = r"\s?(?:--|[-–—~～])\s?"


def _any(words: object) -> str:
    """Alternatives of a regular expression, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))  # type: ignore[call-overload]


_SCALE = r"hundred|thousand|million|billion|trillion|bn|tn|[kKmMbB](?![\w])"
_SCALES = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion", "tn": "trillion"}
_MONEY = _any(CURRENCIES)
_CODE = _any(CURRENCY_CODES)
_MONTH = {name[:3].lower(): index for index, name in enumerate(say.MONTHS, 1)}
_MONTH_NAME = rf"({'|'.join(say.MONTHS)}|Sept|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b(?:\.(?=\s?\d|,))?"
_HALF = r"\s?([AaPp])(?:\.\s?[Mm]\.?|[Mm])(?![A-Za-z])"
_CLOCK = rf"(?<![\d:.])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])(?:{_HALF})?"
_PLURAL = r"(?=\s(?:people|men|women|children|[a-z]{3,}[^s\W]s)\b)(?!\s(?:was|has|its|this|does|sales)\b)"
_BEFORE_YEAR = r"\b([Ii]n|[Ss]ince|[Bb]y|[Oo]f|[Ff]rom|[Uu]ntil|[Tt]ill|[Yy]ear|[Dd]uring|[Cc]irca)\s"


def _value(text: str) -> str:
    return text.replace(",", "")


def _amount(text: str) -> str:
    """A number that may have a sign."""
    if text[0] in "-+±":
        return f"{ {'-': 'minus', '+': 'plus', '±': 'plus or minus'}[text[0]] } {say.number(text[1:].strip())}"
    return say.number(text)


def _counted(text: str, names: Names) -> str:
    """A number with the name of a unit or a currency in the right form."""
    return f"{_amount(text)} {names.one if _value(text.lstrip('-+±')) == '1' else names.many}"


def _address(found: re.Match[str]) -> str:
    """An address of the web or of mail, read sign by sign."""
    names = {".": "dot", "/": "slash", ":": "colon", "@": "at", "-": "dash", "_": "underscore", "?": "question mark"}
    names |= {"=": "equals", "&": "and", "#": "hash", "%": "percent", "+": "plus", "~": "tilde"}
    words = re.findall(r"\d+|[^\W\d_]+|[^\w\s]|_", found.group())
    said = (say.spelled_digits(w) if w.isdigit() else w if w.isalpha() else names.get(w, " ") for w in words)
    return " ".join(said)


def _iso_date(found: re.Match[str]) -> str:
    year, month, day = found.group(1), int(found.group(2)), int(found.group(3))
    return say.date(year, month, day) if 1 <= month <= 12 and 1 <= day <= 31 else say.groups(found.group())


def _slash_date(found: re.Match[str]) -> str:
    """Month first as in America, unless only the other order is a date; with dots the day comes first."""
    first, sign, second, year = int(found.group(1)), found.group(2), int(found.group(3)), found.group(4)
    if len(year) == 2:
        year = ("19" if int(year) > 50 else "20") + year
    month, day = (first, second) if first <= 12 and (sign == "/" or second > 12) else (second, first)
    return say.date(year, month, day) if 1 <= month <= 12 and 1 <= day <= 31 else found.group()


def _month_day(found: re.Match[str]) -> str:
    month, day, year = found.group(1, 2, 3)
    return say.date(year or "", _MONTH[month[:3].lower()], int(day)) if 1 <= int(day) <= 31 else found.group()


def _month_days(found: re.Match[str]) -> str:
    month, first, last = found.group(1, 2, 3)
    return f"{say.MONTHS[_MONTH[month[:3].lower()] - 1]} {say.ordinal(int(first))} to {say.ordinal(int(last))}"


def _day_month(found: re.Match[str]) -> str:
    the, day, month, year = found.group(1, 2, 3, 4)
    words = f"the {say.ordinal(int(day))} of {say.MONTHS[_MONTH[month[:3].lower()] - 1]}"
    return (words if the != "The " else words.capitalize()) + (f" {say.year(int(year))}" if year else "")


def _clock(found: re.Match[str]) -> str:
    hour, minute, second, half = found.group(1, 2, 3, 4)
    end = "." if half and found.end() == len(found.string) and not found.group().endswith(".") else ""
    words = say.clock(int(hour), int(minute), int(second) if second else None, half or "")
    return words + ("" if not end or words.endswith(".") else end)


def _money(sign: str, amount: str, scale: str | None, names: Names) -> str:
    """An amount of money: with cents where it has two decimals, or one."""
    if scale:
        return f"{_amount(amount)} {_SCALES.get(scale.strip().lower(), scale.strip())} {names.many}"
    whole, _, decimals = _value(amount).partition(".")
    if sign[-1:] in CENTS and 1 <= len(decimals) <= 2:
        cents = int(decimals.ljust(2, "0"))
        one, many = CENTS[sign[-1]]
        small = f"{say.cardinal(str(cents))} {one if cents == 1 else many}"
        if cents and not whole.lstrip("-+0"):
            return small
        return _counted(whole if whole.strip("-+") else f"{whole}0", names) + (f" and {small}" if cents else "")
    return _counted(re.sub(r"(?<=\d)\.0+$", "", amount), names)


def _money_before(found: re.Match[str]) -> str:
    minus, sign, amount, scale = found.group(1, 2, 3, 4)
    names = CURRENCIES.get(sign) or CURRENCY_CODES[sign]
    return ("minus " if minus else "") + _money(sign, amount, scale, names)


def _money_after(found: re.Match[str]) -> str:
    amount, scale, sign = found.group(1, 2, 3)
    return _money(sign, amount, scale, CURRENCIES.get(sign) or CURRENCY_CODES[sign])


def _money_range(found: re.Match[str]) -> str:
    sign, low, high, scale = found.group(1, 2, 3, 4)
    return f"{say.number(low)} to {_money(sign, high, scale, CURRENCIES[sign])}"


def _unit(found: re.Match[str]) -> str:
    """A number with a unit, or with one unit per another."""
    amount, space, symbol, per = found.group(1, 2, 3, 4)
    if space and symbol in WORDS_TOO and not per:
        return found.group()
    words = _counted(amount, UNITS[symbol])
    return f"{words} per {UNITS[per].one}" if per else words


def _degrees(found: re.Match[str]) -> str:
    scale = {"C": " Celsius", "F": " Fahrenheit", "K": " Kelvin"}.get(found.group(2) or "", "")
    end = " " if found.string[found.end() : found.end() + 1].isalnum() else ""
    return _counted(found.group(1), Names("degree", "degrees", "")) + scale + end


def _vulgar(found: re.Match[str]) -> str:
    whole, top, bottom = found.group(1, 2, 3)
    if not whole:
        return "one half" if (top, bottom) == ("1", "2") else say.fraction(top, bottom)
    part = say.fraction(top, bottom)
    return f"{_amount(whole.strip())} and {'a ' + part.removeprefix('one ') if top == '1' else part}"


def _slashed(found: re.Match[str]) -> str:
    """Two numbers with a slash: a fraction, or month and day, or just the sign."""
    top, bottom = found.group(1, 2)
    if top == bottom:
        return f"{say.number(top)} {say.number(bottom)}"  # as in 50/50
    special = {"24/7": "twenty-four seven", "9/11": "nine eleven"}.get(found.group())
    if special:
        return special
    if 0 < int(top) < int(bottom) and (int(bottom) <= 12 or int(bottom) in (16, 20, 32, 64, 100)):
        return say.fraction(top, bottom)
    if 1 <= int(top) <= 12 and 13 <= int(bottom) <= 31:
        return say.date("", int(top), int(bottom))
    return f"{say.number(top)} over {say.number(bottom)}"


def _sum(found: re.Match[str]) -> str:
    """A calculation whose result follows."""
    signs = {"-": "minus", "–": "minus", "+": "plus", "×": "times", "*": "times", "÷": "divided by", "/": "divided by"}
    parts = re.findall(rf"{_NUM}|[-–+×÷*/]", found.group())
    return " ".join(signs.get(part) or say.number(part) for part in parts)


def _power(found: re.Match[str]) -> str:
    exponent = found.group(1)
    special = {"2": " squared", "3": " cubed"}.get(exponent)
    return special or f" to the power of {_amount(exponent)}"


def _by(found: re.Match[str]) -> str:
    written = found.group(1)
    is_resolution = re.fullmatch(r"[1-9]\d{3}", written) is not None  # 1920 is "nineteen twenty"
    return f"{say.coded(written) if is_resolution else _amount(written)} by "


def _hour(hour: str, half: str) -> str:
    """An hour of a clock of twelve hours: "five P.M."; the letters have points so that they are spelled."""
    return f"{say.number(hour)} {half.upper()}.M."


def _with_letters(found: re.Match[str]) -> str:
    """Digits beside letters, as in A100, B2B, mp3; a single A is the letter, not the article."""
    parts = re.findall(r"\d+(?:\.\d+)?|[^\W\d_]+|-", found.group())
    words = [
        say.coded(part) if part.isdigit() else say.number(part) if part[0].isdigit() else part
        for part in parts
        if part != "-"
    ]
    return " ".join("ay" if word in ("A", "a") else word for word in words)


def _signed(found: re.Match[str]) -> str:
    return f"{ {'-': 'minus', '–': 'minus', '+': 'plus', '±': 'plus or minus'}[found.group(1)] } "


def _range(found: re.Match[str]) -> str:
    low, high = found.group(1, 2)
    years = [say.year(int(n)) if re.fullmatch(r"1[1-9]\d\d|20\d\d", n) else say.number(n) for n in (low, high)]
    if re.fullmatch(r"1[1-9]\d\d|20\d\d", low) and re.fullmatch(r"\d\d", high):
        years = [say.year(int(low)), say.number(high) if high[0] != "0" else f"oh {say.number(high[1])}"]
    return f"{years[0]} to {years[1]}"


def _plain(found: re.Match[str]) -> str:
    written = found.group()
    return (
        say.groups(written)
        if re.fullmatch(r"\d{10,}", written) and not written.endswith("0000")
        else (say.number(written))
    )


def _rule(pattern: str, words: Callable[[re.Match[str]], str] | str) -> Rule:
    if isinstance(words, str):
        template = words
        return re.compile(pattern), lambda found: found.expand(template)
    return re.compile(pattern), words


_ADDRESSES: tuple[Rule, ...] = (
    *(_rule(re.escape(typed), sign) for typed, sign in {"<=": "≤", ">=": "≥", "!=": "≠", "+/-": "±"}.items()),
    _rule(r"(?:https?|ftp)://[^\s,;()\"]*[^\s,;()\".!?:]", _address),
    _rule(r"\b(?:www\.)[^\s,;()\"]*[^\s,;()\".!?:]", _address),
    _rule(r"\b[\w.+-]+@(?:[\w-]+\.)+[A-Za-z]{2,}\b", _address),
    _rule(
        r"(?<![\w:])(?=[\dA-Fa-f:]*(?:::|:[\dA-Fa-f]*[A-Fa-f]))[\dA-Fa-f]{1,4}(?::[\dA-Fa-f]{0,4}){2,7}(?![\w:])",
        _address,
    ),
    _rule(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)(?::\d+)?", _address),
    _rule(r"\b(?:[A-Za-z][\w-]*\.)+(?:com|org|net|edu|gov|io|cn|uk|de|info|dev|ai)(?:/[^\s,;()\"]*)?(?!\w)", _address),
)
_DATES: tuple[Rule, ...] = (
    _rule(r"(?<![\w.,])(?:'(\d0)|(\d{3}0))'?s\b", lambda f: say.decade(int(f[1] or f[2]))),
    _rule(
        r"\b(the|his|her|their|my|our|mid|early|late)([\s-])(\d0)'?s\b",
        lambda f: f"{f[1]}{f[2]}{say.decade(int(f[3]))}",
    ),
    _rule(r"(?<=\d)T(?=\d\d:\d\d)", " "),
    _rule(r"(?<![\d.,-])(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?![\d-]|\.\d)", _iso_date),
    _rule(r"(?<![\w./-])(\d{1,2})([/.])(\d{1,2})\2(\d{4}|\d{2})(?![\w/]|\.\d)", _slash_date),
    _rule(rf"\b{_MONTH_NAME} (\d{{1,2}})(?:st|nd|rd|th)?{_DASH}(\d{{1,2}})(?:st|nd|rd|th)?(?!\w|[-/.]\d)", _month_days),
    _rule(r"(?<![\w.,/])((?:19|20)\d\d)/(\d\d)(?![\w/])", lambda f: f"{say.year(int(f[1]))} {say.coded(f[2])}"),
    _rule(
        rf"\b{_MONTH_NAME} (\d{{1,2}})(?:st|nd|rd|th)?(?![\w:%]|[-/.]\d)(?:,? (\d{{4}})(?!\w|[-/.,]\d))?", _month_day
    ),
    _rule(
        rf"\b([Tt]he )?(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?{_MONTH_NAME}(?:,? (\d{{4}})(?!\w|[-/.,]\d))?", _day_month
    ),
)
_TIMES: tuple[Rule, ...] = (
    _rule(rf"(?<=\d){_DASH}(?=\d{{1,2}}:\d\d(?!\d))", " to "),
    _rule(rf"(?<![\w.,:])(\d{{1,2}}){_DASH}(\d{{1,2}}){_HALF}", lambda f: f"{say.number(f[1])} to {_hour(f[2], f[3])}"),
    _rule(rf"(?<=[ap]m){_DASH}(?=\d)|(?<=[AP]M){_DASH}(?=\d)|(?<=\.m\.){_DASH}(?=\d)", " to "),
    _rule(_CLOCK, _clock),
    _rule(rf"(?<![\w.,:])(1[0-2]|0?[1-9])\.([0-5]\d)(){_HALF}", _clock),
    _rule(rf"(?<![\w.,:])(\d{{1,2}}){_HALF}", lambda f: _hour(f[1], f[2])),
    _rule(
        r"(?<![\w:.])(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)(?:(?=:\d)|(?![\w:]))",
        lambda f: f"{say.number(f[1])} to {say.number(f[2])}",
    ),
    _rule(r"(?<=[a-z]):(?=\d)", " to "),
)
_TELEPHONES: tuple[Rule, ...] = (
    _rule(r"(?<![\w.,+-])0\d{1,4}(?:\s\d{3,8}){1,3}(?![\w-]|[.,]\d)", lambda f: say.groups(f[0])),
    _rule(
        r"(?<![\w+])\+(?=(?:[\s().-]*\d){7})(\d{1,3}(?:[\s.-]?\(?\d{2,5}\)?){2,5})(?![\w-])",
        lambda f: f"plus {say.groups(f[1])}",
    ),
    _rule(r"(?<![\w(])\(\d{2,4}\)\s?\d{3,4}[-\s.]?\d{3,4}(?![\w-])", lambda f: say.groups(f[0])),
    _rule(r"(?<![\w.,-])(?:\d{1,3}[-.\s])?\d{3}[-.\s]\d{3,4}[-.\s]\d{4}(?![\w-])", lambda f: say.groups(f[0])),
    _rule(r"(?<![\w.,-])\d{3}-\d{4}(?![\w-])", lambda f: say.groups(f[0])),
    _rule(r"(?<![\w.,-])\d+(?:-\d+){2,}(?![\w-]|\s?=)", lambda f: say.groups(f[0])),
)
_VERSIONS: tuple[Rule, ...] = (
    _rule(r"(?<=[\d)])\^\(?([-+]?\d+)\)?", lambda f: f"{_power(f)} "),
    _rule(
        r"\b((?:ZIP|zip|PIN|pin|[Pp]ost|[Cc]ode|[Ee]xt\.?|[Ee]xtension)(?: code)?:?)\s(\d{3,})(?!\w|[.,]\d)",
        lambda f: f"{f[1]} {say.spelled_digits(f[2])}",
    ),
    _rule(r"(?<![\w.,])([1-9]\d{0,2}(?: \d{3}){2,})(?!\w|[.,]\d| \d)", lambda f: say.number(f[1].replace(" ", ""))),
    _rule(r"\b[vV]\.?\s?(?=\d+(?:\.\d+)*(?![\w%]))", "version "),
    _rule(r"(?<![\w.,])\d+(?:\.\d+){2,}(?!\w)", lambda f: " point ".join(map(say.number, f[0].split(".")))),
)
_MEASURES: tuple[Rule, ...] = (
    _rule(
        r"(?<![\w.,])(\d+)\s?(?:ft|feet)\.?\s(\d+)\s?in\b",
        lambda f: f"{_counted(f[1], UNITS['ft'])} {_counted(f[2], UNITS['in'])}",
    ),
    _rule(
        rf"(?:{_MONEY})\s?({_NUM})\s?({_SCALE}){_DASH}(?=(?:{_MONEY})?\s?\d)",
        lambda f: f"{say.number(f[1])} {_SCALES.get(f[2].lower(), f[2])} to ",
    ),
    _rule(rf"({_MONEY})\s?({_NUM}){_DASH}(?:{_MONEY})?\s?({_NUM})(?:\s?({_SCALE}))?(?!\w)", _money_range),
    _rule(rf"(?<!\w)(-)?({_MONEY}|{_CODE})\s?([-]?(?:{_NUM}))(?:\s?({_SCALE}))?(?!\d)", _money_before),
    _rule(rf"(?<![\w.,])({_NUM})\s?({_MONEY}){_DASH}(?=(?:{_NUM})\s?\2)", lambda f: f"{say.number(f[1])} to "),
    _rule(rf"(?<![\w.,])([-+±]?(?:{_NUM}))\s?({_SCALE})?\s?({_MONEY}|(?:{_CODE})\b)", _money_after),
    _rule(
        rf"(?<![\w.,])([-+]?(?:{_NUM})){_DASH}([-+]?(?:{_NUM}))\s?%",
        lambda f: f"{_amount(f[1])} to {_amount(f[2])} percent",
    ),
    _rule(rf"(?<![\w.,])([-+±]?(?:{_NUM}))\s?%(?:{_DASH}(?=[\d]))", lambda f: f"{_amount(f[1])} percent to "),
    _rule(rf"(?<![\w.,])([-+±]?(?:{_NUM}))\s?%", lambda f: f"{_amount(f[1])} percent"),
    _rule(rf"(?<=\d)(?:\s?°\s?[CF]?)?{_DASH}(?=[-+]?\d+(?:\.\d+)?\s?°)", " to "),
    _rule(rf"(?<![\w.,])([-+±]?(?:{_NUM}))\s?°\s?([CFK](?!\w))?", _degrees),
    _rule(
        r"(?<![\w.,°])(\d+)\s?['′]\s?(\d{1,2})(?:\"|''|″)",
        lambda f: f"{_counted(f[1], UNITS['ft'])} {_counted(f[2], UNITS['in'])}",
    ),
    _rule(r"(?<![\w.,°])(\d)'(\d{1,2})(?!\w)", lambda f: f"{say.number(f[1])} foot {say.number(f[2])}"),
    _rule(rf"(?<![\w.,′])({_NUM})″", lambda f: _counted(f[1], UNITS["in"])),
    _rule(rf"(?<![\w.,])({_NUM})\s?[x×]\s?(?=\d+(?:\.\d+)?\s?(?:[x×]|(?:{_any(UNITS)})\b))(?![^=]*=)", _by),
    _rule(
        r"(?<![\w.,])([1-9]\d{3})\s?[x×]\s?([1-9]\d{3})(?![\w.,]\d|\w)",
        lambda f: f"{say.coded(f[1])} by {say.coded(f[2])}",
    ),
    _rule(rf"(?<![\w.,])({_NUM})x(?=\d)", _by),
    _rule(rf"(?<![\w.,])({_NUM})[x×](?!\w)(?!\s?\d)", lambda f: f"{say.number(f[1])} times"),
    _rule(
        rf"(?<![\w.,])(?![248]K)({_NUM})([kKMB]|bn|tn)(?!\w)", lambda f: f"{say.number(f[1])} {_SCALES[f[2].lower()]}"
    ),
    _rule(rf"(?<![\w.,])({_NUM})\s?({_any(UNITS)}){_DASH}(?=\d)", lambda f: f"{_counted(f[1], UNITS[f[2]])} to "),
    _rule(
        rf"(?<![\w.,])({_NUM}){_DASH}({_NUM})(?=(?:\s?)(?:{_any(UNITS)})(?![\w^]))",
        lambda f: f"{say.number(f[1])} to {f[2]}",
    ),
    _rule(rf"(?<![\w.,])([-+±]?(?:{_NUM}))(\s?)({_any(UNITS)})(?:\s?/\s?({_any(UNITS)}))?(?![\w^])", _unit),
)
_NUMBERS: tuple[Rule, ...] = (
    _rule(rf"(?<![\w.,])(?:{_NUM})(?:\s?[-–+×÷*/]\s?(?:{_NUM}))+(?=\s?=)", _sum),
    _rule(rf"(?<![\w.,/])(?:(\d+)\s)?(\d+){FRACTION_SLASH}(\d+)", _vulgar),
    _rule(r"(?<![\w.,/])(\d+)\s([1-9])/([2-9]|1[0-6]|32|64)(?![\w/]|\.\d)", _vulgar),
    _rule(r"(?<![\w./])(\d+)/(\d+)(?![\w/]|\.\d)", _slashed),
    _rule(
        r"(?<![\w.,])(\d+(?:\.\d+)?)[eE]([-+]?\d+)(?!\w)",
        lambda f: f"{say.number(f[1])} times ten to the power of {_amount(f[2])}",
    ),
    _rule(rf"(?<=\dst|\dnd|\drd|\dth){_DASH}(?=\d)", " to "),
    _rule(r"(?<=[\w)])\^\(?([-+]?\d+)\)?", _power),
    _rule(r"(?<![\w.,])(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b", lambda f: say.ordinal(int(_value(f[1])))),
    _rule(r"(?<!\w)'(\d\d)(?!\w)", lambda f: say.number(f[1]) if f[1][0] != "0" else f"oh {say.number(f[1][1])}"),
    _rule(
        r"\b(Chapter|Part|Volume|Section|Act|Book|Phase|Type|World War|Title|Article) ([IVXLC]+)\b",
        lambda f: f"{f[1]} {say.cardinal(str(roman_value(f[2])))}",
    ),
    _rule(r"\b(?:[Nn]o|№)\.?\s?(?=\d)|#\s?(?=\d)|№\s?(?=\d)", "number "),
    _rule(
        r"\b(Boeing|Airbus|[Ff]light|[Rr]oom|[Rr]oute|Highway|Area)\s(\d{3,4})(?:-(\d{3}))?(?![\w-])",
        lambda f: f"{f[1]} {say.coded(f[2])}" + (f" {say.coded(f[3])}" if f[3] else ""),
    ),
    _rule(rf"(?<![\w.,-])({_NUM}){_DASH}({_NUM})(?![\w]|-\d)", _range),
    _rule(r"(?<![\w.)-])([-–+±])\s?(?=\.?\d)", _signed),
    _rule(r"(?<=[\w)])\s?\*\s?(?=\d)", " times "),
    _rule(r"(?<=\d)\s?/\s?(?=\d)", " out of "),
    _rule(r"(?<=[=<>×÷+*/])\s?[-–]\s?(?=\d)", " minus "),
    _rule(r"(?<![\w])~\s?(?=\d)", "about "),
    _rule(
        r"(?<![\w.,])(?:\d+(?:\.\d+)?-?)?(?:[^\W\d_]+-?\d+(?:\.\d+)?)+[^\W\d_]*|(?<![\w.,])\d+(?:\.\d+)?[^\W\d_][^\W_]*",
        _with_letters,
    ),
    _rule(rf"{_BEFORE_YEAR}(1\d{{3}}|20\d\d)(?!\w|[.,]\d)", lambda f: f"{f[1]} {say.year(int(f[2]))}"),
    _rule(rf"(?<![\w.,])(\d{{4}})(?!\w|[.,]\d){_PLURAL}", lambda f: say.cardinal(f[1])),
    _rule(r"(?<![\w.,])(1[1-9]\d\d|20\d\d)(?!\w|[.,]\d)", lambda f: say.year(int(f[1]))),
    _rule(_NUM, _plain),
)
_SIGN_RULES: tuple[Rule, ...] = (
    _rule(rf"\b({_any(UNITS)})/({_any(UNITS)})\b", lambda f: f"{UNITS[f[1]].many} per {UNITS[f[2]].one}"),
    _rule(r"(?<=[a-z]{3})/(kg|km|L|lb|oz|m|h|hr|s|min|GB|kWh)\b", lambda f: f" per {UNITS[f[1]].one}"),
    _rule(
        r"(?<=\w)/(?=(?:day|week|month|year|hour|minute|second|night|person|unit|share|head|piece|mo|yr)\b)", " per "
    ),
    _rule(r"(?<=\w)/(?=\w)", " slash "),
    _rule(r"\b([CF])#", r"\1 sharp"),
    _rule(r"(?<=[a-z]),(?=[a-z])", ", "),
    _rule(r"(?<=\S)\s?=>\s?|\s?->\s?", " to "),
    _rule(r"(?<=\w)_+(?=\w)", " "),
    _rule(r"(?<=\w)\+\+", " plus plus"),
    _rule(r"#(?=[^\W\d])", "hashtag "),
    _rule(r"(?<=[a-z])\s-\s(?=[a-z]+\s(?:equals|=))", " minus "),
    _rule(r"(?<!\w)~(?=\w)", "about "),
)


def spell_english(text: str) -> tuple[str, list[str]]:
    """Numbers and signs of a line of text in words.

    Returns:
        The text without digits, and the signs that have no word, which it lacks.
    """
    for rules in (_ADDRESSES, _DATES, _TIMES, _TELEPHONES, _VERSIONS, _MEASURES, _NUMBERS, _SIGN_RULES):
        for pattern, words in rules:
            text = pattern.sub(words, text)
    return name_signs(text, 0)
