"""The frames of an anchor's clip, decoded once for all of its sessions as far as memory goes."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator

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
from talkinghead.structures import Frame

AHEAD = 8
"""Frames that are decoded before they are asked for."""


def crossing_of(anchor: Anchor) -> Crossing | None:
    """The crossing of an anchor's forward loop; None where none was found when it was trained, or its clip's frames do
    not come at an even pace."""
    info = read_video_info(anchor.clip, anchor.tracks)
    if not anchor.loops or not is_constant_rate(anchor.reconstruction.times_s, info.frame_rate):
        return None
    return Crossing(anchor.loops[0], anchor.region, anchor.reconstruction)


class SharedClip:
    """One decoder that goes through the clip once, driven by whoever is foremost. Its methods may be called from any
    thread.

    The order of playback is the anchor's stretch of its clip, then round its forward loop where it has one, else back
    and forth between still moments.
    """

    def __init__(self, anchor: Anchor, store: ImageStore, crossing: Crossing | None = None) -> None:
        """Args: the anchor; where the frames of its clip are kept; the crossing of its loop, see `crossing_of`, whose
        blended frames have the numbers after those of the clip."""
        self._anchor, self._store, self._crossing = anchor, store, crossing
        start, end = frames_in(anchor.clip_range, anchor.reconstruction.times_s, anchor.clip)
        if crossing is None:
            turns = turning_points(anchor.reconstruction.select(np.arange(start, end + 1)))
            self.once, self.again = _there_and_back(start, *turns)
        else:
            self.once, self.again = _round(start, crossing)
        self._lock = threading.Lock()
        self._decoder: Generator[Frame] | None = None
        self._decoded = 0
        """Frames of `once` that the decoder has given."""
        self.foremost = 0
        """Place in `once` of the foremost session."""
        self._is_over = False

    @property
    def is_whole(self) -> bool:
        """Whether every frame is kept: nothing is decoded any more."""
        return self._decoded == len(self.once) and not self._store.is_full

    @property
    def is_over(self) -> bool:
        """Whether the decoder is through, or what it decodes can no longer be kept."""
        return self._is_over

    def frame(self, place: int, *, is_ahead: bool = False) -> Image | None:
        """The frame at a place of `once`, decoded now if nobody has asked for it yet; None where it could not be kept.

        Args:
            place: of the frame.
            is_ahead: whether no session needs it yet.

        Raises:
            MediaError: the clip cannot be decoded.
        """
        if not is_ahead:
            self.foremost = max(self.foremost, place)
        number = int(self.once[place])
        found: Image | None = self._store.get(number)
        if found is not None or self._is_over:
            return found
        with self._lock:
            while self._decoded <= place and not self._is_over:
                found = self._next(is_ahead=is_ahead)
            # Another thread may have gone past it while this one waited.
            return found if self._decoded == place + 1 and found is not None else self._store.get(number)

    def kept(self, order: NDArray[np.int64]) -> Iterator[tuple[int, Image]]:
        """Frames by their numbers, from memory; where the clip `is_whole`, they are all there."""
        for number in order.tolist():
            image = self._store.get(number)
            if image is None:
                raise KeyError(f"frame {number} is not kept")
            yield number, image

    def decode(self, order: NDArray[np.int64]) -> Iterator[tuple[int, Image]]:
        """Frames by their numbers, decoded for one session alone."""
        anchor = self._anchor
        decoded = read_in_order(anchor.clip, order, anchor.reconstruction.times_s, anchor.tracks, self._crossing)
        for number, frame in zip(order.tolist(), decoded, strict=True):
            yield number, frame.image

    def _next(self, *, is_ahead: bool) -> Image:
        """Decode one more frame of `once` and keep it; what is rendered ahead need not be unpacked again."""
        anchor = self._anchor
        if self._decoder is None:
            times_s = anchor.reconstruction.times_s
            frames = read_in_order(anchor.clip, self.once, times_s, anchor.tracks, self._crossing)
            self._decoder = prefetch(frames, AHEAD)
        try:
            image = next(self._decoder).image
            kept = self._store.keep(int(self.once[self._decoded]), image)
        except BaseException:
            self._end()
            raise
        self._decoded += 1
        if self._decoded == len(self.once) or self._store.is_full:
            self._end()
        return image if is_ahead else kept

    def _end(self) -> None:
        self._is_over = True
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None


def _there_and_back(start: int, first: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frames to begin with, and those that come again and again."""
    once = start + ping_pong(last + 1, first, last)
    order = start + ping_pong(last + 1 + 2 * max(1, last - first), first, last)
    return once, order[len(once) :]


def _round(start: int, crossing: Crossing) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same along a loop, which only runs forwards."""
    loop = crossing.loop
    once = loop.leave - start + loop.frames
    order = forward_loop(once + loop.leave - loop.enter, start, crossing.first, loop)
    return order[:once], order[once:]
