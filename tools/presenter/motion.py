"""What moves beside the mouth: blinks, gaze, brows, and the head. Everything repeats after a period, without a seam."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

BLINK_CLOSING_S = 0.055
BLINK_SHUT_S = 0.04
"""One frame at 25 a second: some frame always sees the lids shut."""
BLINK_OPENING_S = (0.065, 0.085)
BLINK_SPACING_S = (2.5, 5.0)
BLINK_MARGIN_S = 0.35
"""The first blink is no nearer to the start of the loop."""
PAUSE_PULL_S = 0.6
"""A pause nearer than this draws a blink to it."""

SACCADE_S = 0.05
FIXATION_S = (0.7, 2.4)
DART_RAD = np.radians(1.1)
"""Standard deviation of where the eyes rest, about the camera."""


def wrapped(times_s: FloatArray, centre_s: float, period_s: float) -> FloatArray:
    """Time since the nearest repetition of a moment, in -period_s/2 .. period_s/2."""
    return (times_s - centre_s + period_s / 2) % period_s - period_s / 2


def bump(times_s: FloatArray, centre_s: float, width_s: float, period_s: float) -> FloatArray:
    """A Gaussian of height 1 and standard deviation width_s."""
    return np.exp(-0.5 * (wrapped(times_s, centre_s, period_s) / width_s) ** 2)


def wander(
    times_s: FloatArray, period_s: float, band_hz: tuple[float, float], random: np.random.Generator
) -> FloatArray:
    """Smooth noise of standard deviation 1 in a band, made of whole oscillations a period so that it repeats."""
    cycles = np.arange(max(1, np.ceil(band_hz[0] * period_s)), max(2, np.floor(band_hz[1] * period_s) + 1))
    # Slow movements are the large ones.
    amplitude = random.rayleigh(size=len(cycles)) / cycles
    phase = random.uniform(0, 2 * np.pi, len(cycles))
    waves = amplitude * np.sin(2 * np.pi * np.outer(times_s / period_s, cycles) + phase)
    return waves.sum(1) / np.sqrt(0.5 * np.square(amplitude).sum())


def blink_times(period_s: float, pauses_s: Sequence[float], random: np.random.Generator) -> FloatArray:
    """When the lids begin to close: `BLINK_SPACING_S` apart, round the loop too, at a pause where one is near."""
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
    """(T,) how far the lids are shut, 0 to 1: shut quickly, opened slower, 160 to 180 ms in all."""
    shut = np.zeros_like(times_s)
    for start_s in starts_s:
        opening_s = random.uniform(*BLINK_OPENING_S)
        since = wrapped(times_s, start_s, period_s)
        closing = np.clip(since / BLINK_CLOSING_S, 0, 1)
        opening = np.clip((since - BLINK_CLOSING_S - BLINK_SHUT_S) / opening_s, 0, 1)
        shut += 0.5 - 0.5 * np.cos(np.pi * closing) - (0.5 - 0.5 * np.cos(np.pi * opening))
    return shut


def darts(times_s: FloatArray, period_s: float, random: np.random.Generator) -> FloatArray:
    """(T, 2) where the eyes rest about the camera, pitch and yaw in radians: still, then off in a saccade.

    The loop begins and ends looking into the camera.
    """
    offset, goal, start_s = np.zeros((len(times_s), 2)), np.zeros(2), random.uniform(*FIXATION_S)
    while start_s < period_s - 2 * FIXATION_S[0]:
        following = DART_RAD * random.standard_normal(2) * (0.6, 1.0)
        offset += np.outer(np.clip((times_s - start_s) / SACCADE_S, 0, 1), following - goal)
        goal, start_s = following, start_s + random.uniform(*FIXATION_S)
    return offset - np.outer(np.clip((times_s - period_s + FIXATION_S[0]) / SACCADE_S, 0, 1), goal)
