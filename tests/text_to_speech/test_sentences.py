"""Cutting text into sentences, and Chinese text into phonemes."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkinghead.text_to_speech.breaks import Break
from talkinghead.text_to_speech.chinese import FINALS, INITIALS, chinese_phonemes, syllable
from talkinghead.text_to_speech.sentences import MAX_WEIGHT, split_text

WORDS = st.sampled_from([
    *("Dr.", "3.14", "U.S.", "e.g.", "word", "Word", "No.", "5", "end.", "Really?!", "他说：", "好的。", "“", "”", ","),
    *("—", "🎬", "...", "…", "a.m.", "x" * 400, "\x00", "\u200b", "\n", "\n\n", "\r\n", "\t", "1,000", "'tis"),
])  # fmt: skip


def chunks(text: str) -> list[str]:
    return [chunk.text for chunk in split_text(text)]


def visible(text: str) -> str:
    return "".join(
        character
        for character in text
        if not character.isspace() and unicodedata.category(character) not in ("Cc", "Cf", "Cs")
    )


@given(st.one_of(st.text(), st.lists(WORDS, max_size=60).map(" ".join), st.lists(WORDS, max_size=60).map("".join)))
@settings(max_examples=300, deadline=None)
def test_no_text_is_lost(text: str) -> None:
    found = chunks(text)
    assert visible("".join(found)) == visible(text)
    assert all(chunk == " ".join(chunk.split()) and 0 < len(chunk) <= MAX_WEIGHT for chunk in found)


@given(st.lists(WORDS.filter(lambda word: len(word) < MAX_WEIGHT and visible(word) == word), max_size=60))
def test_every_word_arrives_whole(words: list[str]) -> None:
    assert " ".join(chunks(" ".join(words))).split() == words


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith met J. K. Rowling. They left.", ["Dr. Smith met J. K. Rowling.", "They left."]),
        ("It costs $3.14 at 5 p.m. sharp. Yes.", ["It costs $3.14 at 5 p.m. sharp.", "Yes."]),
        ("The U.S. Senate met. Good.", ["The U.S. Senate met.", "Good."]),
        ("No. 5 is No. I know.", ["No. 5 is No.", "I know."]),
        ("See you on Jan. 5. It was in 2024. Bye.", ["See you on Jan. 5.", "It was in 2024.", "Bye."]),
        ("1. First. 2. Second.", ["1. First.", "2. Second."]),
        ('"Stop!" he said. "Why?" she asked.', ['"Stop!" he said.', '"Why?" she asked.']),
        ("Wait... what? Well... All right.", ["Wait... what?", "Well...", "All right."]),
        ("Mail a.b@c.org or www.c.org/x.html now.", ["Mail a.b@c.org or www.c.org/x.html now."]),
        ("今天很好。我们走吧！他说：“好的。”然后呢？", ["今天很好。", "我们走吧！", "他说：“好的。”", "然后呢？"]),
        ("还有……没了", ["还有……", "没了"]),
        ("a broken\nline. And\r\nanother.", ["a broken line.", "And another."]),
        ("", []),
        (" \n\t\x00\u200b\ufeff ", []),
        ("\ud800half", ["half"]),
        ("🎬", ["🎬"]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert chunks(text) == sentences


def test_a_blank_line_ends_a_paragraph() -> None:
    ends = [chunk.ends for chunk in split_text("One. Two.\n \nThree.")]
    assert ends == [Break.SENTENCE, Break.PARAGRAPH, Break.PARAGRAPH]


def test_a_long_sentence_is_cut_at_clauses_else_at_spaces_else_anywhere() -> None:
    clauses = list(split_text("this is one clause of many, " * 30 + "and the end."))
    assert len(clauses) > 1 and all(chunk.text.endswith(",") and chunk.ends == Break.CLAUSE for chunk in clauses[:-1])
    assert all(set(chunk.split()) == {"word"} for chunk in chunks("word " * 500))
    assert [len(chunk) for chunk in chunks("x" * 1000)] == [300, 300, 300, 100]
    assert [len(chunk) for chunk in chunks("一" * 150)] == [60, 60, 30]


@pytest.mark.parametrize("unit", ["A short sentence. ", "x", ".", "...!? ", '"', "。", "\n \n", "a,", "9"])
def test_time_is_linear_in_the_length(unit: str) -> None:
    def seconds(repeats: int) -> float:
        started = time.process_time()
        for _ in split_text(unit * repeats):
            pass
        return time.process_time() - started

    assert seconds(40_000) < 20 * seconds(4_000) + 0.2


@pytest.mark.parametrize(
    ("initial", "final", "ipa"),
    [
        ("zh", "ong1", "ꭧʊ→ŋ"),
        ("sh", "i4", "ʂɨ↘"),
        ("q", "v4", "ʨʰy↘"),
        ("", "uo3", "wo↓"),
        ("m", "en5", "mən"),
        ("", "x", ""),
    ],
)
def test_pinyin_to_ipa(initial: str, final: str, ipa: str) -> None:
    assert syllable(initial, final) == ipa


def test_chinese_phonemes() -> None:
    pytest.importorskip("pypinyin", reason="the extra kokoro is not installed")
    assert chinese_phonemes("你好，我用AI。", str.lower) == "ni↗xau↓, wo↓jʊ↘ŋ ai."
    assert chinese_phonemes("银行不对", str) == "i↗nxa↗ŋpu↗twei↘"  # 行 as háng, 不 as bú
    assert chinese_phonemes("嗯", str) == "n↗"


def test_every_common_syllable_has_phonemes() -> None:
    pinyin = pytest.importorskip("pypinyin", reason="the extra kokoro is not installed")
    characters = "".join(map(chr, range(0x4E00, 0x9FA6)))
    readings = [
        pinyin.lazy_pinyin(list(characters), style=style, neutral_tone_with_five=True)
        for style in (pinyin.Style.INITIALS, pinyin.Style.FINALS_TONE3)
    ]
    silent = [both for both in zip(*readings, strict=True) if both[0] not in INITIALS or both[1][:-1] not in FINALS]
    assert len(silent) < 30, silent  # interjections that have no final, and characters without a known reading
