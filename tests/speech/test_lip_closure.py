"""Closing the lips at p, b and m."""

from __future__ import annotations

import numpy as np

from talkinghead.face.face_model import load_face_model
from talkinghead.speech.lip_closure import close_lips
from talkinghead.weights.bundled import checkpoint_folder


def test_lips_meet_where_a_closure_is_predicted() -> None:
    model = load_face_model(checkpoint_folder() / "face_model.safetensors")
    draw, face = np.random.default_rng(0), model.of(np.zeros(model.identities, np.float32))
    own = draw.standard_normal((500, model.expressions)).astype(np.float32)
    expression = draw.standard_normal((80, model.expressions)).astype(np.float32)
    closure = np.where(np.arange(80) < 40, 0.9, 0.1).astype(np.float32)
    closed_cm = np.quantile(face.lip_gap(own), 0.02)
    result = close_lips(expression, closure, face, own)
    np.testing.assert_array_equal(result[40:], expression[40:])
    before_cm, after_cm = face.lip_gap(expression)[:40], face.lip_gap(result)[:40]
    np.testing.assert_allclose(after_cm, np.minimum(before_cm, closed_cm), atol=1e-4)
    np.testing.assert_array_equal(close_lips(expression, closure, face, own * 0), expression)
