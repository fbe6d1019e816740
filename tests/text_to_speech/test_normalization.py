"""Numbers and signs in words: each text against how a speaker reads it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkinghead.text_to_speech.normalization.characters import FRACTION_SLASH, usual_characters
from talkinghead.text_to_speech.normalization.chinese_numbers import quantity
from talkinghead.text_to_speech.normalization.normalize import normalize
from talkinghead.text_to_speech.normalization.say_as import say_as

CHINESE = [
    ("２０２６年１月５日，气温－５℃。", "二零二六年一月五日，气温零下五摄氏度。"),
    ("１００％", "百分之一百"),
    ("5×3=15", "五乘三等于十五"),
    ("￥100", "一百元"),
    ("1/2", "二分之一"),
    ("10%~20%", "百分之十到百分之二十"),
    ("第①名", "第一名"),
    ("2025-09-28", "二零二五年九月二十八日"),
    ("3:30", "三点三十分"),
    ("2个人", "两个人"),
    ("12个人，第2个，2月2日", "十二个人，第二个，二月二日"),
    ("2026年增长3.14%，共1,200人", "二零二六年增长百分之三点一四，共一千二百人"),
    ("电话13812345678，特工007", "电话一三八一二三四五六七八，特工零零七"),
    ("请拨打010-12345678", "请拨打零一零，一二三四五六七八"),
    ("版本1.2.3", "版本一点二点三"),
    ("192.168.0.1", "一九二点一六八点零点一"),
    ("车速100km/h", "车速一百公里每小时"),
    ("5元/斤", "五元每斤"),
    ("5-10人", "五到十人"),
    ("比分2:1，16:9", "比分二比一，十六比九"),
    ("≥5，≈3，√2", "大于等于五，约三，根号二"),
    ("½杯，1½小时", "二分之一杯，一又二分之一小时"),
    ("$5.5，100€，￥1.5万，-￥5", "五点五美元，一百欧元，一点五万元，负五元"),
    ("-5~3℃，37.5℃", "零下五到三摄氏度，三十七点五摄氏度"),
    ("1998-2001年，90年代，3000年历史", "一九九八到二零零一年，九十年代，三千年历史"),
    ("2万，2千米，2亿", "两万，两千米，两亿"),
    ("12:05到24:00", "十二点零五分到二十四点整"),
    ("10㎡，3×10⁸m/s", "十平方米，三乘十的八次方米每秒"),
    ("1000000000元", "十亿元"),
    ("-0.5%，+3.2%", "负百分之零点五，正百分之三点二"),
    ("10-5=5", "十减五等于五"),
    ("3月8日—10日", "三月八日到十日"),
    ("Ⅳ级，№5", "四级，第五"),
    ("¥1.5亿～2亿，50Hz~20kHz", "一点五亿元到两亿，五十赫兹到二十千赫兹"),
    ("90后，16GB+512GB", "九零后，十六吉字节加五百一十二吉字节"),
    ("QQ：12345，拨打110、120", "QQ：一二三四五，拨打一一零、一二零"),
    ("男/女，北京-上海", "男、女，北京到上海"),
]
ENGLISH = [
    ("It costs 5€.", "It costs five euros."),
    ("5℃", "five degrees Celsius"),
    ("≈3", "approximately three"),
    ("≥5", "greater than or equal to five"),
    ("√2", "the square root of two"),
    ("$5.50, $1, £1.56", "five dollars and fifty cents, one dollar, one pound and fifty-six pence"),
    ("US$3bn, $5-10, -$20, €10-€20", "three billion U.S. dollars, five to ten dollars, minus twenty dollars, "
     "ten to twenty euros"),
    ("1/2, 3/4, 1½ cups, 24/7", "one half, three quarters, one and a half cups, twenty-four seven"),
    ("10%-20%, 10–20%, 0.1‰", "ten percent to twenty percent, ten to twenty percent, zero point one per thousand"),
    ("2025-09-28", "September twenty-eighth, twenty twenty-five"),
    ("9/28/2025 and 28.09.2025", "September twenty-eighth, twenty twenty-five and September twenty-eighth, "
     "twenty twenty-five"),
    ("Jan. 5, 2026", "January fifth, twenty twenty-six"),
    ("3:30 pm, 15:00, 9am-5pm", "three thirty P.M., fifteen o'clock, nine A.M. to five P.M."),
    ("555-123-4567", "five five five, one two three, four five six seven"),
    ("+44 20 7946 0958", "plus four four, two zero, seven nine four six, zero nine five eight"),
    ("v1.2.3", "version one point two point three"),
    ("192.168.0.1", "one nine two dot one six eight dot zero dot one"),
    ("100 km/h, 3 m², 1 kg", "one hundred kilometers per hour, three square meters, one kilogram"),
    ("−5, +3, ±2", "minus five, plus three, plus or minus two"),
    ("in 1905, 1990s, the '80s", "in nineteen oh five, nineteen nineties, the eighties"),
    ("1990-1995", "nineteen ninety to nineteen ninety-five"),
    ("21st, 102nd", "twenty-first, one hundred second"),
    ("5×3=15, 10-5=5", "five times three equals fifteen, ten minus five equals five"),
    ("COVID-19, B2B, GPT-4", "COVID nineteen, B two B, GPT four"),
    ("16:9", "sixteen to nine"),
    ("#5, No. 5, AT&T", "number five, number five, AT and T"),
    ("x², 10⁻⁶", "x squared, ten to the power of minus six"),
    ("1,000,000 and .5 and 007", "one million and zero point five and zero zero seven"),
    ("a.b@c.org", "a dot b at c dot org"),
    ("1920×1080", "nineteen twenty by ten eighty"),
    ("π≈3.14", "pi approximately three point one four"),
    ("[[Main Page]]", "((Main Page))"),
    ("１２３ ①", "one hundred twenty-three one"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), CHINESE)
def test_chinese(text: str, words: str) -> None:
    assert normalize(text, "zh-CN").text == words


@pytest.mark.parametrize(("text", "words"), ENGLISH)
def test_english(text: str, words: str) -> None:
    assert normalize(text, "en-US").text == words


def test_letters_beside_chinese_keep_their_names() -> None:
    said = normalize("A100和iPhone15", "cmn").text
    assert said.split() == ["A", "一百和", "iPhone", "十五"]


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_signs_without_a_word_are_reported(language: str) -> None:
    found = normalize("A🎬B 👍🏽 ===", language)
    assert sorted(found.unsaid) == sorted(["🎬", "👍🏽", "==="])
    assert not set(found.text) & set("🎬👍🏽=")


@pytest.mark.parametrize("language", ["en-GB", "zh-TW"])
@given(st.text(st.sampled_from("0123456789１²½①٣.,:/-–~%€$¥℃°×=+#kmGBT年月个第 aA√≥()'\"^&@")))
@settings(max_examples=400, deadline=None)
def test_no_digit_and_no_sign_is_left(language: str, text: str) -> None:
    found = normalize(text, language)
    assert not any(character.isdigit() for character in found.text), found.text
    assert not set(found.text) & set("%€$¥°×=+#√≥^&@")


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
@given(st.text(st.sampled_from("0123456789.,:/-%€$ "), min_size=1))
@settings(max_examples=300, deadline=None)
def test_every_digit_is_said_or_makes_a_word(language: str, text: str) -> None:
    """Digits never disappear: where there is one, there are words."""
    if any(map(str.isdigit, text)):
        assert any(map(str.isalpha, normalize(text, language).text))


@pytest.mark.parametrize("language", ["en-US", "zh-CN", "de"])
@given(
    st.lists(
        st.one_of(
            st.text(max_size=8),
            st.integers(0, 10**50).map(str),
            st.sampled_from(
                [*"-/:.,%°x×~–+€$^", "st", "km/h", "January ", " pm", "年", "月", "'s", FRACTION_SLASH, "0", "99"]
            ),
        ),
        max_size=12,
    ).map("".join)
)
@settings(max_examples=400, deadline=None)
def test_every_text_has_a_reading(language: str, text: str) -> None:
    found = normalize(text, language)
    assert found.text == " ".join(found.text.split())
    if language != "de":
        assert not any(map(str.isdecimal, found.text))


def test_the_examples_of_the_documentation() -> None:
    document = Path(__file__).parents[2] / "docs" / "text_to_speech.md"
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", document.read_text("utf-8"), re.MULTILINE)
    assert len(rows) >= 8
    for written, english, chinese in rows:
        assert [normalize(written, language).text for language in ("en", "zh")] == [english, chinese]


@pytest.mark.parametrize(("text", "usual"), [("１，２００", "1,200"), ("5，100", "5，100"), ("ﬁn 🅰 10²", "fin 🅰 10^2")])
def test_usual_characters(text: str, usual: str) -> None:
    assert usual_characters(text) == usual


def test_other_languages_keep_their_numbers() -> None:
    text = "Ａm ３. Mai −5 ℃: ½ m², ① 1\u202f000 ￥ [[x]]"
    assert normalize(text, "de").text == "Am 3. Mai −5 °C: ½ m², 1 1 000 ¥ ((x))"


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("0", "零"),
        ("10", "十"),
        ("15", "十五"),
        ("105", "一百零五"),
        ("1050", "一千零五十"),
        ("10500", "一万零五百"),
        ("100500", "十万零五百"),
        ("12345678", "一千二百三十四万五千六百七十八"),
        ("100050000", "一亿零五万"),
        ("2000000300000", "二万亿零三十万"),
        ("1" * 17, "一" * 17),
    ],
)
def test_chinese_quantities(digits: str, words: str) -> None:
    assert quantity(digits) == words


@pytest.mark.parametrize(
    ("text", "kind", "detail", "language", "said"),
    [
        ("AB1", "characters", "", "en-US", "ay B one"),
        ("2026", "digits", "", "zh-CN", "二零二六"),
        ("1999", "cardinal", "", "en-US", "one thousand nine hundred ninety-nine"),
        ("3", "ordinal", "", "zh-CN", "第三"),
        ("3", "ordinal", "", "en-US", "third"),
        ("5/6/2026", "date", "dmy", "en-US", "2026-06-05"),
        ("123-456", "telephone", "", "en-US", "one two three, four five six"),
        ("x", "cardinal", "", "en-US", None),
        ("x", "nonsense", "", "en-US", None),
    ],
)
def test_say_as(text: str, kind: str, detail: str, language: str, said: str | None) -> None:
    assert say_as(text, kind, detail, language) == said
