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
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import talkinghead
from talkinghead.batch.jobs import Job
from talkinghead.batch.state import FILE_NAME, BatchState, Row, State
from talkinghead.errors import JobFileError, OutputError
from talkinghead.files import locked, replacing

PARTS = ".batch"
SUMMARY_FILE = "summary.json"
SOME_FAILED = 3
WAIT_S = 0.5
LOG_TAIL_BYTES = 2000

Report = Callable[[dict[str, Any]], None]
"""Takes events: each has `event` (started, progress, done, retry, failed, summary) and, but for the last, `id`."""


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


class LocalEngine:
    """Worker processes on this machine, the processor's threads divided between them."""

    retries_itself = False

    def __init__(
        self,
        workers: int = 1,
        *,
        device: str = "auto",
        sign: tuple[Path, Path] | None = None,
        time_limit_s: float | None = None,
    ) -> None:
        """Args: number of processes; auto, cpu or cuda; certificate and key; after how long an attempt is given up."""
        self._count = workers
        self._settings = {
            "device": device,
            "threads": max(1, len(os.sched_getaffinity(0)) // workers),
            "sign": [str(path.absolute()) for path in sign] if sign else None,
        }
        self._time_limit_s = time_limit_s
        self._workers: list[_Worker] = []
        self._told: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        self._logs = Path()

    def prepare(self, folder: Path) -> None:
        self._logs = folder

    def has_room(self) -> bool:
        return len(self._workers) < self._count or any(worker.job_id is None for worker in self._workers)

    def start(self, job: Job, part: Path) -> None:
        worker = next((worker for worker in self._workers if worker.job_id is None), None)
        if worker is None:
            log = self._logs / f"worker-{len(self._workers)}.log"
            worker = _Worker(self._settings, log, self._told)
            self._workers.append(worker)
        worker.give(job, part)

    def wait(self, seconds: float) -> list[Finding]:
        findings = self._overdue()
        with contextlib.suppress(queue.Empty):
            worker, event = self._told.get(timeout=seconds)
            while True:
                found = self._finding(worker, event)
                findings += [] if found is None else [found]
                worker, event = self._told.get_nowait()
        return findings

    def _finding(self, worker: _Worker, event: dict[str, Any] | None) -> Finding | None:
        """What an event means; None is the end of a worker."""
        job_id = worker.job_id
        if event is None:
            if worker in self._workers:
                self._workers.remove(worker)
            reason = worker.cause_of_death()
            return None if job_id is None else Finding(job_id, "failed", reason=reason)
        if job_id is None:
            return None
        if event["event"] == "progress":
            return Finding(job_id, "progress", frames=(event["done"], event["count"]))
        worker.job_id = None
        return Finding(job_id, event["event"], event.get("result"), event.get("reason", ""))

    def _overdue(self) -> list[Finding]:
        """Workers past the time limit are killed; their jobs have failed."""
        if self._time_limit_s is None:
            return []
        late = [w for w in self._workers if w.job_id is not None and w.busy_s() > self._time_limit_s]
        findings = []
        for worker in late:
            findings.append(Finding(str(worker.job_id), "failed", reason=f"took longer than {self._time_limit_s:g} s"))
            worker.job_id = None
            self._workers.remove(worker)
            worker.kill()
        return findings

    def stop(self) -> None:
        for worker in self._workers:
            worker.kill()
        self._workers.clear()


class _Worker:
    """A process of `talkinghead.batch_worker`, and a thread that hears what it tells."""

    def __init__(
        self, settings: dict[str, Any], log: Path, told: queue.Queue[tuple[_Worker, dict[str, Any] | None]]
    ) -> None:
        self.job_id: str | None = None
        self._since_s = 0.0
        self._log = log
        # -P: what lies in the current folder is not imported. The session of its own keeps Ctrl-C from it.
        command = [sys.executable, "-P", "-m", "talkinghead.batch.worker", json.dumps(settings)]
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(settings["threads"]),
                start_new_session=True,
                encoding="utf-8",
            )
        self._input, output = _pipe(self._process.stdin), _pipe(self._process.stdout)
        self._listener = threading.Thread(target=self._listen, args=(output, told), daemon=True)
        self._listener.start()

    def give(self, job: Job, part: Path) -> None:
        self.job_id, self._since_s = job.id, time.monotonic()
        with contextlib.suppress(OSError):  # a worker that has died is heard of by its listener
            self._input.write(json.dumps({"job": job.as_json(), "part": str(part)}) + "\n")
            self._input.flush()

    def busy_s(self) -> float:
        return time.monotonic() - self._since_s

    def cause_of_death(self) -> str:
        code = self._process.wait()
        self._close()
        if code < 0:
            return f"its worker was killed by signal {-code}"
        lines = self._log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"its worker ended with code {code}: {last}"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self._listener.join()
        with contextlib.suppress(OSError):
            self._input.close()

    def _listen(self, output: IO[str], told: queue.Queue[tuple[_Worker, dict[str, Any] | None]]) -> None:
        with output:
            for line in output:
                with contextlib.suppress(ValueError):  # half a line, of a worker that was killed
                    told.put((self, json.loads(line)))
        told.put((self, None))


def _pipe(file: IO[str] | None) -> IO[str]:
    if file is None:
        raise ValueError("the process has no such pipe")
    return file


def _environment(threads: int) -> dict[str, str]:
    """The parent's, with its talkinghead and a share of its threads."""
    home = str(Path(talkinghead.__file__).resolve().parent.parent)
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(threads),
        "NUMBA_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
