"""Where the expression of an output comes from: speech, a coefficient file, or another video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.anchor import Anchor
from talkinghead.device import choose_device
from talkinghead.errors import CheckpointError, NoFaceError
from talkinghead.face.reconstruction import project, reconstruct
from talkinghead.face.tracking import track_file
from talkinghead.generation.expression_files import SUFFIXES, load_expression
from talkinghead.generation.stream import prefetch
from talkinghead.speech.lip_closure import close_lips
from talkinghead.speech.voice_activity import VoiceActivityConfig, voice_activity
from talkinghead.structures import FaceChoice, FloatArray, Reconstruction, Recording

SAME_PERSON_RATIO = 1.35
"""Up to this growth of the misfit, a video counts as showing the anchor's own person."""


def expression_from_speech(
    anchor: Anchor,
    audio: Recording,
    times_s: NDArray[np.float64],
    encoder: str | None,
    device: str,
    pauses: VoiceActivityConfig | None = None,
) -> FloatArray:
    """Expression predicted from speech at 16 kHz, in the anchor's own range: (T, K)."""
    return np.concatenate(list(expression_parts(anchor, audio, times_s, encoder, device, pauses)))


def expression_parts(
    anchor: Anchor,
    audio: Recording,
    times_s: NDArray[np.float64],
    encoder: str | None,
    device: str,
    pauses: VoiceActivityConfig | None = None,
) -> Iterator[FloatArray]:
    """The same part by part: (n, K) each, T rows in all.

    What can fail fails here. The sound is read block by block, so its length does not matter to the memory; the parts
    are predicted in a thread of their own, so that the first frames need not wait for the last words.
    """
    # Imported here: coefficient files and videos as drivers need none of it.
    from talkinghead.speech.calibration import calibrate
    from talkinghead.speech.model import load_speech_model, predicted_parts

    loaded, predictor = load_speech_model(encoder, choose_device(device))
    if predictor.config.face_model_sha256 != anchor.face_model_sha256:
        raise CheckpointError(
            f"{anchor.folder} was made with another face model than the speech predictor; train the anchor again."
        )
    calibration = calibrate(anchor, loaded, predictor)
    moving = voice_activity(audio, times_s, pauses)[:, None]
    rest, identity = anchor.rest_expression(), anchor.reconstruction.identity
    own = anchor.reconstruction.expression[anchor.reconstruction.valid]

    def parts() -> Iterator[FloatArray]:
        given = 0
        for said in predicted_parts(loaded, predictor, audio, times_s):
            moves = moving[given : given + len(said.values)]
            given += len(said.values)
            driven = close_lips(calibration.apply(said.values), said.closure, anchor.model, identity, own)
            yield np.asarray(moves * driven + (1 - moves) * rest, np.float32)

    return prefetch(parts(), 1)


def expression_from_file(
    anchor: Anchor, source: Path, times_s: NDArray[np.float64], face: FaceChoice = "largest"
) -> FloatArray:
    """Expression read from a coefficient file, or measured from a video, at the output's times: (T, K)."""
    if source.suffix.lower() in SUFFIXES:
        values, own_times_s = load_expression(source, anchor.model.expressions)
        if own_times_s is None:
            return values[np.minimum(np.arange(len(times_s)), len(values) - 1)]
    else:
        values, own_times_s = measure_expression(anchor, source, face)
    return np.stack([np.interp(times_s, own_times_s, column) for column in values.T], 1).astype(np.float32)


def measure_expression(
    anchor: Anchor, video: Path, face: FaceChoice = "largest"
) -> tuple[FloatArray, NDArray[np.float64]]:
    """Expression seen in a video: (S, K) and its (S,) times.

    Where the anchor's identity fits the video nearly as well as one found for it, the video shows the anchor and the
    coefficients are taken as they are. Another person's are carried over: shifted and scaled, coefficient by
    coefficient, to the anchor's own mean and standard deviation.
    """
    track = track_file(video, face=face)
    if not track.valid.any():
        raise NoFaceError(f"{video}: no frame shows a usable face.")
    as_anchor = reconstruct(track, anchor.model, identity=anchor.reconstruction.identity)
    as_other = reconstruct(track, anchor.model)
    own_misfit = _misfit(anchor, track.landmarks, as_other)
    if _misfit(anchor, track.landmarks, as_anchor) <= SAME_PERSON_RATIO * own_misfit:
        return as_anchor.expression, track.times_s
    mean, std = anchor.expression_statistics()
    seen = as_other.expression[as_other.valid]
    normalized = (as_other.expression - seen.mean(0)) / np.maximum(seen.std(0), 1e-3)
    return (mean + std * normalized).astype(np.float32), track.times_s


def _misfit(anchor: Anchor, landmarks: FloatArray, reconstruction: Reconstruction) -> float:
    """Mean distance of the rigid and local landmarks from the reconstruction, in cm."""
    model = anchor.model
    shape = model.neutral[model.rigid] + np.tensordot(reconstruction.identity, model.identity_basis[:, model.rigid], 1)
    still = np.broadcast_to(shape, (len(reconstruction), *shape.shape)).astype(np.float32)
    seen = project(still, reconstruction, slice(None))
    miss = np.linalg.norm((seen - landmarks[:, model.rigid])[..., :2], axis=-1) / reconstruction.scale[:, None]
    return float(miss[reconstruction.valid].mean())
