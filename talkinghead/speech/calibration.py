"""How one anchor speaks: fitted to the sound and the mouth of the anchor's own clip.

The predictor tells normalised expression, which is the same for everybody. How far this person opens the mouth, what
the corners do meanwhile, and which of the predictor's coefficients can be believed for this face, is read off the clip:
a ridge regression from predicted to seen coefficients, after the clip's own lag of sound has been found and taken out.
Where the clip has no sound, or one that does not belong to the mouth, mean and standard deviation must do.

What the predictor says to a clip's sound takes seconds to find, and is cached by the content of the clip and of both
networks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from talkinghead.anchor import Anchor
from talkinghead.errors import CheckpointError, MediaError, MissingFileError, OutputError
from talkinghead.face.face_model import FaceModel
from talkinghead.files import load_arrays, save_arrays, sha256_of
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.model import predict_expression
from talkinghead.speech.predictor import ExpressionPredictor
from talkinghead.structures import FloatArray, Reconstruction

LONGEST_S = 60.0
"""So much of the clip is enough to calibrate on."""
FEWEST_FRAMES = 250
LAGS_S = np.arange(-0.4, 0.4001, 0.02)
LEAST_R = 0.35
"""Below this correlation of mouth opening, sound and mouth are not taken to belong together."""
RIDGE = 0.1
STEP_S = 0.01
"""The predictor's curves are read off this often."""
FORMAT = "talkinghead/heard/1"
LARGEST_GAIN = 1.4


@dataclass(frozen=True)
class SpeechCalibration:
    """Affine map from normalised expression to the anchor's own."""

    matrix: FloatArray
    """(K, K)"""
    offset: FloatArray
    """(K,)"""
    lag_s: float | None
    """Seconds by which the clip's sound comes late; None where it was not found."""

    def apply(self, normalized: FloatArray) -> FloatArray:
        """(T, K) normalised -> (T, K) in standard deviations of the face model."""
        return np.asarray(normalized @ self.matrix + self.offset, np.float32)


@dataclass(frozen=True)
class HeardClip:
    """A clip's own sound beside what its pictures show, as far as both are used."""

    lag_s: float
    """Seconds by which the sound comes late at the best fit; negative is early."""
    r: float
    """Correlation of predicted and seen mouth opening at that lag."""
    predicted: FloatArray
    """(T, K) normalised expression predicted from the sound for the frames, its lag taken out."""
    seen: FloatArray
    """(T, K) expression of those frames."""

    @property
    def belongs(self) -> bool:
        """Whether sound and mouth can be taken to belong together."""
        return self.r >= LEAST_R


def calibrate(anchor: Anchor, encoder: SpeechEncoder, predictor: ExpressionPredictor) -> SpeechCalibration:
    """Fit the map to the anchor's clip; by its mean and standard deviation alone where its sound is of no use."""
    heard = listen(anchor.clip, anchor.model, anchor.reconstruction, anchor.times_s, encoder, predictor)
    if heard is None or not heard.belongs:
        mean, std = anchor.expression_statistics()
        return SpeechCalibration(np.diag(std).astype(np.float32), mean, None)
    matrix, offset = ridge(heard.predicted, heard.seen)
    # A regression plays safe and moves too little; its opening gets the clip's own range back.
    opening = anchor.model.opening(anchor.reconstruction.identity, heard.seen)
    fitted = (heard.predicted @ matrix + offset).astype(np.float32)
    gain = float(opening.std() / max(anchor.model.opening(anchor.reconstruction.identity, fitted).std(), 1e-6))
    gain = float(np.clip(gain, 1.0, LARGEST_GAIN))
    center = fitted.mean(0)
    return SpeechCalibration(
        (matrix * gain).astype(np.float32), (center + gain * (offset - center)).astype(np.float32), heard.lag_s
    )


def listen(
    clip: Path,
    model: FaceModel,
    reconstruction: Reconstruction,
    times_s: NDArray[np.float64],
    encoder: SpeechEncoder,
    predictor: ExpressionPredictor,
) -> HeardClip | None:
    """Predict the mouth from the clip's own sound, and find the lag of the sound at which that fits what is seen.

    Args:
        clip: video with sound; its first minute is used.
        model: of the reconstruction.
        reconstruction: of the clip's frames.
        times_s: (T,) when the frames are shown.
        encoder: any.
        predictor: the encoder's.

    Returns:
        None where the clip is too short, shows too few faces, or its sound is missing, too short or damaged.
    """
    chosen = reconstruction.valid & (times_s < LONGEST_S)
    if chosen.sum() < FEWEST_FRAMES:
        return None
    try:
        curves = _predicted_curves(clip, encoder, predictor)
    except MediaError:  # the clip's pictures serve all the same
        return None
    grid_s = np.arange(len(curves), dtype=np.float64) * STEP_S
    seen, seen_s = reconstruction.expression[chosen], times_s[chosen]
    true = model.opening(reconstruction.identity, seen)
    mean, std = seen.mean(0), seen.std(0)
    scores = []
    for lag_s in LAGS_S:
        opening = model.opening(reconstruction.identity, _at(curves, grid_s, seen_s + lag_s) * std + mean)
        flat = opening.std() < 1e-6 or true.std() < 1e-6
        scores.append(0.0 if flat else float(np.corrcoef(opening, true)[0, 1]))
    best = int(np.argmax(scores))
    lag_s = float(LAGS_S[best])
    return HeardClip(lag_s, scores[best], _at(curves, grid_s, seen_s + lag_s), seen)


def _predicted_curves(clip: Path, encoder: SpeechEncoder, predictor: ExpressionPredictor) -> FloatArray:
    """Normalised expression predicted from the clip's first minute of sound, every `STEP_S`; cached: (G, K)."""
    key = hashlib.sha256(f"{sha256_of(clip)} {encoder.sha256} {predictor.sha256()}".encode()).hexdigest()[:32]
    cached = platformdirs.user_cache_path("talkinghead") / "heard" / f"{key}.safetensors"
    try:
        return _load_curves(cached, predictor.config.expressions)
    except (MissingFileError, CheckpointError):
        pass  # not there yet, or damaged: it is made anew
    audio = read_audio(clip, longest_s=LONGEST_S)
    curves = predict_expression(encoder, predictor, audio, np.arange(0.0, audio.duration_s, STEP_S)).values
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        save_arrays(cached, {"curves": curves}, {"format": FORMAT})
    except (OSError, OutputError):
        pass  # a cache that cannot be written costs time, not the result
    return curves


def _load_curves(path: Path, expressions: int) -> FloatArray:
    arrays, metadata = load_arrays(path)
    curves = arrays.get("curves", np.zeros(0))
    fits = curves.ndim == 2 and curves.shape[1] == expressions and curves.dtype == np.float32
    if metadata.get("format") != FORMAT or not fits or not np.isfinite(curves).all():
        raise CheckpointError(f"{path} does not hold curves of this version ({FORMAT}).")
    return curves


def ridge(inputs: FloatArray, targets: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ridge regression with an unpenalised offset: (T, A), (T, B) -> (A, B), (B,)."""
    x, y = inputs.astype(np.float64), targets.astype(np.float64)
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    matrix = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y)
    return matrix, y_mean - x_mean @ matrix


def _at(curves: FloatArray, grid_s: NDArray[np.float64], times_s: NDArray[np.float64]) -> FloatArray:
    return np.stack([np.interp(times_s, grid_s, curve) for curve in curves.T], 1).astype(np.float32)
