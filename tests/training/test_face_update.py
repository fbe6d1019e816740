"""Training an ANCHOR on a drawn person: it learns, it can be resumed, and what it leaves is whole and portable."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from drawn_face import DrawnClip, drawn_clip

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.errors import CheckpointError, MissingFileError, OutputExistsError
from talkinghead.face.region_removal import crop_size_px
from talkinghead.files import load_arrays, sha256_of
from talkinghead.network.local_modeller import LocalCoefficients
from talkinghead.speech import calibration as speech_calibration
from talkinghead.speech import model as speech_model
from talkinghead.speech.calibration import HeardClip
from talkinghead.structures import FloatArray
from talkinghead.training.face_update import samples as samples_module
from talkinghead.training.face_update import train as training
from talkinghead.training.face_update.samples import Samples, coefficient_jitter, gather_samples
from talkinghead.training.face_update.train import train
from talkinghead.training.face_update.trainer import AnchorTrainer, AnchorTrainingConfig, TrainingProgress
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


def interrupt(
    clip: DrawnClip, output: Path, after: int, config: AnchorTrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begin a training that is killed after some steps, of which each is saved."""
    step = AnchorTrainer._train_step

    def step_until_killed(trainer: AnchorTrainer, done: float) -> None:
        if trainer.step == after:
            raise KilledError
        step(trainer, done)

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(AnchorTrainer, "_train_step", step_until_killed)
        train(clip.path, output, steps=RESUMED_STEPS, device="cpu", config=config)


@pytest.fixture
def interrupted(
    short_clip: DrawnClip, quick: AnchorTrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Where the ANCHOR of a training would be that was killed after one step."""
    interrupt(short_clip, tmp_path / "person", 1, dataclasses.replace(quick, save_every_s=0.0), monkeypatch)
    return tmp_path / "person"


def psnr_db(a: FloatArray, b: FloatArray, inside: FloatArray) -> float:
    """Where `inside` is above 0."""
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


def test_trained_pictures_are_nearer_to_the_truth_than_the_mean_frame(
    anchor: Anchor, clip: DrawnClip, quick: AnchorTrainingConfig
) -> None:
    samples = samples_of(anchor, clip)
    _, held_out = samples_module.held_out_frames(len(samples), quick.held_out_share)
    known = np.setdiff1d(np.arange(len(samples)), held_out)
    truth = samples.crops[held_out].astype(np.float32) / 255
    feather = samples.feathers[held_out].astype(np.float32)[..., None] / 255
    image = torch.from_numpy(truth).permute(0, 3, 1, 2)
    hole = torch.from_numpy(samples.holes[held_out])[:, None].float()
    with torch.inference_mode():
        coefficients = samples_module.select_coefficients(samples.coefficients, held_out)
        _, updated = anchor.network(coefficients, image * (1 - hole), hole, torch.from_numpy(feather[..., 0])[:, None])
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
    assert description["sound"] == {"lag_ms": None, "r": None}  # too short a clip to tell
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
        "training.png",
    }


def test_an_anchor_works_wherever_it_is_copied(anchor: Anchor, anchor_folder: Path, tmp_path: Path) -> None:
    copy = load_anchor(shutil.copytree(anchor_folder, tmp_path / "elsewhere"))
    assert copy.clip.parent == tmp_path / "elsewhere"
    for name, value in anchor.network.state_dict().items():
        torch.testing.assert_close(copy.network.state_dict()[name], value, rtol=0, atol=0)


def test_contact_sheet_shows_truth_cut_and_result(anchor_folder: Path, anchor: Anchor) -> None:
    sheet = cv2.imread(str(anchor_folder / "training.png"))
    assert sheet is not None
    height, width = anchor.network.config.size_px
    assert sheet.shape[0] >= height and sheet.shape[1] >= 3 * width
    assert sheet.std() > 20


def test_a_resumed_training_ends_as_an_uninterrupted_one(
    short_clip: DrawnClip, quick: AnchorTrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(quick, save_every_s=0.0)
    train(short_clip.path, tmp_path / "whole", steps=RESUMED_STEPS, device="cpu", config=config)

    interrupt(short_clip, tmp_path / "halves", RESUMED_STEPS // 2, config, monkeypatch)
    assert not (tmp_path / "halves").exists()

    reports: list[TrainingProgress] = []
    done = train(
        short_clip.path,
        tmp_path / "halves",
        steps=RESUMED_STEPS,
        device="cpu",
        config=config,
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


def test_a_training_that_is_not_resumed_starts_anew(interrupted: Path, short_clip: DrawnClip) -> None:
    assert train(short_clip.path, interrupted, steps=1)["training"]["steps"] == 1


def test_an_anchor_that_is_there_is_left_alone(anchor_folder: Path, clip: DrawnClip) -> None:
    before = sha256_of(anchor_folder / "network.safetensors")
    with pytest.raises(OutputExistsError):
        train(clip.path, anchor_folder, steps=1)
    assert sha256_of(anchor_folder / "network.safetensors") == before


def test_jitter_stays_within_its_range_and_fills_it() -> None:
    """Claim 8: the value adjustment of a sample's coefficients lies within a preset range."""
    draw = np.random.default_rng(0)
    exact = LocalCoefficients(
        *(torch.from_numpy(draw.normal(size=shape).astype(np.float32)) for shape in ((500, 4), (500, 3, 3), (500, 2))),
        torch.ones(500),
    )
    std = torch.tensor([0.5, 1.0, 2.0, 0.0])
    moved = coefficient_jitter(exact, std, 0.15, 0.5, draw)
    share = (moved.expression - exact.expression).abs().amax(0)
    assert (share <= 0.15 * std + 1e-6).all()
    assert (share >= 0.95 * 0.15 * std).all()
    shift = (moved.translation - exact.translation).abs()
    assert 0.45 < shift.max() <= 0.5 + 1e-6
    torch.testing.assert_close(moved.rotation, exact.rotation, rtol=0, atol=0)
    torch.testing.assert_close(moved.scale, exact.scale, rtol=0, atol=0)


def test_the_sounds_lag_is_recorded_where_it_can_be_told(
    anchor: Anchor, clip: DrawnClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def described() -> dict[str, object]:
        return training._describe_audio(clip.path, anchor.model, anchor.reconstruction, anchor.times_s)

    def heard_at(lag_s: float, r: float) -> Callable[..., HeardClip]:
        return lambda *_: HeardClip(lag_s, r, anchor.reconstruction.expression, anchor.reconstruction.expression)

    monkeypatch.setattr(speech_calibration, "FEWEST_FRAMES", 10)
    monkeypatch.setattr(speech_model, "load_speech_model", lambda: (None, None))
    monkeypatch.setattr(speech_calibration, "listen", heard_at(0.26, 0.8912))
    assert described() == {"lag_ms": 260, "r": 0.891}
    monkeypatch.setattr(speech_calibration, "listen", heard_at(0.26, 0.2))
    assert described() == {"lag_ms": None, "r": None}

    def missing() -> None:
        raise CheckpointError("no weights")

    monkeypatch.setattr(speech_model, "load_speech_model", missing)
    assert described() == {"lag_ms": None, "r": None}
