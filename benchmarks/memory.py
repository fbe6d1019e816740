"""Peak memory of `talkinghead generate` for short and for long speech: it must not grow with the length.

    python benchmarks/memory.py [ANCHOR] [--speech FILE] [--expression FILE]

The speech is a file's audio repeated to 10 s and to 10 min. The peak is the largest resident memory of the command's
own process, as the kernel counted it (ru_maxrss of a child that was waited for).
"""

from __future__ import annotations

import argparse
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
    data = f"{options.anchor.name}, speech repeated from {source.name}"
    print_report(data, ["speech", "frames", "peak resident memory MB", "against the first"], rows)


def parse_options() -> argparse.Namespace:
    parser = anchor_parser(__doc__)
    parser.add_argument("--speech", type=Path, help="audio to repeat; default: that of the anchor's clip")
    parser.add_argument("--expression", type=Path, help="take the coefficients from here, not from the speech")
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 600.0], help="lengths of speech")
    return parser.parse_args()


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
