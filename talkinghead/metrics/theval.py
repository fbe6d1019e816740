"""Three terms of the benchmark THEval: lip sync, stability of silent lips, dynamics of the lips.

Source: THEval, arXiv 2511.04520, whose program takes MediaPipe's face landmarks and Silero's voice activity; written
from its definitions. Landmarks count as fractions of the image's width and height, so that the first two terms of an
image that is not square depend on its shape, as in the benchmark.

The benchmark compares the means of a system's outputs with those of real videos, `REAL_MEANS`. No term has a best value
for one person alone: where there is a reference, its own is the target.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from talkinghead.metrics.curves import Values
from talkinghead.metrics.landmarks import frame_period_s, points
from talkinghead.structures import Audio, BoolArray, Track

REAL_MEANS = {"lip_sync": 0.2528, "silent_lip": 0.0263, "lip_dynamics": 1.7166}
"""Mean of each term over the real videos of the benchmark."""
UPPER_LIP = (191, 80, 81, 82, 13, 312, 311, 310)
LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318)
"""Points of the inner borders of the lips without the corners, which stand opposite one another."""
RIGHT_EYE, LEFT_EYE = (33, 133), (362, 263)
"""Corners of each eye, whose middles are the eyes' centers."""
# fmt: off
LIPS = (
    0, 13, 14, 17, 37, 39, 40, 61, 78, 80, 81, 82, 84, 87, 88, 91, 95, 146, 178, 181, 185, 191, 267, 269, 270, 291,
    308, 310, 311, 312, 314, 317, 318, 321, 324, 375, 402, 405, 409, 415,
)
"""All landmarks of the lips."""
# fmt: on
FRAME_PX = 256
"""Side that the image is scaled to for the dynamics of the lips."""
WINDOW_S = 0.05
"""Length of the stretches of audio whose volume is measured, seconds. The lip-sync term depends on it."""
SHORTEST_SILENCE_S = 0.3
"""Least length of a silence in which the lips should be still, seconds."""


def lip_sync(track: Track, audio: Audio, speech_s: Values) -> float:
    """Mean difference of the lips' opening and the volume in speech, each scaled to its range: 0 is equal curves.

    Args:
        track: of the clip.
        audio: from the clip's first frame on.
        speech_s: (R, 2) begin and end of each stretch of speech, seconds.

    Returns:
        The term; NaN for fewer than two frames of speech with a face, or audio shorter than `WINDOW_S`.
    """
    window = round(WINDOW_S * audio.rate_hz)
    level = volume(audio)
    chosen = speaking(track.times_s, speech_s) & track.valid
    if chosen.sum() < 2 or not len(level):
        return math.nan
    starts_s = np.arange(len(level)) * window / audio.rate_hz
    heard = np.interp(track.times_s, starts_s, level)[chosen]
    return float(np.abs(_scaled(_mean_opening(track)[chosen]) - _scaled(heard)).mean())


def silent_lip(track: Track, speech_s: Values) -> float:
    """Median distance of the lips' opening from its mean, over silences of `SHORTEST_SILENCE_S` and more.

    Args:
        track: of the clip.
        speech_s: (R, 2) begin and end of each stretch of speech, seconds.

    Returns:
        The term, in distances of the eyes' outer corners; NaN for fewer than two such frames with a face.
    """
    chosen = silent(track.times_s, speech_s) & track.valid
    if chosen.sum() < 2:
        return math.nan
    gaps = np.abs(_fractions(track, UPPER_LIP)[..., 1] - _fractions(track, LOWER_LIP)[..., 1]).mean(1)
    corners = _fractions(track, (RIGHT_EYE[0], LEFT_EYE[1]))
    opening = (gaps / np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1))[chosen]
    return float(np.median(np.abs(opening - opening.mean())))


def lip_dynamics(track: Track) -> float:
    """How much the distances between all landmarks of the lips vary: mean of their standard deviations over time.

    Returns:
        The term, in px of a frame scaled to `FRAME_PX` on both sides; NaN without a face. The distance of the camera
        counts: a face of half the size moves half as much.
    """
    if not track.valid.any():
        return math.nan
    places = _fractions(track, LIPS)[track.valid] * FRAME_PX
    one, other = np.triu_indices(len(LIPS), 1)
    distances = np.linalg.norm(places[:, one] - places[:, other], axis=2)
    return float(distances.std(0).mean())


def speaking(times_s: Values, speech_s: Values) -> BoolArray:
    """(T,) True in frames of speech, the one in which a stretch begins and the one in which it ends among them."""
    period_s = frame_period_s(times_s)
    # A frame lasts one period from its time on; the slack keeps a begin at the edge of a frame on its right side.
    slack_s = 1e-3 * period_s
    inside = [(times_s + period_s > begin_s + slack_s) & (times_s <= end_s + slack_s) for begin_s, end_s in speech_s]
    return np.asarray(np.any(inside, axis=0)) if inside else np.zeros(len(times_s), np.bool_)


def silent(times_s: Values, speech_s: Values) -> BoolArray:
    """(T,) True in frames of silences that last `SHORTEST_SILENCE_S` or more."""
    talking = speaking(times_s, speech_s)
    edges = np.flatnonzero(np.diff(np.pad(~talking, 1).astype(np.int8)))
    fewest = SHORTEST_SILENCE_S / max(frame_period_s(times_s), 1e-9)
    found = np.zeros(len(times_s), np.bool_)
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        found[begin:end] = end - begin >= fewest * (1 - 1e-6)
    return found


def volume(audio: Audio) -> Values:
    """(W,) root mean square of each `WINDOW_S` of audio; the last stretch, even a whole one, is left out."""
    window = round(WINDOW_S * audio.rate_hz)
    count = max(math.ceil((len(audio.samples) - window) / window), 0)
    pieces = audio.samples[: count * window].reshape(-1, window)
    return np.asarray(np.sqrt(np.square(pieces).mean(1, dtype=np.float64)))


def _mean_opening(track: Track) -> Values:
    """(T,) vertical distance of the lips' mean heights over the horizontal distance of the eyes' centers."""
    upper, lower = (_fractions(track, lip)[..., 1].mean(1) for lip in (UPPER_LIP, LOWER_LIP))
    left, right = (_fractions(track, eye)[..., 0].mean(1) for eye in (LEFT_EYE, RIGHT_EYE))
    return np.abs(upper - lower) / np.abs(left - right)


def _fractions(track: Track, landmarks: tuple[int, ...]) -> Values:
    """(T, L, 2) places as fractions of the image's width and height; NaN without a face."""
    return points(track, landmarks) / (track.width, track.height)


def _scaled(values: NDArray[np.float64]) -> Values:
    """Values scaled to their range, 0 to 1; zeros where they do not vary."""
    return (values - values.min()) / (values.max() - values.min() + 1e-8)
