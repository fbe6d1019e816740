"""Fine-tuning on a person whose mouth is a known function of the features."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from talkinghead.face.face_model import FaceModel, PersonFace, load_face_model
from talkinghead.face.reconstruction import smooth
from talkinghead.speech.adaptation import OWN_VOICE
from talkinghead.speech.calibration import SpeechCalibration
from talkinghead.speech.encoder import SpeechFeatures
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.predictor import ExpressionPredictor, PredictorConfig
from talkinghead.structures import Audio, FloatArray, Reconstruction
from talkinghead.training.speech import adaptation as module
from talkinghead.training.speech.adaptation import AdaptationConfig, adapt, enlargement
from talkinghead.weights.bundled import checkpoint_path

SECONDS = 24.0
D = 12
"""Width of a feature."""
QUICK = AdaptationConfig(most_steps=60, learning_rate=3e-3)


@pytest.fixture(scope="module")
def face() -> PersonFace:
    model: FaceModel = load_face_model(checkpoint_path("face_model.safetensors"))
    return model.of(np.zeros(model.identities, np.float32))


@pytest.fixture
def speech_model(face: PersonFace, monkeypatch: pytest.MonkeyPatch) -> SpeechModel:
    """An untrained predictor on smooth random features, 50 a second, whatever the audio."""
    noise = np.random.default_rng(0).normal(size=(round(50 * SECONDS), D))
    features = smooth(noise, np.ones(len(noise)), 50.0, 4.0)
    features = (features / features.std(0)).astype(np.float32)
    encoder: Any = SimpleNamespace(
        sha256="e", rate_hz=50.0, layer_count=1, width=D, name="smooth",
        encode=lambda audio, layers: SpeechFeatures(features[:, None], 50.0, 0.0),
    )  # fmt: skip
    torch.manual_seed(0)
    config = PredictorConfig("smooth", "e", "f", (1,), D, face.model.expressions, components=D, width=16)
    predictor = ExpressionPredictor(config).eval()
    predictor.projection[0] = torch.eye(D)
    monkeypatch.setattr(module, "read_audio", lambda clip, longest_s, tracks: Audio(np.zeros(16000, np.float32), 16000))
    return SpeechModel(encoder, predictor)


def features_of(speech_model: SpeechModel) -> FloatArray:
    return speech_model.encoder.encode(None, (1,)).values[:, 0]  # type: ignore[arg-type]


def person(face: PersonFace, expression: FloatArray, lag_s: float = 0.0) -> Reconstruction:
    """A head that stands still, filmed at 25 frames a second; the expression is given every 20 ms of the audio."""
    times_s = np.arange(int(25 * SECONDS) - 10) / 25
    at_s = np.arange(len(expression)) / 50
    frames = len(times_s)
    return Reconstruction(
        identity=face.identity,
        expression=np.stack([np.interp(times_s + lag_s, at_s, curve) for curve in expression.T], 1).astype(np.float32),
        rotation=np.zeros((frames, 3), np.float32),
        translation=np.zeros((frames, 2), np.float32),
        scale=np.ones(frames, np.float32),
        valid=np.ones(frames, np.bool_),
        times_s=times_s,
        misfit_cm=np.zeros(frames),
    )


def mouth(speech_model: SpeechModel, expressions: int) -> FloatArray:
    """An expression that is a function of the features, and no linear one."""
    weights = np.random.default_rng(1).normal(size=(D, expressions))
    return np.tanh(2 * features_of(speech_model) @ weights / np.sqrt(D)).astype(np.float32) + np.float32(0.5)


def calibration(face: PersonFace, lag_s: float | None = 0.0) -> SpeechCalibration:
    expressions = face.model.expressions
    return SpeechCalibration(
        np.eye(expressions, dtype=np.float32), np.zeros(expressions, np.float32), lag_s, 0.9, "e", "p"
    )


@pytest.mark.parametrize("lag_s", [0.0, 0.2])
def test_the_networks_learn_the_persons_mouth(face: PersonFace, speech_model: SpeechModel, lag_s: float) -> None:
    expression = mouth(speech_model, face.model.expressions)
    found = adapt(Path(), face, person(face, expression, lag_s), speech_model, calibration(face, lag_s), QUICK)
    assert found is not None and found.held_out_r > max(found.calibrated_r, 0.6)
    adapted = found.applied(speech_model, OWN_VOICE).predictor
    inputs = adapted.components(torch.from_numpy(features_of(speech_model)[None, :, None]))
    with torch.no_grad():
        predicted = found.apply(adapted.expression(inputs)[0].numpy())
    assert np.corrcoef(face.opening(predicted), face.opening(expression))[0, 1] > 0.8
    np.testing.assert_allclose(predicted.mean(0), expression.mean(0), atol=0.15)


def test_the_wrong_lag_teaches_nothing(face: PersonFace, speech_model: SpeechModel) -> None:
    """The same clip, its lag believed to be half a second off."""
    expression = mouth(speech_model, face.model.expressions)
    right = adapt(Path(), face, person(face, expression), speech_model, calibration(face), QUICK)
    wrong = adapt(Path(), face, person(face, expression), speech_model, calibration(face, 0.5), QUICK)
    assert right is not None
    assert wrong is None or wrong.held_out_r < right.held_out_r - 0.3


def test_what_the_calibrated_predictor_does_better_is_left_to_it(
    face: PersonFace, speech_model: SpeechModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fine-tuning that ends in noise."""
    noise = np.random.default_rng(2).normal(size=(round(50 * SECONDS), face.model.expressions)).astype(np.float32)
    networks = speech_model.predictor.networks
    monkeypatch.setattr(module, "_fine_tune", lambda *arguments: iter([(noise, networks)]))
    reconstruction = person(face, mouth(speech_model, face.model.expressions))
    assert adapt(Path(), face, reconstruction, speech_model, calibration(face), QUICK) is None


def test_audio_of_another_mouth_or_too_little_of_it_adapts_nothing(face: PersonFace, speech_model: SpeechModel) -> None:
    reconstruction = person(face, mouth(speech_model, face.model.expressions))
    assert adapt(Path(), face, reconstruction, speech_model, calibration(face, None), QUICK) is None
    valid = reconstruction.valid & (reconstruction.times_s < 6)
    short = dataclasses.replace(reconstruction, valid=valid)
    assert adapt(Path(), face, short, speech_model, calibration(face), QUICK) is None


def test_the_speech_model_stays_as_it_was_and_the_result_is_the_same_each_time(
    face: PersonFace, speech_model: SpeechModel
) -> None:
    before = speech_model.predictor.sha256()
    reconstruction = person(face, mouth(speech_model, face.model.expressions))
    one, two = (adapt(Path(), face, reconstruction, speech_model, calibration(face), QUICK) for _ in range(2))
    assert speech_model.predictor.sha256() == before
    assert one is not None and two is not None
    for name, change in one.changes.items():
        np.testing.assert_array_equal(two.changes[name], change)


def test_predictions_are_enlarged_and_the_opening_stays_as_certain_as_it_was(face: PersonFace) -> None:
    draw, coefficients = np.random.default_rng(0), face.model.expressions
    one_each = np.eye(coefficients, dtype=np.float32)
    to_gap = face.lip_gap(one_each) - face.lip_gap(0 * one_each)
    moved = draw.normal(size=(2000, coefficients)).astype(np.float32)
    certain = draw.uniform(0.75, 1.0, coefficients)  # correlation of what is predicted
    guessed = certain * (certain * moved + np.sqrt(1 - certain**2) * draw.normal(size=moved.shape))
    opened = 10 * to_gap / np.linalg.norm(to_gap)  # so that the lips never meet
    measured, driven = moved + opened, (guessed + opened).astype(np.float32)

    larger = (driven @ enlargement(face, measured, driven)).astype(np.float32)

    gaps = [face.lip_gap(one).astype(float) for one in (measured, driven, larger)]
    assert np.corrcoef(gaps[1], gaps[2])[0, 1] > 0.99999
    assert np.isclose(gaps[2].std(), gaps[0].std(), rtol=0.01)
    aside = np.abs(to_gap) < np.quantile(np.abs(to_gap), 0.3)  # coefficients that hardly part the lips
    assert np.allclose(larger.std(0)[aside], measured.std(0)[aside], rtol=0.02)
