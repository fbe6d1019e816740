"""Video files as upright RGB frames at their presentation times."""

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
from talkinghead.media.colors import EXACT_COLORS, fill_in_colors
from talkinghead.media.containers import (
    TRUNCATED_FRAMES,
    declared_duration_s,
    decode_frames,
    find_video_stream,
    is_truncated,
    open_input,
    stream_frame_rate,
    stream_time_base,
)
from talkinghead.structures import DEFAULT_TRACKS, ByteArray, Frame, Tracks, VideoInfo

SEEK_TOLERANCE_S = 1e-4
"""Seconds. Times that differ by no more count as the same: containers round them."""


def read_video_info(path: Path, tracks: Tracks = DEFAULT_TRACKS) -> VideoInfo:
    """Size, frame rate and declared length of a video; its first frame is decoded, because it carries the rotation.

    Raises:
        MissingFileError, MediaError, NoVideoError: as `VideoReader`.
    """
    with VideoReader(path, tracks) as reader:
        return reader.info


class VideoReader:
    """Iterates once over the frames of a video: upright, full-range RGB, at strictly increasing times from 0.

    Colors: matrix and range are the stream's own. Where it does not say, the range is limited and the matrix BT.709
    from 720 rows on, BT.601 below. Sizes: frames whose size differs from the first one's are scaled to it; pixels are
    taken as square. Times: those that are missing or do not increase are replaced by the previous time plus one frame
    duration. Packets that cannot be decoded are skipped.

    Raises:
        MissingFileError, MediaError, NoVideoError: on opening, if there is no such file, it is damaged or not
            supported, or it has no video.
        MediaError: at the end of the iteration, if the file is clearly shorter than it declares.
    """

    info: VideoInfo

    def __init__(self, path: Path, tracks: Tracks = DEFAULT_TRACKS) -> None:
        """Args:
        path: any video file.
        tracks: which of its video tracks is read.
        """
        self._path = Path(path)
        self._container = open_input(self._path)
        try:
            self._stream = find_video_stream(self._container, self._path, tracks.video)
            self._stream.thread_type = "AUTO"
            self._decoded = self._decode()
            self._first = self._decode_first()
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
        """Close the file; no frame can be read after it."""
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        step_s = 1 / self.info.frame_rate
        time_s, count, end_s = -step_s, 0, Fraction(0)
        for frame in self._remaining():
            time_s = self._presentation_time(frame, after_s=time_s, step_s=step_s)
            count += 1
            end_s = time_s + max(step_s, frame.duration * stream_time_base(self._stream))
            yield Frame(image=self._to_image(frame), time_s=float(time_s))
        self._check_complete(count, end_s)

    def frames_from(self, time_s: float) -> Iterator[Frame]:
        """The frames shown at `time_s` (seconds from the first frame) and later; decoding starts at a key frame before.

        Times are the stream's own: a file whose times `__iter__` has to repair should be read from its start.

        Raises:
            MediaError: the file cannot be read any further.
        """
        time_base = stream_time_base(self._stream)
        earliest_s = time_s - SEEK_TOLERANCE_S
        if earliest_s > 0 and self._first.pts is not None:
            target = self._first.pts + int(earliest_s / time_base)
            # Not every container allows seeking; one that does not is read from its start.
            with contextlib.suppress(av.FFmpegError):
                self._container.seek(target, stream=self._stream, backward=True)
                self._decoded = self._decode()
                self._first_is_next = False
        for frame in self._remaining():
            if frame.pts is None or self._first.pts is None:
                continue
            shown_s = float((frame.pts - self._first.pts) * time_base)
            if shown_s >= earliest_s:
                yield Frame(image=self._to_image(frame), time_s=shown_s)

    def _decode(self) -> Iterator[VideoFrame]:
        return cast(Iterator[VideoFrame], decode_frames(self._container, self._stream))

    def _decode_first(self) -> VideoFrame:
        first = next(self._decoded, None)
        if first is None:
            raise MediaError(f"{self._path}: no frame of the video can be decoded; the file is damaged")
        return first

    def _remaining(self) -> Iterator[VideoFrame]:
        """Decoded frames from here on; the first one was already taken from the decoder when the file was opened."""
        if self._first_is_next:
            yield self._first
        yield from self._decoded

    def _describe(self) -> VideoInfo:
        stored = (self._first.width, self._first.height)
        width, height = reversed(stored) if self._orientation.transposed else stored
        return VideoInfo(
            width=width,
            height=height,
            frame_rate=stream_frame_rate(self._stream),
            duration_s=declared_duration_s(self._container, self._stream),
            has_audio=bool(self._container.streams.audio),
        )

    def _presentation_time(self, frame: VideoFrame, after_s: Fraction, step_s: Fraction) -> Fraction:
        """Seconds from the first frame, later than `after_s`, the time of the frame before."""
        if frame.pts is not None and self._first.pts is not None:
            time_s = (frame.pts - self._first.pts) * stream_time_base(self._stream)
            if time_s > after_s:
                return time_s
        return after_s + step_s

    def _to_image(self, frame: VideoFrame) -> ByteArray:
        """(H, W, 3) uint8 RGB, full range, upright, contiguous."""
        fill_in_colors(frame)
        rgb = self._converter.reformat(
            frame,
            width=self._first.width,
            height=self._first.height,
            format="gbrp",  # swscale converts to planes twice as fast as to packed RGB, with the same result
            dst_color_range=ColorRange.JPEG,
            interpolation=EXACT_COLORS,
            threads=1,  # at these sizes swscale's own threads cost more than they save
        )
        return self._orientation.upright(cast(ByteArray, rgb.to_ndarray()))

    def _check_complete(self, count: int, end_s: Fraction) -> None:
        if is_truncated(self._stream, end_s, tolerance_s=TRUNCATED_FRAMES / self.info.frame_rate):
            raise MediaError(f"{self._path}: truncated: {count} of {self._stream.frames} frames; copy the file again")


class _Orientation:
    """Turns stored images upright, as the display matrix of the video's first frame says.

    The matrix [[a, b], [c, d]] maps a stored position (x, y) to the displayed one (a x + c y, b x + d y), see the
    track header of ISO/IEC 14496-12. Rotations are rounded to right angles.
    """

    def __init__(self, frame: VideoFrame) -> None:
        a, b, c, d = _display_matrix(frame)
        # Where b outweighs a, a stored row becomes a displayed column; the sign on each axis says whether to mirror it.
        self.transposed = abs(b) > abs(a)
        self._step_x = -1 if (c if self.transposed else a) < 0 else 1
        self._step_y = -1 if (b if self.transposed else d) < 0 else 1

    def upright(self, image: ByteArray) -> ByteArray:
        """(H, W, 3) as stored -> (H, W, 3), or (W, H, 3) if `transposed`, contiguous."""
        turned = image.swapaxes(0, 1) if self.transposed else image
        return np.ascontiguousarray(turned[:: self._step_y, :: self._step_x])


def _display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """a, b, c and d in fixed point; those of the identity where the file has no display matrix."""
    side_data = cast(Mapping[str, Any], frame.side_data)
    if "DISPLAYMATRIX" not in side_data:
        return 1, 0, 0, 1
    # Row by row, nine numbers: a, b, u, c, d, v, x, y, w.
    a, b, _, c, d = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), dtype=np.int32)[:5].tolist()
    return a, b, c, d
