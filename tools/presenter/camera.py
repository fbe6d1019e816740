"""The studio's camera: a long lens on the z axis a little below the eyes, without tilt or distortion."""

from __future__ import annotations

import numpy as np
from head import Array

LENS_MM, SENSOR_MM = 150.0, 36.0
"""Focal length and width of the sensor: a portrait lens, that far away that the nose does not grow."""
FIELD_CM = 34.0
"""Width of the image at the depth of the lips."""
FACE_DEPTH_CM = 9.0
"""Depth of the lips, on the z axis of the head model; the camera is focused on it."""
EYE_LEVEL_CM = -0.4
"""Height of the camera."""
F_NUMBER = 6.3
"""Of the aperture: the eyes are sharp, the shoulders' back is not."""


def camera_position() -> Array:
    """(3,) center of projection in the head model's axes, cm."""
    return np.array([0.0, EYE_LEVEL_CM, FACE_DEPTH_CM + FIELD_CM * LENS_MM / SENSOR_MM])


def intrinsics(size_px: int) -> Array:
    """(3, 3) camera matrix of a square image; pixel centers at +0.5, y down."""
    focal = size_px * LENS_MM / SENSOR_MM
    return np.array([[focal, 0, size_px / 2], [0, focal, size_px / 2], [0, 0, 1]])


def project(points: Array, size_px: int) -> Array:
    """Project points (..., 3) in the head model's axes -> (..., 2) pixels."""
    in_camera = (points - camera_position()) * (1, -1, -1)  # the camera looks along -z, images have y down
    pixels = in_camera @ intrinsics(size_px).T
    return pixels[..., :2] / pixels[..., 2:]
