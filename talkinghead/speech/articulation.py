"""What the lips do for each phone: articulatory features of a phone sequence over time, in any language's IPA.

An expression predictor takes them beside the audio's features where the text is known: from a text-to-speech engine,
which tells every phone and its time, or from the alignment of a transcript. The classes are those of the IPA chart
(International Phonetic Association, 2020): height and rounding of vowels, place of articulation of consonants.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from talkinghead.structures import FloatArray
from talkinghead.text_to_speech.engine import Phone

OPENNESS: Mapping[float, str] = MappingProxyType(
    {
        # A vowel by its height, a consonant by how far open the jaw can be while it is articulated.
        0.0: "pbmɸɓʙβ",
        0.15: "fvɱʋ",
        0.25: "szʃʒɕʑʂʐʧʤʦʨtdnlθðjɥɲʎʈɖɳɭɫcɟçʝɗɬɮ",
        0.35: "kɡgŋxhɹrɾɻwɰuʊɯyʏiɪɨᵻɣɦħqɢχʁʀɴɽɺʉʔʍɚɝ",
        0.55: "eɘəɵøoɤɜʌEOᵊ",
        0.75: "ɛœɔɐæAIWY",
        1.0: "aɑɒäɶ",
    }
)
"""How far the mouth opens, from 0 (closed) to 1 -> the phones."""
ROUNDED: Mapping[float, str] = MappingProxyType({1.0: "uʊowyʏøɥʉʷʍO", 0.6: "ɔœɒɵɞ", 0.4: "ʃʒʧʤɹɻʂʐɚɝ"})
"""How far the lips are rounded or protruded -> the phones."""
SPREAD: Mapping[float, str] = MappingProxyType({1.0: "ij", 0.6: "eɪɕʑʨszʦæ", 0.3: "ɛtdnlç"})
"""How far the corners are drawn apart -> the phones."""
CLOSED, LABIODENTAL = "pbmɓʙ", "fvɱ"
"""Phones that close the lips, and those for which the lower lip touches the teeth."""
SIBILANT, DENTAL = "szʃʒɕʑʂʐʧʤʦʨ", "θðlntdɫɾ"
"""Phones with teeth together, and those with the tongue at them."""
FEATURES = ("known", "spoken", "openness", "rounded", "spread", "closed", "labiodental", "sibilant", "dental")
"""Names of the features; `known` is 1 wherever the phones are known, in pauses too."""
STEP_S = 0.005
"""Step of the grid on which phones are laid out."""
FRAME_S = 0.02
"""Length over which a feature is averaged."""
CLOSING_S, HOLD_S = 0.06, 0.02
"""How long before a phone that closes them the lips begin to meet, and have met, seconds. Half a frame at 25 frames a
second: so no closure falls between two frames."""
PARTING_S = 0.05
"""Time that lips take to part after it, seconds."""
TOUCHING = 0.6
"""How far f and v close the lips: the lower one is at the teeth."""
RELEASE_S = 0.025
"""How long before the end of such a phone the lips begin to part, seconds: p and b end with their burst and what
follows it, 22 to 31 ms in the voices of hibari and Kokoro (`benchmarks/plosives.py`)."""
ARPABET: Mapping[str, str] = MappingProxyType(
    {
        "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ", "D": "d", "DH": "ð",
        "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ", "IY": "i", "JH": "dʒ", "K": "k",
        "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ",
        "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
    }
)  # fmt: skip
"""ARPABET, as aligners write it, in IPA."""


@dataclass(frozen=True)
class KnownPhones:
    """The phones of a recording."""

    phones: tuple[Phone, ...]
    """In the order of time."""
    is_synthetic: bool
    """Whether a text-to-speech engine spoke and timed them: exactly, without breath and in silence between them. Those
    found by alignment are some hundredths of a second off."""

    def shifted(self, by_s: float) -> KnownPhones:
        """The same phones later by so many seconds; by a negative number, earlier."""
        moved = (replace(phone, start_s=phone.start_s + by_s, end_s=phone.end_s + by_s) for phone in self.phones)
        return replace(self, phones=tuple(moved)) if by_s else self


def _vectors() -> dict[str, FloatArray]:
    """Features of each symbol, in the order of `FEATURES`."""
    classes: tuple[Mapping[float, str], ...] = (
        OPENNESS, ROUNDED, SPREAD, {1.0: CLOSED}, {1.0: LABIODENTAL}, {1.0: SIBILANT}, {1.0: DENTAL}
    )  # fmt: skip
    vectors = {}
    for symbol in "".join(OPENNESS.values()):
        strengths = [next((value for value, members in by.items() if symbol in members), 0.0) for by in classes]
        vectors[symbol] = np.array([1.0, 1.0, *strengths], np.float32)
    return vectors


_VECTORS = _vectors()
_UNSPOKEN = np.array([1.0] + [0.0] * (len(FEATURES) - 1), np.float32)


def symbols_of(phone: str) -> list[str]:
    """Symbols of a phone in IPA or ARPABET that say something of the lips: "dʒ" -> d, ʒ; "AY1" -> a, ɪ; marks of
    length, tone and the like have no openness and are left out."""
    plain = re.sub(r"[0-9]", "", phone)
    return [symbol for symbol in ARPABET.get(plain, plain) if symbol in _VECTORS]


def articulate(phones: Sequence[Phone], times_s: NDArray[np.float64]) -> FloatArray:
    """Articulatory features of a phone sequence.

    A phone of several symbols, a diphthong or an affricate, passes through them in equal times.

    Args:
        phones: in the order of time.
        times_s: (T,) seconds at which the features are wanted, each averaged over `FRAME_S` around it.

    Returns:
        (T, len(FEATURES)) float32, each in [0, 1].
    """
    if not len(times_s):
        return np.zeros((0, len(FEATURES)), np.float32)
    begin_s, end_s = float(times_s[0]) - FRAME_S, float(times_s[-1]) + FRAME_S
    grid = np.tile(_UNSPOKEN, (int(np.ceil((end_s - begin_s) / STEP_S)), 1))
    for phone in _between(phones, begin_s, end_s):
        symbols = symbols_of(phone.symbol)
        edges_s = np.linspace(phone.start_s, phone.end_s, len(symbols) + 1)
        edges = np.clip(np.round((edges_s - begin_s) / STEP_S), 0, len(grid)).astype(int)
        for symbol, first, end in zip(symbols, edges[:-1], edges[1:], strict=True):
            grid[first:end] = _VECTORS[symbol]
    # A difference of the running sum is the integral between two times, each interpolated on the grid.
    total = np.concatenate([np.zeros((1, grid.shape[1])), np.cumsum(grid, axis=0, dtype=np.float64)])
    grid_s = begin_s + np.arange(len(total)) * STEP_S
    halves = [np.stack([np.interp(times_s + side, grid_s, column) for column in total.T], 1) for side in _SIDES]
    return ((halves[1] - halves[0]) * (STEP_S / FRAME_S)).astype(np.float32)


_SIDES = (-FRAME_S / 2, FRAME_S / 2)


def _between(phones: Sequence[Phone], begin_s: float, end_s: float) -> Sequence[Phone]:
    """Those of the phones, in the order of time, that are spoken between two moments."""
    first = bisect.bisect_right(phones, begin_s, key=lambda phone: phone.end_s)
    return phones[first : bisect.bisect_left(phones, end_s, key=lambda phone: phone.start_s)]


def closure_at(phones: Sequence[Phone], times_s: NDArray[np.float64]) -> FloatArray:
    """How far p, b and m are to close the lips at given times, and f and v to bring the lower one to the teeth.

    Args:
        phones: in the order of time.
        times_s: (T,) seconds.

    Returns:
        (T,) float32 in [0, 1]: at its highest from `HOLD_S` before such a phone to `RELEASE_S` before its end.
    """
    strength = np.zeros(len(times_s), np.float32)
    if not len(times_s):
        return strength
    for phone in _between(phones, float(times_s[0]) - PARTING_S, float(times_s[-1]) + CLOSING_S):
        first = next(iter(symbols_of(phone.symbol)), "")
        height = 1.0 if first and first in CLOSED else TOUCHING if first and first in LABIODENTAL else 0.0
        if height:
            release_s = max(phone.end_s - RELEASE_S, phone.start_s + HOLD_S)
            before = (phone.start_s - HOLD_S - times_s) / (CLOSING_S - HOLD_S)
            after = (times_s - release_s) / PARTING_S
            own = height * np.clip(1 - np.maximum(before, after), 0, 1)
            strength = np.maximum(strength, own.astype(np.float32))
    return strength
