"""Running a batch: many jobs, several at a time, none lost.

    jobs = read_jobs(Path("jobs.csv"))
    summary = run_batch(jobs, Path("out"), LocalExecutor(workers=2, device="cpu"))

A job is rendered to a file in a hidden folder of the batch. When the file is complete, the job is recorded as done, and
only then is the file moved to its own name; so a kill at any moment leaves either a job to do again or a file to move.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkinghead.batch.executor import Executor, JobEvent
from talkinghead.batch.jobs import Job
from talkinghead.batch.state import FILE_NAME, BatchState, Row, State
from talkinghead.errors import JobFileError, OutputError
from talkinghead.files import locked, write_json
from talkinghead.generation.outcome import MOSTLY_PASSED_THROUGH, is_mostly_passed_through

PARTS = ".batch"
"""Folder of unfinished videos and of workers' logs, inside the batch's folder."""
SUMMARY_FILE = "summary.json"
SOME_FAILED = 3
"""Exit code where some jobs have failed."""
WAIT_S = 0.5
"""Time to wait for the next event of the executor, before time limits are checked again."""

Report = Callable[[dict[str, Any]], None]
"""Called with every event: a dict with `event` (started, progress, done, retry, failed or summary) and, but for the
summary, the job's `id`."""


@dataclass(frozen=True)
class Summary:
    """How a batch ended."""

    rows: tuple[Row, ...]
    """Every job, in the order of the job file."""

    @property
    def counts(self) -> dict[str, int]:
        """Number of jobs in each state."""
        return {str(state): sum(row.state == state for row in self.rows) for state in State}

    @property
    def mostly_passed_through(self) -> int:
        """Number of jobs that are done and of whose video more than half has its old mouth."""
        return sum(row.is_mostly_passed_through for row in self.rows)

    @property
    def exit_code(self) -> int:
        """0: all jobs are done; 3: some are not; 4: all are, but more than half of some video has its old mouth."""
        if any(row.state != State.DONE for row in self.rows):
            return SOME_FAILED
        return MOSTLY_PASSED_THROUGH if self.mostly_passed_through else 0

    def as_json(self) -> dict[str, Any]:
        """What `summary.json` has."""
        jobs = [row.as_json() for row in self.rows]
        return {"counts": self.counts, "mostly_passed_through": self.mostly_passed_through, "jobs": jobs}


def run_batch(
    jobs: Sequence[Job],
    folder: Path,
    executor: Executor,
    *,
    resume: bool = True,
    retries: int = 1,
    overwrite: bool = False,
    report: Report | None = None,
) -> Summary:
    """Render every job into a folder.

    Args:
        jobs: with different ids and outputs, as `read_jobs` checks.
        folder: for the outputs, the state and the summary; made where there is none.
        executor: renders the jobs.
        resume: leave jobs alone that an earlier run over this folder has done.
        retries: number of further attempts at a job that fails.
        overwrite: replace existing files that are not of this batch.
        report: called with every event, see `Report`.

    Returns:
        The state of every job; the same is in `summary.json`.

    Raises:
        JobFileError: an output exists and is not of this batch.
        OutputExistsError: another process runs a batch in this folder.
        OutputError: the folder cannot be written.
        KeyboardInterrupt: passed on; the jobs that were running are queued again.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    with locked(folder / FILE_NAME), BatchState(folder) as state:
        run = _BatchRun(folder.absolute(), state, executor, retries, report or (lambda event: None))
        run.prepare(jobs, resume=resume, overwrite=overwrite)
        try:
            run.render()
        finally:
            run.clean_up()
        return run.summarize()


class _BatchRun:
    """One run over a batch's folder."""

    def __init__(self, folder: Path, state: BatchState, executor: Executor, retries: int, report: Report) -> None:
        self.folder = folder
        self.parts = folder / PARTS
        self.state = state
        self.executor = executor
        self.retries = retries
        self.report = report
        self.failures: dict[str, int] = {}
        self.running: dict[str, Row] = {}

    def prepare(self, jobs: Sequence[Job], *, resume: bool, overwrite: bool) -> None:
        """Make table, hidden folder and outputs agree with each other and with the job file."""
        if resume:
            self._place_finished()
        outputs = {row.job.output for row in self.state.rows()}
        foreign = [job.output for job in jobs if job.output not in outputs and (self.folder / job.output).exists()]
        if foreign and not overwrite:
            problems = tuple(f"{self.folder / name} exists and is not of this batch" for name in foreign)
            raise JobFileError(f"{len(problems)} outputs exist already; replace them with --overwrite.", problems)
        self.state.lay_out(jobs, resume=resume)
        for row in self.state.rows(State.DONE):
            if not (self.folder / row.job.output).is_file():
                self.state.drop(row.job.id)
        shutil.rmtree(self.parts, ignore_errors=True)
        try:
            self.parts.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"The folder {self.parts} cannot be made: {error.strerror}.") from error

    def _place_finished(self) -> None:
        """Move the files of jobs that are recorded as done, where an earlier run was killed before it moved them."""
        for row in self.state.rows(State.DONE):
            part = self._part(row)
            if part.is_file():
                os.replace(part, self.folder / row.job.output)

    def render(self) -> None:
        """Give jobs to the executor until all have ended."""
        waiting = deque(self.state.rows(State.QUEUED))
        if not waiting:
            return
        try:
            self.executor.prepare(self.parts)
            while waiting or self.running:
                while waiting and self.executor.has_room():
                    self._start(waiting.popleft())
                for event in self.executor.wait(WAIT_S):
                    again = self._take(event)
                    if again is not None:
                        waiting.append(again)
        finally:
            self.executor.stop()
            for job_id in self.running:
                self.state.drop(job_id)

    def _start(self, row: Row) -> None:
        self.state.start(row.job.id)
        self.running[row.job.id] = row
        self._part(row).parent.mkdir(exist_ok=True)
        self.executor.start(row.job, self._part(row))
        self.report({"event": "started", "id": row.job.id})

    def _take(self, event: JobEvent) -> Row | None:
        """Record an event of the executor; returns the job where it is to be tried again."""
        row = self.running[event.job_id]
        if event.kind == "progress":
            done, count = event.frames
            self.report({"event": "progress", "id": event.job_id, "frames_done": done, "frames": count})
            return None
        del self.running[event.job_id]
        reason = event.reason or self._place(row, event.result or {})
        if not reason:
            output, mostly = str(self.folder / row.job.output), is_mostly_passed_through(event.result or {})
            self.report({"event": "done", "id": event.job_id, "output": output, "mostly_passed_through": mostly})
            return None
        failures = self.failures[event.job_id] = self.failures.get(event.job_id, 0) + 1
        again = failures <= self.retries and not self.executor.retries_itself
        self.state.fail(event.job_id, reason, again=again)
        with contextlib.suppress(OSError):
            self._part(row).unlink(missing_ok=True)
        self.report({"event": "retry" if again else "failed", "id": event.job_id, "reason": reason})
        return row if again else None

    def _place(self, row: Row, result: dict[str, Any]) -> str:
        """Move a complete file to its own name; returns why that failed, or an empty text."""
        part = self._part(row)
        if not part.is_file():
            return f"{part} was not written"
        self.state.finish(row.job.id, {**result, "output": row.job.output})
        try:
            os.replace(part, self.folder / row.job.output)
        except OSError as error:
            return f"{row.job.output} cannot be written: {error.strerror}"
        return ""

    def _part(self, row: Row) -> Path:
        return self.parts / str(row.position) / row.job.output

    def clean_up(self) -> None:
        """Remove the hidden folder, after the files of done jobs have been moved out of it."""
        self._place_finished()
        shutil.rmtree(self.parts, ignore_errors=True)

    def summarize(self) -> Summary:
        """Write `summary.json`."""
        summary = Summary(tuple(self.state.rows()))
        write_json(self.folder / SUMMARY_FILE, summary.as_json())
        mostly, written = summary.mostly_passed_through, str(self.folder / SUMMARY_FILE)
        self.report({"event": "summary", "counts": summary.counts, "mostly_passed_through": mostly, "summary": written})
        return summary
