"""Calibration against a clip whose lag and whose way of speaking are known because they were made up here."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from talkinghead import speech_calibration
from talkinghead.face_model import load_face_model
from talkinghead.reconstruction import smooth
from talkinghead.resources import checkpoint_path
from talkinghead.speech_calibration import calibrate, ridge
from talkinghead.structures import FloatArray, Sound

SECONDS = 30.0
RATE_HZ = 25.0


def test_ridge_finds_a_known_map() -> None:
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(20000, 4)).astype(np.float32)
    matrix, offset = draw.normal(size=(4, 3)), draw.normal(size=3)
    found, found_offset = ridge(inputs, (inputs @ matrix + offset).astype(np.float32))
    # Inputs of variance 1 under a penalty of RIDGE shrink by 1 / (1 + RIDGE).
    np.testing.assert_allclose(found * (1 + speech_calibration.RIDGE), matrix, atol=0.05)
    np.testing.assert_allclose(found_offset, offset, atol=0.02)


def speaker(monkeypatch: pytest.MonkeyPatch, lag_s: float, belongs: bool = True) -> Any:
    """An anchor whose mouth does what the predictor says, `lag_s` before the clip's sound, each in its own range."""
    model = load_face_model(checkpoint_path("face_model.safetensors"))
    draw = np.random.default_rng(1)
    grid_s = np.arange(0, SECONDS + 2, 0.01)

    def curves(seed: int) -> FloatArray:
        noise = np.random.default_rng(seed).normal(size=(len(grid_s), model.expressions))
        slow = smooth(noise, np.ones(len(grid_s)), 100.0, 4.0)
        return (slow / slow.std(0)).astype(np.float32)

    said = curves(2)

    def predicted(encoder: object, predictor: object, sound: Sound, times_s: NDArray[np.float64]) -> FloatArray:
        return np.stack([np.interp(times_s, grid_s, curve) for curve in said.T], 1).astype(np.float32)

    times_s = np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ
    shown = said if belongs else curves(3)
    scale = draw.uniform(0.3, 1.5, model.expressions)
    expression = np.stack([np.interp(times_s + lag_s, grid_s, curve) for curve in shown.T], 1) * scale + 0.2
    expression = expression.astype(np.float32)
    monkeypatch.setattr(speech_calibration, "predict_expression", predicted)
    silence = Sound(np.zeros(int(SECONDS * 16000), np.float32), 16000)
    monkeypatch.setattr(speech_calibration, "read_sound", lambda path: silence)
    return SimpleNamespace(
        model=model,
        clip=Path("none.mp4"),
        times_s=times_s,
        reconstruction=SimpleNamespace(
            identity=np.zeros(model.identities, np.float32),
            expression=expression,
            valid=np.ones(len(times_s), np.bool_),
        ),
        expression_statistics=lambda: (expression.mean(0), expression.std(0)),
    )


@pytest.mark.parametrize("lag_s", [-0.1, 0.0, 0.24])
def test_lag_and_range_are_found(monkeypatch: pytest.MonkeyPatch, lag_s: float) -> None:
    anchor = speaker(monkeypatch, lag_s)
    found = calibrate(anchor, None, None)  # type: ignore[arg-type]
    assert found.lag_s == pytest.approx(lag_s, abs=0.021)
    said = speech_calibration.predict_expression(None, None, None, anchor.times_s + lag_s)  # type: ignore[arg-type]
    mouth = anchor.model.opening(anchor.reconstruction.identity, found.apply(said))
    true = anchor.model.opening(anchor.reconstruction.identity, anchor.reconstruction.expression)
    assert np.corrcoef(mouth, true)[0, 1] > 0.98
    assert mouth.std() / true.std() == pytest.approx(1.0, abs=0.1)


def test_sound_that_does_not_belong_leaves_mean_and_deviation(monkeypatch: pytest.MonkeyPatch) -> None:
    anchor = speaker(monkeypatch, 0.0, belongs=False)
    found = calibrate(anchor, None, None)  # type: ignore[arg-type]
    mean, std = anchor.expression_statistics()
    assert found.lag_s is None
    np.testing.assert_allclose(found.matrix, np.diag(std))
    np.testing.assert_allclose(found.offset, mean)
