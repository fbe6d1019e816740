"""The torso: it leans and shifts as one piece, and carries the head."""

from __future__ import annotations

import numpy as np
from head import NECK_PIVOT, Array
from scipy.spatial.transform import Rotation

TORSO_PIVOT = np.array([0.0, -55.0, -8.0])
"""(3,) point about which the torso leans, in the hips."""

Pose = tuple[Array, Array]
"""Rotation (..., 3), pitch, yaw and roll in radians, and translation (..., 3) in cm."""


def torso_moved(points: Array, rotation_rad: Array, translation_cm: Array) -> Array:
    """`points` (N, 3) of clothes, shoulders and lower neck with the torso's (3,) pose of one frame."""
    leaning = Rotation.from_euler("XYZ", rotation_rad)
    return leaning.apply(points - TORSO_PIVOT) + TORSO_PIVOT + translation_cm


def on_torso(head: Pose, torso: Pose) -> Pose:
    """The pose, as of `head.rigidly_moved`, of a head that moves by itself on a torso that moves; each of T frames."""
    leaning = Rotation.from_euler("XYZ", torso[0])
    rotation = (leaning * Rotation.from_euler("XYZ", head[0])).as_euler("XYZ")
    carried = leaning.apply(NECK_PIVOT + head[1] - TORSO_PIVOT) + TORSO_PIVOT + torso[1]
    return rotation, carried - NECK_PIVOT
