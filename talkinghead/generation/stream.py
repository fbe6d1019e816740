"""Frames as they are generated: an iterator for services, and prefetching in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import InitVar, dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

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


def begun(work: Callable[[], Item]) -> Callable[[], Item]:
    """Begin work in a thread; what is returned waits for its result, or raises its exception."""
    executor = ThreadPoolExecutor(1)
    result = executor.submit(work).result
    executor.shutdown(wait=False)
    return result


def prefetch(items: Iterator[Item], ahead: int) -> Generator[Item]:
    """Run an iterator in a thread, at most `ahead` items ahead of those that have been taken, counting the one that is
    being made; its exception is raised here. The thread begins when the first item is asked for."""
    yield from prefetch_at_once(items, ahead)


def prefetch_at_once(items: Iterator[Item], ahead: int) -> Generator[Item]:
    """As `prefetch`, but the thread begins now."""
    running = _running(items, ahead)
    next(running)
    return cast(Generator[Item], running)


def _running(items: Iterator[Item], ahead: int) -> Generator[Item | None]:
    """None once the thread runs, and then the items.

    Having begun, the generator stops the thread when it is closed, or forgotten.
    """
    ready: queue.SimpleQueue[tuple[Item] | BaseException | None] = queue.SimpleQueue()
    room, stopped = threading.Semaphore(ahead), threading.Event()

    def work() -> None:
        try:
            while not stopped.is_set():
                room.acquire()
                if stopped.is_set():
                    return
                ready.put((next(items),))  # and kept by nobody else: items are large
        except StopIteration:
            ready.put(None)
        except BaseException as error:
            ready.put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield None
        while (made := ready.get()) is not None:
            if isinstance(made, BaseException):
                raise made
            room.release()
            yield made[0]
    finally:
        stopped.set()
        room.release()
        thread.join()
