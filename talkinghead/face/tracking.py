"""Tracking a clip's face once: the result is cached by the content of the clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs

from talkinghead.errors import CheckpointError, MissingFileError, OutputError
from talkinghead.face.landmarks import FaceLandmarker, track_clip
from talkinghead.files import load_arrays, save_arrays, sha256_of
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import BLENDSHAPES, LANDMARKS, FaceChoice, Track
from talkinghead.weights import registry as weights

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
    cached = platformdirs.user_cache_path("talkinghead") / "tracks" / f"{sha256_of(clip)[:32]}-{face}.safetensors"
    try:
        return load_track(cached)
    except (MissingFileError, CheckpointError):
        pass  # not there yet, or damaged: it is made anew
    landmarker = FaceLandmarker.load(weights.locate("face_landmarker"))
    with VideoReader(clip) as reader:
        track = track_clip(reader, landmarker, reader.info.width, reader.info.height, face=face, progress=progress)
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        save_track(track, cached)
    except (OSError, OutputError):
        pass  # a cache that cannot be written costs time, not the result
    return track


def save_track(track: Track, path: Path) -> None:
    """Write a track as safetensors."""
    save_arrays(
        path,
        {
            "landmarks": track.landmarks,
            "blendshapes": track.blendshapes,
            "valid": track.valid,
            "times_s": track.times_s,
            "size": np.array([track.width, track.height], np.int64),
        },
        {"format": FORMAT},
    )


def load_track(path: Path) -> Track:
    """Read a track that `save_track` wrote.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged, or not a track of this version.
    """
    arrays, metadata = load_arrays(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a track of this version ({FORMAT}).")
    try:
        frames = len(arrays["valid"])
        track = Track(
            arrays["landmarks"].reshape(frames, LANDMARKS, 3).astype(np.float32),
            arrays["blendshapes"].reshape(frames, BLENDSHAPES).astype(np.float32),
            arrays["valid"].reshape(frames).astype(np.bool_),
            arrays["times_s"].reshape(frames).astype(np.float64),
            int(arrays["size"][0]),
            int(arrays["size"][1]),
        )
    except (KeyError, ValueError, IndexError, TypeError, OverflowError) as error:
        raise CheckpointError(f"{path} is not a track: {error}.") from error
    if not _is_usable(track):
        raise CheckpointError(f"{path} is damaged: it holds numbers that no clip gives.")
    return track


def _is_usable(track: Track) -> bool:
    sizes_px = (track.width, track.height)
    numbers = (track.landmarks, track.blendshapes, track.times_s)
    if not all(0 < size <= LARGEST_PX for size in sizes_px) or not all(np.isfinite(part).all() for part in numbers):
        return False
    # A face may reach beyond the picture, but not far.
    is_near = np.abs(track.landmarks).max(initial=0.0) <= 10 * max(sizes_px)
    return bool(is_near and (np.diff(track.times_s) > 0).all())
