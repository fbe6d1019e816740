"""An absolute clock for lip sync: the lips of p and b part at the burst.

The burst of a stop is the moment at which its closure is released (Stevens, Acoustic Phonetics, 1998, chapter 7), and
the closure of p and b is made by the lips. Its time in the audio, minus the time at which the gap between the lips
opens in the video, needs no network and no second video: it says how late the lips are in absolute terms.

A single plosive is timed to about 15 ms at 25 frames a second; the median of many is what counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from talkinghead.structures import Audio

Values = NDArray[np.float64]

BAND_HZ = (1200.0, 7500.0)
"""Frequencies of the energy in which a burst is sought: above the voicing that goes on in the closure of a b."""
STEP_S = 0.001
"""Time step of that energy, seconds."""
WINDOW_S = 0.008
"""Length of the Hann window over which it is measured, seconds."""
FLOOR_DB = -60.0
"""Energy counts as no smaller than this below the recording's largest: what is fainter is no closure's release."""
BEFORE_S, AFTER_S = 0.015, 0.012
"""Stretches of audio before and after a moment, the energy of which is compared, seconds."""
LEAST_STEP_DB = 8.0
"""Least step of energy from the one to the other at a burst."""
COMPARABLE = 0.5
"""The first step of this share of the largest is the burst: aspiration or a vowel may follow it with a larger one. With
shares of 0.5 to 0.7 and stretches of 8 to 20 ms after it, medians over a hundred plosives differ by 3 ms."""
RISE_S = 0.006
"""Within such a step, the burst is where the energy rises most in this time, seconds."""
MARGIN_S = (0.03, 0.05)
"""How far before a phone's begin and after its end its burst is sought, seconds; aligners err by so much."""

CLOSED_SHARE = 0.2
"""Lips are closed where the gap is below this share of the clip's range (3rd to 95th percentile) above its low end."""
LEAST_RISE = 0.25
"""Least opening after a closure, as a share of that range."""
PARTED_SHARE = 0.1
"""The lips part where the gap has risen by this share from its least in the closure to the next peak. For the built-in
people, whose lips are known at 250 Hz, such a crossing, interpolated between frames, lies -3 to +4 ms (24 to 60 frames
a second; median) from where their lips lose contact; that of 0.15, 0.2, 0.3 lies 3 to 14 ms after it."""
CLOSURE_S, OPENING_S = 0.13, 0.25
"""A closure is looked back for, and the peak after it looked ahead for, over this time, seconds."""
FALL = 0.2
"""The peak is over when the gap has fallen by this share of its height."""

REACH_S = 0.4
"""Largest offset that is sought, seconds."""
NEAR_S = 0.06
"""A plosive counts where its lips part within this time of the common offset, seconds."""
KERNEL_S, GRID_S = 0.02, 0.005
"""Width of the kernel, and step, with which the common offset is found, seconds."""
FEWEST_PLOSIVES = 5
"""Fewer plosives have no median worth the name."""
LEAST_TIMED = 0.5
"""Least share of the bursts that must be timed. Between 0.64 and 1 of a clip's own are, and of another moment's of the
same clip, at the best offset, 0.35 (median; 0.5 in one case of twenty)."""


@dataclass(frozen=True)
class PlosiveOffset:
    """How much later the lips part than the bursts of p and b are heard."""

    offsets_ms: Values
    """(C,) of each plosive that was timed in both audio and video, in order of time; > 0 where the lips are late."""

    bursts: int
    """Bursts that were heard."""

    @property
    def count(self) -> int:
        """Plosives that were timed."""
        return len(self.offsets_ms)

    @property
    def is_enough(self) -> bool:
        """Whether enough were timed to tell an offset from chance: `FEWEST_PLOSIVES`, `LEAST_TIMED` of the bursts."""
        return self.count >= max(FEWEST_PLOSIVES, LEAST_TIMED * self.bursts)

    @property
    def median_ms(self) -> float:
        """Median of the offsets; NaN where they are not enough."""
        return float(np.median(self.offsets_ms)) if self.is_enough else math.nan

    @property
    def spread_ms(self) -> float:
        """Interquartile range of the offsets; NaN where they are not enough."""
        return float(np.subtract(*np.quantile(self.offsets_ms, [0.75, 0.25]))) if self.is_enough else math.nan


def plosive_offset(bursts_s: Values, partings_s: Values, common_s: float | None = None) -> PlosiveOffset:
    """Match bursts with the moments at which lips part, and time each.

    One offset is common to a clip. It is found first, as the one at which most bursts coincide with a parting of the
    lips, the smallest among equals; each burst is then matched with the parting nearest to it at that offset.

    Args:
        bursts_s: (P,) see `find_bursts`; NaN for none.
        partings_s: (Q,) see `lip_partings`.
        common_s: the common offset where it is roughly known, seconds; a handful of plosives does not show it.
    """
    bursts_s = bursts_s[np.isfinite(bursts_s)]
    if not len(bursts_s) or not len(partings_s):
        return PlosiveOffset(np.zeros(0), len(bursts_s))
    distances = partings_s[None] - bursts_s[:, None]
    common_s = _common_offset_s(distances) if common_s is None else common_s
    nearest = np.take_along_axis(distances, np.abs(distances - common_s).argmin(1)[:, None], 1)[:, 0]
    return PlosiveOffset(1000 * nearest[np.abs(nearest - common_s) <= NEAR_S], len(bursts_s))


def find_bursts(audio: Audio, plosives_s: Values) -> Values:
    """Time of the burst of each plosive, seconds: (P,), NaN where there is none that stands out.

    Args:
        audio: of any sample rate that holds some of `BAND_HZ`.
        plosives_s: (P, 2) begin and end of each p and b, roughly; they contain closure and burst.
    """
    largest_db = _largest_db(audio)
    return np.array([_burst(audio, begin, end, largest_db) for begin, end in plosives_s], np.float64)


def lip_partings(opening: Values, times_s: Values) -> Values:
    """Moments at which closed lips part: (Q,) seconds.

    Args:
        opening: (T,) gap between the lips, in any unit; NaN where it is not known.
        times_s: (T,) times of its frames.
    """
    seen = np.isfinite(opening)
    if seen.sum() < 2:
        return np.zeros(0)
    low, high = np.quantile(opening[seen], [0.03, 0.95])
    closed = low + CLOSED_SHARE * (high - low)
    # A comparison with NaN is false, so that nothing is found next to frames without a face.
    last = np.flatnonzero((opening[:-1] <= closed) & (opening[1:] > closed))
    found = [_parting(opening, times_s, int(frame), closed, LEAST_RISE * (high - low)) for frame in last]
    return np.array([time_s for time_s in found if time_s is not None], np.float64)


def _common_offset_s(distances: Values) -> float:
    """The offset within `REACH_S` at which most of (P, Q) distances from burst to parting lie, seconds."""
    candidates = distances[np.abs(distances) <= REACH_S + NEAR_S]
    grid = GRID_S * np.arange(-round(REACH_S / GRID_S), round(REACH_S / GRID_S) + 1)
    grid = grid[np.argsort(np.abs(grid), kind="stable")]  # of equals, argmax takes the first
    density = np.exp(-0.5 * np.square((grid[:, None] - candidates[None]) / KERNEL_S)).sum(1)
    return float(grid[int(np.argmax(density))])


def _parting(opening: Values, times_s: Values, last: int, closed: float, least: float) -> float | None:
    """When the lips part after frame `last`, the last of a closure; None where they open by less than `least`."""
    first = last
    while first > 0 and opening[first - 1] <= closed and times_s[last] - times_s[first - 1] <= CLOSURE_S:
        first -= 1
    first += int(np.argmin(opening[first : last + 1]))
    floor = peak = opening[first]
    end = last + 1
    while end < len(opening) and opening[end] > closed and times_s[end] - times_s[last] <= OPENING_S:
        peak = max(peak, opening[end])
        if opening[end] < peak - FALL * (peak - floor):
            break
        end += 1
    if peak - floor < least or peak <= floor:
        return None
    level = floor + PARTED_SHARE * (peak - floor)
    before = first + int(np.flatnonzero(opening[first:end] > level)[0]) - 1
    share = (level - opening[before]) / (opening[before + 1] - opening[before])
    return float(times_s[before] + share * (times_s[before + 1] - times_s[before]))


def _burst(audio: Audio, begin_s: float, end_s: float, largest_db: float) -> float:
    """Time of the burst near a phone, seconds; NaN where there is none."""
    start_s = max(begin_s - MARGIN_S[0] - BEFORE_S, 0.0)
    level = np.maximum(_energy_db(audio, start_s, end_s + MARGIN_S[1] + AFTER_S), largest_db + FLOOR_DB)
    before, after = round(BEFORE_S / STEP_S), round(AFTER_S / STEP_S)
    if len(level) <= before + after:
        return math.nan
    sums = np.concatenate([[0.0], np.cumsum(level)])
    at = np.arange(before, len(level) - after)
    quiet, loud = (sums[at] - sums[at - before]) / before, (sums[at + after] - sums[at]) / after
    # The closure is the quietest stretch; a step before it is another phone's.
    steps = np.where(at >= at[np.argmin(quiet)], loud - quiet, -np.inf)
    if steps.max() < LEAST_STEP_DB:
        return math.nan
    around = np.pad(steps, 1, constant_values=-np.inf)
    is_peak = (steps >= around[:-2]) & (steps >= around[2:]) & (steps >= COMPARABLE * steps.max())
    place = int(at[np.argmax(is_peak)])
    # Means over stretches say that there is a step, not exactly where: that is where the energy rises most.
    span = round(RISE_S / STEP_S)
    rises = level[span:] - level[:-span]
    first = max(place - before, 0)
    steepest = first + int(np.argmax(rises[first : place + span]))
    return start_s + STEP_S * (steepest + span / 2)


def _energy_db(audio: Audio, start_s: float, end_s: float) -> Values:
    """Energy in `BAND_HZ` every `STEP_S` from `start_s` on, up to `end_s` or the end of the audio, dB."""
    size = round(WINDOW_S * audio.rate_hz)
    first = round(start_s * audio.rate_hz) - size // 2
    last = min(round(end_s * audio.rate_hz), len(audio.samples)) + size - size // 2
    samples = np.pad(audio.samples, size)[first + size : last + size].astype(np.float64)
    if len(samples) < size:
        return np.zeros(0)
    places = np.round(np.arange(0, (len(samples) - size) / audio.rate_hz, STEP_S) * audio.rate_hz).astype(np.intp)
    windows = sliding_window_view(samples, size)[places] * np.hanning(size)
    power = np.square(np.abs(np.fft.rfft(windows, axis=1)))
    frequencies = np.fft.rfftfreq(size, 1 / audio.rate_hz)
    inside = (frequencies >= BAND_HZ[0]) & (frequencies <= BAND_HZ[1])
    return np.asarray(10 * np.log10(power[:, inside].sum(1) + 1e-12))


def _largest_db(audio: Audio) -> float:
    """Largest energy of a recording in `BAND_HZ`, dB; second by second, so that memory does not grow with it."""
    seconds = np.arange(0, audio.duration_s, 1.0)
    return max((float(_energy_db(audio, at, at + 1.0).max(initial=-120)) for at in seconds), default=-120.0)
