"""Training an ANCHOR on a drawn person: it improves, it can be resumed, and the ANCHOR is whole and portable."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from drawn_face import DrawnClip, drawn_clip

from talkinghead.anchor import CALIBRATION_FILE, Anchor, load_anchor, read_description
from talkinghead.errors import (
    CheckpointError,
    MissingFileError,
    OptionError,
    OutputError,
    OutputExistsError,
    TrainingInterruptedError,
)
from talkinghead.face.face_model import PersonFace
from talkinghead.face.region_removal import crop_size_px
from talkinghead.files import load_arrays, sha256_of
from talkinghead.media.images import GAP_PX
from talkinghead.speech.calibration import SpeechCalibration, load_calibration
from talkinghead.speech.model import SpeechModel
from talkinghead.structures import ClipRange, FloatArray
from talkinghead.training.face_update import train as training
from talkinghead.training.face_update import trainer as trainer_module
from talkinghead.training.face_update.config import LoopConfig
from talkinghead.training.face_update.improvement import Improvement
from talkinghead.training.face_update.own_speech import OwnSpeech
from talkinghead.training.face_update.samples import Samples, gather_samples, held_out_frames
from talkinghead.training.face_update.sheet import HeldOutSheet, shown_samples
from talkinghead.training.face_update.train import continue_training, train
from talkinghead.training.face_update.trainer import FaceUpdateTrainer, TrainingProgress
from talkinghead.weights.bundled import checkpoint_path

pytestmark = pytest.mark.usefixtures("own_caches")

RESUMED_STEPS = 6


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> DrawnClip:
    return drawn_clip(tmp_path_factory.mktemp("short") / "short.mp4", 0.8)


def weights_of(folder: Path) -> dict[str, FloatArray]:
    return load_arrays(folder / "network.safetensors")[0]


class KilledError(Exception):
    """Stands for a kill."""


def interrupt(clip: DrawnClip, output: Path, after: int, config: LoopConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a training that is killed after so many steps."""
    step = FaceUpdateTrainer.train_step

    def step_until_killed(trainer: FaceUpdateTrainer, done: float) -> None:
        if trainer.step == after:
            raise KilledError
        step(trainer, done)

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(FaceUpdateTrainer, "train_step", step_until_killed)
        train(clip.path, output, steps=RESUMED_STEPS, device="cpu", loop=config)


@pytest.fixture
def interrupted(short_clip: DrawnClip, quick: LoopConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output of a training that was killed after one step."""
    interrupt(short_clip, tmp_path / "person", 1, dataclasses.replace(quick, save_every_s=0.0), monkeypatch)
    return tmp_path / "person"


def psnr_db(a: FloatArray, b: FloatArray, inside: FloatArray) -> float:
    """PSNR of two images in [0, 1] where `inside` is above 0."""
    return float(-10 * np.log10(((a - b) ** 2)[inside > 0].mean()))


def samples_of(anchor: Anchor, clip: DrawnClip) -> Samples:
    size_px = crop_size_px(anchor.region, anchor.reconstruction)
    return gather_samples(clip.path, anchor.model, anchor.region, anchor.reconstruction, size_px, 1000)


def test_the_clip_is_tracked_as_it_was_drawn(anchor: Anchor, clip: DrawnClip) -> None:
    found = anchor.reconstruction
    assert found.valid.all()
    assert len(found) == len(clip.truth)
    assert np.corrcoef(anchor.model.of(found.identity).opening(found.expression), clip.opening)[0, 1] > 0.9
    assert np.abs(found.scale / clip.truth.scale - 1).max() < 0.05
    assert np.abs(found.rotation - clip.truth.rotation).max() < np.radians(5)


def test_trained_images_are_nearer_to_the_truth_than_the_mean_frame(
    anchor: Anchor, clip: DrawnClip, quick: LoopConfig
) -> None:
    samples = samples_of(anchor, clip)
    known, held_out = held_out_frames(len(samples), quick.held_out_share)
    truth = samples.crops[held_out].astype(np.float32) / 255
    feather = samples.feathers[held_out].astype(np.float32)[..., None] / 255
    batch = samples.batch(held_out, torch.device("cpu"))
    with torch.inference_mode():
        _, updated = anchor.network(batch.coefficients, batch.filled, batch.hole, batch.feather)
    inside = np.broadcast_to(feather, truth.shape)
    trained_db = psnr_db(updated.permute(0, 2, 3, 1).float().numpy(), truth, inside)
    mean = samples.crops[known].mean(0).astype(np.float32) / 255
    mean_db = psnr_db(feather * mean + (1 - feather) * truth, truth, inside)
    print(f"trained {trained_db:.1f} dB, mean frame {mean_db:.1f} dB")
    assert trained_db > mean_db + 1


def test_what_anchor_json_records_is_true(anchor: Anchor, anchor_folder: Path, clip: DrawnClip) -> None:
    description = json.loads((anchor_folder / "anchor.json").read_text("utf-8"))
    for name, sha256 in description["sha256"].items():
        assert sha256_of(anchor_folder / name) == sha256
    assert sha256_of(anchor.clip) == sha256_of(clip.path) == description["clip"]["sha256"]
    assert description["clip"]["frames"] == description["clip"]["frames_with_face"] == len(clip.truth)
    assert description["clip"]["original_name"] == clip.path.name
    assert description["audio"] == {"lag_ms": None, "r": None}  # the clip is too short to measure it
    assert description["clip"]["seconds_with_face"] == pytest.approx(clip.times_s[-1], abs=0.05)
    assert description["clip"]["opening"] == pytest.approx(np.quantile(clip.opening, 0.95), rel=0.4)
    trained = description["training"]
    assert trained["steps"] > 0 and trained["stood_still"] is False
    assert trained["quality"] in ("rough", "usable", "good")
    assert 20 < trained["held_out_psnr_db"] < 60 and 15 < trained["held_out_mouth_psnr_db"] < 60
    assert 0 < trained["held_out_mouth_st_lpips"] < 1
    assert description["network"]["expressions"] == anchor.model.expressions
    assert anchor.face_model_sha256 == sha256_of(checkpoint_path("face_model.safetensors"))
    assert {path.name for path in anchor_folder.iterdir()} == {
        "anchor.json",
        "clip.mp4",
        "track.safetensors",
        "face_model.safetensors",
        "reconstruction.safetensors",
        "network.safetensors",
        "appearance.safetensors",
        "speech_calibration.safetensors",
        "training.png",
    }


def test_an_anchor_works_wherever_it_is_copied(anchor: Anchor, anchor_folder: Path, tmp_path: Path) -> None:
    copy = load_anchor(shutil.copytree(anchor_folder, tmp_path / "elsewhere"))
    assert copy.clip.parent == tmp_path / "elsewhere"
    for name, value in anchor.network.state_dict().items():
        torch.testing.assert_close(copy.network.state_dict()[name], value, rtol=0, atol=0)


def test_training_png_shows_truth_cut_and_result_of_held_out_frames(
    anchor_folder: Path, clip: DrawnClip, quick: LoopConfig
) -> None:
    """Each row holds a held-out sample as it is, cut out, and updated; the clip is too short to be driven by speech."""
    sheet = cv2.imread(str(anchor_folder / "training.png"))
    assert sheet is not None
    anchor = load_anchor(anchor_folder)
    samples = samples_of(anchor, clip)
    _, held_out = held_out_frames(len(samples), quick.held_out_share)
    shown = shown_samples(held_out)
    height, width = anchor.network.config.size_px
    assert sheet.shape[1] == 3 * (width + GAP_PX) + GAP_PX
    for row, sample in enumerate(shown[::-1]):
        bottom = sheet.shape[0] - GAP_PX - row * (height + GAP_PX)
        truth, cut, updated = (
            sheet[bottom - height : bottom, left : left + width, ::-1]
            for left in range(GAP_PX, sheet.shape[1] - width, width + GAP_PX)
        )
        np.testing.assert_array_equal(truth, samples.crops[sample])
        np.testing.assert_array_equal(cut, truth * (1 - samples.holes[sample][..., None]))
        inside = np.broadcast_to(samples.feathers[sample][..., None], truth.shape)
        np.testing.assert_array_equal(updated[inside == 0], truth[inside == 0])
        as_float = [image.astype(np.float32) / 255 for image in (updated, cut, truth)]
        assert psnr_db(as_float[0], as_float[2], inside) > psnr_db(as_float[1], as_float[2], inside) + 6


def test_a_resumed_training_ends_as_an_uninterrupted_one(
    short_clip: DrawnClip, quick: LoopConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(quick, save_every_s=0.0)
    train(short_clip.path, tmp_path / "whole", steps=RESUMED_STEPS, device="cpu", loop=config)

    interrupt(short_clip, tmp_path / "halves", RESUMED_STEPS // 2, config, monkeypatch)
    assert not (tmp_path / "halves").exists()

    reports: list[TrainingProgress] = []
    done = train(
        short_clip.path,
        tmp_path / "halves",
        steps=RESUMED_STEPS,
        device="cpu",
        loop=config,
        resume=True,
        report=reports.append,
    )
    assert done["training"]["steps"] == RESUMED_STEPS
    assert reports[-1].stage == "done"
    whole, halves = weights_of(tmp_path / "whole"), weights_of(tmp_path / "halves")
    assert whole.keys() == halves.keys()
    for name, value in whole.items():
        np.testing.assert_allclose(halves[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "halves"}


def test_only_the_same_interrupted_training_is_resumed(
    interrupted: Path, clip: DrawnClip, short_clip: DrawnClip
) -> None:
    with pytest.raises(MissingFileError, match="resume"):
        train(short_clip.path, interrupted.with_name("another"), steps=1, resume=True)
    with pytest.raises(CheckpointError, match="another clip"):
        train(clip.path, interrupted, steps=1, resume=True)


def test_what_can_be_resumed_is_not_thrown_away_unless_asked(interrupted: Path, short_clip: DrawnClip) -> None:
    with pytest.raises(OutputExistsError, match="--resume, or start over with --overwrite"):
        train(short_clip.path, interrupted, steps=1)
    assert train(short_clip.path, interrupted, steps=1, overwrite=True)["training"]["steps"] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_training_after_its_step_and_keeps_it(
    short_clip: DrawnClip, quick: LoopConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    step, handlers = FaceUpdateTrainer.train_step, [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]

    def step_and_signal(trainer: FaceUpdateTrainer, done: float) -> None:
        if trainer.step == 1:
            os.kill(os.getpid(), number)  # before the step, which is completed
        step(trainer, done)

    with monkeypatch.context() as patch, pytest.raises(TrainingInterruptedError, match="after 2 steps"):
        patch.setattr(FaceUpdateTrainer, "train_step", step_and_signal)
        train(short_clip.path, tmp_path / "person", steps=3, device="cpu", loop=quick)
    assert [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)] == handlers
    assert not (tmp_path / "person").exists()
    seen: list[int] = []

    def step_and_count(trainer: FaceUpdateTrainer, done: float) -> None:
        seen.append(trainer.step)
        step(trainer, done)

    monkeypatch.setattr(FaceUpdateTrainer, "train_step", step_and_count)
    done = train(short_clip.path, tmp_path / "person", steps=3, device="cpu", loop=quick, resume=True)
    assert seen == [2] and done["training"]["steps"] == 3


STILL_AT = 4
"""Step at which the trainings below stand still."""


@pytest.fixture
def stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations after each step, by which a training no longer improves from `STILL_AT` steps on."""
    monkeypatch.setattr(Improvement, "stands_still", lambda course: max(course._steps) >= STILL_AT)
    monkeypatch.setattr(trainer_module, "EVALUATION_GROWTH", 0.0)
    monkeypatch.setattr(trainer_module, "EVALUATION_COST", float("inf"))


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Share of the training that was done before each step."""
    step, seen = FaceUpdateTrainer.train_step, []

    def step_and_note(trainer: FaceUpdateTrainer, done: float) -> None:
        seen.append(done)
        step(trainer, done)

    monkeypatch.setattr(FaceUpdateTrainer, "train_step", step_and_note)
    return seen


AFTER_STANDING = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
"""What is done before the steps after `STILL_AT`: the final phase takes its usual share of all steps, now 10."""


def eager(config: LoopConfig) -> LoopConfig:
    return dataclasses.replace(config, evaluate_first_s=0.0, evaluate_every_s=0.0)


@pytest.mark.usefixtures("stands_still")
def test_a_training_that_stands_still_goes_through_its_final_phase_and_ends(
    short_clip: DrawnClip, quick: LoopConfig, tmp_path: Path, shares: list[float]
) -> None:
    reports: list[TrainingProgress] = []
    done = train(
        short_clip.path, tmp_path / "person", minutes=600, device="cpu", loop=eager(quick), report=reports.append
    )
    assert done["training"]["steps"] == STILL_AT + len(AFTER_STANDING) and done["training"]["stood_still"]
    assert max(shares[:STILL_AT]) < 0.01
    assert shares[STILL_AT:] == pytest.approx(AFTER_STANDING)
    assert reports[-1].stands_still and reports[-1].sheet == tmp_path / "person" / "training.png"


@pytest.mark.usefixtures("stands_still")
def test_an_interrupted_final_phase_goes_on_as_it_would_have(
    short_clip: DrawnClip, quick: LoopConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shares: list[float]
) -> None:
    with monkeypatch.context() as patch, pytest.raises(TrainingInterruptedError):
        measured = FaceUpdateTrainer.evaluate

        def evaluate_and_signal(trainer: FaceUpdateTrainer, sheet: HeldOutSheet) -> None:
            measured(trainer, sheet)
            if trainer.step == STILL_AT + 1:
                os.kill(os.getpid(), signal.SIGINT)

        patch.setattr(FaceUpdateTrainer, "evaluate", evaluate_and_signal)
        train(short_clip.path, tmp_path / "person", minutes=600, device="cpu", loop=eager(quick))
    assert len(shares) == STILL_AT + 2
    shutil.copytree(tmp_path / ".person.training", tmp_path / ".other.training")
    done = train(short_clip.path, tmp_path / "person", minutes=600, device="cpu", loop=eager(quick), resume=True)
    assert shares[STILL_AT:] == pytest.approx(AFTER_STANDING) and done["training"]["stood_still"]
    # With every step asked for after all, the final phase waits again.
    shares.clear()
    done = train(short_clip.path, tmp_path / "other", steps=8, device="cpu", loop=eager(quick), resume=True)
    assert shares == pytest.approx([6 / 8, 7 / 8]) and not done["training"]["stood_still"]


@pytest.mark.usefixtures("stands_still")
@pytest.mark.parametrize("options", [{"steps": 6}, {"steps": 6, "minutes": 600, "early_stop": False}])
def test_without_early_stop_every_step_is_taken(
    short_clip: DrawnClip, quick: LoopConfig, tmp_path: Path, shares: list[float], options: dict[str, Any]
) -> None:
    done = train(short_clip.path, tmp_path / "person", device="cpu", loop=eager(quick), **options)
    assert done["training"]["steps"] == 6 and not done["training"]["stood_still"]
    assert shares == pytest.approx([step / 6 for step in range(6)], abs=1e-3)


def test_a_finished_anchor_is_trained_further(anchor_folder: Path, quick: LoopConfig, tmp_path: Path) -> None:
    shutil.copytree(anchor_folder, tmp_path / "person")
    before, weights = read_description(anchor_folder), weights_of(anchor_folder)
    done = continue_training(tmp_path / "person", steps=2, device="cpu", loop=quick)
    assert done["training"]["steps"] == before["training"]["steps"] + 2
    assert done["training"]["seconds"] >= before["training"]["seconds"]
    assert done["consent"] == before["consent"] and done["clip"] == before["clip"]
    further = weights_of(tmp_path / "person")
    moved = [np.abs(further[name] - value).max() for name, value in weights.items()]
    assert 0 < max(moved) < 0.1  # it went on from there
    assert [path.name for path in tmp_path.iterdir()] == ["person"]


def test_an_interrupted_continuation_is_kept_and_is_not_the_first_training(
    anchor_folder: Path, clip: DrawnClip, quick: LoopConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(anchor_folder, tmp_path / "person")
    step = FaceUpdateTrainer.train_step

    def step_and_signal(trainer: FaceUpdateTrainer, done: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        step(trainer, done)

    with monkeypatch.context() as patch, pytest.raises(TrainingInterruptedError):
        patch.setattr(FaceUpdateTrainer, "train_step", step_and_signal)
        continue_training(tmp_path / "person", steps=2, device="cpu", loop=quick)
    with pytest.raises(OutputExistsError, match="--resume"):
        continue_training(tmp_path / "person", steps=2, device="cpu", loop=quick)
    with pytest.raises(CheckpointError, match="another clip"):
        train(clip.path, tmp_path / "person", steps=2, resume=True, overwrite=True)
    before = read_description(anchor_folder)["training"]["steps"]
    done = continue_training(tmp_path / "person", steps=2, device="cpu", loop=quick, resume=True)
    assert done["training"]["steps"] == before + 2


def test_the_built_in_anchor_is_not_replaced() -> None:
    with pytest.raises(OutputError, match="built-in"):
        continue_training("presenter", steps=1)


def test_a_signal_before_the_first_step_leaves_nothing(
    short_clip: DrawnClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "steady_track", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt, match="nothing to keep"):
        train(short_clip.path, tmp_path / "person", steps=3, device="cpu")
    assert not list(tmp_path.iterdir())


def test_an_existing_anchor_is_left_alone(anchor_folder: Path, clip: DrawnClip) -> None:
    before = sha256_of(anchor_folder / "network.safetensors")
    with pytest.raises(OutputExistsError):
        train(clip.path, anchor_folder, steps=1)
    assert sha256_of(anchor_folder / "network.safetensors") == before


def test_the_anchor_carries_the_calibration_and_says_its_lag(
    short_clip: DrawnClip, quick: LoopConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calibration of whatever speech model is installed; none where there is no speech model."""

    def calibrated(clip: Path, face: PersonFace, *_: object, **__: object) -> SpeechCalibration:
        assert clip == short_clip.path
        expressions = face.model.expressions
        matrix, offset = np.eye(expressions, dtype=np.float32), np.zeros(expressions, np.float32)
        return SpeechCalibration(matrix, offset, 0.26, 0.8912, "e" * 64, "p" * 64)

    monkeypatch.setattr(SpeechModel, "load", lambda: None)
    monkeypatch.setattr(training, "calibrate", calibrated)
    monkeypatch.setattr(training, "adapt", lambda *_, **__: None)
    monkeypatch.setattr(training, "drive_by_own_speech", lambda *_: OwnSpeech(None, "this is a test"))
    done = train(short_clip.path, tmp_path / "with", steps=1, device="cpu", loop=quick)
    assert done["audio"] == {"lag_ms": 260, "r": 0.891} and done["speech_adaptation"] is None
    kept = load_calibration(tmp_path / "with" / CALIBRATION_FILE, done["network"]["expressions"])
    assert (kept.lag_s, kept.r, kept.encoder_sha256) == (0.26, 0.8912, "e" * 64)

    def missing() -> None:
        raise CheckpointError("no weights")

    monkeypatch.setattr(SpeechModel, "load", missing)
    done = train(short_clip.path, tmp_path / "without", steps=1, device="cpu", loop=quick)
    assert done["audio"] == {"lag_ms": None, "r": None}
    assert not (tmp_path / "without" / CALIBRATION_FILE).exists()


def test_a_clip_range_is_what_is_learned_and_is_kept(clip: DrawnClip, quick: LoopConfig, tmp_path: Path) -> None:
    made = train(clip.path, tmp_path / "person", steps=1, device="cpu", loop=quick, clip_range=ClipRange(1, 3))
    assert made["clip"]["range"] == "1-3s"
    assert made["clip"]["frames"] == made["clip"]["frames_with_face"] == len(clip.truth)
    assert made["training"]["samples"] <= 50
    loaded = load_anchor(tmp_path / "person")
    assert loaded.clip_range == ClipRange(1, 3) and loaded.reconstruction.valid.all()
    assert loaded.loops is not None
    for loop in loaded.loops:
        assert loop.enter >= 25 and loop.leave + loop.frames <= 75
    further = continue_training(tmp_path / "person", tmp_path / "more", steps=1, device="cpu", loop=quick)
    assert further["clip"] == made["clip"]


def test_a_clip_range_beyond_the_end_is_refused_before_anything_is_done(
    short_clip: DrawnClip, quick: LoopConfig, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="clip_range 0-9s goes beyond the end"):
        train(short_clip.path, tmp_path / "person", steps=1, device="cpu", loop=quick, clip_range=ClipRange(0, 9))
    assert list(tmp_path.iterdir()) == []
