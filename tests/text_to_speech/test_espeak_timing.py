"""Times of phones and words of espeak-ng: from made-up events, and from the library where it is installed."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from talkinghead.structures import Audio
from talkinghead.text_to_speech import PAUSE, Phone, Script, espeak_timing, join, speak
from talkinghead.text_to_speech.espeak import EspeakEngine, read_wav
from talkinghead.text_to_speech.espeak_timing import Event, place, place_words

RATE_HZ = 1000
needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")


def _audio(*parts: tuple[float, float]) -> Audio:
    """Stretches of length in seconds and level."""
    return Audio(np.concatenate([np.full(round(s * RATE_HZ), level, np.float32) for s, level in parts]), RATE_HZ)


def _phone(sample: int, symbol: str) -> Event:
    return ("phone", sample, 1, 0, symbol)


def test_a_mark_without_a_symbol_is_a_pause_where_it_is_silent_and_part_of_the_next_phone_elsewhere() -> None:
    audio = _audio((0.4, 0.5), (0.2, 0.0), (0.4, 0.5))
    events = [
        _phone(0, "p"),
        _phone(100, "a"),
        _phone(200, "(en)"),
        _phone(250, "m"),
        _phone(400, ""),
        _phone(600, "o"),
    ]
    assert place(events, audio) == (
        Phone("p", 0.0, 0.1),
        Phone("a", 0.1, 0.2),
        Phone("m", 0.2, 0.4),
        Phone(PAUSE, 0.4, 0.6),
        Phone("o", 0.6, 1.0),
    )


def test_a_nasal_vowel_is_its_letter_and_a_mark() -> None:
    assert place([_phone(0, "\u00f5")], _audio((0.2, 0.5))) == (Phone("o\u0303", 0.0, 0.2),)


def test_no_phones_are_none() -> None:
    assert place([], _audio((0.2, 0.5))) is None
    assert place([_phone(0, ""), _phone(50, "(cmn)")], _audio((0.2, 0.5))) is None


def test_words_reach_from_their_first_to_their_last_phone() -> None:
    phones = (Phone("a", 0.0, 0.1), Phone("b", 0.1, 0.2), Phone(PAUSE, 0.2, 0.3), Phone("o", 0.3, 0.5))
    events: list[Event] = [("word", 0, 1, 2, ""), ("word", 300, 4, 1, "")]
    words = place_words(events, phones, RATE_HZ, ["ab,", "o."])
    assert words is not None
    assert [(word.text, word.start_s, word.end_s, word.is_exact) for word in words] == [
        ("ab,", 0.0, 0.2, True),
        ("o.", 0.3, 0.5, True),
    ]
    assert place_words(events, phones, RATE_HZ, ["abo"]) is None  # a word that was read as two


@needs_espeak
@pytest.mark.parametrize("language", ["de", "fr-fr", "ja"])
def test_the_library_speaks_what_the_program_does_and_times_it(language: str) -> None:
    text = "Papa mama, papa." if language != "ja" else "ぱぱ まま、ぱぱ。"
    command = ["espeak-ng", "-v", language, "-b", "1", "-z", "-s", "175", "--stdin", "--stdout"]
    program = read_wav(subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout)
    spoken = EspeakEngine().speak(text, f"espeak-{language}")
    np.testing.assert_array_equal(spoken.audio.samples, program.samples)
    assert spoken.phones is not None
    assert [phone.symbol for phone in spoken.phones if phone.symbol in "pm"] == ["p", "p", "m", "m", "p", "p"]
    assert spoken.phones[0].start_s == 0 and spoken.phones[-1].end_s == pytest.approx(spoken.audio.duration_s)
    assert all(a.end_s == b.start_s for a, b in zip(spoken.phones, spoken.phones[1:], strict=False))


@needs_espeak
def test_words_of_a_text_are_exact_also_where_a_number_is_one() -> None:
    spoken = join(list(speak(Script("Papa kauft 12 Brote.", "espeak-de"))))
    assert spoken.words is not None and [word.text for word in spoken.words] == ["Papa", "kauft", "12", "Brote."]
    assert all(word.is_exact for word in spoken.words)


def test_without_the_library_the_program_speaks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak_timing, "_has_library", lambda: False)
    assert espeak_timing.speak_by_library("Papa", "Papa", "de", "175") is None


@needs_espeak
def test_a_language_that_the_library_lacks_is_left_to_the_program() -> None:
    assert espeak_timing.speak_by_library("Papa", "Papa", "xx", "175") is None
