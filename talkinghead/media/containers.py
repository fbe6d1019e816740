"""Media containers: opening them safely, finding their streams, and reading clocks, rates and lengths."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from talkinghead.errors import MediaError, MissingFileError, NoAudioError, NoVideoError
from talkinghead.files import missing_file
from talkinghead.media.clock_scan import clock_begins
from talkinghead.media.file_kind import other_kind
from talkinghead.media.parts import Part, PartFile, find_parts, is_program_stream, is_transport_stream, parts_at
from talkinghead.structures import DEFAULT_TRACKS, FloatArray, Tracks

FALLBACK_FRAME_RATE = Fraction(25)
"""Frames per second, assumed where a file declares no usable rate."""
MAX_FRAME_RATE = 1000
"""Frames per second; a higher declared rate is the rate of a clock, not of the frames."""
TRUNCATED_SHARE = 0.05
"""A file may lack this share of its declared length before it counts as truncated."""
TRUNCATED_FRAMES = 3
"""A file may lack this many frames of its declared length before it counts as truncated."""
MAX_PIXELS = 8192 * 8192
"""Largest frame, width times height. The header's claim is checked against it before memory is allocated, and the
decoder is given the same limit."""
AUDIO_RATES_HZ = (1000, 768_000)
"""Least and greatest plausible sampling rate."""
FALLBACK_TIME_BASE = Fraction(1, 90_000)
"""Seconds a tick, assumed where a stream declares none: the clock of MPEG."""
_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
"""What FFmpeg presents as video, and is none."""
LONGEST_PRIMING_S = Fraction(1, 10)
"""Seconds before time 0 in which an audio stream may have samples that are not to be heard."""
_FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dv,eac3,flac,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mp3,mpc,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,rm,tta,w64,wav,webm,wv,yuv4mpegpipe"
)
_INPUT_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
"""FFmpeg's options for an untrusted file: without playlist formats and network protocols, no file can make FFmpeg open
another file or an address."""


def open_input(path: Path) -> InputContainer:
    """Open an audio or video file for reading; the caller closes it.

    Of a file that is several, one after the other, the first is opened; `decode_frames` goes on with the others.

    Raises:
        MissingFileError: there is no such file, it is a folder, or it may not be read.
        MediaError: the file is empty, damaged, or of a format that is not supported.
    """
    if not path.exists():
        raise missing_file(path)
    if path.is_dir():
        raise MissingFileError(f"{path} is a folder; name a file")
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty")
    try:
        if (kind := other_kind(path)) is not None:
            raise MediaError(f"{path} {kind}")
        parts = parts_of(path)
        # "file:" keeps a colon in a name from being taken for a protocol.
        return _open(f"file:{path}" if len(parts) == 1 else PartFile(parts, 0))
    except PermissionError as error:
        raise MissingFileError(f"{path} may not be read: {error.strerror}") from error
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: not an audio or video file, or a damaged one ({error.strerror})") from error


def _open(file: str | PartFile) -> InputContainer:
    """Open a file by its name, or a part of one."""
    return av.open(file, "r", options=_INPUT_OPTIONS, metadata_errors="replace")


def parts_of(path: Path) -> tuple[Part, ...]:
    """The files that a file consists of, one after the other; nearly always one.

    Raises:
        OSError: it cannot be read.
    """
    stat = path.stat()
    return _parts_of(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _parts_of(path: Path, _size: int, _changed_ns: int) -> tuple[Part, ...]:
    parts = find_parts(path)
    with path.open("rb") as file:
        head = file.read(1024)
    if is_transport_stream(head) or is_program_stream(head):
        with _open(f"file:{path}") as container:
            parts = parts_at(path, clock_begins(container))
    return parts


def read_tags(path: Path) -> dict[str, str]:
    """Metadata tags of an audio or video file's container, by name.

    Raises:
        MissingFileError, MediaError: as `open_input`.
    """
    with open_input(path) as container:
        return dict(container.metadata)


def find_video_stream(container: InputContainer, path: Path, track: int | None = None) -> VideoStream:
    """The video stream of a container that is used, its decoder limited to `MAX_PIXELS`.

    That marked as default is taken; among several so marked, or where none is, the one of the largest frames.

    Args:
        container: the file, open.
        path: of the file, for the messages.
        track: number of the video track to use, from 1 on; None chooses.

    Raises:
        NoVideoError: there is none, or none of that number.
        MediaError: its codec is not supported, or its frames are too large.
    """
    streams = _video_streams(container)
    if track is not None:
        if not 1 <= track <= len(streams):
            raise NoVideoError(f"{path} has no video track {track}; it has {len(streams)}, counted from 1")
        streams = streams[track - 1 : track]
    if not streams:
        raise NoVideoError(f"{path}: the file has no video; give a video clip")
    usable = [stream for stream in streams if stream.codec_context is not None]
    if not usable:
        raise MediaError(f"{path}: the video's codec is not supported; convert it to H.264")
    marked = [stream for stream in usable if stream.disposition & Disposition.default] or usable
    stream = max(marked, key=lambda stream: stream.width * stream.height)
    if stream.width * stream.height > MAX_PIXELS:
        raise MediaError(f"{path}: frames of {stream.width} x {stream.height} are too large; scale the video down")
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def usable_audio_streams(container: InputContainer, path: Path) -> list[AudioStream]:
    """The audio streams of a container that can be decoded, at least one; `path` is for the messages.

    Raises:
        NoAudioError: there is none.
        MediaError: their sampling rates are outside `AUDIO_RATES_HZ`.
    """
    low, high = AUDIO_RATES_HZ
    decodable = [stream for stream in container.streams.audio if stream.codec_context is not None and stream.rate]
    if not decodable:
        raise NoAudioError(f"{path}: the file has no audio; give one with an audio stream")
    plausible = [stream for stream in decodable if low <= stream.rate <= high]
    if not plausible:
        rate_hz = decodable[0].rate
        raise MediaError(f"{path}: the audio's sampling rate is {rate_hz} Hz; it has to be {low} to {high} Hz")
    return plausible


def usable_video_streams(container: InputContainer) -> list[VideoStream]:
    """The video streams of a container that can be decoded."""
    return [stream for stream in _video_streams(container) if stream.codec_context is not None]


def _video_streams(container: InputContainer) -> list[VideoStream]:
    """Video streams, without cover images of audio files, which FFmpeg presents as video too."""
    return [stream for stream in container.streams.video if not stream.disposition & _NO_VIDEO]


def decode_frames(container: InputContainer, stream: VideoStream | AudioStream) -> Iterator[VideoFrame | av.AudioFrame]:
    """Decode a stream frame by frame, as `decode_parts` does."""
    for _, frame in decode_parts(container, stream):
        yield frame


def decode_parts(
    container: InputContainer, stream: VideoStream | AudioStream
) -> Iterator[tuple[int, VideoFrame | av.AudioFrame]]:
    """Decode a stream frame by frame, with the number of the part of the file that each is from.

    The parts' clocks are joined: each part begins where pictures and audio of the one before it have both ended, so
    that its own stay together. A packet that cannot be decoded is skipped. Where the container's data break off, the
    stream ends: see `is_truncated`.

    Raises:
        MediaError: the file cannot be read any further.
    """
    for frame in decode_part(container, stream):
        yield 0, frame
    path = Path(container.name.removeprefix("file:"))
    parts = _known_parts(path)
    shift_s, time_base = Fraction(0), stream_time_base(stream)
    for number in range(1, len(parts)):
        shift_s += _span_s(parts, number - 1)[1] - _span_s(parts, number)[0]
        with _open_part(parts, number) as later:
            same = _same_stream(later, stream)
            if same is None:
                continue
            for frame in decode_part(later, same):
                if frame.pts is not None:
                    time_s = frame.pts * (frame.time_base or stream_time_base(same)) + shift_s
                    frame.pts, frame.time_base = round(time_s / time_base), time_base
                yield number, frame


def _known_parts(path: Path) -> tuple[Part, ...]:
    """The parts of a file that is open. Raises MediaError where it has been taken away meanwhile."""
    try:
        return parts_of(path)
    except OSError as error:
        raise MediaError(f"{path}: reading stopped: {error.strerror}") from error


def _open_part(parts: tuple[Part, ...], number: int) -> InputContainer:
    """Open part `number`, from 1 on. Raises MediaError where it is no audio or video file by itself."""
    try:
        return _open(PartFile(parts, number))
    except (av.FFmpegError, OSError) as error:
        where = f"part {number + 1} of {len(parts)}, from byte {parts[number].ranges[-1][0]} on"
        raise MediaError(
            f"{parts[number].path}: {where}, is damaged ({error.strerror}); give the parts one by one"
        ) from error


def _same_stream(container: InputContainer, stream: VideoStream | AudioStream) -> VideoStream | AudioStream | None:
    """The stream of a later part that goes on with a stream of the first: of the same kind and number, else the first.

    Raises:
        MediaError, NoVideoError: as `find_video_stream`.
    """
    if isinstance(stream, VideoStream):
        return find_video_stream(container, Path(container.name.removeprefix("file:")))
    try:
        usable = usable_audio_streams(container, Path())
    except MediaError:  # a part without audio
        return None
    return next((later for later in usable if later.index == stream.index), usable[0] if usable else None)


@functools.lru_cache(maxsize=256)
def _span_s(parts: tuple[Part, ...], number: int) -> tuple[Fraction, Fraction]:
    """When a part begins and ends, in seconds on its own clock, over its pictures and its audio.

    Raises:
        MediaError: it is no audio or video file by itself.
    """
    begins_s: list[Fraction] = []
    end_s = Fraction(0)
    with _open_part(parts, number) as container, contextlib.suppress(av.FFmpegError):
        videos = _video_streams(container)
        steps_s = {stream.index: 1 / stream_frame_rate(stream) for stream in videos}
        for packet in container.demux(*videos, *container.streams.audio):
            if packet.size and packet.pts is not None:
                time_s = packet.pts * packet.time_base
                length_s = (packet.duration or 0) * packet.time_base or steps_s.get(packet.stream.index, Fraction(0))
                begins_s = [min([time_s, *begins_s])]
                end_s = max(end_s, time_s + length_s)
    if not begins_s:
        return Fraction(0), Fraction(0)
    # Just before 0 lie samples that the decoder takes to get going, and does not give.
    begin_s = Fraction(0) if -LONGEST_PRIMING_S < begins_s[0] < 0 else begins_s[0]
    return begin_s, max(begin_s, end_s)


def decode_part(container: InputContainer, stream: VideoStream | AudioStream) -> Iterator[VideoFrame | av.AudioFrame]:
    """Decode a stream of one file, or of one part of it. Raises what `decode_parts` raises."""
    try:
        with contextlib.suppress(av.error.InvalidDataError):
            for packet in container.demux(stream):
                if packet.size:
                    with contextlib.suppress(av.error.InvalidDataError):
                        yield from _cut_at_end(stream, stream.decode(packet))
        yield from _cut_at_end(stream, _flush_decoder(stream))
    except av.FFmpegError as error:
        raise MediaError(f"{container.name.removeprefix('file:')}: reading stopped: {error.strerror}") from error


def _cut_at_end(
    stream: VideoStream | AudioStream, frames: Iterable[VideoFrame | av.AudioFrame]
) -> Iterator[VideoFrame | av.AudioFrame]:
    """The frames, the last one of audio cut at its declared end: decoders give whole frames, padded beyond it."""
    end_s = declared_end_s(stream) if isinstance(stream, AudioStream) else None
    for frame in frames:
        if end_s is not None and isinstance(frame, av.AudioFrame) and frame.pts is not None:
            start_s = frame.pts * (frame.time_base or stream_time_base(stream))
            surplus = frame.samples - round((end_s - start_s) * frame.sample_rate)
            if 0 < surplus < frame.samples:
                frame = _first_samples(frame, frame.samples - surplus)
        yield frame


def _first_samples(frame: av.AudioFrame, count: int) -> av.AudioFrame:
    """A copy of a frame's first samples, at the same time."""
    # Packed formats hold the channels' samples in turn in one row, planar ones a row a channel.
    values = count if frame.format.is_planar else count * len(frame.layout.channels)
    kept = cast(FloatArray, np.ascontiguousarray(frame.to_ndarray()[:, :values]))
    short = av.AudioFrame.from_ndarray(kept, frame.format.name, frame.layout.name)
    short.sample_rate, short.pts, short.time_base = frame.sample_rate, frame.pts, frame.time_base
    return short


def _flush_decoder(stream: VideoStream | AudioStream) -> Iterator[VideoFrame | av.AudioFrame]:
    """The frames still inside the decoder, whose threads may report an earlier bad packet only here."""
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


def first_frame_time_s(path: Path, track: int | None = None) -> Fraction | None:
    """When the first video frame is shown, in seconds on the container's clock; None where no video frame says so.

    Args:
        path: any audio or video file.
        track: number of the video track, from 1 on; None for the one that is used.

    Raises:
        MissingFileError, MediaError: as `open_input`.
    """
    with open_input(path) as container:
        if usable_video_streams(container):
            stream = find_video_stream(container, path, track)
            for frame in decode_frames(container, stream):
                return None if frame.pts is None else frame.pts * stream_time_base(stream)
    return None


def video_key(path: Path, tracks: Tracks = DEFAULT_TRACKS) -> str:
    """What has to be added to a file's hash to tell what is read as its video; nothing for its only track.

    Raises:
        MissingFileError, MediaError, NoVideoError: as `open_input` and `find_video_stream`.
    """
    with open_input(path) as container:
        streams = _video_streams(container)
        number = streams.index(find_video_stream(container, path, tracks.video))
    parts = len(_known_parts(path))
    return (f"-track{number + 1}" if len(streams) > 1 else "") + (f"-parts{parts}" if parts > 1 else "")


def stream_time_base(stream: VideoStream | AudioStream) -> Fraction:
    """Seconds a tick of a stream's timestamps."""
    return stream.time_base or FALLBACK_TIME_BASE


def stream_frame_rate(stream: VideoStream) -> Fraction:
    """Average frames per second of a stream, at most `MAX_FRAME_RATE`."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= MAX_FRAME_RATE:
            return Fraction(rate)
    return FALLBACK_FRAME_RATE


def declared_duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Length of a stream in seconds as the file declares it, else that of the container; None if there is neither."""
    if stream.duration:
        return float(stream.duration * stream_time_base(stream))
    return container.duration / av.time_base if container.duration else None


def declared_end_s(stream: AudioStream) -> Fraction | None:
    """Where a stream ends, in seconds on the container's clock; None where the file has no index of its frames.

    Without an index the length is an estimate of FFmpeg's.
    """
    if not stream.frames or not stream.duration:
        return None
    return ((stream.start_time or 0) + stream.duration) * stream_time_base(stream)


def is_truncated(stream: VideoStream | AudioStream, end_s: Fraction, tolerance_s: Fraction) -> bool:
    """Whether a file breaks off before its declared end.

    Args:
        stream: declares its length, reliably only where the file has an index of its frames; False without one.
        end_s: seconds from the stream's start to where its decoded frames end.
        tolerance_s: seconds that may be missing; `TRUNCATED_SHARE` of the length may in any case.
    """
    if not stream.frames or not stream.duration:
        return False
    declared_s = stream.duration * stream_time_base(stream)
    return declared_s - end_s > max(Fraction(TRUNCATED_SHARE) * declared_s, tolerance_s)
