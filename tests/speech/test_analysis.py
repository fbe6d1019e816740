"""One reading of a recording gives what separate readings give."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from speech_models import babble

from talkinghead.speech.analysis import analyze
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.loudness import measure_level
from talkinghead.speech.voice_activity import VoiceActivityConfig, speech_stretches
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech.hibari import HibariEngine

CONFIG = VoiceActivityConfig()


class CountedAudio:
    """A recording in uneven blocks, with its readings counted."""

    def __init__(self, samples: FloatArray) -> None:
        self.samples, self.readings = samples, 0
        self.rate_hz = RATE_HZ

    @property
    def duration_s(self) -> float:
        raise AssertionError("the length is found in the same reading")

    def blocks(self) -> Iterator[FloatArray]:
        self.readings += 1
        yield from np.split(self.samples, [1, 700, 701, 20000, 20000])


@pytest.fixture(scope="module")
def spoken() -> FloatArray:
    """A sentence between pauses, at 16 kHz."""
    audio = HibariEngine().speak("Five hundred people came.", "hibari").audio
    assert audio.rate_hz == RATE_HZ or audio.rate_hz > RATE_HZ
    step = audio.rate_hz / RATE_HZ
    places = np.arange(int(len(audio.samples) / step)) * step
    samples = np.interp(places, np.arange(len(audio.samples)), audio.samples)
    silence = np.zeros(RATE_HZ)
    return np.concatenate([silence, samples, silence]).astype(np.float32)


def test_one_reading_gives_length_level_and_speech(spoken: FloatArray) -> None:
    counted, whole = CountedAudio(spoken), Audio(spoken, RATE_HZ)
    found = analyze(counted, CONFIG)
    assert counted.readings == 1
    assert found.duration_s == whole.duration_s
    expected = measure_level(whole)
    assert found.level.samples == expected.samples == len(spoken)
    np.testing.assert_array_equal(found.speech_s, speech_stretches(whole, CONFIG))
    assert len(found.speech_s) >= 1
    assert 0.5 < found.speech_s[0, 0] < 1.5 and found.speech_s[-1, 1] < whole.duration_s - 0.3


def test_silence_has_no_speech() -> None:
    found = analyze(Audio(np.zeros(RATE_HZ, np.float32), RATE_HZ), CONFIG)
    assert found.speech_s.shape == (0, 2) and found.duration_s == 1.0


def test_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="16000 Hz"):
        analyze(babble(1, rate_hz=44100), CONFIG)
