"""Tracking: the landmarks of one face in every frame of a clip, cached by the content of the clip."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError
from talkinghead.face.landmarks import Face, FaceLandmarker, FaceRegion
from talkinghead.files import Arrays, cached, load_arrays, save_arrays
from talkinghead.media.shots import ShotDetector
from talkinghead.media.video_reader import VideoReader, pictures_key
from talkinghead.structures import BLENDSHAPES, DEFAULT_TRACKS, LANDMARKS, ByteArray, FaceChoice, Frame, Track, Tracks
from talkinghead.weights import registry

PATIENCE_S = 0.5
"""Seconds for which a lost face is searched near its last position only, before another one may take its place."""
FORMAT = "talkinghead/track/1"
"""Format of the file, stored in its metadata."""
LARGEST_PX = 1 << 15
"""Largest width and height of a frame in a usable file."""


class FaceTracker:
    """Follows one face from frame to frame; the whole frame is searched only where the face was lost."""

    def __init__(self, landmarker: FaceLandmarker, face: FaceChoice = "largest") -> None:
        """Args: the networks; which face to follow, where there are several."""
        self._landmarker = landmarker
        self._choice = face
        self._last: FaceRegion | None = None
        self._last_time_s = -math.inf
        self._is_lost = False

    def update(self, frame: Frame) -> Face | None:
        """Landmarks of the followed face in the next frame; None where it is not visible."""
        # Near its last position the landmark network finds the face by itself, which saves the detector.
        face = None if self._last is None or self._is_lost else self._follow(frame.image, self._last)
        if face is None:
            face = self._search(frame)
        self._is_lost = face is None
        if face is not None:
            self._last, self._last_time_s = face.region, frame.time_s
        return face

    def _follow(self, image: ByteArray, last: FaceRegion) -> Face | None:
        """The face near its last region; None where there is none, or another one."""
        face = self._landmarker.landmarks_in(image, last)
        return face if face is not None and face.region.is_near(last) else None

    def _search(self, frame: Frame) -> Face | None:
        """The face to follow in the whole frame, by the detector; None where it is not found."""
        region = self._choose(self._landmarker.detect(frame.image), frame.time_s)
        if region is None:
            return None
        first = self._landmarker.landmarks_in(frame.image, region)
        # The detector's region is rough: the landmark network runs again in the region that its own points give.
        return None if first is None else self._landmarker.landmarks_in(frame.image, first.region)

    def _choose(self, regions: list[FaceRegion], time_s: float) -> FaceRegion | None:
        """Choose the face to follow among those detected, which come largest first; None where it is not among them."""
        last = self._last
        if last is not None and time_s - self._last_time_s <= PATIENCE_S:
            # The same face or none: a neighboring face must not be taken for it.
            nearest = min(regions, key=last.distance_px, default=None)
            return nearest if nearest is not None and last.distance_px(nearest) < last.size_px / 2 else None
        if not regions or self._choice == "largest":
            return regions[0] if regions else None
        from_left = sorted(regions, key=lambda region: region.x)
        if isinstance(self._choice, int):
            return from_left[self._choice] if 0 <= self._choice < len(from_left) else None
        return from_left[0 if self._choice == "left" else -1]


def track_clip(
    frames: Iterable[Frame],
    landmarker: FaceLandmarker,
    width: int,
    height: int,
    *,
    face: FaceChoice = "largest",
    with_blendshapes: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Track:
    """Track one face through a clip. Only one frame is in memory at a time.

    Args:
        frames: of the clip, in the order of time.
        landmarker: the networks.
        width: of the frames, in pixels.
        height: of the frames, in pixels.
        face: which face to follow, where there are several.
        with_blendshapes: whether the blendshape network runs too.
        progress: called after each frame with the number of frames done.

    Returns:
        The track. Frames without that face are marked invalid, and their landmarks are zero; all frames may be.
    """
    tracker = FaceTracker(landmarker, face)
    no_face, no_scores = np.zeros((LANDMARKS, 3), np.float32), np.zeros(BLENDSHAPES, np.float32)
    landmarks, scores, times_s, valid = [], [], [], []
    shots = ShotDetector()
    for done, frame in enumerate(frames, start=1):
        shots.push(frame.image)
        found = tracker.update(frame)
        landmarks.append(no_face if found is None else found.landmarks)
        if with_blendshapes:
            scores.append(no_scores if found is None else landmarker.blendshapes(found))
        valid.append(found is not None)
        times_s.append(frame.time_s)
        if progress is not None:
            progress(done)
    return Track(
        landmarks=np.array(landmarks, np.float32).reshape(-1, LANDMARKS, 3),
        valid=np.array(valid, np.bool_),
        times_s=np.array(times_s, np.float64),
        width=width,
        height=height,
        blendshapes=np.array(scores, np.float32).reshape(-1, BLENDSHAPES) if with_blendshapes else None,
        cuts=shots.cuts(),
    )


def track_file(
    clip: Path,
    *,
    face: FaceChoice = "largest",
    tracks: Tracks = DEFAULT_TRACKS,
    progress: Callable[[int], None] | None = None,
) -> Track:
    """Track a clip's face, or read its track from the cache.

    Args:
        clip: any video file.
        face: which face to follow, where there are several.
        tracks: which video track is read.
        progress: called after each frame with the number of frames done; never, where the track is in the cache.

    Raises:
        MissingFileError: there is no such clip, or no landmark model.
        MediaError: the clip cannot be decoded.
        ModelUnavailableError: the landmark model is damaged or not installed.
        ValueError: `face` is no valid choice.
    """
    if face not in ("largest", "left", "right") and not (isinstance(face, int) and face >= 0):
        raise ValueError(f"face is {face!r}; give largest, left, right, or a number from 0 on")

    def make() -> Track:
        landmarker = FaceLandmarker.load(registry.locate("face_landmarker"))
        with VideoReader(clip, tracks) as reader:
            return track_clip(reader, landmarker, reader.info.width, reader.info.height, face=face, progress=progress)

    key = f"{pictures_key(clip, tracks)}-{face}-shots"
    return cached("tracks", key, make, load_track, lambda path, track: save_track(track, path))


def save_track(track: Track, path: Path) -> None:
    """Write a track as safetensors.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays: Arrays = {
        "landmarks": track.landmarks,
        "valid": track.valid,
        "times_s": track.times_s,
        "size": np.array([track.width, track.height], np.int64),
        "cuts": track.cuts,
    }
    if track.blendshapes is not None:
        arrays["blendshapes"] = track.blendshapes
    save_arrays(path, arrays, {"format": FORMAT})


def load_track(path: Path) -> Track:
    """Read a track that `save_track` wrote, with blendshape scores or without.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged, or not a track of this version.
    """
    arrays, metadata = load_arrays(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a track of this version ({FORMAT}).")
    try:
        frames = len(arrays["valid"])
        scores = arrays.get("blendshapes")
        track = Track(
            landmarks=arrays["landmarks"].reshape(frames, LANDMARKS, 3).astype(np.float32),
            valid=arrays["valid"].reshape(frames).astype(np.bool_),
            times_s=arrays["times_s"].reshape(frames).astype(np.float64),
            width=int(arrays["size"][0]),
            height=int(arrays["size"][1]),
            blendshapes=None if scores is None else scores.reshape(frames, BLENDSHAPES).astype(np.float32),
            cuts=_whole_numbers(arrays.get("cuts", np.zeros(0, np.int64))),  # older tracks have none
        )
    except (KeyError, ValueError, IndexError, TypeError, OverflowError) as error:
        raise CheckpointError(f"{path} is not a track: {error}.") from error
    if not _is_usable(track):
        raise CheckpointError(f"{path} is damaged: it has values out of range; delete it.")
    return track


def _whole_numbers(array: NDArray[Any]) -> NDArray[np.int64]:
    """The array, flat.

    Raises:
        TypeError: it holds other numbers.
    """
    if array.dtype != np.int64:
        raise TypeError(f"cuts are {array.dtype}")
    return array.reshape(-1)


def _is_usable(track: Track) -> bool:
    """Whether sizes, landmarks and times of a track are within the range of real clips."""
    sizes_px = (track.width, track.height)
    numbers: list[NDArray[Any]] = [track.landmarks, track.times_s]
    if track.blendshapes is not None:
        numbers.append(track.blendshapes)
    if not all(0 < size <= LARGEST_PX for size in sizes_px) or not all(np.isfinite(part).all() for part in numbers):
        return False
    # Rising and within the frames. A difference could overflow, a comparison cannot.
    cuts = track.cuts
    if len(cuts) and not (cuts[0] > 0 and cuts[-1] < len(track) and (cuts[1:] > cuts[:-1]).all()):
        return False
    # A face may reach beyond the frame, but not far.
    is_near = np.abs(track.landmarks).max(initial=0.0) <= 10 * max(sizes_px)
    return bool(is_near and (np.diff(track.times_s) > 0).all())
