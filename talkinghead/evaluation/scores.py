"""The numbers of an evaluation: which there are, which way is better, their means and how sure those are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from talkinghead import metrics

Values = NDArray[np.float64]

RESAMPLES = 2000
"""Draws of the bootstrap."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Scores:
    """One row of numbers; NaN where a number was not, or could not be, measured. docs/evaluation.md defines them."""

    lmd_px: float = math.nan
    """Mouth landmark distance, pixels of a 512 px picture."""
    lmd_iod: float = math.nan
    """The same over the inter-ocular distance."""
    lve_mm: float = math.nan
    """Lip vertex error on the local mesh, millimetres of a head of average size."""
    lvd_px_s: float = math.nan
    """Landmark velocity difference of the mouth, pixels of a 512 px picture per second."""
    opening_r: float = math.nan
    """Correlation of the opening of the mouth, at lag 0."""
    opening_ccc: float = math.nan
    """Concordance of the opening."""
    opening_std_ratio: float = math.nan
    """Standard deviation of the opening, output over reference."""
    lag_ms: float = math.nan
    """How late the output's mouth opens."""
    lag_r: float = math.nan
    """Correlation of the opening at that lag."""
    lag_confidence: float = math.nan
    """That correlation less the median over all lags."""
    width_r: float = math.nan
    """Correlation of the width of the mouth."""
    closure_depth: float = math.nan
    """How far the mouth closes at p, b and m: 1 is shut, 0 is as open as in the other speech sounds."""
    silence_motion: float = math.nan
    """Standard deviation of the opening in silence over that in speech."""
    lse_d: float = math.nan
    """SyncNet's distance of lips and sound."""
    lse_c: float = math.nan
    """SyncNet's confidence."""
    lse_offset: float = math.nan
    """SyncNet's offset, frames at 25 fps."""
    psnr_full_db: float = math.nan
    """Peak signal-to-noise ratio of whole frames, mean over frames, at most 100."""
    psnr_mouth_db: float = math.nan
    """The same of the mouth crop."""
    ssim_full: float = math.nan
    """Structural similarity of whole frames."""
    ssim_mouth: float = math.nan
    """The same of the mouth crop."""
    ms_ssim_full: float = math.nan
    """Multi-scale structural similarity of whole frames."""
    ms_ssim_mouth: float = math.nan
    """The same of the mouth crop."""
    lpips_full: float = math.nan
    """LPIPS (AlexNet) of whole frames."""
    lpips_mouth: float = math.nan
    """The same of the mouth crop."""
    fid: float = math.nan
    """Fréchet inception distance between all frames of a system and all of the truth; of a single clip, NaN."""
    identity_similarity: float = math.nan
    """Cosine of the face descriptors of output and reference."""
    sharpness_ratio: float = math.nan
    """Laplacian energy of the mouth crop, output over reference."""
    jitter_ratio: float = math.nan
    """Second difference of the points of mouth and jaw, output over reference."""
    seam_ratio: float = math.nan
    """Gradient across the edge of the lower face, output over reference."""
    leak: float = math.nan
    """Change of the mouth, of 255, where nothing but the original mouth differs."""
    frames_scored: float = math.nan
    """Frames of the reference where both clips show a face."""
    frames_total: float = math.nan
    """Frames of the reference."""

    def as_json(self) -> dict[str, float | None]:
        """By field; what was not measured is None."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}


NAMES = tuple(field.name for field in fields(Scores))


@dataclass(frozen=True)
class Metric:
    """How a number is read."""

    field: str
    label: str
    best: str
    """A number; "high" or "low"; empty where there is no best."""
    decimals: int
    heading: str = ""
    """In the headline, which docs/evaluation.md derives from benchmarks/metrics.py; empty where it is not in there."""
    noise: float = 0.0
    """How much worse encoding the truth anew (H.264, CRF 23) makes it: less than that tells nothing."""
    source: str = "pair"
    """What it is measured from: pair, sound (the output and what drives it), set (all clips), count."""

    def text(self, value: float) -> str:
        return "-" if math.isnan(value) else f"{value:.{self.decimals}f}"

    def loss(self, value: float) -> float:
        """Distance from the best, larger is worse; NaN where there is no best."""
        if self.best in ("high", "low"):
            return value if self.best == "low" else -value
        return abs(value - float(self.best)) if self.best else math.nan

    def is_worse(self, value: float, truth: float) -> bool:
        """Whether a value is worse than the truth's by more than encoding alone makes it."""
        return self.loss(value) - self.loss(truth) > self.noise


METRICS = (
    Metric("lmd_px", "mouth landmark distance, px at 512", "0", 2, "LMD px", 0.27),
    Metric("lmd_iod", "  over the eyes' distance", "0", 4, noise=0.004),
    Metric("lve_mm", "lip vertex error, mm", "0", 2, noise=0.7),
    Metric("lvd_px_s", "landmark velocity difference, px/s", "0", 1, noise=6.0),
    Metric("opening_r", "opening: r", "1", 3, "opening r", 0.01),
    Metric("opening_ccc", "  concordance", "1", 3, noise=0.02),
    Metric("opening_std_ratio", "  std, output / reference", "1", 2, "std ratio", 0.07),
    Metric("lag_ms", "  lag, ms (+: output late)", "0", 0, "lag ms", 10.0),
    Metric("lag_r", "  r at that lag", "1", 3, noise=0.01),
    Metric("lag_confidence", "  confidence of the lag", "high", 3, noise=0.01),
    Metric("width_r", "width of the mouth: r", "1", 3, noise=0.02),
    Metric("closure_depth", "closing at p, b, m", "1", 2, "pbm", 0.05, "sound"),
    Metric("silence_motion", "motion in silence / in speech", "low", 2, noise=0.05, source="sound"),
    Metric("lse_d", "SyncNet LSE-D", "low", 2, "LSE-D", 0.2, "sound"),
    Metric("lse_c", "SyncNet LSE-C", "high", 2, "LSE-C", 0.2, "sound"),
    Metric("lse_offset", "SyncNet offset, frames", "0", 0, noise=0.5, source="sound"),
    Metric("psnr_full_db", "PSNR, whole frame, dB", "high", 2, noise=60.0),
    Metric("psnr_mouth_db", "PSNR, mouth crop, dB", "high", 2, "mouth dB", 63.0),
    Metric("ssim_full", "SSIM, whole frame", "1", 3, noise=0.04),
    Metric("ssim_mouth", "SSIM, mouth crop", "1", 3, "mouth SSIM", 0.04),
    Metric("ms_ssim_full", "MS-SSIM, whole frame", "1", 3, noise=0.02),
    Metric("ms_ssim_mouth", "MS-SSIM, mouth crop", "1", 3, noise=0.02),
    Metric("lpips_full", "LPIPS (AlexNet), whole frame", "0", 3, noise=0.05),
    Metric("lpips_mouth", "LPIPS (AlexNet), mouth crop", "0", 3, noise=0.05),
    Metric("fid", "FID", "0", 1, noise=5.0, source="set"),
    Metric("identity_similarity", "identity similarity", "1", 3, noise=0.02),
    Metric("sharpness_ratio", "sharpness, output / reference", "1", 2, "sharp", 0.15),
    Metric("jitter_ratio", "jitter, output / reference", "1", 2, "jitter", 0.1),
    Metric("seam_ratio", "seam, output / reference", "1", 2, "seam", 0.1),
    Metric("leak", "leak of the old mouth, of 255", "0", 2, noise=0.5),
    Metric("frames_scored", "frames scored", "", 0, source="count"),
    Metric("frames_total", "frames of the reference", "", 0, source="count"),
)
BY_FIELD: Mapping[str, Metric] = {metric.field: metric for metric in METRICS}


def table_of(rows: Sequence[Scores]) -> Values:
    """(P, S) the scores of P clips, in the order of `NAMES`."""
    return np.array([[getattr(row, name) for name in NAMES] for row in rows], np.float64).reshape(-1, len(NAMES))


def mean(rows: Sequence[Scores]) -> Scores:
    """Each number's mean over the clips where it was measured; every clip counts the same."""
    columns = table_of(rows).T
    return Scores(**{name: metrics.finite_mean(column) for name, column in zip(NAMES, columns, strict=True)})


def intervals(rows: Sequence[Scores]) -> dict[str, tuple[float, float]]:
    """Where each mean lies with a probability of `CONFIDENCE`, by the bootstrap over clips (Efron 1979, percentiles).

    Every number is resampled with the same draws of clips. Those measured on fewer than two clips have none.
    """
    values = table_of(rows)
    measured = np.isfinite(values)
    draws = np.random.default_rng(0).integers(0, len(rows), (RESAMPLES, len(rows))) if rows else np.zeros((0, 0), int)
    weights = np.stack([np.bincount(draw, minlength=len(rows)) for draw in draws]) if rows else np.zeros((0, 0))
    found = {}
    for name, column, chosen in zip(NAMES, values.T, measured.T, strict=True):
        if chosen.sum() < 2:
            continue
        times = weights[:, chosen]
        drawn = times.sum(1) > 0
        means = times[drawn] @ column[chosen] / times[drawn].sum(1)
        low, high = np.quantile(means, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
        found[name] = (float(low), float(high))
    return found


def differences(rows: Sequence[Scores], others: Sequence[Scores]) -> list[Scores]:
    """Clip by clip, the first less the other: what a paired comparison resamples."""
    return [
        Scores(**{name: getattr(one, name) - getattr(other, name) for name in NAMES})
        for one, other in zip(rows, others, strict=True)
    ]


def blind_to_sync(truth: Scores, shifted: Scores) -> tuple[str, ...]:
    """Numbers that are no worse, beyond what encoding does, when the truth comes late: they do not see lip sync."""
    return tuple(
        metric.field
        for metric in METRICS
        if metric.best
        and not math.isnan(getattr(shifted, metric.field))
        and not math.isnan(getattr(truth, metric.field))
        and not metric.is_worse(getattr(shifted, metric.field), getattr(truth, metric.field))
    )
