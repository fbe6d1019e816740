"""What a batch asks of an executor, and what the executor reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from talkinghead.batch.jobs import Job


@dataclass(frozen=True)
class JobEvent:
    """Something that has happened to a job."""

    job_id: str
    kind: Literal["progress", "done", "failed"]
    result: dict[str, Any] | None = None
    """Report of the video that was made, where the job is done."""
    reason: str = ""
    """Why the attempt failed, in one line."""
    frames: tuple[int, int] = (0, 0)
    """Number of frames done and of all frames, where it is progress."""


class Executor(Protocol):
    """Renders jobs, some of them at the same time."""

    retries_itself: bool
    """Whether the executor repeats failed attempts itself, so that a failure it reports is final."""

    def prepare(self, folder: Path) -> None:
        """Get ready; logs may be written to `folder`."""
        ...

    def has_room(self) -> bool:
        """Whether `start` can take another job now."""
        ...

    def start(self, job: Job, part: Path) -> None:
        """Start to render a job to the file `part`."""
        ...

    def wait(self, seconds: float) -> list[JobEvent]:
        """The events since the last call; waits for the first one at most so long."""
        ...

    def stop(self) -> None:
        """End at once whatever is running."""
        ...
