"""How near an output is to the truth: metrics on landmarks, curves and pixels. Values in, numbers out, no files.

Landmark metrics take two `Track` of equal length, frame i of one against frame i of the other: `align` makes the
output's track so. NaN stands for "not measured" all through: frames without a face give NaN, and means, correlations
and ratios are taken over the frames where both sides are finite. docs/evaluation.md says what each number is blind to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
"""LMD is given as if the longer side of the reference picture had this many pixels."""

_SAME_TIME = 1e-3  # of a frame: timestamps are rounded to the container's clock


# Tracks


def align(track: Track, reference: Track) -> Track:
    """The track as seen at the reference's times and in the reference's pixels.

    Landmarks and scores are interpolated in time; a frame is valid where those it lies between are. Before the first
    frame and after the last one there is nothing, but a frame stands for one period of the slower of the two clips.
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
    """Whether a side is the reference's odd one made even by an encoder: a copied last line, nothing scaled."""
    return reference_px % 2 == 1 and length_px == reference_px + 1


def nearest_frames(times_s: Values, reference_times_s: Values) -> NDArray[np.intp]:
    """(T,) for each reference frame, the number of the frame nearest in time, or -1 where `align` has nothing.

    The numbers never fall, so that both clips can be read side by side in one go.
    """
    position, covered = _positions(times_s, reference_times_s)
    return np.where(covered, np.floor(position + 0.5).astype(np.intp), -1)


def freeze_mouth(track: Track, landmarks: Sequence[int] = MOUTH_LANDMARKS + JAW_LANDMARKS) -> Track:
    """The same head with a mouth that never moves: the clip's median mouth, worn at each frame's own pose.

    Every frame is laid on the clip's first valid one by the similarity (Umeyama 1991, in three dimensions) that fits
    `RIGID_LANDMARKS`; the named points take their median over the clip there, and are carried back.
    """
    if not track.valid.any():
        return track
    moved = np.array(landmarks)
    places = track.landmarks.astype(np.float64)
    frames = np.flatnonzero(track.valid)
    rigid = list(RIGID_LANDMARKS)
    poses = [_similarity(places[frames[0], rigid], places[frame, rigid]) for frame in frames]
    at_rest = [pose.undo(places[frame, moved]) for pose, frame in zip(poses, frames, strict=True)]
    median = np.median(at_rest, axis=0)
    frozen = track.landmarks.copy()
    for pose, frame in zip(poses, frames, strict=True):
        frozen[frame, moved] = pose.apply(median)
    return replace(track, landmarks=frozen)


def points(track: Track, landmarks: tuple[int, ...]) -> Values:
    """(T, L, 2) where the named landmarks are, in pixels; NaN in frames without a face."""
    chosen = track.landmarks[:, list(landmarks), :2].astype(np.float64)
    chosen[~track.valid] = np.nan
    return chosen


# Landmarks


def landmark_distance(output: Values, reference: Values) -> Values:
    """(T,) mean distance between two sets of (T, L, 2) points, each set less its own centroid; in their unit."""
    output = output - output.mean(axis=1, keepdims=True)
    reference = reference - reference.mean(axis=1, keepdims=True)
    return np.asarray(np.linalg.norm(output - reference, axis=2).mean(axis=1))


def lmd(output: Track, reference: Track) -> Values:
    """(T,) mouth landmark distance in pixels of a picture whose longer side is `LMD_FRAME_PX` (Chen et al. 2018)."""
    scale = LMD_FRAME_PX / max(reference.width, reference.height)
    return scale * landmark_distance(points(output, MOUTH_LANDMARKS), points(reference, MOUTH_LANDMARKS))


def lmd_iod(output: Track, reference: Track) -> Values:
    """(T,) mouth landmark distance over the reference's inter-ocular distance (outer corners of the eyes)."""
    distance = landmark_distance(points(output, MOUTH_LANDMARKS), points(reference, MOUTH_LANDMARKS))
    return distance / _distance(reference, RIGHT_EYE, LEFT_EYE)


def landmark_velocity_difference(output: Track, reference: Track) -> Values:
    """(T,) how differently the mouth's points move, px a second of a picture whose longer side is `LMD_FRAME_PX`.

    Velocity is the difference from the frame before; each set is less its own centroid, as in `lmd`. The first frame,
    and one after a frame without a face, has none (NaN).
    """
    scale = LMD_FRAME_PX / max(reference.width, reference.height)
    moved = []
    for track in (output, reference):
        places = points(track, MOUTH_LANDMARKS)
        places = places - places.mean(axis=1, keepdims=True)
        moved.append(np.diff(places, axis=0, prepend=np.nan * places[:1]))
    steps_s = np.diff(reference.times_s, prepend=np.nan)
    return np.asarray(scale * np.linalg.norm(moved[0] - moved[1], axis=2).mean(axis=1) / steps_s)


def lip_vertex_error(output: FloatArray, reference: FloatArray) -> Values:
    """(T,) the largest distance between corresponding lip vertices (T, V, 3) of a frame, in their unit."""
    return np.asarray(np.linalg.norm(output.astype(np.float64) - reference, axis=2).max(axis=1))


def opening(track: Track) -> Values:
    """(T,) gap between the inner lips over the width of the face."""
    return _distance(track, UPPER_LIP, LOWER_LIP) / face_width_px(track)


def mouth_width(track: Track) -> Values:
    """(T,) distance between the corners of the mouth over the width of the face."""
    return _distance(track, RIGHT_CORNER, LEFT_CORNER) / face_width_px(track)


def face_width_px(track: Track) -> Values:
    """(T,) distance between the sides of the face, in pixels."""
    return _distance(track, RIGHT_CHEEK, LEFT_CHEEK)


def jitter(moving: Values) -> float:
    """Mean length of the second difference in time of (T, L, 2) points at even times, in their unit.

    Frames next to one without a face do not count; NaN when none is left.
    """
    return finite_mean(np.linalg.norm(np.diff(moving, n=2, axis=0), axis=2))


def frame_period_s(times_s: Values) -> float:
    """The usual time from one frame to the next; 0 for a clip of a single frame."""
    return float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0


@dataclass(frozen=True)
class _Similarity:
    """x -> scale * rotation x + shift."""

    scale: float
    rotation: Values
    shift: Values

    def apply(self, at: Values) -> Values:
        return np.asarray(self.scale * at @ self.rotation.T + self.shift)

    def undo(self, at: Values) -> Values:
        return np.asarray((at - self.shift) @ self.rotation / self.scale)


def _similarity(source: Values, target: Values) -> _Similarity:
    """The similarity that takes (n, 3) source points nearest to the target points, in the sense of least squares."""
    source_center, target_center = source.mean(0), target.mean(0)
    left, values, right = np.linalg.svd((target - target_center).T @ (source - source_center))
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = left * signs @ right
    scale = float((values * signs).sum() / np.square(source - source_center).sum())
    return _Similarity(scale, rotation, target_center - scale * rotation @ source_center)


def _positions(times_s: Values, reference_times_s: Values) -> tuple[Values, BoolArray]:
    """(T,) where among the frames each reference time falls, as a fractional number, and whether it falls on any."""
    position = np.interp(reference_times_s, times_s, np.arange(len(times_s), dtype=np.float64))
    whole = np.round(position)
    position = np.where(np.abs(position - whole) < _SAME_TIME, whole, position)
    period_s = max(frame_period_s(times_s), frame_period_s(reference_times_s))
    slack_s = period_s * (1 - _SAME_TIME)
    covered = (reference_times_s > times_s[0] - slack_s) & (reference_times_s < times_s[-1] + slack_s)
    return position, covered


def _between(
    values: NDArray[np.float32], before: NDArray[np.intp], after: NDArray[np.intp], share: Any, valid: BoolArray
) -> NDArray[np.float32]:
    """(T, ...) values between two frames each, zero where not valid."""
    share = np.where(valid, share, 0).reshape(-1, *(1,) * (values.ndim - 1))
    mixed = (1 - share) * values[before] + share * values[after]
    mixed[~valid] = 0
    return np.asarray(mixed, np.float32)


def _distance(track: Track, one: int, other: int) -> Values:
    ends = points(track, (one, other))
    return np.asarray(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1))
