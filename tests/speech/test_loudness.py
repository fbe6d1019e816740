"""Loudness of tones against EBU R128 and ITU-R BS.1770, and against another implementation of them."""

import numpy as np
import pytest
import torch
import torchaudio

from talkinghead.speech.loudness import LoudnessMeter, integrated_lufs
from talkinghead.structures import FloatArray


def tone(seconds: float, level_db: float, rate_hz: int = 16000, frequency_hz: float = 997.0) -> FloatArray:
    """A sine of this peak level below full scale."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000])
@pytest.mark.parametrize("level_db", [-60.0, -20.0, 0.0])
def test_a_tone_of_997_hz_reads_3_01_below_its_peak(rate_hz: int, level_db: float) -> None:
    assert integrated_lufs(tone(3, level_db, rate_hz), rate_hz) == pytest.approx(level_db - 3.01, abs=0.1)


def test_low_tones_count_less() -> None:
    high, low = (integrated_lufs(tone(3, -20, frequency_hz=hz), 16000) for hz in (997.0, 30.0))
    assert high and low and low < high - 3


def test_audio_10_lu_below_the_rest_does_not_count() -> None:
    # EBU Tech 3341, test 3.
    loud = tone(60, -20)
    assert integrated_lufs(np.concatenate([tone(10, -33), loud, tone(10, -33)]), 16000) == pytest.approx(
        integrated_lufs(loud, 16000), abs=0.1
    )
    paused = np.concatenate([loud, np.zeros(16000 * 60, np.float32)])
    assert integrated_lufs(paused, 16000) == pytest.approx(integrated_lufs(loud, 16000), abs=0.1)


def test_another_implementation_agrees() -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal(48000 * 5).astype(np.float32)
    other = torchaudio.functional.loudness(torch.from_numpy(noise)[None], 48000)
    assert integrated_lufs(noise, 48000) == pytest.approx(float(other), abs=0.1)


def test_blocks_of_any_length_measure_as_the_whole() -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal(16000 * 3).astype(np.float32)
    meter = LoudnessMeter(16000)
    for piece in np.split(noise, [0, 1, 700, 701, 20000, 20000, 47000]):
        meter.push(piece)
    assert meter.integrated_lufs() == pytest.approx(integrated_lufs(noise, 16000), abs=0.02)


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.2, 0.39])
def test_short_tones_are_as_loud_as_long_ones(seconds: float) -> None:
    assert integrated_lufs(tone(seconds, -20), 16000) == pytest.approx(-23.01, abs=0.3)


def test_silence_has_no_loudness() -> None:
    assert integrated_lufs(np.zeros(16000, np.float32), 16000) is None
    assert integrated_lufs(np.zeros(0, np.float32), 16000) is None
    assert integrated_lufs(tone(1, -90), 16000) is None
    assert integrated_lufs(np.zeros(100, np.float32), 16000) is None


def test_clipped_audio_is_measured() -> None:
    # A square wave of peak 1: between a sine of the same peak and one of the same power.
    assert integrated_lufs(tone(2, 60).clip(-1, 1), 16000) == pytest.approx(0.0, abs=2.0)
