"""Where the expression of an output comes from: speech, a coefficient file, or another video."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from talkinghead.anchor import Anchor
from talkinghead.errors import CheckpointError, NoFaceError
from talkinghead.face.reconstruction import project, reconstruct
from talkinghead.face.steady_track import Look, steady_track
from talkinghead.face.tracking import track_file
from talkinghead.files import cached, sha256_of
from talkinghead.generation.anchor_driver import AnchorDriver
from talkinghead.generation.coefficient_files import is_table, read_coefficients
from talkinghead.generation.leads import NO_LEADS, Leads
from talkinghead.generation.stream import prefetch_at_once
from talkinghead.media.excerpts import RecordingExcerpt
from talkinghead.speech.analysis import AudioAnalysis, analyze
from talkinghead.speech.articulation import KnownPhones
from talkinghead.speech.calibration import SpeechCalibration, calibrate, load_calibration, save_calibration
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.loudness import Level
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.voice_activity import VoiceActivityConfig
from talkinghead.structures import FaceChoice, FloatArray, Reconstruction, Recording

SAME_PERSON_RATIO = 1.35
"""Up to this ratio of misfits, a video counts as showing the anchor's own person."""
FIRST_ROWS = 32
"""Frames that are made before the second chunk of the speech is encoded: as many as stages of the work have on hand."""


def load_speech_model(anchor: Anchor, encoder: str | None, device: torch.device) -> SpeechModel:
    """The speech model for an anchor.

    Args:
        anchor: whose face model the predictor must have been trained for.
        encoder: folder or cached hub name; None takes the project's own.
        device: where the encoder runs.

    Raises:
        MissingFileError, CheckpointError, ModelUnavailableError: see `SpeechModel.load`; or the predictor was trained
            for another face model than the anchor's.
    """
    return fitting_model(anchor, SpeechModel.load(encoder, device))


def fitting_model(anchor: Anchor, speech_model: SpeechModel) -> SpeechModel:
    """A speech model, if an anchor can be driven by it; see `load_speech_model`.

    Raises:
        CheckpointError: the predictor was trained for another face model than the anchor's.
    """
    if speech_model.predictor.config.face_model_sha256 != anchor.face_model_sha256:
        raise CheckpointError(
            f"{anchor.folder} was made with another face model than the speech predictor; train the anchor again."
        )
    return speech_model


def calibration_for(anchor: Anchor, speech_model: SpeechModel) -> SpeechCalibration:
    """The anchor's own calibration where it was fitted with this speech model, else one fitted now and cached."""
    if anchor.calibration is not None and anchor.calibration.is_for(speech_model):
        return anchor.calibration
    hashes = [sha256_of(anchor.clip), sha256_of(anchor.folder / "reconstruction.safetensors"), speech_model.sha256]
    if anchor.clip_range is not None:
        hashes.append(str(anchor.clip_range))
    return cached(
        "calibrations",
        hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:32],
        make=lambda: calibrate(anchor.clip, anchor.face, anchor.trained, speech_model, anchor.tracks),
        load=lambda path: load_calibration(path, anchor.model.expressions),
        save=lambda path, calibration: save_calibration(path, calibration),
    )


def adaptation_used(
    anchor: Anchor, speech_model: SpeechModel, own_voice: bool
) -> Literal["whole", "half", "none", "outdated"]:
    """How much of the anchor's speech adaptation is used; outdated is one for another predictor, which is not."""
    if anchor.adaptation is None:
        return "none"
    if not anchor.adaptation.is_for(speech_model):
        return "outdated"
    return "whole" if own_voice else "half"


def pause_expression(anchor: Anchor) -> FloatArray:
    """(K,) expression of the anchor in pauses, as the clip shows it; rest, where it shows none."""
    calibration = anchor.calibration
    return anchor.rest_expression() if calibration is None or calibration.pause is None else calibration.pause


def expression_from_speech(
    anchor: Anchor,
    speech_model: SpeechModel,
    audio: Recording,
    times_s: NDArray[np.float64],
    pauses: VoiceActivityConfig | None = None,
    *,
    own_voice: bool = False,
    phones: KnownPhones | None = None,
) -> FloatArray:
    """Expression predicted from speech, in the anchor's own range.

    Args:
        anchor: who speaks.
        speech_model: see `load_speech_model`.
        audio: at 16 kHz; it is read twice.
        times_s: (T,) seconds, rising.
        pauses: how the mouth comes to rest where nobody speaks; None is the default.
        own_voice: whether the anchor speaks.
        phones: that are spoken, with their times in the audio, where they are known.

    Returns:
        (T, K) in standard deviations of the face model.

    Raises:
        SpeechTooShortError, ModelUnavailableError: see `SpeechModel.predict`; the voice activity detector is missing.
    """
    pauses = pauses or VoiceActivityConfig()
    analysis = analyze(audio, pauses)
    driving = SpeechDriving(audio, analysis, pauses, own_voice, phones)
    return np.concatenate(list(expression_parts(anchor, speech_model, driving, times_s)))


@dataclass(frozen=True)
class SpeechDriving:
    """Speech that drives an anchor, and what is known of it."""

    audio: Recording
    """At 16 kHz; it is read once."""
    analysis: AudioAnalysis
    """Of the audio."""
    pauses: VoiceActivityConfig
    """How the mouth comes to rest where nobody speaks."""
    own_voice: bool
    """Whether the anchor speaks."""
    phones: KnownPhones | None = None
    """That are spoken, with their times in the audio; None where they are not known."""
    leads: Leads = NO_LEADS
    """Time before and after the audio in which the mouth is at rest."""


def expression_parts(
    anchor: Anchor,
    speech_model: SpeechModel,
    speech: SpeechDriving,
    times_s: NDArray[np.float64],
) -> Iterator[FloatArray]:
    """What `expression_from_speech` gives, part by part: (n, K) each, T rows in all.

    Memory does not grow with the length of the audio. The parts are predicted in a thread of their own, which begins
    with the call, so that the first frames need not wait for the last words. Of the audio, only what lies around the
    times is encoded.

    Args:
        anchor, speech_model: as there.
        speech: what drives it.
        times_s: (T,) seconds from the beginning of the audio, rising; those before it and after its end are of the
            leads.
    """
    calibration = calibration_for(anchor, speech_model)
    driver = AnchorDriver.prepare(
        anchor,
        speech_model,
        calibration,
        speech.pauses,
        own_voice=speech.own_voice,
        phones=speech.phones,
    )
    weights = driver.pause_gate().weights(speech.analysis.speech_s, times_s)
    attack_s, release_s = driver.pauses.attack_ms / 1000, driver.pauses.release_ms / 1000
    weights = weights * speech.leads.weights(times_s, speech.analysis.duration_s, attack_s, release_s)
    audio, level, begin_s = _around(speech, driver.speech_model, times_s)
    phones = None if speech.phones is None else speech.phones.shifted(-begin_s)

    def parts() -> Iterator[FloatArray]:
        done = 0
        for predicted in driver.speech_model.predict_parts(audio, times_s - begin_s, level, phones):
            rows = driver.expression(predicted, weights[done : done + len(predicted.values)])
            # The next chunk waits until the first frames are on their way: it would take the cores from them.
            yield from (rows,) if done else (rows[:FIRST_ROWS], rows[FIRST_ROWS:])
            done += len(rows)

    return prefetch_at_once(parts(), 1)


def _around(
    speech: SpeechDriving, speech_model: SpeechModel, times_s: NDArray[np.float64]
) -> tuple[Recording, Level, float]:
    """The audio around some times, with silence for the leads; its level, and where it begins, seconds.

    It begins a whole number of feature frames away from the beginning of the recording, and has as much on either side
    of the times as features depend on: so they are those of the whole.
    """
    level, leads, encoder = speech.analysis.level, speech.leads, speech_model.encoder
    context_s = encoder.context_s + speech_model.predictor.config.reach / encoder.rate_hz
    begin_s = max(-leads.before_s, float(times_s[0]) - context_s)
    first = math.floor(begin_s * encoder.rate_hz + 1e-6) * encoder.front_end.hop
    end = level.samples + round(leads.after_s * RATE_HZ)
    end = min(end, math.ceil((float(times_s[-1]) + context_s) * RATE_HZ))
    if (first, end) == (0, level.samples):
        return speech.audio, level, 0.0
    audio = RecordingExcerpt(speech.audio, first, end, fill=level.mean)  # without its mean, silence is 0
    return audio, replace(level, samples=end - first), first / RATE_HZ


def expression_from_file(
    anchor: Anchor,
    source: Path,
    times_s: NDArray[np.float64],
    face: FaceChoice = "largest",
    *,
    first_row: int = 0,
) -> FloatArray:
    """Expression read from a coefficient file, or measured from a video, at the output's times.

    Args:
        anchor: who is driven.
        source: .safetensors, .csv or .json file, see `read_coefficients`; else a video.
        times_s: (T,) seconds from the beginning of the speech.
        face: which face of the video.
        first_row: row of a file without times that the first frame shows; before row 0, that is repeated.

    Returns:
        (T, K) in standard deviations of the face model.

    Raises:
        MissingFileError, CoefficientError, MediaError, NoFaceError: the source cannot be used.
    """
    if is_table(source):
        values, own_times_s = read_coefficients(anchor, source)
        if own_times_s is None:
            return values[np.clip(first_row + np.arange(len(times_s)), 0, len(values) - 1)]
    else:
        values, own_times_s = measure_expression(anchor, source, face)
    return np.stack([np.interp(times_s, own_times_s, column) for column in values.T], 1).astype(np.float32)


def measure_expression(
    anchor: Anchor, video: Path, face: FaceChoice = "largest"
) -> tuple[FloatArray, NDArray[np.float64]]:
    """Expression measured in a video: (S, K) and its (S,) times.

    Where the anchor's identity fits the video nearly as well as one solved for it, the video shows the anchor and the
    coefficients are taken as they are. Another person's are transferred: shifted and scaled, coefficient by
    coefficient, to the anchor's own mean and standard deviation.

    Raises:
        MissingFileError, MediaError, NoFaceError: the video cannot be used.
    """
    track = track_file(video, face=face)
    if not track.valid.any():
        raise NoFaceError(f"{video}: no frame shows a usable face.")
    as_anchor = reconstruct(track, anchor.model, identity=anchor.reconstruction.identity)
    as_other = reconstruct(track, anchor.model)
    own_misfit = _rigid_misfit_cm(anchor, track.landmarks, as_other)
    if _rigid_misfit_cm(anchor, track.landmarks, as_anchor) <= SAME_PERSON_RATIO * own_misfit:
        if anchor.is_steady:
            look = Look(anchor.clip, anchor.reconstruction, anchor.tracks)
            track = steady_track(video, anchor.model, face=face, look=look)
            as_anchor = reconstruct(track, anchor.model, identity=anchor.reconstruction.identity)
        return as_anchor.expression, track.times_s
    own = anchor.trained.expression[anchor.trained.valid]
    mean, std = own.mean(0), own.std(0)
    theirs = as_other.expression[as_other.valid]
    normalized = (as_other.expression - theirs.mean(0)) / np.maximum(theirs.std(0), 1e-3)
    return (mean + std * normalized).astype(np.float32), track.times_s


def _rigid_misfit_cm(anchor: Anchor, landmarks: FloatArray, reconstruction: Reconstruction) -> float:
    """Mean distance of the rigid landmarks of the upper face from the reconstruction, over the valid frames."""
    model = anchor.model
    shape = model.neutral[model.rigid] + np.tensordot(reconstruction.identity, model.identity_basis[:, model.rigid], 1)
    still = np.broadcast_to(shape, (len(reconstruction), *shape.shape)).astype(np.float32)
    projected = project(still, reconstruction, slice(None))
    distance = np.linalg.norm((projected - landmarks[:, model.rigid])[..., :2], axis=-1)
    return float((distance / reconstruction.scale[:, None])[reconstruction.valid].mean())
