"""Lip points: from expression weights of the head model to 3D points, exactly those that the renderer draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class LipGeometry:
    """The 20 lip points of one identity, linear in the expression weights. Centimeters, y up, z to the camera."""

    neutral: NDArray[np.float64]
    """(20, 3) lip points at rest."""
    expression: NDArray[np.float64]
    """(E, 20, 3) displacement at weight 1."""
    names: tuple[str, ...]
    """(E,) ARKit names with _L and _R."""


def load_lips(identity: Mapping[int, float], path: Path | None = None) -> LipGeometry:
    """Lip points of the head model with the identity weights (component number to standard deviations).

    Raises FileNotFoundError where the model is neither at `path` nor where `head.ict_path` looks.
    """
    with np.load(path or ict_path()) as model:
        points = model["landmarks68"][LIPS]
        neutral = model["neutral"][points].astype(np.float64)
        shapes = model["identity"][:, points].astype(np.float64)
        for component, weight in identity.items():
            neutral += weight * shapes[component]
        expression = model["expression"][:, points].astype(np.float64)
        return LipGeometry(neutral, expression, tuple(map(str, model["expression_names"])))


def lip_points(geometry: LipGeometry, expression: NDArray[np.floating]) -> NDArray[np.float64]:
    """Lip points in the head's own frame, without the rigid pose: (T, E) weights -> (T, 20, 3) centimeters."""
    return geometry.neutral + np.tensordot(expression, geometry.expression, 1)


def lip_gaps(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height of the opening in the right, middle and left column: (T, 20, 3) lip points -> (T, 3) centimeters.

    Zero where the lips just touch; negative where soft lips press into each other.
    """
    return points[:, UPPER_INNER, 1] - points[:, LOWER_INNER, 1]
