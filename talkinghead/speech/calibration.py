"""Calibration of the speech model to one anchor, by the audio and the mouth of the anchor's own clip.

The predictor gives normalized expression, which is the same for everybody. How far this person opens the mouth, what
the corners do meanwhile, and which of the predictor's coefficients hold for this face, is fitted on the clip: a ridge
regression from predicted to measured coefficients, after the lag of the clip's audio has been found and taken out.
Where the clip has no audio, or audio that does not belong to the mouth, mean and standard deviation take its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError, MediaError
from talkinghead.face.face_model import PersonFace
from talkinghead.files import load_arrays, save_arrays
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.model import SpeechModel
from talkinghead.structures import FloatArray, Reconstruction

LONGEST_S = 60.0
"""The first minute of a clip is used."""
FEWEST_FRAMES = 250
"""Frames with a face that a calibration needs."""
LAGS_S = np.arange(-0.4, 0.4001, 0.02)
"""Lags of the audio that are tried."""
LEAST_R = 0.35
"""Below this correlation of the mouth opening, audio and mouth are not taken to belong together."""
RIDGE = 0.1
"""Weight of the penalty, per frame."""
STEP_S = 0.01
"""Step of time at which the predicted curves are sampled."""
LARGEST_GAIN = 1.4
"""Most that the fitted movement is enlarged by."""
FORMAT = "talkinghead/speech-calibration/1"


@dataclass(frozen=True)
class SpeechCalibration:
    """Affine map from normalized expression to the anchor's own, for one speech model."""

    matrix: FloatArray
    """(K, K) float32."""
    offset: FloatArray
    """(K,) float32."""
    lag_s: float | None
    """Seconds by which the clip's audio comes late; None where it was not found."""
    r: float | None
    """Correlation of predicted and measured mouth opening at that lag; None where there is none."""
    encoder_sha256: str
    """Of the encoder that it was fitted with."""
    predictor_sha256: str
    """Of the predictor that it was fitted with."""

    def apply(self, normalized: FloatArray) -> FloatArray:
        """(T, K) normalized -> (T, K) in standard deviations of the face model."""
        return np.asarray(normalized @ self.matrix + self.offset, np.float32)

    def is_for(self, speech_model: SpeechModel) -> bool:
        """Whether it was fitted with this speech model."""
        own = (self.encoder_sha256, self.predictor_sha256)
        return own == (speech_model.encoder.sha256, speech_model.predictor.sha256())

    def describe(self) -> dict[str, float | int | None]:
        """Lag in ms and r, for anchor.json."""
        lag_ms = None if self.lag_s is None else round(self.lag_s * 1000)
        return {"lag_ms": lag_ms, "r": None if self.r is None else round(self.r, 3)}


@dataclass(frozen=True)
class ClipPrediction:
    """Expression predicted from a clip's own audio beside the expression measured in its frames, N frames of both."""

    lag_s: float
    """Seconds by which the audio comes late at the best fit; negative is early."""
    r: float
    """Correlation of predicted and measured mouth opening at that lag."""
    predicted: FloatArray
    """(N, K) normalized, the lag taken out."""
    measured: FloatArray
    """(N, K) in standard deviations of the face model."""

    @property
    def belongs(self) -> bool:
        """Whether audio and mouth can be taken to belong together."""
        return self.r >= LEAST_R


def calibrate(
    clip: Path, face: PersonFace, reconstruction: Reconstruction, speech_model: SpeechModel
) -> SpeechCalibration:
    """Fit the map to a clip; by mean and standard deviation alone where its audio is of no use.

    Args:
        clip: video, with audio or without.
        face: the anchor's.
        reconstruction: of the clip's frames.
        speech_model: whose predictions are mapped.
    """
    hashes = (speech_model.encoder.sha256, speech_model.predictor.sha256())
    found = predict_clip(clip, face, reconstruction, speech_model)
    if found is None or not found.belongs:
        own = reconstruction.expression[reconstruction.valid]
        return SpeechCalibration(np.diag(own.std(0)).astype(np.float32), own.mean(0), None, None, *hashes)
    matrix, offset = ridge(found.predicted, found.measured)
    # A regression underestimates movement; the opening gets the clip's own range back.
    opening = face.opening(found.measured)
    fitted = (found.predicted @ matrix + offset).astype(np.float32)
    gain = float(opening.std() / max(face.opening(fitted).std(), 1e-6))
    gain = float(np.clip(gain, 1.0, LARGEST_GAIN))
    center = fitted.mean(0)
    return SpeechCalibration(
        (matrix * gain).astype(np.float32),
        (center + gain * (offset - center)).astype(np.float32),
        found.lag_s,
        found.r,
        *hashes,
    )


def predict_clip(
    clip: Path, face: PersonFace, reconstruction: Reconstruction, speech_model: SpeechModel
) -> ClipPrediction | None:
    """Predict the mouth from a clip's own audio, and find the lag at which that fits what was measured.

    Args:
        clip: video; its first minute is used.
        face: of the person in it.
        reconstruction: of the clip's frames.
        speech_model: any.

    Returns:
        None where the clip is too short, shows too few faces, or its audio is missing, too short or damaged.
    """
    times_s = reconstruction.times_s
    chosen = reconstruction.valid & (times_s < LONGEST_S)
    if chosen.sum() < FEWEST_FRAMES:
        return None
    try:
        audio = read_audio(clip, longest_s=LONGEST_S)
        grid_s = np.arange(0.0, audio.duration_s, STEP_S)
        curves = speech_model.predict(audio, grid_s).values
    except MediaError:  # the clip's frames are of use all the same
        return None
    grid_s = np.arange(len(curves), dtype=np.float64) * STEP_S
    measured, measured_s = reconstruction.expression[chosen], times_s[chosen]
    true = face.opening(measured)
    mean, std = measured.mean(0), measured.std(0)
    scores = []
    for lag_s in LAGS_S:
        opening = face.opening(_at(curves, grid_s, measured_s + lag_s) * std + mean)
        flat = opening.std() < 1e-6 or true.std() < 1e-6
        scores.append(0.0 if flat else float(np.corrcoef(opening, true)[0, 1]))
    best = int(np.argmax(scores))
    lag_s = float(LAGS_S[best])
    return ClipPrediction(lag_s, scores[best], _at(curves, grid_s, measured_s + lag_s), measured)


def ridge(inputs: FloatArray, targets: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ridge regression with an unpenalized offset: (T, A), (T, B) -> (A, B), (B,)."""
    x, y = inputs.astype(np.float64), targets.astype(np.float64)
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    matrix = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y)
    return matrix, y_mean - x_mean @ matrix


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
    }
    save_arrays(path, {"matrix": calibration.matrix, "offset": calibration.offset}, metadata)


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
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is not a speech calibration: {error}.") from error
    if not fits or not all(value is None or abs(value) <= 1 for value in (lag_s, r)):
        raise CheckpointError(f"{path} is not a speech calibration of this version ({FORMAT}).")
    return SpeechCalibration(arrays["matrix"], arrays["offset"], lag_s, r, *hashes)


def _at(curves: FloatArray, grid_s: NDArray[np.float64], times_s: NDArray[np.float64]) -> FloatArray:
    return np.stack([np.interp(times_s, grid_s, curve) for curve in curves.T], 1).astype(np.float32)
