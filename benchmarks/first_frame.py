"""Processor time of `talkinghead generate` until it writes its first frame, and the packages it has loaded by then.

    python benchmarks/first_frame.py [ANCHOR] [--speech FILE] [--seconds S] [--repeats N] [--against CHECKOUT]

Each run is a process of its own, imports included. Processor time adds up all threads, those that make later frames
already too, and depends less than time by the clock on what else the machine does. With --against, the package of
another checkout is run by turns with this one.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import anchor_clip, anchor_parser, is_here, print_report, write_speech

OWN = Path(__file__).parents[1]
UNTIL_FIRST_FRAME = """
import json, os, sys, time
from talkinghead.cli.main import main
from talkinghead.media.video_writer import VideoWriter
def stop(*_):
    packages = {name.partition(".")[0] for name in sys.modules}
    heavy = sorted(packages & {"transformers", "scipy", "librosa", "torchaudio", "soundfile", "ai_edge_litert"})
    print(json.dumps({"s": time.process_time(), "modules": len(sys.modules), "heavy": heavy}), flush=True)
    os._exit(0)
VideoWriter.write = stop
main(sys.argv[1:])
"""


def main() -> None:
    options = parse_options()
    if not is_here(options.anchor, "an ANCHOR folder"):
        return
    checkouts = [OWN] if options.against is None else [options.against.resolve(), OWN]
    with TemporaryDirectory() as temporary:
        speech = Path(temporary) / "speech.wav"
        write_speech(options.speech or anchor_clip(options.anchor), speech, options.seconds)
        runs: dict[Path, list[dict[str, Any]]] = {checkout: [] for checkout in checkouts}
        for number in range(options.repeats + 1):
            for checkout, found in runs.items():
                run = until_first_frame(checkout, options.anchor, speech)
                if number:  # the first one reads files that the system has not in memory, and compiles
                    found.append(run)
    rows = [
        [
            "this checkout" if checkout == OWN else f"{checkout.name}",
            f"{min(run['s'] for run in found):.2f}",
            f"{statistics.median(run['s'] for run in found):.2f}",
            str(found[0]["modules"]),
            ", ".join(found[0]["heavy"]) or "-",
        ]
        for checkout, found in runs.items()
    ]
    data = f"{options.anchor.name}, {options.seconds:g} s of speech, {options.repeats} repeats"
    print_report(data, ["", "processor s, minimum", "median", "modules", "of the heavy packages"], rows)


def until_first_frame(checkout: Path, anchor: Path, speech: Path) -> dict[str, Any]:
    """What a run of the package of a checkout says when it writes its first frame."""
    command = [sys.executable, "-c", UNTIL_FIRST_FRAME, "generate", str(anchor.resolve()), str(speech)]
    command += ["-o", str(speech.with_suffix(".mp4")), "--overwrite", "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    said = subprocess.run(
        command, cwd=speech.parent, env=environment, capture_output=True, text=True, check=True
    ).stdout
    return dict(json.loads(said.splitlines()[-1]))


def parse_options() -> Namespace:
    parser = anchor_parser(__doc__)
    parser.add_argument("--speech", type=Path, help="audio to repeat; default: that of the anchor's clip")
    parser.add_argument("--seconds", type=float, default=7.0, help="of speech")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout, which is run by turns")
    return parser.parse_args()


if __name__ == "__main__":
    main()
