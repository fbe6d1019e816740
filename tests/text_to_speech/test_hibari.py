"""hibari's voices: the man's is the woman's with another pitch and other formants, at the same times."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talkinghead.text_to_speech import HibariEngine, Utterance
from talkinghead.text_to_speech.hibari import TIMBRES, Timbre, with_timbre

SENTENCE = "Maybe our men are away in Maine all morning."
BINS, FRAMES = 601, 4


@pytest.fixture(scope="module")
def woman() -> Utterance:
    return HibariEngine().speak(SENTENCE, "hibari")


@pytest.fixture(scope="module")
def man() -> Utterance:
    return HibariEngine().speak(SENTENCE, "hibari-man")


def pitches_hz(spoken: Utterance) -> np.ndarray:
    """Fundamental frequency in the middle of each vowel, by the peak of the autocorrelation."""
    samples, rate = spoken.audio.samples.astype(np.float64), spoken.audio.rate_hz
    found = []
    for phone in spoken.phones or ():
        if not phone.stress:
            continue
        middle = round((phone.start_s + phone.end_s) / 2 * rate)
        window = np.hanning(1400)
        piece = samples[middle - 700 : middle + 700] * window
        shortest, longest = round(rate / 300), round(rate / 70)
        # The window's own autocorrelation would favor short lags.
        own, windows = (np.correlate(one, one, "full")[1399 + shortest : 1399 + longest] for one in (piece, window))
        lag = shortest + int(np.argmax(own / windows))
        found.append(rate / lag)
    return np.array(found)


def test_a_man_is_spoken_at_the_same_times(woman: Utterance, man: Utterance) -> None:
    assert len(man.audio.samples) == len(woman.audio.samples)
    assert [word.text for word in man.words or ()] == [word.text for word in woman.words or ()]
    assert [replace(phone, end_s=0, start_s=0) for phone in man.phones or ()] == [
        replace(phone, end_s=0, start_s=0) for phone in woman.phones or ()
    ]
    apart = [abs(a.end_s - b.end_s) for a, b in zip(man.phones or (), woman.phones or (), strict=True)]
    assert np.median(apart) == 0 and max(apart) < 0.05


def test_a_man_has_a_lower_pitch(woman: Utterance, man: Utterance) -> None:
    ratio = np.median(pitches_hz(man) / pitches_hz(woman))
    assert ratio == pytest.approx(TIMBRES["hibari-man"].pitch, abs=0.04)
    assert 95 < np.median(pitches_hz(man)) < 135


def test_a_man_is_about_as_loud_and_never_clipped(woman: Utterance, man: Utterance) -> None:
    levels = [np.sqrt(np.square(spoken.audio.samples).mean()) for spoken in (woman, man)]
    assert abs(20 * np.log10(levels[1] / levels[0])) < 3
    assert np.abs(man.audio.samples).max() < 0.9


def spectrum(harmonic: np.ndarray, pitch_hz: float) -> list[np.ndarray]:
    zeros = np.zeros((BINS, FRAMES), np.float32)
    return [harmonic.astype(np.float32), zeros, zeros, zeros, zeros, np.full(FRAMES, pitch_hz, np.float32)]


def formant(center_hz: float) -> np.ndarray:
    """(B, F) an envelope with one peak."""
    frequency = 20.0 * np.arange(BINS)
    return np.repeat((6 - np.square((frequency - center_hz) / 400))[:, None], FRAMES, 1)


def test_a_formant_moves_by_its_factor() -> None:
    harmonic, *_, pitch = with_timbre(spectrum(formant(1600.0), 200.0), Timbre(0.6, 0.8))
    assert 20 * int(np.argmax(harmonic[:, 0])) == pytest.approx(1280, abs=20)
    np.testing.assert_allclose(pitch, 120.0)


def test_what_lies_between_harmonics_has_no_influence() -> None:
    """The network is free to predict anything there, since nobody hears it at its own pitch."""
    pitch_hz = 200.0
    clean = formant(1000.0)
    spoiled = clean.copy()
    between = np.arange(BINS) % round(pitch_hz / 20) != 0
    spoiled[between] += np.random.default_rng(0).normal(0, 5, (int(between.sum()), FRAMES))
    timbre = Timbre(0.6, 0.88)
    expected, found = (with_timbre(spectrum(envelope, pitch_hz), timbre)[0] for envelope in (clean, spoiled))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_without_a_voice_the_envelope_is_taken_as_it_is_and_the_pitch_stays_none() -> None:
    parts = with_timbre(spectrum(formant(1500.0), 0.0), Timbre(0.6, 0.8))
    assert 20 * int(np.argmax(parts[0][:, 0])) == pytest.approx(1200, abs=40)
    np.testing.assert_array_equal(parts[5], 0)


def test_the_womans_voice_is_the_networks_own() -> None:
    parts = spectrum(formant(1500.0), 200.0)
    assert all(one is other for one, other in zip(with_timbre(parts, TIMBRES["hibari"]), parts, strict=True))
