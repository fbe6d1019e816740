"""Lip closure: closes the lips where p, b or m is predicted.

A regression from speech to the mouth underestimates short closures: it narrows the gap between the lips without
closing it, which viewers notice. Where the predictor detects such a closure, the expression is moved along the
direction in which this person's mouth opens and closes, as far as the lips close in the person's own clip.
"""

from __future__ import annotations

import numpy as np

from talkinghead.face.face_model import PersonFace
from talkinghead.structures import FloatArray

CLOSED_QUANTILE = 0.02
"""Quantile of the lip gaps of a clip that counts as closed."""
CLOSING_LEVELS = ((0.15, 0.5), (0.5, 0.8), (0.7, 0.95), (0.9, 0.99))
"""Probabilities of a closure at which the lips begin to close and at which they are closed, the strongest first."""
OTHER_VOICE_LEVELS = CLOSING_LEVELS[1]
"""Those for any voice but the anchor's own."""
KNOWN_LEVELS = (0.0, 1.0)
"""The same where the phones are known, and the probability is how far the lips are to close."""


def close_lips(
    expression: FloatArray,
    closure: FloatArray,
    face: PersonFace,
    own: FloatArray,
    levels: tuple[float, float] | None = CLOSING_LEVELS[0],
) -> FloatArray:
    """Close the lips by the probability of a closure.

    Args:
        expression: (T, K), in standard deviations of the face model.
        closure: (T,) probability of p, b or m.
        face: the anchor's.
        own: (N, K) expression measured in the anchor's clip.
        levels: see `CLOSING_LEVELS`; None leaves the lips as they are.

    Returns:
        (T, K) float32 expression whose lip gap is the same or smaller, but not smaller than the clip's closed gap.
    """
    own_gap = face.lip_gap(own).astype(np.float64)
    variance = own_gap.var()
    if levels is None or variance < 1e-12:  # the mouth never moves in the clip, so how it closes is not known
        return expression
    # Regression of the expression on the gap: how the whole mouth moves when the gap changes by 1 cm, (K,).
    direction = (own_gap - own_gap.mean()) @ (own - own.mean(0)) / (len(own) * variance)
    # The gap that is to be removed, cm, and the fraction of it that is, which rises linearly with the probability.
    excess = np.maximum(face.lip_gap(expression) - np.quantile(own_gap, CLOSED_QUANTILE), 0)
    strength = np.clip((closure - levels[0]) / (levels[1] - levels[0]), 0, 1)
    return np.asarray(expression - (strength * excess)[:, None] * direction, np.float32)


def choose_levels(
    expression: FloatArray, closure: FloatArray, face: PersonFace, measured: FloatArray
) -> tuple[float, float] | None:
    """The closing that agrees best with the anchor's own mouth.

    Args:
        expression: (N, K) predicted for the frames of the anchor's clip, in standard deviations of the face model.
        closure: (N,) probability of p, b or m at these frames.
        face: the anchor's.
        measured: (N, K) expression measured in these frames.

    Returns:
        One of `CLOSING_LEVELS`; None where each of them costs agreement.
    """
    opening = face.opening(measured)

    def r(levels: tuple[float, float] | None) -> float:
        closed = face.opening(close_lips(expression, closure, face, measured, levels))
        return float(np.corrcoef(closed, opening)[0, 1])

    return max([None, *CLOSING_LEVELS], key=r)


def levels_as_text(levels: tuple[float, float] | None) -> str:
    """One of `CLOSING_LEVELS`, or None, for the metadata of a file."""
    return "" if levels is None else " ".join(map(repr, levels))


def levels_from_text(text: str) -> tuple[float, float] | None:
    """What `levels_as_text` wrote.

    Raises:
        ValueError: it is something else.
    """
    if not text:
        return None
    levels = tuple(map(float, text.split()))
    if levels not in CLOSING_LEVELS:
        raise ValueError(f"unknown levels of closing {text!r:.40}")
    return CLOSING_LEVELS[CLOSING_LEVELS.index(levels)]
