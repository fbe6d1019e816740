"""Which frame of the clip is shown when, and reading frames in that order with bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import Frame

EASE_S = 0.5
"""Time that the clip takes to come to a stop at a turn, and again to get going."""
SAME_TIME_S = 1e-3
BACKWARD_BYTES = 48 * 1024 * 1024
"""Decoded frames kept at a time while the clip is read backwards, but no fewer than BACKWARD_FRAMES."""
BACKWARD_FRAMES = 24


def ping_pong(frames: int, count: int, ease_frames: int) -> NDArray[np.int64]:
    """Frame numbers of a clip played forth and back for `count` output frames: (count,).

    Near each end the clip slows to a stop and sets off the other way, since a sudden reversal of the head's motion
    is seen at once. It starts at full speed, and a count within the clip's length is the clip itself.

    Args:
        frames: frames of the clip.
        count: output frames wanted.
        ease_frames: output frames from full speed to standstill; 0 turns at once.
    """
    if count <= frames:
        return np.arange(count)
    last = frames - 1
    # Under a cosine-shaped slow-down the clip moves on by 2/pi of the frames that pass.
    ease = min(ease_frames, int(last / (2 * 2 / np.pi) * 0.5))
    braking = np.cos((np.arange(ease) + 0.5) / max(ease, 1) * np.pi / 2)
    way = float(braking.sum())
    cruise = np.ones(max(int(round(last - 2 * way)), 1) if last else 1)
    first = np.concatenate([np.ones(max(int(round(last - way)), 0)), braking])
    sweep = np.concatenate([braking[::-1], cruise, braking])
    forward = np.cumsum(sweep) * (last / sweep.sum())
    there_and_back = np.concatenate([last - forward, forward])
    start = np.concatenate([[0.0], np.cumsum(first)]) * (last / max(first.sum(), 1e-9))
    rounds = max(0, -(-(count - len(start)) // len(there_and_back)))
    position = [start, np.tile(there_and_back, rounds)]
    return np.clip(np.round(np.concatenate(position)[:count]), 0, last).astype(np.int64)


def read_in_order(
    clip: Path, order: Sequence[int] | NDArray[np.int64], times_s: NDArray[np.float64]
) -> Iterator[Frame]:
    """Frames of a clip in any order that runs forth and back; a repeated number repeats the frame.

    Runs forward are streamed. Runs backward are read in pieces of BACKWARD_BYTES, each from the key frame before it.

    Args:
        clip: the video.
        order: frame numbers.
        times_s: (T,) presentation times of the clip's frames.
    """
    for run in _monotone_runs(np.asarray(order, np.int64)):
        if len(run) == 1 or run[-1] >= run[0]:
            yield from _read_forward(clip, run, times_s)
        else:
            yield from _read_backward(clip, run, times_s)


def _monotone_runs(order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Split into runs that only rise or only fall (standing still belongs to either)."""
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
    first = int(run[0])
    numbered = _from_frame(clip, first, times_s)
    number, frame = first, next(numbered)
    for wanted in run:
        while number < wanted:
            number, frame = number + 1, next(numbered)
        yield frame


def _from_frame(clip: Path, first: int, times_s: NDArray[np.float64]) -> Iterator[Frame]:
    """Frames from number `first` on: sought by time where the clip's times allow it, else read from the start."""
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
    with VideoReader(clip) as reader:
        piece = max(BACKWARD_FRAMES, BACKWARD_BYTES // (reader.info.width * reader.info.height * 3))
    for start in range(0, len(run), piece):
        yield from _one_piece_backward(clip, run[start : start + piece], times_s)


def _one_piece_backward(clip: Path, part: NDArray[np.int64], times_s: NDArray[np.float64]) -> Iterator[Frame]:
    """A function of its own, so that its frames are gone before the next piece is decoded."""
    rising = np.unique(part)
    kept = dict(zip(rising.tolist(), _read_forward(clip, rising, times_s), strict=True))
    for number in part.tolist():
        yield kept[number]
