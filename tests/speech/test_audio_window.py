"""Bringing audio to one loudness before it is encoded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from speech_models import babble

from talkinghead.speech.audio_window import normalize_loudness
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.loudness import LOUDNESS_LUFS, integrated_lufs


def test_loudness_is_that_of_the_speech_and_not_of_the_pauses() -> None:
    speech = torch.from_numpy(babble(5).samples)
    paused = normalize_loudness(torch.cat([speech, torch.zeros(20 * RATE_HZ)]))
    np.testing.assert_allclose(paused[: len(speech)], normalize_loudness(speech), atol=0.02)
    assert integrated_lufs(paused.numpy(), RATE_HZ) == pytest.approx(LOUDNESS_LUFS, abs=0.05)


def test_a_constant_offset_changes_nothing() -> None:
    speech = torch.from_numpy(babble(3).samples) * 0.05
    np.testing.assert_allclose(normalize_loudness(speech + 0.3), normalize_loudness(speech), atol=0.02)


@pytest.mark.parametrize("samples", [np.zeros(RATE_HZ), np.full(RATE_HZ, 0.5), 1e-4 * np.eye(1, RATE_HZ)[0]])
def test_silence_is_not_amplified(samples: np.ndarray) -> None:
    assert normalize_loudness(torch.from_numpy(samples.astype(np.float32))).abs().max() < 1e-3
