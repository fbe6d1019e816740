"""Training the face update network of one anchor, from its clip to the ANCHOR folder.

The loop works in a hidden folder beside the output, `.NAME.training`, and saves its state there every minute, from
which `resume=True` continues an interrupted training. The folder takes its own name when the training has ended.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

import talkinghead
from talkinghead.anchor import (
    ADAPTATION_FILE,
    APPEARANCE_FILE,
    CALIBRATION_FILE,
    FACE_MODEL_FILE,
    MATTE_FILE,
    NETWORK_FILE,
    RECONSTRUCTION_FILE,
    TRACK_FILE,
    load_anchor,
    read_description,
    within,
    write_description,
)
from talkinghead.device import choose_device
from talkinghead.errors import (
    CheckpointError,
    MediaError,
    MissingFileError,
    ModelUnavailableError,
    NoFaceError,
    OutputError,
    OutputExistsError,
)
from talkinghead.face.appearance import Appearance, save_appearance
from talkinghead.face.face_model import PersonFace, load_face_model
from talkinghead.face.movement import training_remarks
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.reconstruction_files import save_reconstruction
from talkinghead.face.region_removal import crop_size_px, local_region
from talkinghead.face.steady_track import steady_track
from talkinghead.face.tracking import save_track
from talkinghead.files import PathLike, locked, sha256_of, writing
from talkinghead.generation.loops import cached_loops, check_range, frames_in
from talkinghead.generation.passthrough import reject_reasons
from talkinghead.generation.timeline import is_constant_rate
from talkinghead.matting.clip_matte import cached_matte, save_matte
from talkinghead.media.audio_reader import AudioFile
from talkinghead.media.remarks import audio_remarks, video_remarks
from talkinghead.media.video_reader import read_video_info
from talkinghead.metrics.landmarks import frame_period_s
from talkinghead.network.checkpoint import load_network, save_network, start_from
from talkinghead.network.face_update_network import FaceUpdateConfig, FaceUpdateNetwork
from talkinghead.speech.adaptation import SpeechAdaptation, save_adaptation
from talkinghead.speech.calibration import SpeechCalibration, calibrate, save_calibration
from talkinghead.speech.model import SpeechModel
from talkinghead.structures import DEFAULT_TRACKS, Loop, Reconstruction, Track, Tracks
from talkinghead.training.face_update.config import LoopConfig, TrainingConfig, TrainingOptions
from talkinghead.training.face_update.own_speech import drive_by_own_speech
from talkinghead.training.face_update.samples import Samples, gather_samples
from talkinghead.training.face_update.sheet import HeldOutSheet, shown_samples
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
"""Picture of held-out frames, in the ANCHOR; until it is complete, in the work folder."""
CONTINUED_RATE = 0.25
"""Learning rate of a continued training, as a share of that of a new one."""
FEWEST_FRAMES = 10
"""Frames with a usable face that a training needs."""
WIDE_QUANTILE = 0.95
"""The mouth of a clip opens as far as this share of its frames, for anchor.json: the widest may be mistracked."""


def train(
    clip: PathLike,
    output: PathLike,
    *,
    overwrite: bool = False,
    config: TrainingConfig | None = None,
    report: Report | None = None,
    inspect: Callable[[Path], None] | None = None,
    **options: Unpack[TrainingOptions],
) -> dict[str, Any]:
    """Track a clip, reconstruct it, train the face update network, and write the ANCHOR folder.

    Args:
        clip: video of one person talking; half a minute is enough, a few minutes are better.
        output: the ANCHOR folder to make.
        overwrite: replace an existing output (only once the new one is complete).
        config: the options of the training; the default ones if not given.
        report: called with the progress, about once a second.
        inspect: called with the clip before it is trained on, but not where a training is resumed; what it raises ends
            the training.
        options: fields of `TrainingConfig` by name, in place of those of `config`: minutes, steps, early_stop, resume,
            face, clip_range, audio_track, video_track, matte, consent, voice, device, loop.

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
    return _train(Path(clip), Path(output), config, report, replace=overwrite, start_over=overwrite, inspect=inspect)


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
        overwrite, config, report, options: as of `train`; minutes and steps count from here. Without a consent or
            clip range in `config`, the anchor's own is kept.

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
    config = dataclasses.replace(
        config,
        consent=config.consent or loaded.consent,
        voice=config.voice or description["voice"],
        clip_range=config.clip_range or loaded.clip_range,
        matte=config.matte or loaded.matte is not None,
        loop=loop,
        audio_track=config.audio_track or loaded.tracks.audio,
        video_track=config.video_track or loaded.tracks.video,
    )
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
    inspect: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """See `train` and `continue_training`.

    Args:
        clip, output, config, report: as there.
        replace: whether an existing output is replaced.
        start_over: whether an interrupted training of it is thrown away.
        start: what a continued training begins with.
        inspect: as of `train`.
    """
    device = choose_device(config.device)
    with locked(output), Interrupts("Interrupted before the first step; there is nothing to keep.") as interrupts:
        _put_back(output)
        if output.exists() and not replace:
            raise OutputExistsError(f"{output} exists; give another name, or --overwrite.")
        check_range(config.clip_range, clip, config.tracks)
        work = _open_work_folder(output, _mark(clip, config, start), config.resume, start_over)
        remarks = _Remarks(report)
        try:
            if inspect is not None and not config.resume:
                inspect(clip)
            remarks.add(*_media_remarks(clip, config.tracks))
            track = steady_track(
                clip,
                load_face_model(checkpoint_path("face_model.safetensors")),
                face=config.face,
                tracks=config.tracks,
                progress=lambda frames: report(TrainingProgress("tracking", 0.0, frames)),
            )
            with writing(output):
                if config.matte:
                    _make_matte(work / MATTE_FILE, clip, config.tracks, report)
                prepared = _prepare(work, clip, track, config, remarks)
                trainer = _prepare_trainer(work, prepared, config.loop, device, start)
                sheet = _prepare_sheet(work, clip, prepared, trainer, config.tracks)
                interrupts.deferred = True
                interrupts.message = "Interrupted; --resume goes on from the state that was saved last."
                trainer.run(config.length, work / STATE_FILE, sheet, report, lambda: interrupts.requested)
                interrupts.deferred = False
                description = _write_anchor(work, clip, prepared, trainer, config, start)
            stands_still = trainer.stood_still_at is not None
            report(TrainingProgress("done", 1.0, trainer.step, 0.0, trainer.quality, stands_still, output / SHEET_FILE))
        except BaseException:
            if not (work / STATE_FILE).is_file():  # nothing to resume from
                shutil.rmtree(work, ignore_errors=True)
            raise
        _put_in_place(work, output)
    return description


def _mark(clip: Path, config: TrainingConfig, start: _Start | None) -> str:
    """Names what is trained on, so that a training is resumed on the same."""
    mark = f"{sha256_of(clip)} {config.face}"
    if config.tracks != DEFAULT_TRACKS:
        mark += f" tracks {config.audio_track} {config.video_track}"
    if config.clip_range is not None:
        mark += f" {config.clip_range}"
    return mark if start is None else f"{mark} continued from {sha256_of(start.network)}"


@dataclass(frozen=True)
class _PreparedClip:
    """All that a training needs of a clip."""

    track: Track
    face: PersonFace
    reconstruction: Reconstruction
    trained: Reconstruction
    """The same, in which no frame out of the clip range is valid."""
    loops: tuple[Loop, ...]
    """See `Anchor`."""
    calibration: SpeechCalibration | None
    """Of the installed speech model; None where there is no usable one."""
    adaptation: SpeechAdaptation | None
    """Of the same speech model; None where it would not help."""
    size_px: tuple[int, int]
    """Height and width of the crops."""
    samples: Samples
    remarks: tuple[str, ...]
    """On the clip."""


class _Remarks:
    """What is worth knowing of a clip, reported as soon as it is found out, each once."""

    def __init__(self, report: Report) -> None:
        self.found: list[str] = []
        self.report = report

    def add(self, *remarks: str) -> None:
        """Report remarks that were not made before."""
        for remark in remarks:
            if remark not in self.found:
                self.found.append(remark)
                self.report(TrainingProgress("remark", 0.0, 0, remark=remark))


def _make_matte(path: Path, clip: Path, tracks: Tracks, report: Report) -> None:
    """Cut the person out of a clip, unless a training that is resumed has done so."""
    if not path.is_file():
        matte = cached_matte(clip, tracks, lambda frames: report(TrainingProgress("matting", 0.0, frames)))
        save_matte(path, matte)


def _media_remarks(clip: Path, tracks: Tracks) -> list[str]:
    """Remarks on the tracks of a clip; that its audio cannot be used is one."""
    remarks = video_remarks(clip, tracks)
    try:
        remarks += audio_remarks(AudioFile(clip, tracks=tracks))
    except MediaError as error:  # the frames can be used without the audio
        remarks.append(_not_used(str(error)))
    return list(dict.fromkeys(remarks))


def _not_used(reason: str) -> str:
    """Remark that a clip's audio is not used."""
    return f"The clip's audio is not used: {reason}. The anchor's speech is fitted to the range of its mouth alone."


def _prepare(work: Path, clip: Path, track: Track, config: TrainingConfig, remarks: _Remarks) -> _PreparedClip:
    """Reconstruct a tracked clip and gather its samples; the face model is copied into the work folder.

    Raises:
        NoFaceError: too few frames show a usable face.
        OptionError: the clip ends before the clip range does.
    """
    first, last = frames_in(config.clip_range, track.times_s, clip)
    shutil.copyfile(checkpoint_path("face_model.safetensors"), work / FACE_MODEL_FILE)
    model = load_face_model(work / FACE_MODEL_FILE)
    identity = None
    if config.clip_range is not None and (inside := track.valid & config.clip_range.contains(track.times_s)).any():
        # What is out of the range may show somebody else.
        identity = reconstruct(dataclasses.replace(track, valid=inside), model).identity
    reconstruction = reconstruct(track, model, identity=identity)
    trained = within(reconstruction, config.clip_range)
    usable = int(trained.valid.sum())
    if usable < FEWEST_FRAMES:
        where = "" if config.clip_range is None else f" of {config.clip_range}"
        raise NoFaceError(f"{clip} shows a usable face in {usable} frames{where}; {FEWEST_FRAMES} are needed.")
    face = model.of(reconstruction.identity)
    region = local_region(face)
    size_px = crop_size_px(region, reconstruction)
    remarks.add(*training_remarks(clip, trained, face))
    remarks.report(TrainingProgress("speech", 0.0, 0))
    calibration, adaptation = _fit_speech(clip, face, trained, config.tracks, remarks)
    remarks.report(TrainingProgress("cropping", 0.0, 0))
    samples = gather_samples(clip, model, region, trained, size_px, config.loop.largest_frames, config.tracks)
    loops: tuple[Loop, ...] = ()
    if is_constant_rate(reconstruction.times_s, read_video_info(clip, config.tracks).frame_rate):
        can_be_used = np.array([reason is None for reason in reject_reasons(reconstruction, trained)])
        loops = cached_loops(clip, region, reconstruction, can_be_used, first, last, config.tracks)
    found = tuple(remarks.found)
    return _PreparedClip(track, face, reconstruction, trained, loops, calibration, adaptation, size_px, samples, found)


def _prepare_trainer(
    work: Path, prepared: _PreparedClip, loop: LoopConfig, device: torch.device, start: _Start | None
) -> FaceUpdateTrainer:
    """The trainer of a clip's face update network, with the work folder's state where there is one."""
    face = prepared.face
    torch.manual_seed(loop.seed)
    sizes = FaceUpdateConfig(face.model.expressions, prepared.size_px)
    network = FaceUpdateNetwork(sizes, face)
    if start is not None:
        start_from(network, start.network)
    elif loop.generic_start:
        start_from(network, checkpoint_path(GENERIC_START))
    own = prepared.trained.expression[prepared.trained.valid]
    trainer = FaceUpdateTrainer(network, prepared.samples, own.std(0), loop, device)
    if (work / STATE_FILE).is_file():
        trainer.load(work / STATE_FILE)
    return trainer


def _prepare_sheet(
    work: Path, clip: Path, prepared: _PreparedClip, trainer: FaceUpdateTrainer, tracks: Tracks
) -> HeldOutSheet:
    """The picture of held-out frames, some of them driven by the clip's own speech."""
    shown = shown_samples(trainer.held_out)
    own_speech = drive_by_own_speech(
        clip,
        prepared.face,
        prepared.reconstruction,
        trainer.network,
        prepared.calibration,
        prepared.samples.frames[shown],
        tracks,
    )
    return HeldOutSheet(work / SHEET_FILE, prepared.samples, shown, own_speech)


def _write_anchor(
    work: Path,
    clip: Path,
    prepared: _PreparedClip,
    trainer: FaceUpdateTrainer,
    config: TrainingConfig,
    start: _Start | None,
) -> dict[str, Any]:
    """Fill the work folder with everything that makes an ANCHOR; returns what anchor.json records."""
    track, reconstruction, calibration = prepared.track, prepared.reconstruction, prepared.calibration
    network, samples = trainer.network, prepared.samples
    own = reconstruction.expression[reconstruction.valid]
    usable = len(own)
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
        "consent": config.consent,
        "voice": config.voice,
        "clip": {
            "file": copy.name,
            "original_name": clip.name if start is None else start.original_name,
            "sha256": sha256_of(copy),
            "width": track.width,
            "height": track.height,
            "frames": len(track),
            "frames_with_face": usable,
            "seconds_with_face": round(usable * frame_period_s(track.times_s), 2),
            "opening": round(float(np.quantile(prepared.face.opening(own), WIDE_QUANTILE)), 3),
            "pictures": read_video_info(copy, config.tracks).treatment.of_pictures.as_dict(),
            "steady": True,
            "audio_track": config.audio_track,
            "video_track": config.video_track,
            "range": None if config.clip_range is None else str(config.clip_range),
            "loops": [dataclasses.asdict(loop) for loop in prepared.loops],
        },
        "remarks": list(prepared.remarks),
        "audio": {"lag_ms": None, "r": None} if calibration is None else calibration.describe(),
        "speech_adaptation": None if prepared.adaptation is None else prepared.adaptation.describe(),
        "network": network.config.as_json(),
        "training": {
            "steps": trainer.step + (0 if start is None else start.steps),
            "seconds": round(trainer.trained_s + (0 if start is None else start.seconds), 1),
            "samples": len(trainer.training),
            **trainer.describe(),
            "device": str(trainer.device),
        },
    }
    write_description(work, description)
    return description


def _fit_speech(
    clip: Path, face: PersonFace, reconstruction: Reconstruction, tracks: Tracks, remarks: _Remarks
) -> tuple[SpeechCalibration | None, SpeechAdaptation | None]:
    """The installed speech model fitted to the clip: its calibration, and the adaptation of its networks if that helps.

    Both are None where there is no usable speech model.
    """
    try:
        speech_model = SpeechModel.load()
    except (CheckpointError, MissingFileError, ModelUnavailableError):  # coefficient files and videos may drive it
        return None, None
    calibration = calibrate(clip, face, reconstruction, speech_model, tracks)
    if calibration.problem is not None:
        remarks.add(_not_used(calibration.problem))
    try:
        adaptation = adapt(clip, face, reconstruction, speech_model, calibration, tracks=tracks)
    except MediaError as error:  # damaged beyond what the calibration reads
        adaptation = None
        remarks.add(f"The speech predictor was not adapted: {error}.")
    return calibration, adaptation


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
