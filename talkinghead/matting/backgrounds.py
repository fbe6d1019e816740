"""What is put behind a person: a color, a picture, or a video.

Pictures and videos fill the frame: they are scaled to cover it and cut at both sides alike. A video
begins with the output and begins anew whenever it ends; its audio is not used.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from talkinghead.errors import MediaError
from talkinghead.files import missing_file
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import ByteArray, Frame

SAME_TIME_S = 1e-4
"""Times that differ by less are the same."""


class Background(Protocol):
    """What is behind the person at each moment."""

    def at(self, time_s: float) -> ByteArray:
        """The background at a time of the output, (H, W, 3) uint8 RGB; times may not fall."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


def open_background(named: tuple[int, int, int] | Path, width: int, height: int) -> Background:
    """A background of a size.

    Args:
        named: red, green and blue, 0 to 255, or a picture or video file.
        width, height: of the frames, pixels.

    Raises:
        MissingFileError: there is no such file.
        MediaError: it is neither a picture nor a video that can be read.
    """
    if isinstance(named, tuple):
        return StillBackground(np.full((height, width, 3), named, np.uint8))
    if not named.is_file():
        raise missing_file(named)
    picture = _read_picture(named)
    return VideoBackground(named, width, height) if picture is None else StillBackground(cover(picture, width, height))


def cover(image: ByteArray, width: int, height: int) -> ByteArray:
    """An image (h, w, 3) scaled to cover a size, its middle cut out: (height, width, 3)."""
    scale = max(width / image.shape[1], height / image.shape[0])
    size = (max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = image if size == image.shape[1::-1] else np.asarray(cv2.resize(image, size, interpolation=method))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(scaled[top : top + height, left : left + width])


@dataclass(frozen=True)
class StillBackground:
    """A color or a picture."""

    image: ByteArray
    """(H, W, 3) uint8."""

    def at(self, time_s: float) -> ByteArray:
        return self.image

    def close(self) -> None:
        """Nothing is held."""


class VideoBackground:
    """A video that goes round and round. One frame is in memory."""

    def __init__(self, path: Path, width: int, height: int) -> None:
        """Open the video.

        Args:
            path: of the video.
            width, height: of the frames that are given, pixels.

        Raises:
            MissingFileError, MediaError: it cannot be read.
        """
        self._path, self._size = path, (width, height)
        with VideoReader(path) as reader:
            self._period_s = 1 / float(reader.info.frame_rate)
        self._frames = self._endless()
        self._shown, self._next = next(self._frames), next(self._frames)
        self._image = cover(self._shown.image, width, height)

    def at(self, time_s: float) -> ByteArray:
        changed = False
        while self._next.time_s <= time_s + SAME_TIME_S:
            self._shown, self._next = self._next, next(self._frames)
            changed = True
        if changed:
            self._image = cover(self._shown.image, *self._size)
        return self._image

    def close(self) -> None:
        self._frames.close()

    def _endless(self) -> Generator[Frame]:
        """The frames of the video, again and again, with times that go on."""
        begin_s = 0.0
        for _ in itertools.count():
            last_s = None
            with VideoReader(self._path) as reader:
                for frame in reader:
                    last_s = frame.time_s
                    yield Frame(frame.image, begin_s + frame.time_s)
            if last_s is None:
                raise MediaError(f"{self._path} has no frames; give another background.")
            begin_s += last_s + self._period_s


def _read_picture(path: Path) -> ByteArray | None:
    """A picture file, upright, (H, W, 3) uint8; None where it is none. What is transparent in it becomes black.

    Raises:
        MediaError: it is damaged, or too large.
    """
    try:
        with Image.open(path) as file:
            if getattr(file, "is_animated", False):
                return None
            upright = ImageOps.exif_transpose(file).convert("RGBA")
            black = Image.new("RGBA", upright.size, (0, 0, 0, 255))
            return np.asarray(Image.alpha_composite(black, upright).convert("RGB"), np.uint8)
    except UnidentifiedImageError:
        return None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path} cannot be read as a picture: {error}.") from error
