"""Scores of clips, their means over clips, and the confidence intervals of those."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.evaluation.registry import METRICS, NAMES

Values = NDArray[np.float64]

RESAMPLES = 2000
"""Draws of the bootstrap."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Scores:
    """One score a metric, NaN where it was not or could not be measured.

    The fields are the metrics of evaluation/registry.py, in its order; docs/evaluation.md defines them.
    """

    lmd_px: float = math.nan
    lmd_iod: float = math.nan
    lve_mm: float = math.nan
    lvd_px_s: float = math.nan
    opening_r: float = math.nan
    opening_ccc: float = math.nan
    opening_std_ratio: float = math.nan
    lag_ms: float = math.nan
    lag_r: float = math.nan
    lag_confidence: float = math.nan
    audio_lag_ms: float = math.nan
    audio_lag_r: float = math.nan
    width_r: float = math.nan
    closure_depth: float = math.nan
    plosive_offset_ms: float = math.nan
    plosives: float = math.nan
    silence_motion: float = math.nan
    theval_lip_sync: float = math.nan
    theval_silent_lip: float = math.nan
    theval_lip_dynamics: float = math.nan
    lse_d: float = math.nan
    lse_c: float = math.nan
    lse_offset: float = math.nan
    psnr_full_db: float = math.nan
    psnr_mouth_db: float = math.nan
    ssim_full: float = math.nan
    ssim_mouth: float = math.nan
    ms_ssim_full: float = math.nan
    ms_ssim_mouth: float = math.nan
    lpips_full: float = math.nan
    lpips_mouth: float = math.nan
    st_lpips_mouth: float = math.nan
    cvvdp_mouth_jod: float = math.nan
    fid: float = math.nan
    identity_similarity: float = math.nan
    sharpness_ratio: float = math.nan
    jitter_ratio: float = math.nan
    seam_ratio: float = math.nan
    leak: float = math.nan
    frames_scored: float = math.nan
    frames_total: float = math.nan

    def as_json(self) -> dict[str, float | None]:
        """Scores by metric; None for what was not measured."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}


def as_array(rows: Sequence[Scores]) -> Values:
    """(P, S) the scores of P clips, in the order of `NAMES`."""
    return np.array([[getattr(row, name) for name in NAMES] for row in rows], np.float64).reshape(-1, len(NAMES))


def mean(rows: Sequence[Scores]) -> Scores:
    """Each metric's mean over the clips where it was measured; every clip counts the same."""
    columns = as_array(rows).T
    return Scores(**{name: metrics.finite_mean(column) for name, column in zip(NAMES, columns, strict=True)})


def intervals(rows: Sequence[Scores]) -> dict[str, tuple[float, float]]:
    """Confidence interval of each mean, by the bootstrap over clips (Efron 1979, percentiles).

    Every metric is resampled with the same draws of clips.

    Returns:
        (low, high) by metric, at the level `CONFIDENCE`; metrics measured on fewer than two clips are left out.
    """
    values = as_array(rows)
    measured = np.isfinite(values)
    draws = np.random.default_rng(0).integers(0, len(rows), (RESAMPLES, len(rows))) if rows else np.zeros((0, 0), int)
    # (RESAMPLES, P) how often each draw has each clip, so that a resampled mean is a weighted one.
    weights = np.stack([np.bincount(draw, minlength=len(rows)) for draw in draws]) if rows else np.zeros((0, 0))
    found = {}
    for name, column, chosen in zip(NAMES, values.T, measured.T, strict=True):
        if chosen.sum() < 2:
            continue
        times = weights[:, chosen]
        drawn = times.sum(1) > 0  # a draw may hold no clip where this metric was measured
        means = times[drawn] @ column[chosen] / times[drawn].sum(1)
        low, high = np.quantile(means, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
        found[name] = (float(low), float(high))
    return found


def differences(rows: Sequence[Scores], others: Sequence[Scores]) -> list[Scores]:
    """Difference of two systems' scores on each clip, the first minus the other: what a paired bootstrap resamples."""
    return [
        Scores(**{name: getattr(one, name) - getattr(other, name) for name in NAMES})
        for one, other in zip(rows, others, strict=True)
    ]


def blind_to_sync(reference: Scores, shifted: Scores) -> tuple[str, ...]:
    """Metrics that are no worse, beyond what encoding does, for the reference shifted in time than for itself."""
    found = []
    for metric in METRICS:
        own, late = getattr(reference, metric.name), getattr(shifted, metric.name)
        if not metric.is_count and not math.isnan(own) and not math.isnan(late) and not metric.is_worse(late, own):
            found.append(metric.name)
    return tuple(found)
