"""The ANCHOR: one portable folder with everything that generating needs.

anchor.json                     versions, sizes, hashes; made to be read
clip.*                          the reference clip, byte for byte
track.safetensors               landmarks of every frame
face_model.safetensors          the face model that the coefficients belong to
reconstruction.safetensors      identity, expression, pose and misfit of every frame
network.safetensors             weights of the face update network
appearance.safetensors          appearance statistics of the person's crops
speech_adaptation.safetensors   change of the expression predictor by fine-tuning; absent where it does not help
matte.safetensors               the person cut out of every frame; absent unless training was asked for it
speech_calibration.safetensors  from the speech model's expression to the person's own; absent where there was no model
training.png                    held-out frames: true image, image to be filled, result, and result driven by speech

Folders of format 1 have no misfit and no calibration, the oldest no appearance either: they still load, and `lacks`
says what is missing. What can be computed is computed when it is needed and kept in the user's cache.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from talkinghead.errors import CheckpointError, MissingFileError, OptionError, OutputError, OutputExistsError
from talkinghead.face.appearance import Appearance, load_appearance
from talkinghead.face.face_model import FaceModel, PersonFace, load_face_model
from talkinghead.face.reconstruction import local_misfit_cm
from talkinghead.face.reconstruction_files import load_reconstruction
from talkinghead.face.region_removal import LocalRegion, local_region
from talkinghead.face.tracking import load_track
from talkinghead.files import PathLike, locked, sha256_of, write_json
from talkinghead.media.video_reader import read_video_info
from talkinghead.network.checkpoint import load_network
from talkinghead.network.face_update_network import FaceUpdateNetwork
from talkinghead.speech.adaptation import SpeechAdaptation, load_adaptation
from talkinghead.speech.calibration import SpeechCalibration, load_calibration
from talkinghead.structures import DEFAULT_TRACKS, ClipRange, FloatArray, Loop, Reconstruction, Tracks
from talkinghead.weights.bundled import anchor_folder, built_in_anchors, checkpoint_folder

FORMATS = ("talkinghead/anchor/1", "talkinghead/anchor/2")
REST_QUANTILE = 0.15
"""The least open frames, this share of them, show the anchor's mouth at rest."""
LARGEST_DESCRIPTION_BYTES = 1 << 20
LONGEST_CONSENT = 1000
"""Characters of a consent."""
OPTIONAL_TEXTS = ("consent", "voice")
"""What anchor.json may say, or not."""

DESCRIPTION_FILE = "anchor.json"
TRACK_FILE = "track.safetensors"
FACE_MODEL_FILE = "face_model.safetensors"
RECONSTRUCTION_FILE = "reconstruction.safetensors"
NETWORK_FILE = "network.safetensors"
APPEARANCE_FILE = "appearance.safetensors"
CALIBRATION_FILE = "speech_calibration.safetensors"
ADAPTATION_FILE = "speech_adaptation.safetensors"
MATTE_FILE = "matte.safetensors"
REQUIRED = (TRACK_FILE, FACE_MODEL_FILE, RECONSTRUCTION_FILE, NETWORK_FILE)
"""Files that every ANCHOR has, beside anchor.json and the clip."""
LOOP_FIELDS = tuple(field.name for field in fields(Loop))
"""Keys of a loop in anchor.json."""
OPTIONAL = (APPEARANCE_FILE, CALIBRATION_FILE, ADAPTATION_FILE, MATTE_FILE)


@dataclass(frozen=True)
class Anchor:
    """A trained anchor, in memory."""

    folder: Path
    clip: Path
    """The anchor's own clip."""
    face: PersonFace
    """Face model and identity."""
    face_model_sha256: str
    reconstruction: Reconstruction
    """Of the anchor's own clip."""
    region: LocalRegion
    network: FaceUpdateNetwork
    """On the CPU, in evaluation mode."""
    network_sha256: str
    consent: str | None
    """Who agreed to be animated, in the words given to `train`; None where nobody was named."""
    appearance: Appearance | None
    """None where the anchor was trained before this was kept."""
    calibration: SpeechCalibration | None
    """Of the speech model that was installed at training; None where the folder has none."""
    adaptation: SpeechAdaptation | None
    """Of the same speech model; None where there was nothing to gain, or the folder is older."""
    clip_range: ClipRange | None = None
    """The stretch of its clip that it was trained on, and that is shown; None for all of it."""
    loops: tuple[Loop, ...] | None = None
    """The best forward loop in that stretch; empty where there is none that is not seen, None where the anchor was
    trained before loops were sought."""
    is_steady: bool = False
    """Whether its clip was tracked so that the upper face does not follow the mouth, see `steady_track`: its other
    clips must be too, since the network has learned one kind of pose."""
    tracks: Tracks = DEFAULT_TRACKS
    """Which audio and video track of the clip it was made of."""
    matte: Path | None = None
    """File of its clip's matte, see `matting.clip_matte`; None where the folder has none."""

    @property
    def model(self) -> FaceModel:
        """The face model."""
        return self.face.model

    @property
    def trained(self) -> Reconstruction:
        """The reconstruction of the anchor's own clip, in which no frame out of the clip range is valid."""
        return within(self.reconstruction, self.clip_range)

    def rest_expression(self) -> FloatArray:
        """The anchor's own closed mouth: median expression over the least open frames of the clip, (K,)."""
        trained = self.trained
        own = trained.expression[trained.valid]
        opening = self.face.opening(own)
        return np.median(own[opening <= np.quantile(opening, REST_QUANTILE)], axis=0)


def within(reconstruction: Reconstruction, clip_range: ClipRange | None) -> Reconstruction:
    """A clip's reconstruction in which no frame out of a range is valid; None leaves it as it is."""
    if clip_range is None:
        return reconstruction
    return replace(reconstruction, valid=reconstruction.valid & clip_range.contains(reconstruction.times_s))


def load_anchor(folder: PathLike) -> Anchor:
    """Read an ANCHOR folder, or the built-in anchor of that bare name; every file is checked against its hash.

    Raises:
        MissingFileError: no such folder.
        CheckpointError: it is no ANCHOR, of another version, or damaged.
    """
    folder = anchor_folder(Path(folder))
    description = read_description(folder)
    hashes = description["sha256"]
    for name in (*REQUIRED, *(name for name in OPTIONAL if name in hashes)):
        if not (folder / name).is_file() or sha256_of(folder / name) != hashes.get(name):
            raise CheckpointError(f"{folder / name} is missing or damaged; train the anchor again.")
    clip = folder / Path(description["clip"]["file"]).name
    if not clip.is_file() or sha256_of(clip) != description["clip"]["sha256"]:
        raise CheckpointError(f"{clip} is missing or not the clip that the anchor was trained on.")
    _check_pictures(clip, description)
    model = load_face_model(folder / FACE_MODEL_FILE)
    reconstruction = _reconstruction(folder, model)
    face = model.of(reconstruction.identity)
    calibration = load_calibration(folder / CALIBRATION_FILE, model.expressions) if CALIBRATION_FILE in hashes else None
    return Anchor(
        folder=folder,
        clip=clip,
        face=face,
        face_model_sha256=hashes[FACE_MODEL_FILE],
        reconstruction=reconstruction,
        region=local_region(face),
        network=load_network(folder / NETWORK_FILE, face),
        network_sha256=hashes[NETWORK_FILE],
        consent=description["consent"],
        appearance=load_appearance(folder / APPEARANCE_FILE) if APPEARANCE_FILE in hashes else None,
        calibration=calibration,
        adaptation=load_adaptation(folder / ADAPTATION_FILE, model.expressions) if ADAPTATION_FILE in hashes else None,
        clip_range=_clip_range(folder, description, reconstruction),
        loops=_loops(folder, description, reconstruction),
        is_steady=description["clip"].get("steady") is True,
        tracks=_tracks(description["clip"]),
        matte=folder / MATTE_FILE if MATTE_FILE in hashes else None,
    )


def _tracks(clip: dict[str, Any]) -> Tracks:
    """The tracks that were chosen at training; those by default where anchor.json names none."""
    numbers = (clip.get("audio_track"), clip.get("video_track"))
    return Tracks(*(number if isinstance(number, int) and number > 0 else None for number in numbers))


def _clip_range(folder: Path, description: dict[str, Any], reconstruction: Reconstruction) -> ClipRange | None:
    """The range that anchor.json names; older folders have none."""
    text = description["clip"].get("range")
    if text is None:
        return None
    try:
        found = ClipRange.parse(str(text))
    except ValueError as error:
        raise CheckpointError(f"{folder}: the clip range in anchor.json cannot be used: {error}.") from error
    if not (reconstruction.valid & found.contains(reconstruction.times_s)).any():
        raise CheckpointError(f"{folder}: the clip shows no face in the clip range of anchor.json, {found}.")
    return found


def _loops(folder: Path, description: dict[str, Any], reconstruction: Reconstruction) -> tuple[Loop, ...] | None:
    """The loops that anchor.json names; older folders do not."""
    if "loops" not in description["clip"]:
        return None
    try:
        loops = tuple(Loop(*(int(loop[name]) for name in LOOP_FIELDS)) for loop in description["clip"]["loops"])
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder}: the loops in anchor.json cannot be read; train the anchor again.") from error
    for loop in loops:
        if not loop.fits(len(reconstruction)):
            raise CheckpointError(f"{folder}: the clip has no frames for the loop {loop} in anchor.json.")
    return loops


def _check_pictures(clip: Path, description: dict[str, Any]) -> None:
    """Raise CheckpointError where the clip was trained on as other pictures than it is read as now."""
    treatment = read_video_info(clip, _tracks(description["clip"])).treatment.of_pictures
    if treatment.as_dict() != description["clip"].get("pictures", {}):
        raise CheckpointError(
            f"{clip.parent} was trained by a version that read its clip in another way "
            f"(now: {treatment or 'as it is'}); train it again from {clip}."
        )


def _reconstruction(folder: Path, model: FaceModel) -> Reconstruction:
    """The clip's reconstruction; a folder of format 1 gets its misfit from the track."""
    reconstruction, has_misfit = load_reconstruction(folder / RECONSTRUCTION_FILE, model)
    if has_misfit:
        return reconstruction
    track = load_track(folder / TRACK_FILE)
    if len(track) != len(reconstruction):
        raise CheckpointError(f"{folder}: track and reconstruction are not of one clip; train the anchor again.")
    return replace(reconstruction, misfit_cm=local_misfit_cm(model, track, reconstruction))


def read_description(folder: Path) -> dict[str, Any]:
    """What anchor.json says, without a look at the other files; `consent` and `voice` are None where it names none.

    Raises:
        MissingFileError: no such folder.
        CheckpointError: it is no ANCHOR, or of another version.
    """
    if os.path.isfile(folder):
        raise CheckpointError(
            f"{folder} is a file, and an ANCHOR is a folder; `talkinghead train {folder} -o {folder.stem}.anchor` "
            "makes one of a clip."
        )
    if not os.path.isdir(folder):  # unlike Path's, it is False for a name that cannot be
        built_in = f" The built-in ones are {', '.join(built_in_anchors())}." if folder.name == str(folder) else ""
        raise MissingFileError(f"There is no ANCHOR folder {folder}; `talkinghead train` makes one.{built_in}")
    path = folder / DESCRIPTION_FILE
    try:
        if path.stat().st_size > LARGEST_DESCRIPTION_BYTES:
            raise ValueError("too large")
        description = dict(json.loads(path.read_text("utf-8")))
        hashes, clip = description["sha256"], description["clip"]
        optional = (description.setdefault(name, None) or "" for name in OPTIONAL_TEXTS)
        texts = [*hashes.values(), clip["file"], clip["sha256"], *optional]
        valid = all(isinstance(text, str) for text in texts) and clip["file"].isprintable()
        found = str(description["format"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{folder} is no ANCHOR folder: {path.name} is missing or damaged.") from error
    if found not in FORMATS or not valid:
        raise CheckpointError(
            f"{folder} is of format {found[:80]!r}, this version reads {FORMATS[-1]!r}; train it again."
        )
    return description


def anchor_voice(anchor: PathLike) -> str | None:
    """Name of the voice that reads texts for an anchor where none is named; None where it has none of its own.

    Args:
        anchor: ANCHOR folder, or the bare name of a built-in one. What cannot be read has none: opening it says why.
    """
    try:
        voice = read_description(anchor_folder(Path(anchor)))["voice"]
    except (CheckpointError, MissingFileError):
        return None
    return None if voice is None else str(voice)


def record_consent(anchor: PathLike, consent: str, *, overwrite: bool = False) -> str:
    """Record in an ANCHOR's anchor.json who agreed to be animated; nothing else in the folder is changed.

    Args:
        anchor: the ANCHOR folder.
        consent: who agreed, how and when.
        overwrite: replace a consent that is recorded already.

    Returns:
        The consent as it is recorded.

    Raises:
        MissingFileError, CheckpointError: as `read_description`.
        OptionError: the text is empty, too long, or has line ends or control characters.
        OutputExistsError: another consent is recorded.
        OutputError: the anchor is a built-in one, or the folder cannot be written.
    """
    folder, text = anchor_folder(Path(anchor)), consent.strip()
    if not text or len(text) > LONGEST_CONSENT or not text.isprintable():
        raise OptionError(f"A consent is one line of 1 to {LONGEST_CONSENT} characters: who agreed, how and when.")
    description = read_description(folder)
    if folder.parent == checkpoint_folder():
        raise OutputError(f"The built-in anchor {folder.name} shows nobody and stays as it is.")
    with locked(folder.absolute()):
        if description["consent"] not in (None, text) and not overwrite:
            raise OutputExistsError(
                f"{folder} records a consent already; show it with `talkinghead consent {folder}`, "
                "replace it with --overwrite."
            )
        write_json(folder / DESCRIPTION_FILE, {**description, "consent": text})
    return text


def lacks(description: dict[str, Any]) -> list[str]:
    """What a folder of an older format, or of a training without a speech model, does not hold.

    Args:
        description: of the folder, by `read_description`.

    Returns:
        One clause for each, with what follows from it; empty where nothing is missing.
    """
    missing = []
    if description["format"] == FORMATS[0]:
        missing.append("the misfit of its own track: computed at each start")
    if CALIBRATION_FILE not in description["sha256"]:
        missing.append("the speech calibration: computed at the first generation, then cached")
    if APPEARANCE_FILE not in description["sha256"]:
        missing.append("appearance statistics: covered faces are not found")
    if "loops" not in description["clip"]:
        missing.append("the loop of its clip: sought at the first speech that is longer, then cached")
    return missing


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write anchor.json; the hashes of the other files are added here, so write it last.

    Raises:
        OutputError: the file cannot be written.
    """
    names = (*REQUIRED, *(name for name in OPTIONAL if (folder / name).is_file()))
    hashes = {name: sha256_of(folder / name) for name in names}
    write_json(folder / DESCRIPTION_FILE, {"format": FORMATS[-1], **description, "sha256": hashes})
