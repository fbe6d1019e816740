"""A person's face: shape, opening and gap between the lips, against the model's arrays written out."""

from __future__ import annotations

import numpy as np
import pytest

from talkinghead.face.face_model import FaceModel, PersonFace, load_face_model
from talkinghead.structures import FloatArray
from talkinghead.weights.bundled import checkpoint_path

UPPER_LIP, LOWER_LIP = 13, 14
CHEEKS = [234, 454]
"""MediaPipe's landmarks of the inner lips' middle and of the widest places of the face."""


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model(checkpoint_path("face_model.safetensors"))


@pytest.fixture(scope="module")
def face(model: FaceModel) -> PersonFace:
    return model.of(np.random.default_rng(0).normal(size=model.identities).astype(np.float32))


@pytest.fixture(scope="module")
def expression(model: FaceModel) -> FloatArray:
    return np.random.default_rng(1).normal(size=(20, model.expressions)).astype(np.float32)


@pytest.fixture(scope="module")
def shape(model: FaceModel, face: PersonFace, expression: FloatArray) -> FloatArray:
    """(T, 468, 3) cm: all of the face with these expressions."""
    neutral = model.neutral + np.tensordot(face.identity, model.identity_basis, 1)
    return neutral + np.tensordot(expression, model.expression_basis, 1)


def test_the_local_shape_is_that_part_of_the_whole(
    face: PersonFace, expression: FloatArray, shape: FloatArray, model: FaceModel
) -> None:
    np.testing.assert_allclose(face.local_shape(expression), shape[:, model.local], atol=1e-5)
    still = np.zeros((1, model.expressions), np.float32)
    np.testing.assert_allclose(face.local_neutral, face.local_shape(still)[0], atol=1e-6)


def test_the_opening_is_the_lips_distance_over_the_width_of_the_mean_face(
    face: PersonFace, expression: FloatArray, shape: FloatArray, model: FaceModel
) -> None:
    distance = np.linalg.norm(shape[:, UPPER_LIP] - shape[:, LOWER_LIP], axis=1)
    width = np.linalg.norm(np.subtract(*model.neutral[CHEEKS]))
    np.testing.assert_allclose(face.opening(expression), distance / width, rtol=1e-4)


def test_the_lip_gap_is_their_difference_in_height(face: PersonFace, expression: FloatArray, shape: FloatArray) -> None:
    np.testing.assert_allclose(face.lip_gap(expression), shape[:, UPPER_LIP, 1] - shape[:, LOWER_LIP, 1], atol=1e-5)


def test_the_mean_face_is_the_models(model: FaceModel) -> None:
    mean = model.of(np.zeros(model.identities, np.float32))
    np.testing.assert_array_equal(mean.local_neutral, model.neutral[model.local])
