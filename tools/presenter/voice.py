"""The voices of the performances: a sentence as audio with the time of every phone, and the noise of a breath."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from coarticulation import Phone
from scipy.ndimage import minimum_filter1d
from scipy.signal import butter, sosfilt

from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech import PAUSE, find_voice

LEAD_S, TRAIL_S = 0.03, 0.12
"""Silence that remains before and after a spoken sentence."""
BREATH_BAND_HZ = (900.0, 4200.0)
"""Frequencies of the noise of air that streams in through parted lips."""
BREATH_DB = -48.0
"""Its level at its loudest, dB of full scale: 25 dB below the speech."""

MOST = 0.9
"""Largest sample that is left as it is."""
LIMITED_S = 0.006
"""How far about a peak the audio is turned down."""


@dataclass(frozen=True)
class Voice:
    """Who speaks, and how."""

    name: str
    """As `talkinghead voices` lists it."""
    speed: float = 1.0
    """Factor on the usual speed."""


WOMAN, MAN = Voice("hibari"), Voice("hibari-man")


def speak_line(voice: Voice, sentence: str) -> tuple[Audio, list[Phone]]:
    """A sentence without the silence around it, and its phones.

    Raises:
        VoiceUnavailableError: the voice is not installed.
    """
    engine, found = find_voice(voice.name)
    utterance = engine.speak(sentence, found.name, voice.speed)
    rate = utterance.audio.rate_hz
    phones = list(utterance.phones or ())
    while phones[0].symbol == PAUSE:
        del phones[0]
    while phones[-1].symbol == PAUSE:
        del phones[-1]
    start = max(round((phones[0].start_s - LEAD_S) * rate), 0)
    end = round((phones[-1].end_s + TRAIL_S) * rate)
    offset_s = start / rate
    spoken = [Phone(phone.symbol, phone.start_s - offset_s, phone.end_s - offset_s, phone.stress) for phone in phones]
    return Audio(faded(utterance.audio.samples[start:end], rate), rate), spoken


def faded(samples: FloatArray, rate: int) -> FloatArray:
    """Samples with the first and the last hundredth of a second faded."""
    ramp = np.minimum(np.arange(len(samples)) / (0.01 * rate), 1).astype(np.float32)
    return samples * ramp * ramp[::-1]


def limited(samples: FloatArray, rate: int) -> FloatArray:
    """Samples that are turned down about each peak beyond `MOST`, without a step: (N,) -> (N,)."""
    span = round(LIMITED_S * rate)
    gain = np.minimum(MOST / np.maximum(np.abs(samples), MOST), 1)
    least = minimum_filter1d(gain, 2 * span + 1)
    smooth = np.convolve(np.pad(least, span, mode="edge"), np.hanning(2 * span + 3)[1:-1] / (span + 1), "valid")
    return (samples * np.minimum(smooth, 1)).astype(np.float32)


def breath_noise(length_s: float, rate: int, random: np.random.Generator) -> FloatArray:
    """Noise of a breath: it grows, and stops sooner than it began."""
    count = round(length_s * rate)
    noise = sosfilt(butter(2, BREATH_BAND_HZ, "bandpass", fs=rate, output="sos"), random.standard_normal(count))
    place = np.arange(count) / max(count, 1)
    swell = np.sin(np.pi * place**1.4) ** 2
    return (10 ** (BREATH_DB / 20) * swell * noise / max(float(noise.std()), 1e-9)).astype(np.float32)
