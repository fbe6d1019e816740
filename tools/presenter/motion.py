"""Motion of lids, eyes, head, torso and lungs: functions of time, without a seam.

A performance is a stretch of speech and then a stretch of silence, `Rounds`. Both begin and end in the same state, at
rest: after the last frame the speech can begin again, and so can the silence, as often as is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

FloatArray = NDArray[np.float64]

BLINK_CLOSING_S = (0.065, 0.095)
"""Shortest and longest time in which the lids close."""
BLINK_SHUT_S = 0.04
"""Time for which the lids stay closed: one frame at 25 a second, so that some frame always shows them closed."""
BLINK_OPENING_S = (0.125, 0.21)
"""Shortest and longest time in which the lids open."""
BLINK_SPACING_S = (1.3, 5.5)
"""Shortest and longest time from one blink to the next."""
BLINK_MARGIN_S = 0.5
"""Least time from either end of a stretch to a blink."""
BLINK_AT_BORDER = 0.8
"""Share of the phrase borders at which there is a blink."""

SACCADE_S = 0.035
"""Length of a small saccade (Baloh et al. 1975: 21 ms and 2.2 ms a degree)."""
ON_LENS_S, OFF_LENS_S = (0.7, 2.4), (0.25, 0.8)
"""Shortest and longest time for which the eyes rest on the lens, and beside it."""
BESIDE_RAD = np.radians((0.7, 1.4))
"""Standard deviation of where they look otherwise, up or down and sideways."""

QUIET_VOLUME, SPOKEN_VOLUME = 0.5, (0.75, 1.0)
"""How full the lungs are after a quiet breath, and after one before speech, of the fullest."""
EMPTYING_HZ = 0.19
"""How much of the fullest is spoken away a second."""
LEAST_BREATH = 0.25
"""What a breath adds at least."""
LEFT_VOLUME = 0.06
"""What is left at the end of a phrase, at least."""
BREATHED_IN, BREATHED_OUT = 0.36, 0.86
"""Shares of a quiet breath at which the lungs are full, and nearly empty again (in, out, and a rest)."""

FEWEST_WAVES = 4
"""A returning wander has at least so many harmonics: three of its values are given, at its ends."""


@dataclass(frozen=True)
class Rounds:
    """The stretches of a performance."""

    speech_s: float
    """Length of the speech, with the pause before and after it."""
    idle_s: float
    """Length of the silence that follows."""

    @property
    def period_s(self) -> float:
        return self.speech_s + self.idle_s


def eased(share: FloatArray) -> FloatArray:
    """From 0 to 1 while the share runs from 0 to 1, at rest before and after it."""
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


def wrapped(times_s: FloatArray, center_s: float, period_s: float) -> FloatArray:
    """Time since the nearest repetition of a moment, in -period_s/2 .. period_s/2."""
    return (times_s - center_s + period_s / 2) % period_s - period_s / 2


def bump(times_s: FloatArray, center_s: float, width_s: float, period_s: float) -> FloatArray:
    """A Gaussian of height 1 and standard deviation width_s."""
    return np.exp(-0.5 * (wrapped(times_s, center_s, period_s) / width_s) ** 2)


def held(times_s: FloatArray, span_s: tuple[float, float], rise_s: float, fall_s: float) -> FloatArray:
    """1 in a span of time; it rises in the time before it, and falls in the time after it."""
    begin_s, end_s = span_s
    return eased((times_s - begin_s + rise_s) / rise_s) - eased((times_s - end_s) / fall_s)


def stepped(times_s: FloatArray, moments_s: Sequence[float], length_s: float, levels: FloatArray) -> FloatArray:
    """(T, D) values that go over to the next level about each of (M,) moments, from 0, by (M, D) levels."""
    before = np.concatenate([np.zeros((1, levels.shape[1])), levels[:-1]])
    share = np.stack([eased((times_s - moment) / length_s + 0.5) for moment in moments_s], 1)
    return share @ (levels - before)


# Wandering


def wander(
    times_s: FloatArray, period_s: float, band_hz: tuple[float, float], random: np.random.Generator
) -> FloatArray:
    """Smooth noise of standard deviation 1 in a band, of whole oscillations a period, that returns to rest.

    Of all such noise, which is normally distributed, it is a sample under the condition that value, slope and curvature
    are 0 at the beginning of the period, and so at its end.
    """
    first = max(1, int(np.ceil(band_hz[0] * period_s)))
    cycles = np.arange(first, max(first + FEWEST_WAVES, int(np.floor(band_hz[1] * period_s)) + 1))
    even, odd = random.standard_normal((2, len(cycles)))
    # Slow movements are larger than fast ones.
    even = _without(even, np.stack([1 / cycles, cycles])) / cycles
    odd = _without(odd, np.ones((1, len(cycles)))) / cycles
    angle = 2 * np.pi * np.outer(times_s / period_s, cycles)
    scale = np.sqrt(0.5 * (np.square(even) + np.square(odd)).sum())
    return (np.cos(angle) @ even + np.sin(angle) @ odd) / scale


def _without(values: FloatArray, directions: FloatArray) -> FloatArray:
    """(N,) values less their part in the span of (M, N) directions."""
    return values - directions.T @ np.linalg.solve(directions @ directions.T, directions @ values)


def wander_in_rounds(
    times_s: FloatArray, rounds: Rounds, band_hz: tuple[float, float], random: np.random.Generator, calm: float = 0.5
) -> FloatArray:
    """`wander` in the speech and, `calm` times as much, in the silence."""
    spoken = wander(times_s, rounds.speech_s, band_hz, random)
    silent = calm * wander(times_s - rounds.speech_s, rounds.idle_s, band_hz, random)
    return np.where(times_s < rounds.speech_s, spoken, silent)


# Eyes


def blink_times(rounds: Rounds, borders_s: Sequence[float], random: np.random.Generator) -> FloatArray:
    """Times at which blinks begin: at most phrase borders, elsewhere where it would be long without, once in silence.

    They are `BLINK_SPACING_S` apart, around the loop too.
    """
    shortest, longest = BLINK_SPACING_S
    end_s = rounds.speech_s - BLINK_MARGIN_S
    idle_s = rounds.speech_s + random.uniform(0.3, 0.6) * rounds.idle_s
    starts: list[float] = []
    for border in sorted(borders_s):
        start_s = border + random.uniform(-0.05, 0.15)
        free = start_s - (starts[-1] if starts else idle_s - rounds.period_s) >= shortest
        if free and random.random() < BLINK_AT_BORDER and BLINK_MARGIN_S <= start_s <= min(end_s, idle_s - shortest):
            starts.append(start_s)
    filled = [idle_s - rounds.period_s]
    for start_s in [*starts, idle_s]:
        parts = int(np.ceil((start_s - filled[-1]) / longest))
        if parts > 1:
            filled += _between(filled[-1], start_s, parts, rounds, random)
        filled.append(start_s)
    return np.asarray(filled[1:])


def _between(first_s: float, last_s: float, parts: int, rounds: Rounds, random: np.random.Generator) -> list[float]:
    """Blinks that cut the time between two others into parts; none over the beginning or end of the speech."""
    even = first_s + (last_s - first_s) * np.arange(1, parts) / parts
    starts = even + random.uniform(-0.35, 0.35, parts - 1)
    return np.clip(starts, BLINK_MARGIN_S, rounds.speech_s - BLINK_MARGIN_S).tolist()


def blinks(times_s: FloatArray, starts_s: FloatArray, period_s: float, random: np.random.Generator) -> FloatArray:
    """(T,) closure of the lids, 0 to 1: they close fast, and open slower, quickly at first and then less and less."""
    shut = np.zeros_like(times_s)
    for start_s in starts_s:
        closing_s, opening_s = random.uniform(*BLINK_CLOSING_S), random.uniform(*BLINK_OPENING_S)
        since = wrapped(times_s, start_s, period_s)
        opened = np.clip((since - closing_s - BLINK_SHUT_S) / opening_s, 0, 1)
        shut += eased(since / closing_s) - eased(opened**0.75)
    return shut


def saccades(times_s: FloatArray, rounds: Rounds, random: np.random.Generator) -> FloatArray:
    """(T, 2) gaze about the direction of the lens, pitch and yaw in radians: mostly on it, with short looks beside it.

    Both stretches begin and end on the lens.
    """
    gaze = np.zeros((len(times_s), 2))
    for begin_s, end_s in ((0.0, rounds.speech_s), (rounds.speech_s, rounds.period_s)):
        start_s = begin_s + random.uniform(*ON_LENS_S)
        while True:
            back_s = start_s + random.uniform(*OFF_LENS_S)
            if back_s > end_s - ON_LENS_S[0]:
                break
            beside = BESIDE_RAD * np.clip(random.standard_normal(2), -2, 2)
            away = np.clip((times_s - start_s) / SACCADE_S, 0, 1) - np.clip((times_s - back_s) / SACCADE_S, 0, 1)
            gaze += np.outer(away, beside)
            start_s = back_s + random.uniform(*ON_LENS_S)
    return gaze


# Lungs


def lung_volume(
    times_s: FloatArray, rounds: Rounds, breaths_s: Sequence[tuple[float, float]], random: np.random.Generator
) -> FloatArray:
    """(T,) how full the lungs are, 0 to 1: filled in each breath, spoken away until the next; one quiet breath in the
    silence.

    Args:
        times_s: (T,) seconds.
        rounds: of the performance; at either end of both stretches the lungs are empty, and at rest.
        breaths_s: begin and end of each breath in the speech, in order.
        random: how deep they are.
    """
    knots = [(0.0, 0.0)]
    for begin_s, end_s in breaths_s:
        last_s, volume = knots[-1]
        left = max(volume - EMPTYING_HZ * (begin_s - last_s), min(LEFT_VOLUME, volume))
        knots += [(begin_s, left)] if begin_s > last_s else []
        knots += [(end_s, max(random.uniform(*SPOKEN_VOLUME), min(left + LEAST_BREATH, 1.0)))]
    idle = [(rounds.speech_s, 0.0), (rounds.speech_s + BREATHED_IN * rounds.idle_s, QUIET_VOLUME)]
    idle += [(rounds.speech_s + BREATHED_OUT * rounds.idle_s, 0.0), (rounds.period_s, 0.0)]
    places_s, volumes = np.array([*knots, *idle]).T
    return np.clip(PchipInterpolator(places_s, volumes)(times_s), 0, 1)
