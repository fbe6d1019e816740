"""Calibration of the speech model to one anchor, by audio and mouth of the anchor's own clip.

The predictor's output is normalized expression, which does not depend on the person. How far this person opens the
mouth, and what the corners do meanwhile, is fitted on the clip: a ridge regression from predicted to measured
coefficients toward the map that changes mean and deviation alone, after the lag of the clip's audio has been estimated
and removed. Where the clip has no audio, or audio
that does not belong to the mouth, mean and standard deviation of the measured coefficients take its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError, MediaError
from talkinghead.face.face_model import PersonFace
from talkinghead.files import load_arrays, save_arrays
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.lip_closure import CLOSING_LEVELS, choose_levels, levels_as_text, levels_from_text
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.voice_activity import VoiceActivityConfig, gate, speech_stretches
from talkinghead.structures import DEFAULT_TRACKS, BoolArray, FloatArray, Reconstruction, Tracks

LONGEST_S = 60.0
"""Length of the beginning of a clip that is used, seconds."""
FEWEST_FRAMES = 250
"""Least number of frames with a face for a regression."""
LAGS_S = np.arange(-0.4, 0.4001, 0.02)
"""Lags of the audio that are compared, seconds."""
LEAST_R = 0.35
"""Least correlation of predicted and measured mouth opening at which audio and mouth belong together."""
RIDGES = (0.3, 1.0, 3.0, 10.0, 100.0)
"""Weights of the penalty on the distance from the map that changes mean and deviation alone, per frame; the last leaves
little but that map."""
RIDGE_BLOCKS = 4
"""Contiguous blocks of a clip that are held out in turn to choose among them."""
STEP_S = 0.01
"""Time step of the predicted curves, seconds."""
AT_REST = 0.05
"""Weight of movement below which a frame counts as one of a pause."""
FEWEST_PAUSE_FRAMES = 10
"""Least number of frames in pauses by which a person's mouth in pauses is known."""
LARGEST_GAIN = 1.4
"""Largest factor by which the fitted movement is enlarged."""
FORMAT = "talkinghead/speech-calibration/1"
"""Format of the file, stored in its metadata."""


@dataclass(frozen=True)
class SpeechCalibration:
    """Affine map from normalized expression to the anchor's own, for one speech model."""

    matrix: FloatArray
    """(K, K) float32, from normalized expression (rows) to the anchor's (columns)."""
    offset: FloatArray
    """(K,) float32, in standard deviations of the face model."""
    lag_s: float | None
    """Lag of the clip's audio in seconds, > 0 where it is late; None where there was no regression."""
    r: float | None
    """Correlation of predicted and measured mouth opening at that lag; None where there was no regression."""
    encoder_sha256: str
    """Hash of the encoder with which it was fitted."""
    predictor_sha256: str
    """Hash of the predictor with which it was fitted."""
    pause: FloatArray | None = None
    """(K,) float32 expression of the person in pauses; None where the clip shows too few."""
    closing: tuple[float, float] | None = CLOSING_LEVELS[0]
    """Probabilities of p, b or m in the person's own voice at which closing the lips begins and is complete; None
    leaves the lips alone."""
    problem: str | None = None
    """Why the clip's audio was not used; None where it was, and in a calibration that was read from a file."""

    def apply(self, normalized: FloatArray) -> FloatArray:
        """Map normalized expression (T, K) to the anchor's, (T, K) float32 in standard deviations of the face model."""
        return np.asarray(normalized @ self.matrix + self.offset, np.float32)

    def is_for(self, speech_model: SpeechModel) -> bool:
        """Whether it was fitted with this speech model."""
        own = (self.encoder_sha256, self.predictor_sha256)
        return own == (speech_model.encoder.sha256, speech_model.predictor_sha256)

    def describe(self) -> dict[str, float | int | None]:
        """Lag in ms and correlation, as plain values for anchor.json."""
        lag_ms = None if self.lag_s is None else round(self.lag_s * 1000)
        return {"lag_ms": lag_ms, "r": None if self.r is None else round(self.r, 3)}


@dataclass(frozen=True)
class ClipPrediction:
    """Expression predicted from a clip's audio and expression measured in its frames, for the same N frames."""

    lag_s: float
    """Lag of the audio of highest correlation, seconds; > 0 where the audio is late."""
    r: float
    """Correlation of predicted and measured mouth opening at that lag."""
    predicted: FloatArray
    """(N, K) float32 normalized expression, with the lag removed."""
    closure: FloatArray
    """(N,) float32 probability of p, b or m, with the lag removed."""
    is_pause: BoolArray
    """(N,) True where nobody speaks and the mouth has had time to come to rest."""
    measured: FloatArray
    """(N, K) float32, in standard deviations of the face model."""

    @property
    def belongs(self) -> bool:
        """Whether the correlation is high enough for audio and mouth to belong together."""
        return self.r >= LEAST_R


def calibrate(
    clip: Path,
    face: PersonFace,
    reconstruction: Reconstruction,
    speech_model: SpeechModel,
    tracks: Tracks = DEFAULT_TRACKS,
) -> SpeechCalibration:
    """Fit the calibration to a clip; by mean and standard deviation alone where its audio cannot be used.

    `SpeechCalibration.problem` says then why.

    Args:
        clip: video, with audio or without.
        face: of the person in it.
        reconstruction: of the clip's frames.
        speech_model: of which the predictions are mapped.
        tracks: which of the clip's tracks.
    """
    # Without usable audio, normalized expression is given the mean and standard deviation of the clip's.
    hashes = (speech_model.encoder.sha256, speech_model.predictor_sha256)
    prediction, problem = None, f"fewer than {FEWEST_FRAMES} frames show a usable face"
    try:
        prediction = predict_clip(clip, face, reconstruction, speech_model, tracks)
    except MediaError as error:  # the frames can be used without the audio
        problem = str(error)
    if prediction is not None and not prediction.belongs:
        problem = f"its mouth does not follow it (correlation {prediction.r:.2f}); is it of another recording?"
    if prediction is None or not prediction.belongs:
        own = reconstruction.expression[reconstruction.valid]
        return SpeechCalibration(
            np.diag(own.std(0)).astype(np.float32), own.mean(0), None, None, *hashes, problem=problem
        )
    prior = np.diag(prediction.measured.std(0))
    penalty = choose_ridge(prediction.predicted, prediction.measured, prior, face.opening)
    matrix, offset = ridge(prediction.predicted, prediction.measured, prior, penalty)
    # A regression underestimates movement: all of it is enlarged about its mean until the opening has the standard
    # deviation of the clip's.
    opening = face.opening(prediction.measured)
    fitted = (prediction.predicted @ matrix + offset).astype(np.float32)
    gain = float(opening.std() / max(face.opening(fitted).std(), 1e-6))
    gain = float(np.clip(gain, 1.0, LARGEST_GAIN))
    center = fitted.mean(0)
    enlarged, centered = (matrix * gain).astype(np.float32), (center + gain * (offset - center)).astype(np.float32)
    calibrated = np.asarray(prediction.predicted @ enlarged + centered, np.float32)
    pauses = prediction.measured[prediction.is_pause]
    return SpeechCalibration(
        enlarged,
        centered,
        prediction.lag_s,
        prediction.r,
        *hashes,
        pause=np.median(pauses, axis=0).astype(np.float32) if len(pauses) >= FEWEST_PAUSE_FRAMES else None,
        closing=choose_levels(calibrated, prediction.closure, face, prediction.measured),
    )


def predict_clip(
    clip: Path,
    face: PersonFace,
    reconstruction: Reconstruction,
    speech_model: SpeechModel,
    tracks: Tracks = DEFAULT_TRACKS,
) -> ClipPrediction | None:
    """Predict the mouth from a clip's own audio, and find the lag at which that fits what was measured.

    Args:
        clip: video; its first minute is used.
        face: of the person in it.
        reconstruction: of the clip's frames.
        speech_model: any.
        tracks: which of the clip's tracks.

    Returns:
        The prediction; None where too few frames have a face.

    Raises:
        MediaError: the audio is missing, too short or damaged.
    """
    times_s = reconstruction.times_s
    chosen = reconstruction.valid & (times_s < LONGEST_S)
    if chosen.sum() < FEWEST_FRAMES:
        return None
    audio = read_audio(clip, longest_s=LONGEST_S, tracks=tracks)
    grid_s = np.arange(0.0, audio.duration_s, STEP_S)
    predicted = speech_model.predict(audio, grid_s)
    speech_s = speech_stretches(audio, VoiceActivityConfig())
    curves = predicted.values
    grid_s = np.arange(len(curves), dtype=np.float64) * STEP_S
    measured, measured_s = reconstruction.expression[chosen], times_s[chosen]
    target = face.opening(measured)
    mean, std = measured.mean(0), measured.std(0)
    # The lag is that at which the predicted opening, sampled at the frames' times, correlates best with the measured
    # one. The opening is not linear in the expression, so the prediction is first given the clip's mean and deviation.
    correlations = []
    for lag_s in LAGS_S:
        opening = face.opening(_at(curves, grid_s, measured_s + lag_s) * std + mean)
        is_flat = opening.std() < 1e-6 or target.std() < 1e-6
        correlations.append(0.0 if is_flat else float(np.corrcoef(opening, target)[0, 1]))
    best = int(np.argmax(correlations))
    lag_s = float(LAGS_S[best])
    audio_s = measured_s + lag_s
    return ClipPrediction(
        lag_s,
        correlations[best],
        predicted=_at(curves, grid_s, audio_s),
        closure=_at(predicted.closure[:, None], grid_s, audio_s)[:, 0],
        is_pause=gate(speech_s, audio_s, VoiceActivityConfig()) < AT_REST,
        measured=measured,
    )


def ridge(
    inputs: FloatArray, targets: FloatArray, prior: NDArray[Any], penalty: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ridge regression toward a given matrix, with an offset that is not penalized.

    Args:
        inputs: (T, A).
        targets: (T, B).
        prior: (A, B) matrix that is the answer where the data say nothing.
        penalty: on the squared distance from it, per frame.

    Returns:
        Matrix (A, B) and offset (B,), by which targets are inputs @ matrix + offset.
    """
    # On centered data the offset drops out of the problem, and so of the penalty.
    x, y = inputs.astype(np.float64), targets.astype(np.float64)
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    gram = x.T @ x + penalty * len(x) * np.eye(x.shape[1])
    matrix = prior + np.linalg.solve(gram, x.T @ (y - x @ prior))
    return matrix, y_mean - x_mean @ matrix


def choose_ridge(
    inputs: FloatArray, targets: FloatArray, prior: NDArray[Any], opening: Callable[[FloatArray], FloatArray]
) -> float:
    """The penalty of `RIDGES` whose regression predicts the opening of held-out blocks best.

    A person who smiles or turns away in one part of a clip only has no one map: then the prior is the better answer.

    Args:
        inputs, targets, prior: as in `ridge`, in the order of time.
        opening: targets (T, B) -> opening of the mouth (T,).
    """
    block = np.arange(len(inputs)) * RIDGE_BLOCKS // len(inputs)

    def r(penalty: float) -> float:
        """Mean correlation over the blocks; a mouth that does not move in one counts as 0."""
        found = []
        for number in range(RIDGE_BLOCKS):
            held_out = block == number
            matrix, offset = ridge(inputs[~held_out], targets[~held_out], prior, penalty)
            driven = opening((inputs[held_out] @ matrix + offset).astype(np.float32))
            measured = opening(targets[held_out])
            moves = min(driven.std(), measured.std()) > 1e-6
            found.append(float(np.corrcoef(driven, measured)[0, 1]) if moves else 0.0)
        return float(np.mean(found))

    return max(RIDGES, key=r)


def save_calibration(path: Path, calibration: SpeechCalibration) -> None:
    """Write a calibration as safetensors.

    Raises:
        OutputError: the file cannot be written.
    """
    metadata = {
        "format": FORMAT,
        "encoder_sha256": calibration.encoder_sha256,
        "predictor_sha256": calibration.predictor_sha256,
        "lag_s": "" if calibration.lag_s is None else repr(calibration.lag_s),
        "r": "" if calibration.r is None else repr(calibration.r),
        "closing": levels_as_text(calibration.closing),
    }
    arrays = {"matrix": calibration.matrix, "offset": calibration.offset}
    if calibration.pause is not None:
        arrays["pause"] = calibration.pause
    save_arrays(path, arrays, metadata)


def load_calibration(path: Path, expressions: int) -> SpeechCalibration:
    """Read what `save_calibration` wrote.

    Args:
        path: the file.
        expressions: K that is wanted.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged, or of another shape.
    """
    arrays, metadata = load_arrays(path)
    shapes = {"matrix": (expressions, expressions), "offset": (expressions,)}
    if "pause" in arrays:
        shapes["pause"] = (expressions,)
    fits = metadata.get("format") == FORMAT and all(
        name in arrays
        and arrays[name].shape == shape
        and arrays[name].dtype == np.float32
        and np.isfinite(arrays[name]).all()
        for name, shape in shapes.items()
    )
    try:
        lag_s, r = (float(metadata[name]) if metadata[name] else None for name in ("lag_s", "r"))
        hashes = metadata["encoder_sha256"], metadata["predictor_sha256"]
        closing = CLOSING_LEVELS[0] if "closing" not in metadata else levels_from_text(metadata["closing"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is not a speech calibration: {error}.") from error
    if not fits or not all(value is None or abs(value) <= 1 for value in (lag_s, r)):
        raise CheckpointError(f"{path} is not a speech calibration of this version ({FORMAT}).")
    return SpeechCalibration(arrays["matrix"], arrays["offset"], lag_s, r, *hashes, arrays.get("pause"), closing)


def _at(curves: FloatArray, grid_s: NDArray[np.float64], times_s: NDArray[np.float64]) -> FloatArray:
    """Curves (N, K) at the times `grid_s` (N,), interpolated linearly at `times_s` (T,): (T, K)."""
    return np.stack([np.interp(times_s, grid_s, curve) for curve in curves.T], 1).astype(np.float32)
