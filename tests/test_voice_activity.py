"""Voice activity against bursts of noise at known times."""

from __future__ import annotations

import numpy as np
import pytest

from talkinghead.structures import Sound
from talkinghead.voice_activity import VoiceActivityConfig, voice_activity

RATE_HZ = 16000


def bursts(level: float, noise: float) -> Sound:
    """Six seconds: sound from 1 to 2 s and from 4 to 4.5 s, noise everywhere."""
    draw = np.random.default_rng(0)
    t = np.arange(6 * RATE_HZ) / RATE_HZ
    on = ((t >= 1) & (t < 2)) | ((t >= 4) & (t < 4.5))
    return Sound((draw.normal(size=len(t)) * (level * on + noise)).astype(np.float32), RATE_HZ)


@pytest.mark.parametrize("level", [0.3, 0.003])
@pytest.mark.parametrize("noise_share", [0.0, 0.01])
def test_open_in_sound_and_closed_in_silence_at_any_level(level: float, noise_share: float) -> None:
    config = VoiceActivityConfig()
    times_s = np.arange(150) / 25
    gate = voice_activity(bursts(level, level * noise_share), times_s, config)
    sounding = ((times_s >= 1) & (times_s < 2)) | ((times_s >= 4) & (times_s < 4.5))
    assert gate[sounding].min() > 0.95
    room_s = config.lead_s + config.hold_s + 2 * config.ease_s
    silent = (times_s < 1 - room_s) | ((times_s > 2 + room_s) & (times_s < 4 - room_s)) | (times_s > 4.5 + room_s)
    assert silent.sum() > 30
    assert gate[silent].max() < 0.05


def test_pure_silence_stays_closed() -> None:
    assert voice_activity(Sound(np.zeros(RATE_HZ, np.float32), RATE_HZ), np.arange(25) / 25).max() == 0


def test_steady_sound_stays_open() -> None:
    sound = Sound(np.random.default_rng(1).normal(size=2 * RATE_HZ).astype(np.float32) * 0.1, RATE_HZ)
    assert voice_activity(sound, np.arange(50) / 25).min() > 0.95
