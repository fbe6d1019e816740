"""Training the face update network of one anchor, from its clip to the ANCHOR folder.

The loop works in a hidden folder beside the output, `.NAME.training`, and saves its state there every minute;
`resume=True` goes on from it after a kill. The folder takes its own name when the training has ended.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import torch

import talkinghead
from talkinghead.anchor import APPEARANCE_FILE, CALIBRATION_FILE, write_description
from talkinghead.device import choose_device
from talkinghead.errors import (
    CheckpointError,
    MissingFileError,
    ModelUnavailableError,
    NoFaceError,
    OutputError,
    OutputExistsError,
)
from talkinghead.face.appearance import Appearance, save_appearance
from talkinghead.face.face_model import PersonFace, load_face_model
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.reconstruction_files import save_reconstruction
from talkinghead.face.region_removal import (
    crop_size_px,
    local_region,
)
from talkinghead.face.tracking import save_track, track_file
from talkinghead.files import locked, sha256_of, writing
from talkinghead.network.checkpoint import load_network, save_network, start_from
from talkinghead.network.face_update_network import FaceUpdateConfig, FaceUpdateNetwork
from talkinghead.speech.calibration import SpeechCalibration, calibrate, save_calibration
from talkinghead.speech.model import SpeechModel
from talkinghead.structures import FaceChoice, Reconstruction, Track
from talkinghead.training.face_update.samples import gather_samples
from talkinghead.training.face_update.trainer import AnchorTrainer, AnchorTrainingConfig, Report, TrainingProgress
from talkinghead.weights.bundled import checkpoint_path

GENERIC_START = "presenter/network.safetensors"
STATE_FILE = "state.safetensors"
MARK_FILE = "clip.sha256"
"""Says which clip, and which face in it, an unfinished training is of."""
FEWEST_FRAMES = 10
"""Frames with a face that a training needs."""


def train(
    clip: Path,
    output: Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    face: FaceChoice = "largest",
    consent: str | None = None,
    device: str = "auto",
    config: AnchorTrainingConfig | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Track a clip, reconstruct it, train the face update network, and write the ANCHOR folder.

    Args:
        clip: video of one person talking; half a minute is enough, a few minutes are better.
        output: the ANCHOR folder to make.
        minutes, steps: length of the training loop; by default 15 minutes, whatever comes first if both are given.
        resume: go on with a training of the same clip and output that was interrupted.
        overwrite: replace an existing output (only once the new one is complete).
        face: which one, where the clip shows several: by size, by side, or by number from the left.
        consent: who agreed to be animated, in words; kept in anchor.json.
        device: auto, cpu or cuda.
        report: called with the progress, about once a second.

    Returns:
        What anchor.json records.

    Raises:
        MissingFileError, MediaError, NoFaceError: the clip cannot be used.
        OutputExistsError, OutputError: the output is there, or cannot be written.
    """
    config = config or AnchorTrainingConfig()
    report = report or (lambda progress: None)
    if minutes is None and steps is None:
        minutes = 15.0
    target_device = choose_device(device)
    with locked(output):
        _put_back(output)
        if output.exists() and not overwrite:
            raise OutputExistsError(f"{output} exists; give another name, or --overwrite.")
        work = _open_work_folder(output, f"{sha256_of(clip)} {face}", resume)
        try:
            track = track_file(clip, face=face, progress=lambda n: report(TrainingProgress("tracking", 0.0, n)))
            with writing(output):
                description = _train_in(work, clip, track, minutes, steps, consent, target_device, config, report)
        except BaseException:
            if not (work / STATE_FILE).is_file():  # nothing to resume from
                shutil.rmtree(work, ignore_errors=True)
            raise
        _put_in_place(work, output)
    return description


def _train_in(
    work: Path,
    clip: Path,
    track: Track,
    minutes: float | None,
    steps: int | None,
    consent: str | None,
    device: torch.device,
    config: AnchorTrainingConfig,
    report: Report,
) -> dict[str, Any]:
    """Fill the work folder with everything that makes an ANCHOR; returns what anchor.json records."""
    shutil.copyfile(checkpoint_path("face_model.safetensors"), work / "face_model.safetensors")
    model = load_face_model(work / "face_model.safetensors")
    reconstruction = reconstruct(track, model)
    usable = int(reconstruction.valid.sum())
    if usable < FEWEST_FRAMES:
        raise NoFaceError(f"{clip} shows a usable face in {usable} frames; {FEWEST_FRAMES} are needed.")
    face = model.of(reconstruction.identity)
    region = local_region(face)
    size_px = crop_size_px(region, reconstruction)
    calibration = _calibrate(clip, face, reconstruction)
    report(TrainingProgress("cropping", 0.0, 0))
    samples = gather_samples(clip, model, region, reconstruction, size_px, config.largest_frames)

    torch.manual_seed(config.seed)
    network = FaceUpdateNetwork(FaceUpdateConfig(model.expressions, size_px), model.of(reconstruction.identity))
    if config.generic_start:
        start_from(network, checkpoint_path(GENERIC_START))
    own = reconstruction.expression[reconstruction.valid]
    trainer = AnchorTrainer(network, samples, own.std(0), config, device)
    if (work / STATE_FILE).is_file():
        trainer.load(work / STATE_FILE)
    trainer.run(minutes, steps, work / STATE_FILE, work / "training.png", report)

    copy = work / f"clip{clip.suffix.lower()}"
    shutil.copyfile(clip, copy)
    save_track(track, work / "track.safetensors")
    save_reconstruction(work / "reconstruction.safetensors", reconstruction)
    if calibration is not None:
        save_calibration(work / CALIBRATION_FILE, calibration)
    save_appearance(work / APPEARANCE_FILE, Appearance.of(samples.crops, samples.feathers))
    network.config = dataclasses.replace(network.config, sharpening=round(trainer.sharpening(), 3))
    save_network(work / "network.safetensors", network, trainer.averaged)
    load_network(work / "network.safetensors", model.of(reconstruction.identity))  # what cannot be read is not shipped
    description = {
        "talkinghead": talkinghead.__version__,
        "consent": consent,
        "clip": {
            "file": copy.name,
            "original_name": clip.name,
            "sha256": sha256_of(copy),
            "width": track.width,
            "height": track.height,
            "frames": len(track),
            "frames_with_face": usable,
        },
        "audio": {"lag_ms": None, "r": None} if calibration is None else calibration.describe(),
        "network": network.config.as_json(),
        "training": {
            "steps": trainer.step,
            "seconds": round(trainer.trained_s, 1),
            "samples": len(trainer.training),
            "held_out_psnr_db": None if trainer.held_out_psnr_db is None else round(trainer.held_out_psnr_db, 2),
            "device": str(device),
        },
    }
    write_description(work, description)
    report(TrainingProgress("done", 1.0, trainer.step, 0.0, trainer.held_out_psnr_db))
    return description


def _calibrate(clip: Path, face: PersonFace, reconstruction: Reconstruction) -> SpeechCalibration | None:
    """The installed speech model's calibration to the clip; None where there is no usable speech model."""
    try:
        speech_model = SpeechModel.load()
    except (CheckpointError, MissingFileError, ModelUnavailableError):  # coefficient files and videos may drive it
        return None
    return calibrate(clip, face, reconstruction, speech_model)


def _open_work_folder(output: Path, source: str, resume: bool) -> Path:
    """The hidden folder in which an unfinished training lives; emptied unless it is resumed."""
    work = output.parent / f".{output.name}.training"
    mark = work / MARK_FILE
    if resume:
        if not mark.is_file():
            raise MissingFileError(f"There is no interrupted training of {output} to resume; leave out --resume.")
        if mark.read_text("utf-8") != source:
            raise CheckpointError(
                f"The interrupted training of {output} was of another clip or face; leave out --resume."
            )
        return work
    try:
        if work.exists():
            shutil.rmtree(work)
        work.mkdir()
        mark.write_text(source, "utf-8")
    except OSError as error:
        raise OutputError(f"Cannot write in {output.parent}: {error.strerror}.") from error
    return work


def _put_in_place(work: Path, output: Path) -> None:
    """The finished folder takes its name; an older one goes only when the new one is there."""
    old = _hidden(output)
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        os.replace(output, old)
    os.replace(work, output)
    shutil.rmtree(old, ignore_errors=True)
    for name in (STATE_FILE, MARK_FILE):  # only now: until it has its name, a training that is killed can be resumed
        (output / name).unlink(missing_ok=True)


def _put_back(output: Path) -> None:
    """Give the older folder its name again, where a kill came while it made way for the new one."""
    if _hidden(output).exists() and not output.exists():
        os.replace(_hidden(output), output)


def _hidden(output: Path) -> Path:
    return output.parent / f".{output.name}.old"
