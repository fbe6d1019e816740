"""Lips that meet where p, b and m are heard.

A regression of the mouth on speech plays safe: at the short closures it lowers the gap between the lips, but does not
shut it. The ear of a viewer knows better. Where the predictor hears such a closure, the expression is led back along
the way on which this mouth itself opens and closes, as far as its lips were seen to close.
"""

from __future__ import annotations

import numpy as np

from talkinghead.face.face_model import FaceModel
from talkinghead.structures import FloatArray

CLOSED_QUANTILE = 0.02
"""The gap between the lips that so much of a clip stays below counts as closed."""
SURELY_OPEN, SURELY_CLOSED = 0.15, 0.5
"""Probabilities of a closure between which the lips are drawn together more and more."""


def close_lips(
    expression: FloatArray, closure: FloatArray, model: FaceModel, identity: FloatArray, seen: FloatArray
) -> FloatArray:
    """Draw the lips together where a closure is heard.

    Args:
        expression: (T, K), of the anchor.
        closure: (T,) probability that the sound comes through closed lips.
        model: of the coefficients.
        identity: (I,) the anchor's.
        seen: (N, K) expression of the anchor's own clip.

    Returns:
        (T, K): the same or with a smaller gap between the lips, never smaller than they were seen to close.
    """
    gap_seen = model.lip_gap(identity, seen).astype(np.float64)
    variance = gap_seen.var()
    if variance < 1e-12:
        return expression
    way = (gap_seen - gap_seen.mean()) @ (seen - seen.mean(0)) / (len(seen) * variance)
    too_wide = np.maximum(model.lip_gap(identity, expression) - np.quantile(gap_seen, CLOSED_QUANTILE), 0)
    drawn = np.clip((closure - SURELY_OPEN) / (SURELY_CLOSED - SURELY_OPEN), 0, 1)
    return np.asarray(expression - (drawn * too_wide)[:, None] * way, np.float32)
