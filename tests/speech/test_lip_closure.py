"""Closing the lips at p, b and m."""

from __future__ import annotations

import numpy as np

from talkinghead.face.face_model import PersonFace, load_face_model
from talkinghead.speech.lip_closure import CLOSING_LEVELS, choose_levels, close_lips
from talkinghead.structures import FloatArray
from talkinghead.weights.bundled import checkpoint_folder


def mean_face() -> PersonFace:
    model = load_face_model(checkpoint_folder() / "face_model.safetensors")
    return model.of(np.zeros(model.identities, np.float32))


def test_lips_meet_where_a_closure_is_predicted() -> None:
    draw, face = np.random.default_rng(0), mean_face()
    model = face.model
    own = draw.standard_normal((500, model.expressions)).astype(np.float32)
    expression = draw.standard_normal((80, model.expressions)).astype(np.float32)
    closure = np.where(np.arange(80) < 40, 0.9, 0.1).astype(np.float32)
    closed_cm = np.quantile(face.lip_gap(own), 0.02)
    result = close_lips(expression, closure, face, own)
    np.testing.assert_array_equal(result[40:], expression[40:])
    before_cm, after_cm = face.lip_gap(expression)[:40], face.lip_gap(result)[:40]
    np.testing.assert_allclose(after_cm, np.minimum(before_cm, closed_cm), atol=1e-4)
    np.testing.assert_array_equal(close_lips(expression, closure, face, own * 0), expression)


def test_lips_are_left_alone_without_levels() -> None:
    draw, face = np.random.default_rng(0), mean_face()
    expression = draw.standard_normal((50, face.model.expressions)).astype(np.float32)
    np.testing.assert_array_equal(close_lips(expression, np.ones(50, np.float32), face, expression, None), expression)


def speaking(face: PersonFace, closed_from: float, probability: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Predicted expression, and a mouth that does the same but closes where the probability reaches `closed_from`."""
    draw = np.random.default_rng(1)
    predicted = draw.standard_normal((len(probability), face.model.expressions)).astype(np.float32)
    closes = np.where(probability >= closed_from, 1.0, 0.0).astype(np.float32)
    return predicted, close_lips(predicted, closes, face, predicted)


def test_the_closing_that_the_persons_mouth_shows_is_chosen() -> None:
    face = mean_face()
    probability = np.random.default_rng(0).uniform(0, 1, 600).astype(np.float32)
    predicted, measured = speaking(face, 0.2, probability)
    assert choose_levels(predicted, probability, face, measured) == CLOSING_LEVELS[0]
    predicted, measured = speaking(face, 2.0, probability)  # lips that never follow the probability
    assert choose_levels(predicted, probability, face, measured) is None
