"""Frames of a video file, upright, as full-range RGB, at their presentation times."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter

from talkinghead.errors import MediaError
from talkinghead.media.colors import EXACT_COLORS, settle_colors
from talkinghead.media.containers import (
    TRUNCATED_FRAMES,
    declared_duration_s,
    decoded_frames,
    frame_rate_of,
    main_video_stream,
    open_input,
    stops_short,
    time_base_of,
)
from talkinghead.structures import ByteArray, Frame, VideoInfo

SEEK_TOLERANCE_S = 1e-4
"""Times this much apart are the same: containers round them."""


def read_video_info(path: Path) -> VideoInfo:
    """What is known of a video without reading all of it. One frame is decoded: the rotation is written there.

    Raises MissingFileError, MediaError, NoVideoError.
    """
    with VideoReader(path) as reader:
        return reader.info


class VideoReader:
    """The frames of a video, one after the other: upright, full-range RGB, with strictly increasing times from 0.

    The colour matrix and range are the stream's own; where it does not say, limited range and BT.709 from 720 lines
    on, BT.601 below. Pictures that change size midway are scaled to the first one's. Packets that cannot be decoded
    are skipped. Times that are missing or do not increase are replaced by the last time plus one frame duration.
    Pixels are taken as square. A reader is read once.

    Raises MissingFileError, MediaError and NoVideoError when opened, and MediaError at the end of the iteration where
    the file stops clearly short of the length that it declares.
    """

    info: VideoInfo

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self._container = open_input(self._path)
        try:
            self._stream = main_video_stream(self._container, self._path)
            self._stream.thread_type = "AUTO"
            self._pictures = cast(Iterator[VideoFrame], decoded_frames(self._container, self._stream))
            self._first = _first_picture(self._pictures, self._path)
            self._first_is_next = True
            self._orientation = _Orientation(self._first)
            self._converter = VideoReformatter()
            self.info = self._describe()
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        step = 1 / self.info.frame_rate
        time, count, end = -step, 0, Fraction(0)
        for picture in self._all_pictures():
            time = self._presentation_time(picture, after=time, step=step)
            count += 1
            end = time + max(step, picture.duration * time_base_of(self._stream))
            yield Frame(image=self._image(picture), time_s=float(time))
        self._check_complete(count, end)

    def frames_from(self, time_s: float) -> Iterator[Frame]:
        """The frames shown at `time_s` (seconds) and later, decoded from the key frame before it.

        Times are the stream's own; a file whose times had to be repaired is to be read from its start.
        """
        time_base = time_base_of(self._stream)
        earliest = time_s - SEEK_TOLERANCE_S
        if earliest > 0 and self._first.pts is not None:
            target = self._first.pts + int(earliest / time_base)
            with contextlib.suppress(av.FFmpegError):  # not every container can be sought in: then all is read
                self._container.seek(target, stream=self._stream, backward=True)
                self._pictures = cast(Iterator[VideoFrame], decoded_frames(self._container, self._stream))
                self._first_is_next = False
        for picture in self._all_pictures():
            if picture.pts is None or self._first.pts is None:
                continue
            time = float((picture.pts - self._first.pts) * time_base)
            if time >= earliest:
                yield Frame(image=self._image(picture), time_s=time)

    def _describe(self) -> VideoInfo:
        stored = (self._first.width, self._first.height)
        width, height = reversed(stored) if self._orientation.transposed else stored
        return VideoInfo(
            width=width,
            height=height,
            frame_rate=frame_rate_of(self._stream),
            duration_s=declared_duration_s(self._container, self._stream),
            has_audio=bool(self._container.streams.audio),
        )

    def _all_pictures(self) -> Iterator[VideoFrame]:
        if self._first_is_next:
            yield self._first
        yield from self._pictures

    def _presentation_time(self, picture: VideoFrame, after: Fraction, step: Fraction) -> Fraction:
        if picture.pts is not None and self._first.pts is not None:
            time = (picture.pts - self._first.pts) * time_base_of(self._stream)
            if time > after:
                return time
        return after + step

    def _image(self, picture: VideoFrame) -> ByteArray:
        settle_colors(picture)
        rgb = self._converter.reformat(
            picture,
            width=self._first.width,
            height=self._first.height,
            format="gbrp",  # to planes swscale is twice as quick as to packed RGB, with the same result
            dst_color_range=ColorRange.JPEG,
            interpolation=EXACT_COLORS,
            threads=1,  # swscale's own threads cost more than they save at these sizes
        )
        return self._orientation.upright(cast(ByteArray, rgb.to_ndarray()))

    def _check_complete(self, count: int, end: Fraction) -> None:
        if stops_short(self._stream, end, tolerance=TRUNCATED_FRAMES / self.info.frame_rate):
            raise MediaError(f"{self._path}: truncated: {count} of {self._stream.frames} frames; copy the file again")


class _Orientation:
    """How stored pictures have to be turned to be upright, read from the display matrix of the first one.

    The matrix [[a, b], [c, d]] maps a stored position (x, y) to the displayed one (a x + c y, b x + d y), see the
    track header of ISO/IEC 14496-12. Angles between right angles are rounded.
    """

    def __init__(self, picture: VideoFrame) -> None:
        a, b, c, d = _display_matrix(picture)
        self.transposed = abs(b) > abs(a)
        self._step_x = -1 if (c if self.transposed else a) < 0 else 1
        self._step_y = -1 if (b if self.transposed else d) < 0 else 1

    def upright(self, image: ByteArray) -> ByteArray:
        turned = image.swapaxes(0, 1) if self.transposed else image
        return np.ascontiguousarray(turned[:: self._step_y, :: self._step_x])


def _display_matrix(picture: VideoFrame) -> tuple[int, int, int, int]:
    side_data = cast(Mapping[str, Any], picture.side_data)
    if "DISPLAYMATRIX" not in side_data:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), dtype=np.int32)[:5].tolist()
    return a, b, c, d


def _first_picture(pictures: Iterator[VideoFrame], path: Path) -> VideoFrame:
    first = next(pictures, None)
    if first is None:
        raise MediaError(f"{path}: not one frame of the video can be decoded; the file is damaged")
    return first
