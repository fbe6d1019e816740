"""The default engine: hibari-tts, one American English voice whose weights are in its wheel.

hibari has more voices, which it would fetch from the network; they are not offered.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class HibariEngine:
    """English by hibari-tts (Apache-2.0): 24 kHz, about a hundred times faster than real time on one core."""

    name: str = "hibari"
    reads_phones: ClassVar[bool] = True

    @property
    def version(self) -> str:
        return importlib.metadata.version("hibari-tts") if _is_installed() else ""

    def voices(self) -> Sequence[Voice]:
        return [Voice("hibari", "en-US", "American English, female", ("LATIN",))] if _is_installed() else []

    def missing(self) -> str:
        return "" if _is_installed() else "pip install hibari-tts==0.2.1"

    def speak(self, sentence: str, voice: str, speed: float = 1.0) -> Utterance:
        if not _is_installed():
            raise VoiceUnavailableError(f"The voice {voice} is not installed: {self.missing()}")
        symbols = self._model.phonemes(sentence)
        if not any(symbol.isalpha() for symbol in symbols):
            raise NothingToSpeakError(f"Nothing in {sentence[:40]!r} can be pronounced in English.")
        samples, durations = self._model.synthesize(symbols, speed)
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

    def synthesize(self, symbols: str, speed: float = 1.0) -> tuple[FloatArray, NDArray[np.int64]]:
        """Synthesize L - 2 symbols, at a factor on the usual speed.

        Returns:
            (N,) float32 samples, and the (L,) duration frames of the symbols and of the pad at either end.
        """
        from hibari import dsp

        ids = [0, *(self._vocabulary[symbol] for symbol in symbols), 0]
        feed = {"ids": np.asarray([ids], np.int64), "speed": np.full(1, speed, np.float32)}
        *spectrum, durations = self._session.run(None, feed)
        samples = dsp.synth(*(part[0] for part in spectrum), np.random.default_rng(SEED))
        return np.asarray(samples, np.float32), durations.astype(np.int64)
