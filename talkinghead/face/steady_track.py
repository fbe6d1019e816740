"""Landmarks of the upper face that do not follow the mouth.

A landmark network looks at the whole face: when the mouth opens, the points of brows and nose move a little with it,
and the pose that is fitted to them, and the crop, and what is drawn in it. So each frame is looked at a second time
with the lower face of every frame replaced by the clip's mean one, and the rigid points are taken from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.face.face_model import FaceModel
from talkinghead.face.landmarks import FaceLandmarker
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.region_removal import (
    Crops,
    LocalRegion,
    crop_frame,
    crop_size_px,
    local_region,
    paste_back,
    place_crops,
    region_masks,
)
from talkinghead.face.tracking import load_track, save_track, track_clip, track_file
from talkinghead.files import cached, sha256_of
from talkinghead.media.video_reader import VideoReader, pictures_key
from talkinghead.structures import DEFAULT_TRACKS, FaceChoice, FloatArray, Frame, Reconstruction, Track, Tracks
from talkinghead.weights import registry

LARGEST_PX = 192
"""Largest width of the mean lower face, pixels: the landmark network sees a face of 256."""
REACH = 0.25
"""Distance that a rigid point may lie from where it was at first, in sizes of the upper face; beyond, the second look
has followed something else."""


@dataclass(frozen=True)
class Look:
    """A clip of which the mean lower face is painted into the frames of another one of the same person.

    The painted face draws the landmarks a little to itself: so all clips of an anchor get the same one.
    """

    clip: Path
    reconstruction: Reconstruction
    """Of that clip."""
    tracks: Tracks = DEFAULT_TRACKS
    """Which video track of it."""


def steady_track(
    clip: Path,
    model: FaceModel,
    *,
    face: FaceChoice = "largest",
    tracks: Tracks = DEFAULT_TRACKS,
    look: Look | None = None,
    progress: Callable[[int], None] | None = None,
) -> Track:
    """Track a clip's face twice, or read the result from the cache.

    Args:
        clip: any video file.
        model: the face model, whose rigid points are looked at again.
        face: which face to follow, where there are several.
        tracks: which video track is read.
        look: whose mean lower face is painted; None takes the clip's own, as does a look at the same clip, so that an
            anchor's clip is measured as it was in training.
        progress: called with the number of frames done in each look; never, where the result is in the cache.

    Returns:
        As `tracking.track_file`, with the model's rigid points from the second look.

    Raises:
        MissingFileError, MediaError, ModelUnavailableError, ValueError: as `tracking.track_file`.
    """
    first = track_file(clip, face=face, tracks=tracks, progress=progress)
    if not first.valid.any():
        return first

    def make() -> Track:
        landmarker = FaceLandmarker.load(registry.locate("face_landmarker"))
        second = track_clip(
            _painted(clip, tracks, first, model, look),
            landmarker,
            first.width,
            first.height,
            face=face,
            progress=progress,
        )
        return with_rigid_points(first, second, model)

    content = sha256_of(clip)
    if look is not None and sha256_of(look.clip) == content and look.tracks.video == tracks.video:
        look = None
    points = hashlib.sha256(model.neutral.tobytes() + model.rigid.tobytes()).hexdigest()
    key = f"{pictures_key(clip, tracks)}-{face}-shots-steady-{points[:8]}"
    if look is not None:  # a clip may show several people, of whom each is an anchor
        person = hashlib.sha256(look.reconstruction.identity.tobytes()).hexdigest()
        key += f"-{sha256_of(look.clip)[:16]}-{person[:8]}"
    return cached("tracks", key, make, load_track, lambda path, track: save_track(track, path))


def with_rigid_points(first: Track, second: Track, model: FaceModel) -> Track:
    """The first track with the rigid points of the second, in all frames where both have the same face.

    Args:
        first, second: of the same frames.
        model: names the rigid points.
    """
    landmarks = first.landmarks.copy()
    count = min(len(first), len(second))
    ours, theirs = first.landmarks[:count, model.rigid], second.landmarks[:count, model.rigid]
    size_px = np.linalg.norm(np.ptp(ours[..., :2], axis=1), axis=-1)
    moved_px = np.linalg.norm((ours - theirs)[..., :2], axis=-1).max(1)
    same = first.valid[:count] & second.valid[:count] & (moved_px <= REACH * size_px)
    frames = np.flatnonzero(same)
    landmarks[np.ix_(frames, model.rigid)] = theirs[frames]
    return replace(first, landmarks=landmarks)


def _painted(clip: Path, tracks: Tracks, track: Track, model: FaceModel, look: Look | None) -> Iterator[Frame]:
    """The frames of a clip with a mean lower face in place of their own."""
    reconstruction = reconstruct(track, model, identity=None if look is None else look.reconstruction.identity)
    look = look or Look(clip, reconstruction, tracks)
    region = local_region(model.of(reconstruction.identity))
    size_px = crop_size_px(region, look.reconstruction, largest=LARGEST_PX)
    crops = place_crops(region, reconstruction, size_px)
    mean = _mean_crop(look, place_crops(region, look.reconstruction, size_px))
    with VideoReader(clip, tracks) as reader:
        for number, frame in enumerate(reader):
            if number >= len(track) or not reconstruction.valid[number]:
                yield frame
                continue
            feather = _feather(region, reconstruction, crops, number)
            yield Frame(paste_back(frame.image, mean, feather, crops.to_frame[number]), frame.time_s)


def _mean_crop(look: Look, crops: Crops) -> FloatArray:
    """(h, w, 3) float32 in [0, 1], mean of the crops of all valid frames."""
    total: NDArray[np.float64] = np.zeros((*crops.size_px, 3))
    count = 0
    with VideoReader(look.clip, look.tracks) as reader:
        for frame, is_valid, to_frame in zip(reader, look.reconstruction.valid, crops.to_frame, strict=False):
            if is_valid:
                total += crop_frame(frame.image, to_frame, crops.size_px)
                count += 1
    return (total / max(count, 1) / 255).astype(np.float32)


def _feather(region: LocalRegion, reconstruction: Reconstruction, crops: Crops, number: int) -> FloatArray:
    """(h, w) float32 of one frame, see `region_masks`."""
    one = np.array([number])
    _, feathers = region_masks(region, reconstruction.select(one), Crops(crops.to_frame[one], crops.size_px))
    return np.asarray(feathers[0], np.float32)
