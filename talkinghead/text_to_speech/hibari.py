"""The default engine: hibari-tts, one American English voice, its weights inside its wheel.

hibari's network predicts how long each phone lasts and then throws the number away; it is read here by declaring that
inner tensor an output of the ONNX graph. Where a phone lies in the sound follows from three measured facts (on 20
sentences, from the energy below 900 Hz and above 3.5 kHz around each class of phones, `tests/test_text_to_speech.py`):

- Everything sounds 50 ms before its label, as in the Kokoro model that hibari was distilled from.
- The blank between two words belongs to the word that follows: the closure of a p, the hum of an m start with it.
- The phone before a pause is given much of the silence; where it ends is seen in the sound.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import NothingToSpeakError, VoiceUnavailableError
from talkinghead.structures import BoolArray, FloatArray, Sound
from talkinghead.text_to_speech.engine import PAUSE, Phone, Utterance, Voice

RATE_HZ = 24000
DURATION_TENSOR = "/Clip_output_0"
"""(L,) float32 in the graph of hibari-tts 0.2: how many duration frames each of the L symbols lasts, 1 or more."""
DURATION_FRAME_S = 0.025
LABEL_LAG_S = 0.05
"""How much later than the sound the labels are."""
SEED = 0
"""Of the noise in the voice: the same text always sounds the same."""
BLOCK = 120
"""Samples, 5 ms, over which loudness is taken."""
QUIET_DB = -40.0
"""Below the utterance's loudest block: nothing is heard."""
SHORTEST_PHONE_S = 0.06
"""What a phone before a pause keeps at least: the closure of a final p is silent as well."""

STRESS = {"ˌ": 1, "ˈ": 2}
LENGTH = "ː"
SILENT = frozenset(["", " ", *';:,.!?—…"()“”'])
"""Symbols that are not phones: the pads at the ends, the blank, and punctuation."""
IPA = {
    "A": "eɪ", "I": "aɪ", "O": "oʊ", "W": "aʊ", "Y": "ɔɪ", "Q": "əʊ",
    "T": "ɾ", "ᵊ": "ə", "ᵻ": "ɪ", "ʤ": "dʒ", "ʧ": "tʃ",
}  # fmt: skip
"""Symbols of the model's alphabet that IPA writes in another way."""


@dataclass(frozen=True)
class HibariEngine:
    """English by hibari-tts (Apache-2.0): 24 kHz, some hundred times faster than real time on one core."""

    name: str = "hibari"

    @property
    def version(self) -> str:
        return importlib.metadata.version("hibari-tts") if _is_installed() else ""

    def voices(self) -> Sequence[Voice]:
        return [Voice("hibari", "en-US", "American English, female")] if _is_installed() else []

    def missing(self) -> str:
        return "" if _is_installed() else "pip install hibari-tts"

    def speak(self, sentence: str, voice: str) -> Utterance:
        if not _is_installed():
            raise VoiceUnavailableError(f"The voice {voice} is not installed: {self.missing()}")
        symbols = self._model.phonemes(sentence)
        if not any(symbol.isalpha() for symbol in symbols):
            raise NothingToSpeakError(f"Nothing in {sentence[:40]!r} can be said in English.")
        samples, durations = self._model.synthesise(symbols)
        return Utterance(Sound(samples, RATE_HZ), place_phones(symbols, durations, samples))

    @cached_property
    def _model(self) -> HibariModel:
        return HibariModel()


def _is_installed() -> bool:
    return importlib.util.find_spec("hibari") is not None


class HibariModel:
    """hibari's parts put together so that the durations come out too."""

    def __init__(self) -> None:
        import onnxruntime
        from hibari.g2p import G2P
        from hibari.voices import ASSETS, DEFAULT, voice_path

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        graph = with_output(Path(voice_path(DEFAULT, download_missing=False)).read_bytes(), DURATION_TENSOR)
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._vocabulary: dict[str, int] = json.loads((Path(ASSETS) / "vocab.json").read_text(encoding="utf-8"))
        self._g2p = G2P()

    def phonemes(self, text: str) -> str:
        """Text in the model's alphabet: IPA with capitals for diphthongs, stress marks, punctuation, blanks."""
        return "".join(symbol for symbol in self._g2p(text) if symbol in self._vocabulary)

    def synthesise(self, symbols: str) -> tuple[FloatArray, NDArray[np.int64]]:
        """Speak L - 2 symbols: (N,) samples, and the (L,) duration frames of the symbols and the pads around them."""
        from hibari import dsp

        ids = [0, *(self._vocabulary[symbol] for symbol in symbols), 0]
        feed = {"ids": np.asarray([ids], np.int64), "speed": np.ones(1, np.float32)}
        *spectrum, durations = self._session.run(None, feed)
        samples = dsp.synth(*(part[0] for part in spectrum), np.random.default_rng(SEED))
        return np.asarray(samples, np.float32), durations.astype(np.int64)


def with_output(model: bytes, tensor: str) -> bytes:
    """A serialised ONNX model with one more output, after those it has.

    Two serialised protobuf messages in a row are one message with the lists of both (Protocol Buffers, Encoding,
    "Last One Wins"), so the addition is appended: ModelProto.graph is field 7, GraphProto.output 12,
    ValueInfoProto.name 1.
    """
    return model + _field(7, _field(12, _field(1, tensor.encode())))


def _field(number: int, content: bytes) -> bytes:
    if number > 15 or len(content) > 127:
        raise ValueError("Only fields whose number and length take one byte each are written here.")
    return bytes([number << 3 | 2, len(content)]) + content


def place_phones(symbols: str, durations: NDArray[np.int64], samples: FloatArray) -> tuple[Phone, ...]:
    """Phones and where they sound.

    Args:
        symbols: L - 2 symbols of the model's alphabet; the model puts a silent one before and after them.
        durations: (L,) duration frames of each.
        samples: (N,) what was spoken.

    Returns:
        Phones without gaps from 0 to N / RATE_HZ.
    """
    length_s = len(samples) / RATE_HZ
    ends_s = np.clip(np.cumsum(durations) * DURATION_FRAME_S - LABEL_LAG_S, 0, length_s)
    ends_s[-1] = length_s
    loudness = _Loudness(samples)
    phones: list[Phone] = []
    start_s, stress = 0.0, 0
    for symbol, end_s in zip(["", *symbols, ""], ends_s.tolist(), strict=True):
        after_pause = bool(phones) and phones[-1].symbol == PAUSE
        if symbol in STRESS:
            stress = STRESS[symbol]
        elif symbol == LENGTH and phones:
            phones[-1] = replace(phones[-1], symbol=phones[-1].symbol + LENGTH, end_s=end_s)
            start_s = end_s
        elif symbol in SILENT and (after_pause or (symbol != " " and loudness.has_pause(start_s, end_s))):
            phones.append(Phone(PAUSE, start_s, end_s))
            start_s = end_s
        elif symbol not in SILENT:
            phones.append(Phone(IPA.get(symbol, symbol), start_s, end_s, stress))
            start_s, stress = end_s, 0
        # What is left, blanks and marks without a pause, goes to the phone that follows: start_s stays.
    phones[-1] = replace(phones[-1], end_s=length_s)
    return _with_pauses_as_heard(phones, loudness)


def _with_pauses_as_heard(phones: Sequence[Phone], loudness: _Loudness) -> tuple[Phone, ...]:
    """Pauses in a row made one, begun where the phone before has faded and ended where the next is heard."""
    placed: list[Phone] = []
    for phone in phones:
        last = placed[-1] if placed else None
        if last is None or PAUSE not in (last.symbol, phone.symbol):
            placed.append(phone)
        elif last.symbol == phone.symbol:
            placed[-1] = replace(last, end_s=phone.end_s)
        elif last.symbol == PAUSE:
            begun_s = loudness.last_quiet_s(last.start_s, last.end_s)
            placed[-1:] = [replace(last, end_s=begun_s), replace(phone, start_s=begun_s)]
        else:
            least_s = min(last.start_s + SHORTEST_PHONE_S, last.end_s)
            faded_s = max(loudness.last_heard_s(last.start_s, last.end_s), least_s)
            placed[-1:] = [replace(last, end_s=faded_s), replace(phone, start_s=faded_s)]
    return tuple(phone for phone in placed if phone.end_s > phone.start_s)


class _Loudness:
    """Where in an utterance something is heard."""

    def __init__(self, samples: FloatArray) -> None:
        blocks = samples[: len(samples) // BLOCK * BLOCK].reshape(-1, BLOCK)
        rms = np.sqrt(np.square(blocks).mean(1))
        self._heard = rms > rms.max(initial=0) * 10 ** (QUIET_DB / 20)

    def _part(self, start_s: float, end_s: float) -> slice:
        return slice(round(start_s * RATE_HZ / BLOCK), round(end_s * RATE_HZ / BLOCK))

    def has_pause(self, start_s: float, end_s: float) -> bool:
        """Whether half of a stretch or more is quiet; a stretch of no length is not."""
        heard = self._heard[self._part(start_s, end_s)]
        return bool(len(heard)) and bool(heard.mean() <= 0.5)

    def last_heard_s(self, start_s: float, end_s: float) -> float:
        """End of the last loud block of a stretch; its start if there is none."""
        return self._last(self._heard, start_s, end_s)

    def last_quiet_s(self, start_s: float, end_s: float) -> float:
        """End of the last quiet block of a stretch; its start if there is none."""
        return self._last(~self._heard, start_s, end_s)

    def _last(self, blocks: BoolArray, start_s: float, end_s: float) -> float:
        part = self._part(start_s, end_s)
        found = np.flatnonzero(blocks[part])
        return float(np.clip((part.start + found[-1] + 1) * BLOCK / RATE_HZ, start_s, end_s)) if len(found) else start_s
