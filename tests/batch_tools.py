"""What the tests of batches share: job files, the command as a user runs it, and a look at a batch's folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import talkinghead
from talkinghead.batch.runner import SUMMARY_FILE
from talkinghead.media.video_reader import VideoReader


def job_file(folder: Path, anchor: Path, speech: Path, expression: Path, count: int) -> Path:
    """A job file with `count` equal jobs: j0, j1, ..."""
    path = folder / "jobs.jsonl"
    shared = {"anchor": str(anchor), "speech": str(speech), "expression": str(expression)}
    path.write_text("".join(json.dumps({"id": f"j{n}", **shared}) + "\n" for n in range(count)), "utf-8")
    return path


def command(jobs: Path, out: Path, *options: str) -> list[str]:
    """`talkinghead batch` in a process of its own."""
    own = ["--device", "cpu", "--json", *options]
    return [sys.executable, "-m", "talkinghead", "batch", str(jobs), "-o", str(out), *own]


def environment() -> dict[str, str]:
    """The environment of that process: this talkinghead, and one thread."""
    home = str(Path(talkinghead.__file__).parent.parent)
    return {**os.environ, "PYTHONPATH": home, "OMP_NUM_THREADS": "1"}


def frames_of(path: Path) -> int:
    """Number of frames that can be read from a video."""
    with VideoReader(path) as reader:
        return sum(1 for _ in reader)


def leftovers(folder: Path) -> set[str]:
    """Names in a batch's folder that are not there when it has ended."""
    return {path.name for path in folder.iterdir() if path.suffix != ".mp4"} - {"batch.sqlite", SUMMARY_FILE}
