"""Writing video files: H.264 frames and the audio of another file, complete or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from av.video.stream import VideoStream

from talkinghead.errors import OutputError
from talkinghead.files import check_output_path
from talkinghead.media.audio_writer import AudioTrack
from talkinghead.media.colors import EXACT_COLORS
from talkinghead.structures import ByteArray, Frame

MIN_TICKS_HZ = 90_000
"""Least resolution of the timestamps written."""
STANDARD_TAGS = frozenset({"title", "artist", "album", "comment", "copyright", "date", "description", "genre"})
"""Metadata keys that the classic MP4 tag list knows; others need the key-value form."""


class VideoWriter:
    """Writes frames, and the sound of another file, as H.264 (yuv420p, BT.709, limited range) and AAC.

    Frame times are kept: exactly for a constant `frame_rate`, else to within 6 microseconds. The last frame lasts
    1 / `frame_rate`. The whole sound of `audio_from` is taken over with its start and length, beside the frames and
    not after them; its rate is kept where AAC knows it (else 48 kHz), mono and stereo stay, more channels become
    stereo. A width or height that is odd grows by a copy of the last column or row, because 4:2:0 has no odd sizes.

    The file appears under its name only when it is complete: until the `with` block ends without an exception it is
    a hidden file in the same folder, and an exception removes that. `finishing` is called with the complete file before
    it takes its name, and may change it.

    Raises, on entering: OutputExistsError, OutputError (also where PyAV lacks an encoder), and for `audio_from`
    MissingFileError, MediaError, NoSoundError; while writing: OutputError (no space), MediaError (damaged sound).
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        *,
        frame_rate: Fraction,
        audio_from: Path | None = None,
        metadata: Mapping[str, str] | None = None,
        overwrite: bool = False,
        finishing: Callable[[Path], None] | None = None,
        crf: int = 18,
        preset: str = "veryfast",
    ) -> None:
        self._path = Path(path)
        self._width = width
        self._height = height
        self.frame_rate = Fraction(frame_rate)
        self._audio_from = audio_from
        self._metadata = dict(metadata or {})
        self._overwrite = overwrite
        self._finishing = finishing
        # swscale puts chroma between two columns; untagged, decoders take it to lie on the left one, half a pixel off.
        self._encoder_options = {"crf": str(crf), "preset": preset, "chroma_sample_location": "center"}
        self._ticks_hz = _ticks_hz(self.frame_rate)
        self._last_tick = -1
        self._partial = self._path.with_name(f".{self._path.stem}.{secrets.token_hex(4)}{self._path.suffix}")
        self._converter = VideoReformatter()

    def __enter__(self) -> Self:
        check_output_path(self._path, overwrite=self._overwrite)
        self._audio = AudioTrack(self._audio_from) if self._audio_from else None
        try:
            with self._output_errors():
                self._container = self._open()
        except BaseException:
            self._remove_partial()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._discard()
            return
        try:
            with self._output_errors():
                self._finish()
        except BaseException:
            self._discard()
            raise

    def write(self, frame: Frame) -> None:
        """Append a frame: (height, width, 3) uint8 RGB, its time later than that of the frame before it."""
        if frame.image.shape != (self._height, self._width, 3) or frame.image.dtype != np.uint8:
            wanted = f"({self._height}, {self._width}, 3) uint8"
            raise ValueError(f"a frame of {wanted} is wanted, not {frame.image.shape} {frame.image.dtype}")
        tick = round(frame.time_s * self._ticks_hz)
        if tick <= self._last_tick:
            raise ValueError(f"frame times must increase from 0 on: {frame.time_s} s comes too late")
        self._last_tick = tick
        with self._output_errors():
            self._container.mux(self._stream.encode(self._picture(frame.image, tick)))
            if self._audio:
                self._audio.mux_until(self._container, frame.time_s)

    def _open(self) -> OutputContainer:
        # Lengths in the edit list count in the movie's ticks: with the sound's rate not a sample is rounded away.
        movie_ticks_hz = self._audio.rate_hz if self._audio else self._ticks_hz
        flags = "+faststart" if self._metadata.keys() <= STANDARD_TAGS else "+faststart+use_metadata_tags"
        container = av.open(
            f"file:{self._partial}",
            "w",
            container_options={"movflags": flags, "movie_timescale": str(movie_ticks_hz)},
        )
        container.metadata.update(self._metadata)
        self._stream = self._add_video_stream(container)
        if self._audio:
            self._audio.add_to(container)
        container.start_encoding()  # writes the header: what cannot be written fails here, not after the work
        return container

    def _add_video_stream(self, container: OutputContainer) -> VideoStream:
        stream = container.add_stream("libx264", rate=self.frame_rate, options=self._encoder_options)
        stream.width = self._width + self._width % 2
        stream.height = self._height + self._height % 2
        stream.pix_fmt = "yuv420p"
        stream.colorspace = Colorspace.ITU709
        stream.color_range = ColorRange.MPEG
        stream.color_primaries = ColorPrimaries.BT709
        stream.color_trc = ColorTrc.BT709
        stream.codec_context.time_base = Fraction(1, self._ticks_hz)
        stream.codec_context.flags |= av.codec.context.Flags.frame_duration
        return stream

    def _picture(self, image: ByteArray, tick: int) -> VideoFrame:
        if self._width % 2 or self._height % 2:
            image = np.pad(image, ((0, self._height % 2), (0, self._width % 2), (0, 0)), mode="edge")
        picture = self._converter.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24"),
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            dst_colorspace=Colorspace.ITU709,
            interpolation=EXACT_COLORS,
            threads=1,
        )
        picture.pts = tick
        picture.time_base = Fraction(1, self._ticks_hz)
        picture.duration = round(self._ticks_hz / self.frame_rate)
        return picture

    def _finish(self) -> None:
        if self._last_tick < 0:
            raise OutputError(f"{self._path}: no frame was written")
        self._container.mux(self._stream.encode())
        if self._audio:
            self._audio.mux_rest(self._container)
            self._audio.close()
        self._container.close()
        if self._finishing:
            self._finishing(self._partial)
        check_output_path(self._path, overwrite=self._overwrite)  # another process may have been quicker
        os.replace(self._partial, self._path)

    def _discard(self) -> None:
        with contextlib.suppress(av.FFmpegError, OSError):  # what ended the writing is being raised already
            self._container.close()
        self._remove_partial()

    def _remove_partial(self) -> None:
        if self._audio:
            self._audio.close()
        with contextlib.suppress(OSError):  # a read-only file system: nothing was written there
            self._partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _output_errors(self) -> Iterator[None]:
        try:
            yield
        except UnknownCodecError as error:
            raise OutputError(f"cannot write {self._path}: this build of PyAV has no encoder {error}") from error
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error


def _ticks_hz(frame_rate: Fraction) -> int:
    """A multiple of the rate's numerator, so that k / frame_rate is a whole number of ticks."""
    if frame_rate <= 0:
        raise ValueError(f"a frame rate above 0 is wanted, not {frame_rate}")
    if frame_rate.numerator > 1_000_000:  # the average of a variable rate; containers count ticks in 32 bits
        return MIN_TICKS_HZ
    return frame_rate.numerator * -(-MIN_TICKS_HZ // frame_rate.numerator)
