"""What an evaluation found: the scores of each clip, and the means, intervals and differences of systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.evaluation import scores
from talkinghead.evaluation.landmark_pair import LandmarkCurves
from talkinghead.evaluation.measured import Measured
from talkinghead.evaluation.pairs import LeftOut, Pair
from talkinghead.evaluation.registry import NAMES, FromAllClips, computed_from
from talkinghead.evaluation.scores import Scores
from talkinghead.structures import BoolArray, FloatArray

Values = NDArray[np.float64]

GROUND_TRUTH = "ground truth"
"""Scale row: the reference scored against itself, the best possible."""
FROZEN_MOUTH = "frozen mouth"
"""Scale row: the reference with its median mouth in every frame, landmarks only. A lip-synced output must beat it."""
SHIFTED_TRUTH = "shifted truth"
"""Scale row: the reference `SHIFT_FRAMES` late. A metric that is no worse here is blind to lip sync."""
RENDERER_CEILING = "renderer ceiling"
"""Scale row: an output generated from the reference's own coefficients. No better speech predictor can exceed it."""
SHIFT_FRAMES = 5
ENVELOPE_S = 0.02
"""Length of the pieces of audio whose level is drawn."""


@dataclass(frozen=True)
class Curves:
    """What a report draws of one clip, at the reference's times."""

    times_s: Values
    """(T,)"""
    reference_opening: Values
    """(T,) mouth opening over face width."""
    reference_mouth_px: Values
    """(T, 20, 2) mouth landmarks minus their centroid, px of a 512 px image."""
    landmarks: LandmarkCurves
    """Of the output."""
    psnr_mouth_db: Values
    """(T,)"""
    silent: BoolArray
    """(T,) True where the driving audio has no speech."""
    envelope: Values
    """(E,) level of the audio every `ENVELOPE_S`, 1 at its loudest; empty without audio."""
    partners: NDArray[np.intp]
    """(T,) number of the output's frame beside each frame of the reference, -1 for none."""
    crop: metrics.MouthCrop


@dataclass(frozen=True)
class PairScores:
    """Scores of one output."""

    pair: Pair
    scores: Scores
    rows: Mapping[str, Scores]
    """The scale rows by name; empty without a reference."""
    notes: tuple[str, ...]
    """What a reader has to know: clips that differ in frame rate, size or length, frames without a face."""
    missing: Mapping[str, str]
    """Why a metric was not measured, by its name."""
    curves: Curves | None
    """None without a reference, or where they could not be computed."""
    sha256: Mapping[str, str]
    """Hash of every file that was read, by its role in the pair."""
    features: tuple[Sequence[FloatArray], Sequence[FloatArray]] = ((), ())
    """Image features (2048,) of the output and of the reference, for FID."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of all clips of all systems."""

    pairs: tuple[PairScores, ...]
    left_out: tuple[LeftOut, ...] = ()
    metric_networks_sha256: Mapping[str, str] = field(default_factory=dict)
    """Name of each metric network that was used -> hash of its weights."""

    @cached_property
    def systems(self) -> tuple[str, ...]:
        """Names of the systems, in the order in which they were given."""
        names = [scored.pair.system for scored in self.pairs] + [left.system for left in self.left_out]
        return tuple(dict.fromkeys(names))

    def of(self, system: str) -> tuple[PairScores, ...]:
        """The clips of one system."""
        return tuple(scored for scored in self.pairs if scored.pair.system == system)

    def mean(self, system: str | None = None) -> Scores:
        """Each metric's mean over the clips where it was measured; FID over all frames. None is the first system."""
        chosen = self.of(self.systems[0] if system is None else system)
        output, reference = ([vector for scored in chosen for vector in scored.features[side]] for side in (0, 1))
        over_all = Measured()
        for metric, how in computed_from(FromAllClips):
            over_all.take(metric.name, partial(how.compute, output, reference), how.undefined)
        return replace(scores.mean([scored.scores for scored in chosen]), **over_all.scores)

    def intervals(self, system: str) -> dict[str, tuple[float, float]]:
        """Confidence interval (low, high) of each mean, by metric (bootstrap over clips)."""
        return scores.intervals([scored.scores for scored in self.of(system)])

    def difference(self, system: str, other: str) -> tuple[Scores, dict[str, tuple[float, float]]]:
        """Mean difference of two systems over the clips that both have, and its intervals (paired bootstrap)."""
        others = {scored.pair.name: scored.scores for scored in self.of(other)}
        both = [scored for scored in self.of(system) if scored.pair.name in others]
        found = scores.differences([one.scores for one in both], [others[one.pair.name] for one in both])
        return scores.mean(found), scores.intervals(found)

    @cached_property
    def rows(self) -> dict[str, Scores]:
        """The mean of each scale row, over the references that have it."""
        by_reference = {(scored.pair.reference, scored.pair.driving): scored.rows for scored in self.pairs}
        names = [GROUND_TRUTH, FROZEN_MOUTH, SHIFTED_TRUTH, RENDERER_CEILING]
        found = {name: [rows[name] for rows in by_reference.values() if name in rows] for name in names}
        return {name: scores.mean(rows) for name, rows in found.items() if rows}

    @cached_property
    def blind_to_sync(self) -> tuple[str, ...]:
        """Names of the metrics that are no worse, on these clips, when the reference comes late."""
        if SHIFTED_TRUTH not in self.rows:
            return ()
        return scores.blind_to_sync(self.rows[GROUND_TRUTH], self.rows[SHIFTED_TRUTH])

    @cached_property
    def empty(self) -> tuple[str, ...]:
        """Names of the metrics that were measured for no output, in the order of `NAMES`."""
        means = [self.mean(system) for system in self.systems]
        return tuple(name for name in NAMES if not any(np.isfinite(getattr(mean, name)) for mean in means))

    @cached_property
    def missing(self) -> dict[str, str]:
        """Why a metric was measured for no output at all, by its name."""
        reasons = {name: reason for scored in self.pairs for name, reason in scored.missing.items()}
        over_all = {metric.name: how.undefined for metric, how in computed_from(FromAllClips)}
        known = {**dict.fromkeys(self.empty, "it could not be computed on any clip"), **over_all, **reasons}
        return {name: known[name] for name in self.empty}
