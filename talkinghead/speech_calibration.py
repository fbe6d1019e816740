"""How one anchor speaks: fitted to the sound and the mouth of the anchor's own clip.

The predictor tells normalised expression, which is the same for everybody. How far this person opens the mouth, what
the corners do meanwhile, and which of the predictor's coefficients can be believed for this face, is read off the clip:
a ridge regression from predicted to seen coefficients, after the clip's own lag of sound has been found and taken out.
Where the clip has no sound, or one that does not belong to the mouth, mean and standard deviation must do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkinghead.anchor import Anchor
from talkinghead.errors import MediaError
from talkinghead.media import read_sound
from talkinghead.speech import ExpressionPredictor, SpeechEncoder, predict_expression
from talkinghead.structures import FloatArray, Sound

LONGEST_S = 60.0
"""So much of the clip is enough to calibrate on."""
FEWEST_FRAMES = 250
LAGS_S = np.arange(-0.4, 0.4001, 0.02)
LEAST_R = 0.35
"""Below this correlation of mouth opening, sound and mouth are not taken to belong together."""
RIDGE = 0.1
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

    def apply(self, normalised: FloatArray) -> FloatArray:
        """(T, K) normalised -> (T, K) in standard deviations of the face model."""
        return np.asarray(normalised @ self.matrix + self.offset, np.float32)


def calibrate(anchor: Anchor, encoder: SpeechEncoder, predictor: ExpressionPredictor) -> SpeechCalibration:
    """Fit the map to the anchor's clip; by its mean and standard deviation alone where its sound is of no use."""
    mean, std = anchor.expression_statistics()
    plain = SpeechCalibration(np.diag(std).astype(np.float32), mean, None)
    chosen = anchor.reconstruction.valid & (anchor.times_s < LONGEST_S)
    if chosen.sum() < FEWEST_FRAMES:
        return plain
    try:
        sound = read_sound(anchor.clip)
        sound = Sound(sound.samples[: round(LONGEST_S * sound.rate_hz)], sound.rate_hz)
        grid_s = np.arange(0.0, sound.duration_s, 0.01)
        curves = predict_expression(encoder, predictor, sound, grid_s)
    except MediaError:  # no sound, too little of it, or damaged: the clip's pictures serve all the same
        return plain
    seen, times_s = anchor.reconstruction.expression[chosen], anchor.times_s[chosen]
    lag_s, r = best_lag(anchor, curves, grid_s, seen, times_s, plain)
    if r < LEAST_R:
        return plain
    matrix, offset = ridge(_at(curves, grid_s, times_s + lag_s), seen)
    # A regression plays safe and moves too little; its opening gets the clip's own range back.
    opening = anchor.model.opening(anchor.reconstruction.identity, seen)
    fitted = (_at(curves, grid_s, times_s + lag_s) @ matrix + offset).astype(np.float32)
    gain = float(opening.std() / max(anchor.model.opening(anchor.reconstruction.identity, fitted).std(), 1e-6))
    gain = float(np.clip(gain, 1.0, LARGEST_GAIN))
    centre = fitted.mean(0)
    return SpeechCalibration(
        (matrix * gain).astype(np.float32), (centre + gain * (offset - centre)).astype(np.float32), lag_s
    )


def best_lag(
    anchor: Anchor,
    curves: FloatArray,
    grid_s: NDArray[np.float64],
    seen: FloatArray,
    times_s: NDArray[np.float64],
    plain: SpeechCalibration,
) -> tuple[float, float]:
    """Lag of the sound (seconds, positive is late) at which the predicted opening fits the seen one, and that r."""
    true = anchor.model.opening(anchor.reconstruction.identity, seen)
    scores = []
    for lag_s in LAGS_S:
        guess = plain.apply(_at(curves, grid_s, times_s + lag_s))
        opening = anchor.model.opening(anchor.reconstruction.identity, guess)
        flat = opening.std() < 1e-6 or true.std() < 1e-6
        scores.append(0.0 if flat else float(np.corrcoef(opening, true)[0, 1]))
    best = int(np.argmax(scores))
    return float(LAGS_S[best]), scores[best]


def ridge(inputs: FloatArray, targets: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ridge regression with an unpenalised offset: (T, A), (T, B) -> (A, B), (B,)."""
    x, y = inputs.astype(np.float64), targets.astype(np.float64)
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    matrix = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y)
    return matrix, y_mean - x_mean @ matrix


def _at(curves: FloatArray, grid_s: NDArray[np.float64], times_s: NDArray[np.float64]) -> FloatArray:
    return np.stack([np.interp(times_s, grid_s, curve) for curve in curves.T], 1).astype(np.float32)
