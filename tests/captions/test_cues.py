"""Cues: they begin with their words, fit two lines, can be read in their time, and end where sentences do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from talkinghead.captions.cues import (
    LINE_WIDTH,
    LONGEST_S,
    SHORTEST_S,
    Cue,
    line_width_in,
    make_cues,
    shift_cues,
    width,
)
from talkinghead.text_to_speech.breaks import Break
from talkinghead.text_to_speech.engine import Word

WORDS = st.lists(
    st.tuples(
        st.sampled_from(["a", "word", "committee,", "end.", "人", "。", "“好”", "x" * 130, "parliament's", "—"]),
        st.floats(0.05, 2.0),
        st.sampled_from([0.0, 0.0, 0.1, 0.6, 3.0]),
        st.sampled_from([None, None, None, Break.CLAUSE, Break.SENTENCE, Break.PARAGRAPH]),
    ),
    max_size=40,
)


def timed(text: str, step_s: float = 0.4, start_s: float = 0.0) -> list[Word]:
    """Words without pauses between them; a sentence ends with a full stop."""
    return [
        Word(word, start_s + step_s * k, start_s + step_s * (k + 1), Break.SENTENCE if word.endswith(".") else None)
        for k, word in enumerate(text.split())
    ]


@given(WORDS)
@settings(max_examples=150, deadline=None)
def test_cues_have_every_word_fit_their_lines_and_never_overlap(
    drawn: list[tuple[str, float, float, Break | None]],
) -> None:
    words, position_s = [], 0.0
    for text, duration_s, pause_s, ends in drawn:
        words.append(Word(text, position_s + pause_s, position_s + pause_s + duration_s, ends))
        position_s = words[-1].end_s
    cues = make_cues(words)
    assert "".join("".join(cue.text.split()) for cue in cues) == "".join(word.text for word in words)
    for cue in cues:
        assert 1 <= len(cue.lines) <= 2 and all(width(line) <= LINE_WIDTH for line in cue.lines)
        assert cue.start_s < cue.end_s
    for before, after in zip(cues, cues[1:], strict=False):
        assert before.end_s <= after.start_s + 1e-9
    starts = [word.start_s for word in words if len(word.text) < 100]
    assert all(cue.start_s in starts for cue in cues if "xxx" not in cue.text)


def test_cues_end_with_sentences_and_begin_with_words() -> None:
    words = timed("Good evening to you. Now here is the news of the day.")
    first, second = make_cues(words)
    assert first.text == "Good evening to you." and second.text == "Now here is the news of the day."
    assert (first.start_s, second.start_s) == (words[0].start_s, words[4].start_s)
    assert abs(first.end_s - words[3].end_s) < 0.04 and abs(second.end_s - words[-1].end_s) < 0.04


def test_long_sentences_are_cut_at_clauses_in_lines_of_like_length() -> None:
    text = "The committee, which met for the third time this week in a small room, could not agree on the plan at all."
    cues = make_cues(timed(text, 0.33))
    assert cues[0].text.endswith(",")
    assert all(cue.end_s - cue.start_s <= LONGEST_S for cue in cues)
    longest = max(cues, key=lambda cue: len(cue.text))
    assert len(longest.lines) == 2 and abs(len(longest.lines[0]) - len(longest.lines[1])) < 16


def test_upright_pictures_have_shorter_lines() -> None:
    assert line_width_in(1920, 1080) == line_width_in(512, 512) == LINE_WIDTH and line_width_in(1080, 1920) < 25
    words = timed("The committee could not agree on the plan that it had been given.")
    cues = make_cues(words, line_width_in(1080, 1920))
    assert len(cues) > 1 and all(width(line) < 25 for cue in cues for line in cue.lines)


def test_short_cues_stay_to_be_read_where_nothing_follows() -> None:
    (cue,) = make_cues([Word("Yes.", 1.0, 1.2, Break.SENTENCE)])
    assert (cue.start_s, cue.end_s) == (1.0, 1.0 + SHORTEST_S)
    first, second = make_cues([Word("Yes.", 1.0, 1.2, Break.PARAGRAPH), Word("No.", 1.5, 1.7, Break.PARAGRAPH)])
    assert first.end_s == second.start_s == 1.5


def test_paragraphs_do_not_share_a_cue_and_chinese_has_no_spaces() -> None:
    words = [Word("好", 0, 1), Word("的。", 1, 2, Break.PARAGRAPH), Word("Now", 2, 3), Word("then", 3, 4)]
    assert [cue.text for cue in make_cues(words)] == ["好的。", "Now then"]
    (long,) = make_cues([Word("人", k * 0.2, k * 0.2 + 0.2) for k in range(20)])
    assert [len(line) for line in long.lines] == [10, 10]


def test_estimated_words_make_estimated_cues() -> None:
    words = [Word("a", 0, 1), Word("b", 1, 2, is_exact=False)]
    assert not make_cues(words)[0].is_exact and make_cues(words[:1])[0].is_exact


def test_shifted_cues_are_cut_to_the_video() -> None:
    cues = (Cue(("a",), 0.0, 1.0), Cue(("b",), 2.0, 3.0), Cue(("c",), 5.0, 6.0))
    assert shift_cues(cues, 0.3, 10) == (Cue(("a",), 0.3, 1.3), Cue(("b",), 2.3, 3.3), Cue(("c",), 5.3, 6.3))
    assert shift_cues(cues, -2.5, 3.0) == (Cue(("b",), 0.0, 0.5), Cue(("c",), 2.5, 3.0))


def test_hours_of_words_take_moments() -> None:
    assert len(make_cues(timed("word " * 5000))) > 300
