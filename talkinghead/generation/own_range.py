"""The range of an anchor's own expressions: what its clip taught the network to draw.

Predicted, exaggerated or foreign expressions may ask for mouths that the clip never showed, be it a combination of
movements that it showed one by one. What the network draws for these is nobody's: double teeth, dark rings, broken
lips. Such expressions are drawn softly towards the clip's most similar ones. Those that are about as near to some of
them as the clip's own are to each other stay as they are. One similar expression is not enough: what the clip shows
only once the network has hardly learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkinghead.face.face_model import FaceModel
from talkinghead.structures import BoolArray, FloatArray

USUAL = 0.9
"""Share of the clip's expressions that count as similar to others of the clip."""
APART_S = 1.0
"""Time between two expressions of the clip whose similarity says something, seconds."""
SOFTNESS = 0.3
"""How much farther than usual an expression can lie from the clip's, as a share of the usual distance."""
NEIGHBORS = 0.5
"""Width of the weights of similar expressions, as a share of the usual distance."""
SIMILAR = 5
"""Number of expressions of the clip to which one has to be similar."""
MOST_FRAMES = 1500
"""Frames of the clip that are compared; longer clips are thinned evenly."""


@dataclass(frozen=True)
class OwnRange:
    """The expressions of a clip, and how near to them others have to be."""

    to_shape: NDArray[np.float64]
    """(K, K) from expressions (rows) to coordinates in which distances are those of shapes, cm."""
    own: NDArray[np.float64]
    """(N, K) the clip's expressions in these coordinates."""
    usual_cm: float
    """Distance to the fifth most similar expression up to which one stays as it is."""

    @classmethod
    def of(cls, model: FaceModel, expression: FloatArray, rate_hz: float) -> OwnRange:
        """The range of a clip.

        Args:
            model: the face model, which tells how the mouth's shape follows the expression.
            expression: (T, K) of the clip's usable frames in order, T > 0.
            rate_hz: frames per second.
        """
        weighted = model.reach_basis * np.sqrt(model.importance / model.importance.sum())[:, None]
        flat = weighted.reshape(len(weighted), -1).astype(np.float64)
        to_shape = np.linalg.cholesky(flat @ flat.T + 1e-9 * np.eye(len(flat)))
        every = max(1, -(-len(expression) // MOST_FRAMES))
        own = np.asarray(expression[::every] @ to_shape, np.float64)
        apart = max(1, min(round(APART_S * rate_hz / every), len(own) // 4))
        distances_cm = _distances(own, own)
        number = np.arange(len(own))
        distances_cm[np.abs(number[:, None] - number) < apart] = np.inf
        similar_cm = _similar(distances_cm)
        known = np.isfinite(similar_cm)
        return cls(to_shape, own, float(np.quantile(similar_cm[known], USUAL)) if known.any() else 0.0)

    def bend(self, expression: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Draw expressions into the range: (T, K) -> (T, K) float32, and (T,) where that changed anything."""
        asked = np.asarray(expression @ self.to_shape, np.float64)
        distances_cm = _distances(asked, self.own)
        similar_cm = _similar(distances_cm)[:, None]
        width_cm, soft_cm = (share * self.usual_cm + 1e-6 for share in (NEIGHBORS, SOFTNESS))
        weights = np.exp(np.minimum(similar_cm**2 - distances_cm**2, 50 * width_cm**2) / (2 * width_cm**2))
        alike = weights @ self.own / weights.sum(1, keepdims=True)
        allowed_cm = self.usual_cm + soft_cm * np.tanh((similar_cm - self.usual_cm) / soft_cm)
        bent = alike + (asked - alike) * (allowed_cm / np.maximum(similar_cm, 1e-6))
        beyond = similar_cm[:, 0] > self.usual_cm
        back = bent @ np.linalg.inv(self.to_shape)
        return np.where(beyond[:, None], back, expression).astype(np.float32), beyond


def _similar(distances_cm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance to the fifth most similar expression, or to the least similar of fewer: (T, N) -> (T,)."""
    which = min(SIMILAR, distances_cm.shape[1]) - 1
    return np.asarray(np.partition(distances_cm, which, axis=1)[:, which])


def _distances(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances of rows: (T, K), (N, K) -> (T, N)."""
    squared = (some**2).sum(1)[:, None] + (others**2).sum(1) - 2 * some @ others.T
    return np.asarray(np.sqrt(np.maximum(squared, 0)))
