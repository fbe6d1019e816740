"""One worker of a batch: a process that renders job after job and keeps the anchors it has loaded.

Run as `python -m talkinghead.batch.worker SETTINGS`, with the JSON of `WorkerSettings`, it reads one JSON object per
line from standard input, {"job", "part"}, and writes its events to standard output in the same way. It ends when
standard input ends, so it never outlives the process that started it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from talkinghead.batch.jobs import Job
from talkinghead.processes.collection import collection_paused
from talkinghead.processes.heaps import limit_heaps

ANCHORS_KEPT = 8
"""Number of anchors that a worker keeps in memory."""
PROGRESS_EVERY_S = 0.5
"""Least time between two reports of progress."""

Progress = Callable[[int, int], None]
"""Called with the number of frames done and of all frames."""


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker needs to know beside its jobs."""

    device: str = "auto"
    """auto, cpu or cuda."""
    threads: int = 1
    """Processor threads that it uses."""
    sign: tuple[Path, Path] | None = None
    """Certificate and key to sign videos with, PEM files; None signs none."""

    def as_json(self) -> dict[str, Any]:
        """A JSON object, with absolute paths."""
        sign = None if self.sign is None else [str(path.absolute()) for path in self.sign]
        return {"device": self.device, "threads": self.threads, "sign": sign}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> WorkerSettings:
        """What `as_json` gave."""
        sign = values["sign"]
        return cls(values["device"], values["threads"], None if sign is None else (Path(sign[0]), Path(sign[1])))


class Renderer:
    """Renders jobs; each anchor is loaded once."""

    def __init__(self, settings: WorkerSettings | None = None) -> None:
        """Args: settings, by default those of `WorkerSettings`.

        Raises:
            TalkingHeadError: the certificate or the key cannot be used.
        """
        from talkinghead.provenance.c2pa import Signer

        settings = settings or WorkerSettings()
        self._device = settings.device
        self._signer = None if settings.sign is None else Signer.load(*settings.sign)
        self._anchors: dict[tuple[Path, int], Any] = {}

    def render(self, job: Job, part: Path, progress: Progress | None = None) -> dict[str, Any]:
        """Write the job's video to the file `part`; returns the report of `write_video`.

        Raises:
            TalkingHeadError: one of its classes, as `write_video` raises them.
        """
        from talkinghead.generation.pipeline import VideoOutput, write_video

        config = dataclasses.replace(job.options, device=self._device)
        output = VideoOutput(part, signer=self._signer, overwrite=True)
        return write_video(self._anchor(job.anchor), job.source, output, config, progress)

    def _anchor(self, name: str) -> Any:
        """An anchor by path or built-in name; loaded again where its folder has changed since."""
        from talkinghead.anchor import load_anchor
        from talkinghead.weights.bundled import anchor_folder

        folder = anchor_folder(Path(name))
        description = folder / "anchor.json"
        key = folder, description.stat().st_mtime_ns if description.is_file() else 0
        if key not in self._anchors:
            while len(self._anchors) >= ANCHORS_KEPT:
                self._anchors.pop(next(iter(self._anchors)))
            self._anchors[key] = load_anchor(folder)
        return self._anchors[key]


def describe(error: BaseException) -> str:
    """An error in one line; one that was not raised on purpose with its class."""
    from talkinghead.errors import TalkingHeadError

    text = " ".join(str(error).split())
    return text if isinstance(error, TalkingHeadError) else f"{type(error).__name__}: {text}"


def _read_requests() -> queue.Queue[dict[str, Any]]:
    """The requests on standard input, read by a thread, so that the end of the parent ends this process in mid-job."""
    requests: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            requests.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return requests


def _open_events() -> IO[str]:
    """Standard output for events alone; what libraries print there goes to standard error."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


class _Reporter:
    """Writes the events of a worker, progress not too often."""

    def __init__(self, events: IO[str]) -> None:
        self._events = events
        self._progress_at_s = 0.0

    def write(self, **event: Any) -> None:
        print(json.dumps(event), file=self._events, flush=True)

    def progress(self, done: int, count: int) -> None:
        now_s = time.monotonic()
        if now_s - self._progress_at_s >= PROGRESS_EVERY_S or done == count:
            self._progress_at_s = now_s
            self.write(event="progress", done=done, count=count)


def _serve(settings: WorkerSettings) -> None:
    """Render what is requested until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends its workers
    limit_heaps(1)
    reporter, requests = _Reporter(_open_events()), _read_requests()

    with collection_paused():
        import torch

        import talkinghead.generation.pipeline  # noqa: F401  (which the first job needs)

    torch.set_num_threads(settings.threads)
    renderer: Renderer | None = None
    while True:
        request = requests.get()
        try:
            renderer = renderer or Renderer(settings)
            result = renderer.render(Job.from_json(request["job"]), Path(request["part"]), reporter.progress)
        except Exception as error:
            reporter.write(event="failed", reason=describe(error))
        else:
            reporter.write(event="done", result=result)


if __name__ == "__main__":
    _serve(WorkerSettings.from_json(json.loads(sys.argv[1])))
