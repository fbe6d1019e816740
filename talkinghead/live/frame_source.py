"""The frames of an anchor's clip without end, for one session, of which the newest can be given back."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence

from talkinghead.generation.stream import prefetch
from talkinghead.live.shared_clip import AHEAD, SharedClip
from talkinghead.live.stored_images import Image


class FrameSource:
    """Frames in the order of playback, see `SharedClip`, from its beginning.

    They come from memory where they are kept. Where not all are, a thread of the session's own gets them ready, and
    decodes what could not be kept.
    """

    def __init__(self, clip: SharedClip) -> None:
        """Args: the clip, shared by the sessions of its anchor."""
        self._clip = clip
        self._frames = self._endless()
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

    def _endless(self) -> Generator[tuple[int, Image]]:
        clip = self._clip
        if clip.is_whole:
            yield from clip.kept(clip.once)
        else:
            yield from prefetch(self._until_all_is_kept(), AHEAD)
        while True:
            yield from clip.kept(clip.again)

    def _until_all_is_kept(self) -> Iterator[tuple[int, Image]]:
        """Whole rounds, for ever where not all frames can be kept."""
        clip, order = self._clip, self._clip.once
        for place, number in enumerate(order.tolist()):
            image = clip.frame(place)
            if image is None:
                yield from clip.decode(order[place:])
                break
            yield number, image
        while not clip.is_whole:
            yield from clip.decode(clip.again)
