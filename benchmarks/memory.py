"""Peak memory of `talkinghead generate` for short and for long speech: it must not grow with the length.

    python benchmarks/memory.py [ANCHOR] [--speech FILE] [--expression FILE]

The speech is a file's audio repeated to 10 s and to 10 min. The peak is the largest resident memory of the command's
own process, as the kernel counted it (ru_maxrss of a child that was waited for). Where torch is a build for CUDA, the
memory that CUDA's libraries take once torch is imported is said as well: it is in each peak, and a build for the CPU
does without (docs/install.md).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import Run, anchor_clip, anchor_parser, generate, is_here, print_report, write_speech


def main() -> None:
    options = parse_options()
    if not is_here(options.anchor, "an ANCHOR folder (benchmarks/quality.py makes one)"):
        return
    source = options.speech or anchor_clip(options.anchor)
    extra = ["--expression", options.expression] if options.expression else []
    runs: list[Run] = []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for seconds in options.seconds:
            speech, output = folder / "speech.wav", folder / "output.mp4"
            write_speech(source, speech, seconds)
            runs.append(generate(options.anchor, speech, output, *extra))
    rows = [row(run, runs[0]) for run in runs]
    if (cuda_mb := memory_of_cuda_mb()) is not None:
        rows.append(["in each: libraries of CUDA", "", f"{cuda_mb:.0f}", ""])
    data = f"{options.anchor.name}, speech repeated from {source.name}"
    print_report(data, ["speech", "frames", "peak resident memory MB", "against the first"], rows)


def parse_options() -> argparse.Namespace:
    parser = anchor_parser(__doc__)
    parser.add_argument("--speech", type=Path, help="audio to repeat; default: that of the anchor's clip")
    parser.add_argument("--expression", type=Path, help="take the coefficients from here, not from the speech")
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 600.0], help="lengths of speech")
    return parser.parse_args()


def memory_of_cuda_mb() -> float | None:
    """Resident memory of CUDA's libraries in a process that has imported torch, 10^6 bytes; None where it is not known.

    The data of a library that are zero in its file follow it in memory, in a mapping without a name.
    """
    code = "import torch, pathlib; print(pathlib.Path('/proc/self/smaps').read_text())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    total_kb, owner = 0, ""
    for line in done.stdout.splitlines():
        fields = line.split()
        if "-" in line.partition(" ")[0]:
            owner = fields[5] if len(fields) > 5 else owner
        elif fields and fields[0] == "Rss:" and ("/nvidia/" in owner or "cuda" in Path(owner).name):
            total_kb += int(fields[1])
    return total_kb * 1024 / 1e6


def row(run: Run, first: Run) -> list[str]:
    report = run.report
    return [
        f"{report['duration_s']:.0f} s",
        str(report["frames"]),
        f"{run.peak_mb:.0f}",
        f"{run.peak_mb / first.peak_mb:.3f}",
    ]


if __name__ == "__main__":
    main()
