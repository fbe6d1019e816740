"""Rotations in numpy, against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from talkinghead.face.rotations import SMALL_RAD, axis_angles, rotation_matrices

ANGLES_RAD = (0.0, 1e-12, 1e-6, 0.9 * SMALL_RAD, 1.1 * SMALL_RAD, 0.3, 1.5, 3.0, np.pi - 1e-6, np.pi - 1e-9)


@pytest.fixture
def vectors() -> np.ndarray:
    """(N, 3) axis-angle vectors of every angle, about the axes of the frame and about random ones."""
    axes = np.concatenate([np.eye(3), -np.eye(3), np.random.default_rng(0).standard_normal((40, 3))])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return (np.array(ANGLES_RAD)[:, None, None] * axes).reshape(-1, 3)


def test_matrices_are_those_of_scipy(vectors: np.ndarray) -> None:
    np.testing.assert_allclose(rotation_matrices(vectors), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-14)
    single = vectors.astype(np.float32)
    expected = Rotation.from_rotvec(single.astype(np.float64)).as_matrix()
    np.testing.assert_allclose(rotation_matrices(single), expected, atol=1e-14)


def test_axis_angles_are_those_of_scipy(vectors: np.ndarray) -> None:
    matrices = Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(axis_angles(matrices), vectors, atol=1e-9)
    np.testing.assert_allclose(axis_angles(matrices), Rotation.from_matrix(matrices).as_rotvec(), atol=1e-12)


def test_half_a_turn_comes_back_as_the_same_rotation(vectors: np.ndarray) -> None:
    axes = vectors[-40:] / np.linalg.norm(vectors[-40:], axis=1, keepdims=True)
    half = rotation_matrices(np.pi * axes)  # about the axis or its opposite: both are right
    np.testing.assert_allclose(rotation_matrices(axis_angles(half)), half, atol=1e-12)


def test_shapes_are_kept(vectors: np.ndarray) -> None:
    grid = vectors[:12].reshape(2, 3, 2, 3)
    assert rotation_matrices(grid).shape == (2, 3, 2, 3, 3)
    assert axis_angles(rotation_matrices(grid)).shape == grid.shape
    assert axis_angles(rotation_matrices(grid[0, 0, 0])).shape == (3,)
