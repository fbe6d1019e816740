"""Frame order: which frame of the clip each output frame shows, and reading frames in that order in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.face.reconstruction import frame_rate_of
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import DEFAULT_TRACKS, Frame, Reconstruction, Tracks

TURN_WITHIN_S = 4.0
"""Playback turns within this time of either end of the clip, where the head is stillest, seconds ..."""
TURN_WITHIN = 0.25
"""... and within this share of the clip."""
STILL_S = 0.3
"""Time over which stillness is judged: playback runs through it twice, seconds."""
HEAD_CM = 10.0
"""Distance from the head's middle at which its rotation counts as motion, cm."""
SAME_TIME_S = 1e-3
"""Difference of timestamps, in seconds, below which they are of the same frame: containers round them."""
BACKWARD_BYTES = 48 * 1024 * 1024
"""Size of the decoded frames that are in memory at a time while a clip is read backwards."""
BACKWARD_FRAMES = 24
"""Least number of frames that are in memory at a time while a clip is read backwards, however large they are."""

_Source = tuple[Path, Tracks]
"""A clip, and which of its tracks is read."""


def ping_pong(count: int, first: int, last: int) -> NDArray[np.int64]:
    """Frame numbers of a clip that is played forwards from its beginning, and then back and forth.

    No frame is shown twice in a row: at a turn, playback goes on with the frame before.

    Args:
        count: number of output frames.
        first, last: frames at which playback turns, 0 <= first <= last.

    Returns:
        (count,) int64 in [0, last].
    """
    start = np.arange(last + 1)
    round_trip = np.concatenate([np.arange(last - 1, first - 1, -1), np.arange(first + 1, last + 1)])
    if not len(round_trip):  # a single frame stands still
        round_trip = np.array([last])
    rounds = max(0, -(-(count - len(start)) // len(round_trip)))
    return np.concatenate([start, np.tile(round_trip, rounds)])[:count].astype(np.int64)


def turning_points(reconstruction: Reconstruction) -> tuple[int, int]:
    """Frames near the beginning and the end of a clip at which the head is stillest.

    There playback can turn: motion that is small already is not seen to reverse, and nothing has to be slowed down.
    """
    rate_hz = frame_rate_of(reconstruction)
    speed = head_speed_cm(reconstruction)
    count = len(speed)
    span = max(1, round(STILL_S * rate_hz))
    padded = np.pad(speed, (span // 2, span - 1 - span // 2), mode="edge")
    around = np.convolve(padded, np.ones(span) / span, "valid")
    within = max(1, min(round(TURN_WITHIN_S * rate_hz), round(TURN_WITHIN * count)))
    return int(np.argmin(around[:within])), count - within + int(np.argmin(around[count - within :]))


def head_speed_cm(reconstruction: Reconstruction) -> NDArray[np.float64]:
    """(T,) motion of the head from the frame before to the one after, cm per frame; infinite in frames without a
    face, where it is not known."""
    scale = reconstruction.scale.astype(np.float64)
    place = np.column_stack(
        [reconstruction.translation / scale[:, None], HEAD_CM * reconstruction.rotation, HEAD_CM * np.log(scale)]
    )
    if len(place) < 2:
        return np.zeros(len(place))
    speed = np.linalg.norm(np.gradient(place, axis=0), axis=1)
    return np.where(reconstruction.valid, speed, np.inf)


def read_in_order(
    clip: Path,
    order: Sequence[int] | NDArray[np.int64],
    times_s: NDArray[np.float64],
    tracks: Tracks = DEFAULT_TRACKS,
) -> Iterator[Frame]:
    """Read the frames of a clip in an order that runs forwards and backwards; a repeated number repeats the frame.

    Runs forwards are streamed. Runs backwards are read in pieces of BACKWARD_BYTES, each from the key frame before it.

    Args:
        clip: the video.
        order: frame numbers.
        times_s: (T,) presentation times of the clip's frames, seconds.
        tracks: which video track of it.

    Raises:
        MediaError: the clip cannot be decoded.
    """
    source = (clip, tracks)
    for run in _monotone_runs(np.asarray(order, np.int64)):
        if len(run) == 1 or run[-1] >= run[0]:
            yield from _read_forward(source, run, times_s)
        else:
            yield from _read_backward(source, run, times_s)


def _monotone_runs(order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Split an order into runs that only rise or only fall; a repeated number belongs to either."""
    start, direction = 0, 0
    for position in range(1, len(order)):
        step = int(np.sign(order[position] - order[position - 1]))
        if direction and step and step != direction:
            yield order[start:position]
            start, direction = position, 0
        else:
            direction = direction or step
    yield order[start:]


def _read_forward(source: _Source, run: NDArray[np.int64], times_s: NDArray[np.float64]) -> Iterator[Frame]:
    """Frames of a rising run."""
    first = int(run[0])
    numbered = _from_frame(source, first, times_s)
    number, frame = first, next(numbered)
    for requested in run:
        while number < requested:
            number, frame = number + 1, next(numbered)
        yield frame


def _from_frame(source: _Source, first: int, times_s: NDArray[np.float64]) -> Iterator[Frame]:
    """Frames from number `first` on: by a seek where it finds that frame's timestamp, else from the start."""
    if first > 0:
        with VideoReader(*source) as reader:
            frames = reader.frames_from(float(times_s[first]))
            found = next(frames, None)
            if found is not None and abs(found.time_s - times_s[first]) < SAME_TIME_S:
                yield found
                yield from frames
                return
    with VideoReader(*source) as reader:
        yield from itertools.islice(reader, first, None)


def _read_backward(source: _Source, run: NDArray[np.int64], times_s: NDArray[np.float64]) -> Iterator[Frame]:
    """Frames of a falling run, of which one piece at a time is decoded."""
    with VideoReader(*source) as reader:
        piece = max(BACKWARD_FRAMES, BACKWARD_BYTES // (reader.info.width * reader.info.height * 3))
    for start in range(0, len(run), piece):
        yield from _one_piece_backward(source, run[start : start + piece], times_s)


def _one_piece_backward(source: _Source, part: NDArray[np.int64], times_s: NDArray[np.float64]) -> Iterator[Frame]:
    """Frames of one piece of a falling run.

    In a function of its own, its frames are released before the next piece is decoded.
    """
    rising = np.unique(part)
    frames = dict(zip(rising.tolist(), _read_forward(source, rising, times_s), strict=True))
    for number in part.tolist():
        yield frames[number]
