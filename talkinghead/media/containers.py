"""Opening media containers safely: which streams there are, their clocks, rates and lengths."""

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
"""Assumed where a file gives no usable frame rate."""
MAX_FRAME_RATE = 1000
"""Frames per second; a higher declared rate is a clock's rate, not that of the pictures."""
TRUNCATED_SHARE = 0.05
TRUNCATED_FRAMES = 3
"""A file is truncated when more than this share of its declared length, and more than so many frames, are missing."""
MAX_PIXELS = 8192 * 8192
"""Of a picture. What a header claims is checked before memory is taken for it; the decoder keeps to the same limit."""
AUDIO_RATES_HZ = (1000, 768_000)
"""Least and greatest sampling rate that is taken for one."""
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dv,eac3,flac,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mp3,mpc,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,rm,tta,w64,wav,webm,wv,yuv4mpegpipe"
)
_INPUT_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
"""Neither the network nor, by a playlist, another file is reached."""


def read_tags(path: Path) -> dict[str, str]:
    """The metadata tags of a sound or video file's container. Raises MissingFileError, MediaError."""
    with open_input(path) as container:
        return dict(container.metadata)


def open_input(path: Path) -> InputContainer:
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


def main_video_stream(container: InputContainer, path: Path) -> VideoStream:
    for stream in _video_streams(container):
        if stream.codec_context is None:
            raise MediaError(f"{path}: the video is of a codec that cannot be decoded; convert it to H.264")
        if stream.width * stream.height > MAX_PIXELS:
            raise MediaError(f"{path}: pictures of {stream.width} x {stream.height} are too large; make them smaller")
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        return stream
    raise NoVideoError(f"{path}: no video in this file; give a clip with pictures")


def main_audio_stream(container: InputContainer, path: Path) -> AudioStream:
    for stream in container.streams.audio:
        if stream.codec_context is not None and stream.rate:
            low, high = AUDIO_RATES_HZ
            if not low <= stream.rate <= high:
                raise MediaError(f"{path}: sound of {stream.rate} Hz; it has to be of {low} to {high} Hz")
            return stream
    raise NoAudioError(f"{path}: no sound in this file; give one with an audio stream")


def decoded_frames(
    container: InputContainer, stream: VideoStream | AudioStream
) -> Iterator[VideoFrame | av.AudioFrame]:
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


def first_picture_time(path: Path) -> Fraction | None:
    """Seconds on the container's clock; None where there are no pictures to count from."""
    with open_input(path) as container:
        if any(stream.codec_context is not None for stream in _video_streams(container)[:1]):
            stream = main_video_stream(container, path)
            for picture in decoded_frames(container, stream):
                return None if picture.pts is None else picture.pts * time_base_of(stream)
    return None


def time_base_of(stream: VideoStream | AudioStream) -> Fraction:
    return stream.time_base or Fraction(1, 90_000)


def frame_rate_of(stream: VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= MAX_FRAME_RATE:
            return Fraction(rate)
    return FALLBACK_FRAME_RATE


def declared_duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration:
        return float(stream.duration * time_base_of(stream))
    return container.duration / av.time_base if container.duration else None


def stops_short(stream: VideoStream | AudioStream, end: Fraction, tolerance: Fraction) -> bool:
    """Whether a stream that ends at `end` (seconds) misses clearly more of its declared length than `tolerance`.

    Only an index of frames is a promise; lengths of other containers are estimates.
    """
    if not stream.frames or not stream.duration:
        return False
    promised = stream.duration * time_base_of(stream)
    return promised - end > max(Fraction(TRUNCATED_SHARE) * promised, tolerance)


def declared_end(stream: AudioStream) -> Fraction | None:
    """Where the stream ends on the container's clock, in seconds; None where there is no index to promise it."""
    if not stream.frames or not stream.duration:
        return None
    return ((stream.start_time or 0) + stream.duration) * time_base_of(stream)
