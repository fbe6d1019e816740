"""Metrics on facial landmarks: distances of mouth points, mouth opening and width, jitter; and the frozen mouth.

Metrics that compare take two `Track` of equal length, frame i of one against frame i of the other; `align` brings an
output's track into that form. Frames without a face give NaN. docs/evaluation.md says what each metric cannot see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import SimilarityTransform

from talkinghead.face.topology import (
    JAW_LANDMARKS,
    LEFT_CHEEK,
    LEFT_CORNER,
    LEFT_EYE,
    LOWER_LIP,
    MOUTH_LANDMARKS,
    RIGHT_CHEEK,
    RIGHT_CORNER,
    RIGHT_EYE,
    RIGID_LANDMARKS,
    UPPER_LIP,
)
from talkinghead.metrics.curves import Values, finite_mean
from talkinghead.structures import BoolArray, FloatArray, Track

LMD_FRAME_PX = 512
"""LMD is given in pixels of an image that is scaled to have this longer side."""
_SAME_TIME_S = 1e-3
_SAME_TIME = 1e-3  # of a frame; timestamps are rounded to the container's clock


def align(track: Track, reference: Track) -> Track:
    """A track resampled to the times and scaled to the pixels of a reference.

    Landmarks and blendshape scores are interpolated in time; a frame is valid where both frames it lies between are.
    Frames before the track's first and after its last are not valid, where each frame counts as lasting one period of
    the slower of the two clips.

    Returns:
        A track with the reference's length, times, width and height.
    """
    position, covered = _positions(track.times_s, reference.times_s)
    before = np.floor(position).astype(np.intp)
    after = np.ceil(position).astype(np.intp)
    share = (position - before).astype(np.float32)
    valid = track.valid[before] & track.valid[after] & covered
    across = 1.0 if is_padded(track.width, reference.width) else reference.width / track.width
    down = 1.0 if is_padded(track.height, reference.height) else reference.height / track.height
    return Track(
        landmarks=np.asarray(
            _between(track.landmarks, before, after, share, valid) * (across, down, across), np.float32
        ),
        valid=valid,
        times_s=reference.times_s,
        width=reference.width,
        height=reference.height,
    )


def is_padded(length_px: int, reference_px: int) -> bool:
    """Whether a side differs from the reference's only by the one row or column an encoder adds to an odd size."""
    return reference_px % 2 == 1 and length_px == reference_px + 1


def nearest_frames(times_s: Values, reference_times_s: Values) -> NDArray[np.intp]:
    """(T,) for each reference frame the number of the frame nearest in time, -1 where `align` finds no frame.

    The numbers never decrease, so that both clips can be read side by side in one pass.
    """
    position, covered = _positions(times_s, reference_times_s)
    return np.where(covered, np.floor(position + 0.5).astype(np.intp), -1)


def freeze_mouth(track: Track, landmarks: Sequence[int] = MOUTH_LANDMARKS + JAW_LANDMARKS) -> Track:
    """The same track with a mouth that never moves: the clip's median mouth at each frame's own head pose.

    A similarity transform in three dimensions (Umeyama 1991), fitted to `RIGID_LANDMARKS`, takes the clip's first valid
    frame to each other one. The given landmarks are carried to the first frame, replaced by their median over the clip,
    and carried back. Frames without a face stay as they are.
    """
    if not track.valid.any():
        return track
    moved = np.array(landmarks)
    places = track.landmarks.astype(np.float64)
    frames = np.flatnonzero(track.valid)
    rigid = list(RIGID_LANDMARKS)
    poses = [SimilarityTransform.from_estimate(places[frames[0], rigid], places[frame, rigid]) for frame in frames]
    at_rest = [pose.inverse(places[frame, moved]) for pose, frame in zip(poses, frames, strict=True)]
    median = np.median(at_rest, axis=0)
    frozen = track.landmarks.copy()
    for pose, frame in zip(poses, frames, strict=True):
        frozen[frame, moved] = pose(median)
    return replace(track, landmarks=frozen)


def points(track: Track, landmarks: tuple[int, ...]) -> Values:
    """(T, L, 2) positions of the given landmarks in pixels; NaN in frames without a face."""
    chosen = track.landmarks[:, list(landmarks), :2].astype(np.float64)
    chosen[~track.valid] = np.nan
    return chosen


def landmark_distance(output: Values, reference: Values) -> Values:
    """(T,) mean distance between two sets of (T, L, 2) points, each minus its own centroid; in their unit."""
    output = output - output.mean(axis=1, keepdims=True)
    reference = reference - reference.mean(axis=1, keepdims=True)
    return np.asarray(np.linalg.norm(output - reference, axis=2).mean(axis=1))


def lmd(output: Track, reference: Track) -> Values:
    """(T,) mouth landmark distance in pixels of an image whose longer side is `LMD_FRAME_PX` (Chen et al. 2018)."""
    scale = LMD_FRAME_PX / max(reference.width, reference.height)
    return scale * landmark_distance(points(output, MOUTH_LANDMARKS), points(reference, MOUTH_LANDMARKS))


def lmd_iod(output: Track, reference: Track) -> Values:
    """(T,) mouth landmark distance over the reference's inter-ocular distance (outer corners of the eyes)."""
    distance = landmark_distance(points(output, MOUTH_LANDMARKS), points(reference, MOUTH_LANDMARKS))
    return distance / _distance(reference, RIGHT_EYE, LEFT_EYE)


def landmark_velocity_difference(output: Track, reference: Track) -> Values:
    """(T,) mean difference of the mouth points' velocities, px/s of an image whose longer side is `LMD_FRAME_PX`.

    Velocity is the difference to the previous frame, of points minus their centroid as in `lmd`. NaN in the first frame
    and in frames after one without a face.
    """
    scale = LMD_FRAME_PX / max(reference.width, reference.height)
    steps = []
    for track in (output, reference):
        places = points(track, MOUTH_LANDMARKS)
        places = places - places.mean(axis=1, keepdims=True)
        steps.append(np.diff(places, axis=0, prepend=np.nan * places[:1]))
    periods_s = np.diff(reference.times_s, prepend=np.nan)
    return np.asarray(scale * np.linalg.norm(steps[0] - steps[1], axis=2).mean(axis=1) / periods_s)


def lip_vertex_error(output: FloatArray, reference: FloatArray) -> Values:
    """(T,) the largest distance between corresponding lip vertices (T, V, 3) of a frame, in their unit."""
    return np.asarray(np.linalg.norm(output.astype(np.float64) - reference, axis=2).max(axis=1))


def opening(track: Track) -> Values:
    """(T,) mouth opening: gap between the inner lips over the width of the face."""
    return _distance(track, UPPER_LIP, LOWER_LIP) / face_width_px(track)


def mouth_width(track: Track) -> Values:
    """(T,) mouth width: distance between the corners of the mouth over the width of the face."""
    return _distance(track, RIGHT_CORNER, LEFT_CORNER) / face_width_px(track)


def face_width_px(track: Track) -> Values:
    """(T,) width of the face: distance between the landmarks at its two sides, in pixels."""
    return _distance(track, RIGHT_CHEEK, LEFT_CHEEK)


def jitter(moving: Values) -> float:
    """Mean length of the second difference in time of (T, L, 2) points at a constant frame rate, in their unit.

    Frames next to one without a face do not count; NaN when no frame is left.
    """
    return finite_mean(np.linalg.norm(np.diff(moving, n=2, axis=0), axis=2))


def frame_period_s(times_s: Values) -> float:
    """Median time from one frame to the next; 0 for a clip of a single frame."""
    return float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0


def _positions(times_s: Values, reference_times_s: Values) -> tuple[Values, BoolArray]:
    """(T,) fractional frame number of each reference time, and (T,) whether any frame covers that time."""
    position = np.interp(reference_times_s, times_s, np.arange(len(times_s), dtype=np.float64))
    whole = np.round(position)
    position = np.where(np.abs(position - whole) < _SAME_TIME, whole, position)
    period_s = max(frame_period_s(times_s), frame_period_s(reference_times_s))
    # Clips of a single frame have no period: there, only the same time is covered.
    slack_s = max(period_s * (1 - _SAME_TIME), _SAME_TIME_S)
    covered = (reference_times_s > times_s[0] - slack_s) & (reference_times_s < times_s[-1] + slack_s)
    return position, covered


def _between(
    values: NDArray[np.float32], before: NDArray[np.intp], after: NDArray[np.intp], share: Any, valid: BoolArray
) -> NDArray[np.float32]:
    """(T, ...) values interpolated between two frames each, zero where not valid."""
    share = np.where(valid, share, 0).reshape(-1, *(1,) * (values.ndim - 1))
    mixed = (1 - share) * values[before] + share * values[after]
    mixed[~valid] = 0
    return np.asarray(mixed, np.float32)


def _distance(track: Track, one: int, other: int) -> Values:
    ends = points(track, (one, other))
    return np.asarray(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1))
