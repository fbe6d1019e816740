"""Calibration against a clip whose lag and whose way of speaking are known because they were made up here."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from talkinghead.face.face_model import load_face_model
from talkinghead.face.reconstruction import smooth
from talkinghead.files import save_arrays
from talkinghead.media.audio_writer import write_audio
from talkinghead.speech import calibration as speech_calibration
from talkinghead.speech.calibration import calibrate, listen, ridge
from talkinghead.speech.model import PredictedExpression, load_speech_model, predict_expression
from talkinghead.speech.predictor import ExpressionPredictor, PredictorConfig
from talkinghead.structures import Audio, FloatArray, Reconstruction
from talkinghead.text_to_speech import Script, join, speak
from talkinghead.weights.bundled import checkpoint_folder, checkpoint_path

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

    def predicted(
        encoder: object, predictor: object, audio: Audio, times_s: NDArray[np.float64]
    ) -> PredictedExpression:
        values = np.stack([np.interp(times_s, grid_s, curve) for curve in said.T], 1).astype(np.float32)
        return PredictedExpression(values, np.zeros(len(times_s), np.float32))

    times_s = np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ
    shown = said if belongs else curves(3)
    scale = draw.uniform(0.3, 1.5, model.expressions)
    expression = np.stack([np.interp(times_s + lag_s, grid_s, curve) for curve in shown.T], 1) * scale + 0.2
    expression = expression.astype(np.float32)
    monkeypatch.setattr(speech_calibration, "predict_expression", predicted)
    heard = predicted(None, None, None, np.arange(0, SECONDS, speech_calibration.STEP_S))  # type: ignore[arg-type]
    monkeypatch.setattr(speech_calibration, "_predicted_curves", lambda clip, encoder, predictor: heard.values)
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
    mouth = anchor.model.of(anchor.reconstruction.identity).opening(found.apply(said.values))
    true = anchor.model.of(anchor.reconstruction.identity).opening(anchor.reconstruction.expression)
    assert np.corrcoef(mouth, true)[0, 1] > 0.98
    assert mouth.std() / true.std() == pytest.approx(1.0, abs=0.1)


def test_sound_that_does_not_belong_leaves_mean_and_deviation(monkeypatch: pytest.MonkeyPatch) -> None:
    anchor = speaker(monkeypatch, 0.0, belongs=False)
    found = calibrate(anchor, None, None)  # type: ignore[arg-type]
    mean, std = anchor.expression_statistics()
    assert found.lag_s is None
    np.testing.assert_allclose(found.matrix, np.diag(std))
    np.testing.assert_allclose(found.offset, mean)


@pytest.mark.skipif(not (checkpoint_folder() / "speech_encoder" / "model.safetensors").exists(), reason="no weights")
@pytest.mark.parametrize("lag_s", [-0.12, 0.26])
def test_sound_that_was_moved_is_found_so_late_or_early(tmp_path: Path, lag_s: float) -> None:
    """The mouth is the predictor's own with another mouth's motion over it; the sound lies in a file, moved."""
    model = load_face_model(checkpoint_path("face_model.safetensors"))
    encoder, predictor = load_speech_model()
    text = "Good evening. This is the news at nine, read to you from a small room by the sea. Farmers hope for rain."
    spoken = join(list(speak(Script(text, "hibari")))).audio
    frames = np.arange(int(spoken.duration_s * 40)) / 40
    expression = predict_expression(encoder, predictor, spoken, frames).values
    wander = smooth(np.random.default_rng(0).normal(size=expression.shape), np.ones(len(frames)), 40.0, 4.0)
    expression = (expression + 0.5 * wander / wander.std() * expression.std()).astype(np.float32)
    shift = round(abs(lag_s) * spoken.rate_hz)
    moved = np.append(np.zeros(shift, np.float32), spoken.samples) if lag_s > 0 else spoken.samples[shift:]
    write_audio(tmp_path / "clip.wav", [Audio(moved, spoken.rate_hz)])
    still = np.zeros((len(frames), 3), np.float32)
    reconstruction = Reconstruction(
        np.zeros(model.identities, np.float32),
        expression,
        still,
        still[:, :2],
        np.ones(len(frames), np.float32),
        np.ones(len(frames), np.bool_),
    )
    heard = listen(tmp_path / "clip.wav", model, reconstruction, frames, encoder, predictor)
    assert heard is not None and heard.belongs
    assert heard.lag_s == pytest.approx(lag_s, abs=0.021)


class Clip:
    """A file of sound, and how often the made-up predictor was asked about it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "clip.wav"
        self.asked = 0
        write_audio(self.path, [Audio(np.zeros(32000, np.float32), 16000)])
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        monkeypatch.setattr(speech_calibration, "predict_expression", self._predict)

    def _predict(self, encoder: Any, predictor: Any, audio: Audio, times_s: NDArray[np.float64]) -> PredictedExpression:
        self.asked += 1
        values = np.random.default_rng(0).normal(size=(len(times_s), 3)).astype(np.float32)
        return PredictedExpression(values, np.zeros(len(times_s), np.float32))

    def curves(self, encoder: str = "e", predictor: str = "p") -> FloatArray:
        config = SimpleNamespace(expressions=3)
        networks: Any = SimpleNamespace(sha256=encoder), SimpleNamespace(sha256=lambda: predictor, config=config)
        return speech_calibration._predicted_curves(self.path, *networks)


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clip:
    return Clip(tmp_path, monkeypatch)


def test_a_clip_is_heard_once(clip: Clip) -> None:
    first = clip.curves()
    np.testing.assert_array_equal(clip.curves(), first)
    assert first.shape == (200, 3) and clip.asked == 1


def test_another_sound_or_network_is_heard_anew(clip: Clip) -> None:
    clip.curves()
    clip.curves(encoder="other")
    clip.curves(predictor="other")
    write_audio(clip.path, [Audio(np.full(32000, 0.1, np.float32), 16000)], overwrite=True)
    clip.curves()
    assert clip.asked == 4


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_entry_is_made_anew(clip: Clip, tmp_path: Path, damage: bytes | None) -> None:
    first = clip.curves()
    (entry,) = (tmp_path / "cache").rglob("*.safetensors")
    if damage is None:
        save_arrays(entry, {"curves": np.full((200, 3), np.nan, np.float32)}, {"format": speech_calibration.FORMAT})
    else:
        entry.write_bytes(damage)
    np.testing.assert_array_equal(clip.curves(), first)
    np.testing.assert_array_equal(clip.curves(), first)
    assert clip.asked == 2


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file, and no folder")
    np.testing.assert_array_equal(clip.curves(), clip.curves())
    assert clip.asked == 2


def test_a_predictor_is_known_by_its_weights() -> None:
    config = PredictorConfig("e", "e", "f", (1,), 8, 3, components=4, width=4)
    one, other = ExpressionPredictor(config), ExpressionPredictor(config)
    other.load_state_dict(one.state_dict())
    assert one.sha256() == other.sha256()
    with torch.no_grad():
        other.tap_bias += 1
    assert one.sha256() != other.sha256()
