"""What has to be known of a video before its first frame is read: its nominal rate, its gaps, and its interlacing.

The time stamps of all packets are read, without decoding, and a few frames at four places are decoded. What is found is
kept for as long as the program runs, since a clip is opened many times.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from talkinghead.media.colors import check_colors
from talkinghead.media.containers import decode_frames, find_video_stream, open_input, stream_time_base
from talkinghead.media.frame_rate import fill_times, nominal_rate
from talkinghead.media.interlacing import SMALLEST_PX, Interlacing, Scan, interlacing_of, luma, scan_of
from talkinghead.structures import DEFAULT_TRACKS, ByteArray, Tracks

LOOKS = 4
"""Places of a video at which frames are looked at."""
LOOK_FRAMES = 14
"""Frames in a row that are looked at."""


@dataclass(frozen=True)
class VideoProbe:
    """What was found."""

    frame_rate: Fraction
    """Nominal, frames per second."""
    filled_frames: int
    """Frames that are missing in gaps."""
    interlacing: Interlacing
    """By the pictures."""
    is_flagged: bool
    """Whether frames are flagged as interlaced."""

    @property
    def interlaced_as(self) -> str | None:
        """What the video is, for people; None for progressive video."""
        order = self.interlacing.order
        if order is None:
            return "interlaced by its flags" if self.is_flagged else None
        kind = "3:2 telecine" if self.interlacing.is_telecine else "interlaced"
        return f"{kind}, {order}" + ("" if self.is_flagged else ", not flagged")


def probe_video(path: Path, tracks: Tracks = DEFAULT_TRACKS) -> VideoProbe:
    """Probe a video file, or recall what was found.

    Raises:
        MissingFileError, MediaError, NoVideoError: the file cannot be read, or holds no video.
    """
    path = Path(path)
    if not path.is_file():
        return _probe(path, tracks.video)
    status = path.stat()
    return _probed(path.resolve(), status.st_size, status.st_mtime_ns, status.st_ino, tracks.video)


@lru_cache(maxsize=256)
def _probed(path: Path, size: int, changed_ns: int, inode: int, track: int | None) -> VideoProbe:
    return _probe(path, track)


def _probe(path: Path, track: int | None) -> VideoProbe:
    with open_input(path) as container:
        stream = find_video_stream(container, path, track)
        tick_s = stream_time_base(stream)
        parts = _stamps(container, stream)
        declared = declared_rates(stream)
    looks = _look(path, track, parts[0] if parts else np.zeros(0, np.int64))
    if looks.is_flagged and looks.step_ticks:
        parts = [frame_stamps(part, looks.step_ticks) for part in parts]
    intervals = np.concatenate([np.zeros(0, np.int64), *(np.diff(part) for part in parts)])
    rate = nominal_rate(intervals * float(tick_s), float(tick_s), declared)
    gaps = intervals[intervals * float(tick_s) > 1 / float(rate)].tolist()
    filled = sum(len(fill_times(Fraction(0), gap * tick_s, rate, tick_s)) for gap in gaps)
    return VideoProbe(rate, filled, interlacing_of(looks.runs), looks.is_flagged)


def frame_stamps(stamps: NDArray[np.int64], step_ticks: float) -> NDArray[np.int64]:
    """Times of frames among those of packets, of which interlaced H.264 may have one for each field.

    Args:
        stamps: (P,) of packets, ticks, rising.
        step_ticks: usual interval of decoded frames, ticks.
    """
    if len(stamps) < 2 or 1.5 * np.median(np.diff(stamps)) > step_ticks:
        return stamps
    kept = [int(stamps[0])]
    for stamp in stamps[1:].tolist():
        if stamp - kept[-1] > 0.75 * step_ticks:
            kept.append(stamp)
    return np.array(kept, np.int64)


def declared_rates(stream: VideoStream) -> list[Fraction]:
    """Frames per second as the file declares them, and as FFmpeg guesses; the average comes first."""
    return [Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]


def _stamps(container: InputContainer, stream: VideoStream) -> list[NDArray[np.int64]]:
    """Presentation times of a video's packets, in ticks, rising; in parts, between which the clock begins anew."""
    parts: list[list[int]] = [[]]
    decoded_at: int | None = None
    with contextlib.suppress(av.FFmpegError):  # the reader says what is wrong with the file
        for packet in container.demux(stream):
            if packet.pts is None or packet.is_discard:
                continue
            if packet.dts is not None:
                if decoded_at is not None and packet.dts < decoded_at:
                    parts.append([])
                decoded_at = packet.dts
            parts[-1].append(packet.pts)
    return [np.unique(np.array(part, np.int64)) for part in parts if part]


@dataclass(frozen=True)
class _Looks:
    """What was seen at some places of a video."""

    runs: list[list[Scan | None]]
    """How frames were recorded, by their pictures; a run for each place."""
    is_flagged: bool
    """Whether any is flagged as interlaced."""
    step_ticks: float
    """Usual interval between decoded frames; 0 where it is not known."""


def _look(path: Path, track: int | None, stamps: NDArray[np.int64]) -> _Looks:
    """Look at frames at some places of a video."""
    runs: list[list[Scan | None]] = []
    steps: list[int] = []
    begun: set[int | None] = set()
    is_flagged = False
    is_long = len(stamps) > LOOKS * LOOK_FRAMES
    with open_input(path) as container:
        stream = find_video_stream(container, path, track)
        stream.thread_type = "AUTO"
        for look in range(LOOKS if is_long else 1):
            if look:
                with contextlib.suppress(av.FFmpegError):
                    container.seek(int(stamps[len(stamps) * look // LOOKS]), stream=stream, backward=True)
            decoded = cast(Iterator[VideoFrame], decode_frames(container, stream))
            chosen = itertools.islice(decoded, LOOK_FRAMES if is_long else LOOKS * LOOK_FRAMES)
            frames = list(_described(chosen, path, stream))
            if not frames or frames[0].pts in begun:
                continue
            begun.add(frames[0].pts)
            runs.append([frame.scan for frame in frames[2:]])
            is_flagged |= any(frame.is_flagged for frame in frames)
            shown = sorted({frame.pts for frame in frames if frame.pts is not None})
            steps += np.diff(shown).tolist()
    return _Looks(runs, is_flagged, float(np.median(steps)) if steps else 0.0)


@dataclass(frozen=True)
class _SeenFrame:
    """What is kept of a frame that was looked at."""

    pts: int | None
    is_flagged: bool
    scan: Scan | None
    """How the frame before it was recorded."""


def _described(frames: Iterable[VideoFrame], path: Path, stream: VideoStream) -> Iterator[_SeenFrame]:
    """Look at neighboring frames, of which three are in memory at a time."""
    recent: deque[ByteArray] = deque(maxlen=3)
    for number, frame in enumerate(frames):
        if number == 0:
            check_colors(frame, stream.codec_context.codec_tag, path)
        recent.append(luma(frame))
        is_judged = len(recent) == 3 and recent[0].shape == recent[1].shape == recent[2].shape
        scan = scan_of(*recent) if is_judged and min(frame.width, frame.height) >= SMALLEST_PX else None
        yield _SeenFrame(frame.pts, frame.interlaced_frame, scan)
