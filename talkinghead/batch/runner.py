"""Batches: many jobs, several at a time, none lost.

    jobs = read_jobs(Path("jobs.csv"))
    summary = run_batch(jobs, Path("out"), LocalEngine(workers=2, device="cpu"))

A job renders to a file in a hidden folder of the batch. When it is complete, the job is put down as done, and only then
does the file take its own name; so a kill at any moment leaves either a job to do again or a file to be put in place.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkinghead.batch.engine import Engine, Finding
from talkinghead.batch.jobs import Job
from talkinghead.batch.state import FILE_NAME, BatchState, Row, State
from talkinghead.errors import JobFileError, OutputError
from talkinghead.files import locked, replacing

PARTS = ".batch"
SUMMARY_FILE = "summary.json"
SOME_FAILED = 3
WAIT_S = 0.5

Report = Callable[[dict[str, Any]], None]
"""Takes events: each has `event` (started, progress, done, retry, failed, summary) and, but for the last, `id`."""


@dataclass(frozen=True)
class Summary:
    """How a batch ended."""

    rows: tuple[Row, ...]

    @property
    def counts(self) -> dict[str, int]:
        return {str(state): sum(row.state == state for row in self.rows) for state in State}

    @property
    def exit_code(self) -> int:
        """0 where all jobs are done, else 3."""
        return 0 if all(row.state == State.DONE for row in self.rows) else SOME_FAILED

    def as_json(self) -> dict[str, Any]:
        return {"counts": self.counts, "jobs": [row.as_json() for row in self.rows]}


def run_batch(
    jobs: Sequence[Job],
    folder: Path,
    engine: Engine,
    *,
    resume: bool = True,
    retries: int = 1,
    overwrite: bool = False,
    report: Report | None = None,
) -> Summary:
    """Render every job into a folder.

    Args:
        jobs: with different ids and outputs, as `read_jobs` makes sure of.
        folder: for the outputs, the state and the summary; made if it is not there.
        engine: where the jobs are rendered.
        resume: leave alone what an earlier run over this folder has done already.
        retries: how often a failed job is tried again.
        overwrite: replace files that are there and are not this batch's.
        report: called with every event, see `Report`.

    Returns:
        What became of every job; the same is in `summary.json`.

    Raises:
        JobFileError: a file is in the way of an output.
        OutputExistsError: another process works on this folder.
        OutputError: the folder cannot be written.
        KeyboardInterrupt: as it came; what was running is back in the queue.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make {folder}: {error.strerror}.") from error
    with locked(folder / FILE_NAME), BatchState(folder) as state:
        run = _Run(folder.absolute(), state, engine, retries, report or (lambda event: None))
        run.settle(jobs, resume=resume, overwrite=overwrite)
        try:
            run.work_off()
        finally:
            run.clear()
        return run.sum_up()


class _Run:
    """One run over a batch's folder."""

    def __init__(self, folder: Path, state: BatchState, engine: Engine, retries: int, report: Report) -> None:
        self.folder = folder
        self.parts = folder / PARTS
        self.state = state
        self.engine = engine
        self.retries = retries
        self.report = report
        self.attempts: dict[str, int] = {}
        self.running: dict[str, Row] = {}

    def settle(self, jobs: Sequence[Job], *, resume: bool, overwrite: bool) -> None:
        """Bring table, hidden folder and outputs into agreement with each other and the job file."""
        if resume:
            self._place_what_is_done()
        outputs = {row.job.output for row in self.state.rows()}
        in_the_way = [job.output for job in jobs if job.output not in outputs and (self.folder / job.output).exists()]
        if in_the_way and not overwrite:
            problems = tuple(f"{self.folder / name} exists and is not of this batch" for name in in_the_way)
            raise JobFileError(f"{len(problems)} outputs are there already; --overwrite replaces them", problems)
        self.state.lay_out(jobs, resume=resume)
        for row in self.state.rows(State.DONE):
            if not (self.folder / row.job.output).is_file():
                self.state.drop(row.job.id)
        shutil.rmtree(self.parts, ignore_errors=True)
        try:
            self.parts.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot make {self.parts}: {error.strerror}.") from error

    def _place_what_is_done(self) -> None:
        """Finish what a kill came between: jobs that are done whose files have not taken their names."""
        for row in self.state.rows(State.DONE):
            part = self._part(row)
            if part.is_file():
                os.replace(part, self.folder / row.job.output)

    def work_off(self) -> None:
        """Hand out jobs until none is left."""
        waiting = deque(self.state.rows(State.QUEUED))
        if not waiting:
            return
        try:
            self.engine.prepare(self.parts)
            while waiting or self.running:
                while waiting and self.engine.has_room():
                    self._start(waiting.popleft())
                for finding in self.engine.wait(WAIT_S):
                    again = self._take(finding)
                    if again is not None:
                        waiting.append(again)
        finally:
            self.engine.stop()
            for job_id in self.running:
                self.state.drop(job_id)

    def _start(self, row: Row) -> None:
        self.state.start(row.job.id)
        self.running[row.job.id] = row
        self._part(row).parent.mkdir(exist_ok=True)
        self.engine.start(row.job, self._part(row))
        self.report({"event": "started", "id": row.job.id})

    def _take(self, finding: Finding) -> Row | None:
        """Put down what an engine tells; returns a job that is to be tried again."""
        row = self.running[finding.job_id]
        if finding.kind == "progress":
            done, count = finding.frames
            self.report({"event": "progress", "id": finding.job_id, "frames_done": done, "frames": count})
            return None
        del self.running[finding.job_id]
        reason = finding.reason or self._place(row, finding.result or {})
        if not reason:
            self.report({"event": "done", "id": finding.job_id, "output": str(self.folder / row.job.output)})
            return None
        failures = self.attempts[finding.job_id] = self.attempts.get(finding.job_id, 0) + 1
        again = failures <= self.retries and not self.engine.retries_itself
        self.state.fail(finding.job_id, reason, again=again)
        with contextlib.suppress(OSError):
            self._part(row).unlink(missing_ok=True)
        self.report({"event": "retry" if again else "failed", "id": finding.job_id, "reason": reason})
        return row if again else None

    def _place(self, row: Row, result: dict[str, Any]) -> str:
        """The complete file takes its name; returns why not, where it does not."""
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

    def clear(self) -> None:
        """Leave no complete file behind, and nothing else, in the hidden folder."""
        self._place_what_is_done()
        shutil.rmtree(self.parts, ignore_errors=True)

    def sum_up(self) -> Summary:
        """Write the summary."""
        summary = Summary(tuple(self.state.rows()))
        text = json.dumps(summary.as_json(), indent=2, ensure_ascii=False)
        with replacing(self.folder / SUMMARY_FILE) as temporary:
            temporary.write_text(text + "\n", "utf-8")
        self.report({"event": "summary", "counts": summary.counts, "summary": str(self.folder / SUMMARY_FILE)})
        return summary
