"""How late the driving audio is against the mouth of a reference, and whether both say the same words.

A clip whose audio is late shows a mouth that is ahead of it. An output that was driven by that audio follows the audio,
so that beside the reference's frames of the same times it would look late, although it is as it should be. The lag is
found as in training, where the ANCHOR records it (talkinghead/speech/calibration.py), and taken out.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.errors import TalkingHeadError
from talkinghead.evaluation.landmark_pair import AudioLagScores, LocalFace, earlier
from talkinghead.speech.calibration import FEWEST_FRAMES, LEAST_R, LONGEST_S, predict_clip
from talkinghead.speech.model import SpeechModel
from talkinghead.structures import Audio, Track

Values = NDArray[np.float64]

LEAST_LAG_S = 0.04
"""Smaller lags are within the error of the estimate, and are not taken out."""
LEVEL_S = 0.01
"""Time step at which the levels of two recordings are compared, seconds."""
SAME_AUDIO_R = 0.7
"""Correlation of two recordings' levels, at the best lag, from which they count as one recording: encoding again leaves
0.99; other speech of a few seconds reaches 0.5."""


@dataclass(frozen=True)
class AudioLag:
    """How late the driving audio is against the reference's mouth."""

    lag_s: float | None = None
    """Seconds, > 0 where the audio is late; None where it is not known."""
    r: float | None = None
    """Correlation of the opening predicted from the audio with the reference's at the best lag; None where it could not
    be compared."""
    reason: str = ""
    """Why the lag is not known."""

    @property
    def fits(self) -> bool | None:
        """Whether the audio belongs to the reference's mouth; None where it could not be compared."""
        return None if self.r is None else self.lag_s is not None


def find_audio_lag(driving: Path, face: LocalFace) -> AudioLag:
    """Find how late the audio of a file is against the mouth of a reference.

    Args:
        driving: audio, or video with audio.
        face: of the reference.
    """
    valid = face.reconstruction.valid & (face.reconstruction.times_s < LONGEST_S)
    if valid.sum() < FEWEST_FRAMES:
        return AudioLag(reason=f"needs {FEWEST_FRAMES} frames that show a face; there are {int(valid.sum())}")
    try:
        prediction = predict_clip(driving, face.person, face.reconstruction, _speech_model())
    except TalkingHeadError as error:
        return AudioLag(reason=str(error))
    if prediction is None:
        return AudioLag(reason="needs audio")
    if not prediction.belongs:
        reason = f"audio and mouth of the reference do not fit (r {prediction.r:.2f} at best, least {LEAST_R:g})"
        return AudioLag(r=prediction.r, reason=reason)
    return AudioLag(prediction.lag_s, prediction.r)


@functools.cache
def _speech_model() -> SpeechModel:
    """The project's own, loaded once."""
    return SpeechModel.load()


def lag_scores(output: Track, reference: Track, lag: AudioLag) -> AudioLagScores:
    """What the lag of the reference's audio says about an output, and whether to take it out.

    An output that was driven by audio follows the audio; one that was driven by the reference's own mouth follows that.
    The opening says which: the lag is taken out where output and reference correlate better with it than without.
    """
    if lag.lag_s is None:
        return AudioLagScores()
    with_lag, without = (opening_r_at(output, reference, lag_s) for lag_s in (lag.lag_s, 0.0))
    follows_audio = with_lag > without  # NaN is not
    taken_out_s = lag.lag_s if follows_audio and abs(lag.lag_s) >= LEAST_LAG_S else 0.0
    return AudioLagScores(round(1000 * lag.lag_s), with_lag, taken_out_s)


def opening_r_at(output: Track, reference: Track, lag_s: float) -> float:
    """Correlation of the openings, the output's so many seconds later; NaN where one stands still."""
    aligned = metrics.align(earlier(output, lag_s), reference)
    return metrics.pearson_r(metrics.opening(aligned), metrics.opening(reference))


def same_recording_r(one: Audio, other: Audio) -> float:
    """Correlation of the levels of two recordings at the best lag within +-`LAG_RANGE_MS`; NaN where one is steady."""
    return _level_lag(one, other).r


def speech_start_s(output: Audio | None, driving: Audio | None) -> float:
    """Where in an output the audio that drove it begins, seconds: the lead-in that `generate` puts before it.

    It is 0 where either is missing, the output's audio is another recording, or the difference is within the error.

    Args:
        output: the output's own audio.
        driving: what drove it, or the reference's audio.
    """
    if output is None or driving is None:
        return 0.0
    lag = _level_lag(output, driving)
    start_s = lag.lag_ms / 1000
    return start_s if lag.r >= SAME_AUDIO_R and abs(start_s) >= LEAST_LAG_S else 0.0  # NaN is neither


def _level_lag(one: Audio, other: Audio) -> metrics.Lag:
    """How much later one recording is than another, by their levels."""
    levels = [_level(audio) for audio in (one, other)]
    if min(map(len, levels)) < 2:
        return metrics.Lag(float("nan"), float("nan"), float("nan"))
    times_s = [LEVEL_S * np.arange(len(level), dtype=np.float64) for level in levels]
    return metrics.best_lag(levels[0], times_s[0], levels[1], times_s[1])


def _level(audio: Audio) -> Values:
    """(N,) root mean square of each `LEVEL_S` of the first `LONGEST_S`."""
    step = round(LEVEL_S * audio.rate_hz)
    samples = audio.samples[: round(LONGEST_S * audio.rate_hz)]
    pieces = samples[: len(samples) // step * step].reshape(-1, step)
    return np.sqrt(np.asarray(np.square(pieces).mean(1), np.float64))
