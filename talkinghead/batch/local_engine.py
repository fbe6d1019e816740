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
from talkinghead.batch.engine import Finding
from talkinghead.batch.jobs import Job

LOG_TAIL_BYTES = 2000


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
