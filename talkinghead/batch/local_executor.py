"""Rendering jobs in worker processes on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

import talkinghead
from talkinghead.batch.executor import JobEvent
from talkinghead.batch.jobs import Job
from talkinghead.batch.worker import WorkerSettings
from talkinghead.processes.children import own_session
from talkinghead.processes.cores import usable_cores

LOG_TAIL_BYTES = 2000
"""The end of a worker's log in which the reason of its end is looked for."""


class LocalExecutor:
    """Worker processes on this machine; the processor's threads are divided between them."""

    retries_itself = False

    def __init__(
        self,
        workers: int = 1,
        *,
        device: str = "auto",
        sign: tuple[Path, Path] | None = None,
        time_limit_s: float | None = None,
    ) -> None:
        """Workers start with the first jobs.

        Args:
            workers: number of processes, 1 or more.
            device: auto, cpu or cuda.
            sign: certificate and key to sign videos with, PEM files.
            time_limit_s: time after which an attempt is stopped and has failed; None never stops one.
        """
        self._count = workers
        self._settings = WorkerSettings(device, max(1, usable_cores() // workers), sign)
        self._time_limit_s = time_limit_s
        self._workers: list[_Worker] = []
        self._messages: queue.Queue[_Message] = queue.Queue()
        self._logs = Path()

    def prepare(self, folder: Path) -> None:
        self._logs = folder

    def has_room(self) -> bool:
        return len(self._workers) < self._count or any(worker.job_id is None for worker in self._workers)

    def start(self, job: Job, part: Path) -> None:
        worker = next((worker for worker in self._workers if worker.job_id is None), None)
        if worker is None:
            log = self._logs / f"worker-{len(self._workers)}.log"
            worker = _Worker(self._settings, log, self._messages)
            self._workers.append(worker)
        worker.give(job, part)

    def wait(self, seconds: float) -> list[JobEvent]:
        events = self._stop_overdue()
        with contextlib.suppress(queue.Empty):
            message = self._messages.get(timeout=seconds)
            while True:
                event = self._event(*message)
                events += [] if event is None else [event]
                message = self._messages.get_nowait()
        return events

    def _event(self, worker: _Worker, content: dict[str, Any] | None) -> JobEvent | None:
        """What a message of a worker says of its job; None as content is the end of the worker."""
        job_id = worker.job_id
        if content is None:
            if worker in self._workers:
                self._workers.remove(worker)
            reason = worker.reason_of_end()
            return None if job_id is None else JobEvent(job_id, "failed", reason=reason)
        if job_id is None:
            return None
        if content["event"] == "progress":
            return JobEvent(job_id, "progress", frames=(content["done"], content["count"]))
        worker.job_id = None
        return JobEvent(job_id, content["event"], content.get("result"), content.get("reason", ""))

    def _stop_overdue(self) -> list[JobEvent]:
        """Kill the workers whose attempts have passed the time limit; these attempts have failed."""
        if self._time_limit_s is None:
            return []
        overdue = [w for w in self._workers if w.job_id is not None and w.busy_s() > self._time_limit_s]
        events = []
        for worker in overdue:
            events.append(JobEvent(str(worker.job_id), "failed", reason=f"took longer than {self._time_limit_s:g} s"))
            worker.job_id = None
            self._workers.remove(worker)
            worker.kill()
        return events

    def stop(self) -> None:
        for worker in self._workers:
            worker.kill()
        self._workers.clear()


class _Worker:
    """A process of `talkinghead.batch.worker`, and a thread that reads its events."""

    def __init__(self, settings: WorkerSettings, log: Path, messages: queue.Queue[_Message]) -> None:
        self.job_id: str | None = None
        self._started_s = 0.0
        self._log = log
        # -P: modules in the current folder are not imported. The session of its own keeps Ctrl-C from the worker.
        command = [sys.executable, "-P", "-m", "talkinghead.batch.worker", json.dumps(settings.as_json())]
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(settings.threads),
                encoding="utf-8",
                **own_session(),
            )
        self._input, output = _pipe(self._process.stdin), _pipe(self._process.stdout)
        self._reader = threading.Thread(target=self._read, args=(output, messages), daemon=True)
        self._reader.start()

    def give(self, job: Job, part: Path) -> None:
        """Let the worker render a job to the file `part`."""
        self.job_id, self._started_s = job.id, time.monotonic()
        with contextlib.suppress(OSError):  # a worker that has ended is reported by its reader
            self._input.write(json.dumps({"job": job.as_json(), "part": str(part)}) + "\n")
            self._input.flush()

    def busy_s(self) -> float:
        """Seconds since the job was given."""
        return time.monotonic() - self._started_s

    def reason_of_end(self) -> str:
        """Why the process ended, in one line; waits for its end."""
        code = self._process.wait()
        self._close()
        if code < 0:
            return f"its worker was killed by signal {-code}"
        lines = self._log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"its worker ended with code {code}: {last}"

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self._reader.join()
        with contextlib.suppress(OSError):
            self._input.close()

    def _read(self, output: IO[str], messages: queue.Queue[_Message]) -> None:
        with output:
            for line in output:
                with contextlib.suppress(ValueError):  # half a line, of a worker that was killed
                    messages.put((self, json.loads(line)))
        messages.put((self, None))


_Message = tuple[_Worker, dict[str, Any] | None]
"""A worker with one of its events, or with None when it has ended."""


def _pipe(file: IO[str] | None) -> IO[str]:
    if file is None:
        raise ValueError("the process has no such pipe")
    return file


def _environment(threads: int) -> dict[str, str]:
    """The environment of a worker: the parent's, with the parent's talkinghead and a number of threads."""
    home = str(Path(talkinghead.__file__).resolve().parent.parent)
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(threads),
        "NUMBA_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
