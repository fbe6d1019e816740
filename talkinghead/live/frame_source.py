"""The frames of an anchor's clip without end, of which the newest can be given back."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence

import numpy as np

from talkinghead.anchor import Anchor
from talkinghead.generation.frame_order import ping_pong, read_in_order, turning_points
from talkinghead.generation.loops import frames_in
from talkinghead.generation.stream import prefetch
from talkinghead.structures import ByteArray, Frame

AHEAD = 8
"""Frames that are decoded before they are asked for."""


class FrameSource:
    """Frames in the order of playback: the anchor's stretch of its clip, then back and forth between still moments."""

    def __init__(self, anchor: Anchor) -> None:
        self._clip, self._tracks = anchor.clip, anchor.tracks
        self._times_s = anchor.reconstruction.times_s
        self._start, end = frames_in(anchor.clip_range, self._times_s, anchor.clip)
        self._turns = turning_points(anchor.reconstruction.select(np.arange(self._start, end + 1)))
        self._frames: Generator[tuple[int, Frame]] = prefetch(self._endless(), AHEAD)
        self._returned: deque[tuple[int, ByteArray]] = deque()

    def next(self) -> tuple[int, ByteArray]:
        """Number in the clip and image, (H, W, 3) uint8, of the next frame.

        Raises:
            MediaError: the clip cannot be decoded.
        """
        if self._returned:
            return self._returned.popleft()
        number, frame = next(self._frames)
        return number, frame.image

    def give_back(self, frames: Sequence[tuple[int, ByteArray]]) -> None:
        """Take back frames, in the order in which they were given: they are the next ones."""
        self._returned.extendleft(reversed(frames))

    def close(self) -> None:
        """Stop decoding."""
        self._frames.close()

    def _endless(self) -> Iterator[tuple[int, Frame]]:
        first, last = self._turns
        once = self._start + ping_pong(last + 1, first, last)
        order = self._start + ping_pong(last + 1 + 2 * max(1, last - first), first, last)
        again = order[len(once) :]
        yield from zip(once.tolist(), read_in_order(self._clip, once, self._times_s, self._tracks), strict=True)
        while True:
            yield from zip(again.tolist(), read_in_order(self._clip, again, self._times_s, self._tracks), strict=True)
