"""Writing video files: frames and the audio of another file, complete or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, cast

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from talkinghead.errors import OutputError
from talkinghead.files import check_output_path, replacing
from talkinghead.media.audio_reader import AudioFile
from talkinghead.media.audio_writer import AudioExcerpt, AudioTrack
from talkinghead.media.formats import FORMATS, AudioCodec, VideoCodec, check_alpha, choose_codecs
from talkinghead.media.planes import STANDARD, from_image, resampled, to_frame
from talkinghead.media.text_track import TextTrack, TextTrackWriter
from talkinghead.structures import ByteArray, Coding, Frame, Quality

MIN_TICKS_HZ = 90_000
"""Least resolution of the timestamps written."""
STANDARD_TAGS = frozenset({"title", "artist", "album", "comment", "copyright", "date", "description", "genre"})
"""Container tags that the classic MP4 tag list knows; any other needs the key-value form."""


@dataclass(frozen=True)
class EncoderSettings:
    """Codecs, and settings of the video encoder."""

    crf: int = 18
    """Constant rate factor of libx264, 0 (lossless) to 51 (worst); 18 looks like the source. Other encoders get the
    number of theirs that is as good."""
    preset: str = "superfast"
    """x264's and x265's trade of encoding time against file size: "ultrafast" to "veryslow"."""
    video_codec: VideoCodec = "auto"
    """Of the pictures; see `formats.FORMATS`."""
    audio_codec: AudioCodec = "auto"
    """Of the audio; see `formats.FORMATS`."""
    has_alpha: bool = False
    """Whether the frames have an alpha channel, which is written: ProRes 4444 in .mov, VP9 in .webm."""
    coding: Coding | None = None
    """Of the frames' planes, whose matrix, range and position of chroma are kept; None where frames are RGB alone."""
    keeps_sampling: bool = False
    """Whether chroma sampling and depth of the planes are kept too. Otherwise they become 4:2:0 of 8 bits, since most
    players show nothing else."""

    def stream_coding(self, encoder: str) -> Coding:
        """What is encoded by an encoder of FFmpeg's, without alpha."""
        if self.coding is None or self.has_alpha:
            return STANDARD
        known = {pixels.name for pixels in av.codec.Codec(encoder, "w").video_formats or ()}
        if self.keeps_sampling and self.coding.pixels in known:
            return self.coding
        chroma_at = self.coding.chroma_at if self.coding.pixels.startswith("yuv420p") else STANDARD.chroma_at
        return replace(self.coding, pixels=STANDARD.pixels, chroma_at=chroma_at)

    @property
    def stream_options(self) -> Mapping[VideoCodec, tuple[str, dict[str, str]]]:
        """Codec -> name of its encoder, and its options."""
        quick = self.preset in ("ultrafast", "superfast", "veryfast")
        # Frames that are not shown would get out of step with the alpha, a stream of its own.
        alpha = {"auto-alt-ref": "0", "lag-in-frames": "0"} if self.has_alpha else {}
        vp9 = {"crf": str(self.crf + 13), "b": "0", "deadline": "realtime" if quick else "good", "row-mt": "1"}
        return {
            "h264": ("libx264", {"crf": str(self.crf), "preset": self.preset}),
            "hevc": ("libx265", {"crf": str(self.crf + 4), "preset": self.preset, "x265-params": "log-level=error"}),
            "vp9": (
                "libvpx-vp9",
                vp9 | alpha | {"cpu-used": "8" if quick and self.has_alpha else "6" if quick else "2"},
            ),
        }


QUALITIES: Mapping[Quality, EncoderSettings] = MappingProxyType(
    {
        "draft": EncoderSettings(crf=30, preset="superfast"),
        "standard": EncoderSettings(),
        "high": EncoderSettings(crf=10, preset="medium", keeps_sampling=True),
    }
)
"""Settings for looking at once, for most uses, and for what is edited and encoded again.

`benchmarks/encoder_quality.py` measures them."""


@dataclass(frozen=True)
class ContainerMetadata:
    """What a video file says about itself."""

    tags: Mapping[str, str] = field(default_factory=dict)
    """Container tags by name."""
    add_to_file: Callable[[Path], None] | None = None
    """Called with the complete file before it takes its name, to add what needs the finished bytes (an XMP packet, a
    signature); an exception cancels the file."""
    text_track: TextTrack | None = None
    """Subtitles that players show on demand."""


class VideoWriter:
    """Context manager that writes frames and the audio of another file.

    Frames of RGB become 4:2:0, BT.709, limited range. Planes are encoded as they are, with their own matrix and range,
    where the encoder's settings name their coding.

    Frame times are kept, exactly for a constant `frame_rate`, else to within 6 microseconds; in WebM, which counts
    milliseconds, to within half of one. The last frame lasts
    1 / `frame_rate`. An odd width or height grows by a copy of the last column or row, because 4:2:0 has no odd sizes.
    The whole audio of `audio_from` is copied, with its start and length, or an excerpt of it, interleaved with the
    frames (see `AudioTrack`).

    The file appears under its name only when it is complete: until the `with` block ends without an exception it is
    a hidden file in the same folder, which an exception removes.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        *,
        frame_rate: Fraction,
        audio_from: Path | AudioFile | AudioExcerpt | None = None,
        metadata: ContainerMetadata | None = None,
        overwrite: bool = False,
        encoder: EncoderSettings | None = None,
    ) -> None:
        """Describe the file; nothing is opened before the `with` block.

        Args:
            path: ends in .mp4, .m4v, .mov or .webm, which chooses the container.
            width, height: of the frames, pixels.
            frame_rate: frames per second, their average if it varies.
            audio_from: media file whose audio is copied, or an excerpt of one; an `AudioFile` says which of its tracks.
            metadata: what the file says about itself; None: nothing.
            overwrite: replace an existing file.
            encoder: codecs, quality and speed of the video encoder; None: the defaults.

        Raises (on entering the `with` block, while writing, and on leaving it):
            OutputExistsError, OutputError: the file exists; it cannot be written, no frame was, or PyAV lacks an
                encoder.
            MissingFileError, MediaError, NoAudioError: `audio_from` cannot be read, or has no audio.
        """
        self._path = Path(path)
        self._width = width
        self._height = height
        self.frame_rate = Fraction(frame_rate)
        self._audio_from = audio_from
        self._metadata = metadata or ContainerMetadata()
        self._overwrite = overwrite
        self._encoder = encoder or EncoderSettings()
        self._ticks_hz = ticks_hz_for(self.frame_rate)
        self._last_tick = -1

    def __enter__(self) -> Self:
        check_output_path(self._path, overwrite=self._overwrite)
        with contextlib.ExitStack() as opened:
            if self._encoder.has_alpha:
                check_alpha(self._path)
            video_codec, audio_codec = choose_codecs(self._path, self._encoder.video_codec, self._encoder.audio_codec)
            self._video_codec: VideoCodec = video_codec
            self._audio = AudioTrack(self._audio_from, audio_codec) if self._audio_from else None
            if self._audio:
                opened.callback(self._audio.close)
            track = self._metadata.text_track
            self._texts = None if track is None else TextTrackWriter(track, FORMATS[self._path.suffix.lower()].text)
            self._partial = opened.enter_context(replacing(self._path))
            with self._output_errors():
                self._container = self._open(opened)
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._opened.__exit__(kind, error, trace)
            return
        with self._output_errors(), self._opened:
            self._finish()

    def write(self, frame: Frame) -> None:
        """Append a frame.

        Args:
            frame: of height and width, its time later than that of the frame before it; it has alpha where that is
                written.

        Raises:
            ValueError: the frame has another size or type, or lacks alpha, or its time is not later.
            OutputError: the file cannot be written, such as when the disk is full.
            MediaError: the audio that belongs beside the frame is damaged.
        """
        tick = round(frame.time_s * self._ticks_hz)
        if tick <= self._last_tick:
            raise ValueError(f"frame times have to increase from 0 on; {frame.time_s} s is too early")
        with self._output_errors():
            timed = self._timed(frame, tick)
            self._last_tick = tick
            self._container.mux(self._stream.encode(timed))
            if self._audio:
                self._audio.mux_until(self._container, frame.time_s)
            if self._texts:
                self._texts.mux_until(self._container, frame.time_s)

    def _open(self, opened: contextlib.ExitStack) -> OutputContainer:
        """Create the partial file, with its header; `opened` closes it after a failure."""
        # Lengths in the edit list count in the movie's ticks: at the audio's rate, no sample is rounded away.
        movie_ticks_hz = self._audio.rate_hz if self._audio else self._ticks_hz
        flags = "+faststart" if self._metadata.tags.keys() <= STANDARD_TAGS else "+faststart+use_metadata_tags"
        is_webm = self._path.suffix.lower() == ".webm"
        options = {} if is_webm else {"movflags": flags, "movie_timescale": str(movie_ticks_hz)}
        container = av.open(f"file:{self._partial}", "w", container_options=options)
        opened.callback(_close_quietly, container)
        container.metadata.update(self._metadata.tags)
        encoder, settings = self._encoder.stream_options[self._video_codec]
        if self._encoder.has_alpha and self._video_codec != "vp9":
            encoder, settings = "prores_ks", {"profile": "4444", "vendor": "apl0"}
        self._coding = self._encoder.stream_coding(encoder)
        size, pixels = (self._width, self._height), self._pixel_format
        coding = replace(self._coding, pixels=pixels)
        self._stream = add_video_stream(container, encoder, size, self.frame_rate, self._ticks_hz, settings, coding)
        if self._audio:
            self._audio.add_to(container)
        if self._texts:
            self._texts.add_to(container)
        container.start_encoding()  # writes the header: what cannot be written fails here, not after the work
        return container

    def _timed(self, frame: Frame, tick: int) -> VideoFrame:
        """A frame as the encoder takes it, at a time."""
        encoded = self._encodable(frame)
        set_time(encoded, tick, self._ticks_hz, self.frame_rate)
        return encoded

    def _encodable(self, frame: Frame) -> VideoFrame:
        """A frame as the encoder takes it.

        Raises:
            ValueError: see `write`.
        """
        own = self._encoder.coding
        if own is not None and own == frame.picture.coding and (planes := frame.picture.planes) is not None:
            if planes.luma.shape != (self._height, self._width):
                height, width = planes.luma.shape
                raise ValueError(f"a frame has to be {self._width}x{self._height}, not {width}x{height}")
            return to_frame(planes) if own.pixels == self._coding.pixels else resampled(planes, self._coding)
        image: ByteArray = frame.image
        if image.shape != (self._height, self._width, 3) or image.dtype != np.uint8:
            expected = f"({self._height}, {self._width}, 3) uint8"
            raise ValueError(f"a frame has to be {expected}, not {image.shape} {image.dtype}")
        if self._encoder.has_alpha:
            if frame.alpha is None or frame.alpha.shape != image.shape[:2]:
                raise ValueError("a frame has to have alpha of the size of its image")
            image = np.dstack([image, frame.alpha])
        return from_image(image, self._pixel_format, self._coding)

    @property
    def _pixel_format(self) -> str:
        """FFmpeg's name of what is encoded."""
        if not self._encoder.has_alpha:
            return self._coding.pixels
        return "yuva420p" if self._video_codec == "vp9" else "yuva444p10le"

    def _finish(self) -> None:
        """Complete the partial file; it takes its name when this returns."""
        if self._last_tick < 0:
            raise OutputError(f"{self._path}: no frame was written")
        self._container.mux(self._stream.encode())
        if self._audio:
            self._audio.mux_rest(self._container)
        if self._texts:
            self._texts.mux_rest(self._container)
        self._container.close()
        if self._metadata.add_to_file:
            self._metadata.add_to_file(self._partial)
        check_output_path(self._path, overwrite=self._overwrite)  # another process may have written it meanwhile

    @contextlib.contextmanager
    def _output_errors(self) -> Iterator[None]:
        try:
            yield
        except UnknownCodecError as error:
            raise OutputError(f"Cannot write {self._path}: this build of PyAV has no encoder {error}.") from error
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"Cannot write {self._path}: {error.strerror}.") from error


def _close_quietly(container: OutputContainer) -> None:
    """Close a container that may be closed already, or broken by an error that is being raised."""
    with contextlib.suppress(av.FFmpegError, OSError):
        container.close()


def add_video_stream(
    container: OutputContainer,
    encoder: str,
    size: tuple[int, int],
    frame_rate: Fraction,
    ticks_hz: int,
    settings: Mapping[str, str],
    coding: Coding = STANDARD,
) -> VideoStream:
    """Add a stream of video to a container.

    Args:
        container: that is being written, before its header is.
        encoder: FFmpeg's name of it, such as libx264.
        size: width and height of the frames; odd ones grow by 1, as `to_video_frame` makes them.
        frame_rate: frames per second.
        ticks_hz: resolution of the timestamps.
        settings: of the encoder, by name.
        coding: of its frames.
    """
    # Untagged, decoders take chroma to lie on the left one of two columns.
    options = {**settings, "chroma_sample_location": coding.chroma_at}
    stream = cast(VideoStream, container.add_stream(encoder, rate=frame_rate, options=options))
    if stream.codec_context.codec.canonical_name == "hevc":
        stream.codec_context.codec_tag = "hvc1"  # the tag that Apple's players know
    stream.width, stream.height = (side + side % 2 for side in size)
    stream.pix_fmt = coding.pixels
    stream.colorspace = coding.matrix
    stream.color_range = ColorRange.JPEG if coding.is_full_range else ColorRange.MPEG
    stream.color_primaries = coding.primaries
    stream.color_trc = coding.transfer
    stream.codec_context.time_base = Fraction(1, ticks_hz)
    # The encoder passes on each frame's duration: without this flag the last frame would have none.
    stream.codec_context.flags |= av.codec.context.Flags.frame_duration
    return stream


def to_video_frame(image: ByteArray, tick: int, ticks_hz: int, frame_rate: Fraction) -> VideoFrame:
    """An image, (H, W, 3) uint8 RGB, as an even-sized frame of `planes.STANDARD` at a time, see `set_time`."""
    frame = from_image(image, STANDARD.pixels, STANDARD)
    set_time(frame, tick, ticks_hz, frame_rate)
    return frame


def set_time(frame: VideoFrame, tick: int, ticks_hz: int, frame_rate: Fraction) -> None:
    """Set when a frame is shown.

    Args:
        frame: that is changed.
        tick, ticks_hz: its time, and resolution of the timestamps.
        frame_rate: frames per second, which is how long the frame lasts.
    """
    frame.pts = tick
    frame.time_base = Fraction(1, ticks_hz)
    frame.duration = round(ticks_hz / frame_rate)


def ticks_hz_for(frame_rate: Fraction) -> int:
    """Ticks per second of the timestamps: a multiple of the rate's numerator, so that k / frame_rate is whole ticks."""
    if frame_rate <= 0:
        raise ValueError(f"a frame rate has to be above 0, not {frame_rate}")
    if frame_rate.numerator > 1_000_000:  # the average of a variable rate; containers count ticks in 32 bits
        return MIN_TICKS_HZ
    return frame_rate.numerator * -(-MIN_TICKS_HZ // frame_rate.numerator)
