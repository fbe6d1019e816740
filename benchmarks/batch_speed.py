"""How much video `talkinghead batch` makes on this machine, with one worker and with one for each processor.

    python benchmarks/batch_speed.py [ANCHOR] [--jobs N] [--seconds S]

Every row of the table renders the same jobs and is timed from the start of the command to its end, so imports and the
loading of the anchor are included. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import anchor_clip, anchor_parser, is_here, print_report, write_speech

from talkinghead.processes.cores import usable_cores

PRESENTER = Path(__file__).parents[1] / "checkpoints" / "presenter"


def main() -> None:
    parser = anchor_parser(__doc__)
    parser.set_defaults(anchor=PRESENTER)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the speech of each job")
    options = parser.parse_args()
    if not is_here(options.anchor, "an ANCHOR folder"):
        return
    cores = usable_cores()
    hours = options.jobs * options.seconds / 3600
    rows = []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_speech(anchor_clip(options.anchor), folder / "speech.wav", options.seconds)
        jobs = folder / "jobs.csv"
        with jobs.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(("id", "anchor", "speech"))
            table.writerows((f"job-{n}", options.anchor.resolve(), folder / "speech.wav") for n in range(options.jobs))
        for workers in sorted({1, cores}):
            seconds = batch(jobs, folder / f"{workers} workers", workers)
            rows.append(
                [
                    str(workers),
                    str(cores // workers),
                    f"{seconds:.1f}",
                    f"{hours * 3600 / seconds:.2f}",
                    f"{24 * hours * 3600 / seconds:.0f}",
                ]
            )
    data = f"{options.anchor.name}, {options.jobs} jobs of {options.seconds:g} s of speech"
    headings = ("workers", "threads for each", "s", "seconds of video per second", "hours of video per day")
    print_report(data, headings, rows)


def batch(jobs: Path, output: Path, workers: int) -> float:
    """Seconds that the command takes to render the jobs."""
    command = [sys.executable, "-m", "talkinghead", "batch", str(jobs), "-o", str(output), "--workers", str(workers)]
    started = time.monotonic()
    subprocess.run([*command, "--json"], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


if __name__ == "__main__":
    main()
