"""Forward loops: where a clip can go on with an earlier frame of its own, so that it never has to run backwards.

A video texture (Schödl et al. 2000, Video Textures): of all pairs of moments, the one that is most alike in the head's
pose, its motion, and the picture without the lower face, which is drawn anew anyway. Every difference is measured by
what the clip itself changes in the time that the crossing takes: a crossing that changes no more than the clip always
does is not seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError, OptionError
from talkinghead.face.reconstruction import frame_rate_of
from talkinghead.face.region_removal import Crops, LocalRegion, crop_frame, paste_back, place_crops, region_masks
from talkinghead.files import cached, load_arrays, save_arrays, sha256_of
from talkinghead.generation.frame_order import head_places_cm
from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.structures import (
    DEFAULT_TRACKS,
    BoolArray,
    ByteArray,
    ClipRange,
    FloatArray,
    Loop,
    Reconstruction,
    Tracks,
)

FORMAT = "talkinghead/loops/1"
"""Of the files in the cache; another search gets another number."""
BEYOND_S = 0.1
"""Time by which a range may go beyond a clip's end, seconds: people round."""
CROSSING_S = 0.3
"""Longest crossing, seconds."""
LEAST_SHARE = 0.25
"""A loop has at least this share of the frames it is sought in: shorter ones are seen to come again ..."""
LEAST_S = 2.0
"""... and lasts at least so many seconds: within less, even a head that never comes back has not gone far."""
MOST_CHANGE = 3.0
"""Largest difference between the two sides of a crossing, in the median of what the clip itself changes in the same
time: heads move by fits and starts, and one change in ten is larger."""
STEADY_CM = 0.02
"""Change of the head's place, cm, that is not seen in a clip which moves even less ..."""
STEADY_LEVELS = 0.7
"""... and that of pictures, of 255."""
MOST_FRAMES = 15_000
"""Frames of the longest stretch in which a loop is sought, since small pictures of all are in memory: 10 minutes."""
COARSE_FRAMES = 1200
"""Every pair of at most so many moments is looked at, and then those around the best."""
REFINED = 200
"""Pairs around which every other is looked at."""
SEARCH_PX = 128
"""Width of the pictures of the face from which the small ones are made, pixels."""
FACE_PX = (24, 32)
"""Height and width of the small picture of the upper face."""
PICTURE_PX = 48
"""Width of the small picture of the whole frame, pixels."""
PAINT = 0.5
"""Gray that stands for the lower face, in [0, 1]."""


def frames_in(clip_range: ClipRange | None, times_s: NDArray[np.float64], clip: Path) -> tuple[int, int]:
    """First and last frame of a clip in a range; None is all of it.

    Args:
        clip_range: the range.
        times_s: (T,) presentation times of the clip's frames, seconds.
        clip: for the error.

    Raises:
        OptionError: the clip ends before the range does.
    """
    if clip_range is None:
        return 0, len(times_s) - 1
    end_s = float(times_s[-1]) + (float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0)
    inside = np.flatnonzero(clip_range.contains(times_s))
    if clip_range.end_s > end_s + BEYOND_S or not len(inside):
        raise OptionError(f"clip_range {clip_range} goes beyond the end of {clip}, which lasts {end_s:.2f} s.")
    return int(inside[0]), int(inside[-1])


def check_range(clip_range: ClipRange | None, clip: Path, tracks: Tracks = DEFAULT_TRACKS) -> None:
    """Whether a clip is as long as a range, by the length that it declares; to be asked before it is tracked.

    Raises:
        OptionError: the clip ends before the range does.
        MissingFileError, MediaError: the clip cannot be read.
    """
    if clip_range is None:
        return
    info = read_video_info(clip, tracks)
    if info.duration_s is not None:
        frames = max(1, round(info.duration_s * info.frame_rate))
        frames_in(clip_range, np.arange(frames) / float(info.frame_rate), clip)


def cached_loops(
    clip: Path,
    region: LocalRegion,
    reconstruction: Reconstruction,
    usable: BoolArray,
    first: int,
    last: int,
    tracks: Tracks = DEFAULT_TRACKS,
) -> tuple[Loop, ...]:
    """What `find_loop` finds, from the user's cache where it is there; empty where it finds none."""

    def make() -> tuple[Loop, ...]:
        found = find_loop(clip, region, reconstruction, usable, first, last, tracks)
        return () if found is None else (found,)

    pose = (reconstruction.rotation, reconstruction.translation, reconstruction.scale, usable)
    parts = [FORMAT.encode(), sha256_of(clip).encode(), f"{tracks.video}".encode(), f"{first}-{last}".encode()]
    parts += [np.ascontiguousarray(array).tobytes() for array in pose]
    key = hashlib.sha256(b" ".join(parts)).hexdigest()[:32]
    return cached("loops", key, make, lambda path: _load(path, last), _save)


def _save(path: Path, loops: tuple[Loop, ...]) -> None:
    table = np.array([astuple(loop) for loop in loops], np.int64).reshape(-1, 3)
    save_arrays(path, {"loops": table}, {"format": FORMAT})


def _load(path: Path, last: int) -> tuple[Loop, ...]:
    """Raises MissingFileError or CheckpointError where the file cannot be used for a clip with that last frame."""
    arrays, metadata = load_arrays(path)
    table = arrays.get("loops", np.zeros(()))
    if metadata.get("format") != FORMAT or table.ndim != 2 or table.shape[1] != 3 or table.dtype != np.int64:
        raise CheckpointError(f"{path} is damaged; remove it.")
    loops = tuple(Loop(*row) for row in table.tolist())
    if not all(loop.fits(last + 1) for loop in loops):
        raise CheckpointError(f"{path} is damaged; remove it.")
    return loops


def find_loop(
    clip: Path,
    region: LocalRegion,
    reconstruction: Reconstruction,
    usable: BoolArray,
    first: int,
    last: int,
    tracks: Tracks = DEFAULT_TRACKS,
) -> Loop | None:
    """The best forward loop within frames `first` to `last` of a clip, of which all are read once.

    Args:
        clip: the video.
        region: the lower face, which does not count.
        reconstruction: of the clip.
        usable: (T,) frames that a crossing may show: blended with others they must still be given a new face.
        first, last: the frames in which it is sought.
        tracks: which video track of the clip.

    Returns:
        None where no two moments are alike enough, or the stretch is too short or longer than MOST_FRAMES; then
        playback has to turn.

    Raises:
        MediaError: the clip cannot be decoded.
    """
    count = last - first + 1
    length = crossing_frames(reconstruction)
    least = max(round(LEAST_SHARE * count), round(LEAST_S * frame_rate_of(reconstruction)))
    if length < 2 or not least + length <= count <= MOST_FRAMES or not usable[first : last + 1].any():
        return None
    places = head_places_cm(reconstruction)
    pictures, faces = _small_pictures((clip, tracks), region, reconstruction, first, last)
    signals = [
        _Signal.of(places[first : last + 1], length, STEADY_CM),
        _Signal.of(np.gradient(places, axis=0)[first : last + 1] * length, length, STEADY_CM),
        _Signal.of(pictures, length, STEADY_LEVELS * np.sqrt(pictures.shape[1])),
        _Signal.of(faces, length, STEADY_LEVELS * np.sqrt(faces.shape[1])),
    ]
    # A crossing that begins at frame t shows frames t to t + length - 1: all have to be usable.
    windows = np.asarray(np.lib.stride_tricks.sliding_window_view(usable[first : last + 1], length).all(1))
    found = _best_pair(signals, windows, length, least)
    return None if found is None else Loop(first + found[0], first + found[1], length)


def crossing_frames(reconstruction: Reconstruction) -> int:
    """Number of blended frames in a crossing: it lasts at most CROSSING_S."""
    return int(CROSSING_S * frame_rate_of(reconstruction) + 1e-6)


@dataclass(frozen=True)
class _Signal:
    """What is compared of each of F frames."""

    values: FloatArray
    """(F, D)."""
    usual: float
    """Distance of `values` by which the clip itself changes in the time of a crossing."""

    @classmethod
    def of(cls, values: FloatArray | NDArray[np.float64], length: int, steady: float) -> _Signal:
        """Args: (F, D) values; frames of a crossing; distance that counts as none."""
        values = np.asarray(values - values.mean(0), np.float32)
        changes = np.linalg.norm(values[length:] - values[:-length], axis=1)
        return cls(values, max(float(np.median(changes)), steady))

    def apart(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
        """Distances of frames (P,) from frames (P,), in usual changes."""
        return np.asarray(np.linalg.norm(self.values[left] - self.values[right], axis=1) / self.usual, np.float64)

    def all_apart(self, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        """Distances of all of the chosen frames (S,) from each other: (S, S)."""
        some = self.values[chosen]
        square = (some**2).sum(1)
        squared = square[:, None] + square - 2 * some @ some.T
        return np.asarray(np.sqrt(np.maximum(squared, 0)) / self.usual, np.float32)


def _best_pair(signals: list[_Signal], windows: BoolArray, length: int, least: int) -> tuple[int, int] | None:
    """The frames at which the best crossing begins: the one that is left, and the earlier one that is gone on with.

    Args:
        signals: of F frames.
        windows: (F - length + 1,) whether a crossing may begin there.
        length: of a crossing, frames.
        least: frames of a loop.
    """
    middle = length // 2
    step = max(1, -(-len(windows) // COARSE_FRAMES))
    starts = np.arange(0, len(windows), step)
    cost = np.max([signal.all_apart(starts + middle) for signal in signals], axis=0)
    allowed = (starts[:, None] - starts >= least) & windows[starts][:, None] & windows[starts]
    cost[~allowed] = np.inf
    cost *= _dearer(starts[:, None] - starts, len(windows))
    best = np.argsort(cost, axis=None)[:REFINED]
    coarse = np.column_stack(np.unravel_index(best, cost.shape))[np.isfinite(cost.ravel()[best])]
    if not len(coarse):
        return None
    # Around each of them every frame is tried, now with all the frames that the crossing blends.
    around = np.arange(-step + 1, step)
    shifts = np.stack(np.meshgrid(around, around, indexing="ij"), -1).reshape(-1, 2)
    pairs = np.unique((starts[coarse][:, None] + shifts).reshape(-1, 2), axis=0)
    pairs = pairs[(pairs >= 0).all(1) & (pairs < len(windows)).all(1) & (pairs[:, 0] - pairs[:, 1] >= least)]
    pairs = pairs[windows[pairs].all(1)]
    if not len(pairs):
        return None
    apart = [np.mean([s.apart(pairs[:, 0] + k, pairs[:, 1] + k) for k in range(length)], axis=0) for s in signals]
    worst = np.max(apart, axis=0)
    pairs, worst = pairs[worst <= MOST_CHANGE], worst[worst <= MOST_CHANGE]
    if not len(pairs):
        return None
    chosen = int(np.argmin(worst * _dearer(pairs[:, 0] - pairs[:, 1], len(windows))))
    return int(pairs[chosen, 0]), int(pairs[chosen, 1])


def _dearer(span: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Factor on the cost of loops of so many frames, of `count`: the shorter a loop, the more often it is crossed."""
    return np.asarray(count / np.maximum(span, 1), np.float64)


def _small_pictures(
    source: tuple[Path, Tracks], region: LocalRegion, reconstruction: Reconstruction, first: int, last: int
) -> tuple[FloatArray, FloatArray]:
    """Of frames `first` to `last`: small gray pictures of the whole frame with the lower face painted over, (F, D), and
    of the upper face where the head puts it, (F, E)."""
    height = 16 * round(region.height_cm / region.width_cm * SEARCH_PX / 16)
    crops = place_crops(region, reconstruction, (height, SEARCH_PX))
    # The upper face is as far above the lower one's crop as that is high, but for what they share.
    up = np.array([[1, 0, 0], [0, 1, -0.8 * height], [0, 0, 1.0]])
    pictures: list[NDArray[Any]] = []
    faces: list[NDArray[Any]] = []
    for number, image in _frames(source, first, last):
        faces.append(cv2.resize(crop_frame(image, crops.to_frame[number] @ up, crops.size_px), FACE_PX[::-1],
                                interpolation=cv2.INTER_AREA))  # fmt: skip
        painted = _without_lower_face(image, region, reconstruction, crops, number)
        size = (PICTURE_PX, max(1, round(PICTURE_PX * image.shape[0] / image.shape[1])))
        pictures.append(cv2.resize(painted, size, interpolation=cv2.INTER_AREA))
    return _gray(pictures), _gray(faces)


def _frames(source: tuple[Path, Tracks], first: int, last: int) -> Iterator[tuple[int, ByteArray]]:
    with VideoReader(*source) as reader:
        for number, frame in enumerate(reader):
            if number > last:
                return
            if number >= first:
                yield number, frame.image


def _without_lower_face(
    image: ByteArray, region: LocalRegion, reconstruction: Reconstruction, crops: Crops, number: int
) -> ByteArray:
    """A frame with plain gray in place of the lower face."""
    one = np.array([number])
    _, feathers = region_masks(region, reconstruction.select(one), Crops(crops.to_frame[one], crops.size_px))
    return paste_back(image, np.full((*crops.size_px, 3), PAINT, np.float32), feathers[0], crops.to_frame[number])


def _gray(images: list[NDArray[Any]]) -> FloatArray:
    """(F, pixels) float32, 0 to 255."""
    return np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).ravel() for image in images]).astype(np.float32)
