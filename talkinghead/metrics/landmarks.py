"""How near an output is to the truth: metrics on landmarks, curves and pixels. Values in, numbers out, no files.

Landmark metrics take two `Track` of equal length, frame i of one against frame i of the other: `align` makes the
output's track so. NaN stands for "not measured" all through: frames without a face give NaN, and means, correlations
and ratios are taken over the frames where both sides are finite. docs/evaluation.md says what each number is blind to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from skimage.metrics import structural_similarity

from talkinghead.structures import BoolArray, ByteArray, FloatArray, Track

Values = NDArray[np.float64]

# fmt: off
MOUTH_LANDMARKS: tuple[int, ...] = (
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,  # 48-59: outer lips, from the picture's left corner, clockwise
    78, 81, 13, 311, 308, 402, 14, 178,                  # 60-67: inner lips, the same way
)
"""MediaPipe's counterparts of the mouth in the 68-point convention (48-67), chosen at the same share of the way from
corner to corner as the 68 points of the ICT face model."""
JAW_LANDMARKS: tuple[int, ...] = (172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397)
"""The jaw line from below one ear to below the other; 152 is the tip of the chin."""
RIGID_LANDMARKS: tuple[int, ...] = (
    10, 67, 297, 54, 284, 151, 9, 127, 356,              # forehead and temples
    33, 133, 362, 263, 168, 6, 197, 195,                 # corners of the eyes, bridge of the nose
)
"""Points that speech does not move: they fix the head's pose."""
# fmt: on

UPPER_LIP, LOWER_LIP = 13, 14
RIGHT_CORNER, LEFT_CORNER = 61, 291
RIGHT_CHEEK, LEFT_CHEEK = 234, 454
RIGHT_EYE, LEFT_EYE = 33, 263
NOSE_BASE, CHIN = 2, 152

LMD_FRAME_PX = 512
"""LMD is given as if the longer side of the reference picture had this many pixels."""
PSNR_CAP_DB = 100.0
"""The PSNR of identical pictures, which would be infinite; nothing is given more."""
LAG_RANGE_MS, LAG_STEP_MS = 400, 10
LAG_OVERLAP_MS = 500
"""A lag counts only when the curves, shifted by it, still share this much."""
STILL_OPENING = 0.001
"""An opening whose standard deviation is less, of the face width, is a mouth that stands still: that of the built-in
presenter's clip is 0.023, and 0.0001 with its mouth frozen."""
CROP_SHARE = 0.75
"""Side of the mouth crop over the face width."""
CROP_SMOOTHING_S = 0.2
"""Standard deviation of the Gaussian that smooths the crop's way through the clip."""
MINIMUM_CROP_PX = 16
MS_SSIM_SHORTEST_PX = 161
"""Four halvings must leave room for the window of 11 pixels."""

_SAME_TIME = 1e-3  # of a frame: timestamps are rounded to the container's clock
_FLAT = 1e-9  # of the mean: a curve that varies by less does not vary


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
        blendshapes=_between(track.blendshapes, before, after, share, valid),
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


# Curves


def pearson_r(output: Values, reference: Values) -> float:
    """Pearson's correlation of two (T,) curves; NaN when one of them does not vary."""
    output, reference = _both_finite(output, reference)
    if _is_flat(output) or _is_flat(reference):
        return math.nan
    return float(np.corrcoef(output, reference)[0, 1])


def concordance(output: Values, reference: Values) -> float:
    """Lin's concordance correlation (1989) of two (T,) curves: 1 only where they are equal, not just alike."""
    output, reference = _both_finite(output, reference)
    if _is_flat(output) or _is_flat(reference):
        return math.nan
    shared = np.mean((output - output.mean()) * (reference - reference.mean()))
    return float(2 * shared / (output.var() + reference.var() + (output.mean() - reference.mean()) ** 2))


def std_ratio(output: Values, reference: Values) -> float:
    """Standard deviation of the output's (T,) curve over the reference's; NaN when the reference does not vary."""
    output, reference = _both_finite(output, reference)
    return math.nan if _is_flat(reference) else float(output.std() / reference.std())


@dataclass(frozen=True)
class Lag:
    """How late one curve follows another."""

    lag_ms: float
    """Positive when the output is late, in steps of `LAG_STEP_MS`; NaN when no lag could be measured."""
    r: float
    """Pearson's correlation at that lag."""
    confidence: float
    """That correlation less the median over all lags, as SyncNet's confidence is; 0 tells nothing, 1 is sure."""


def best_lag(output: Values, output_times_s: Values, reference: Values, reference_times_s: Values) -> Lag:
    """The lag within +-`LAG_RANGE_MS` at which two curves, each with its own times, correlate best.

    Both are sampled every `LAG_STEP_MS`, straight lines between frames; of equally good lags the smallest is taken.
    """
    lags_ms, curve = lag_curve(output, output_times_s, reference, reference_times_s)
    best = Lag(math.nan, math.nan, math.nan)
    for at in np.argsort(np.abs(lags_ms), kind="stable"):
        r = float(curve[at])
        if not math.isnan(r) and not r <= best.r + 1e-9:  # the second "not" lets anything beat NaN
            best = Lag(float(lags_ms[at]), r, r - float(np.nanmedian(curve)))
    return best


def lag_curve(
    output: Values, output_times_s: Values, reference: Values, reference_times_s: Values
) -> tuple[Values, Values]:
    """Pearson's correlation of two curves against the lag of the output.

    Returns:
        (S,) lags in ms from -`LAG_RANGE_MS` to +`LAG_RANGE_MS`, and (S,) correlations, NaN where too little of the two
        curves is left.
    """
    start = min(output_times_s[0], reference_times_s[0])
    end = max(output_times_s[-1], reference_times_s[-1])
    grid = np.arange(start, end + 1e-6, LAG_STEP_MS / 1000)
    late = np.interp(grid, output_times_s, output, left=np.nan, right=np.nan)
    true = np.interp(grid, reference_times_s, reference, left=np.nan, right=np.nan)
    reach = LAG_RANGE_MS // LAG_STEP_MS
    shifts = range(-reach, reach + 1)
    curve = np.array([_r_when_shifted(late, true, shift) for shift in shifts])
    return LAG_STEP_MS * np.array(shifts, np.float64), curve


def silence_motion(opening_curve: Values, silent: BoolArray) -> float:
    """Standard deviation of a (T,) opening in silence over that in speech; `silent` is (T,) True in silence.

    NaN where the mouth stands still in speech (`STILL_OPENING`): the ratio of two tremblings tells nothing.
    """
    quiet, loud = (opening_curve[chosen & np.isfinite(opening_curve)] for chosen in (silent, ~silent))
    if len(quiet) < 2 or len(loud) < 2 or loud.std() < STILL_OPENING:
        return math.nan
    return float(quiet.std() / loud.std())


def closure_depth(opening_curve: Values, times_s: Values, closures_s: Values, others_s: Values) -> float:
    """How far the mouth closes where the speech wants it shut: 1 is shut, 0 as open as in the other sounds.

    Args:
        opening_curve: (T,) opening.
        times_s: (T,) times of its frames.
        closures_s: (P, 2) begin and end of each sound that wants the lips shut.
        others_s: (Q, 2) the same of the other sounds, pauses not among them.

    Returns:
        1 - (mean over the closures of the smallest opening in each) / (mean opening in the others). The opening is
        taken between frames too, so that a closure shorter than a frame counts; NaN when one kind is not there.
    """
    seen = np.isfinite(opening_curve)
    if seen.sum() < 2:
        return math.nan
    grid = np.arange(times_s[seen][0], times_s[seen][-1], LAG_STEP_MS / 1000)
    curve = np.interp(grid, times_s[seen], opening_curve[seen])
    shut = [curve[inside].min() for inside in _within(grid, closures_s) if inside.any()]
    other = [curve[inside].mean() for inside in _within(grid, others_s) if inside.any()]
    if not shut or not other or np.mean(other) <= 0:
        return math.nan
    return float(1 - np.mean(shut) / np.mean(other))


# Pixels


@dataclass(frozen=True)
class MouthCrop:
    """A square around mouth and chin that follows the head through a clip and keeps its size."""

    left: NDArray[np.intp]
    """(T,) first column, >= 0."""
    top: NDArray[np.intp]
    """(T,) first row, >= 0."""
    side: int
    """Pixels, the same in every frame."""

    def of(self, image: ByteArray, frame: int) -> ByteArray:
        """(side, side, 3) out of the picture (H, W, 3) of a frame."""
        top, left = self.top[frame], self.left[frame]
        return image[top : top + self.side, left : left + self.side]


def mouth_crop(reference: Track) -> MouthCrop:
    """Where the mouth is, by the reference alone: the output has no say in where it is judged.

    The side is `CROP_SHARE` of the clip's median face width, the centre half way between the base of the nose and the
    tip of the chin, smoothed over time and carried over frames without a face. At the picture's edge the square is
    pushed inside. A face turned up to 20 degrees is covered from the base of the nose to below the chin.

    Raises:
        ValueError: the reference has no valid frame.
    """
    if not reference.valid.any():
        raise ValueError("a mouth crop needs at least one frame with a face")
    wanted = max(round(CROP_SHARE * float(np.nanmedian(face_width_px(reference)))), MINIMUM_CROP_PX)
    side = min(wanted, reference.width, reference.height)
    centres = _smooth(points(reference, (NOSE_BASE, CHIN)).mean(axis=1), reference)
    corner = np.round(centres - side / 2).astype(np.intp)
    return MouthCrop(
        left=np.clip(corner[:, 0], 0, reference.width - side),
        top=np.clip(corner[:, 1], 0, reference.height - side),
        side=side,
    )


def psnr(output: ByteArray, reference: ByteArray) -> float:
    """Peak signal-to-noise ratio in dB of two pictures (H, W, 3) uint8, over all channels, at most `PSNR_CAP_DB`."""
    difference = output.astype(np.float32) - reference
    error = float(np.mean(np.square(difference), dtype=np.float64))
    return PSNR_CAP_DB if error == 0 else min(10 * math.log10(255**2 / error), PSNR_CAP_DB)


def ssim(output: ByteArray, reference: ByteArray) -> float:
    """Structural similarity of the luma of two pictures (H, W, 3) uint8, with the window of Wang et al. 2004.

    Raises:
        ValueError: the pictures are smaller than the window, 11 px.
    """
    return float(
        structural_similarity(
            luma(output),
            luma(reference),
            data_range=255.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def ms_ssim(output: ByteArray, reference: ByteArray) -> float:
    """Multi-scale structural similarity of the luma of two pictures (H, W, 3) uint8 (Wang et al. 2003).

    NaN where a side is shorter than `MS_SSIM_SHORTEST_PX`: five scales do not fit in.
    """
    if min(reference.shape[:2]) < MS_SSIM_SHORTEST_PX:
        return math.nan
    # Imported here: it takes a second, and few that import this module need it.
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    made, true = (torch.from_numpy(luma(image))[None, None].float() for image in (output, reference))
    return float(multiscale_structural_similarity_index_measure(made, true, data_range=255.0))


def sharpness(image: ByteArray) -> float:
    """Mean squared Laplacian of the luma of a picture (H, W, 3) uint8 (energy of Laplacian, Subbarao et al. 1993)."""
    grey = luma(image)
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(np.mean(np.square(laplacian)))


def luma(image: ByteArray) -> Values:
    """(H, W) float64 in [0, 255]: how bright a picture (H, W, 3) uint8 is, by the weights of ITU-R BT.601."""
    return np.asarray(image @ np.array([0.299, 0.587, 0.114]))


def seam(output: ByteArray, source: ByteArray, pasted: BoolArray) -> float:
    """Mean step across the paste boundary in the output over the same steps in the source; 1 when nothing shows.

    Pictures are (H, W, 3) uint8; `pasted` is (H, W), True where the output is not the source's. NaN when there is no
    boundary, or no step at all across it in the source.
    """
    before = _boundary_step(source, pasted)
    return _boundary_step(output, pasted) / before if before > 0 else math.nan


def leak(output: ByteArray, other: ByteArray, region: BoolArray) -> float:
    """Mean absolute change inside a region (H, W) between two outputs (H, W, 3) uint8, of 255.

    The two are to be made from sources that differ only in the original mouth: what differs, leaked.
    """
    return float(np.abs(output[region].astype(np.int16) - other[region]).mean()) if region.any() else math.nan


# Parts


def finite_mean(values: NDArray[np.floating[Any]]) -> float:
    """Mean over the finite values; NaN when there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan


def ratio(value: float, reference: float) -> float:
    """One over the other; NaN where there is nothing to divide by."""
    return value / reference if reference > 0 else math.nan


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
    source_centre, target_centre = source.mean(0), target.mean(0)
    left, values, right = np.linalg.svd((target - target_centre).T @ (source - source_centre))
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = left * signs @ right
    scale = float((values * signs).sum() / np.square(source - source_centre).sum())
    return _Similarity(scale, rotation, target_centre - scale * rotation @ source_centre)


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


def _smooth(centres: Values, track: Track) -> Values:
    """(T, 2) positions, filled in where NaN and smoothed over `CROP_SMOOTHING_S`."""
    frames = np.arange(len(track))
    filled = np.stack([np.interp(frames, frames[track.valid], axis[track.valid]) for axis in centres.T], axis=1)
    period_s = frame_period_s(track.times_s)
    if not period_s:
        return filled
    return np.asarray(gaussian_filter1d(filled, CROP_SMOOTHING_S / period_s, axis=0, mode="nearest"))


def _within(times_s: Values, stretches_s: Values) -> list[BoolArray]:
    """For each stretch (begin, end), which of the times lie in it."""
    return [np.asarray((times_s >= begin) & (times_s < end)) for begin, end in stretches_s]


def _both_finite(output: Values, reference: Values) -> tuple[Values, Values]:
    both = np.isfinite(output) & np.isfinite(reference)
    return output[both], reference[both]


def _is_flat(curve: Values) -> bool:
    return len(curve) < 2 or bool(curve.std() <= _FLAT * np.abs(curve).max())


def _r_when_shifted(late: Values, true: Values, shift: int) -> float:
    """Correlation of late[t + shift] with true[t]; NaN where too little of the two is left."""
    kept = max(len(late) - abs(shift), 0)
    late, true = (late[shift:], true[:kept]) if shift >= 0 else (late[:kept], true[-shift:])
    late, true = _both_finite(late, true)
    return pearson_r(late, true) if len(late) * LAG_STEP_MS >= LAG_OVERLAP_MS else math.nan


def _boundary_step(image: ByteArray, pasted: BoolArray) -> float:
    """Mean absolute difference between neighbouring pixels of which one was pasted and the other was not."""
    values = image.astype(np.int16)
    across = np.abs(np.diff(values, axis=1))[pasted[:, 1:] != pasted[:, :-1]]
    down = np.abs(np.diff(values, axis=0))[pasted[1:] != pasted[:-1]]
    return finite_mean(np.concatenate((across.ravel(), down.ravel())).astype(np.float64))
