"""Metrics on curves over time: correlation, concordance, lag, motion in silence, lip closure.

A curve is a (T,) float64 array with one value a frame; NaN marks frames without a face, which no metric counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkinghead.structures import BoolArray

Values = NDArray[np.float64]

LAG_RANGE_MS, LAG_STEP_MS = 400, 10
LAG_OVERLAP_MS = 500
"""A lag is considered only when the curves, shifted by it, still overlap by this much."""
STILL_OPENING = 0.001
"""Standard deviation of the mouth opening, in face widths, below which a mouth counts as still. The built-in
presenter's clip has 0.023, and 0.0001 with its mouth frozen."""
_FLAT = 1e-9  # share of a curve's largest value; a smaller standard deviation counts as none


def pearson_r(output: Values, reference: Values) -> float:
    """Pearson's correlation of two (T,) curves; NaN when one of them is constant."""
    output, reference = _both_finite(output, reference)
    if _is_flat(output) or _is_flat(reference):
        return math.nan
    return float(np.corrcoef(output, reference)[0, 1])


def concordance(output: Values, reference: Values) -> float:
    """Lin's concordance correlation (1989) of two (T,) curves: 1 only for equal ones, NaN when one is constant."""
    output, reference = _both_finite(output, reference)
    if _is_flat(output) or _is_flat(reference):
        return math.nan
    shared = np.mean((output - output.mean()) * (reference - reference.mean()))
    return float(2 * shared / (output.var() + reference.var() + (output.mean() - reference.mean()) ** 2))


def std_ratio(output: Values, reference: Values) -> float:
    """Standard deviation of the output's (T,) curve over the reference's; NaN when the reference is constant."""
    output, reference = _both_finite(output, reference)
    return math.nan if _is_flat(reference) else float(output.std() / reference.std())


@dataclass(frozen=True)
class Lag:
    """How late one curve is against another."""

    lag_ms: float
    """Positive when the output is late; a multiple of `LAG_STEP_MS`; NaN when no lag could be measured."""
    r: float
    """Pearson's correlation at that lag."""
    confidence: float
    """That correlation minus the median over all lags, like SyncNet's confidence; near 0 the lag means nothing."""


def best_lag(output: Values, output_times_s: Values, reference: Values, reference_times_s: Values) -> Lag:
    """The lag within +-`LAG_RANGE_MS` at which two curves, each with its own times, correlate best.

    Both are resampled every `LAG_STEP_MS` by linear interpolation. Among equally good lags the smallest is returned.
    """
    lags_ms, curve = lag_curve(output, output_times_s, reference, reference_times_s)
    best = Lag(math.nan, math.nan, math.nan)
    # From the smallest lag outwards, so that a larger one has to be strictly better.
    for at in np.argsort(np.abs(lags_ms), kind="stable"):
        r = float(curve[at])
        if not math.isnan(r) and not r <= best.r + 1e-9:  # `not <=` instead of `>`: anything is better than NaN
            best = Lag(float(lags_ms[at]), r, r - float(np.nanmedian(curve)))
    return best


def lag_curve(
    output: Values, output_times_s: Values, reference: Values, reference_times_s: Values
) -> tuple[Values, Values]:
    """Pearson's correlation of two curves against the lag of the output.

    Returns:
        (S,) lags in ms from -`LAG_RANGE_MS` to +`LAG_RANGE_MS`, and (S,) correlations, NaN where the shifted curves
        overlap by less than `LAG_OVERLAP_MS`.
    """
    start = min(output_times_s[0], reference_times_s[0])
    end = max(output_times_s[-1], reference_times_s[-1])
    grid = np.arange(start, end + 1e-6, LAG_STEP_MS / 1000)
    output_grid = np.interp(grid, output_times_s, output, left=np.nan, right=np.nan)
    reference_grid = np.interp(grid, reference_times_s, reference, left=np.nan, right=np.nan)
    reach = LAG_RANGE_MS // LAG_STEP_MS
    shifts = range(-reach, reach + 1)
    curve = np.array([_shifted_r(output_grid, reference_grid, shift) for shift in shifts])
    return LAG_STEP_MS * np.array(shifts, np.float64), curve


def silence_motion(opening_curve: Values, silent: BoolArray) -> float:
    """Standard deviation of the mouth opening in silence over its standard deviation in speech.

    Args:
        opening_curve: (T,) opening.
        silent: (T,) True in frames without speech.

    Returns:
        The ratio; NaN where either part has fewer than two frames, or where the mouth is still even in speech
        (`STILL_OPENING`), because a ratio of two noise levels means nothing.
    """
    in_silence, in_speech = (opening_curve[chosen & np.isfinite(opening_curve)] for chosen in (silent, ~silent))
    if len(in_silence) < 2 or len(in_speech) < 2 or in_speech.std() < STILL_OPENING:
        return math.nan
    return float(in_silence.std() / in_speech.std())


def closure_depth(opening_curve: Values, times_s: Values, closures_s: Values, others_s: Values) -> float:
    """How far the mouth closes at the phones that close the lips: 1 is shut, 0 is as open as in all other phones.

    Args:
        opening_curve: (T,) opening.
        times_s: (T,) times of its frames.
        closures_s: (P, 2) begin and end of each phone that closes the lips.
        others_s: (Q, 2) begin and end of every other phone, without pauses.

    Returns:
        1 - (mean over closures of the smallest opening in each) / (mean opening in the others). The opening is
        interpolated between frames, so that a closure shorter than a frame counts. NaN when either kind is missing.
    """
    seen = np.isfinite(opening_curve)
    if seen.sum() < 2:
        return math.nan
    grid = np.arange(times_s[seen][0], times_s[seen][-1], LAG_STEP_MS / 1000)
    curve = np.interp(grid, times_s[seen], opening_curve[seen])
    closed = [curve[inside].min() for inside in _within(grid, closures_s) if inside.any()]
    other = [curve[inside].mean() for inside in _within(grid, others_s) if inside.any()]
    if not closed or not other or np.mean(other) <= 0:
        return math.nan
    return float(1 - np.mean(closed) / np.mean(other))


def finite_mean(values: NDArray[np.floating[Any]]) -> float:
    """Mean over the finite values of an array; NaN when there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan


def ratio(value: float, reference: float) -> float:
    """value / reference; NaN where the reference is not positive."""
    return value / reference if reference > 0 else math.nan


def _within(times_s: Values, intervals_s: Values) -> list[BoolArray]:
    """For each interval (begin, end), which of the (N,) times lie in it."""
    return [np.asarray((times_s >= begin) & (times_s < end)) for begin, end in intervals_s]


def _both_finite(output: Values, reference: Values) -> tuple[Values, Values]:
    both = np.isfinite(output) & np.isfinite(reference)
    return output[both], reference[both]


def _is_flat(curve: Values) -> bool:
    return len(curve) < 2 or bool(curve.std() <= _FLAT * np.abs(curve).max())


def _shifted_r(output: Values, reference: Values, shift: int) -> float:
    """Correlation of output[t + shift] with reference[t]; NaN where they overlap by less than `LAG_OVERLAP_MS`."""
    kept = max(len(output) - abs(shift), 0)
    output, reference = (output[shift:], reference[:kept]) if shift >= 0 else (output[:kept], reference[-shift:])
    output, reference = _both_finite(output, reference)
    return pearson_r(output, reference) if len(output) * LAG_STEP_MS >= LAG_OVERLAP_MS else math.nan
