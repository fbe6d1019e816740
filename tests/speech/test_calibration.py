"""Calibration against a clip whose lag and whose way of speaking are known because they were made up here."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from speech_models import needs_default_weights

from talkinghead.errors import CheckpointError, MediaError, MissingFileError
from talkinghead.face.face_model import FaceModel, PersonFace, load_face_model
from talkinghead.face.reconstruction import smooth
from talkinghead.files import load_arrays, save_arrays
from talkinghead.media.audio_writer import write_audio
from talkinghead.speech.calibration import (
    FEWEST_FRAMES,
    LARGEST_GAIN,
    RIDGES,
    SpeechCalibration,
    calibrate,
    choose_ridge,
    load_calibration,
    predict_clip,
    ridge,
    save_calibration,
)
from talkinghead.speech.lip_closure import CLOSING_LEVELS
from talkinghead.speech.model import PredictedExpression, SpeechModel
from talkinghead.structures import Audio, FloatArray, Reconstruction, Recording
from talkinghead.text_to_speech import Script, join, speak
from talkinghead.weights.bundled import checkpoint_path

SECONDS = 30.0
RATE_HZ = 25.0


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model(checkpoint_path("face_model.safetensors"))


@pytest.fixture(scope="module")
def face(model: FaceModel) -> PersonFace:
    return model.of(np.zeros(model.identities, np.float32))


@pytest.fixture
def silent_clip(tmp_path: Path) -> Path:
    """A file of silence: the predictors made up here do not depend on the audio."""
    path = tmp_path / "clip.wav"
    write_audio(path, [Audio(np.zeros(round(SECONDS * 16000), np.float32), 16000)])
    return path


def random_curves(seed: int, expressions: int) -> FloatArray:
    """Smooth curves of mean about 0 and standard deviation 1, 100 rows a second."""
    noise = np.random.default_rng(seed).normal(size=(round(100 * (SECONDS + 2)), expressions))
    slow = smooth(noise, np.ones(len(noise)), 100.0, 4.0)
    return (slow / slow.std(0)).astype(np.float32)


def sampled(curves: FloatArray, times_s: NDArray[np.float64]) -> FloatArray:
    """(T, K) of curves with 100 rows a second."""
    grid_s = np.arange(len(curves)) / 100
    return np.stack([np.interp(times_s, grid_s, curve) for curve in curves.T], 1).astype(np.float32)


class CurvesModel:
    """In a speech model's place: predicts given curves, whatever the audio."""

    def __init__(self, curves: FloatArray) -> None:
        self.curves = curves
        self.encoder = SimpleNamespace(sha256="e" * 64)
        self.predictor_sha256 = "p" * 64

    def predict(self, audio: Recording, times_s: NDArray[np.float64]) -> PredictedExpression:
        return PredictedExpression(sampled(self.curves, times_s), np.zeros(len(times_s), np.float32))


def reconstruction_of(expression: FloatArray, times_s: NDArray[np.float64], identity: FloatArray) -> Reconstruction:
    """A head that stands still while its mouth moves."""
    frames = len(times_s)
    still = np.zeros((frames, 3), np.float32)
    return Reconstruction(
        identity=identity,
        expression=expression,
        rotation=still,
        translation=still[:, :2],
        scale=np.ones(frames, np.float32),
        valid=np.ones(frames, np.bool_),
        times_s=times_s,
        misfit_cm=np.zeros(frames),
    )


def speaker(face: PersonFace, lag_s: float, belongs: bool = True) -> tuple[Reconstruction, Any]:
    """A mouth that does what the speech model predicts, `lag_s` before the clip's audio, in a range of its own."""
    expressions = face.model.expressions
    curves = random_curves(2, expressions)
    times_s = np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ
    scale = np.random.default_rng(1).uniform(0.3, 1.5, expressions)
    shown = curves if belongs else random_curves(3, expressions)
    expression = (sampled(shown, times_s + lag_s) * scale + 0.2).astype(np.float32)
    return reconstruction_of(expression, times_s, face.identity), CurvesModel(curves)


def test_ridge_finds_a_known_map() -> None:
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(20000, 4)).astype(np.float32)
    matrix, offset = draw.normal(size=(4, 3)), draw.normal(size=3)
    prior = draw.normal(size=(4, 3))
    found, found_offset = ridge(inputs, (inputs @ matrix + offset).astype(np.float32), prior, 0.5)
    # Inputs of variance 1 under a penalty of 0.5 go 1 / 1.5 of the way from the prior.
    np.testing.assert_allclose((found - prior) * 1.5, matrix - prior, atol=0.05)
    np.testing.assert_allclose(found_offset, offset, atol=0.02)


def test_the_penalty_follows_from_what_held_out_blocks_say() -> None:
    """A map that is the same all the time is learned; one that is another in each block is not."""
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(4000, 4)).astype(np.float32)
    steady = np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])

    def chosen(maps: list[np.ndarray]) -> float:
        parts = [part @ matrix for part, matrix in zip(np.split(inputs, 4), maps, strict=True)]
        return choose_ridge(inputs, np.concatenate(parts).astype(np.float32), np.eye(4), lambda values: values[:, 0])

    assert chosen([steady] * 4) == min(RIDGES)
    # The first output is the first input, and something of another one in each block that is gone in the next.
    changing = [np.eye(4) + 3 * sign * steady for sign in (1, -1, 1, -1)]
    assert chosen(changing) == max(RIDGES)


@pytest.mark.parametrize("lag_s", [-0.1, 0.0, 0.24])
def test_lag_and_range_are_found(silent_clip: Path, face: PersonFace, lag_s: float) -> None:
    reconstruction, speech_model = speaker(face, lag_s)
    found = calibrate(silent_clip, face, reconstruction, speech_model)
    assert found.lag_s == pytest.approx(lag_s, abs=0.021)
    assert found.r is not None and found.r > 0.9
    predicted = speech_model.predict(None, reconstruction.times_s + lag_s).values
    opening, true = face.opening(found.apply(predicted)), face.opening(reconstruction.expression)
    assert np.corrcoef(opening, true)[0, 1] > 0.98
    assert opening.std() / true.std() == pytest.approx(1.0, abs=0.1)
    assert found.describe() == {"lag_ms": round(found.lag_s * 1000), "r": round(found.r, 3)}


def test_a_poor_fit_is_enlarged_by_one_factor_to_the_movement_of_the_clip(silent_clip: Path, face: PersonFace) -> None:
    """Where most of the movement is not predicted."""
    reconstruction, speech_model = speaker(face, 0.0)
    noise = random_curves(4, face.model.expressions)
    other = (reconstruction.expression + sampled(noise, reconstruction.times_s)).astype(np.float32)
    reconstruction = dataclasses.replace(reconstruction, expression=other)
    clip = predict_clip(silent_clip, face, reconstruction, speech_model)
    found = calibrate(silent_clip, face, reconstruction, speech_model)
    assert clip is not None and clip.belongs and found.lag_s == clip.lag_s
    prior = np.diag(clip.measured.std(0))
    penalty = choose_ridge(clip.predicted, clip.measured, prior, face.opening)
    matrix, _ = ridge(clip.predicted, clip.measured, prior, penalty)
    gain = float(np.median(found.matrix / matrix))
    assert 1.05 < gain <= LARGEST_GAIN
    np.testing.assert_allclose(found.matrix, gain * matrix, rtol=1e-5)
    driven, measured = (face.opening(one).std() for one in (found.apply(clip.predicted), clip.measured))
    assert driven / measured == pytest.approx(1, abs=0.1)


def test_audio_that_does_not_belong_leaves_mean_and_deviation(silent_clip: Path, face: PersonFace) -> None:
    reconstruction, speech_model = speaker(face, 0.0, belongs=False)
    found = calibrate(silent_clip, face, reconstruction, speech_model)
    assert found.lag_s is None and found.r is None
    assert found.problem is not None and "correlation" in found.problem
    np.testing.assert_allclose(found.matrix, np.diag(reconstruction.expression.std(0)))
    np.testing.assert_allclose(found.offset, reconstruction.expression.mean(0))


def test_clips_of_no_use_leave_mean_and_deviation(silent_clip: Path, face: PersonFace, tmp_path: Path) -> None:
    """Too few frames with a face, or no audio at all."""
    reconstruction, speech_model = speaker(face, 0.0)
    valid = np.arange(len(reconstruction)) < FEWEST_FRAMES - 1
    assert predict_clip(silent_clip, face, dataclasses.replace(reconstruction, valid=valid), speech_model) is None
    (tmp_path / "none.mp4").write_bytes(b"no clip")
    with pytest.raises(MediaError):
        predict_clip(tmp_path / "none.mp4", face, reconstruction, speech_model)
    found = calibrate(tmp_path / "none.mp4", face, reconstruction, speech_model)
    assert found.lag_s is None and found.problem is not None and "none.mp4" in found.problem


def test_the_mouth_in_pauses_is_that_of_the_frames_in_pauses(
    silent_clip: Path, face: PersonFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Speech but for five seconds, in which the mouth stands as it does nowhere else."""
    reconstruction, speech_model = speaker(face, 0.0)
    stands = np.linspace(-1, 1, face.model.expressions).astype(np.float32)
    pauses = (reconstruction.times_s > 10.5) & (reconstruction.times_s < 14.5)
    expression = np.where(pauses[:, None], stands, reconstruction.expression)
    reconstruction = dataclasses.replace(reconstruction, expression=expression)
    monkeypatch.setattr(
        "talkinghead.speech.calibration.speech_stretches", lambda *_: np.array([[0.0, 10.0], [15.0, SECONDS]])
    )
    found = calibrate(silent_clip, face, reconstruction, speech_model)
    assert found.pause is not None
    np.testing.assert_array_equal(found.pause, stands)
    monkeypatch.setattr("talkinghead.speech.calibration.speech_stretches", lambda *_: np.array([[0.0, SECONDS]]))
    assert calibrate(silent_clip, face, reconstruction, speech_model).pause is None


@needs_default_weights
@pytest.mark.parametrize("lag_s", [-0.12, 0.26])
def test_the_lag_of_audio_that_was_shifted_is_found(tmp_path: Path, face: PersonFace, lag_s: float) -> None:
    """The mouth is the predictor's own with random movement over it; the audio lies in a file, shifted."""
    speech_model = SpeechModel.load()
    text = "Good evening. This is the news at nine, read to you from a small room by the sea. Farmers hope for rain."
    spoken = join(list(speak(Script(text, "hibari")))).audio
    times_s = np.arange(int(spoken.duration_s * 40)) / 40
    expression = speech_model.predict(spoken, times_s).values
    wander = smooth(np.random.default_rng(0).normal(size=expression.shape), np.ones(len(times_s)), 40.0, 4.0)
    expression = (expression + 0.5 * wander / wander.std() * expression.std()).astype(np.float32)
    shift = round(abs(lag_s) * spoken.rate_hz)
    shifted = np.append(np.zeros(shift, np.float32), spoken.samples) if lag_s > 0 else spoken.samples[shift:]
    write_audio(tmp_path / "clip.wav", [Audio(shifted, spoken.rate_hz)])
    reconstruction = reconstruction_of(expression, times_s, face.identity)
    found = predict_clip(tmp_path / "clip.wav", face, reconstruction, speech_model)
    assert found is not None and found.belongs
    assert found.lag_s == pytest.approx(lag_s, abs=0.021)


def random_calibration(lag_s: float | None = 0.04, r: float | None = 0.8) -> SpeechCalibration:
    draw = np.random.default_rng(0)
    matrix, offset, pause = (draw.normal(size=shape).astype(np.float32) for shape in ((5, 5), 5, 5))
    return SpeechCalibration(matrix, offset, lag_s, r, "e" * 64, "p" * 64, pause, CLOSING_LEVELS[1])


@pytest.mark.parametrize(("lag_s", "r"), [(0.04, 0.8123456789), (-0.4, 0.35), (None, None)])
def test_a_saved_calibration_is_the_same(tmp_path: Path, lag_s: float | None, r: float | None) -> None:
    given = random_calibration(lag_s, r)
    save_calibration(tmp_path / "calibration.safetensors", given)
    loaded = load_calibration(tmp_path / "calibration.safetensors", 5)
    assert loaded.closing == CLOSING_LEVELS[1]
    for name in ("matrix", "offset", "pause"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(given, name))
    for name in ("lag_s", "r", "encoder_sha256", "predictor_sha256"):
        assert getattr(loaded, name) == getattr(given, name)


def test_damaged_calibrations_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.safetensors"
    with pytest.raises(MissingFileError):
        load_calibration(path, 5)
    save_calibration(path, random_calibration())
    arrays, metadata = load_arrays(path)
    with pytest.raises(CheckpointError):
        load_calibration(path, 6)
    wrong: list[tuple[dict[str, Any], dict[str, str]]] = [
        (arrays | {"matrix": np.full((5, 5), np.nan, np.float32)}, metadata),
        (arrays | {"matrix": arrays["matrix"].astype(np.float64)}, metadata),
        (arrays | {"pause": np.full(5, np.nan, np.float32)}, metadata),
        (arrays | {"pause": np.zeros(6, np.float32)}, metadata),
        ({"matrix": arrays["matrix"]}, metadata),
        (arrays, metadata | {"format": "other"}),
        (arrays, metadata | {"lag_s": "late"}),
        (arrays, metadata | {"lag_s": "nan"}),
        (arrays, metadata | {"r": "7"}),
        (arrays, metadata | {"closing": "[0.5, 0.2]"}),
        (arrays, metadata | {"closing": "tight"}),
        (arrays, {name: value for name, value in metadata.items() if name != "encoder_sha256"}),
    ]
    for number, (content, described) in enumerate(wrong):
        save_arrays(path, content, described)
        with pytest.raises(CheckpointError):
            pytest.fail(f"case {number}: {load_calibration(path, 5)}")


def test_a_calibration_is_for_one_encoder_and_one_predictor() -> None:
    calibration = random_calibration()
    speech_model: Any = CurvesModel(random_curves(0, 5))
    assert calibration.is_for(speech_model)
    assert not dataclasses.replace(calibration, encoder_sha256="0" * 64).is_for(speech_model)
    assert not dataclasses.replace(calibration, predictor_sha256="0" * 64).is_for(speech_model)
