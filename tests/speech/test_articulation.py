"""Articulation of phones: what each class asks of the lips, and when."""

from __future__ import annotations

import numpy as np
import pytest

from talkinghead.speech.articulation import (
    CLOSING_S,
    FEATURES,
    HOLD_S,
    PARTING_S,
    RELEASE_S,
    TOUCHING,
    articulate,
    closure_at,
    symbols_of,
)
from talkinghead.text_to_speech import PAUSE, Phone

PHONES = (
    Phone(PAUSE, 0, 0.1),
    Phone("p", 0.1, 0.2),
    Phone("aɪ", 0.2, 0.4),
    Phone(PAUSE, 0.4, 0.5),
    Phone("uː", 0.5, 0.6),
)


def feature(name: str, time_s: float) -> float:
    return float(articulate(PHONES, np.array([time_s]))[0, FEATURES.index(name)])


def test_each_phone_has_its_own_articulation() -> None:
    assert feature("closed", 0.15) == 1 and feature("openness", 0.15) == 0
    assert feature("openness", 0.25) == 1 and feature("closed", 0.25) == 0
    assert feature("rounded", 0.55) == 1 and feature("rounded", 0.25) == 0


def test_a_diphthong_passes_through_its_vowels() -> None:
    assert feature("openness", 0.25) == 1 and feature("openness", 0.35) == pytest.approx(0.35)


def test_pauses_are_known_to_be_unspoken() -> None:
    for time_s in (0.05, 0.45, 0.9):
        assert feature("known", time_s) == 1 and feature("spoken", time_s) == 0


def test_a_frame_across_two_phones_is_their_mean() -> None:
    assert feature("closed", 0.2) == pytest.approx(0.5, abs=0.01)


def test_parts_of_a_recording_give_what_all_of_it_gives() -> None:
    times_s = np.arange(40) / 50
    parts = [articulate(PHONES, times_s[:13]), articulate(PHONES, times_s[13:])]
    np.testing.assert_allclose(np.concatenate(parts), articulate(PHONES, times_s), atol=0.26)
    assert articulate(PHONES, times_s[:0]).shape == (0, len(FEATURES))


@pytest.mark.parametrize(
    ("phone", "symbols"), [("AY1", "aɪ"), ("dʒ", "dʒ"), ("pʰ", "p"), ("M", "m"), (PAUSE, ""), ("HH", "h")]
)
def test_symbols_of_ipa_and_arpabet(phone: str, symbols: str) -> None:
    assert "".join(symbols_of(phone)) == symbols


def test_lips_close_for_the_whole_of_a_p_and_part_at_its_burst() -> None:
    times_s = np.array([0.1 - CLOSING_S, 0.1 - HOLD_S, 0.15, 0.2 - RELEASE_S, 0.2 - RELEASE_S + PARTING_S, 0.3])
    np.testing.assert_allclose(closure_at(PHONES, times_s), [0, 1, 1, 1, 0, 0], atol=1e-6)
    assert closure_at((), times_s).max() == 0


def test_f_brings_the_lip_to_the_teeth_without_closing_the_mouth() -> None:
    assert closure_at([Phone("f", 0.1, 0.2)], np.array([0.15]))[0] == pytest.approx(TOUCHING)


def test_no_closure_is_missed_at_25_frames_a_second() -> None:
    """However short the phone, and wherever it lies between two frames, one of them closes the lips."""
    times_s = np.arange(25) / 25
    for start_s in np.arange(0.3, 0.34, 0.005):
        assert closure_at([Phone("b", start_s, start_s + 0.045)], times_s).max() >= 0.99
