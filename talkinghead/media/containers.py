"""Media containers: opening them safely, finding their streams, and reading clocks, rates and lengths."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from talkinghead.errors import MediaError, MissingFileError, NoAudioError, NoVideoError

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
_FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dv,eac3,flac,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mp3,mpc,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,rm,tta,w64,wav,webm,wv,yuv4mpegpipe"
)
_INPUT_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
"""FFmpeg's options for an untrusted file: without playlist formats and network protocols, no file can make FFmpeg open
another file or an address."""


def open_input(path: Path) -> InputContainer:
    """Open an audio or video file for reading; the caller closes it.

    Raises:
        MissingFileError: there is no such file, it is a folder, or it may not be read.
        MediaError: the file is empty, damaged, or of a format that is not supported.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: no such file")
    if path.is_dir():
        raise MissingFileError(f"{path} is a folder; name a file")
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty")
    try:
        # "file:" keeps a colon in a name from being taken for a protocol.
        return av.open(f"file:{path}", "r", options=_INPUT_OPTIONS, metadata_errors="replace")
    except PermissionError as error:
        raise MissingFileError(f"{path} may not be read: {error.strerror}") from error
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: not an audio or video file, or a damaged one ({error.strerror})") from error


def read_tags(path: Path) -> dict[str, str]:
    """Metadata tags of an audio or video file's container, by name.

    Raises:
        MissingFileError, MediaError: as `open_input`.
    """
    with open_input(path) as container:
        return dict(container.metadata)


def find_video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The first video stream of a container, its decoder limited to `MAX_PIXELS`; `path` is for the messages.

    Raises:
        NoVideoError: there is none.
        MediaError: its codec is not supported, or its frames are too large.
    """
    for stream in _video_streams(container):
        if stream.codec_context is None:
            raise MediaError(f"{path}: the video's codec is not supported; convert it to H.264")
        if stream.width * stream.height > MAX_PIXELS:
            raise MediaError(f"{path}: frames of {stream.width} x {stream.height} are too large; scale the video down")
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        return stream
    raise NoVideoError(f"{path}: the file has no video; give a video clip")


def find_audio_stream(container: InputContainer, path: Path) -> AudioStream:
    """The first audio stream of a container that can be decoded; `path` is for the messages.

    Raises:
        NoAudioError: there is none.
        MediaError: its sampling rate is outside `AUDIO_RATES_HZ`.
    """
    for stream in container.streams.audio:
        if stream.codec_context is not None and stream.rate:
            low, high = AUDIO_RATES_HZ
            if not low <= stream.rate <= high:
                raise MediaError(
                    f"{path}: the audio's sampling rate is {stream.rate} Hz; it has to be {low} to {high} Hz"
                )
            return stream
    raise NoAudioError(f"{path}: the file has no audio; give one with an audio stream")


def _video_streams(container: InputContainer) -> list[VideoStream]:
    """Video streams, without cover images of audio files, which FFmpeg presents as video too."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def decode_frames(container: InputContainer, stream: VideoStream | AudioStream) -> Iterator[VideoFrame | av.AudioFrame]:
    """Decode a stream frame by frame.

    A packet that cannot be decoded is skipped. Where the container's data break off, the stream ends: see
    `is_truncated`.

    Raises:
        MediaError: the file cannot be read any further.
    """
    try:
        with contextlib.suppress(av.error.InvalidDataError):
            for packet in container.demux(stream):
                if packet.size:
                    with contextlib.suppress(av.error.InvalidDataError):
                        yield from stream.decode(packet)
        yield from _flush_decoder(stream)
    except av.FFmpegError as error:
        raise MediaError(f"{container.name.removeprefix('file:')}: reading stopped: {error.strerror}") from error


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


def first_frame_time_s(path: Path) -> Fraction | None:
    """When the first video frame is shown, in seconds on the container's clock; None where no video frame says so.

    Raises:
        MissingFileError, MediaError: as `open_input`.
    """
    with open_input(path) as container:
        if any(stream.codec_context is not None for stream in _video_streams(container)[:1]):
            stream = find_video_stream(container, path)
            for frame in decode_frames(container, stream):
                return None if frame.pts is None else frame.pts * stream_time_base(stream)
    return None


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
