"""The matte of a whole clip: made once, steady in time, and kept in one small file.

Where the picture stands still, the matte does too: both the segmentation and the refined matte of a frame are averaged
with those of the frames around it, with weights that fall as the picture changes there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError, MediaError
from talkinghead.files import cached, load_arrays, save_arrays
from talkinghead.matting.refinement import refined
from talkinghead.matting.segmenter import PersonSegmenter
from talkinghead.media.video_reader import VideoReader, pictures_key
from talkinghead.structures import DEFAULT_TRACKS, ByteArray, FloatArray, Tracks

FORMAT = "talkinghead/matte/1"
"""Format of the file, stored in its metadata."""
METHOD = 1
"""Version of how mattes are made, part of the key under which they are cached."""
STEADY_FRAMES = 2
"""Frames before and after each that are averaged with it."""
STILL = 4.0
"""Change of the picture, of 255 and blurred over a few pixels, at which another frame's weight has fallen to 1 / e."""
BLUR_SHARE = 1 / 128
"""Standard deviation of that blur, as a share of the image's longer side: noise of the camera is no change."""
LARGEST_PX = 1 << 15
"""Largest width and height of a usable file."""


class Segmenter(Protocol):
    """Finds a person in single images; `PersonSegmenter` is the real one."""

    def probability(self, image: ByteArray) -> FloatArray:
        """Probability of a person in an image (H, W, 3) uint8 RGB: (h, w) float32 in [0, 1], a grid over it."""
        ...


@dataclass(frozen=True)
class ClipMatte:
    """The matte of every frame of a clip, each packed as a gray PNG."""

    packed: ByteArray
    """(N,) uint8, the content of all PNGs, one after the other."""
    ends: NDArray[np.int64]
    """(T,) where each of them ends."""
    width: int
    height: int

    def __len__(self) -> int:
        """T, the number of frames."""
        return len(self.ends)

    def frame(self, number: int) -> ByteArray:
        """The matte of one frame, (H, W) uint8: 0 background, 255 person.

        Raises:
            CheckpointError: it is damaged.
        """
        begin = int(self.ends[number - 1]) if number else 0
        content = self.packed[begin : int(self.ends[number])]
        image = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
        if image is None or image.shape != (self.height, self.width):
            raise CheckpointError(f"Frame {number} of a matte is damaged; have it made again.")
        return np.asarray(image, np.uint8)


def matte_clip(
    path: Path,
    segmenter: Segmenter,
    tracks: Tracks = DEFAULT_TRACKS,
    progress: Callable[[int], None] | None = None,
) -> ClipMatte:
    """Cut the person out of every frame of a clip. A few frames are in memory at a time.

    Args:
        path: the clip.
        segmenter: finds the person.
        tracks: which video track of it.
        progress: called after each frame with the number of frames done.

    Raises:
        MissingFileError, MediaError: the clip cannot be read.
    """
    parts, ends, total = [], [], 0
    with VideoReader(path, tracks) as reader:
        width, height = reader.info.width, reader.info.height
        images = (frame.image for frame in reader)
        for done, alpha in enumerate(mattes(images, segmenter), 1):
            packed = np.asarray(cv2.imencode(".png", alpha)[1], np.uint8).ravel()
            total += len(packed)
            parts.append(packed)
            ends.append(total)
            if progress is not None:
                progress(done)
    if not parts:
        raise MediaError(f"{path} has no frames.")
    return ClipMatte(np.concatenate(parts), np.array(ends, np.int64), width, height)


def mattes(images: Iterable[ByteArray], segmenter: Segmenter) -> Iterator[ByteArray]:
    """The mattes, (H, W) uint8, of images (H, W, 3) uint8 that follow each other in time."""
    coarse = ((image, segmenter.probability(image)) for image in images)
    sharp = ((image, refined(image, values).astype(np.float32)) for image, values in steadied(coarse))
    for _, alpha in steadied(sharp):
        yield np.rint(alpha).astype(np.uint8)


def steadied(pairs: Iterable[tuple[ByteArray, FloatArray]]) -> Iterator[tuple[ByteArray, FloatArray]]:
    """Average values over a few frames in time, where the picture stands still.

    Args:
        pairs: images (H, W, 3) uint8 and values (h, w) that belong to them, a grid over the image.

    Yields:
        The images, and averaged values.
    """
    window: deque[tuple[ByteArray, FloatArray, FloatArray]] = deque()
    place = 0
    """Of the next frame to give, in the window."""
    for image, values in pairs:
        window.append((image, values, _blurred(image, values.shape)))
        if len(window) > 2 * STEADY_FRAMES + 1:
            window.popleft()
            place -= 1
        if len(window) - place > STEADY_FRAMES:
            yield _average(window, place)
            place += 1
    while place < len(window):
        yield _average(window, place)
        place += 1


def _average(window: Iterable[tuple[ByteArray, FloatArray, FloatArray]], place: int) -> tuple[ByteArray, FloatArray]:
    frames = list(window)
    image, own, look = frames[place]
    total, weights = own.copy(), np.ones_like(own)
    for number in range(max(0, place - STEADY_FRAMES), min(len(frames), place + STEADY_FRAMES + 1)):
        if number == place:
            continue
        _, values, other = frames[number]
        change = np.abs(other - look).max(-1) / np.float32(STILL)
        weight = np.exp(-(change * change))
        total += weight * values
        weights += weight
    return image, total / weights


def _blurred(image: ByteArray, shape: tuple[int, ...]) -> FloatArray:
    """The image on the grid of the values, without noise: (h, w, 3) float32."""
    small = cv2.resize(image, (shape[1], shape[0]), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), max(shape) * BLUR_SHARE), np.float32)


def save_matte(path: Path, matte: ClipMatte) -> None:
    """Write a matte to a safetensors file.

    Raises:
        OutputError: the file cannot be written.
    """
    metadata = {"format": FORMAT, "width": str(matte.width), "height": str(matte.height)}
    save_arrays(path, {"packed": matte.packed, "ends": matte.ends}, metadata)


def load_matte(path: Path) -> ClipMatte:
    """Read a matte.

    Raises:
        MissingFileError: there is no such file.
        CheckpointError: it is damaged, or of another version.
    """
    arrays, metadata = load_arrays(path)
    try:
        packed, ends = arrays["packed"], arrays["ends"]
        width, height = int(metadata["width"]), int(metadata["height"])
        rising = len(ends) > 0 and ends[0] > 0 and bool((np.diff(ends) > 0).all()) and int(ends[-1]) == len(packed)
        sized = 0 < width <= LARGEST_PX and 0 < height <= LARGEST_PX
        kinds = packed.dtype == np.uint8 and packed.ndim == 1 and ends.dtype == np.int64 and ends.ndim == 1
        usable = metadata.get("format") == FORMAT and kinds and sized and rising
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise CheckpointError(f"{path} is no matte, or damaged.") from error
    if not usable:
        raise CheckpointError(f"{path} is no matte, or damaged.")
    return ClipMatte(packed, ends, width, height)


def cached_matte(
    path: Path, tracks: Tracks = DEFAULT_TRACKS, progress: Callable[[int], None] | None = None
) -> ClipMatte:
    """The matte of a clip from the user's cache, or made now; the network is fetched on first need.

    Raises:
        MissingFileError, MediaError: the clip cannot be read.
        ModelUnavailableError: the network cannot be had.
    """
    key = f"{pictures_key(path, tracks)}-{METHOD}"
    return cached(
        "mattes",
        key,
        lambda: matte_clip(path, PersonSegmenter.load(), tracks, progress),
        load_matte,
        lambda place, matte: save_matte(place, matte),
    )
