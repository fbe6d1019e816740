"""Lip points: from expression weights of the head model to 3D points, exactly those that the renderer draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from head import ict_path
from numpy.typing import NDArray

LIPS = slice(48, 68)
"""Lips among the 68 landmarks: 12 of the outer contour, then 8 of the inner one, both from the speaker's right."""
UPPER_INNER = (13, 14, 15)
"""Points of the upper lip at the opening: right, middle and left column."""
LOWER_INNER = (19, 18, 17)
"""Points of the lower lip that face those of the upper lip, in the same columns."""
MIDDLE = 1
"""Number of the middle column."""
UPPER_TEETH = slice(17039, 19247)
"""Vertices of the upper teeth."""
FRONT_TEETH_CM, EDGE_CM = 0.4, 0.05
"""Half of the width of the front teeth that is looked at, and what of their height is their edge."""


@dataclass(frozen=True)
class LipGeometry:
    """The 20 lip points of one identity, linear in the expression weights. Centimeters, y up, z to the camera."""

    neutral: NDArray[np.float64]
    """(20, 3) lip points at rest."""
    expression: NDArray[np.float64]
    """(E, 20, 3) displacement at weight 1."""
    names: tuple[str, ...]
    """(E,) ARKit names with _L and _R."""
    upper_teeth_cm: NDArray[np.float64] = field(default_factory=lambda: np.full(3, np.nan))
    """(3,) middle of the edge of the upper teeth, which nothing moves."""

    def upper_heights(self, weights: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """(T,) height of the upper lip's middle by weights {name: (T,)}, cm."""
        point = UPPER_INNER[MIDDLE]
        moved = [weight * self.expression[self.names.index(name), point, 1] for name, weight in weights.items()]
        return self.neutral[point, 1] + np.sum(moved, axis=0)


def load_lips(identity: Mapping[int, float], path: Path | None = None) -> LipGeometry:
    """Lip points of the head model with the identity weights (component number to standard deviations).

    Raises FileNotFoundError where the model is neither at `path` nor where `head.ict_path` looks.
    """
    with np.load(path or ict_path()) as model:
        points = model["landmarks68"][LIPS]
        neutral = model["neutral"][points].astype(np.float64)
        shapes = model["identity"][:, points].astype(np.float64)
        teeth = model["neutral"][UPPER_TEETH].astype(np.float64)
        teeth_shapes = model["identity"][:, UPPER_TEETH].astype(np.float64)
        for component, weight in identity.items():
            neutral += weight * shapes[component]
            teeth += weight * teeth_shapes[component]
        expression = model["expression"][:, points].astype(np.float64)
        names = tuple(map(str, model["expression_names"]))
        return LipGeometry(neutral, expression, names, _edge(teeth))


def _edge(teeth: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3,) middle of the lower edge of the front teeth among (N, 3) vertices of the upper ones."""
    front = teeth[np.abs(teeth[:, 0]) < FRONT_TEETH_CM]
    return front[front[:, 1] < front[:, 1].min() + EDGE_CM].mean(0)


def lip_points(geometry: LipGeometry, expression: NDArray[np.floating]) -> NDArray[np.float64]:
    """Lip points in the head's own frame, without the rigid pose: (T, E) weights -> (T, 20, 3) centimeters."""
    return geometry.neutral + np.tensordot(expression, geometry.expression, 1)


def lip_gaps(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height of the opening in the right, middle and left column: (T, 20, 3) lip points -> (T, 3) centimeters.

    Zero where the lips just touch; negative where soft lips press into each other.
    """
    return points[:, UPPER_INNER, 1] - points[:, LOWER_INNER, 1]
