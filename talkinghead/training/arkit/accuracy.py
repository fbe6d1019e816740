"""How well a map of ARKit's shapes does on a person whose weights are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkinghead.face.face_model import FaceModel
from talkinghead.face.topology import MOUTH_LANDMARKS
from talkinghead.generation.blendshapes.mapping import BlendshapeMap
from talkinghead.generation.blendshapes.names import ARKIT_SHAPES, MOUTH_SHAPES
from talkinghead.generation.blendshapes.own_manner import LIPS, in_own_manner
from talkinghead.metrics.curves import pearson_r
from talkinghead.structures import FloatArray
from talkinghead.training.arkit.fit import MM_PER_CM
from talkinghead.training.arkit.performer import Performer

LEAST_DEVIATION = 0.003
"""Shapes whose true weight varies less are not measured: the person does not use them."""


@dataclass(frozen=True)
class Accuracy:
    """What a map does on one person."""

    shapes_r: dict[str, float]
    """Correlation of each mouth shape that the person uses, from the measured expression, with the true weight."""
    opening_r: float
    """Correlation of the lips' gap, of the true weights' expression, with the true one."""
    opening_ratio: float
    """Ratio of the standard deviations of the two."""
    lips_mm: float
    """Mean distance in the image of the lips' motion, of the true weights' expression, from the true motion."""
    lips_off_measured_mm: float
    """The same from the measured motion, which has the errors of the tracking in it."""
    weights_there_and_back_mm: float
    """Mean distance in the image of the lips: true weights to expression, to weights, to expression."""
    measured_there_and_back_mm: float
    """Mean distance in the image of the lips: measured expression to weights, to expression."""
    measured_motion_mm: float
    """Mean distance in the image of the measured lips from rest, beside which the last two are to be seen."""

    @property
    def median_r(self) -> float:
        """Median over the shapes."""
        return float(np.median(list(self.shapes_r.values())))


def accuracy(blendshapes: BlendshapeMap, performer: Performer, model: FaceModel) -> Accuracy:
    """Measure a map on a person."""
    valid, rest = performer.valid, performer.rest
    measured, true = performer.reconstruction.expression[valid], performer.weights[valid]
    weights = blendshapes.weights_of(measured, rest)

    def imported(read: FloatArray) -> FloatArray:
        return in_own_manner(blendshapes.expression_of(read, rest), measured, model)

    made = imported(true.astype(np.float32))
    back, again = imported(weights), imported(blendshapes.weights_of(made, rest))
    gap = model.of(performer.reconstruction.identity).lip_gap(made)
    opening = performer.opening_cm[valid]
    return Accuracy(
        shapes_r=_correlations(weights, true),
        opening_r=float(pearson_r(gap.astype(np.float64), opening)),
        opening_ratio=float(gap.std() / opening.std()),
        lips_mm=_off_truth_mm(model, made, performer.mouth_cm[valid]),
        lips_off_measured_mm=_lips_mm(model, (made - made.mean(0)) - (measured - measured.mean(0))),
        weights_there_and_back_mm=_lips_mm(model, again - made),
        measured_there_and_back_mm=_lips_mm(model, back - measured),
        measured_motion_mm=_lips_mm(model, measured - rest),
    )


def _correlations(weights: FloatArray, true: NDArray[np.floating]) -> dict[str, float]:
    """Of each mouth shape that is used; 0 where the map gives a constant."""
    found = {}
    for name in MOUTH_SHAPES:
        at = ARKIT_SHAPES.index(name)
        if true[:, at].std() > LEAST_DEVIATION:
            given, wanted = weights[:, at].astype(np.float64), true[:, at].astype(np.float64)
            found[name] = 0.0 if given.std() < 1e-6 else float(pearson_r(given, wanted))
    return found


def _off_truth_mm(model: FaceModel, made: FloatArray, mouth_cm: NDArray[np.floating]) -> float:
    """Mean distance along x and y of the mouth's landmarks from their true places, both without their means, mm."""
    moved = np.tensordot(made, model.expression_basis[:, list(MOUTH_LANDMARKS)], 1)
    difference = (moved - moved.mean(0)) - (mouth_cm - mouth_cm.mean(0))
    return float(np.linalg.norm(difference[..., :2], axis=-1).mean() * MM_PER_CM)


def _lips_mm(model: FaceModel, difference: FloatArray) -> float:
    """Mean length in the image, along x and y, of the lips' displacement by (T, K) coefficients, mm."""
    moved = np.tensordot(difference, model.expression_basis[:, list(LIPS)], 1)[..., :2]
    return float(np.linalg.norm(moved, axis=-1).mean() * MM_PER_CM)
