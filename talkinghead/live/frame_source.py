"""The frames of an anchor's clip without end, of which the newest can be given back."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from talkinghead.anchor import Anchor
from talkinghead.generation.crossing import Crossing
from talkinghead.generation.frame_order import forward_loop, ping_pong, read_in_order, turning_points
from talkinghead.generation.loops import frames_in
from talkinghead.generation.stream import prefetch
from talkinghead.generation.timeline import is_constant_rate
from talkinghead.live.stored_images import Image, ImageStore
from talkinghead.media.video_reader import read_video_info


def crossing_of(anchor: Anchor) -> Crossing | None:
    """The crossing of an anchor's forward loop; None where none was found when it was trained, or its clip's frames do
    not come at an even pace."""
    info = read_video_info(anchor.clip, anchor.tracks)
    if not anchor.loops or not is_constant_rate(anchor.reconstruction.times_s, info.frame_rate):
        return None
    return Crossing(anchor.loops[0], anchor.region, anchor.reconstruction)


AHEAD = 8
"""Frames that are decoded before they are asked for."""


class FrameSource:
    """Frames in the order of playback: the anchor's stretch of its clip, then round its forward loop where it has one,
    else back and forth between still moments.

    They are decoded once, as far as they can be kept: later rounds, and other sessions, take them from memory.
    """

    def __init__(self, anchor: Anchor, store: ImageStore, crossing: Crossing | None = None) -> None:
        """Args: the anchor; where the frames of its clip are kept; the crossing of its loop, see `crossing_of`, whose
        blended frames have the numbers after those of the clip."""
        self._clip, self._tracks = anchor.clip, anchor.tracks
        self._times_s = anchor.reconstruction.times_s
        self._start, end = frames_in(anchor.clip_range, self._times_s, anchor.clip)
        self._turns = turning_points(anchor.reconstruction.select(np.arange(self._start, end + 1)))
        self._crossing = crossing
        self._store = store
        self._frames: Generator[tuple[int, Image]] = prefetch(self._endless(), AHEAD)
        self._returned: deque[tuple[int, Image]] = deque()

    def next(self) -> tuple[int, Image]:
        """Number in the clip and image of the next frame.

        Raises:
            MediaError: the clip cannot be decoded.
        """
        if self._returned:
            return self._returned.popleft()
        return next(self._frames)

    def give_back(self, frames: Sequence[tuple[int, Image]]) -> None:
        """Take back frames, in the order in which they were given: they are the next ones."""
        self._returned.extendleft(reversed(frames))

    def close(self) -> None:
        """Stop decoding."""
        self._frames.close()

    def _endless(self) -> Iterator[tuple[int, Image]]:
        once, again = self._there_and_back() if self._crossing is None else self._round(self._crossing)
        yield from self._in_order(once)
        while True:
            yield from self._in_order(again)

    def _there_and_back(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Frames to begin with, and those that come again and again."""
        first, last = self._turns
        once = self._start + ping_pong(last + 1, first, last)
        order = self._start + ping_pong(last + 1 + 2 * max(1, last - first), first, last)
        return once, order[len(once) :]

    def _round(self, crossing: Crossing) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The same along a loop, which only runs forwards."""
        loop = crossing.loop
        once = loop.leave - self._start + loop.frames
        order = forward_loop(once + loop.leave - loop.enter, self._start, crossing.first, loop)
        return order[:once], order[once:]

    def _in_order(self, order: NDArray[np.int64]) -> Iterator[tuple[int, Image]]:
        """Frames by their numbers: from memory where they are all there, else decoded, and kept."""
        kept = [self._store.get(number) for number in order.tolist()]
        found = [image for image in kept if image is not None]
        if len(found) == len(order):
            yield from zip(order.tolist(), found, strict=True)
            return
        decoded = read_in_order(self._clip, order, self._times_s, self._tracks, self._crossing)
        for number, frame in zip(order.tolist(), decoded, strict=True):
            self._store.keep(number, frame.image)
            yield number, frame.image
