"""Kill train, generate and batch by SIGKILL at random moments, and see that nothing is lost, half-made or left running.

    python tests/fuzzing/kill_at_random.py                      # 20 times each
    python tests/fuzzing/kill_at_random.py batch --count 5

After each kill: no output is there that is not whole, and within SECONDS_TO_END no process of it is left. In the end
the same command (with --resume for train) completes the work.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from talkinghead.anchor import load_anchor
from talkinghead.batch.state import BatchState
from talkinghead.media.video_reader import VideoReader
from talkinghead.provenance.reader import read_provenance

SECONDS_TO_END = 10.0
MARK = "TALKINGHEAD_KILL_MARK"
CLIP = Path(__file__).resolve().parents[2] / "data" / "presenter" / "henrik.mp4"
JOBS = 4


@dataclass(frozen=True)
class Case:
    """A command that is killed."""

    command: list[str]
    check: Callable[[], None]
    """Whether what is there is whole; raises AssertionError."""
    is_complete: Callable[[], bool]


def check_video(path: Path) -> None:
    if path.exists():
        with VideoReader(path) as reader:
            assert sum(1 for _ in reader) > 0
        assert read_provenance(path).ai_generated


def cases(folder: Path) -> dict[str, Case]:
    speech = folder / "speech.wav"
    times_s = np.arange(3 * 16000) / 16000
    soundfile.write(speech, 0.3 * np.sin(2 * np.pi * 150 * times_s) * (np.sin(9 * times_s) > 0), 16000)
    jobs = folder / "jobs.csv"
    jobs.write_text("id,anchor,speech\n" + "".join(f"j{n},presenter,speech.wav\n" for n in range(JOBS)), "utf-8")
    anchor, video, out = folder / "anchor", folder / "video.mp4", folder / "out"

    def check_anchor() -> None:
        if anchor.exists():
            load_anchor(anchor)

    def check_batch() -> None:
        for number in range(JOBS):
            check_video(out / f"j{number}.mp4")
        if (out / "batch.sqlite").exists():
            with BatchState(out) as state:
                assert sum(state.counts().values()) in (0, JOBS)

    def batch_is_complete() -> bool:
        return all((out / f"j{number}.mp4").exists() for number in range(JOBS)) and (out / "summary.json").exists()

    program = [sys.executable, "-m", "talkinghead"]
    return {
        "train": Case([*program, "train", str(CLIP), "-o", str(anchor), "--steps", "12"], check_anchor, anchor.exists),
        "generate": Case(
            [*program, "generate", "presenter", str(speech), "-o", str(video)],
            lambda: check_video(video),
            video.exists,
        ),
        "batch": Case([*program, "batch", str(jobs), "-o", str(out)], check_batch, batch_is_complete),
    }


def running(mark: str) -> list[int]:
    """Processes whose environment carries the mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={mark}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def wait_for_end(mark: str) -> None:
    until_s = time.monotonic() + SECONDS_TO_END
    while left := running(mark):
        assert time.monotonic() < until_s, f"still running: {left}"
        time.sleep(0.1)


def command_of(name: str, case: Case, folder: Path) -> list[str]:
    resumes = name == "train" and (folder / ".anchor.training" / "clip.sha256").is_file()
    return [*case.command, *(["--resume"] if resumes else [])]


def time_of(name: str, base: Path) -> float:
    """Seconds that the whole command takes, which tells where to kill."""
    (base / "whole").mkdir()
    case = cases(base / "whole")[name]
    started_s = time.monotonic()
    subprocess.run(case.command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - started_s


def kill_often(name: str, count: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="kill-") as base:
        takes_s = time_of(name, Path(base))
        round_number, kills = 0, 0
        while kills < count:
            folder = Path(base) / str(round_number)
            folder.mkdir()
            case = cases(folder)[name]
            while kills < count and not case.is_complete():
                mark = secrets.token_hex(8)
                process = subprocess.Popen(
                    command_of(name, case, folder),
                    env={**os.environ, MARK: mark},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                time.sleep(float(draw.uniform(0, takes_s)))
                process.send_signal(signal.SIGKILL)
                killed = process.wait() == -signal.SIGKILL
                wait_for_end(mark)
                case.check()
                kills += killed
            if not case.is_complete():
                subprocess.run(
                    command_of(name, case, folder), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            case.check()
            assert case.is_complete()
            round_number += 1
    print(f"{name}: killed {kills} times, nothing lost, half-made or left running", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["train", "generate", "batch"])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.names:
        kill_often(name, options.count, options.seed)


if __name__ == "__main__":
    main()
