"""Frame order: which frame of the clip each output frame shows, and reading frames in that order in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import Frame

EASE_S = 0.5
"""Time in which playback slows to a standstill before a reversal, and speeds up again after it, seconds."""
SAME_TIME_S = 1e-3
"""Difference of timestamps, in seconds, below which they are of the same frame: containers round them."""
BACKWARD_BYTES = 48 * 1024 * 1024
"""Size of the decoded frames that are in memory at a time while a clip is read backwards."""
BACKWARD_FRAMES = 24
"""Least number of frames that are in memory at a time while a clip is read backwards, however large they are."""


def ping_pong(frames: int, count: int, ease_frames: int) -> NDArray[np.int64]:
    """Frame numbers of a clip that is played forwards and backwards in turn.

    Near each end playback slows to a standstill and speeds up again in the other direction, since viewers notice a
    sudden reversal of the head's motion. It starts at full speed; a clip that is long enough is not slowed at all.

    Args:
        frames: frames of the clip.
        count: number of output frames.
        ease_frames: output frames from full speed to standstill; 0 reverses at once.

    Returns:
        (count,) int64 in [0, frames).
    """
    if count <= frames:
        return np.arange(count)
    last = frames - 1
    # The speed while braking falls as a quarter of a cosine, whose mean is 2 / pi. The two brakings of a sweep
    # may cover at most half of the clip, so that a short clip still has a stretch at full speed.
    ease = min(ease_frames, int(last / (2 * 2 / np.pi) * 0.5))
    braking = np.cos((np.arange(ease) + 0.5) / max(ease, 1) * np.pi / 2)
    braking_path = float(braking.sum())  # frames of the clip that are passed while braking
    # Speeds, in frames of the clip per output frame: of one sweep from end to end, which speeds up, cruises and brakes,
    # and of the first one, which starts at full speed. Their sums are whole numbers of frames only about.
    cruise = np.ones(max(int(round(last - 2 * braking_path)), 1) if last else 1)
    first = np.concatenate([np.ones(max(int(round(last - braking_path)), 0)), braking])
    sweep = np.concatenate([braking[::-1], cruise, braking])
    # Positions are the cumulative speeds, scaled so that a sweep ends exactly on the last frame. A sweep backwards
    # comes first, since the first sweep has ended at the clip's end.
    forward = np.cumsum(sweep) * (last / sweep.sum())
    back_and_forth = np.concatenate([last - forward, forward])
    start = np.concatenate([[0.0], np.cumsum(first)]) * (last / max(first.sum(), 1e-9))
    # As many rounds as fill the count, rounded up; the surplus is cut off.
    rounds = max(0, -(-(count - len(start)) // len(back_and_forth)))
    positions = [start, np.tile(back_and_forth, rounds)]
    return np.clip(np.round(np.concatenate(positions)[:count]), 0, last).astype(np.int64)


def read_in_order(
    clip: Path, order: Sequence[int] | NDArray[np.int64], times_s: NDArray[np.float64]
) -> Iterator[Frame]:
    """Read the frames of a clip in an order that runs forwards and backwards; a repeated number repeats the frame.

    Runs forwards are streamed. Runs backwards are read in pieces of BACKWARD_BYTES, each from the key frame before it.

    Args:
        clip: the video.
        order: frame numbers.
        times_s: (T,) presentation times of the clip's frames, seconds.

    Raises:
        MediaError: the clip cannot be decoded.
    """
    for run in _monotone_runs(np.asarray(order, np.int64)):
        if len(run) == 1 or run[-1] >= run[0]:
            yield from _read_forward(clip, run, times_s)
        else:
            yield from _read_backward(clip, run, times_s)


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


def _read_forward(clip: Path, run: NDArray[np.int64], times_s: NDArray[np.float64]) -> Iterator[Frame]:
    """Frames of a rising run."""
    first = int(run[0])
    numbered = _from_frame(clip, first, times_s)
    number, frame = first, next(numbered)
    for requested in run:
        while number < requested:
            number, frame = number + 1, next(numbered)
        yield frame


def _from_frame(clip: Path, first: int, times_s: NDArray[np.float64]) -> Iterator[Frame]:
    """Frames from number `first` on: by a seek where it finds that frame's timestamp, else from the start."""
    if first > 0:
        with VideoReader(clip) as reader:
            frames = reader.frames_from(float(times_s[first]))
            found = next(frames, None)
            if found is not None and abs(found.time_s - times_s[first]) < SAME_TIME_S:
                yield found
                yield from frames
                return
    with VideoReader(clip) as reader:
        yield from itertools.islice(reader, first, None)


def _read_backward(clip: Path, run: NDArray[np.int64], times_s: NDArray[np.float64]) -> Iterator[Frame]:
    """Frames of a falling run, of which one piece at a time is decoded."""
    with VideoReader(clip) as reader:
        piece = max(BACKWARD_FRAMES, BACKWARD_BYTES // (reader.info.width * reader.info.height * 3))
    for start in range(0, len(run), piece):
        yield from _one_piece_backward(clip, run[start : start + piece], times_s)


def _one_piece_backward(clip: Path, part: NDArray[np.int64], times_s: NDArray[np.float64]) -> Iterator[Frame]:
    """Frames of one piece of a falling run.

    In a function of its own, its frames are released before the next piece is decoded.
    """
    rising = np.unique(part)
    frames = dict(zip(rising.tolist(), _read_forward(clip, rising, times_s), strict=True))
    for number in part.tolist():
        yield frames[number]
