"""What an engine of a batch must offer, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from talkinghead.batch.jobs import Job


@dataclass(frozen=True)
class Finding:
    """What an engine tells of a job."""

    job_id: str
    kind: str
    """progress, done or failed."""
    result: dict[str, Any] | None = None
    """Of a job that is done."""
    reason: str = ""
    """Of a failure."""
    frames: tuple[int, int] = (0, 0)
    """Done and in all."""


class Engine(Protocol):
    """Where jobs are rendered."""

    retries_itself: bool
    """Whether a failure that it tells of is final."""

    def prepare(self, folder: Path) -> None:
        """Get ready; `folder` is there for logs."""
        ...

    def has_room(self) -> bool:
        """Whether `start` can take another job now."""
        ...

    def start(self, job: Job, part: Path) -> None:
        """Begin to render a job to a file."""
        ...

    def wait(self, seconds: float) -> list[Finding]:
        """What has happened since, waited for at most so long."""
        ...

    def stop(self) -> None:
        """End everything at once, whatever is running."""
        ...
