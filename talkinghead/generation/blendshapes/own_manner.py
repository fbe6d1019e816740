"""Lips of a foreign expression, and all else as the anchor moves it.

A head model opens its mouth in another way than a person of whom a landmark network measures coefficients: where the
lips lie can agree while cheeks, chin and depth do not. An anchor's network has learned to draw the person's own manner
alone, and draws others with artifacts. So of a foreign expression only the lips' place in the image is kept, and the
likeliest coefficients of this anchor that put them there are taken.
"""

from __future__ import annotations

import numpy as np

from talkinghead.face.face_model import FaceModel
from talkinghead.face.topology import INNER_LIP_LOWER, INNER_LIP_UPPER, LEFT_CORNER, RIGHT_CORNER
from talkinghead.structures import FloatArray

LIPS = (*INNER_LIP_UPPER, *INNER_LIP_LOWER, RIGHT_CORNER, LEFT_CORNER, 0, 17, 37, 267, 84, 314, 40, 270, 91, 321)
"""Landmarks of the lips, those of their outer border by number."""
LIP_ERROR_CM = 0.03
"""Standard deviation by which a lip may miss its place for the sake of a likelier expression, cm."""
UNSEEN_VARIANCE = 0.01
"""Variance of every coefficient beyond that in the anchor's clip: what the clip does not show stays possible."""


def in_own_manner(expression: FloatArray, own: FloatArray, model: FaceModel) -> FloatArray:
    """The likeliest expressions of an anchor whose lips lie where those of given expressions do.

    The anchor's expressions are taken to be normally distributed as in its clip, the lips' places to be known to
    LIP_ERROR_CM; the conditional mean is linear.

    Args:
        expression: (T, K) coefficients whose lips are wanted.
        own: (S, K) coefficients of the anchor's clip.
        model: the face model.

    Returns:
        (T, K) float32.
    """
    mean = own.mean(0).astype(np.float64)
    covariance = np.cov(own.T.astype(np.float64), bias=True) + UNSEEN_VARIANCE * np.eye(own.shape[1])
    lips = model.expression_basis[:, list(LIPS), :2].reshape(own.shape[1], -1).astype(np.float64)  # (K, 2 L)
    seen = covariance @ lips
    gain = seen @ np.linalg.inv(lips.T @ seen + LIP_ERROR_CM**2 * np.eye(lips.shape[1]))
    return np.asarray(mean + (expression - mean) @ lips @ gain.T, np.float32)
