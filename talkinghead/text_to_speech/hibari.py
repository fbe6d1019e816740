"""The default engine: hibari-tts, an American English voice whose weights are in its wheel, and a man's made from it.

hibari has more voices, which it would fetch from the network; they are not offered. Its network predicts a fundamental
frequency and spectral envelopes apart from each other, as a source-filter vocoder takes them. So another speaker's
larynx and vocal tract are a matter of scaling either before the audio is made: no time changes, nor any phone's.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import NothingToSpeakError, VoiceUnavailableError
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech.engine import Utterance, Voice
from talkinghead.text_to_speech.english import english_phonemes
from talkinghead.text_to_speech.phone_timing import RATE_HZ, load_network, place_phones
from talkinghead.text_to_speech.word_times import place_words, split_groups

DURATIONS = "/Clip_output_0"
"""Name of a tensor in the graph of hibari-tts 0.2.1: (L,) float32, how many duration frames each of L symbols lasts."""
SEED = 0
"""Of the noise in the voice, so that the same text always gives the same audio."""
VOICED_HZ = 40.0
"""hibari's own limit: where its fundamental frequency is lower there is no voice."""
BIN_HZ = 20.0
"""Step of frequency of hibari's spectra."""
LEAST_LOG = -20.0
"""Log magnitude of what lies beyond the highest frequency that a shorter envelope has."""


@dataclass(frozen=True)
class Timbre:
    """How a speaker differs from the network's own."""

    pitch: float = 1.0
    """Factor on the fundamental frequency."""
    formants: float = 1.0
    """Factor on the frequencies of the spectral envelopes: below 1, a longer vocal tract."""


TIMBRES = {"hibari": Timbre(), "hibari-man": Timbre(0.64, 0.80)}
"""Voices. The man's pitch and formants are those of recorded men, by measurement (docs/text_to_speech.md)."""
DESCRIPTIONS = {"hibari": "American English, female", "hibari-man": "American English, male"}


@dataclass(frozen=True)
class HibariEngine:
    """English by hibari-tts (Apache-2.0): 24 kHz, about a hundred times faster than real time on one core."""

    name: str = "hibari"
    timbres: Mapping[str, Timbre] = field(default_factory=lambda: TIMBRES, hash=False)
    """The voices' timbres."""
    reads_phones: ClassVar[bool] = True

    @property
    def version(self) -> str:
        return importlib.metadata.version("hibari-tts") if _is_installed() else ""

    def voices(self) -> Sequence[Voice]:
        if not _is_installed():
            return []
        return [Voice(name, "en-US", description, ("LATIN",)) for name, description in DESCRIPTIONS.items()]

    def missing(self) -> str:
        return "" if _is_installed() else "pip install hibari-tts==0.2.1"

    def speak(self, sentence: str, voice: str, speed: float = 1.0) -> Utterance:
        if not _is_installed():
            raise VoiceUnavailableError(f"The voice {voice} is not installed: {self.missing()}")
        symbols = self._model.phonemes(sentence)
        if not any(symbol.isalpha() for symbol in symbols):
            raise NothingToSpeakError(f"Nothing in {sentence[:40]!r} can be pronounced in English.")
        samples, durations = self._model.synthesize(symbols, speed, self.timbres[voice])
        phones = place_phones(symbols, durations, samples)

        def alone(word: str) -> list[str]:
            return split_groups(self._model.phonemes(word))

        return Utterance(Audio(samples, RATE_HZ), phones, place_words(sentence, split_groups(symbols), phones, alone))

    @cached_property
    def _model(self) -> _HibariModel:
        return _HibariModel()


def _is_installed() -> bool:
    return importlib.util.find_spec("hibari") is not None


class _HibariModel:
    """hibari's network and its front end, composed so that the durations of the symbols are outputs too."""

    def __init__(self) -> None:
        from hibari.voices import ASSETS, DEFAULT, voice_path

        self._session = load_network(Path(voice_path(DEFAULT, download_missing=False)).read_bytes(), DURATIONS)
        self._vocabulary: dict[str, int] = json.loads((Path(ASSETS) / "vocab.json").read_text(encoding="utf-8"))

    def phonemes(self, text: str) -> str:
        """A text as symbols of the network's alphabet."""
        return "".join(symbol for symbol in english_phonemes(text) if symbol in self._vocabulary)

    def synthesize(
        self, symbols: str, speed: float = 1.0, timbre: Timbre = TIMBRES["hibari"]
    ) -> tuple[FloatArray, NDArray[np.int64]]:
        """Synthesize L - 2 symbols, at a factor on the usual speed.

        Returns:
            (N,) float32 samples, and the (L,) duration frames of the symbols and of the pad at either end.
        """
        from hibari import dsp

        ids = [0, *(self._vocabulary[symbol] for symbol in symbols), 0]
        feed = {"ids": np.asarray([ids], np.int64), "speed": np.full(1, speed, np.float32)}
        *spectrum, durations = self._session.run(None, feed)
        parts = with_timbre([part[0] for part in spectrum], timbre)
        samples = dsp.synth(*parts, np.random.default_rng(SEED))
        return np.asarray(samples, np.float32), durations.astype(np.int64)


def with_timbre(spectrum: Sequence[FloatArray], timbre: Timbre) -> list[FloatArray]:
    """What hibari's network predicts, of another speaker.

    Args:
        spectrum: (B, F) log magnitude and phase of what the voice's harmonics pass through, log magnitude of noise, log
            magnitude and phase of what is neither, and the (F,) fundamental frequency in Hz, 0 where there is no voice.
        timbre: of the speaker.

    Returns:
        The same of the speaker: where nothing is to be changed, the very arrays.
    """
    if timbre == Timbre():
        return list(spectrum)
    harmonic, harmonic_phase, noise, other, other_phase, pitch_hz = spectrum
    # Between its own harmonics the network's envelope was never heard, and is anything: it is known at these alone.
    harmonic = _between_harmonics(harmonic, pitch_hz, timbre.formants, LEAST_LOG)
    harmonic_phase = _between_harmonics(harmonic_phase, pitch_hz, timbre.formants, 0.0)
    noise, other = (_stretched(part, timbre.formants, LEAST_LOG) for part in (noise, other))
    # So many more harmonics of the same magnitude would make it louder.
    harmonic = harmonic + np.float32(0.5 * np.log(timbre.pitch))
    # Low voices would fall below the limit of what counts as one.
    lower_hz = np.where(pitch_hz > VOICED_HZ, np.maximum(timbre.pitch * pitch_hz, VOICED_HZ + 1), pitch_hz)
    return [harmonic, harmonic_phase, noise, other, other_phase, lower_hz.astype(np.float32)]


def _stretched(envelope: FloatArray, factor: float, beyond: float) -> FloatArray:
    """(B, F) over frequency with every frequency times a factor; `beyond` where there was none."""
    place = np.arange(len(envelope)) / factor
    stretched = _at(envelope, np.broadcast_to(place[:, None], envelope.shape))
    stretched[place > len(envelope) - 1] = beyond
    return stretched


def _between_harmonics(envelope: FloatArray, pitch_hz: FloatArray, factor: float, beyond: float) -> FloatArray:
    """`_stretched`, where there is a voice by what lies at its harmonics alone, with straight lines between them."""
    stretched = _stretched(envelope, factor, beyond)
    spoken = np.flatnonzero(pitch_hz > VOICED_HZ)
    spacing = pitch_hz[spoken] / BIN_HZ
    number = np.maximum(np.arange(len(envelope))[:, None] / factor / spacing, 1.0)  # below the first, as at the first
    before = np.floor(number)
    parts = [_at(envelope[:, spoken], one * spacing) for one in (before, before + 1)]
    share = (number - before).astype(np.float32)
    between = (1 - share) * parts[0] + share * parts[1]
    between[number * spacing > len(envelope) - 1] = beyond
    stretched[:, spoken] = between
    return stretched


def _at(envelope: FloatArray, place: NDArray[np.floating]) -> FloatArray:
    """(B, F) values of (B, F) at fractional places along its first axis."""
    last = len(envelope) - 1
    below = np.minimum(place.astype(np.intp), last)
    share = (place - below).clip(0, 1).astype(np.float32)
    frames = np.arange(envelope.shape[1])
    values = (1 - share) * envelope[below, frames] + share * envelope[np.minimum(below + 1, last), frames]
    return np.asarray(values, np.float32)
