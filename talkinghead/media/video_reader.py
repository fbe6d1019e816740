"""Video files as upright RGB frames at their presentation times."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from talkinghead.errors import MediaError
from talkinghead.files import sha256_of
from talkinghead.media.colors import EXACT_COLORS, EXACT_SCALING, check_colors, fill_in_colors
from talkinghead.media.containers import (
    TRUNCATED_FRAMES,
    declared_duration_s,
    decode_frames,
    find_video_stream,
    is_truncated,
    open_input,
    stream_time_base,
    video_key,
)
from talkinghead.media.frame_rate import LONGEST_GAP_S, fill_times
from talkinghead.media.interlacing import Deinterlacer
from talkinghead.media.pixel_aspect import checked_pixel_aspect, square_size_px
from talkinghead.media.planes import chroma_siting, coding_of, converter, planes_of, turned, turned_coding
from talkinghead.media.tone_mapping import ToneMapper
from talkinghead.media.video_probe import declared_rates, probe_video
from talkinghead.structures import (
    DEFAULT_TRACKS,
    ByteArray,
    Coding,
    Frame,
    Picture,
    PictureTreatment,
    Planes,
    Tracks,
    VideoInfo,
)

SEEK_TOLERANCE_S = 1e-4
"""Seconds. Times that differ by no more count as the same: containers round them."""
READING = 2
"""Version of what reading does to videos, part of the keys under which results are cached."""
NOTABLE_RATE_DIFFERENCE = 0.01
"""Share by which a declared rate may differ from the one found before it is worth a word."""


def read_video_info(path: Path, tracks: Tracks = DEFAULT_TRACKS) -> VideoInfo:
    """Size, frame rate and declared length of a video; its first frame is decoded, because it carries the rotation.

    Raises:
        MissingFileError, MediaError, NoVideoError: as `VideoReader`.
    """
    with VideoReader(path, tracks) as reader:
        return reader.info


def pictures_key(path: Path, tracks: Tracks = DEFAULT_TRACKS) -> str:
    """Names the frames that reading a video gives: by its content and track, and by what reading does to it.

    Raises:
        MissingFileError, MediaError, NoVideoError: as `VideoReader`.
    """
    content = sha256_of(path)[:32]
    treatment = str(read_video_info(path, tracks).treatment)
    treated = f"-{hashlib.sha256(treatment.encode()).hexdigest()[:8]}" if treatment else ""
    return f"{content}-{READING}{video_key(path, tracks)}{treated}"


class VideoReader:
    """Iterates once over the frames of a video as a player shows them: upright, in full-range RGB of BT.709, with
    square pixels, whole instead of interlaced, at strictly increasing times from 0.

    Pictures become RGB when that is asked for. Where the decoder's planes are shown as they are, in a sampling that
    encoders take (`info.coding`), pictures have them as well.

    Everything that looks at a video reads it here, so that frame numbers, sizes and colors are the same everywhere;
    `info.treatment` says what was done.

    Colors: matrix and range are the stream's own. Where it does not say, the range is limited and the matrix BT.709
    from 720 rows on, BT.601 below. HDR and wide gamut are converted, see `tone_mapping`. Sizes: frames whose size
    differs from the first one's are scaled to it. Pixels that are not square, as the container or else the codec has
    it, are stretched to square ones along their shorter side. Interlaced frames, by their flags or by what is seen, are
    deinterlaced, see `interlacing`. Times: those that are missing or do not increase are replaced by the previous time
    plus one frame duration. In gaps, the frame before is repeated at the nominal rate, see `frame_rate`. Packets that
    cannot be decoded are skipped.

    Raises:
        MissingFileError, MediaError, NoVideoError: on opening, if there is no such file, it is damaged or not
            supported, or it has no video.
        MediaError: in the iteration, at a gap of more than `LONGEST_GAP_S`, and at the end, if the file is clearly
            shorter than it declares.
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
            self._probe = probe_video(self._path, tracks)
            self._decoded = self._decode()
            self._first = self._decode_first()
            check_colors(self._first, self._stream.codec_context.codec_tag, self._path)
            self._tone_mapper = ToneMapper.of(self._first)
            self._pixel_aspect = checked_pixel_aspect(self._stream, self._path)
            self._size_px = square_size_px(self._first.width, self._first.height, self._pixel_aspect)
            self._first_is_next = True
            self._orientation = _Orientation(self._first)
            self._stored, self._coding = self._codings()
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
        count, end_s = 0, Fraction(0)

        def timed() -> Iterator[tuple[VideoFrame, Fraction]]:
            nonlocal count, end_s
            time_s = -step_s
            for frame in self._remaining():
                time_s = self._presentation_time(frame, after_s=time_s, step_s=step_s)
                count += 1
                end_s = time_s + max(step_s, frame.duration * stream_time_base(self._stream))
                yield frame, time_s

        yield from self._shown(timed(), Fraction(0))
        self._check_complete(count, end_s)

    def frames_from(self, time_s: float) -> Iterator[Frame]:
        """The frames shown at `time_s` (seconds from the first frame) and later; decoding starts at a key frame before.

        Times are the stream's own: a file whose times `__iter__` has to repair should be read from its start.

        Raises:
            MediaError: the file cannot be read any further.
        """
        time_base = stream_time_base(self._stream)
        earliest_s = Fraction(time_s - SEEK_TOLERANCE_S)
        if earliest_s > 0 and self._first.pts is not None:
            # A deinterlaced frame needs the one before it.
            before_s = 2 / self.info.frame_rate if self.info.treatment.deinterlaced else 0
            target = self._first.pts + int(max(Fraction(0), earliest_s - before_s) / time_base)
            # Not every container allows seeking; one that does not is read from its start.
            with contextlib.suppress(av.FFmpegError):
                self._container.seek(target, stream=self._stream, backward=True)
                self._decoded = self._decode()
                self._first_is_next = False
        yield from self._shown(
            (
                (frame, (frame.pts - self._first.pts) * time_base)
                for frame in self._remaining()
                if frame.pts is not None and self._first.pts is not None
            ),
            earliest_s,
        )

    def _shown(self, timed: Iterable[tuple[VideoFrame, Fraction]], earliest_s: Fraction) -> Iterator[Frame]:
        """Frames from a time on, with those that are repeated in gaps."""
        before: tuple[VideoFrame, Fraction] | None = None
        for frame, time_s in timed:
            for repeated_s in () if before is None else self._fill_times(before[1], time_s):
                if before is not None and repeated_s >= earliest_s:
                    yield Frame(self._picture(before[0]), float(repeated_s))
            if time_s >= earliest_s:
                yield Frame(self._picture(frame), float(time_s))
            before = frame, time_s

    def _fill_times(self, shown_s: Fraction, next_s: Fraction) -> list[Fraction]:
        """When a frame is repeated before the next one."""
        if next_s - shown_s > LONGEST_GAP_S:
            raise MediaError(
                f"{self._path}: no frame for {float(next_s - shown_s):.0f} s after {float(shown_s):.2f} s; "
                "cut the video there"
            )
        return fill_times(shown_s, next_s, self.info.frame_rate, stream_time_base(self._stream))

    def _decode(self) -> Iterator[VideoFrame]:
        decoded = cast(Iterator[VideoFrame], decode_frames(self._container, self._stream))
        order = self._probe.interlacing.order
        # What is flagged is left to the flags of each frame, since such video may be partly progressive.
        all_frames = order is not None and not self._probe.is_flagged
        try:
            yield from Deinterlacer(order, all_frames=all_frames).frames(decoded)
        except av.FFmpegError as error:
            raise MediaError(f"{self._path}: cannot be deinterlaced ({error.strerror}); convert it") from error

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
        width, height = reversed(self._size_px) if self._orientation.transposed else self._size_px
        return VideoInfo(
            width=width,
            height=height,
            frame_rate=self._probe.frame_rate,
            duration_s=declared_duration_s(self._container, self._stream),
            has_audio=bool(self._container.streams.audio),
            treatment=self._treatment(),
            coding=self._coding,
        )

    def _treatment(self) -> PictureTreatment:
        probe, declared = self._probe, next(iter(declared_rates(self._stream)), None)
        differs = declared is None or abs(declared / probe.frame_rate - 1) > NOTABLE_RATE_DIFFERENCE
        return PictureTreatment(
            pixel_aspect=self._pixel_aspect,
            tone_mapped=None if self._tone_mapper is None else self._tone_mapper.name,
            deinterlaced=probe.interlaced_as,
            filled_frames=probe.filled_frames,
            found_rate=probe.frame_rate if differs else None,
        )

    def _presentation_time(self, frame: VideoFrame, after_s: Fraction, step_s: Fraction) -> Fraction:
        """Seconds from the first frame, later than `after_s`, the time of the frame before."""
        if frame.pts is not None and self._first.pts is not None:
            time_s = (frame.pts - self._first.pts) * stream_time_base(self._stream)
            if time_s > after_s:
                return time_s
        return after_s + step_s

    def _codings(self) -> tuple[Coding | None, Coding | None]:
        """Of the planes as they are stored, and as they are shown; None where pictures are RGB alone."""
        first = self._first
        if self._tone_mapper is not None or self._size_px != (first.width, first.height) or first.format.is_rgb:
            return None, None
        primaries, transfer = int(first.color_primaries), int(first.color_trc)
        fill_in_colors(first)
        stored = coding_of(first, primaries, transfer, chroma_siting(self._stream))
        return stored, None if stored is None else self._orientation.upright_coding(stored)

    def _picture(self, frame: VideoFrame) -> Picture:
        def make_planes() -> Planes:
            assert self._stored is not None and self._coding is not None
            return self._orientation.upright_planes(planes_of(frame, self._stored), self._coding)

        # A video may change its size or format on the way.
        is_alike = (frame.width, frame.height) == self._size_px and frame.format.name == self._first.format.name
        coding = self._coding if is_alike else None
        return Picture(lambda: self._to_image(frame), None if coding is None else make_planes, coding)

    def _to_image(self, frame: VideoFrame) -> ByteArray:
        """(H, W, 3) uint8 RGB, full range, upright, contiguous."""
        fill_in_colors(frame)
        width, height = self._size_px
        scaled = self._size_px != (frame.width, frame.height)
        swscale = converter()
        rgb = swscale.reformat(
            frame,
            width=width,
            height=height,
            # swscale converts to planes twice as fast as to packed RGB. With 8 bits the result is the same; packed into
            # 16, it is wrong with these options.
            format="gbrp" if self._tone_mapper is None else "gbrp16le",
            dst_color_range=ColorRange.JPEG,
            interpolation=EXACT_SCALING if scaled else EXACT_COLORS,
            threads=1,  # at these sizes swscale's own threads cost more than they save
        ).to_ndarray()
        image = rgb if self._tone_mapper is None else self._tone_mapper(cast(NDArray[np.uint16], rgb))
        return self._orientation.upright(cast(ByteArray, image))

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
        flipped = image.swapaxes(0, 1) if self.transposed else image
        return np.ascontiguousarray(flipped[:: self._step_y, :: self._step_x])

    @property
    def _is_upright(self) -> bool:
        """Whether images are stored as they are shown."""
        return not self.transposed and self._step_x == self._step_y == 1

    def upright_coding(self, coding: Coding) -> Coding | None:
        """The coding of planes that are turned upright; None where none fits."""
        steps = self._step_y, self._step_x
        return coding if self._is_upright else turned_coding(coding, transposed=self.transposed, steps=steps)

    def upright_planes(self, planes: Planes, coding: Coding) -> Planes:
        """Planes as they are shown; `coding` is what they have then."""
        steps = self._step_y, self._step_x
        return planes if self._is_upright else turned(planes, coding, transposed=self.transposed, steps=steps)


def _display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """a, b, c and d in fixed point; those of the identity where the file has no display matrix."""
    side_data = cast(Mapping[str, Any], frame.side_data)
    if "DISPLAYMATRIX" not in side_data:
        return 1, 0, 0, 1
    # Row by row, nine numbers: a, b, u, c, d, v, x, y, w.
    a, b, _, c, d = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), dtype=np.int32)[:5].tolist()
    return a, b, c, d
