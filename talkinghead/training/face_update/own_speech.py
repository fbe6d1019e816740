"""The expression that a clip's own speech would give an anchor that is still in training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkinghead.anchor import Anchor
from talkinghead.errors import CheckpointError, MediaError, MissingFileError, ModelUnavailableError
from talkinghead.face.face_model import PersonFace
from talkinghead.face.region_removal import local_region
from talkinghead.generation.driving import SpeechDriving, expression_parts
from talkinghead.media.audio_reader import AudioFile
from talkinghead.network.face_update_network import FaceUpdateNetwork
from talkinghead.speech.analysis import analyze
from talkinghead.speech.calibration import SpeechCalibration
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.voice_activity import VoiceActivityConfig
from talkinghead.structures import DEFAULT_TRACKS, FloatArray, Reconstruction, Tracks

NO_MODEL = "no speech model is installed"
NO_SPEECH = "the clip has no speech that its mouth follows, or too little"


@dataclass(frozen=True)
class OwnSpeech:
    """Expression driven by the clip's own speech, or why there is none."""

    expression: FloatArray | None
    """(S, K) in standard deviations of the face model, at the frames that were asked for."""
    reason: str = ""
    """Why there is none, a clause."""


def drive_by_own_speech(
    clip: Path,
    face: PersonFace,
    reconstruction: Reconstruction,
    network: FaceUpdateNetwork,
    calibration: SpeechCalibration | None,
    frames: np.ndarray[tuple[int], np.dtype[np.int64]],
    tracks: Tracks = DEFAULT_TRACKS,
) -> OwnSpeech:
    """Drive frames of a clip by its own speech as `generate` would, but without the anchor's speech adaptation.

    The adaptation has learned these very words, so that with it the frames would promise too much for new ones. The lag
    of the clip's audio is removed.

    Args:
        clip: the anchor's.
        face: of the person.
        reconstruction: of the clip's frames.
        network: of the anchor, trained or not.
        calibration: of the installed speech model to the clip; None where there is none.
        frames: (S,) numbers of the frames, rising.
        tracks: which of the clip's tracks.
    """
    if calibration is None:
        return OwnSpeech(None, NO_MODEL)
    if calibration.lag_s is None:
        return OwnSpeech(None, NO_SPEECH)
    unfinished = Anchor(
        folder=clip.parent,
        clip=clip,
        face=face,
        face_model_sha256="",
        reconstruction=reconstruction,
        region=local_region(face),
        network=network,
        network_sha256="",
        consent=None,
        appearance=None,
        calibration=calibration,
        adaptation=None,
        is_steady=True,
        tracks=tracks,
    )
    audio, pauses = AudioFile(clip, tracks=tracks), VoiceActivityConfig()
    try:
        driving = SpeechDriving(audio, analyze(audio, pauses), pauses, own_voice=True)
        times_s = reconstruction.times_s[frames] + calibration.lag_s
        parts = list(expression_parts(unfinished, SpeechModel.load(), driving, times_s))
    except (CheckpointError, MissingFileError, ModelUnavailableError):
        return OwnSpeech(None, NO_MODEL)
    except MediaError:
        return OwnSpeech(None, NO_SPEECH)
    return OwnSpeech(np.concatenate(parts))
