"""Shared by the benchmarks: the description of the machine, the table of results, and the command that is timed.

python benchmarks/harness.py    # the machine alone
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import soundfile

from talkinghead.media.audio_reader import read_audio
from talkinghead.processes.cores import usable_cores
from talkinghead.weights import registry

DEFAULT_ANCHOR = Path("out/quality/anchor")
"""Where benchmarks/quality.py leaves its anchor."""
SPEECH_RATE_HZ = 48000
POLL_S = 0.02


def machine() -> str:
    """Cores that this process may use, the processor's name, the system, the interpreter."""
    cores = usable_cores()
    load = os.getloadavg()[0]
    return (
        f"{cores} cores, {_processor()}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, load {load:.1f}"
    )


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def print_report(data: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table, and under it what it was measured on, with what, and how."""
    print(markdown_table(headings, rows))
    print(f"\n- machine: {machine()}\n- data: {data}\n- command: {shlex.join(['python', *sys.argv])}")


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    lines = [headings, ["---", *("---:" for _ in headings[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def anchor_parser(description: str | None) -> argparse.ArgumentParser:
    """Options with the first line of a script's docstring above them, and ANCHOR as the first argument."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("anchor", nargs="?", type=Path, default=DEFAULT_ANCHOR)
    return parser


def is_here(path: Path, wanted: str) -> bool:
    """Whether a file or folder is there; says what is wanted where it is not, so that the other benchmarks go on."""
    if not path.exists():
        print(f"nothing to measure, there is no {path}; name {wanted}")
    return path.exists()


def anchor_clip(anchor: Path) -> Path:
    """The clip inside an ANCHOR folder, found without loading the anchor."""
    return anchor / str(json.loads((anchor / "anchor.json").read_text("utf-8"))["clip"]["file"])


def write_speech(source: Path, path: Path, seconds: float) -> None:
    """The audio of a file, repeated to a length in seconds, as 16-bit WAV; only one repetition is in memory."""
    audio = read_audio(source, SPEECH_RATE_HZ)
    left = round(seconds * SPEECH_RATE_HZ)
    with soundfile.SoundFile(path, "w", SPEECH_RATE_HZ, 1, "PCM_16") as file:
        while left > 0:
            file.write(audio.samples[:left])
            left -= len(audio.samples)


@contextlib.contextmanager
def scratch_folder(keep: Path | None = None) -> Iterator[Path]:
    """A temporary folder, or the one to keep; tracks of clips made here are cached in it, not in the user's cache."""
    os.environ[registry.MODELS_VARIABLE] = str(registry.locate("face_landmarker").parent)
    with TemporaryDirectory() as temporary:
        os.environ["XDG_CACHE_HOME"] = temporary
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
        yield keep or Path(temporary)


@dataclass(frozen=True)
class Run:
    """Measurements of one process of `talkinghead generate`."""

    report: Mapping[str, Any]
    """The JSON that the command prints."""
    seconds: float
    """From start of the process to its end, the output finished."""
    preparation_s: float
    """Seconds of the process outside of making frames: from its start to the first frame, and its end."""
    peak_mb: float
    """Peak of the resident memory, 10^6 bytes."""


def generate(anchor: Path, speech: Path, output: Path, *options: object) -> Run:
    """Run `talkinghead generate` in a process of its own and measure it.

    Raises:
        subprocess.CalledProcessError: it failed; its message is on standard error.
    """
    arguments = [anchor, speech, "-o", output, "--overwrite", "--json", *options]
    command = [sys.executable, "-m", "talkinghead", "generate", *map(str, arguments)]
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            time.sleep(POLL_S)
        seconds = time.monotonic() - started
        _, status, usage = ended
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        assert process.stdout
        report = json.load(process.stdout)
    preparation_s = seconds - float(report["seconds"]) + float(report["first_frame_s"])
    return Run(report, seconds, preparation_s, usage.ru_maxrss * 1024 / 1e6)


if __name__ == "__main__":
    print(machine())
