"""Tracking a clip's face once: the result is cached by the content of the clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError
from talkinghead.face.landmarks import FaceLandmarker, track_clip
from talkinghead.files import Arrays, cached, load_arrays, save_arrays, sha256_of
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import BLENDSHAPES, LANDMARKS, FaceChoice, Track
from talkinghead.weights import registry

FORMAT = "talkinghead/track/1"
LARGEST_PX = 1 << 15


def track_file(clip: Path, *, face: FaceChoice = "largest", progress: Callable[[int], None] | None = None) -> Track:
    """Landmarks of every frame of a clip; the second time, from the cache.

    Args:
        clip: any video file.
        face: which face to follow, where there are several.
        progress: called after each frame with the number of frames done.

    Raises:
        MissingFileError, MediaError, ModelUnavailableError: as the clip and the landmark model have it.
        ValueError: there is no such choice of a face.
    """
    if face not in ("largest", "left", "right") and not (isinstance(face, int) and face >= 0):
        raise ValueError(f"face is {face!r}: largest, left, right or a number from 0 on is wanted")

    def make() -> Track:
        landmarker = FaceLandmarker.load(registry.locate("face_landmarker"))
        with VideoReader(clip) as reader:
            return track_clip(reader, landmarker, reader.info.width, reader.info.height, face=face, progress=progress)

    return cached(
        "tracks", f"{sha256_of(clip)[:32]}-{face}", make, load_track, lambda path, track: save_track(track, path)
    )


def save_track(track: Track, path: Path) -> None:
    """Write a track as safetensors."""
    arrays: Arrays = {
        "landmarks": track.landmarks,
        "valid": track.valid,
        "times_s": track.times_s,
        "size": np.array([track.width, track.height], np.int64),
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
        )
    except (KeyError, ValueError, IndexError, TypeError, OverflowError) as error:
        raise CheckpointError(f"{path} is not a track: {error}.") from error
    if not _is_usable(track):
        raise CheckpointError(f"{path} is damaged: it holds numbers that no clip gives.")
    return track


def _is_usable(track: Track) -> bool:
    sizes_px = (track.width, track.height)
    numbers: list[NDArray[Any]] = [track.landmarks, track.times_s]
    if track.blendshapes is not None:
        numbers.append(track.blendshapes)
    if not all(0 < size <= LARGEST_PX for size in sizes_px) or not all(np.isfinite(part).all() for part in numbers):
        return False
    # A face may reach beyond the picture, but not far.
    is_near = np.abs(track.landmarks).max(initial=0.0) <= 10 * max(sizes_px)
    return bool(is_near and (np.diff(track.times_s) > 0).all())
