"""From phones to articulator positions, after Cohen and Massaro (Modeling Coarticulation in Synthetic Visual Speech,
1993): every phone has a target for each articulator and a dominance that rises before it and fades after it; where
dominances overlap, the targets blend by their strength. So rounding is visible before its vowel is audible, a
weak consonant takes the shape of its neighbors, and a bilabial closes the lips whatever its neighbors are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkinghead.text_to_speech import PAUSE
from talkinghead.text_to_speech import Phone as SpokenPhone

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Phone(SpokenPhone):
    """A phone of the speech, or a PAUSE or BREATH between phones."""

    effort: float = 1.0
    """Factor on the opening of vowels, about 1, by the energy of the audio."""


@dataclass(frozen=True)
class Viseme:
    """Targets of the articulators for a phone."""

    targets: dict[str, float]
    """Target of each articulator that the phone involves."""
    strengths: dict[str, float]
    """Strength of dominance of each articulator; 1 for those that are not named."""
    elsewhere: float
    """Strength with which every articulator without a target is drawn to 0."""
    reach: float = 1.0
    """Factor on `REACH_S`: small for closures, which are sudden, large for pauses, which begin slowly."""


BREATH = "breath"
"""Symbol of a breath, between a PAUSE and the phrase before which it is taken."""

REST = {"gap": -0.06, "jaw": 0.02}
"""Positions at rest; articulators not named are at 0. The gap below 0 presses the lips together softly."""

FIRMNESS = (1.0, 1.2, 1.7)
"""Factor on the strength of a vowel against its neighbors, by stress."""

REACH_S = {
    "jaw": (0.085, 0.075),
    "gap": (0.050, 0.045),
    "round": (0.130, 0.080),
    "funnel": (0.110, 0.070),
    "spread": (0.100, 0.080),
    "lower": (0.080, 0.070),
    "upper": (0.080, 0.070),
    "tuck": (0.065, 0.055),
    "press": (0.045, 0.035),
}
"""Time before a phone in which each articulator moves towards its target, and time after it in which it moves away."""
ARTICULATORS = tuple(REACH_S)
"""jaw: weight of the jaw's opening; gap: centimeters between the inner lips, below 0 pressed together; round and
funnel: lips forward, closed round or flared; spread: corners apart; lower, upper: lower lip down, upper lip up;
tuck: lower lip under the upper teeth; press: lips pressed flat. All but the first two are 0 to about 1."""

CORE = 0.6
"""Fraction of a phone, about its middle, in which its dominance is full."""
LEAST_CLOSURE_S = 0.042
"""Least time of full dominance of a closure, so that every rate from 25 frames a second on shows it."""
ROLL_OFF = 1.5
"""Exponent of the fading of dominance; above 1, so that it begins smoothly."""

EMPHASIS = (0.88, 0.96, 1.04)
"""Factor on the opening of vowels, by stress."""


def _vowel(jaw: float, gap: float, **others: float) -> Viseme:
    """A vowel: every target has full strength."""
    return Viseme({"jaw": jaw, "gap": gap, **others}, {}, elsewhere=0.5)


def _consonant(jaw: float, gap: float, strength: float, **others: float) -> Viseme:
    """A consonant: jaw and gap have the given strength, and other articulators follow the neighbors."""
    return Viseme({"jaw": jaw, "gap": gap, **others}, {"jaw": strength, "gap": strength}, elsewhere=0.06)


_BILABIAL = Viseme(
    {"jaw": 0.06, "gap": -0.45, "press": 1.0, "funnel": 0.0},
    {"gap": 9.0, "jaw": 2.0, "press": 3.0},
    elsewhere=0.08,
    reach=0.7,
)
_LABIODENTAL = Viseme(
    {"jaw": 0.075, "gap": 0.25, "tuck": 1.0, "upper": 0.17},
    {"tuck": 4.0, "gap": 4.0, "jaw": 2.5, "upper": 2.0},
    elsewhere=0.08,
    reach=0.8,
)
_ALVEOLAR = _consonant(0.06, 0.36, 0.9, lower=0.14)
_SIBILANT = _consonant(0.035, 0.34, 3.0, spread=0.25, lower=0.20, upper=0.06)
_POSTALVEOLAR = Viseme(
    {"jaw": 0.05, "gap": 0.46, "funnel": 0.48, "round": 0.28, "lower": 0.12, "upper": 0.05},
    {"jaw": 2.6, "gap": 2.6, "funnel": 2.0, "round": 1.6},
    elsewhere=0.06,
)
_DENTAL = _consonant(0.07, 0.40, 1.1, lower=0.12)
_VELAR = _consonant(0.09, 0.42, 0.35)

VISEMES: dict[str, Viseme] = {
    PAUSE: Viseme(REST, {}, elsewhere=1.0, reach=1.6),
    BREATH: Viseme({"jaw": 0.06, "gap": 0.22}, {}, elsewhere=1.0, reach=1.6),
    **dict.fromkeys("pbm", _BILABIAL),
    **dict.fromkeys("fv", _LABIODENTAL),
    **dict.fromkeys("tdnɾ", _ALVEOLAR),
    **dict.fromkeys("sz", _SIBILANT),
    **dict.fromkeys(("ʃ", "ʒ", "tʃ", "dʒ"), _POSTALVEOLAR),
    **dict.fromkeys("θð", _DENTAL),
    **dict.fromkeys("kɡŋ", _VELAR),
    "l": _consonant(0.10, 0.46, 0.9, lower=0.10),
    "ɹ": _consonant(0.08, 0.34, 0.9, round=0.32, funnel=0.16),
    "w": Viseme(
        {"jaw": 0.07, "gap": 0.22, "round": 0.80, "funnel": 0.16}, {"round": 2.5, "gap": 3.0, "jaw": 1.0}, elsewhere=0.3
    ),
    "j": _consonant(0.07, 0.40, 0.8, spread=0.35),
    "h": _consonant(0.12, 0.55, 0.08),
    "ʔ": _consonant(0.10, 0.45, 0.08),
    "i": _vowel(0.080, 0.52, spread=0.55, lower=0.18, upper=0.06),
    "ɪ": _vowel(0.125, 0.66, spread=0.32, lower=0.15, upper=0.04),
    "ɛ": _vowel(0.195, 0.92, spread=0.30, lower=0.18, upper=0.06),
    "æ": _vowel(0.250, 1.12, spread=0.34, lower=0.20, upper=0.08),
    "ɑ": _vowel(0.300, 1.22, lower=0.14, upper=0.05),
    "ʌ": _vowel(0.215, 0.92, lower=0.12, upper=0.03),
    "ɔ": _vowel(0.250, 0.96, round=0.28, funnel=0.24),
    "o": _vowel(0.175, 0.72, round=0.46, funnel=0.30),
    "ʊ": _vowel(0.115, 0.54, round=0.48, funnel=0.24),
    "u": _vowel(0.095, 0.46, round=0.72, funnel=0.34),
    "ɜ": _vowel(0.130, 0.55, round=0.26, funnel=0.12),
    "ə": Viseme({"jaw": 0.12, "gap": 0.54}, {"jaw": 0.6, "gap": 0.6}, elsewhere=0.15),
}
VISEMES |= {"ɐ": VISEMES["ə"], "ɚ": VISEMES["ɜ"], "a": VISEMES["ɑ"], "e": VISEMES["ɛ"]}
"""Viseme of each symbol (IPA, PAUSE or BREATH)."""

DIPHTHONGS = {name: tuple(name) for name in ("eɪ", "aɪ", "oʊ", "aʊ", "ɔɪ", "əʊ")}
"""The two vowels of each diphthong."""
ONSET_SHARE = 0.55
"""Fraction of a diphthong that belongs to its first vowel."""

BILABIALS = frozenset("pbm")
"""Phones with closed lips."""
LABIODENTALS = frozenset("fv")
"""Phones with the lower lip at the upper teeth."""
VOWELS = frozenset("iɪɛæɑʌɔoʊuɜəɐɚae") | DIPHTHONGS.keys()
"""Phones whose opening follows effort and stress."""


def monophthongs(phones: Sequence[Phone]) -> list[Phone]:
    """Phones with every diphthong split into the two vowels between which it glides."""
    parts = []
    for phone in phones:
        if phone.symbol not in DIPHTHONGS:
            parts.append(phone)
            continue
        first, second = DIPHTHONGS[phone.symbol]
        split_s = phone.start_s + ONSET_SHARE * (phone.end_s - phone.start_s)
        parts.append(Phone(first, phone.start_s, split_s, phone.stress, phone.effort))
        parts.append(Phone(second, split_s, phone.end_s, 1, phone.effort))
    return parts


def dominance(times_s: FloatArray, core_s: tuple[float, float], reach_s: tuple[float, float]) -> FloatArray:
    """Dominance of a phone at each time: (T,) in [0, 1], 1 in the core, fading over the reach before and after it."""
    before = np.maximum(core_s[0] - times_s, 0) / reach_s[0]
    after = np.maximum(times_s - core_s[1], 0) / reach_s[1]
    return np.exp(-((before + after) ** ROLL_OFF))


def core_of(phone: Phone) -> tuple[float, float]:
    """Begin and end of a phone's full dominance, about its middle; long enough to be visible for a closure."""
    middle, half = (phone.start_s + phone.end_s) / 2, CORE * (phone.end_s - phone.start_s) / 2
    if phone.symbol in BILABIALS:
        half = max(half, LEAST_CLOSURE_S / 2)
    return middle - half, middle + half


def target_of(phone: Phone, articulator: str) -> float:
    """Target of an articulator for a phone; vowels open by their effort and stress."""
    viseme = VISEMES[phone.symbol]
    target = viseme.targets.get(articulator, 0.0)
    if phone.symbol in VOWELS and articulator in ("jaw", "gap", "lower"):
        target *= phone.effort * EMPHASIS[phone.stress]
    return target


def articulate(phones: Sequence[Phone], times_s: FloatArray, period_s: float) -> dict[str, FloatArray]:
    """Positions of every articulator at each time.

    phones: in order and without gaps from 0 to period_s, pauses included; time runs in a circle of period_s.
    Returns {articulator: (T,)} in the units of `ARTICULATORS`. Raises KeyError for a symbol without a viseme.
    """
    parts = monophthongs(phones)
    positions = {}
    for articulator, reach_s in REACH_S.items():
        blended, total = np.zeros_like(times_s), np.full_like(times_s, 1e-12)
        for phone in parts:
            viseme = VISEMES[phone.symbol]
            default = 1.0 if articulator in viseme.targets else viseme.elsewhere
            reach = (viseme.reach * reach_s[0], viseme.reach * reach_s[1])
            core = core_of(phone)
            # Time is circular: the phone also acts one period earlier and one later.
            near = sum(dominance(times_s + lap * period_s, core, reach) for lap in (-1, 0, 1))
            weight = viseme.strengths.get(articulator, default) * FIRMNESS[phone.stress] * near
            blended += weight * target_of(phone, articulator)
            total += weight
        positions[articulator] = blended / total
    return positions
