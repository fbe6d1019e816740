"""From phones to articulator positions, after Cohen and Massaro (Modeling Coarticulation in Synthetic Visual Speech,
1993): every phone has a target for each articulator and a dominance that rises before it and fades after it; where
dominances overlap, the targets blend by their strength. So rounding is visible before its vowel is audible, a
weak consonant takes the shape of its neighbors.

Closures of p, b and m are timed apart from that, because they are seen and heard to a few milliseconds: the lips aim at
a place beyond contact and meet, and part, on their way there, while they still move fast (Löfqvist and Gracco, Lip and
jaw kinematics in bilabial stop consonant production, 1997). They touch from where the phone begins to its release.
"""

from __future__ import annotations

import math
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
    release_s: float | None = None
    """When the lips of a p, b or m part: at its burst, which comes before its end. None: at its end."""


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

REST = {"gap": -0.06, "jaw": 0.02, "back": 0.35}
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
    "tip": (0.050, 0.045),
    "fore": (0.060, 0.050),
    "back": (0.080, 0.070),
}
"""Time before a phone in which each articulator moves towards its target, and time after it in which it moves away."""
ARTICULATORS = tuple(REACH_S)
"""jaw: weight of the jaw's opening; gap: centimeters between the inner lips, below 0 pressed together; round and
funnel: lips forward, closed round or flared; spread: corners apart; lower, upper: lower lip down, upper lip up;
tuck: lower lip at the upper teeth; press: lips pressed flat; tip, fore, back: of the tongue, see `tongue.MOVEMENTS`.
All but the first two are 0 to about 1."""

CORE = 0.6
"""Fraction of a phone, about its middle, in which its dominance is full."""
LEAST_CLOSURE_S = 0.056
"""Least time for which the lips touch, so that every rate from 25 frames a second on shows them pressed."""
HELD_S = 0.12
"""How much earlier the lips meet where nothing is spoken before: they are pressed, and wait."""
BEYOND_CM = 0.45
"""How far beyond contact the lips aim in a closure, as if they could pass through each other."""
CLOSING_S, OPENING_S = 0.10, 0.13
"""Time in which the lips go from their free position to that aim, and back."""
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
    {"jaw": 0.06, "press": 1.0, "funnel": 0.0},
    {"jaw": 2.0, "press": 3.0, "gap": 0.0},  # `closed` moves the lips; this is where they would be without
    elsewhere=0.08,
    reach=0.7,
)
_LABIODENTAL = Viseme(
    {"jaw": 0.075, "gap": 0.25, "tuck": 1.0, "upper": 0.17, "round": 0.08, "funnel": 0.04},
    {"tuck": 4.0, "gap": 4.0, "jaw": 2.5, "upper": 2.0, "round": 4.0, "funnel": 4.0},
    elsewhere=0.08,
    reach=0.8,
)
_ALVEOLAR = _consonant(0.06, 0.30, 0.9, lower=0.16, tip=1.0, back=0.45)
_SIBILANT = _consonant(0.035, 0.30, 3.0, spread=0.32, lower=0.26, upper=0.12, tip=0.7, back=0.5)
_POSTALVEOLAR = Viseme(
    {"jaw": 0.05, "gap": 0.40, "funnel": 0.48, "round": 0.28, "lower": 0.12, "upper": 0.05, "tip": 0.5, "back": 0.5},
    {"jaw": 2.6, "gap": 2.6, "funnel": 2.0, "round": 1.6},
    elsewhere=0.06,
)
_DENTAL = _consonant(0.08, 0.35, 1.1, lower=0.14, fore=1.0, back=0.35)
_VELAR = _consonant(0.09, 0.34, 0.35, back=1.0)

VISEMES: dict[str, Viseme] = {
    PAUSE: Viseme(REST, {}, elsewhere=1.0, reach=1.6),
    BREATH: Viseme({"jaw": 0.07, "gap": 0.30, "back": 0.2}, {}, elsewhere=1.0, reach=1.3),
    **dict.fromkeys("pbm", _BILABIAL),
    **dict.fromkeys("fv", _LABIODENTAL),
    **dict.fromkeys("tdnɾ", _ALVEOLAR),
    **dict.fromkeys("sz", _SIBILANT),
    **dict.fromkeys(("ʃ", "ʒ", "tʃ", "dʒ"), _POSTALVEOLAR),
    **dict.fromkeys("θð", _DENTAL),
    **dict.fromkeys("kɡŋ", _VELAR),
    "l": _consonant(0.10, 0.38, 0.9, lower=0.12, tip=1.0, back=0.35),
    "ɹ": _consonant(0.08, 0.30, 0.9, round=0.32, funnel=0.16, tip=0.45, back=0.45),
    "w": Viseme(
        {"jaw": 0.07, "gap": 0.22, "round": 0.80, "funnel": 0.16}, {"round": 2.5, "gap": 3.0, "jaw": 1.0}, elsewhere=0.3
    ),
    "j": _consonant(0.07, 0.34, 0.8, spread=0.40, back=0.8),
    "h": _consonant(0.12, 0.45, 0.08),
    "ʔ": _consonant(0.10, 0.45, 0.08),
    "i": _vowel(0.080, 0.47, spread=0.70, lower=0.24, upper=0.14, back=0.7),
    "ɪ": _vowel(0.125, 0.57, spread=0.38, lower=0.18, upper=0.08, back=0.55),
    "ɛ": _vowel(0.195, 0.85, spread=0.34, lower=0.20, upper=0.10, back=0.25),
    "æ": _vowel(0.250, 1.08, spread=0.38, lower=0.22, upper=0.13),
    "ɑ": _vowel(0.300, 1.18, lower=0.14, upper=0.05),
    "ʌ": _vowel(0.215, 0.82, lower=0.12, upper=0.03, back=0.15),
    "ɔ": _vowel(0.250, 0.88, round=0.28, funnel=0.24, back=0.15),
    "o": _vowel(0.175, 0.63, round=0.46, funnel=0.30, back=0.4),
    "ʊ": _vowel(0.115, 0.47, round=0.48, funnel=0.24, back=0.5),
    "u": _vowel(0.095, 0.39, round=0.72, funnel=0.34, back=0.7),
    "ɜ": _vowel(0.130, 0.48, round=0.26, funnel=0.12, back=0.4),
    "ə": Viseme({"jaw": 0.12, "gap": 0.45, "back": 0.3}, {"jaw": 0.6, "gap": 0.6}, elsewhere=0.15),
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
    """Begin and end of a phone's full dominance: about its middle, or while a closure lasts."""
    if phone.symbol in BILABIALS:
        return contact_of(phone)
    middle, half = (phone.start_s + phone.end_s) / 2, CORE * (phone.end_s - phone.start_s) / 2
    return middle - half, middle + half


def contact_of(phone: Phone) -> tuple[float, float]:
    """When the lips of a p, b or m meet, and when they part."""
    release_s = phone.end_s if phone.release_s is None else phone.release_s
    return min(phone.start_s, release_s - LEAST_CLOSURE_S), release_s


def contacts(phones: Sequence[Phone]) -> list[tuple[float, float]]:
    """When the lips are closed by p, b and m: one stretch for neighbors, and longer where one begins a phrase."""
    found: list[tuple[float, float]] = []
    for before, phone in zip([None, *phones], phones, strict=False):
        if phone.symbol not in BILABIALS:
            continue
        meet_s, part_s = contact_of(phone)
        if before is not None and before.symbol in BILABIALS:
            meet_s = found.pop()[0]
        elif before is not None and before.symbol in (PAUSE, BREATH):
            meet_s -= min(HELD_S, 0.8 * (before.end_s - before.start_s))
        found.append((meet_s, part_s))
    return found


def closed(
    free_cm: FloatArray, phones: Sequence[Phone], times_s: FloatArray, period_s: float
) -> tuple[FloatArray, FloatArray]:
    """The gap at which the lips aim, where p, b and m close them, and how far on their way to it they are.

    Args:
        free_cm: (T,) gaps without closures.
        phones, times_s, period_s: as of `articulate`.

    Returns:
        (T,) gaps, below 0 beyond contact: they pass through 0 exactly where the lips meet and part, however far open
        they were before; and (T,) 0 to 1.
    """
    aim, closing = free_cm.copy(), np.zeros_like(free_cm)
    for meet_s, part_s in contacts(phones):
        shares = []
        for edge_s, length_s, sign in ((meet_s, CLOSING_S, 1), (part_s, OPENING_S, -1)):
            # The free gap where the lips touch says how much of the way is left beyond contact.
            since = (times_s - edge_s + period_s / 2) % period_s - period_s / 2
            free = max(float(np.interp(edge_s, times_s, free_cm, period=period_s)), 0.0)
            touch = _time_of(free / (free + BEYOND_CM))
            shares.append(_eased(sign * since / length_s + touch))
        share = np.minimum(*shares)
        aim = np.minimum(aim, (1 - share) * free_cm - share * BEYOND_CM)
        closing = np.maximum(closing, share)
    return aim, closing


def _eased(time: FloatArray) -> FloatArray:
    """From 0 to 1 while time runs from 0 to 1, at rest before and after."""
    time = np.clip(time, 0, 1)
    return time * time * (3 - 2 * time)


def _time_of(eased: float) -> float:
    """When `_eased` has come so far."""
    return 0.5 - math.sin(math.asin(1 - 2 * eased) / 3)


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
    Returns {articulator: (T,)} in the units of `ARTICULATORS`, and under "closing" what `closed` gives. Raises KeyError
    for a symbol without a viseme.
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
    aim, closing = closed(positions["gap"], phones, times_s, period_s)
    return positions | {"gap": aim, "closing": closing}
