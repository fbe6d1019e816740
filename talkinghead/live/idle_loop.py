"""What an idle anchor looks like, rendered once for all its sessions, and before they need it if there is time."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence

from talkinghead.errors import TalkingHeadError
from talkinghead.live.stored_images import Image, ImageStore, StoredImage

AT_ONCE = 2
"""Frames that are rendered at once, ahead of need."""
LOOK_S = 0.05
"""How often it is looked whether the machine is free again, seconds."""

Render = Callable[[Sequence[int], Sequence[Image]], Sequence[Image]]
"""Frames of the clip with the mouth at rest: their numbers, and images."""
Rest = Callable[[int, float], float | None]
"""How long to wait before a place of the clip after so long a work, seconds; None while the machine is not free."""


class IdleLoop:
    """Pictures of the mouth at rest by the numbers of their frames. Its methods may be called from any thread.

    A picture that several sessions need at the same time is rendered by one of them; the others wait for it.
    """

    def __init__(self, store: ImageStore, render: Render) -> None:
        """Args: where the pictures are kept; what renders them."""
        self._store, self._render = store, render
        self._rendering = threading.Lock()

    def pictures(self, numbers: Sequence[int], images: Sequence[Image]) -> list[Image]:
        """Pictures of B frames, rendered now where nobody has done so.

        Args:
            numbers: of the frames in the clip.
            images: the frames.
        """
        found = [self._store.get(number) for number in numbers]
        missing = [place for place, image in enumerate(found) if image is None]
        if not missing:
            return [image for image in found if image is not None]
        if self._store.is_full:
            # It would be kept for nobody; sessions need not wait for each other.
            return self._with_missing(numbers, images)
        with self._rendering:
            return self._with_missing(numbers, images)

    def has(self, number: int) -> bool:
        """Whether the picture of a frame is kept."""
        return self._store.get(number) is not None

    @property
    def is_full(self) -> bool:
        """Whether no more pictures are kept."""
        return self._store.is_full

    def _with_missing(self, numbers: Sequence[int], images: Sequence[Image]) -> list[Image]:
        """See `pictures`."""
        found: list[Image | None] = [self._store.get(number) for number in numbers]
        missing = [place for place, image in enumerate(found) if image is None]
        if missing:
            made = self._render([numbers[place] for place in missing], [images[place] for place in missing])
            for place, image in zip(missing, made, strict=True):
                found[place] = image if isinstance(image, StoredImage) else self._store.keep(numbers[place], image)
        return [image for image in found if image is not None]


class IdleMaker:
    """A thread that goes through the clip ahead of the sessions and has the pictures of its frames rendered.

    It ends by itself when every frame has its picture, or memory is full.
    """

    def __init__(self, make: Callable[[int], bool], frames: int, rest: Rest) -> None:
        """Begin.

        Args:
            make: makes the pictures at a place of the clip's first round and the `AT_ONCE - 1` after it; whether it is
                worth going on.
            frames: of that round.
            rest: tells when to leave the machine to others.
        """
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=_make_all, args=(make, frames, rest, self._stopped), daemon=True, name="talkinghead-idle"
        )
        # A thread that renders while the interpreter ends may crash it.
        self._stop = weakref.finalize(self, _stop, self._stopped, self._thread)
        self._thread.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it has ended; whether it has."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Stop it; may be called twice."""
        self._stop()


def _make_all(make: Callable[[int], bool], frames: int, rest: Rest, stopped: threading.Event) -> None:
    worked_s = 0.0
    for place in range(0, frames, AT_ONCE):
        while (pause_s := rest(place, worked_s)) is None:
            if stopped.wait(LOOK_S):
                return
        if stopped.wait(pause_s):
            return
        started_s = time.perf_counter()
        try:
            if not make(place):
                return
        except TalkingHeadError:  # sessions come upon it too, and tell whoever watches
            return
        worked_s = time.perf_counter() - started_s


def _stop(stopped: threading.Event, thread: threading.Thread) -> None:
    stopped.set()
    if thread.is_alive() and thread is not threading.current_thread():
        thread.join()
