"""Frames as they are generated: an iterator for services, and prefetching in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import InitVar, dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from talkinghead.generation.passthrough import PassthroughCount, PassthroughReport, UpdatedFrame

AHEAD = 16
"""Most frames that are generated before they are asked for."""

Item = TypeVar("Item")


@dataclass
class FrameStream:
    """The frames of an output, one after the other as they are generated; iterated once.

    A context manager: leaving it, `close`, and the end of the iteration stop the work and give back what it holds.
    """

    frames: InitVar[Iterator[UpdatedFrame]]
    """Not kept, so that nothing goes on generating them once the stream is closed."""
    count: int
    """Frames in all."""
    width: int
    height: int
    frame_rate: Fraction
    recording: Path
    """Audio that belongs to the frames. Where a text is spoken, the file is removed when the stream is closed."""
    duration_s: float
    """Of the recording."""
    recording_start_s: float = 0.0
    """Time of the frames at which the recording begins: the length of the lead-in; less in a preview, negative where
    the recording begins before the first frame."""
    progress: Callable[[int, int], None] | None = None
    """Called after each frame with frames done and frames in all."""
    remarks: tuple[str, ...] = ()
    """What is worth knowing of the inputs, a sentence each."""
    pictures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What reading did to the pictures of the clip and of the expression video, see `PictureTreatment.as_dict`."""
    has_alpha: bool = False
    """Whether each frame has an alpha channel: what is behind the anchor is transparent."""
    held: ExitStack = field(default_factory=ExitStack)
    """What is closed with the stream."""

    def __post_init__(self, frames: Iterator[UpdatedFrame]) -> None:
        self._ready = prefetch(frames, AHEAD)
        self._cancelled = threading.Event()
        self._count = PassthroughCount()

    def __len__(self) -> int:
        return self.count

    @property
    def passthrough(self) -> PassthroughReport:
        """Frames so far that are, wholly or partly, as in the clip; complete with the last frame."""
        return self._count.report()

    def __iter__(self) -> Iterator[UpdatedFrame]:
        with self:
            for done, frame in enumerate(self._ready, 1):
                if self._cancelled.is_set():
                    return
                self._count.add(frame)
                yield frame
                if self.progress:
                    self.progress(done, self.count)

    def cancel(self) -> None:
        """End the iteration before its next frame. May be called from any thread."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def close(self) -> None:
        self._ready.close()
        self.held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def prefetch(items: Iterator[Item], ahead: int) -> Generator[Item]:
    """Run an iterator in a thread, at most `ahead` items ahead; its exception is raised here."""
    ready: queue.Queue[Item | BaseException | None] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(item: Item | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
        except BaseException as error:
            put(error)
        else:
            put(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()
