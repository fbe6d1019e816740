"""The process that does one job of the studio: a training, or a video.

Run as `python -m talkinghead.server.job_process`, it reads one line of JSON from standard input, the job's `spec`, and
writes its events to standard output, a line of JSON each. When standard input ends, the server is gone: a training is
saved as by Ctrl-C, and the process ends.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from talkinghead.errors import TalkingHeadError, TrainingInterruptedError, UnfitClipError
from talkinghead.files import write_bytes
from talkinghead.processes.children import end_this_process
from talkinghead.server.jobs import PICTURE_FILE
from talkinghead.structures import ByteArray

PROGRESS_EVERY_S = 0.5
"""Least time between two reports of progress, seconds."""
PICTURE_EVERY_S = 1.0
"""Least time between two pictures of a video that is being made, seconds."""
PICTURE_PX = 480
"""Most pixels of a side of such a picture."""


class Reporter:
    """Writes events, progress not too often."""

    def __init__(self, events: IO[str]) -> None:
        self._events = events
        self._at_s = 0.0

    def write(self, **event: Any) -> None:
        print(json.dumps(event), file=self._events, flush=True)

    def progress(self, share: float | None, **note: Any) -> None:
        """Report how much is done, 0 to 1, None where that is not known."""
        now_s = time.monotonic()
        if now_s - self._at_s >= PROGRESS_EVERY_S or share == 1:
            self._at_s = now_s
            self.write(event="progress", share=None if share is None else round(share, 4), **note)


def train(spec: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Make an ANCHOR, or go on with an interrupted training of it; `spec` has clip, output, minutes, steps, consent,
    device, and of its check, is_checked (it was before) and despite_problems."""
    from talkinghead.training.face_update.train import is_interrupted
    from talkinghead.training.face_update.train import train as train_anchor
    from talkinghead.training.face_update.trainer import TrainingProgress
    from talkinghead.training.face_update.verdict import limits, verdict

    def inspect(clip: Path) -> None:
        refuse_unfit(clip, lambda frames: show(TrainingProgress("tracking", 0.0, frames)))

    def show(progress: TrainingProgress) -> None:
        share = progress.done if progress.stage in ("training", "done") else None
        values = dataclasses.asdict(progress)
        del values["done"], values["sheet"]  # the picture is in a hidden folder until the training has ended
        values["word"] = None if progress.quality is None else progress.quality.word
        reporter.progress(share, **values)

    description = train_anchor(
        spec["clip"],
        spec["output"],
        minutes=spec["minutes"],
        steps=spec["steps"],
        consent=spec["consent"],
        resume=is_interrupted(spec["output"]),
        device=spec["device"],
        report=show,
        inspect=None if spec.get("is_checked") or spec.get("despite_problems") else inspect,
    )
    told = {"verdict": f"{verdict(description)}.", "limits": limits(description)}
    return {"training": description["training"], "audio": description["audio"], **told}


def refuse_unfit(clip: Path, progress: Callable[[int], None]) -> None:
    """Check a clip that is about to be trained on.

    Raises:
        UnfitClipError: there are problems.
    """
    from talkinghead.clip_check.findings import State, find
    from talkinghead.clip_check.measurements import measure_clip

    problems = [found for found in find(measure_clip(clip, progress=progress)) if found.state == State.PROBLEM]
    if problems:
        what = ". ".join(str(found) for found in problems)
        raise UnfitClipError(f"The clip is not fit to be trained on. {what}. To train all the same, start it anew so.")


def speak(spec: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Make a video; `spec` has anchor, output, recording or text, voice and speaking (options of speech), options of
    `generate`, and device. While it is made, its newest picture is beside the output."""
    from talkinghead.generation.config import GenerationConfig
    from talkinghead.generation.pipeline import VideoOutput, write_video
    from talkinghead.text_to_speech import Script
    from talkinghead.text_to_speech.config import SpeakingConfig

    def script() -> Script:
        return Script(spec["text"], spec["voice"], SpeakingConfig(**spec.get("speaking", {})))

    speech = Path(spec["recording"]) if spec["recording"] else script()
    config = GenerationConfig(**spec["options"], device=spec["device"])
    report = write_video(
        Path(spec["anchor"]),
        speech,
        VideoOutput(Path(spec["output"]), overwrite=True),
        config,
        lambda done, count: reporter.progress(done / count, done=done, count=count),
        show=Pictures(Path(spec["output"]).with_name(PICTURE_FILE)),
    )
    return {**report, "mouth": mouth_box(Path(spec["anchor"]))}


class Pictures:
    """Writes the frame that it is called with to a JPEG file, smaller, and not too often."""

    def __init__(self, path: Path) -> None:
        """Args: the file, which is replaced."""
        self._path = path
        self._at_s = -PICTURE_EVERY_S

    def __call__(self, image: ByteArray) -> None:
        now_s = time.monotonic()
        if now_s - self._at_s < PICTURE_EVERY_S:
            return
        self._at_s = now_s
        shrink = min(1.0, PICTURE_PX / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) if shrink < 1 else image
        written, encoded = cv2.imencode(".jpg", np.ascontiguousarray(small[:, :, ::-1]))
        if written:
            write_bytes(self._path, encoded.tobytes())


def mouth_box(anchor: Path) -> list[float]:
    """Where the mouth is in the anchor's frames on average: left, top, width, height, as shares of the frame."""
    from talkinghead.anchor import load_anchor
    from talkinghead.face.region_removal import place_crops
    from talkinghead.media.video_reader import read_video_info

    loaded = load_anchor(anchor)
    height_px, width_px = loaded.network.config.size_px
    info = read_video_info(loaded.clip)
    to_frame = place_crops(loaded.region, loaded.reconstruction, (height_px, width_px)).to_frame
    corners = np.array([[0, 0, 1], [width_px, 0, 1], [0, height_px, 1], [width_px, height_px, 1]]).T
    placed = (to_frame[loaded.reconstruction.valid] @ corners).mean(0) / [[info.width], [info.height]]
    (left, top), (right, bottom) = placed.min(1), placed.max(1)
    return [round(float(value), 4) for value in (left, top, right - left, bottom - top)]


KINDS = {"train": train, "speak": speak}


def _end_with_parent(rest: IO[str]) -> None:
    """End as by Ctrl-C when the server ends."""

    def wait() -> None:
        rest.read()
        end_this_process()

    threading.Thread(target=wait, daemon=True).start()


def main() -> int:
    """Do the job; 0 where it is done, 1 where it failed, 130 where it was interrupted."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print goes to the log
    reporter = Reporter(events)
    spec = json.loads(sys.stdin.readline())
    _end_with_parent(sys.stdin)
    try:
        result = KINDS[spec["kind"]](spec, reporter)
    except TrainingInterruptedError as error:
        reporter.write(event="interrupted", message=str(error))
        return 130
    except KeyboardInterrupt:
        reporter.write(event="interrupted", message="Interrupted.")
        return 130
    except TalkingHeadError as error:
        reporter.write(event="failed", message=str(error))
        return 1
    reporter.write(event="done", result=result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
