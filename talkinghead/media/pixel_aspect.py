"""Pixels that are not square: what a file says of their shape, and the size of its frames in square pixels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from av.video.stream import VideoStream

from talkinghead.errors import MediaError
from talkinghead.media.containers import MAX_PIXELS

LARGEST_ASPECT = 4
"""Ratio of the sides of a pixel; anamorphic video has 2 at most, more is a damaged header."""


def checked_pixel_aspect(stream: VideoStream, path: Path) -> Fraction:
    """Width of a stored pixel by its height: as the container says, else as the codec does, else 1.

    Raises:
        MediaError: it is more than `LARGEST_ASPECT`, or its inverse; `path` is for the message.
    """
    aspect = stream.sample_aspect_ratio
    if not aspect or aspect < 0:
        return Fraction(1)
    if not Fraction(1, LARGEST_ASPECT) <= aspect <= LARGEST_ASPECT:
        raise MediaError(f"{path}: pixels of {aspect.numerator}:{aspect.denominator} are not plausible; convert it")
    size_px = square_size_px(stream.width, stream.height, Fraction(aspect))
    if size_px[0] * size_px[1] > MAX_PIXELS:
        raise MediaError(f"{path}: frames of {size_px[0]} x {size_px[1]} are too large; scale the video down")
    return Fraction(aspect)


def square_size_px(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Width and height of a frame in square pixels; one of them grows to an even number, none shrinks.

    Args:
        width, height: of the frame as it is stored.
        aspect: width of a stored pixel by its height.
    """
    if aspect > 1:
        return 2 * round(width * aspect / 2), height
    if aspect < 1:
        return width, 2 * round(height / aspect / 2)
    return width, height
