"""Metrics on curves in time: correlation, concordance, lag, motion in silence, closing of the lips."""

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
"""A lag counts only when the curves, shifted by it, still share this much."""
STILL_OPENING = 0.001
"""An opening whose standard deviation is less, of the face width, is a mouth that stands still: that of the built-in
presenter's clip is 0.023, and 0.0001 with its mouth frozen."""
_FLAT = 1e-9  # of the mean: a curve that varies by less does not vary


# Curves


def pearson_r(output: Values, reference: Values) -> float:
    """Pearson's correlation of two (T,) curves; NaN when one of them does not vary."""
    output, reference = _both_finite(output, reference)
    if _is_flat(output) or _is_flat(reference):
        return math.nan
    return float(np.corrcoef(output, reference)[0, 1])


def concordance(output: Values, reference: Values) -> float:
    """Lin's concordance correlation (1989) of two (T,) curves: 1 only where they are equal, not just alike."""
    output, reference = _both_finite(output, reference)
    if _is_flat(output) or _is_flat(reference):
        return math.nan
    shared = np.mean((output - output.mean()) * (reference - reference.mean()))
    return float(2 * shared / (output.var() + reference.var() + (output.mean() - reference.mean()) ** 2))


def std_ratio(output: Values, reference: Values) -> float:
    """Standard deviation of the output's (T,) curve over the reference's; NaN when the reference does not vary."""
    output, reference = _both_finite(output, reference)
    return math.nan if _is_flat(reference) else float(output.std() / reference.std())


@dataclass(frozen=True)
class Lag:
    """How late one curve follows another."""

    lag_ms: float
    """Positive when the output is late, in steps of `LAG_STEP_MS`; NaN when no lag could be measured."""
    r: float
    """Pearson's correlation at that lag."""
    confidence: float
    """That correlation less the median over all lags, as SyncNet's confidence is; 0 tells nothing, 1 is sure."""


def best_lag(output: Values, output_times_s: Values, reference: Values, reference_times_s: Values) -> Lag:
    """The lag within +-`LAG_RANGE_MS` at which two curves, each with its own times, correlate best.

    Both are sampled every `LAG_STEP_MS`, straight lines between frames; of equally good lags the smallest is taken.
    """
    lags_ms, curve = lag_curve(output, output_times_s, reference, reference_times_s)
    best = Lag(math.nan, math.nan, math.nan)
    for at in np.argsort(np.abs(lags_ms), kind="stable"):
        r = float(curve[at])
        if not math.isnan(r) and not r <= best.r + 1e-9:  # the second "not" lets anything beat NaN
            best = Lag(float(lags_ms[at]), r, r - float(np.nanmedian(curve)))
    return best


def lag_curve(
    output: Values, output_times_s: Values, reference: Values, reference_times_s: Values
) -> tuple[Values, Values]:
    """Pearson's correlation of two curves against the lag of the output.

    Returns:
        (S,) lags in ms from -`LAG_RANGE_MS` to +`LAG_RANGE_MS`, and (S,) correlations, NaN where too little of the two
        curves is left.
    """
    start = min(output_times_s[0], reference_times_s[0])
    end = max(output_times_s[-1], reference_times_s[-1])
    grid = np.arange(start, end + 1e-6, LAG_STEP_MS / 1000)
    late = np.interp(grid, output_times_s, output, left=np.nan, right=np.nan)
    true = np.interp(grid, reference_times_s, reference, left=np.nan, right=np.nan)
    reach = LAG_RANGE_MS // LAG_STEP_MS
    shifts = range(-reach, reach + 1)
    curve = np.array([_r_when_shifted(late, true, shift) for shift in shifts])
    return LAG_STEP_MS * np.array(shifts, np.float64), curve


def silence_motion(opening_curve: Values, silent: BoolArray) -> float:
    """Standard deviation of a (T,) opening in silence over that in speech; `silent` is (T,) True in silence.

    NaN where the mouth stands still in speech (`STILL_OPENING`): the ratio of two tremblings tells nothing.
    """
    quiet, loud = (opening_curve[chosen & np.isfinite(opening_curve)] for chosen in (silent, ~silent))
    if len(quiet) < 2 or len(loud) < 2 or loud.std() < STILL_OPENING:
        return math.nan
    return float(quiet.std() / loud.std())


def closure_depth(opening_curve: Values, times_s: Values, closures_s: Values, others_s: Values) -> float:
    """How far the mouth closes where the speech wants it shut: 1 is shut, 0 as open as in the other sounds.

    Args:
        opening_curve: (T,) opening.
        times_s: (T,) times of its frames.
        closures_s: (P, 2) begin and end of each sound that wants the lips shut.
        others_s: (Q, 2) the same of the other sounds, pauses not among them.

    Returns:
        1 - (mean over the closures of the smallest opening in each) / (mean opening in the others). The opening is
        taken between frames too, so that a closure shorter than a frame counts; NaN when one kind is not there.
    """
    seen = np.isfinite(opening_curve)
    if seen.sum() < 2:
        return math.nan
    grid = np.arange(times_s[seen][0], times_s[seen][-1], LAG_STEP_MS / 1000)
    curve = np.interp(grid, times_s[seen], opening_curve[seen])
    shut = [curve[inside].min() for inside in _within(grid, closures_s) if inside.any()]
    other = [curve[inside].mean() for inside in _within(grid, others_s) if inside.any()]
    if not shut or not other or np.mean(other) <= 0:
        return math.nan
    return float(1 - np.mean(shut) / np.mean(other))


# Parts


def finite_mean(values: NDArray[np.floating[Any]]) -> float:
    """Mean over the finite values; NaN when there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan


def ratio(value: float, reference: float) -> float:
    """One over the other; NaN where there is nothing to divide by."""
    return value / reference if reference > 0 else math.nan


def _within(times_s: Values, stretches_s: Values) -> list[BoolArray]:
    """For each stretch (begin, end), which of the times lie in it."""
    return [np.asarray((times_s >= begin) & (times_s < end)) for begin, end in stretches_s]


def _both_finite(output: Values, reference: Values) -> tuple[Values, Values]:
    both = np.isfinite(output) & np.isfinite(reference)
    return output[both], reference[both]


def _is_flat(curve: Values) -> bool:
    return len(curve) < 2 or bool(curve.std() <= _FLAT * np.abs(curve).max())


def _r_when_shifted(late: Values, true: Values, shift: int) -> float:
    """Correlation of late[t + shift] with true[t]; NaN where too little of the two is left."""
    kept = max(len(late) - abs(shift), 0)
    late, true = (late[shift:], true[:kept]) if shift >= 0 else (late[:kept], true[-shift:])
    late, true = _both_finite(late, true)
    return pearson_r(late, true) if len(late) * LAG_STEP_MS >= LAG_OVERLAP_MS else math.nan
