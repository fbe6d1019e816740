"""Resampling, against torchaudio's and against a tone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio
from speech_models import babble

from talkinghead.errors import SpeechTooShortError
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.resampling import resample
from talkinghead.structures import Audio


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(44100, 16000), (48000, 16000), (22050, 16000), (24000, 16000), (16000, 8000), (8000, 16000)]
)
@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.5])
def test_samples_are_those_of_torchaudio(from_hz: int, to_hz: int, seconds: float) -> None:
    samples = torch.from_numpy(babble(seconds, rate_hz=from_hz).samples)
    expected = torchaudio.functional.resample(samples, from_hz, to_hz) if len(samples) else samples
    torch.testing.assert_close(resample(samples, from_hz, to_hz), expected, atol=1e-5, rtol=0)


def test_a_tone_keeps_its_frequency_and_phase() -> None:
    tone = torch.sin(2 * np.pi * 440 * torch.arange(44100, dtype=torch.float64) / 44100).float()
    expected = torch.sin(2 * np.pi * 440 * torch.arange(16000, dtype=torch.float64) / 16000).float()
    torch.testing.assert_close(resample(tone, 44100, 16000)[100:-100], expected[100:-100], atol=2e-3, rtol=0)


def test_the_same_rate_changes_nothing() -> None:
    samples = torch.from_numpy(babble(0.1).samples)
    assert resample(samples, 16000, 16000) is samples


def test_an_empty_recording_at_another_rate_is_too_short(encoder: SpeechEncoder) -> None:
    with pytest.raises(SpeechTooShortError):
        encoder.encode(Audio(np.zeros(0, np.float32), 44100))
