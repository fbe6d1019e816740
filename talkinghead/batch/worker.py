"""One worker of a batch: a process that renders job after job and keeps the anchors it has loaded.

Run as `python -m talkinghead.batch.worker`, it reads one JSON object a line from standard input ({"job", "part"}) and
writes its events as such lines. It ends when its standard input does, however that came about.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from talkinghead.batch.jobs import Job

ANCHORS_KEPT = 8
PROGRESS_EVERY_S = 0.5

Progress = Callable[[int, int], None]


class Renderer:
    """Renders jobs; loads each anchor once."""

    def __init__(self, device: str = "auto", sign: tuple[Path, Path] | None = None) -> None:
        from talkinghead.provenance.c2pa import Signer

        self._device = device
        self._signer = Signer.load(*sign) if sign else None
        self._anchors: dict[tuple[Path, int], Any] = {}

    def render(self, job: Job, part: Path, progress: Progress | None = None) -> dict[str, Any]:
        """Write the job's video as `part`; returns what `generate` does.

        Raises:
            TalkingHeadError: as `generate`.
        """
        from talkinghead.generation.pipeline import generate
        from talkinghead.speech.voice_activity import VoiceActivityConfig
        from talkinghead.text_to_speech import DEFAULT_VOICE, Script

        times = {name: getattr(job, name) for name in ("attack_ms", "release_ms") if getattr(job, name) is not None}
        speech = Path(job.speech) if job.speech else Script(job.text or "", job.voice or DEFAULT_VOICE)
        return generate(
            self._anchor(job.anchor),
            speech,
            part,
            signer=self._signer,
            overwrite=True,
            progress=progress,
            clip=_path(job.clip),
            face=job.face,
            expression=_path(job.expression),
            speech_encoder=job.speech_encoder,
            intensity=job.intensity,
            pauses=VoiceActivityConfig(**times),
            device=self._device,
            visible_label=job.visible_label,
            label_font=_path(job.label_font),
        )

    def _anchor(self, named: str) -> Any:
        from talkinghead.anchor import load_anchor
        from talkinghead.weights.bundled import anchor_folder

        folder = anchor_folder(Path(named))
        description = folder / "anchor.json"
        key = folder, description.stat().st_mtime_ns if description.is_file() else 0
        if key not in self._anchors:
            while len(self._anchors) >= ANCHORS_KEPT:
                self._anchors.pop(next(iter(self._anchors)))
            self._anchors[key] = load_anchor(folder)
        return self._anchors[key]


def describe(error: BaseException) -> str:
    """An error in one line."""
    from talkinghead.errors import TalkingHeadError

    text = " ".join(str(error).split())
    return text if isinstance(error, TalkingHeadError) else f"{type(error).__name__}: {text}"


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _requests() -> queue.Queue[dict[str, Any]]:
    """What comes in, read in a thread of its own: with the parent this process ends too, even in mid-job."""
    waiting: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            waiting.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return waiting


def _events_file() -> IO[str]:
    """Standard output for events alone; what libraries print goes to standard error."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def _serve(device: str, threads: int, sign: tuple[Path, Path] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    events, requests = _events_file(), _requests()

    def tell(**event: Any) -> None:
        print(json.dumps(event), file=events, flush=True)

    import torch

    torch.set_num_threads(threads)
    renderer: Renderer | None = None
    while True:
        request = requests.get()
        told_s = 0.0

        def progress(done: int, count: int) -> None:
            nonlocal told_s
            now = time.monotonic()
            if now - told_s >= PROGRESS_EVERY_S or done == count:
                told_s = now
                tell(event="progress", done=done, count=count)

        try:
            renderer = renderer or Renderer(device, sign)
            result = renderer.render(Job(**request["job"]), Path(request["part"]), progress)
        except Exception as error:
            tell(event="failed", reason=describe(error))
        else:
            tell(event="done", result=result)


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    pair = settings["sign"]
    _serve(settings["device"], settings["threads"], (Path(pair[0]), Path(pair[1])) if pair else None)
