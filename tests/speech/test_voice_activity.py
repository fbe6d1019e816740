"""Voice activity on sentences whose phones lie at known times, on noise, on music and on breaths."""

from __future__ import annotations

import dataclasses
from itertools import accumulate

import numpy as np
import pytest
import torch
import torchaudio
from numpy.typing import NDArray

from talkinghead.errors import ModelUnavailableError
from talkinghead.speech import voice_activity as module
from talkinghead.speech.voice_activity import (
    RATE_HZ,
    PauseGate,
    SpeechDetection,
    VoiceActivityConfig,
    gate,
    join_stretches,
    speech_stretches,
    voice_activity,
)
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech.engine import PAUSE
from talkinghead.text_to_speech.hibari import HibariEngine

CONFIG = VoiceActivityConfig()
SENTENCES = ("Half of them fell asleep.", "She had him read the paper, very slowly.", "Five hundred people came.")
"""They begin with sounds that are hard to detect: h, sh, f."""


@pytest.fixture(scope="module")
def sentences() -> list[FloatArray]:
    """Each from the beginning of its first phone to the end of its last."""
    found = []
    for text in SENTENCES:
        spoken = HibariEngine().speak(text, "hibari")
        phones = [phone for phone in spoken.phones if phone.symbol != PAUSE]
        samples = torchaudio.functional.resample(torch.from_numpy(spoken.audio.samples), spoken.audio.rate_hz, RATE_HZ)
        found.append(samples.numpy()[round(phones[0].start_s * RATE_HZ) : round(phones[-1].end_s * RATE_HZ)])
    return found


def with_pauses(sentences: list[FloatArray], pause_s: float) -> tuple[FloatArray, NDArray[np.float64]]:
    """The sentences with silence before, between and after them, and where they lie, (R, 2) in seconds."""
    silence = np.zeros(round(pause_s * RATE_HZ), np.float32)
    samples = np.concatenate([silence, *(part for sentence in sentences for part in (sentence, silence))])
    begins = list(accumulate((len(one) + len(silence) for one in sentences), initial=len(silence)))[:-1]
    ends = [begin + len(one) for begin, one in zip(begins, sentences, strict=True)]
    return samples, np.stack([begins, ends], 1) / RATE_HZ


def colored_noise(count: int, seed: int = 0) -> FloatArray:
    """Noise that falls by 3 dB an octave, of power 1."""
    white = np.random.default_rng(seed).standard_normal(count)
    noise = np.fft.irfft(np.fft.rfft(white) / np.sqrt(np.arange(count // 2 + 1) + 10.0), count)
    return (noise / noise.std()).astype(np.float32)


def music(count: int) -> FloatArray:
    """Struck chords over a held one, of power 1."""
    time_s = np.arange(count) / RATE_HZ
    chord = sum(np.sin(2 * np.pi * pitch * k * time_s) / k for pitch in (220, 277.2, 329.6) for k in range(1, 6))
    audio = chord * (0.3 + (1 - (time_s * 2) % 1) ** 1.5)
    return (audio / audio.std()).astype(np.float32)


@pytest.mark.parametrize("level", [1.0, 0.05])
@pytest.mark.parametrize("noise_db", [-np.inf, -30.0, -10.0])
def test_speech_moves_the_mouth_and_pauses_do_not(sentences: list[FloatArray], level: float, noise_db: float) -> None:
    samples, places = with_pauses(sentences, 1.0)
    samples = level * (samples + samples.std() * 10 ** (noise_db / 20) * colored_noise(len(samples)))
    times_s = np.arange(0, len(samples) / RATE_HZ, 0.01)
    gated = voice_activity(Audio(samples.astype(np.float32), RATE_HZ), times_s)
    near = np.abs(times_s[:, None, None] - places).min((1, 2))
    inside = ((times_s[:, None] >= places[:, 0]) & (times_s[:, None] < places[:, 1])).any(1)
    assert gated[inside].mean() > 0.99
    for begin_s, end_s in places:
        assert gated[(times_s >= begin_s) & (times_s < begin_s + 0.1)].min() > 0.8
        assert gated[(times_s >= end_s - 0.1) & (times_s < end_s)].mean() > 0.8
    silent = ~inside & (near > 0.35)
    assert silent.sum() > 80
    assert gated[silent].max() < 0.05


def test_a_short_pause_between_sentences_brings_the_mouth_to_rest(sentences: list[FloatArray]) -> None:
    samples, places = with_pauses(sentences, 0.45)
    times_s = np.arange(0, len(samples) / RATE_HZ, 0.01)
    gated = voice_activity(Audio(samples, RATE_HZ), times_s)
    for end_s, begin_s in zip(places[:-1, 1], places[1:, 0], strict=True):
        assert gated[(times_s > end_s) & (times_s < begin_s)].min() < 0.05


@pytest.mark.parametrize("level", [0.1, 0.005])
def test_noise_music_and_breaths_leave_the_mouth_at_rest(level: float) -> None:
    count = 10 * RATE_HZ
    breaths = colored_noise(count) * np.sin(np.pi * np.arange(count) / RATE_HZ / 1.5).clip(0) ** 2
    for samples in (colored_noise(count), music(count), music(count) + colored_noise(count), breaths):
        gated = voice_activity(Audio((level * samples).astype(np.float32), RATE_HZ), np.arange(250) / 25)
        assert gated.max() == 0


def test_breaths_between_sentences_leave_the_mouth_at_rest(sentences: list[FloatArray]) -> None:
    samples, places = with_pauses(sentences, 1.4)
    rise = np.sin(np.pi * np.arange(RATE_HZ // 2) / (RATE_HZ // 2)) ** 2
    breath = (samples.std() * 0.1 * rise * colored_noise(len(rise))).astype(np.float32)
    begin = round((places[0, 1] + 0.45) * RATE_HZ)
    samples[begin : begin + len(breath)] += breath
    times_s = begin / RATE_HZ + np.arange(0, 0.5, 0.02)
    assert voice_activity(Audio(samples, RATE_HZ), times_s).max() < 0.05


def test_speech_over_music_is_detected(sentences: list[FloatArray]) -> None:
    samples, places = with_pauses(sentences, 1.5)
    samples = samples + 0.2 * samples.std() * music(len(samples))
    gated = voice_activity(Audio(samples, RATE_HZ), places.mean(1))
    assert gated.min() > 0.95
    assert voice_activity(Audio(samples, RATE_HZ), places[:, 0] - 0.75).max() < 0.05


def test_silence_is_no_speech() -> None:
    assert voice_activity(Audio(np.zeros(RATE_HZ, np.float32), RATE_HZ), np.arange(25) / 25).max() == 0


def test_attack_and_release_last_as_long_as_configured() -> None:
    stretches = np.array([[1.0, 2.0], [4.0, 5.0]])
    config = VoiceActivityConfig(attack_ms=100, release_ms=200, lead_ms=50)

    def at(*times_s: float) -> list[float]:
        return [round(float(value), 3) for value in gate(stretches, np.array(times_s), config)]

    assert at(0.85, 0.9, 0.95, 1.0, 1.5, 2.0) == [0.0, 0.5, 1.0, 1.0, 1.0, 1.0]
    assert at(2.1, 2.2, 3.0, 3.85, 3.9, 3.95, 5.1, 5.2, 9.0) == [0.5, 0.0, 0.0, 0.0, 0.5, 1.0, 0.5, 0.0, 0.0]
    assert at(-5.0) == [0.0]
    slower = gate(stretches, np.array([2.2]), dataclasses.replace(config, release_ms=400))
    assert slower == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        ([], []),
        ([(1, 2)], [(1, 2)]),
        ([(1, 2), (2.5, 3)], [(1, 3)]),
        ([(1, 2), (3, 4)], [(1, 2), (3, 4)]),
        ([(0, 1), (1.5, 2), (4, 5), (5.9, 6), (7, 8)], [(0, 2), (4, 6), (7, 8)]),
    ],
)
def test_stretches_with_a_short_pause_between_them_are_joined(
    given: list[tuple[float, float]], joined: list[tuple[float, float]]
) -> None:
    found = join_stretches(np.array(given, np.float64).reshape(-1, 2), 1.0)
    np.testing.assert_array_equal(found, np.array(joined, np.float64).reshape(-1, 2))


def test_a_pause_shorter_than_the_shortest_is_no_pause(sentences: list[FloatArray]) -> None:
    samples, _ = with_pauses(sentences[:2], 0.45)
    assert len(speech_stretches(Audio(samples, RATE_HZ), CONFIG)) >= 2
    assert len(speech_stretches(Audio(samples, RATE_HZ), dataclasses.replace(CONFIG, shortest_pause_ms=900))) == 1


def test_neither_the_time_of_speech_nor_the_cut_into_blocks_matters(sentences: list[FloatArray]) -> None:
    samples, _ = with_pauses(sentences, 1.0)
    later = np.concatenate([np.zeros(40 * module.STEP * 5, np.float32), samples])  # a whole number of hops and steps
    moved_s = 40 * module.STEP * 5 / RATE_HZ
    stretches = speech_stretches(Audio(samples, RATE_HZ), CONFIG)
    np.testing.assert_allclose(speech_stretches(Audio(later, RATE_HZ), CONFIG) - moved_s, stretches, atol=0.011)

    class Uneven:
        rate_hz, duration_s = RATE_HZ, len(samples) / RATE_HZ

        @staticmethod
        def blocks() -> list[FloatArray]:
            return np.split(samples, [1, 100, 100, 5000, 50000])

    np.testing.assert_array_equal(speech_stretches(Uneven, CONFIG), stretches)  # type: ignore[arg-type]


def test_stretches_so_far_are_those_of_the_audio_so_far(sentences: list[FloatArray]) -> None:
    audio, _ = with_pauses(sentences, 0.8)
    detection, recent = SpeechDetection(CONFIG), SpeechDetection(CONFIG, history_s=3.0)
    for start in range(0, len(audio), 640):
        for each in (detection, recent):
            each.push(audio[start : start + 640])
        (stretches, known_s), (newest, also_known_s) = detection.so_far(), recent.so_far()
        assert start / RATE_HZ - 0.04 <= known_s <= start / RATE_HZ + 0.04
        assert known_s == pytest.approx(also_known_s)
        assert not len(stretches) or stretches[-1, 1] <= known_s + 1e-9
        assert not len(newest) or newest[0, 0] >= known_s - 3.3
    np.testing.assert_array_equal(detection.finish(), speech_stretches(Audio(audio, RATE_HZ), CONFIG))
    np.testing.assert_allclose(recent.finish()[-1], speech_stretches(Audio(audio, RATE_HZ), CONFIG)[-1], atol=0.05)


STRETCHES = np.array([[1.0, 2.5], [2.9, 4.0], [5.6, 6.0], [9.0, 9.5]])
SLOW = dataclasses.replace(CONFIG, attack_ms=400.0, release_ms=400.0, lead_ms=400.0)


def test_levels_that_are_kept_are_those_of_the_whole() -> None:
    samples, meter = colored_noise(48_000), module._LevelMeter()
    whole = module._LevelMeter()
    whole.push(samples)
    expected, dropped = whole.finish(), 0
    for start in range(0, len(samples), 1234):
        meter.push(samples[start : start + 1234])
        found = meter.so_far()
        # The level of the newest hop is averaged with the next, which is not known yet.
        np.testing.assert_array_equal(found[:-1], expected[dropped : dropped + len(found) - 1])
        if len(found) > 50:
            meter.drop(16)
            dropped += 16


@pytest.mark.parametrize("count", [1, 2, 7, 10, 101])
def test_nearly_the_loudest_is_a_quantile(count: int) -> None:
    levels = np.random.default_rng(count).normal(-40, 10, count)
    assert module._nearly_loudest(levels) == np.quantile(levels, 0.9)


def known_until(known_s: float) -> NDArray[np.float64]:
    """`STRETCHES` so far; one that goes on ends there."""
    begun = STRETCHES[STRETCHES[:, 0] < known_s]
    return np.minimum(begun, known_s)


@pytest.mark.parametrize("config", [CONFIG, SLOW])
def test_a_gate_that_knows_enough_is_that_of_the_whole(config: VoiceActivityConfig) -> None:
    times_s = np.arange(0, 12, 0.02)
    expected = gate(join_stretches(STRETCHES, 1.0), times_s, config)
    np.testing.assert_array_equal(PauseGate(config, 1.0, 0.5).weights(STRETCHES, times_s), expected)
    slowly = PauseGate(config, 1.0, 1.0)
    parts = [slowly.weights(known_until(time_s + 1.1), np.array([time_s]), time_s + 1.1) for time_s in times_s]
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-6)


def test_a_gate_that_knows_little_is_smooth_and_comes_to_rest() -> None:
    times_s, look_ahead_s = np.arange(0, 12, 0.02), 0.2
    late = PauseGate(SLOW, 1.0, 0.5)
    weight = np.concatenate(
        [late.weights(known_until(t + look_ahead_s), np.array([t]), t + look_ahead_s) for t in times_s]
    )
    # On cosine ramps of 160 ms, a step of 20 ms is pi / 16 at most.
    assert np.abs(np.diff(weight)).max() <= np.pi / 16 + 1e-6
    is_speech = ((times_s[:, None] >= STRETCHES[:, 0]) & (times_s[:, None] <= STRETCHES[:, 1])).any(1)
    assert weight[is_speech].min() == 1
    # A pause of 3 s, of which 0.5 s have to be known, then 0.4 s of easing.
    assert not weight[(times_s > 6.0 + 0.5 - look_ahead_s + 0.42) & (times_s < 9.0 - look_ahead_s)].any()
    assert (weight[(times_s > 2.5) & (times_s < 2.9)] == 1).all()  # a short pause is left to the predictor


def test_the_detectors_weights_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.detector_file().is_file()
    monkeypatch.setattr(module, "MODEL_SHA256", "0" * 64)
    with pytest.raises(ModelUnavailableError, match=r"silero-vad==6\.2\.3"):
        module.detector_file()


def test_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="16000 Hz"):
        voice_activity(Audio(np.zeros(100, np.float32), 8000), np.zeros(1))
