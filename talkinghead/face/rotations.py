"""Rotations as matrices and as axis-angle vectors, in numpy: importing scipy's takes longer than all they compute."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkinghead.structures import FloatArray

Array = NDArray[np.float64]
"""Array of float64 numbers, in which poses and coefficients are solved for."""

SMALL_RAD = 1e-3
"""Below it, ratios with the sine of an angle are taken from their series, which is exact to the last digit there."""


def rotation_matrices(axis_angle: FloatArray | Array) -> Array:
    """Rotation matrices of axis-angle vectors (Rodrigues): (..., 3) radians -> (..., 3, 3) float64."""
    vectors = np.asarray(axis_angle, np.float64)
    squared = (vectors**2).sum(-1)[..., None, None]
    angle = np.sqrt(squared)
    is_small = angle < SMALL_RAD
    divisor = np.where(is_small, 1.0, angle)
    sine = np.where(is_small, 1 - squared / 6 + squared**2 / 120, np.sin(divisor) / divisor)
    # 2 sin(a / 2)^2 keeps the digits that 1 - cos(a) loses.
    cosine = np.where(is_small, 0.5 - squared / 24 + squared**2 / 720, 2 * (np.sin(divisor / 2) / divisor) ** 2)
    zero = np.zeros(vectors.shape[:-1])
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vectors.shape, 3)
    return np.asarray(np.eye(3) + sine * cross + cosine * (cross @ cross))


def axis_angles(matrices: Array) -> Array:
    """Axis-angle vectors of rotation matrices: (..., 3, 3) -> (..., 3) radians, of length up to pi.

    By way of quaternions, each from the largest of its squared components (Shepperd 1978), which is accurate at every
    angle.
    """
    trace = np.trace(matrices, axis1=-2, axis2=-1)
    # Row i of each table is the quaternion (x, y, z, w) times four times its own component i.
    table = np.zeros((*trace.shape, 4, 4))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        table[..., i, i] = 1 + 2 * matrices[..., i, i] - trace
        table[..., i, j] = table[..., j, i] = matrices[..., i, j] + matrices[..., j, i]
        table[..., i, 3] = table[..., 3, i] = matrices[..., k, j] - matrices[..., j, k]
    table[..., 3, 3] = 1 + trace
    largest = np.argmax(np.diagonal(table, axis1=-2, axis2=-1), -1)
    quaternion = np.take_along_axis(table, largest[..., None, None], -2)[..., 0, :]
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    quaternion = np.where(quaternion[..., 3:] < 0, -quaternion, quaternion)  # of the two, that of the shorter way
    sine = np.linalg.norm(quaternion[..., :3], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[..., 3:])
    is_small = angle < SMALL_RAD
    factor = np.where(is_small, 2 + angle**2 / 12 + 7 * angle**4 / 2880, angle / np.where(is_small, 1.0, sine))
    return np.asarray(factor * quaternion[..., :3])
