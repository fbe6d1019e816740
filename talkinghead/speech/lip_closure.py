"""Closing the lips where p, b or m is predicted.

A regression of the mouth on speech underestimates short closures: it lowers the gap between the lips and does not
shut it, which viewers notice. Where the predictor finds such a closure, the expression is moved along the direction in
which this mouth itself opens and closes, as far as its lips were measured to close.
"""

from __future__ import annotations

import numpy as np

from talkinghead.face.face_model import PersonFace
from talkinghead.structures import FloatArray

CLOSED_QUANTILE = 0.02
"""Quantile of a clip's gaps between the lips that counts as closed."""
FROM_PROBABILITY, FULL_PROBABILITY = 0.15, 0.5
"""Probabilities of a closure at which closing begins and at which it is complete."""


def close_lips(expression: FloatArray, closure: FloatArray, face: PersonFace, own: FloatArray) -> FloatArray:
    """Close the lips by the probability of a closure.

    Args:
        expression: (T, K), of the anchor.
        closure: (T,) probability of p, b or m.
        face: the anchor's.
        own: (N, K) expression measured in the anchor's clip.

    Returns:
        (T, K) expression with the same or a smaller gap between the lips, never smaller than the clip's closed gap.
    """
    own_gap = face.lip_gap(own).astype(np.float64)
    variance = own_gap.var()
    if variance < 1e-12:
        return expression
    # The regression of the expression on the gap: how the whole mouth moves when the gap changes by 1 cm.
    direction = (own_gap - own_gap.mean()) @ (own - own.mean(0)) / (len(own) * variance)
    excess = np.maximum(face.lip_gap(expression) - np.quantile(own_gap, CLOSED_QUANTILE), 0)
    strength = np.clip((closure - FROM_PROBABILITY) / (FULL_PROBABILITY - FROM_PROBABILITY), 0, 1)
    return np.asarray(expression - (strength * excess)[:, None] * direction, np.float32)
