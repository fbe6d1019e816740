"""Where each phone lies in what a Kokoro-like network spoke.

hibari is distilled from Kokoro: both read the same alphabet, give each of its symbols a number of 25 ms frames, and
then throw that number away. It is had back by declaring that inner tensor an output of the ONNX graph. Where a phone
lies in the sound follows from it and from three facts, measured on 20 sentences from the energy below 900 Hz and above
3.5 kHz around each class of phones (`tests/test_text_to_speech.py` holds them):

- Everything sounds 50 ms before its label.
- The blank between two words belongs to the word that follows: the closure of a p, the hum of an m start with it.
- The phone before a pause is given much of the silence; where it ends is heard in the sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkinghead.structures import BoolArray, FloatArray
from talkinghead.text_to_speech.engine import PAUSE, Phone

RATE_HZ = 24000
DURATION_FRAME_S = 0.025
LABEL_LAG_S = 0.05
"""How much later than the sound the labels are."""
BLOCK = 120
"""Samples, 5 ms, over which loudness is taken."""
QUIET_DB = -40.0
"""Below the utterance's loudest block: nothing is heard."""
SHORTEST_PHONE_S = 0.06
"""What a phone before a pause keeps at least: the closure of a final p is silent as well."""

STRESS = {"ˌ": 1, "ˈ": 2}
MODIFIERS = frozenset("ːʰʲ\u0303")
"""Written after the phone that they are part of: long, aspirated, palatalised, nasal."""
TONES = frozenset("→↗↘↓")
"""Of Mandarin, after the vowel that carries them."""
SILENT = frozenset(["", " ", *';:,.!?—…"()“”'])
"""Symbols that are not phones: the pads at the ends, the blank, and punctuation."""
IPA = {
    "A": "eɪ", "I": "aɪ", "O": "oʊ", "W": "aʊ", "Y": "ɔɪ", "Q": "əʊ",
    "T": "ɾ", "ᵊ": "ə", "ᵻ": "ɪ", "ʤ": "dʒ", "ʧ": "tʃ", "ʦ": "ts", "ʨ": "tɕ", "ꭧ": "tʂ",
}  # fmt: skip
"""Symbols of the model's alphabet that IPA writes in another way."""


def session(model: bytes, durations: str) -> Any:
    """An onnxruntime session of a model, on one thread, that gives the durations after its own outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(with_output(model, durations), options, providers=["CPUExecutionProvider"])


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
        elif symbol in MODIFIERS or symbol in TONES:
            whole = phones[-1].symbol + (symbol if symbol in MODIFIERS else "")
            phones[-1] = replace(phones[-1], symbol=whole, end_s=end_s)
            start_s = end_s
        elif symbol in SILENT and (after_pause or (symbol != " " and loudness.has_pause(start_s, end_s))):
            phones.append(Phone(PAUSE, start_s, end_s))
            start_s = end_s
        elif symbol not in SILENT:
            phones.append(Phone(IPA.get(symbol, symbol), start_s, end_s, stress))
            start_s, stress = end_s, 0
        # What remains, blanks and marks without a pause, goes to the phone that follows: start_s stays.
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
