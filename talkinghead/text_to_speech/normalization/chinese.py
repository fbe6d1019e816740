"""Chinese text with its numbers and signs in Chinese words.

Rules are applied in order; each leaves words without digits, so that no later one reads the same digits again.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from talkinghead.text_to_speech.normalization import chinese_numbers as say
from talkinghead.text_to_speech.normalization.characters import FRACTION_SLASH, HAN
from talkinghead.text_to_speech.normalization.signs import CHINESE, CURRENCIES, CURRENCY_CODES, UNITS, name_signs

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

_NUM = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
_START = r"(?<![A-Za-z\d.,^])"
"""No number begins inside another, or in a name such as A380."""
_DASH = r"\s?(?:--|[-–—~～至])\s?"
_SCALE = "万亿|万|亿|千万|百万|千|百"
_MONTHS = "1[0-2]|0?[1-9]"
_DAYS = r"3[01]|[12]\d|0?[1-9]"
_MEASURES = (
    "个|位|名(?!列|单)|次|只|条|张|本|台|辆|家|间|座|棵|颗|双|对|种|样|份|块|片|瓶|杯|碗|盒|包|箱|袋|层|栋|所|项|部(?!委)|首|支|枝|把|"
    "封|套|天|周(?!岁)|年(?!级|代|度|月)|点|小时|分钟|秒|米|公里|千米|厘米|毫米|千克|公斤|克(?!拉)|斤|吨|升|毫升|元|角|倍|岁|度|亩|公顷|"
    "平方|立方|千|万|亿|人(?!制)|口|头|匹|架|艘|场|届|门|节|道|根|句|段|篇|页|步|遍|趟|下|笔|批|组|队|排|株|粒|滴|例|起|则|枚|所|成|者"
)
"""Words before which two is 两, as an alternative of a regular expression."""
_NO_COUNT = "第月周初星期礼拜农历正腊"
"""Characters after which a number is not a count but a number in a row."""


def _any(words: object) -> str:
    """Alternatives of a regular expression, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))  # type: ignore[call-overload]


_MONEY = _any(CURRENCIES)
_CODE = _any(CURRENCY_CODES)
_UNITS = _any(UNITS)


def _amount(text: str, *, is_count: bool = True) -> str:
    """A number that may have a sign; a count of two is 两."""
    words = say.counted if is_count else say.number
    sign = {"-": "负", "+": "正", "±": "正负"}.get(text[0])
    return f"{sign}{words(text[1:].strip())}" if sign else words(text)


def _address(found: re.Match[str]) -> str:
    """An address of the web or of mail, read sign by sign."""
    names = {".": "点", "/": "斜杠", ":": "冒号", "@": "艾特", "-": "杠", "_": "下划线", "?": "问号", "=": "等于"}
    words = re.findall(r"\d+|[A-Za-z]+|[^\w\s]|_", found.group())
    said = (say.spelled_digits(w) if w.isdigit() else f" {w} " if w.isalpha() else names.get(w, " ") for w in words)
    return "".join(said)


def _date(found: re.Match[str]) -> str:
    year, month, day = found.group(1), found.group(2), found.group(3)
    return f"{say.spelled_digits(year)}年{say.quantity(month)}月" + (f"{say.quantity(day)}日" if day else "")


def _clock(found: re.Match[str]) -> str:
    """A time of day; a mark of the half of the day comes before it."""
    hour, minute, second, half = found.group(1, 2, 3, 4)
    words = {"a": "上午", "p": "下午"}.get((half or "").lower(), "")
    if re.search("(?:上午|下午|晚上|早上|凌晨|中午)$", found.string[: found.start()].rstrip()):
        words = ""
    words += ("两" if int(hour) == 2 else say.quantity(hour)) + "点"
    if int(minute) or second:
        words += ("零" if minute[0] == "0" else "") * bool(int(minute)) + f"{say.quantity(minute)}分"
    elif not half:
        words += "整"
    return words + (f"{say.quantity(second)}秒" if second else "")


def _telephone(found: re.Match[str]) -> str:
    return "，".join(say.spelled_digits(part) for part in re.findall(r"\d+", found.group()))


def _money_before(found: re.Match[str]) -> str:
    minus, sign, amount, scale = found.group(1, 2, 3, 4)
    names = CURRENCIES.get(sign) or CURRENCY_CODES[sign]
    unit = "" if found.string[found.end() :].startswith(names.chinese) else names.chinese
    return f"{'负' if minus else ''}{_price(amount)}{scale or ''}{unit}"


def _money_after(found: re.Match[str]) -> str:
    amount, scale, sign = found.group(1, 2, 3)
    return f"{_price(amount)}{scale or ''}{(CURRENCIES.get(sign) or CURRENCY_CODES[sign]).chinese}"


def _percent(found: re.Match[str]) -> str:
    sign = {"-": "负", "+": "正", "±": "正负"}.get(found.group(1) or "", "")
    whole = {"%": "百", "‰": "千", "‱": "万"}[found.group(3)]
    return f"{sign}{whole}分之{say.number(found.group(2))}"


def _percent_range(found: re.Match[str]) -> str:
    return f"百分之{_amount(found.group(1), is_count=False)}到百分之{_amount(found.group(2), is_count=False)}"


def _degrees(found: re.Match[str]) -> str:
    """A temperature below zero is 零下; degrees without a scale are those of an angle or of what the text says."""
    low, high, scale = found.group(1, 2, 3)
    unit = {"C": "摄氏度", "F": "华氏度", "K": "开尔文"}.get(scale or "", "度")
    parts = [_amount(part, is_count=False) for part in (low, high) if part]
    if scale:
        parts = [f"零下{part[1:]}" if part[0] == "负" else part for part in parts]
    return "到".join(parts) + unit


def _unit(found: re.Match[str]) -> str:
    """A number or a range with a unit, or with one unit per another."""
    low, high, symbol, per = found.group(1, 2, 3, 4)
    words = f"{_amount(low, is_count=not high)}{UNITS[symbol].chinese}"
    if high:
        words = f"{_amount(low, is_count=False)}到{_amount(high)}{UNITS[symbol].chinese}"
    return f"{words}每{UNITS[per].chinese}" if per else words


def _fraction(found: re.Match[str]) -> str:
    whole, top, bottom = found.group(1, 2, 3)
    return f"{say.number(whole) + '又' if whole else ''}{say.number(bottom)}分之{say.number(top)}"


def _sum(found: re.Match[str]) -> str:
    """A calculation whose result follows."""
    signs = {"-": "减", "–": "减", "+": "加", "×": "乘", "*": "乘", "÷": "除以", "/": "除以"}
    parts = re.findall(rf"{_NUM}|[-–+×÷*/]", found.group())
    return "".join(signs.get(part) or say.number(part) for part in parts)


def _power(found: re.Match[str]) -> str:
    exponent = found.group(1)
    return {"2": "平方", "3": "立方"}.get(exponent) or f"的{_amount(exponent, is_count=False)}次方"


def _price(amount: str) -> str:
    """An amount of money, without the zeros that end its decimals."""
    return _amount(re.sub(r"\.0+$|(?<=\.\d)0+$", "", amount))


def _year_range(found: re.Match[str]) -> str:
    return f"{say.spelled_digits(found.group(1))}到{say.spelled_digits(found.group(2))}"


def _range(found: re.Match[str]) -> str:
    """Two numbers with a dash; the second counts what follows."""
    return f"{say.number(found.group(1))}到{found.group(2)}"


def _with_letters(found: re.Match[str]) -> str:
    """Digits beside Latin letters, as in A100, B2B, COVID-19; the letters stay."""
    parts = re.findall(r"\d+(?:\.\d+)?|[A-Za-z]+", found.group())
    said = (say.coded(p) if p.isdigit() else say.number(p) if p[0].isdigit() else f" {p} " for p in parts)
    return "".join(said)


def _two(number: str) -> str:
    """A number whose first word is 两 before 千, 万 and 亿."""
    words = say.number(number)
    return "两" + words[1:] if words[:2] in ("二千", "二万", "二亿") else words


def _rule(pattern: str, words: Callable[[re.Match[str]], str] | str) -> Rule:
    if isinstance(words, str):
        template = words
        return re.compile(pattern), lambda found: found.expand(template)
    return re.compile(pattern), words


_NAMES: tuple[Rule, ...] = (
    *(_rule(re.escape(typed), sign) for typed, sign in {"<=": "≤", ">=": "≥", "!=": "≠", "+/-": "±"}.items()),
    _rule(rf"(?<=[{HAN}，。、；：])\s+(?=\d)|(?<=\d)\s+(?=[{HAN}，。、；：])", ""),
    _rule(r"(?:https?|ftp)://[A-Za-z\d./:@?=&%_#-]*[A-Za-z\d/]|\bwww\.[A-Za-z\d./?=&%_-]*[A-Za-z\d/]", _address),
    _rule(r"(?<![\w])[A-Za-z\d.+_-]+@(?:[A-Za-z\d-]+\.)+[A-Za-z]{2,}", _address),
    _rule(r"(?<![A-Za-z\d.])(?:[A-Za-z][A-Za-z\d-]*\.)+(?:com|org|net|edu|gov|io|cn|info|ai)(?![A-Za-z\d])", _address),
    _rule(rf"{_START}\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?!\d|\.\d)(?::\d+)?", _address),
)
_DATES: tuple[Rule, ...] = (
    _rule(r"(?<=\d)T(?=\d\d:\d\d)", " "),
    _rule(rf"{_START}(\d{{4}})年?{_DASH}(\d{{4}})(?=年)", _year_range),
    _rule(rf"{_START}(\d{{4}})[-/.]({_MONTHS})[-/.]({_DAYS})(?![\d-]|\.\d)[日号]?", _date),
    _rule(rf"{_START}((?:19|20)\d\d)[-/](0[1-9]|1[0-2])()(?![\d/-])", _date),
    _rule(rf"{_START}(1[1-9]\d{{2}}|2[01]\d{{2}}|0\d{{3}})(?=年(?!历史))", lambda f: say.spelled_digits(f[1])),
    _rule(rf"{_START}([5-9]\d|0\d)(?=年(?!代|[前后内来间以]|历史))", lambda f: say.spelled_digits(f[1])),
    _rule(rf"{_START}((?:19|20)\d\d){_DASH}((?:19|20)\d\d)(?![\d.-])", _year_range),
    _rule(rf"{_START}([05-9][05])(?=后)", lambda f: say.spelled_digits(f[1])),
    _rule(rf"{_START}((?:19|20)\d\d)[-/](\d\d)(?=赛季|财年|学年|年度)", _year_range),
    _rule(r"(?<=[年月日号时点分])\s?[-–—~～]\s?(?=\d)", "到"),
    _rule(rf"{_START}({_MONTHS})/({_DAYS})(?=[日号])", lambda f: f"{say.quantity(f[1])}月{say.quantity(f[2])}"),
    _rule(rf"{_START}({_MONTHS})月({_DAYS})(?=[日号])", lambda f: f"{say.quantity(f[1])}月{say.quantity(f[2])}"),
    _rule(
        rf"{_START}({_MONTHS}){_DASH}({_MONTHS})(?=月(?!球))", lambda f: f"{say.quantity(f[1])}到{say.quantity(f[2])}"
    ),
    _rule(rf"{_START}({_MONTHS})(?=月(?!球|饼))", lambda f: say.quantity(f[1])),
    _rule(rf"{_START}({_DAYS})(?=[日号])", lambda f: say.quantity(f[1])),
)
_CLOCK = r"([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])(?:\s?([AaPp])\.?[Mm]\.?)?"
_TIMES: tuple[Rule, ...] = (
    _rule(r"(?<=[比例胜败负以分])\s?(\d+):(\d+)(?![\d:])", lambda f: f"{say.number(f[1])}比{say.number(f[2])}"),
    _rule(rf"(?<=\d){_DASH}(?=\d{{1,2}}:\d\d(?!\d))", "到"),
    _rule(rf"(?<![A-Za-z\d:.,]){_CLOCK}", _clock),
    _rule(
        r"(?<![A-Za-z\d:])\d+(?:\.\d+)?(?::\d+(?:\.\d+)?)+(?![\d:])",
        lambda f: "比".join(map(say.number, f[0].split(":"))),
    ),
)
_TELEPHONES: tuple[Rule, ...] = (
    _rule(r"\+(?=(?:[\s()-]*\d){7})(\d{1,3}(?:[\s-]?\(?\d{2,11}\)?){1,5})(?![\d-])", lambda f: f"加{_telephone(f)}"),
    _rule(r"(?<![A-Za-z\d.,-])\(?0\d{2,3}\)?[-\s]?(?:\d{3,4}[-\s]\d{4}|\d{7,8})(?![\d-])", _telephone),
    _rule(r"(?<![A-Za-z\d.,-])0\d{2,3}-\d{5,6}(?![\d-])", _telephone),
    _rule(r"(?<![A-Za-z\d.,-])[148]\d{2}[-\s]\d{3,4}[-\s]\d{4}(?![\d-])", _telephone),
    _rule(r"(?<![A-Za-z\d.,-])\d+(?:-\d+){2,}(?![\d-]|\s?[=＝])", _telephone),
    _rule(r"(?<![A-Za-z\d.,-])1[3-9]\d{9}(?!\d)", _telephone),
    _rule(
        r"(电话|拨打|致电|热线|号码|[编账卡工学房单信]号|编码|代码|邮编|密码|尾号|车次|航班|QQ号?)([:：为是]?\s?)"
        r"(\d{3,}(?:[、和或]\d{3,})*)(?![\d.,])",
        lambda f: f[1] + f[2] + re.sub(r"\d", lambda digit: say.spelled_digits(digit[0]), f[3]),
    ),
    _rule(
        r"(?<=波音|空客)([a-zA-Z]?)(\d{3,4})(?:-(\d{3,4}))?(?!\d)",
        lambda f: f"{f[1]}{say.coded(f[2])}{say.coded(f[3]) if f[3] else ''}",
    ),
)
_VERSIONS: tuple[Rule, ...] = (
    _rule(rf"{_START}[vV](?=\d+\.\d)", "版本"),
    _rule(r"(?<=[\d)])\^\(?(-?\d+)\)?", _power),
    _rule(rf"{_START}\d+(?:\.\d+){{2,}}(?!\d)", lambda f: "点".join(map(say.number, f[0].split(".")))),
    _rule(r"(?<=版本)(\d+(?:\.\d+)+)", lambda f: "点".join(map(say.number, f[1].split(".")))),
)
_QUANTITIES: tuple[Rule, ...] = (
    _rule(rf"(?<=\d[万亿千百]){_DASH}(?=(?:{_MONEY})?\d)", "到"),
    _rule(
        rf"{_START}([-+±]?{_NUM})\s?({_UNITS})\s?[-–—~～]\s?(?=\d)", lambda f: f"{_amount(f[1])}{UNITS[f[2]].chinese}到"
    ),
    _rule(
        rf"({_MONEY})\s?({_NUM}){_DASH}(?:{_MONEY})?\s?({_NUM})({_SCALE})?",
        lambda f: f"{say.number(f[2])}到{_amount(f[3])}{f[4] or ''}{CURRENCIES[f[1]].chinese}",
    ),
    _rule(rf"(?<![A-Za-z])(-)?({_MONEY}|{_CODE})\s?([-+]?{_NUM})\s?({_SCALE})?", _money_before),
    _rule(rf"{_START}([-+±]?{_NUM})\s?({_SCALE})?\s?({_MONEY}|(?:{_CODE})(?![A-Za-z]))", _money_after),
    _rule(rf"{_START}([-+]?{_NUM})\s?%?{_DASH}([-+]?{_NUM})\s?%", _percent_range),
    _rule(rf"{_START}([-+±])?({_NUM})\s?([%‰‱])", _percent),
    _rule(rf"{_START}([-+±]?{_NUM})(?:\s?°\s?[CF]?)?{_DASH}([-+]?{_NUM})\s?°\s?([CFK](?![A-Za-z]))?", _degrees),
    _rule(rf"{_START}([-+±]?{_NUM})()\s?°\s?([CFK](?![A-Za-z]))?", _degrees),
    _rule(rf"{_START}([-+±]?{_NUM})(?:{_DASH}({_NUM}))?\s?({_UNITS})(?:/({_UNITS}))?(?![A-Za-z\d^])", _unit),
    _rule(
        rf"{_START}({_NUM})\s?[x×*]\s?(?=\d+(?:\.\d+)?\s?(?:[x×*]|像素|厘米|毫米|米))",
        lambda f: f"{say.number(f[1])}乘",
    ),
)
_NUMBERS: tuple[Rule, ...] = (
    _rule(rf"{_START}{_NUM}(?:\s?[-–+×÷*/]\s?{_NUM})+(?=\s?=)", _sum),
    _rule(rf"{_START}(\d+/\d+){_DASH}(?=\d+/\d+)", r"\1到"),
    _rule(rf"{_START}(?:(\d+)\s)?(\d+){FRACTION_SLASH}(\d+)", _fraction),
    _rule(rf"{_START}()(\d+)/(\d+)(?![\d/]|\.\d)", _fraction),
    _rule(r"\^\(?(-?\d+)\)?", _power),
    _rule(rf"(?:№|\b[Nn][Oo])\.?\s?({_NUM})", lambda f: f"第{say.number(f[1])}"),
    _rule(rf"#\s?({_NUM})", lambda f: f"{say.number(f[1])}号"),
    _rule(rf"(?<=[{_NO_COUNT}])({_NUM}){_DASH}({_NUM})", lambda f: f"{say.number(f[1])}到{say.number(f[2])}"),
    _rule(rf"(?<=[{_NO_COUNT}])({_NUM})", lambda f: say.number(f[1])),
    _rule(rf"{_START}({_NUM}){_DASH}(?=({_NUM})(?![A-Za-z\d-]))", lambda f: f"{say.number(f[1])}到"),
    _rule(r"(?<![\w)])([-–+±])\s?(?=\d)", lambda f: {"+": "加", "±": "正负"}.get(f[1], "负")),
    _rule(rf"(?<=[{HAN}])[-–](?=\d+(?:\.\d+)?(?![\d-]))", "负"),
    _rule(r"(?<=[=<>×÷+*/≥≤≈≠])\s?[-–]\s?(?=\d)", "负"),
    _rule(r"(?<=\d)\s?\*\s?(?=\d)", "乘"),
    _rule(rf"(?<![\d{HAN}A-Za-z)])[~～≈]\s?(?=\d)|(?<=[{HAN}])[~～≈]\s?(?=\d)", "约"),
    _rule(
        r"[A-Za-z]+-?\d+(?:\.\d+)?(?:-?(?:[A-Za-z]+|\d+))*|(?<![\d.,])\d+(?:\.\d+)?[A-Za-z]+(?:-?\d+)*", _with_letters
    ),
    _rule(rf"{_START}2(?={_MEASURES})", "两"),
    _rule(r"(?<![A-Za-z\d.,])[1-9]\d{2}(?=(?:客机|飞机|航班|次列车|路公交))", lambda f: say.coded(f[0])),
    _rule(_NUM, lambda f: _two(f[0])),
)
_SIGN_RULES: tuple[Rule, ...] = (
    _rule(
        rf"(?<![A-Za-z])({_UNITS})/({_UNITS})(?![A-Za-z])", lambda f: f"{UNITS[f[1]].chinese}每{UNITS[f[2]].chinese}"
    ),
    _rule(
        r"(?<=[元币镑里米克吨升斤节个次人度])/(?=(?:小时|分钟|秒|分|天|日|周|月|季|年|人|次|个|件|平方|立方|公斤|吨|升|斤|亩|股))",
        "每",
    ),
    _rule(rf"(?<=[{HAN}])/(?=[{HAN}])", "、"),
    _rule(rf"(?<=[{HAN}])[-–](?=[{HAN}])", "到"),
    _rule(r"\s?[-=]>\s?", "到"),
    _rule(r"(?<=[A-Za-z])\+\+", "加加"),
    _rule(r"(?<=\w)_+(?=\w)", " "),
)


def spell_chinese(text: str) -> tuple[str, list[str]]:
    """Numbers and signs of a line of Chinese text in Chinese words; Latin letters stay.

    Returns:
        The text without digits, and the signs that have no word, which it lacks.
    """
    for rules in (_NAMES, _DATES, _TIMES, _TELEPHONES, _VERSIONS, _QUANTITIES, _NUMBERS, _SIGN_RULES):
        for pattern, words in rules:
            text = pattern.sub(words, text)
    return name_signs(text, CHINESE)
