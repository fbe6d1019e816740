"""Motion of blinks, gaze, brows and head. All of it repeats after a period, without a seam."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

BLINK_CLOSING_S = 0.055
"""Time in which the lids close."""
BLINK_SHUT_S = 0.04
"""Time for which the lids stay closed: one frame at 25 a second, so that some frame always shows them closed."""
BLINK_OPENING_S = (0.065, 0.085)
"""Shortest and longest time in which the lids open."""
BLINK_SPACING_S = (2.5, 5.0)
"""Shortest and longest time from one blink to the next."""
BLINK_MARGIN_S = 0.35
"""Least time from the start of the loop to the first blink."""
PAUSE_PULL_S = 0.6
"""Largest distance of a pause to which a blink is moved."""

SACCADE_S = 0.05
"""Length of a saccade."""
FIXATION_S = (0.7, 2.4)
"""Shortest and longest time between saccades."""
DART_RAD = np.radians(1.1)
"""Standard deviation of the gaze about the direction of the camera."""


def wrapped(times_s: FloatArray, center_s: float, period_s: float) -> FloatArray:
    """Time since the nearest repetition of a moment, in -period_s/2 .. period_s/2."""
    return (times_s - center_s + period_s / 2) % period_s - period_s / 2


def bump(times_s: FloatArray, center_s: float, width_s: float, period_s: float) -> FloatArray:
    """A Gaussian of height 1 and standard deviation width_s."""
    return np.exp(-0.5 * (wrapped(times_s, center_s, period_s) / width_s) ** 2)


def wander(
    times_s: FloatArray, period_s: float, band_hz: tuple[float, float], random: np.random.Generator
) -> FloatArray:
    """Smooth noise of standard deviation 1 in a band, of whole oscillations a period, so that it repeats."""
    cycles = np.arange(max(1, np.ceil(band_hz[0] * period_s)), max(2, np.floor(band_hz[1] * period_s) + 1))
    # Slow movements are larger than fast ones.
    amplitude = random.rayleigh(size=len(cycles)) / cycles
    phase = random.uniform(0, 2 * np.pi, len(cycles))
    waves = amplitude * np.sin(2 * np.pi * np.outer(times_s / period_s, cycles) + phase)
    return waves.sum(1) / np.sqrt(0.5 * np.square(amplitude).sum())


def blink_times(period_s: float, pauses_s: Sequence[float], random: np.random.Generator) -> FloatArray:
    """Times at which blinks begin: `BLINK_SPACING_S` apart, around the loop too, at a pause where one is near."""
    shortest, longest = BLINK_SPACING_S
    times = [random.uniform(BLINK_MARGIN_S, shortest)]
    while (room := period_s + times[0] - times[-1]) > longest:
        times.append(times[-1] + min(random.uniform(*BLINK_SPACING_S), room - shortest))
    starts = np.asarray(times)
    for number, start in enumerate(starts):
        nearest = min(pauses_s, key=lambda pause: abs(pause - start), default=start)
        moved = np.r_[starts[:number], nearest, starts[number + 1 :]]
        spacing = np.diff(moved, append=moved[0] + period_s)
        if abs(nearest - start) < PAUSE_PULL_S and shortest <= spacing.min() and spacing.max() <= longest:
            starts = moved
    return starts


def blinks(times_s: FloatArray, starts_s: FloatArray, period_s: float, random: np.random.Generator) -> FloatArray:
    """(T,) closure of the lids, 0 to 1: they close fast and open slower, in 160 to 180 ms altogether."""
    shut = np.zeros_like(times_s)
    for start_s in starts_s:
        opening_s = random.uniform(*BLINK_OPENING_S)
        since = wrapped(times_s, start_s, period_s)
        closing = np.clip(since / BLINK_CLOSING_S, 0, 1)
        opening = np.clip((since - BLINK_CLOSING_S - BLINK_SHUT_S) / opening_s, 0, 1)
        shut += 0.5 - 0.5 * np.cos(np.pi * closing) - (0.5 - 0.5 * np.cos(np.pi * opening))
    return shut


def darts(times_s: FloatArray, period_s: float, random: np.random.Generator) -> FloatArray:
    """(T, 2) gaze about the direction of the camera, pitch and yaw in radians: fixations and saccades.

    The loop begins and ends looking into the camera.
    """
    offset, goal, start_s = np.zeros((len(times_s), 2)), np.zeros(2), random.uniform(*FIXATION_S)
    while start_s < period_s - 2 * FIXATION_S[0]:
        following = DART_RAD * random.standard_normal(2) * (0.6, 1.0)
        offset += np.outer(np.clip((times_s - start_s) / SACCADE_S, 0, 1), following - goal)
        goal, start_s = following, start_s + random.uniform(*FIXATION_S)
    return offset - np.outer(np.clip((times_s - period_s + FIXATION_S[0]) / SACCADE_S, 0, 1), goal)
