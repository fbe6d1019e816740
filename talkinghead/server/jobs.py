"""Trainings and videos of the studio: each in a process of its own, its state in a file that survives the server.

Each job has a folder, `jobs/NUMBER`, with `job.json` and what the job makes. One job of each kind runs at a time; the
others wait. A training that was interrupted, by whatever, goes on from where it was saved.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from talkinghead.errors import MissingFileError
from talkinghead.files import write_json
from talkinghead.processes.children import ask_to_end, own_session

State = Literal["waiting", "running", "interrupted", "failed", "done"]
NUMBER = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{8}")
COMMAND = (sys.executable, "-m", "talkinghead.server.job_process")
STATE_FILE = "job.json"
LOG_FILE = "log.txt"
VIDEO_FILE, TRANSPARENT_FILE = "video.mp4", "video.webm"
PICTURE_FILE = "picture.jpg"
"""Of a video that is being made."""
MOST_WAITING = 100
"""Most jobs that wait."""
ORDER_S = 1e-6
"""Between the moments at which the jobs of a batch are said to be made."""


@dataclass(frozen=True)
class StudioJob:
    """One job, as it is kept in its file."""

    number: str
    """Of the moment it was made, and what cannot be guessed."""
    kind: Literal["train", "speak"]
    title: str
    """For people."""
    spec: dict[str, Any]
    """What the job's process is given."""
    state: State = "waiting"
    created_s: float = 0.0
    """Seconds since 1970."""
    seconds: float = 0.0
    """Of work so far."""
    progress: dict[str, Any] = field(default_factory=dict)
    """The newest report: share, and more by the kind of job."""
    result: dict[str, Any] | None = None
    """Of a job that is done."""
    message: str = ""
    """Why it failed or was interrupted."""


class Jobs:
    """Keeps and runs jobs. Its methods may be called from any thread."""

    def __init__(self, folder: Path, command: Sequence[str] = COMMAND) -> None:
        """Find the jobs of an earlier server: those that ran are waiting again.

        Args:
            folder: of the jobs; made when there is one.
            command: that does a job, see `job_process`.
        """
        self.folder, self._command = folder, command
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._jobs: dict[str, StudioJob] = {}
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._cancelled: set[str] = set()
        self._closing = False
        for path in sorted(folder.glob(f"*/{STATE_FILE}")):
            job = _read(path)
            if job is not None:
                self._jobs[job.number] = replace(job, state="waiting") if job.state == "running" else job
        self._threads = [
            threading.Thread(target=self._work, args=(kind,), daemon=True, name=f"talkinghead-jobs-{kind}")
            for kind in ("train", "speak")
        ]
        for thread in self._threads:
            thread.start()

    def all(self) -> list[StudioJob]:
        """Every job, the newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=_order, reverse=True)

    def find(self, number: str) -> StudioJob:
        """The job of that number.

        Raises:
            MissingFileError: there is none.
        """
        with self._lock:
            job = self._jobs.get(number)
        if job is None:
            raise MissingFileError("There is no job of that number.")
        return job

    def path(self, job: StudioJob, name: str) -> Path:
        """A file of a job, which may not be there."""
        return self.folder / job.number / name

    def add(self, kind: Literal["train", "speak"], title: str, spec: dict[str, Any]) -> StudioJob:
        """Let a job wait for its turn.

        Args:
            kind: of the job.
            title: for people.
            spec: see `job_process`; "{folder}" at the beginning of a text is the job's folder.

        Raises:
            ValueError: too many wait.
        """
        return self.add_all(kind, [(title, spec)])[0]

    def add_all(self, kind: Literal["train", "speak"], wanted: Sequence[tuple[str, dict[str, Any]]]) -> list[StudioJob]:
        """Let several jobs wait, all or none: title and spec of each, as `add` takes them, done in that order.

        Raises:
            ValueError: too many wait.
        """
        with self._lock:
            waiting = sum(one.state == "waiting" for one in self._jobs.values())
            if waiting + len(wanted) > MOST_WAITING:
                raise ValueError(
                    f"{waiting} jobs wait already, and {MOST_WAITING} at most can; let some be done first."
                )
            made = []
            moment, created_s = time.strftime("%Y%m%dT%H%M%S", time.gmtime()), time.time()
            for place, (title, spec) in enumerate(wanted):
                number = f"{moment}-{secrets.token_hex(4)}"
                filled = {"kind": kind, **self._filled(number, spec)}
                job = StudioJob(number, kind, title, filled, created_s=created_s + place * ORDER_S)
                (self.folder / number).mkdir(parents=True)
                self._keep(job)
                made.append(job)
            return made

    def _filled(self, number: str, spec: dict[str, Any]) -> dict[str, Any]:
        """A spec with the job's folder in it."""
        folder = str((self.folder / number).absolute())
        return {
            name: folder + value.removeprefix("{folder}")
            if isinstance(value, str) and value.startswith("{folder}")
            else value
            for name, value in spec.items()
        }

    def resume(self, number: str) -> StudioJob:
        """Let a job that failed or was interrupted wait for its turn again.

        Raises:
            MissingFileError: there is no such job.
            ValueError: it is neither.
        """
        with self._lock:
            job = self.find(number)
            if job.state not in ("interrupted", "failed"):
                raise ValueError(f"The job is {job.state}.")
            job = replace(job, state="waiting", message="")
            self._keep(job)
            return job

    def stop(self, number: str) -> StudioJob:
        """Interrupt a job that runs or waits; a training is saved.

        Raises:
            MissingFileError: there is no such job.
        """
        with self._lock:
            job = self.find(number)
            if job.state == "waiting":
                job = replace(job, state="interrupted", message="Stopped before it began.")
                self._keep(job)
            elif (process := self._processes.get(number)) is not None:
                self._cancelled.add(number)
                ask_to_end(process)
            return job

    def remove(self, number: str) -> None:
        """Forget a job that does not run, and what it has made, but for an anchor.

        Raises:
            MissingFileError: there is no such job.
            ValueError: it runs.
        """
        with self._lock:
            job = self.find(number)
            if job.state == "running":
                raise ValueError("The job is running; stop it first.")
            del self._jobs[number]
            shutil.rmtree(self.folder / number, ignore_errors=True)

    def close(self) -> None:
        """Interrupt what runs, and wait until it has saved what it has. The next server goes on with it."""
        with self._lock:
            self._closing = True
            for process in self._processes.values():
                ask_to_end(process)
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, kind: str) -> None:
        """Run the jobs of a kind, one after the other."""
        while (job := self._next(kind)) is not None:
            self._run(job)

    def _next(self, kind: str) -> StudioJob | None:
        """The oldest job that waits, now running; None when the server ends."""
        with self._lock:
            while not self._closing:
                waiting = [job for job in self._jobs.values() if job.kind == kind and job.state == "waiting"]
                if waiting:
                    job = replace(min(waiting, key=_order), state="running", message="")
                    self._keep(job)
                    return job
                self._changed.wait()
        return None

    def _run(self, job: StudioJob) -> None:
        """Run a job to its end."""
        started_s = time.monotonic()
        with self.path(job, LOG_FILE).open("ab") as log, _started(self._command, log) as process:
            with self._lock:
                self._processes[job.number] = process
                if self._closing:
                    ask_to_end(process)
            ended = {"event": "failed", "message": "The process ended without a word; its log may tell why."}
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(json.dumps(job.spec) + "\n")
                process.stdin.flush()
                for line in process.stdout:
                    event = json.loads(line)
                    if event["event"] != "progress":
                        ended = event
                        continue
                    del event["event"]
                    self._update(replace(job, progress=event, seconds=job.seconds + time.monotonic() - started_s))
            except (OSError, ValueError) as error:
                ended = {"event": "failed", "message": f"The process could not be read: {error}"}
                process.kill()
                with contextlib.suppress(OSError):  # what it did not take cannot be flushed
                    process.stdin.close()
            # Its standard input stays open until it has ended: the end of that is the end of the server.
            process.wait()
        with self._lock:
            del self._processes[job.number]
            self._update(self._ended(job, ended, time.monotonic() - started_s))
            self._cancelled.discard(job.number)

    def _ended(self, job: StudioJob, event: dict[str, Any], seconds: float) -> StudioJob:
        """A job after its process has ended."""
        job = replace(self._jobs[job.number], seconds=job.seconds + seconds)
        if event["event"] == "done":
            return replace(job, state="done", result=event["result"], progress={"share": 1.0})
        interrupted = self._closing or job.number in self._cancelled or event["event"] == "interrupted"
        if self._closing and job.number not in self._cancelled:
            return replace(job, state="waiting", message="")
        if interrupted:
            return replace(job, state="interrupted", message=event.get("message", "Stopped."))
        return replace(job, state="failed", message=event["message"])

    def _update(self, job: StudioJob) -> None:
        with self._lock:
            if job.number in self._jobs:
                self._keep(job)

    def _keep(self, job: StudioJob) -> None:
        """Note a job in memory and in its file."""
        self._jobs[job.number] = job
        write_json(self.folder / job.number / STATE_FILE, asdict(job))
        self._changed.notify_all()


def _order(job: StudioJob) -> tuple[float, str]:
    """Jobs are done in the order in which they came."""
    return job.created_s, job.number


def _started(command: Sequence[str], log: Any) -> subprocess.Popen[str]:
    """The process of a job, before it is told which."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        **own_session(),  # Ctrl-C is for the server, which tells the job
    )


def _read(path: Path) -> StudioJob | None:
    """A job from its file; None where that cannot be read."""
    try:
        values = json.loads(path.read_text("utf-8"))
        job = StudioJob(**values)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return job if NUMBER.fullmatch(job.number) and path.parent.name == job.number else None
