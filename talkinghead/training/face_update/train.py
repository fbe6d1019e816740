"""Training the face update network of one anchor, from its clip to the ANCHOR folder.

The loop works in a hidden folder beside the output, `.NAME.training`, and saves its state there every minute, from
which `resume=True` continues an interrupted training. The folder takes its own name when the training has ended.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import torch

import talkinghead
from talkinghead.anchor import (
    ADAPTATION_FILE,
    APPEARANCE_FILE,
    CALIBRATION_FILE,
    FACE_MODEL_FILE,
    NETWORK_FILE,
    RECONSTRUCTION_FILE,
    TRACK_FILE,
    load_anchor,
    read_description,
    write_description,
)
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
from talkinghead.face.region_removal import crop_size_px, local_region
from talkinghead.face.steady_track import steady_track
from talkinghead.face.tracking import save_track
from talkinghead.files import PathLike, locked, sha256_of, writing
from talkinghead.media.video_reader import read_video_info
from talkinghead.network.checkpoint import load_network, save_network, start_from
from talkinghead.network.face_update_network import FaceUpdateConfig, FaceUpdateNetwork
from talkinghead.speech.adaptation import SpeechAdaptation, save_adaptation
from talkinghead.speech.calibration import SpeechCalibration, calibrate, save_calibration
from talkinghead.speech.model import SpeechModel
from talkinghead.structures import Reconstruction, Track
from talkinghead.training.face_update.config import LoopConfig, TrainingConfig, TrainingOptions
from talkinghead.training.face_update.samples import Samples, gather_samples
from talkinghead.training.face_update.trainer import FaceUpdateTrainer, Report, TrainingProgress
from talkinghead.training.interrupts import Interrupts
from talkinghead.training.speech.adaptation import adapt
from talkinghead.weights.bundled import checkpoint_folder, checkpoint_path

GENERIC_START = "presenter/network.safetensors"
"""Checkpoint that a training starts from: the network of the built-in anchor."""
STATE_FILE = "state.safetensors"
"""State of an unfinished training, in its work folder."""
MARK_FILE = "clip.sha256"
"""Which clip, and which face in it, an unfinished training is of; in its work folder."""
SHEET_FILE = "training.png"
"""Contact sheet of held-out frames, in the ANCHOR."""
CONTINUED_RATE = 0.25
"""Learning rate of a continued training, as a share of that of a new one."""
FEWEST_FRAMES = 10
"""Frames with a usable face that a training needs."""


def train(
    clip: PathLike,
    output: PathLike,
    *,
    overwrite: bool = False,
    config: TrainingConfig | None = None,
    report: Report | None = None,
    **options: Unpack[TrainingOptions],
) -> dict[str, Any]:
    """Track a clip, reconstruct it, train the face update network, and write the ANCHOR folder.

    Args:
        clip: video of one person talking; half a minute is enough, a few minutes are better.
        output: the ANCHOR folder to make.
        overwrite: replace an existing output (only once the new one is complete).
        config: the options of the training; the default ones if not given.
        report: called with the progress, about once a second.
        options: fields of `TrainingConfig` by name, in place of those of `config`: minutes, steps, resume, face,
            consent, device, loop.

    Returns:
        What anchor.json records.

    Raises:
        MissingFileError, MediaError, NoFaceError: the clip cannot be used, or there is nothing to resume.
        OptionError: an option is of the wrong type or out of its range.
        CheckpointError: the training to resume is of another clip or face.
        OutputExistsError, OutputError: the output exists, or an interrupted training of it; or it cannot be written.
        TrainingInterruptedError: by Ctrl-C or `kill`; `resume` goes on from there.
    """
    config = dataclasses.replace(config or TrainingConfig(), **options)
    report = report or (lambda progress: None)
    return _train(Path(clip), Path(output), config, report, replace=overwrite, start_over=overwrite)


def continue_training(
    anchor: PathLike,
    output: PathLike | None = None,
    *,
    overwrite: bool = False,
    config: TrainingConfig | None = None,
    report: Report | None = None,
    **options: Unpack[TrainingOptions],
) -> dict[str, Any]:
    """Train the network of a finished ANCHOR further, on its own clip, by a smaller learning rate.

    Args:
        anchor: the ANCHOR folder, which stays as it is until the new one is complete.
        output: the ANCHOR folder to make; None replaces `anchor`.
        overwrite, config, report, options: as of `train`; minutes and steps count from here. Without a consent in
            `config`, the anchor's own is kept.

    Returns:
        What anchor.json records: steps and seconds of all trainings together.

    Raises:
        As `train`; also CheckpointError: the ANCHOR is damaged, or was made with another face model.
    """
    config = dataclasses.replace(config or TrainingConfig(), **options)
    loaded = load_anchor(anchor)
    if output is None and loaded.folder.parent == checkpoint_folder():
        raise OutputError(f"The built-in anchor {loaded.folder.name} stays as it is; name another output (-o).")
    description = read_description(loaded.folder)
    if loaded.face_model_sha256 != sha256_of(checkpoint_path("face_model.safetensors")):
        raise CheckpointError(f"{loaded.folder} was made with another face model; train it again from its clip.")
    trained, clip = description["training"], description["clip"]
    start = _Start(
        loaded.folder / NETWORK_FILE, int(trained["steps"]), float(trained["seconds"]), str(clip["original_name"])
    )
    loop = dataclasses.replace(
        config.loop,
        learning_rate=CONTINUED_RATE * config.loop.learning_rate,
        adversarial_from=0.0,
        perceptual_from=0.0,
    )
    config = dataclasses.replace(config, consent=config.consent or loaded.consent, loop=loop)
    report = report or (lambda progress: None)
    replace = overwrite or output is None
    made = Path(output or loaded.folder)
    return _train(loaded.clip, made, config, report, replace=replace, start_over=overwrite, start=start)


@dataclass(frozen=True)
class _Start:
    """What a continued training begins with."""

    network: Path
    """File of the anchor's network."""
    steps: int
    seconds: float
    original_name: str
    """Of the clip."""


def _train(
    clip: Path,
    output: Path,
    config: TrainingConfig,
    report: Report,
    *,
    replace: bool,
    start_over: bool,
    start: _Start | None = None,
) -> dict[str, Any]:
    """See `train` and `continue_training`.

    Args:
        clip, output, config, report: as there.
        replace: whether an existing output is replaced.
        start_over: whether an interrupted training of it is thrown away.
        start: what a continued training begins with.
    """
    device = choose_device(config.device)
    with locked(output), Interrupts("Interrupted before the first step; there is nothing to keep.") as interrupts:
        _put_back(output)
        if output.exists() and not replace:
            raise OutputExistsError(f"{output} exists; give another name, or --overwrite.")
        source = f"{sha256_of(clip)} {config.face}"
        if start is not None:
            source += f" continued from {sha256_of(start.network)}"
        work = _open_work_folder(output, source, config.resume, start_over)
        try:
            track = steady_track(
                clip,
                load_face_model(checkpoint_path("face_model.safetensors")),
                face=config.face,
                progress=lambda frames: report(TrainingProgress("tracking", 0.0, frames)),
            )
            with writing(output):
                prepared = _prepare(work, clip, track, config.loop, report)
                trainer = _train_network(work, prepared, config, device, report, interrupts, start)
                description = _write_anchor(work, clip, prepared, trainer, config.consent, start)
            report(TrainingProgress("done", 1.0, trainer.step, 0.0, trainer.held_out_psnr_db))
        except BaseException:
            if not (work / STATE_FILE).is_file():  # nothing to resume from
                shutil.rmtree(work, ignore_errors=True)
            raise
        _put_in_place(work, output)
    return description


@dataclass(frozen=True)
class _PreparedClip:
    """All that a training needs of a clip."""

    track: Track
    face: PersonFace
    reconstruction: Reconstruction
    calibration: SpeechCalibration | None
    """Of the installed speech model; None where there is no usable one."""
    adaptation: SpeechAdaptation | None
    """Of the same speech model; None where it would not help."""
    size_px: tuple[int, int]
    """Height and width of the crops."""
    samples: Samples


def _prepare(work: Path, clip: Path, track: Track, loop: LoopConfig, report: Report) -> _PreparedClip:
    """Reconstruct a tracked clip and gather its samples; the face model is copied into the work folder.

    Raises:
        NoFaceError: too few frames show a usable face.
    """
    shutil.copyfile(checkpoint_path("face_model.safetensors"), work / FACE_MODEL_FILE)
    model = load_face_model(work / FACE_MODEL_FILE)
    reconstruction = reconstruct(track, model)
    usable = int(reconstruction.valid.sum())
    if usable < FEWEST_FRAMES:
        raise NoFaceError(f"{clip} shows a usable face in {usable} frames; {FEWEST_FRAMES} are needed.")
    face = model.of(reconstruction.identity)
    region = local_region(face)
    size_px = crop_size_px(region, reconstruction)
    calibration, adaptation = _fit_speech(clip, face, reconstruction)
    report(TrainingProgress("cropping", 0.0, 0))
    samples = gather_samples(clip, model, region, reconstruction, size_px, loop.largest_frames)
    return _PreparedClip(track, face, reconstruction, calibration, adaptation, size_px, samples)


def _train_network(
    work: Path,
    prepared: _PreparedClip,
    config: TrainingConfig,
    device: torch.device,
    report: Report,
    interrupts: Interrupts,
    start: _Start | None,
) -> FaceUpdateTrainer:
    """Train a face update network on a clip, from the work folder's state where there is one.

    Raises:
        TrainingInterruptedError: the state is saved.
    """
    face, reconstruction, loop = prepared.face, prepared.reconstruction, config.loop
    torch.manual_seed(loop.seed)
    sizes = FaceUpdateConfig(face.model.expressions, prepared.size_px)
    network = FaceUpdateNetwork(sizes, face)
    if start is not None:
        start_from(network, start.network)
    elif loop.generic_start:
        start_from(network, checkpoint_path(GENERIC_START))
    own = reconstruction.expression[reconstruction.valid]
    trainer = FaceUpdateTrainer(network, prepared.samples, own.std(0), loop, device)
    if (work / STATE_FILE).is_file():
        trainer.load(work / STATE_FILE)
    interrupts.deferred = True
    interrupts.message = "Interrupted; --resume goes on from the state that was saved last."
    trainer.run(
        config.loop_minutes,
        config.steps,
        work / STATE_FILE,
        work / SHEET_FILE,
        report,
        is_interrupted=lambda: interrupts.requested,
    )
    interrupts.deferred = False
    return trainer


def _write_anchor(
    work: Path,
    clip: Path,
    prepared: _PreparedClip,
    trainer: FaceUpdateTrainer,
    consent: str | None,
    start: _Start | None,
) -> dict[str, Any]:
    """Fill the work folder with everything that makes an ANCHOR; returns what anchor.json records."""
    track, reconstruction, calibration = prepared.track, prepared.reconstruction, prepared.calibration
    network, samples = trainer.network, prepared.samples
    usable = int(reconstruction.valid.sum())

    copy = work / f"clip{clip.suffix.lower()}"
    shutil.copyfile(clip, copy)
    save_track(track, work / TRACK_FILE)
    save_reconstruction(work / RECONSTRUCTION_FILE, reconstruction)
    if calibration is not None:
        save_calibration(work / CALIBRATION_FILE, calibration)
    if prepared.adaptation is not None:
        save_adaptation(work / ADAPTATION_FILE, prepared.adaptation)
    save_appearance(work / APPEARANCE_FILE, Appearance.of(samples.crops, samples.feathers))
    network.config = dataclasses.replace(network.config, sharpening=round(trainer.sharpening(), 3))
    save_network(work / NETWORK_FILE, network, trainer.averaged.state_dict())
    load_network(work / NETWORK_FILE, prepared.face)  # what cannot be read is not shipped
    description = {
        "talkinghead": talkinghead.__version__,
        "consent": consent,
        "clip": {
            "file": copy.name,
            "original_name": clip.name if start is None else start.original_name,
            "sha256": sha256_of(copy),
            "width": track.width,
            "height": track.height,
            "frames": len(track),
            "frames_with_face": usable,
            "pictures": read_video_info(copy).treatment.of_pictures.as_dict(),
            "steady": True,
        },
        "audio": {"lag_ms": None, "r": None} if calibration is None else calibration.describe(),
        "speech_adaptation": None if prepared.adaptation is None else prepared.adaptation.describe(),
        "network": network.config.as_json(),
        "training": {
            "steps": trainer.step + (0 if start is None else start.steps),
            "seconds": round(trainer.trained_s + (0 if start is None else start.seconds), 1),
            "samples": len(trainer.training),
            "held_out_psnr_db": None if trainer.held_out_psnr_db is None else round(trainer.held_out_psnr_db, 2),
            "device": str(trainer.device),
        },
    }
    write_description(work, description)
    return description


def _fit_speech(
    clip: Path, face: PersonFace, reconstruction: Reconstruction
) -> tuple[SpeechCalibration | None, SpeechAdaptation | None]:
    """The installed speech model fitted to the clip: its calibration, and the adaptation of its networks if that helps.

    Both are None where there is no usable speech model.
    """
    try:
        speech_model = SpeechModel.load()
    except (CheckpointError, MissingFileError, ModelUnavailableError):  # coefficient files and videos may drive it
        return None, None
    calibration = calibrate(clip, face, reconstruction, speech_model)
    return calibration, adapt(clip, face, reconstruction, speech_model, calibration)


def is_interrupted(output: PathLike) -> bool:
    """Whether there is a training of an ANCHOR that `resume` would go on with."""
    return (_work_folder(Path(output)) / STATE_FILE).is_file()


def _work_folder(output: Path) -> Path:
    """Where the training of an ANCHOR works."""
    return output.parent / f".{output.name}.training"


def _open_work_folder(output: Path, source: str, resume: bool, start_over: bool) -> Path:
    """The hidden folder in which an unfinished training lives; emptied unless it is resumed.

    Raises:
        MissingFileError, CheckpointError: there is nothing to resume, or a training of another clip or face.
        OutputExistsError: there is something to resume, and neither that nor starting over was asked for.
        OutputError: it cannot be written.
    """
    work = _work_folder(output)
    mark = work / MARK_FILE
    if resume:
        if not mark.is_file():
            raise MissingFileError(f"There is no interrupted training of {output} to resume; leave out --resume.")
        if mark.read_text("utf-8") != source:
            raise CheckpointError(
                f"The interrupted training of {output} was of another clip or face; leave out --resume."
            )
        return work
    if (work / STATE_FILE).is_file() and not start_over:
        raise OutputExistsError(
            f"There is an interrupted training of {output}: go on with --resume, or start over with --overwrite."
        )
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
    """Where an older ANCHOR waits while it makes way for the new one."""
    return output.parent / f".{output.name}.old"
