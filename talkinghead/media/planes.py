"""Planes of luma and chroma: from and to the frames of FFmpeg, and from RGB.

A chroma sample is taken to lie in the middle of its pixels, as swscale has it, wherever the video says that it lies.
That is the same in both directions, so that what is converted to RGB and back comes to lie where it was.
"""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from talkinghead.media.colors import EXACT_COLORS
from talkinghead.structures import ByteArray, Coding, Planes

SAMPLINGS = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")
"""Pixel formats that pass through as planes."""
STANDARD = Coding("yuv420p", matrix=1, is_full_range=False, chroma_at="center")
"""BT.709, limited range, with chroma where swscale puts it: what RGB is written as."""
_UNSPECIFIED = (0, 2)
"""H.273's numbers of primaries and transfers that a video does not name."""
_BT709 = 1
_SMPTE170M, _BT470BG = 6, 5
"""Two numbers of BT.601's matrix, of which swscale knows the second."""
_SITINGS = {"left": (0, 1), "center": (1, 1), "topleft": (0, 0), "top": (1, 0), "bottom": (1, 2), "bottomleft": (0, 2)}
"""Where chroma samples may lie: half columns and half rows from the first of their pixels."""
_MATROSKA_SITINGS = {(1, 2): "left", (2, 2): "center", (1, 1): "topleft", (2, 1): "top"}
"""The same by ChromaSitingHorz and ChromaSitingVert of Matroska."""
_of_thread = threading.local()


def converter() -> VideoReformatter:
    """swscale for this thread: it keeps tables for the last conversion, and must not be used by two threads at once."""
    if not hasattr(_of_thread, "converter"):
        _of_thread.converter = VideoReformatter()
    found: VideoReformatter = _of_thread.converter
    return found


def coding_of(frame: VideoFrame, primaries: int, transfer: int, chroma_at: str) -> Coding | None:
    """How the planes of a decoded frame stand for colors; None where they are not taken as they are.

    Args:
        frame: with its matrix and range filled in, see `colors.fill_in_colors`.
        primaries, transfer: as the video names them, by H.273's numbers.
        chroma_at: see `chroma_siting`.
    """
    pixels = frame.format.name.replace("yuvj", "yuv")
    if pixels not in SAMPLINGS:
        return None
    coding = Coding(
        pixels,
        int(frame.colorspace),
        frame.color_range == ColorRange.JPEG,
        _BT709 if primaries in _UNSPECIFIED else primaries,
        _BT709 if transfer in _UNSPECIFIED else transfer,
        chroma_at if pixels[3:6] == "420" else "unspecified",
    )
    rows, columns = coding.step
    return None if frame.height % rows or frame.width % columns else coding


def chroma_siting(stream: VideoStream) -> str:
    """Where the chroma samples of a 4:2:0 stream lie, by FFmpeg's names; "unspecified" where that is not known.

    PyAV does not tell; a header of Matroska does, written for the stream.
    """
    header = io.BytesIO()
    try:
        with av.open(header, "w", "matroska") as container:
            container.add_stream_from_template(stream)
            container.start_encoding()
            written = header.getvalue()
    except (av.FFmpegError, ValueError):  # a codec that Matroska does not hold
        return "unspecified"
    found = [written.find(name) + len(name) for name in (b"\x55\xb7\x81", b"\x55\xb8\x81")]
    if min(found) < 3:  # one of them is not there
        return "unspecified"
    across, down = (written[place] for place in found)
    return _MATROSKA_SITINGS.get((across, down), "unspecified")


def planes_of(frame: VideoFrame, coding: Coding) -> Planes:
    """The planes of a decoded frame, without copying; they are not to be written to."""
    luma, blue, red = (_array(frame, number, coding.bits) for number in range(3))
    return Planes(luma, (blue, red), coding)


def to_frame(planes: Planes) -> VideoFrame:
    """A new frame of FFmpeg's with these planes, and nothing else that a decoded frame carries."""
    height, width = planes.luma.shape
    frame = VideoFrame(width, height, planes.coding.pixels)
    for number, plane in enumerate((planes.luma, *planes.chroma)):
        _array(frame, number, planes.coding.bits)[:] = plane
    frame.colorspace = swscale_matrix(planes.coding)
    frame.color_range = ColorRange.JPEG if planes.coding.is_full_range else ColorRange.MPEG
    return frame


def from_image(image: ByteArray, pixels: str, coding: Coding) -> VideoFrame:
    """RGB as a frame of FFmpeg's.

    Args:
        image: (H, W, 3) uint8 RGB, or (H, W, 4) with alpha; an odd side grows by a copy of its last row or column.
        pixels: FFmpeg's name of the format of the frame.
        coding: gives matrix and range.
    """
    height, width = image.shape[:2]
    if width % 2 or height % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return converter().reformat(
        VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgba" if image.shape[2] == 4 else "rgb24"),
        format=pixels,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG if coding.is_full_range else ColorRange.MPEG,
        dst_colorspace=swscale_matrix(coding),
        interpolation=EXACT_COLORS,
        threads=1,  # at these sizes swscale's own threads cost more than they save
    )


def resampled(planes: Planes, coding: Coding) -> VideoFrame:
    """Planes as a frame of another sampling or depth, of the same matrix and range; samples of luma stay as they are
    where the depth does."""
    frame = to_frame(planes)
    return converter().reformat(frame, format=coding.pixels, interpolation=EXACT_COLORS, threads=1)


def turned(planes: Planes, coding: Coding, *, transposed: bool, steps: tuple[int, int]) -> Planes:
    """Planes mirrored and turned by right angles.

    Args:
        planes: as they are stored.
        coding: of the result, see `turned_coding`.
        transposed: whether rows become columns.
        steps: 1, or -1 to mirror, down and across, of the result.
    """
    arrays = [
        np.ascontiguousarray((plane.T if transposed else plane)[:: steps[0], :: steps[1]])
        for plane in (planes.luma, *planes.chroma)
    ]
    return Planes(arrays[0], (arrays[1], arrays[2]), coding)


def turned_coding(coding: Coding, *, transposed: bool, steps: tuple[int, int]) -> Coding | None:
    """The coding of planes that are turned, see `turned`; None where chroma would come to lie where none may."""
    rows, columns = coding.step
    if rows != columns:  # turned, 4:2:2 has no name; mirrored, its chroma samples lie on the other pixel
        return None
    if rows == 1:
        return coding
    across, down = _SITINGS.get(coding.chroma_at, _SITINGS["left"])  # unless a stream says otherwise, it is left
    if transposed:
        across, down = down, across
    down, across = (down if steps[0] > 0 else 2 - down), (across if steps[1] > 0 else 2 - across)
    found = next((name for name, place in _SITINGS.items() if place == (across, down)), None)
    return None if found is None else replace(coding, chroma_at=found)


def swscale_matrix(coding: Coding) -> int:
    """The matrix by the number that swscale knows."""
    return _BT470BG if coding.matrix == _SMPTE170M else coding.matrix


def _array(frame: VideoFrame, number: int, bits: int) -> NDArray[Any]:
    """A plane of a frame, (H, W), sharing its memory."""
    plane = frame.planes[number]
    samples = np.frombuffer(memoryview(plane), np.uint8 if bits == 8 else "<u2")
    return samples.reshape(plane.height, -1)[:, : plane.width]
