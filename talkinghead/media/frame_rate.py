"""The nominal frame rate of a video, found from the time stamps of its frames, and the gaps between them.

Declared rates are averages that a pause in the recording falsifies, or rates of a clock: browsers' recorders declare
1000 frames per second. What the stamps say is used, and what is declared only to tell neighbors such as 29.97 and 30
apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from talkinghead.media.containers import FALLBACK_FRAME_RATE, MAX_FRAME_RATE

STANDARD_RATES = (
    *(Fraction(rate, 1001) for rate in (24_000, 30_000, 60_000)),
    *(Fraction(rate) for rate in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 100, 120)),
)
"""Frames per second; a rate found from stamps is taken for one of these where it may well be that."""
GAP_FRAMES = Fraction(3, 2)
"""Frames. A longer interval between two frames is a gap."""
LONGEST_GAP_S = 60
"""Seconds. A video with a longer gap is refused: it is two recordings, or its clock is damaged."""
_SAME = 0.1
"""Share of the usual interval by which one may be off and still be a multiple of it."""
_REGULAR = 0.9
"""Share of intervals that are multiples of the usual one, from which on the rest are exceptions, and not jitter."""
_JITTER = 2.5
"""Where stamps jitter, intervals up to so many times the usual one count for the mean."""
_RATE_TOLERANCE = 2e-4
"""Share by which a rate found from many exact stamps may be off: less than half of what 29.97 and 30 differ by."""


def nominal_rate(intervals_s: NDArray[np.float64], tick_s: float, declared: Sequence[Fraction]) -> Fraction:
    """Frames per second at which a video was recorded, whatever its gaps.

    Args:
        intervals_s: (I,) between neighboring frames, seconds, > 0.
        tick_s: resolution of the stamps, seconds.
        declared: rates that the file declares, the most reliable first. One that the stamps bear out is returned as it
            is, exactly; the first plausible one where there are no intervals.

    Returns:
        The rate; `FALLBACK_FRAME_RATE` where nothing is known.
    """
    plausible = [rate for rate in declared if 0 < rate < MAX_FRAME_RATE]
    if not len(intervals_s):
        return next(iter(plausible), FALLBACK_FRAME_RATE)
    usual_s = float(np.median(intervals_s))
    # Codecs have packets that are never shown, a tick from a neighbor.
    intervals_s = intervals_s[intervals_s > 0.2 * usual_s]
    multiples = np.maximum(1, np.round(intervals_s / usual_s))
    regular = np.abs(intervals_s - multiples * usual_s) <= _SAME * usual_s + tick_s
    if regular.mean() >= _REGULAR:
        used = regular & (multiples <= 3)
        frames, span_s = float(multiples[used].sum()), float(intervals_s[used].sum())
        spread_s = float((intervals_s[used] / multiples[used]).std())
    else:
        used = intervals_s < _JITTER * usual_s
        frames, span_s, spread_s = float(used.sum()), float(intervals_s[used].sum()), float(intervals_s[used].std())
    found = frames / span_s
    tolerance = _RATE_TOLERANCE + 2 * (tick_s + spread_s) / span_s

    def error(rate: Fraction) -> float:
        return abs(float(rate) / found - 1)

    for rate in plausible:
        if error(rate) <= tolerance:
            return rate
    nearest = min(STANDARD_RATES, key=error)
    if error(nearest) <= tolerance:
        return nearest
    return min(max(Fraction(found).limit_denominator(1001), Fraction(1, 1001)), Fraction(MAX_FRAME_RATE))


def fill_times(shown_s: Fraction, next_s: Fraction, rate: Fraction, tick_s: Fraction = Fraction(0)) -> list[Fraction]:
    """Times at which a frame has to be repeated before the next one, evenly and nearly at the nominal rate.

    Args:
        shown_s: when the frame is shown, seconds.
        next_s: when the next one is, seconds.
        rate: the nominal one, frames per second.
        tick_s: resolution of the stamps, seconds.

    Returns:
        Times between both; none where their distance is no gap.
    """
    gap_s = next_s - shown_s
    if gap_s <= GAP_FRAMES / rate + tick_s:
        return []
    count = round(gap_s * rate)
    return [shown_s + gap_s * number / count for number in range(1, count)]
