"""Clips of every sampling, matrix and range for the tests, stored without loss."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from talkinghead.media.planes import SAMPLINGS
from talkinghead.structures import ByteArray

CODINGS = [(pixels, full, matrix) for pixels in SAMPLINGS for full, matrix in ((False, 1), (True, 6))]
"""Pixel format, whether the range is full, H.273's number of the matrix."""
WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114)}
"""Shares of red and blue in luma by the number of the matrix."""


def coded(image: ByteArray, pixels: str, full: bool, matrix: int) -> list[NDArray[Any]]:
    """Luma, Cb and Cr of RGB by H.273's equations, chroma averaged over its pixels."""
    red, green, blue = np.moveaxis(image / 255.0, -1, 0)
    r, b = WEIGHTS[matrix]
    y = r * red + (1 - r - b) * green + b * blue
    bits = 10 if pixels.endswith("10le") else 8
    unit, most = 1 << (bits - 8), (1 << bits) - 1
    black, span, chroma = (0, most, most) if full else (16 * unit, 219 * unit, 224 * unit)
    down, across = {"420": (2, 2), "422": (1, 2), "444": (1, 1)}[pixels[3:6]]
    planes = [black + span * y]
    for color, weight in ((blue, b), (red, r)):
        difference = (color - y) / (2 * (1 - weight))
        height, width = difference.shape
        mean = difference.reshape(height // down, down, width // across, across).mean((1, 3))
        planes.append((1 << (bits - 1)) + chroma * mean)
    return [np.rint(plane).clip(0, most).astype(np.uint8 if bits == 8 else "<u2") for plane in planes]


def write_planes(
    path: Path,
    frames: Sequence[Sequence[NDArray[Any]]],
    pixels: str,
    full: bool,
    matrix: int,
    *,
    rotation: int = 0,
    chroma_at: str = "left",
) -> Path:
    """A clip of 25 frames a second, each of luma, Cb and Cr, by x264 without loss."""
    with av.open(str(path), "w") as container:
        settings = {"qp": "0", "preset": "ultrafast"} | (
            {"chroma_sample_location": chroma_at} if "420" in pixels else {}
        )
        stream = cast(VideoStream, container.add_stream("libx264", rate=25, options=settings))
        stream.height, stream.width = frames[0][0].shape
        stream.pix_fmt = pixels
        stream.colorspace, stream.color_range = matrix, 2 if full else 1
        stream.color_primaries = stream.color_trc = 1
        stream.codec_context.time_base = Fraction(1, 25)
        if rotation:
            stream.set_display_rotation(rotation)
        for number, planes in enumerate(frames):
            frame = av.VideoFrame(stream.width, stream.height, pixels)
            for place, plane in zip(frame.planes, planes, strict=True):
                rows = np.zeros((place.height, place.line_size // plane.itemsize), plane.dtype)
                rows[:, : place.width] = plane
                place.update(rows.tobytes())
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def arrays_of(frame: av.VideoFrame) -> list[NDArray[Any]]:
    """Copies of the planes of a frame, by PyAV alone."""
    dtype = "<u2" if frame.format.name.endswith("10le") else np.uint8
    return [
        np.frombuffer(bytes(plane), dtype).reshape(plane.height, -1)[:, : plane.width].copy() for plane in frame.planes
    ]


def decoded_planes(path: Path) -> list[list[NDArray[Any]]]:
    """The planes of every frame of a clip, by PyAV alone."""
    with av.open(str(path)) as container:
        return [arrays_of(frame) for frame in container.decode(video=0)]
