"""Where the eyes look: the weights that direct either eye at the lens, whatever the head does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from camera import camera_position
from head import GAZE_RAD, IRIS, NECK_PIVOT, Array, Indices, eye_center, ict_path, load_head
from scipy.spatial.transform import Rotation

OPEN_SHARE = 0.82
"""How far the eyes are open at rest, of how far the head model's mean person opens them, which is a stare."""
MOVED = ("eyeBlink", "eyeSquint")
UPPER_LIDS, LOWER_LIDS = ((43, 44), (37, 38)), ((47, 46), (41, 40))
"""Lids of L and R among the 68 landmarks."""
FRONT = 0.9
"""The foremost part of an iris's mesh, the middle of which the eye looks through, begins at this quantile of depth."""


@dataclass(frozen=True)
class EyeGeometry:
    """Both eyes of one identity at rest: L, then R."""

    centers_cm: Array
    """(2, 3) about which they rotate."""
    axes_rad: Array
    """(2, 2) pitch and yaw of their axes from straight ahead, at rest."""
    wanted_cm: Array
    """(2,) how far they are to be open at rest."""
    lids_cm: Array
    """(3, 2) how far they are open without any weight, and what eyeBlink and eyeSquint add at a weight of 1."""

    def resting_blink(self, squint: float) -> Array:
        """(2,) weights of eyeBlink at which the eyes are as open as they are to be, with that weight of eyeSquint."""
        open_cm, blink_cm, squint_cm = self.lids_cm
        return np.clip((self.wanted_cm - open_cm - squint * squint_cm) / blink_cm, 0, 1)


def load_eyes(identity: Mapping[int, float], path: Path | None = None) -> EyeGeometry:
    """Eyes of the head model with the identity weights.

    Raises FileNotFoundError where the model is neither at `path` nor where `head.ict_path` looks.
    """
    head = load_head(dict(identity), path)
    vertices = head.neutral
    centers = np.stack([eye_center(vertices, side) for side in "LR"])
    axes = []
    for side, center in zip("LR", centers, strict=True):
        iris = vertices[IRIS[side]] - center
        axes.append(pitch_and_yaw(iris[iris[:, 2] > np.quantile(iris[:, 2], FRONT)].mean(0)))
    shapes = [[head.expressions[head.expression_names.index(f"{name}_{side}")] for side in "LR"] for name in MOVED]
    lids = [_lid_gap(vertices, head.landmarks68)]
    lids += [np.array([_lid_gap(one, head.landmarks68)[i] for i, one in enumerate(pair)]) for pair in shapes]
    return EyeGeometry(centers, np.stack(axes), OPEN_SHARE * _stare(identity, path), np.stack(lids))


def _lid_gap(vertices: Array, landmarks68: Indices) -> Array:
    """(2,) how far the lids of L and R are apart, or how much further a displacement takes them: (V, 3) vertices."""
    heights = vertices[landmarks68, 1]
    pairs = zip(UPPER_LIDS, LOWER_LIDS, strict=True)
    return np.array([heights[list(upper)].mean() - heights[list(lower)].mean() for upper, lower in pairs])


def _stare(identity: Mapping[int, float], path: Path | None) -> Array:
    """(2,) how far the eyes of the model's own neutral face are open, whatever `head.load_head` makes of it."""
    with np.load(path or ict_path()) as model:
        vertices, shapes = model["neutral"].astype(np.float64), model["identity"]
        for component, weight in identity.items():
            vertices += weight * shapes[component].astype(np.float64)
        return _lid_gap(vertices, model["landmarks68"])


def pitch_and_yaw(directions: Array) -> Array:
    """Rotations that take straight ahead to directions: (..., 3) -> (..., 2) radians; pitch is positive downwards."""
    across, up, towards = np.moveaxis(directions, -1, 0)
    return np.stack([-np.arctan2(up, np.hypot(across, towards)), np.arctan2(across, towards)], -1)


def gaze_angles(geometry: EyeGeometry, rotation_rad: Array, translation_cm: Array, beside_rad: Array) -> Array:
    """Pitch and yaw by which each eye is rotated from rest.

    Args:
        geometry: of the eyes.
        rotation_rad, translation_cm: (T, 3) pose of the head.
        beside_rad: (T, 2) pitch and yaw from the direction of the lens to where they look.

    Returns:
        (T, 2, 2) radians: of T frames, of L and R.
    """
    turns = Rotation.from_euler("XYZ", rotation_rad)
    angles = []
    for center, axis in zip(geometry.centers_cm, geometry.axes_rad, strict=True):
        placed = turns.apply(center - NECK_PIVOT) + NECK_PIVOT + translation_cm
        to_lens = turns.inv().apply(camera_position() - placed)
        angles.append(pitch_and_yaw(to_lens) + beside_rad - axis)
    return np.stack(angles, 1)


def gaze_weights(angles_rad: Array) -> dict[str, Array]:
    """(T, 2, 2) angles of `gaze_angles` as the weights of eyeLook*: {name: (T,)}."""
    weights: dict[str, Array] = {}
    for number, (side, outwards) in enumerate((("L", 1.0), ("R", -1.0))):
        pitch, yaw = angles_rad[:, number].T / GAZE_RAD
        for name, values in (("Down", pitch), ("Up", -pitch), ("Out", outwards * yaw), ("In", -outwards * yaw)):
            weights[f"eyeLook{name}_{side}"] = np.clip(values, 0, 1)
    return weights
