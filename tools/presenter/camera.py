"""The studio's camera: a pinhole on the z axis at the height of the eyes, without tilt or distortion."""

from __future__ import annotations

import numpy as np
from head import Array

LENS_MM, SENSOR_MM = 85.0, 36.0
FIELD_CM = 37.0
"""Width of the picture at the depth of the lips."""
FACE_DEPTH_CM = 9.0
EYE_LEVEL_CM = 0.3
"""Height of the camera."""


def camera_place() -> Array:
    """(3,) the camera's centre in the head model's axes."""
    return np.array([0.0, EYE_LEVEL_CM, FACE_DEPTH_CM + FIELD_CM * LENS_MM / SENSOR_MM])


def intrinsics(size_px: int) -> Array:
    """(3, 3) of a square picture; pixel centres at +0.5, y down."""
    focal = size_px * LENS_MM / SENSOR_MM
    return np.array([[focal, 0, size_px / 2], [0, focal, size_px / 2], [0, 0, 1]])


def project(points: Array, size_px: int) -> Array:
    """Points (..., 3) in the head model's axes -> (..., 2) pixels."""
    seen = (points - camera_place()) * (1, -1, -1)  # the camera looks along -z, pictures have y down
    pixels = seen @ intrinsics(size_px).T
    return pixels[..., :2] / pixels[..., 2:]
