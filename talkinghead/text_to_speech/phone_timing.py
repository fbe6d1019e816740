"""Times of the phones in audio that Kokoro, or a network distilled from it such as hibari, synthesized.

These networks predict for each symbol of their alphabet how many 25 ms frames it lasts, but do not return that number.
Declaring the inner tensor an output of the ONNX graph makes it available. The phones' times follow from it and from
three facts, measured on 20 sentences by the energy below 900 Hz and above 3.5 kHz around each class of phones
(tests/text_to_speech checks them):

- The audio of a symbol is 50 ms earlier than its frames.
- The space between two words belongs to the word that follows: the closure of a p, the hum of an m start with it.
- The frames of the phone before a pause hold much of the silence; where the phone ends, only the audio shows.
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
"""Sampling rate of the networks' audio."""
DURATION_FRAME_S = 0.025
"""Seconds, unit of the durations that the networks predict."""
DURATION_LAG_S = 0.05
"""By how many seconds the predicted frames are later than the audio."""
BLOCK_S = 0.005
"""Over which loudness is measured."""
SILENT_DB = -40.0
"""A block is silent below this level, relative to the utterance's loudest block."""
MIN_PHONE_S = 0.06
"""What a phone before a pause keeps at least, because the closure of a final p is silent as well."""

STRESS = {"ˌ": 1, "ˈ": 2}
"""Stress marks, written before a vowel -> `Phone.stress`."""
MODIFIERS = frozenset("ːʰʲ\u0303")
"""Symbols that are part of the phone before them: long, aspirated, palatalized, nasal."""
TONES = frozenset("→↗↘↓")
"""Tones of Mandarin, written after the vowel that carries them."""
SILENT = frozenset(["", " ", *';:,.!?—…"()“”'])
"""Symbols that are not phones: the pad at either end (empty here), the space, and punctuation."""
IPA = {
    "A": "eɪ", "I": "aɪ", "O": "oʊ", "W": "aʊ", "Y": "ɔɪ", "Q": "əʊ",
    "T": "ɾ", "ᵊ": "ə", "ᵻ": "ɪ", "ʤ": "dʒ", "ʧ": "tʃ", "ʦ": "ts", "ʨ": "tɕ", "ꭧ": "tʂ",
}  # fmt: skip
"""Symbols of Kokoro's alphabet that IPA writes differently."""


def load_network(model: bytes, durations: str) -> Any:
    """Load a network into an onnxruntime session, on one thread, with the durations of its symbols as an output.

    Args:
        model: content of its ONNX file.
        durations: name of the inner tensor that becomes the last output.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(with_output(model, durations), options, providers=["CPUExecutionProvider"])


def with_output(model: bytes, tensor: str) -> bytes:
    """Add an inner tensor to the outputs of a serialized ONNX model, after those it has.

    Two serialized protobuf messages in a row are one message with the lists of both (Protocol Buffers, Encoding,
    "Last One Wins"), so a message with the new output alone is appended: ModelProto.graph is field 7,
    GraphProto.output 12, ValueInfoProto.name 1.
    """
    return model + _field(7, _field(12, _field(1, tensor.encode())))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field, wire type 2."""
    if number > 15 or len(content) > 127:
        raise ValueError("The number and the length of a field have to fit one byte each.")
    return bytes([number << 3 | 2, len(content)]) + content


def place_phones(symbols: str, durations: NDArray[np.int64], samples: FloatArray) -> tuple[Phone, ...]:
    """Times of the phones of an utterance.

    Args:
        symbols: L - 2 symbols of Kokoro's alphabet, some of them phones; the network adds a silent pad at either end.
        durations: (L,) duration frames of each symbol and of the pads.
        samples: (N,) float32, the audio synthesized, at `RATE_HZ`.

    Returns:
        Phones without gaps from 0 to N / RATE_HZ.
    """
    length_s = len(samples) / RATE_HZ
    ends_s = np.clip(np.cumsum(durations) * DURATION_FRAME_S - DURATION_LAG_S, 0, length_s)
    ends_s[-1] = length_s
    loudness = Loudness(samples, RATE_HZ)
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
        # What remains, spaces and punctuation without a pause, goes to the phone that follows: start_s stays.
    phones[-1] = replace(phones[-1], end_s=length_s)
    return fit_pauses(phones, loudness)


def fit_pauses(phones: Sequence[Phone], loudness: Loudness) -> tuple[Phone, ...]:
    """Join pauses in a row, and move each pause's ends to where the audio falls silent and where it begins again."""
    placed: list[Phone] = []
    for phone in phones:
        last = placed[-1] if placed else None
        if last is None or PAUSE not in (last.symbol, phone.symbol):
            placed.append(phone)
        elif last.symbol == phone.symbol:
            placed[-1] = replace(last, end_s=phone.end_s)
        elif last.symbol == PAUSE:
            begin_s = loudness.last_silent_s(last.start_s, last.end_s)
            placed[-1:] = [replace(last, end_s=begin_s), replace(phone, start_s=begin_s)]
        else:
            least_s = min(last.start_s + MIN_PHONE_S, last.end_s)
            end_s = max(loudness.last_audible_s(last.start_s, last.end_s), least_s)
            placed[-1:] = [replace(last, end_s=end_s), replace(phone, start_s=end_s)]
    return tuple(phone for phone in placed if phone.end_s > phone.start_s)


class Loudness:
    """Which blocks of an utterance are audible, and which silent. Times are seconds from its start."""

    def __init__(self, samples: FloatArray, rate_hz: int) -> None:
        size = round(BLOCK_S * rate_hz)
        self._block_s = size / rate_hz
        blocks = samples[: len(samples) // size * size].reshape(-1, size)
        rms = np.sqrt(np.square(blocks).mean(1))
        self._audible = rms > rms.max(initial=0) * 10 ** (SILENT_DB / 20)

    def _part(self, start_s: float, end_s: float) -> slice:
        return slice(round(start_s / self._block_s), round(end_s / self._block_s))

    def has_pause(self, start_s: float, end_s: float) -> bool:
        """Whether at least half of a stretch is silent; a stretch without length is not."""
        audible = self._audible[self._part(start_s, end_s)]
        return bool(len(audible)) and bool(audible.mean() <= 0.5)

    def last_audible_s(self, start_s: float, end_s: float) -> float:
        """End of the last audible block of a stretch; the stretch's start if there is none."""
        return self._last(self._audible, start_s, end_s)

    def last_silent_s(self, start_s: float, end_s: float) -> float:
        """End of the last silent block of a stretch; the stretch's start if there is none."""
        return self._last(~self._audible, start_s, end_s)

    def _last(self, blocks: BoolArray, start_s: float, end_s: float) -> float:
        part = self._part(start_s, end_s)
        found = np.flatnonzero(blocks[part])
        return float(np.clip((part.start + found[-1] + 1) * self._block_s, start_s, end_s)) if len(found) else start_s
