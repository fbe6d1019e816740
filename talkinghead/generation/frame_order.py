"""Frame order: which frame of the clip each output frame shows, and reading frames in that order in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.face.reconstruction import frame_rate_of
from talkinghead.generation.crossing import Crossing
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import DEFAULT_TRACKS, SAME_TIME_S, Frame, Loop, Reconstruction, Tracks

TURN_WITHIN_S = 4.0
"""Playback turns within this time of either end of the clip, where the head is stillest, seconds ..."""
TURN_WITHIN = 0.25
"""... and within this share of the clip."""
STILL_S = 0.3
"""Time over which stillness is judged: playback runs through it twice, seconds."""
HEAD_CM = 10.0
"""Distance from the head's middle at which its rotation counts as motion, cm."""
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
    places = head_places_cm(reconstruction)
    if len(places) < 2:
        return np.zeros(len(places))
    speed = np.linalg.norm(np.gradient(places, axis=0), axis=1)
    return np.where(reconstruction.valid, speed, np.inf)


def head_places_cm(reconstruction: Reconstruction) -> NDArray[np.float64]:
    """(T, 6) place of the head in each frame: position in the image, rotation and size, all as cm at its surface."""
    usual = float(np.median(reconstruction.scale))
    return np.column_stack(
        [
            reconstruction.translation.astype(np.float64) / usual,
            HEAD_CM * reconstruction.rotation,
            HEAD_CM * np.log(reconstruction.scale / usual),
        ]
    )


def forward_loop(count: int, first: int, frames: int, loop: Loop) -> NDArray[np.int64]:
    """Frame numbers of a clip that only runs forwards: from a frame on, and then round and round.

    Args:
        count: number of output frames.
        first: frame with which the output begins, at most loop.leave.
        frames: of the clip, T.
        loop: its crossing is shown as frames T to T + loop.frames - 1.

    Returns:
        (count,) int64; every number differs from the one before.
    """
    crossing = frames + np.arange(loop.frames)
    start = np.concatenate([np.arange(first, loop.leave), crossing])
    one_round = np.concatenate([np.arange(loop.enter + loop.frames, loop.leave), crossing])
    rounds = max(0, -(-(count - len(start)) // len(one_round)))
    return np.concatenate([start, np.tile(one_round, rounds)])[:count].astype(np.int64)


def read_in_order(
    clip: Path,
    order: Sequence[int] | NDArray[np.int64],
    times_s: NDArray[np.float64],
    tracks: Tracks = DEFAULT_TRACKS,
    crossing: Crossing | None = None,
) -> Iterator[Frame]:
    """Read the frames of a clip in an order that runs forwards and backwards; a repeated number repeats the frame.

    Runs forwards are streamed. Runs backwards are read in pieces of BACKWARD_BYTES, each from the key frame before it.
    Of a crossing's two sides, one frame each is in memory.

    Args:
        clip: the video.
        order: frame numbers; from the crossing's first one on, they are those of its blended frames, rising.
        times_s: (T,) presentation times of the clip's frames, seconds.
        tracks: which video track of it.
        crossing: between two moments of the clip; None where the order has no blended frames.

    Raises:
        MediaError: the clip cannot be decoded.
    """
    source, numbers = (clip, tracks), np.asarray(order, np.int64)
    if crossing is None:
        yield from _read_runs(source, numbers, times_s)
        return
    is_blended = numbers >= crossing.first
    for part in np.split(numbers, np.flatnonzero(np.diff(is_blended)) + 1):
        if len(part) and part[0] >= crossing.first:
            yield from _read_crossing(source, crossing, part - crossing.first, times_s)
        else:
            yield from _read_runs(source, part, times_s)


def _read_crossing(
    source: _Source, crossing: Crossing, steps: NDArray[np.int64], times_s: NDArray[np.float64]
) -> Iterator[Frame]:
    """Blended frames of a crossing, by their rising numbers in it, (N,)."""
    left = _read_forward(source, crossing.loop.leave + steps, times_s)
    entered = _read_forward(source, crossing.loop.enter + steps, times_s)
    for step, before, after in zip(steps.tolist(), left, entered, strict=True):
        yield Frame(crossing.blend(step, before.image, after.image), before.time_s)


def _read_runs(source: _Source, order: NDArray[np.int64], times_s: NDArray[np.float64]) -> Iterator[Frame]:
    """Frames of the clip itself, see `read_in_order`."""
    for run in _monotone_runs(order):
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
