"""The state of each job of a batch, in a small SQLite file that is whole after a kill at any moment."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from talkinghead.batch.jobs import Job
from talkinghead.errors import CheckpointError, MissingFileError, OutputError, TalkingHeadError
from talkinghead.generation.outcome import describe_passed_through, is_mostly_passed_through

FILE_NAME = "batch.sqlite"
VERSION = 1
"""Version of the table, as its file records it."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    job TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    result TEXT,
    started_s REAL,
    ended_s REAL
)
"""
_COLUMNS = "position, id, job, state, attempts, reason, result, started_s, ended_s"
_FROM_RESULT = ("frames", "duration_s", "preview", "frames_passed_through", "pictures")
"""What a row of a report takes from the report of the video."""


class State(StrEnum):
    """State of one job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Row:
    """A job and its state."""

    position: int
    """Its place in the job file, from 0."""
    job: Job
    state: State
    attempts: int
    """Number of attempts that have ended."""
    reason: str | None
    """Why the last attempt failed; None where none has, or a later one was done."""
    result: dict[str, Any] | None
    """The report of the video, where the job is done."""
    started_s: float | None
    """When the last attempt began, in Unix time."""
    ended_s: float | None
    """When it ended, in Unix time."""

    @property
    def is_mostly_passed_through(self) -> bool:
        """Whether the job is done, and more than half of its video has its old mouth."""
        return self.state == State.DONE and is_mostly_passed_through(self.result or {})

    @property
    def remark(self) -> str:
        """What is to be known of the job for people; empty where it is done, and its video has its new mouth."""
        if self.state == State.DONE:
            return describe_passed_through(self.result or {}) if self.is_mostly_passed_through else ""
        return ", ".join(text for text in (str(self.state), self.reason) if text)

    def as_json(self) -> dict[str, Any]:
        """The row of a report."""
        seconds = None if self.started_s is None or self.ended_s is None else self.ended_s - self.started_s
        return {
            "id": self.job.id,
            "state": str(self.state),
            "output": self.job.output,
            "attempts": self.attempts,
            "reason": self.reason,
            "seconds": None if seconds is None else round(seconds, 3),
            **{name: (self.result or {}).get(name) for name in _FROM_RESULT},
            "mostly_passed_through": self.is_mostly_passed_through,
        }


class BatchState:
    """The table of a batch's jobs. Every change is on disk when its method returns."""

    def __init__(self, folder: Path, *, must_exist: bool = False) -> None:
        """Open the table in a folder; where there is none, it is made.

        Raises:
            MissingFileError: there is none, and `must_exist` is set.
            CheckpointError: it is damaged or of another version.
            OutputError: it cannot be written.
        """
        self.path = folder / FILE_NAME
        if must_exist and not self.path.is_file():
            raise MissingFileError(f"There is no batch in {folder}; give the output folder of one.")
        with self._errors():
            self._database = sqlite3.connect(self.path, isolation_level=None, timeout=30)
        self._epoch_s = time.time() - time.monotonic()
        try:
            with self._errors():
                version = self._database.execute("PRAGMA user_version").fetchone()[0]
                if version not in (0, VERSION):
                    raise CheckpointError(f"{self.path} has version {version}, not {VERSION}; use another folder.")
                self._database.execute(_SCHEMA)
                self._database.execute(f"PRAGMA user_version = {VERSION}")
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def lay_out(self, jobs: Iterable[Job], *, resume: bool) -> None:
        """Replace the table by the jobs of a job file.

        Args:
            jobs: the jobs in order.
            resume: keep a job as done where it was done before and has not been changed since; all others are queued.
        """
        known = {row.job.id: row for row in self.rows()} if resume else {}
        with self._transaction():
            self._database.execute("DELETE FROM jobs")
            for position, job in enumerate(jobs):
                old = known.get(job.id)
                kept = old is not None and old.job == job and old.state == State.DONE
                values = (position, job.id, _to_text(job.as_json()), State.DONE if kept else State.QUEUED)
                self._database.execute("INSERT INTO jobs (position, id, job, state) VALUES (?, ?, ?, ?)", values)
                if kept and old is not None:
                    result = _to_text(old.result or {})
                    self._set(job.id, attempts=old.attempts, result=result, started_s=old.started_s)
                    self._set(job.id, ended_s=old.ended_s)

    def start(self, job_id: str) -> None:
        """An attempt begins."""
        self._set(job_id, state=State.RUNNING, started_s=self._now_s(), ended_s=None)

    def finish(self, job_id: str, result: dict[str, Any]) -> None:
        """The job is done; `result` is the report of its video."""
        self._set(job_id, state=State.DONE, result=_to_text(result), reason=None, ended_s=self._now_s())
        self._count_attempt(job_id)

    def fail(self, job_id: str, reason: str, *, again: bool) -> None:
        """An attempt failed; the job is queued again, or has failed."""
        self._set(job_id, state=State.QUEUED if again else State.FAILED, reason=reason, ended_s=self._now_s())
        self._count_attempt(job_id)

    def drop(self, job_id: str) -> None:
        """Queue the job again, without counting an attempt."""
        self._set(job_id, state=State.QUEUED, started_s=None, ended_s=None)

    def rows(self, state: State | None = None) -> list[Row]:
        """All jobs, or those in one state, in the order of the job file.

        Raises CheckpointError.
        """
        with self._errors():
            found = self._database.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY position").fetchall()  # noqa: S608
            rows = [_row(values, self.path) for values in found]
        return [row for row in rows if state is None or row.state == state]

    def counts(self) -> dict[str, int]:
        """Number of jobs in each state."""
        with self._errors():
            found = dict(self._database.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state").fetchall())
        return {str(state): int(found.get(state, 0)) for state in State}

    def _set(self, job_id: str, **values: object) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        with self._errors():
            self._database.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*values.values(), job_id))  # noqa: S608

    def _now_s(self) -> float:
        """Unix time, counted from the opening of the table by a monotonic clock, so that durations are right."""
        return self._epoch_s + time.monotonic()

    def _count_attempt(self, job_id: str) -> None:
        with self._errors():
            self._database.execute("UPDATE jobs SET attempts = attempts + 1 WHERE id = ?", (job_id,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OutputError(f"{self.path} cannot be used: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise CheckpointError(f"{self.path} is damaged ({error}); remove it to start the batch again.") from error


def _to_text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _row(values: tuple[Any, ...], path: Path) -> Row:
    position, _, job, state, attempts, reason, result, started_s, ended_s = values
    try:
        found = None if result is None else dict(json.loads(result))
        return Row(position, Job.from_json(json.loads(job)), State(state), attempts, reason, found, started_s, ended_s)
    except (ValueError, TypeError, TalkingHeadError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); remove it to start the batch again.") from error
