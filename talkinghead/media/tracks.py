"""Which audio track of a file is used where it has several."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from talkinghead.errors import MediaError, NoAudioError
from talkinghead.media.containers import decode_part, open_input, usable_audio_streams

MEASURED_S = 120.0
"""Seconds of each audio track over which its level is measured."""
SILENT_DBFS = -60.0
"""A track whose level is lower holds no speech."""


@dataclass(frozen=True)
class AudioTrackInfo:
    """One audio track of a file that has several."""

    number: int
    """From 1 on, in the order of the file."""
    stream_index: int
    """FFmpeg's number of the stream."""
    is_default: bool
    """Whether the file marks it as the one to play."""
    level_dbfs: float
    """Root mean square of its first two minutes; minus infinity for silence."""
    name: str
    """Its title and language, where the file gives them, and its codec."""

    def __str__(self) -> str:
        level = f"{self.level_dbfs:.0f} dB" if self.level_dbfs >= SILENT_DBFS else "silent"
        return f"{self.number} ({self.name}, {level}{', default' if self.is_default else ''})"


def find_audio_track(container: InputContainer, path: Path, number: int | None = None) -> AudioStream:
    """The audio stream of a container that is used.

    That marked as default is taken, unless it is silent; among several so marked, or where none is, the loudest.

    Args:
        container: the file, open.
        path: of the file.
        number: track to use, from 1 on; None chooses.

    Raises:
        NoAudioError: there is none, or none of that number.
        MediaError: its sampling rate is implausible, or its codec is not supported.
    """
    usable = usable_audio_streams(container, path)
    if number is not None:
        return _numbered(container, path, number)
    if len(usable) == 1:
        return usable[0]
    chosen = preferred(audio_tracks(path))
    return next((stream for stream in usable if stream.index == chosen.stream_index), usable[0])


def _numbered(container: InputContainer, path: Path, number: int) -> AudioStream:
    streams = container.streams.audio
    if not 1 <= number <= len(streams):
        raise NoAudioError(f"{path} has no audio track {number}; it has {len(streams)}, counted from 1")
    if streams[number - 1] not in usable_audio_streams(container, path):
        raise MediaError(f"{path}: the codec of audio track {number} is not supported; convert it to AAC")
    return streams[number - 1]


def preferred(tracks: tuple[AudioTrackInfo, ...]) -> AudioTrackInfo:
    """The track that is used where none is asked for."""
    heard = [track for track in tracks if track.level_dbfs >= SILENT_DBFS] or list(tracks)
    marked = [track for track in heard if track.is_default] or heard
    return marked[0] if len(marked) == 1 else max(marked, key=lambda track: track.level_dbfs)


def audio_tracks(path: Path) -> tuple[AudioTrackInfo, ...]:
    """The usable audio tracks of a file.

    Raises:
        MissingFileError, MediaError, NoAudioError: it cannot be read, or has none.
    """
    with open_input(path) as container:
        usable_audio_streams(container, path)
    stat = path.stat()
    return _audio_tracks(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _audio_tracks(path: Path, _size: int, _changed_ns: int) -> tuple[AudioTrackInfo, ...]:
    with open_input(path) as container:
        numbers = {stream.index: number for number, stream in enumerate(container.streams.audio, 1)}
        found = [
            (numbers[stream.index], stream.index, bool(stream.disposition & Disposition.default), _name(stream))
            for stream in usable_audio_streams(container, path)
        ]
    return tuple(
        AudioTrackInfo(number, index, is_default, _level_dbfs(path, index), name)
        for number, index, is_default, name in found
    )


def _name(stream: AudioStream) -> str:
    """Title, language and codec of a stream; printable."""
    tags = [stream.metadata.get("title", ""), stream.metadata.get("language", "").replace("und", "")]
    shown = ["".join(character for character in tag[:40] if character.isprintable()).strip() for tag in tags]
    return ", ".join([*filter(None, shown), stream.codec_context.name])


def _level_dbfs(path: Path, index: int) -> float:
    """Level of a stream's first minutes."""
    total, count = 0.0, 0
    with open_input(path) as container:
        stream = cast(AudioStream, container.streams[index])
        resampler = av.AudioResampler("fltp")
        for frame in decode_part(container, stream):
            for block in resampler.resample(cast(av.AudioFrame, frame)):
                values = block.to_ndarray()
                total += float(np.square(values, dtype=np.float64).mean(0).sum())
                count += values.shape[1]
            if count >= MEASURED_S * stream.rate:
                break
    power = total / count if count else 0.0
    return 10 * math.log10(power) if power > 0 else -math.inf
