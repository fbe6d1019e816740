"""Video and sound files, in and out, mostly through PyAV (FFmpeg). No other module opens a media file.

Everything streams: memory does not grow with the length of a file, except in `read_sound`, which returns all samples.

Two timelines meet here and are one: time 0 is the first picture of a file that has pictures, else its first sample.
`VideoReader`, `read_sound` and the sound that `VideoWriter` takes over all count from there.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import wave
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.codec import UnknownCodecError
from av.container import InputContainer, OutputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from talkinghead.errors import MediaError, MissingFileError, NoSoundError, NoVideoError, OutputError, OutputExistsError
from talkinghead.structures import ByteArray, FloatArray, Frame, Sound, VideoInfo

FALLBACK_FRAME_RATE = Fraction(25)
"""Assumed where a file gives no usable frame rate."""
MAX_FRAME_RATE = 1000
"""Frames per second; a higher declared rate is a clock's rate, not that of the pictures."""
MIN_HD_HEIGHT = 720
"""Pictures of at least this height have BT.709 colours where the file does not say, smaller ones BT.601."""
TRUNCATED_SHARE = 0.05
TRUNCATED_FRAMES = 3
"""A file is truncated when more than this share of its declared length, and more than so many frames, are missing."""
CLOCK_TOLERANCE_S = 0.015
"""Sound timestamps are rounded by some containers; a smaller step is no gap. Shorter than one packet of any codec."""
MAX_CLOCK_STEP_S = 60.0
"""A larger jump of sound timestamps is a clock that was set anew, not a gap."""
AAC_RATES_HZ = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""ISO/IEC 14496-3, table of sampling frequencies."""
OTHER_RATE_HZ = 48000
"""Sampling rate of the sound written where AAC does not know the source's."""
MIN_TICKS_HZ = 90_000
"""Least resolution of the timestamps written."""
MAX_PIXELS = 8192 * 8192
"""Of a picture. What a header claims is checked before memory is taken for it; the decoder keeps to the same limit."""
SOUND_RATES_HZ = (1000, 768_000)
"""Least and greatest sampling rate that is taken for one."""
MAX_SILENCE_S = 3600.0
"""A longer gap, or sound that begins so long after the pictures, is a damaged clock."""
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov")
SOUND_SUFFIXES = (".wav",)
STANDARD_TAGS = frozenset({"title", "artist", "album", "comment", "copyright", "date", "description", "genre"})
"""Metadata keys that the classic MP4 tag list knows; others need the key-value form."""

SEEK_TOLERANCE_S = 1e-4
"""Times this much apart are the same: containers round them."""

_EXACT_COLOURS = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""swscale's quick path is 1 to 2 levels too dark; this one is unbiased for about 1 ms more at 512 x 512."""
_RESAMPLER_OPTIONS = {"filter_size": "64", "rematrix_maxval": "1.0"}
"""A sharper filter than swresample's default (-1 dB instead of -3 at 7.5 kHz when going to 16 kHz), and mixing
to fewer channels as a weighted mean, which cannot clip."""
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dv,eac3,flac,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mp3,mpc,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,rm,tta,w64,wav,webm,wv,yuv4mpegpipe"
)
_INPUT_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
"""Neither the network nor, by a playlist, another file is reached."""
_KNOWN_MATRICES = frozenset(int(matrix) for matrix in Colorspace)


def read_video_info(path: Path) -> VideoInfo:
    """What is known of a video without reading all of it. One frame is decoded: the rotation is written there.

    Raises MissingFileError, MediaError, NoVideoError.
    """
    with VideoReader(path) as reader:
        return reader.info


def read_tags(path: Path) -> dict[str, str]:
    """The metadata tags of a sound or video file's container. Raises MissingFileError, MediaError."""
    with _open_input(path) as container:
        return dict(container.metadata)


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
        self._container = _open_input(self._path)
        try:
            self._stream = _video_stream(self._container, self._path)
            self._stream.thread_type = "AUTO"
            self._pictures = cast(Iterator[VideoFrame], _decoded(self._container, self._stream))
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
            end = time + max(step, picture.duration * _time_base(self._stream))
            yield Frame(image=self._image(picture), time_s=float(time))
        self._check_complete(count, end)

    def frames_from(self, time_s: float) -> Iterator[Frame]:
        """The frames shown at `time_s` (seconds) and later, decoded from the key frame before it.

        Times are the stream's own; a file whose times had to be repaired is to be read from its start.
        """
        time_base = _time_base(self._stream)
        earliest = time_s - SEEK_TOLERANCE_S
        if earliest > 0 and self._first.pts is not None:
            target = self._first.pts + int(earliest / time_base)
            with contextlib.suppress(av.FFmpegError):  # not every container can be sought in: then all is read
                self._container.seek(target, stream=self._stream, backward=True)
                self._pictures = cast(Iterator[VideoFrame], _decoded(self._container, self._stream))
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
            frame_rate=_frame_rate(self._stream),
            duration_s=_duration_s(self._container, self._stream),
            has_sound=bool(self._container.streams.audio),
        )

    def _all_pictures(self) -> Iterator[VideoFrame]:
        if self._first_is_next:
            yield self._first
        yield from self._pictures

    def _presentation_time(self, picture: VideoFrame, after: Fraction, step: Fraction) -> Fraction:
        if picture.pts is not None and self._first.pts is not None:
            time = (picture.pts - self._first.pts) * _time_base(self._stream)
            if time > after:
                return time
        return after + step

    def _image(self, picture: VideoFrame) -> ByteArray:
        _settle_colours(picture)
        rgb = self._converter.reformat(
            picture,
            width=self._first.width,
            height=self._first.height,
            format="gbrp",  # to planes swscale is twice as quick as to packed RGB, with the same result
            dst_color_range=ColorRange.JPEG,
            interpolation=_EXACT_COLOURS,
            threads=1,  # swscale's own threads cost more than they save at these sizes
        )
        return self._orientation.upright(cast(ByteArray, rgb.to_ndarray()))

    def _check_complete(self, count: int, end: Fraction) -> None:
        if _stops_short(self._stream, end, tolerance=TRUNCATED_FRAMES / self.info.frame_rate):
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


def _settle_colours(picture: VideoFrame) -> None:
    """Fill in the colour matrix and range where the stream leaves them open."""
    if picture.format.is_rgb:
        return
    if picture.colorspace not in _KNOWN_MATRICES:
        picture.colorspace = Colorspace.ITU709 if picture.height >= MIN_HD_HEIGHT else Colorspace.ITU601
    if picture.color_range == ColorRange.UNSPECIFIED:
        full = picture.format.name.startswith("yuvj")
        picture.color_range = ColorRange.JPEG if full else ColorRange.MPEG


@dataclass(frozen=True)
class SoundFile:
    """The sound of any sound or video file, mixed to mono and resampled to `rate_hz`, read anew as often as wanted.

    Memory does not grow with the length of the file. On what lies where, see `read_sound`.
    """

    path: Path
    rate_hz: int = 16000

    @cached_property
    def duration_s(self) -> float:
        """Seconds; all of the file is decoded for it, once. Raises what `blocks` raises."""
        return sum(map(len, self.blocks())) / self.rate_hz

    def blocks(self) -> Iterator[FloatArray]:
        """(N,) float32 each, one after the other without a gap.

        Raises MissingFileError, MediaError (unreadable, truncated, samples that are not finite), NoSoundError.
        """
        with _SoundSource(self.path) as source:
            for block in source.blocks(self.rate_hz, "mono"):
                yield block[0]


def read_sound(path: Path, rate_hz: int = 16000, *, longest_s: float | None = None) -> Sound:
    """The sound of any sound or video file, mixed to mono and resampled to `rate_hz`; its first `longest_s` at most.

    Sample 0 is at the time of the first picture where there are pictures (late sound is led by silence, early sound
    is cut), else the first sample. Gaps in the recording are silence. libswresample mixes, resamples and streams in
    one step, has no lag, and with the filter used here aliases below -90 dB one kilohertz past the band's edge.

    Raises MissingFileError, MediaError (unreadable, truncated, samples that are not finite), NoSoundError.
    """
    collected = bytearray()  # grows in place: the peak is the samples themselves
    most = None if longest_s is None else round(longest_s * rate_hz)
    for block in SoundFile(path, rate_hz).blocks():
        collected += block.tobytes()
        if most is not None and len(collected) >= most * block.itemsize:
            break
    return Sound(samples=np.frombuffer(collected, dtype=np.float32)[:most], rate_hz=rate_hz)


class _SoundSource:
    """The sound of a file, block by block, from time 0 on."""

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self._origin = _first_picture_time(self._path)
        self._container = _open_input(self._path)
        try:
            self._stream = _sound_stream(self._container, self._path)
        except BaseException:
            self._container.close()
            raise
        self.rate_hz = self._stream.rate
        self.channels = self._stream.channels

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._container.close()

    def blocks(self, rate_hz: int, layout: str) -> Iterator[FloatArray]:
        """(C, N) float32 each, mixed to `layout` ("mono" or "stereo"); one after the other they have no gap."""
        given = 0
        for block in self._readable(self._placed_blocks(rate_hz, layout)):
            if not np.isfinite(block).all():
                raise MediaError(f"{self._path}: the sound holds samples that are not finite; export it again")
            given += block.shape[1]
            if block.size:
                yield block
        if given == 0:
            raise NoSoundError(f"{self._path}: the sound stream is empty; give a file with sound")

    def _readable(self, blocks: Iterator[FloatArray]) -> Iterator[FloatArray]:
        try:
            yield from blocks
        except av.FFmpegError as error:  # of the resampler: a layout or a rate that there is not
            raise MediaError(f"{self._path}: the sound cannot be used ({error.strerror}); export it again") from error

    def _placed_blocks(self, rate_hz: int, layout: str) -> Iterator[FloatArray]:
        run: _Run | None = None
        for frame in self._frames():
            time = self._time(frame, expected=run.end if run else None)
            if run is None or not run.continues(frame, time):
                if run:
                    yield run.finish()
                previous = run
                run = _Run(frame, time, rate_hz, layout, done=previous.position if previous else 0)
                yield from self._silence_before(run)
            yield run.push(frame)
        if run:
            yield run.finish()
            self._check_complete(run.end)

    def _silence_before(self, run: _Run) -> Iterator[FloatArray]:
        """A gap, second by second."""
        gap_s = run.gap / run.rate_hz
        if gap_s > MAX_SILENCE_S:
            raise MediaError(
                f"{self._path}: the sound has a gap of {gap_s:.0f} s: its clock is damaged; export it again"
            )
        while run.gap:
            yield run.silence()

    def _frames(self) -> Iterator[av.AudioFrame]:
        """Decoders hand out whole blocks; what the last one holds beyond the declared end is padding and is cut."""
        end = _declared_end(self._stream)
        for frame in cast(Iterator[av.AudioFrame], _decoded(self._container, self._stream)):
            surplus = 0
            if end is not None and frame.pts is not None:
                start = frame.pts * (frame.time_base or _time_base(self._stream))
                surplus = frame.samples - round((end - start) * frame.sample_rate)
            yield _shortened(frame, frame.samples - surplus) if 0 < surplus < frame.samples else frame

    def _time(self, frame: av.AudioFrame, expected: Fraction | None) -> Fraction:
        """When a frame sounds, in seconds from time 0."""
        if frame.pts is None:
            return expected or Fraction(0)
        time = frame.pts * (frame.time_base or _time_base(self._stream))
        if self._origin is None:
            self._origin = time
        if expected is not None and abs(time - self._origin - expected) > MAX_CLOCK_STEP_S:
            self._origin = time - expected
        return time - self._origin

    def _check_complete(self, end: Fraction) -> None:
        if _stops_short(self._stream, end, tolerance=Fraction(TRUNCATED_FRAMES) / FALLBACK_FRAME_RATE):
            raise MediaError(f"{self._path}: truncated: the sound stops after {float(end):.1f} s; copy the file again")


class _Run:
    """A stretch of sound without a gap, mixed and resampled, cut to where the samples before it end."""

    def __init__(self, frame: av.AudioFrame, start: Fraction, rate_hz: int, layout: str, done: int) -> None:
        self._format = _sound_format(frame)
        self._start = start
        self._taken = 0
        """Samples of the source."""
        self.rate_hz = rate_hz
        self._channels = 1 if layout == "mono" else 2
        self._resampler = AudioResampler("fltp", layout, rate_hz, options=_RESAMPLER_OPTIONS)
        self._cursor = round(start * rate_hz)
        """Output sample that comes next, were nothing cut."""
        self.position = done
        """Output samples handed out, counted from time 0."""

    @property
    def end(self) -> Fraction:
        """Seconds."""
        return self._start + Fraction(self._taken, self._format[2])

    def continues(self, frame: av.AudioFrame, time: Fraction) -> bool:
        return _sound_format(frame) == self._format and abs(time - self.end) <= CLOCK_TOLERANCE_S

    @property
    def gap(self) -> int:
        """Output samples between those before this run and its first."""
        return max(0, self._cursor - self.position)

    def silence(self) -> FloatArray:
        """Up to a second of the gap."""
        samples = min(self.gap, self.rate_hz)
        self.position += samples
        return np.zeros((self._channels, samples), np.float32)

    def push(self, frame: av.AudioFrame) -> FloatArray:
        self._taken += frame.samples
        return self._cut(self._resampled(frame))

    def finish(self) -> FloatArray:
        """The rest, to the very sample: resamplers may add one or leave one out."""
        rest = self._resampled(None)
        missing = max(0, round(self._start * self.rate_hz) + self._length - self._cursor)
        exact = np.zeros((self._channels, missing), np.float32)
        exact[:, : rest.shape[1]] = rest[:, :missing]
        return self._cut(exact)

    @property
    def _length(self) -> int:
        return round(Fraction(self._taken * self.rate_hz, self._format[2]))

    def _resampled(self, frame: av.AudioFrame | None) -> FloatArray:
        blocks = [np.zeros((self._channels, 0), np.float32)]
        blocks += [cast(FloatArray, block.to_ndarray()) for block in self._resampler.resample(frame) if block]
        return np.concatenate(blocks, axis=1)

    def _cut(self, block: FloatArray) -> FloatArray:
        kept = block[:, max(0, self.position - self._cursor) :]
        self._cursor += block.shape[1]
        self.position += kept.shape[1]
        return kept


def _shortened(frame: av.AudioFrame, samples: int) -> av.AudioFrame:
    """The first samples of a frame."""
    values = samples if frame.format.is_planar else samples * len(frame.layout.channels)
    kept = cast(FloatArray, np.ascontiguousarray(frame.to_ndarray()[:, :values]))
    short = av.AudioFrame.from_ndarray(kept, frame.format.name, frame.layout.name)
    short.sample_rate, short.pts, short.time_base = frame.sample_rate, frame.pts, frame.time_base
    return short


def _sound_format(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def write_sound(path: Path, sounds: Iterable[Sound], *, overwrite: bool = False) -> float:
    """Write sounds of one rate, one after the other as they come, as a 16-bit mono WAV file; its length in seconds.

    Samples beyond full scale are clipped. The file appears under its name only when it is complete.

    Raises OutputExistsError, OutputError, ValueError (no sounds, or of several rates), and what `sounds` raises.
    """
    check_output_path(path, overwrite=overwrite, suffixes=SOUND_SUFFIXES)
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    remaining = iter(sounds)
    first = next(remaining, None)
    if first is None:
        raise ValueError("There are no sounds to write.")
    try:
        with wave.open(str(partial), "wb") as file:
            file.setparams((1, 2, first.rate_hz, 0, "NONE", ""))
            for sound in itertools.chain([first], remaining):
                if sound.rate_hz != first.rate_hz:
                    raise ValueError(f"A sound of {sound.rate_hz} Hz among those of {first.rate_hz} Hz.")
                file.writeframes((sound.samples.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
            duration_s = file.tell() / first.rate_hz
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return duration_s


def check_output_path(path: Path, *, overwrite: bool, suffixes: tuple[str, ...] = VIDEO_SUFFIXES) -> None:
    """Whether a video (or what else ends in `suffixes`) may be written there; to be asked before hours go into it.

    Raises OutputExistsError, OutputError.
    """
    if path.suffix.lower() not in suffixes:
        raise OutputError(f"{path}: the name must end in {', '.join(suffixes)}")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no such folder; make it first")
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder; name a file")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists; choose another name or ask for overwriting")


class VideoWriter:
    """Writes frames, and the sound of another file, as H.264 (yuv420p, BT.709, limited range) and AAC.

    Frame times are kept: exactly for a constant `frame_rate`, else to within 6 microseconds. The last frame lasts
    1 / `frame_rate`. The whole sound of `sound_from` is taken over with its start and length, beside the frames and
    not after them; its rate is kept where AAC knows it (else 48 kHz), mono and stereo stay, more channels become
    stereo. A width or height that is odd grows by a copy of the last column or row, because 4:2:0 has no odd sizes.

    The file appears under its name only when it is complete: until the `with` block ends without an exception it is
    a hidden file in the same folder, and an exception removes that. `finishing` is called with the complete file before
    it takes its name, and may change it.

    Raises, on entering: OutputExistsError, OutputError (also where PyAV lacks an encoder), and for `sound_from`
    MissingFileError, MediaError, NoSoundError; while writing: OutputError (no space), MediaError (damaged sound).
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        *,
        frame_rate: Fraction,
        sound_from: Path | None = None,
        metadata: Mapping[str, str] | None = None,
        overwrite: bool = False,
        finishing: Callable[[Path], None] | None = None,
        crf: int = 18,
        preset: str = "veryfast",
    ) -> None:
        self._path = Path(path)
        self._width = width
        self._height = height
        self._frame_rate = Fraction(frame_rate)
        self._sound_from = sound_from
        self._metadata = dict(metadata or {})
        self._overwrite = overwrite
        self._finishing = finishing
        # swscale puts chroma between two columns; untagged, decoders take it to lie on the left one, half a pixel off.
        self._encoder_options = {"crf": str(crf), "preset": preset, "chroma_sample_location": "center"}
        self._ticks_hz = _ticks_hz(self._frame_rate)
        self._last_tick = -1
        self._partial = self._path.with_name(f".{self._path.stem}.{secrets.token_hex(4)}{self._path.suffix}")
        self._converter = VideoReformatter()

    def __enter__(self) -> Self:
        check_output_path(self._path, overwrite=self._overwrite)
        self._sound = _SoundTrack(self._sound_from) if self._sound_from else None
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
            if self._sound:
                self._sound.mux_until(self._container, frame.time_s)

    def _open(self) -> OutputContainer:
        # Lengths in the edit list count in the movie's ticks: with the sound's rate not a sample is rounded away.
        movie_ticks_hz = self._sound.rate_hz if self._sound else self._ticks_hz
        flags = "+faststart" if self._metadata.keys() <= STANDARD_TAGS else "+faststart+use_metadata_tags"
        container = av.open(
            f"file:{self._partial}",
            "w",
            container_options={"movflags": flags, "movie_timescale": str(movie_ticks_hz)},
        )
        container.metadata.update(self._metadata)
        self._stream = self._add_video_stream(container)
        if self._sound:
            self._sound.add_to(container)
        container.start_encoding()  # writes the header: what cannot be written fails here, not after the work
        return container

    def _add_video_stream(self, container: OutputContainer) -> VideoStream:
        stream = container.add_stream("libx264", rate=self._frame_rate, options=self._encoder_options)
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
            interpolation=_EXACT_COLOURS,
            threads=1,
        )
        picture.pts = tick
        picture.time_base = Fraction(1, self._ticks_hz)
        picture.duration = round(self._ticks_hz / self._frame_rate)
        return picture

    def _finish(self) -> None:
        if self._last_tick < 0:
            raise OutputError(f"{self._path}: no frame was written")
        self._container.mux(self._stream.encode())
        if self._sound:
            self._sound.mux_rest(self._container)
            self._sound.close()
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
        if self._sound:
            self._sound.close()
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


class _SoundTrack:
    """The sound of a file on its way into another one."""

    def __init__(self, path: Path) -> None:
        self._source = _SoundSource(path)
        self.rate_hz = self._source.rate_hz if self._source.rate_hz in AAC_RATES_HZ else OTHER_RATE_HZ
        self._layout = "mono" if self._source.channels == 1 else "stereo"
        self._blocks = self._source.blocks(self.rate_hz, self._layout)
        self._taken = 0

    def add_to(self, container: OutputContainer) -> None:
        self._stream = container.add_stream("aac", rate=self.rate_hz)
        self._stream.layout = self._layout
        # 96 kbit/s a channel is beyond hearing; AAC allows at most 6144 bits a frame of 1024 samples.
        self._stream.bit_rate = min(96_000, 6 * self.rate_hz) * self._stream.channels

    def mux_until(self, container: OutputContainer, time_s: float) -> None:
        """Keep the sound level with the frames, so that the muxer has little to hold back."""
        while self._taken <= time_s * self.rate_hz:
            block = next(self._blocks, None)
            if block is None:
                return
            container.mux(self._stream.encode(self._frame(block)))

    def mux_rest(self, container: OutputContainer) -> None:
        self.mux_until(container, float("inf"))
        container.mux(self._stream.encode())

    def close(self) -> None:
        self._source.close()

    def _frame(self, block: FloatArray) -> av.AudioFrame:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", self._layout)
        frame.sample_rate = self.rate_hz
        frame.time_base = Fraction(1, self.rate_hz)
        frame.pts = self._taken
        self._taken += frame.samples
        return frame


def _ticks_hz(frame_rate: Fraction) -> int:
    """A multiple of the rate's numerator, so that k / frame_rate is a whole number of ticks."""
    if frame_rate <= 0:
        raise ValueError(f"a frame rate above 0 is wanted, not {frame_rate}")
    if frame_rate.numerator > 1_000_000:  # the average of a variable rate; containers count ticks in 32 bits
        return MIN_TICKS_HZ
    return frame_rate.numerator * -(-MIN_TICKS_HZ // frame_rate.numerator)


def _open_input(path: Path) -> InputContainer:
    if not path.exists():
        raise MissingFileError(f"{path}: no such file")
    if path.is_dir():
        raise MissingFileError(f"{path} is a folder; name a file")
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty")
    try:
        # "file:" keeps a colon in a name from being a protocol.
        return av.open(f"file:{path}", "r", options=_INPUT_OPTIONS, metadata_errors="replace")
    except PermissionError as error:
        raise MissingFileError(f"{path} may not be read: {error.strerror}") from error
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: no sound or video file, or a damaged one ({error.strerror})") from error


def _video_streams(container: InputContainer) -> list[VideoStream]:
    """Streams of moving pictures; the cover of a song is none."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    for stream in _video_streams(container):
        if stream.codec_context is None:
            raise MediaError(f"{path}: the video is of a codec that cannot be decoded; convert it to H.264")
        if stream.width * stream.height > MAX_PIXELS:
            raise MediaError(f"{path}: pictures of {stream.width} x {stream.height} are too large; make them smaller")
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        return stream
    raise NoVideoError(f"{path}: no video in this file; give a clip with pictures")


def _sound_stream(container: InputContainer, path: Path) -> AudioStream:
    for stream in container.streams.audio:
        if stream.codec_context is not None and stream.rate:
            low, high = SOUND_RATES_HZ
            if not low <= stream.rate <= high:
                raise MediaError(f"{path}: sound of {stream.rate} Hz; it has to be of {low} to {high} Hz")
            return stream
    raise NoSoundError(f"{path}: no sound in this file; give one with an audio stream")


def _decoded(container: InputContainer, stream: VideoStream | AudioStream) -> Iterator[VideoFrame | av.AudioFrame]:
    """The frames of a stream. A packet that cannot be decoded is skipped; where the container breaks off is the end."""
    try:
        with contextlib.suppress(av.error.InvalidDataError):
            for packet in container.demux(stream):
                if packet.size:
                    with contextlib.suppress(av.error.InvalidDataError):
                        yield from stream.decode(packet)
        yield from _flushed(stream)
    except av.FFmpegError as error:
        raise MediaError(f"{container.name.removeprefix('file:')}: reading stopped: {error.strerror}") from error


def _flushed(stream: VideoStream | AudioStream) -> Iterator[VideoFrame | av.AudioFrame]:
    """The frames still inside the decoder, whose threads may report a bad packet here."""
    while True:
        try:
            frames = stream.decode(None)
        except av.error.InvalidDataError:
            continue
        except av.error.EOFError:
            return
        yield from frames
        if not frames:
            return


def _first_picture(pictures: Iterator[VideoFrame], path: Path) -> VideoFrame:
    first = next(pictures, None)
    if first is None:
        raise MediaError(f"{path}: not one frame of the video can be decoded; the file is damaged")
    return first


def _first_picture_time(path: Path) -> Fraction | None:
    """Seconds on the container's clock; None where there are no pictures to count from."""
    with _open_input(path) as container:
        if any(stream.codec_context is not None for stream in _video_streams(container)[:1]):
            stream = _video_stream(container, path)
            for picture in _decoded(container, stream):
                return None if picture.pts is None else picture.pts * _time_base(stream)
    return None


def _time_base(stream: VideoStream | AudioStream) -> Fraction:
    return stream.time_base or Fraction(1, 90_000)


def _frame_rate(stream: VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= MAX_FRAME_RATE:
            return Fraction(rate)
    return FALLBACK_FRAME_RATE


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration:
        return float(stream.duration * _time_base(stream))
    return container.duration / av.time_base if container.duration else None


def _stops_short(stream: VideoStream | AudioStream, end: Fraction, tolerance: Fraction) -> bool:
    """Whether a stream that ends at `end` (seconds) misses clearly more of its declared length than `tolerance`.

    Only an index of frames is a promise; lengths of other containers are estimates.
    """
    if not stream.frames or not stream.duration:
        return False
    promised = stream.duration * _time_base(stream)
    return promised - end > max(Fraction(TRUNCATED_SHARE) * promised, tolerance)


def _declared_end(stream: AudioStream) -> Fraction | None:
    """Where the stream ends on the container's clock, in seconds; None where there is no index to promise it."""
    if not stream.frames or not stream.duration:
        return None
    return ((stream.start_time or 0) + stream.duration) * _time_base(stream)
