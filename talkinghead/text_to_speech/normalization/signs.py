"""Words for signs, currencies and units, in English and in Chinese."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple


class Names(NamedTuple):
    """How a currency or a unit is said."""

    one: str
    """English, of the amount 1."""
    many: str
    """English, of any other amount."""
    chinese: str


CURRENCIES = {
    "$": Names("dollar", "dollars", "美元"),
    "US$": Names("U.S. dollar", "U.S. dollars", "美元"),
    "A$": Names("Australian dollar", "Australian dollars", "澳元"),
    "C$": Names("Canadian dollar", "Canadian dollars", "加元"),
    "HK$": Names("Hong Kong dollar", "Hong Kong dollars", "港元"),
    "NT$": Names("New Taiwan dollar", "New Taiwan dollars", "新台币"),
    "S$": Names("Singapore dollar", "Singapore dollars", "新加坡元"),
    "R$": Names("real", "reais", "雷亚尔"),
    "€": Names("euro", "euros", "欧元"),
    "£": Names("pound", "pounds", "英镑"),
    "¥": Names("yen", "yen", "元"),
    "CN¥": Names("yuan", "yuan", "元"),
    "JP¥": Names("yen", "yen", "日元"),
    "₩": Names("won", "won", "韩元"),
    "₹": Names("rupee", "rupees", "卢比"),
    "₽": Names("ruble", "rubles", "卢布"),
    "₺": Names("lira", "lira", "里拉"),
    "₴": Names("hryvnia", "hryvnias", "格里夫纳"),
    "₫": Names("dong", "dong", "越南盾"),
    "฿": Names("baht", "baht", "泰铢"),
    "₪": Names("shekel", "shekels", "谢克尔"),
    "₱": Names("peso", "pesos", "比索"),
    "₦": Names("naira", "naira", "奈拉"),
    "₿": Names("bitcoin", "bitcoins", "比特币"),
    "₸": Names("tenge", "tenge", "坚戈"),
    "₾": Names("lari", "lari", "拉里"),
    "₼": Names("manat", "manat", "马纳特"),
    "¢": Names("cent", "cents", "美分"),
}
"""Sign of a currency -> its names."""
CURRENCY_CODES = {
    "USD": Names("U.S. dollar", "U.S. dollars", "美元"),
    "EUR": CURRENCIES["€"],
    "GBP": CURRENCIES["£"],
    "JPY": CURRENCIES["JP¥"],
    "CNY": CURRENCIES["CN¥"],
    "RMB": Names("yuan", "yuan", "元人民币"),
    "HKD": CURRENCIES["HK$"],
    "TWD": CURRENCIES["NT$"],
    "AUD": CURRENCIES["A$"],
    "CAD": CURRENCIES["C$"],
    "SGD": CURRENCIES["S$"],
    "CHF": Names("Swiss franc", "Swiss francs", "瑞士法郎"),
    "INR": Names("Indian rupee", "Indian rupees", "印度卢比"),
    "KRW": CURRENCIES["₩"],
    "RUB": CURRENCIES["₽"],
    "BTC": CURRENCIES["₿"],
}
"""Code of a currency (ISO 4217, and two that are as common) -> its names."""
CENTS = {"$": ("cent", "cents"), "€": ("cent", "cents"), "£": ("penny", "pence")}
"""Last character of a currency's sign -> its hundredth part, in English."""

UNITS = {
    "km": Names("kilometer", "kilometers", "公里"),
    "m": Names("meter", "meters", "米"),
    "dm": Names("decimeter", "decimeters", "分米"),
    "cm": Names("centimeter", "centimeters", "厘米"),
    "mm": Names("millimeter", "millimeters", "毫米"),
    "μm": Names("micrometer", "micrometers", "微米"),
    "um": Names("micrometer", "micrometers", "微米"),
    "nm": Names("nanometer", "nanometers", "纳米"),
    "km^2": Names("square kilometer", "square kilometers", "平方公里"),
    "m^2": Names("square meter", "square meters", "平方米"),
    "cm^2": Names("square centimeter", "square centimeters", "平方厘米"),
    "mm^2": Names("square millimeter", "square millimeters", "平方毫米"),
    "m^3": Names("cubic meter", "cubic meters", "立方米"),
    "cm^3": Names("cubic centimeter", "cubic centimeters", "立方厘米"),
    "km2": Names("square kilometer", "square kilometers", "平方公里"),
    "m2": Names("square meter", "square meters", "平方米"),
    "cm2": Names("square centimeter", "square centimeters", "平方厘米"),
    "m3": Names("cubic meter", "cubic meters", "立方米"),
    "cm3": Names("cubic centimeter", "cubic centimeters", "立方厘米"),
    "ha": Names("hectare", "hectares", "公顷"),
    "kg": Names("kilogram", "kilograms", "公斤"),
    "g": Names("gram", "grams", "克"),
    "mg": Names("milligram", "milligrams", "毫克"),
    "μg": Names("microgram", "micrograms", "微克"),
    "ug": Names("microgram", "micrograms", "微克"),
    "t": Names("ton", "tons", "吨"),
    "L": Names("liter", "liters", "升"),
    "l": Names("liter", "liters", "升"),
    "dL": Names("deciliter", "deciliters", "分升"),
    "dl": Names("deciliter", "deciliters", "分升"),
    "ml": Names("milliliter", "milliliters", "毫升"),
    "mL": Names("milliliter", "milliliters", "毫升"),
    "h": Names("hour", "hours", "小时"),
    "hr": Names("hour", "hours", "小时"),
    "hrs": Names("hour", "hours", "小时"),
    "min": Names("minute", "minutes", "分钟"),
    "mins": Names("minute", "minutes", "分钟"),
    "s": Names("second", "seconds", "秒"),
    "sec": Names("second", "seconds", "秒"),
    "ms": Names("millisecond", "milliseconds", "毫秒"),
    "μs": Names("microsecond", "microseconds", "微秒"),
    "ns": Names("nanosecond", "nanoseconds", "纳秒"),
    "Hz": Names("hertz", "hertz", "赫兹"),
    "kHz": Names("kilohertz", "kilohertz", "千赫兹"),
    "MHz": Names("megahertz", "megahertz", "兆赫兹"),
    "GHz": Names("gigahertz", "gigahertz", "吉赫兹"),
    "W": Names("watt", "watts", "瓦"),
    "kW": Names("kilowatt", "kilowatts", "千瓦"),
    "MW": Names("megawatt", "megawatts", "兆瓦"),
    "GW": Names("gigawatt", "gigawatts", "吉瓦"),
    "kWh": Names("kilowatt hour", "kilowatt hours", "千瓦时"),
    "MWh": Names("megawatt hour", "megawatt hours", "兆瓦时"),
    "V": Names("volt", "volts", "伏"),
    "kV": Names("kilovolt", "kilovolts", "千伏"),
    "mV": Names("millivolt", "millivolts", "毫伏"),
    "mA": Names("milliampere", "milliamperes", "毫安"),
    "Ah": Names("ampere hour", "ampere hours", "安时"),
    "mAh": Names("milliampere hour", "milliampere hours", "毫安时"),
    "Ω": Names("ohm", "ohms", "欧姆"),
    "kΩ": Names("kiloohm", "kiloohms", "千欧"),
    "J": Names("joule", "joules", "焦耳"),
    "kJ": Names("kilojoule", "kilojoules", "千焦"),
    "cal": Names("calorie", "calories", "卡"),
    "kcal": Names("kilocalorie", "kilocalories", "千卡"),
    "N": Names("newton", "newtons", "牛"),
    "Pa": Names("pascal", "pascals", "帕"),
    "hPa": Names("hectopascal", "hectopascals", "百帕"),
    "kPa": Names("kilopascal", "kilopascals", "千帕"),
    "MPa": Names("megapascal", "megapascals", "兆帕"),
    "bar": Names("bar", "bars", "巴"),
    "psi": Names("pound per square inch", "pounds per square inch", "磅每平方英寸"),
    "mmHg": Names("millimeter of mercury", "millimeters of mercury", "毫米汞柱"),
    "dB": Names("decibel", "decibels", "分贝"),
    "lm": Names("lumen", "lumens", "流明"),
    "mol": Names("mole", "moles", "摩尔"),
    "px": Names("pixel", "pixels", "像素"),
    "fps": Names("frame per second", "frames per second", "帧每秒"),
    "rpm": Names("revolution per minute", "revolutions per minute", "转每分"),
    "m/s^2": Names("meter per second squared", "meters per second squared", "米每二次方秒"),
    "mpg": Names("mile per gallon", "miles per gallon", "英里每加仑"),
    "mph": Names("mile per hour", "miles per hour", "英里每小时"),
    "kph": Names("kilometer per hour", "kilometers per hour", "公里每小时"),
    "kmh": Names("kilometer per hour", "kilometers per hour", "公里每小时"),
    "mi": Names("mile", "miles", "英里"),
    "yd": Names("yard", "yards", "码"),
    "ft": Names("foot", "feet", "英尺"),
    "in": Names("inch", "inches", "英寸"),
    "lb": Names("pound", "pounds", "磅"),
    "lbs": Names("pound", "pounds", "磅"),
    "oz": Names("ounce", "ounces", "盎司"),
    "ppm": Names("part per million", "parts per million", "百万分率"),
    "KB": Names("kilobyte", "kilobytes", "千字节"),
    "kB": Names("kilobyte", "kilobytes", "千字节"),
    "MB": Names("megabyte", "megabytes", "兆字节"),
    "GB": Names("gigabyte", "gigabytes", "吉字节"),
    "TB": Names("terabyte", "terabytes", "太字节"),
    "kbps": Names("kilobit per second", "kilobits per second", "千比特每秒"),
    "Mbps": Names("megabit per second", "megabits per second", "兆比特每秒"),
    "Gbps": Names("gigabit per second", "gigabits per second", "吉比特每秒"),
}
"""Symbol of a unit -> its names."""
WORDS_TOO = frozenset(["in", "bar", "h", "s", "t", "l", "N", "J"])
"""Units whose symbols also are words or letters: they are units only right behind a number, or under a slash."""

SIGNS = {
    "=": ("equals", "等于"), "≠": ("does not equal", "不等于"), "≡": ("is identical to", "恒等于"),
    "≈": ("approximately", "约等于"), "≅": ("approximately", "约等于"), "≃": ("approximately", "约等于"),
    "≤": ("less than or equal to", "小于等于"), "≦": ("less than or equal to", "小于等于"),
    "⩽": ("less than or equal to", "小于等于"), "≥": ("greater than or equal to", "大于等于"),
    "≧": ("greater than or equal to", "大于等于"), "⩾": ("greater than or equal to", "大于等于"),
    "<": ("less than", "小于"), ">": ("greater than", "大于"), "≪": ("much less than", "远小于"),
    "≫": ("much greater than", "远大于"), "+": ("plus", "加"), "±": ("plus or minus", "正负"),
    "∓": ("minus or plus", "负正"), "×": ("times", "乘"), "÷": ("divided by", "除以"),
    "√": ("the square root of", "根号"), "∛": ("the cube root of", "三次根号"), "∞": ("infinity", "无穷大"),
    "∝": ("is proportional to", "正比于"), "∫": ("the integral of", "积分"), "∂": ("partial", "偏"),
    "∇": ("nabla", "梯度"), "∈": ("is an element of", "属于"), "∉": ("is not an element of", "不属于"),
    "⊂": ("is a subset of", "包含于"), "⊆": ("is a subset of", "包含于"), "∪": ("union", "并"),
    "∩": ("intersection", "交"), "∅": ("the empty set", "空集"), "∀": ("for all", "任意"),
    "∃": ("there exists", "存在"), "∴": ("therefore", "所以"), "∵": ("because", "因为"), "¬": ("not", "非"),
    "∠": ("angle", "角"), "⊥": ("perpendicular to", "垂直于"), "∥": ("parallel to", "平行于"),
    "→": ("to", "到"), "⇒": ("implies", "推出"), "←": ("from", "来自"), "↔": ("and back", "双向"),
    "↑": ("up", "上升"), "↓": ("down", "下降"), "%": ("percent", "百分之"), "‰": ("per thousand", "千分之"),
    "‱": ("per ten thousand", "万分之"), "&": ("and", "和"), "@": ("at", "艾特"), "#": ("hash", "井号"),
    "°": ("degrees", "度"), "′": ("minutes", "分"), "″": ("seconds", "秒"), "§": ("section", "节"),
    "¶": ("paragraph", "段"), "№": ("number", "第"), "©": ("copyright", "版权"), "®": ("registered", "注册商标"),
    "™": ("trademark", "商标"), "℠": ("service mark", "服务标志"), "^": ("to the power of", "的次方"),
    "♂": ("male", "雄"), "♀": ("female", "雌"), "♭": ("flat", "降"), "♯": ("sharp", "升"),
    "✓": ("check", "对"), "✔": ("check", "对"), "✗": ("cross", "错"), "✘": ("cross", "错"),
    "☑": ("check", "对"), "✅": ("check", "对"), "❌": ("cross", "错"), "\\": ("backslash", "反斜杠"),
}  # fmt: skip
"""Sign -> its word in English and in Chinese, where no rule for its surroundings applies."""

GREEK = {
    "Α": "alpha", "Β": "beta", "Γ": "gamma", "Δ": "delta", "Ε": "epsilon", "Ζ": "zeta", "Η": "eta", "Θ": "theta",
    "Ι": "iota", "Κ": "kappa", "Λ": "lambda", "Μ": "mu", "Ν": "nu", "Ξ": "xi", "Ο": "omicron", "Π": "pi", "Ρ": "rho",
    "Σ": "sigma", "Τ": "tau", "Υ": "upsilon", "Φ": "phi", "Χ": "chi", "Ψ": "psi", "Ω": "omega",
}  # fmt: skip
"""Capital Greek letter -> its name."""

ENGLISH, CHINESE = 0, 1
"""Index of a language's word in `SIGNS`."""
_SILENT = frozenset("|`~^*_/†‡•·¨´¯˙")
"""Signs that set apart or decorate what is said, and are not said themselves."""
_MODIFIERS = frozenset(["\ufe0e", "\ufe0f", "\u20e3", *map(chr, range(0x1F3FB, 0x1F400))])
"""Characters that change how the one before them looks."""
_ROW = re.compile(r"([^\w\s.!?…。！？，,'\"()—–-])\1{2,}")
"""A sign three times or more: a rule or an ornament."""


def name_signs(text: str, language: int) -> tuple[str, list[str]]:
    """Replace signs by their words.

    Args:
        text: a line of text.
        language: `ENGLISH` or `CHINESE`.

    Returns:
        The text without signs, and those that have no word, each row of them as one.
    """
    unsaid: list[str] = []

    def left_out(found: re.Match[str]) -> str:
        unsaid.append(found.group())
        return " "

    text = _ROW.sub(left_out, text)
    named: list[str] = []
    row = ""
    for index, character in enumerate(text):
        word = _word(character, text[index - 1 : index], text[index + 1 : index + 2], language)
        if word is None and character in _MODIFIERS:
            row += character * bool(row)
            continue
        if word is None:
            row += character
            continue
        if row:
            unsaid.append(row)
            named.append(" ")
            row = ""
        named.append(word)
    if row:
        unsaid.append(row)
    return re.sub(r" +(?=[,.;:!?，。；：！？)])", "", " ".join("".join(named).split())), unsaid


def _word(character: str, before: str, after: str, language: int) -> str | None:
    """What stands for a character between two others; None if nothing does."""
    if is_mark(character):
        return character
    if character in SIGNS:
        return _apart(SIGNS[character][language], language)
    if character in _MODIFIERS:
        return None
    if character in _SILENT:
        return " "
    if is_greek(character):
        if character == "π" and language == CHINESE:
            return "派"
        alone = not (is_greek(before) or is_greek(after))
        return f" {GREEK.get(character.upper(), character)} " if alone else character
    category = unicodedata.category(character)
    if category == "Sc":
        names = CURRENCIES.get(character)
        own = unicodedata.name(character).removesuffix(" SIGN").lower()
        return _apart(names.chinese, language) if names and language == CHINESE else f" {names.many if names else own} "
    if category == "Sm" and language == ENGLISH:
        return f" {unicodedata.name(character).removesuffix(' SIGN').lower().replace('-', ' ')} "
    if category in ("Sm", "So", "No", "Nl", "Co", "Cn"):
        return None
    return " " if category in ("Sk", "Me") else character


def is_mark(character: str) -> bool:
    """Whether a character is of the private plane whose characters stand for words with given phones (see `phones`)."""
    return "\U000f0000" <= character <= "\U000ffffd"


def _apart(word: str, language: int) -> str:
    """A word between spaces, where the language has some."""
    return f" {word} " if language == ENGLISH else word


def is_greek(character: str) -> bool:
    """Whether a character is a letter of Greek without accents; the empty text is none."""
    return bool(character) and (character.upper() in GREEK or character == "ς")
