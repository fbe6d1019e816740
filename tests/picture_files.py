"""Videos whose pictures are not stored as they are shown: interlaced, in HDR, with pixels that are not square."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from talkinghead.structures import ByteArray

SIZE_PX = 128
"""Side of the scenes."""


def scene(moment: int, stripes: int = 0) -> ByteArray:
    """(128, 128, 3) uint8, a soft texture that moves 3 px to the right from moment to moment; or horizontal stripes.

    Args:
        moment: number of the moment.
        stripes: rows in which the pattern of stripes repeats itself; it moves down one row at a time, and flickers.
    """
    if stripes:
        rows = (np.arange(SIZE_PX) + moment) % stripes < max(1, stripes // 2)
        light = 150 + 50 * np.sin(moment)
        return np.repeat(np.repeat((light * rows).astype(np.uint8)[:, None, None], SIZE_PX, 1), 3, 2)
    noise = np.random.default_rng(5).integers(0, 256, (SIZE_PX, 4 * SIZE_PX)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 3)
    soft = (soft - soft.min()) / (soft.max() - soft.min())
    start = 3 * SIZE_PX - 3 * moment
    gray = (20 + 200 * soft[:, start : start + SIZE_PX]).astype(np.uint8)
    return np.repeat(gray[..., None], 3, 2)


def woven(first: ByteArray, second: ByteArray, top_first: bool) -> ByteArray:
    """One interlaced frame of two moments."""
    frame = second.copy()
    frame[0 if top_first else 1 :: 2] = first[0 if top_first else 1 :: 2]
    return frame


def interlaced(count: int, top_first: bool) -> list[ByteArray]:
    """Interlaced frames of the scene: number n shows the moments 2n and 2n + 1."""
    return [woven(scene(2 * number), scene(2 * number + 1), top_first) for number in range(count)]


def telecined(count: int) -> list[ByteArray]:
    """Frames of 3:2 telecine, top field first: A A, B B, B C, C D, D D of every four."""
    frames = []
    for number in range(count):
        cycle, place = divmod(number, 5)
        first, second = ((0, 0), (1, 1), (1, 2), (2, 3), (3, 3))[place]
        frames.append(woven(scene(4 * cycle + first), scene(4 * cycle + second), top_first=True))
    return frames


def write_lossless(path: Path, images: Sequence[ByteArray], *, rate: Fraction = Fraction(25), flags: str = "") -> Path:
    """H.264 without loss in luma; `flags` is "tff" or "bff" for video that is flagged as interlaced."""
    options = {"qp": "0", "g": "12", **({"x264-params": f"{flags}=1"} if flags else {})}
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream("libx264", rate=rate, options=options))
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_with_pixel_aspect(path: Path, image: ByteArray, aspect: Fraction, codec: str) -> Path:
    """A few frames whose pixels have a shape; VP9 in MP4 has it in the container alone, raw H.264 in the codec."""
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=25, options={"crf": "4", "b": "0"}))
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_colors(
    path: Path, signal: NDArray[np.float64], transfer: int, primaries: int, matrix: int, red_blue: tuple[float, float]
) -> Path:
    """10-bit video of one color, tagged by H.273's numbers; the YCbCr values are computed here, in limited range.

    Args:
        path: to be written.
        signal: (3,) RGB after the transfer function, 0 to 1.
        transfer, primaries, matrix: H.273's numbers.
        red_blue: weights of red and blue in the matrix.
    """
    red_weight, blue_weight = red_blue
    luma = float(signal @ [red_weight, 1 - red_weight - blue_weight, blue_weight])
    blue = (signal[2] - luma) / (2 * (1 - blue_weight))
    red = (signal[0] - luma) / (2 * (1 - red_weight))
    frame = av.VideoFrame(64, 64, "yuv420p10le")
    for plane, value in zip(frame.planes, (64 + 876 * luma, 512 + 896 * blue, 512 + 896 * red), strict=True):
        plane.update(np.full(plane.buffer_size // 2, round(value), "<u2").tobytes())
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream("libx264", rate=25, options={"qp": "0"}))
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        stream.colorspace, stream.color_range = matrix, 1
        stream.color_trc, stream.color_primaries = transfer, primaries
        frame.colorspace, frame.color_range = matrix, 1
        for number in range(3):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
