"""How many frames a second `talkinghead generate` makes, from its start to the finished file, and how many at most.

    python benchmarks/speed.py [ANCHOR] [--speech FILE] [--seconds S] [--repeats N] [--expression FILE]

The limit is the same frames in the same order, decoded and encoded with the same settings and threads, with nothing
done to them. The two are run by turns, one at a time, each in a process of its own, and each time counts from the
start of that process, imports included.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import anchor_clip, anchor_parser, generate, is_here, print_report, write_speech


def main() -> None:
    options = parse_options()
    if not is_here(options.anchor, "an ANCHOR folder (benchmarks/quality.py makes one)"):
        return
    if options.limit:
        decode_and_encode(options.anchor, options.speech, options.limit)
        return
    source = options.speech or anchor_clip(options.anchor)
    extra = ["--expression", options.expression] if options.expression else []
    commands_s, preparations_s, limits_s = [], [], []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        speech, output, limit = folder / "speech.wav", folder / "output.mp4", folder / "limit.mp4"
        write_speech(source, speech, options.seconds)
        for _ in range(options.repeats):
            run = generate(options.anchor, speech, output, *extra)
            commands_s.append(run.seconds)
            preparations_s.append(run.preparation_s)
            limits_s.append(timed_limit(options.anchor, speech, limit))
    frames = int(run.report["frames"])
    writing_s = [command - preparation for command, preparation in zip(commands_s, preparations_s, strict=True)]
    rows = [
        row("generate, whole command", commands_s, frames),
        row("  of it, until the first frame is made", preparations_s),
        row("  of it, frames", writing_s, frames),
        row("decode and encode alone, whole process", limits_s, frames),
    ]
    data = f"{options.anchor.name}, {options.seconds:g} s of speech from {source.name}, {frames} frames"
    data += f" at {run.report['fps']:g} fps, {options.repeats} repeats"
    print_report(data, ["", "s, minimum", "s, median", "frames per second, best", "median"], rows)


def parse_options() -> argparse.Namespace:
    parser = anchor_parser(__doc__)
    parser.add_argument("--speech", type=Path, help="audio to repeat; default: that of the anchor's clip")
    parser.add_argument("--seconds", type=float, default=60.0, help="of speech")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--expression", type=Path, help="take the coefficients from here, not from the speech")
    parser.add_argument("--limit", type=Path, help=argparse.SUPPRESS)  # the video that the second process writes
    return parser.parse_args()


def row(name: str, seconds: Sequence[float], frames: int | None = None) -> list[str]:
    least, median = min(seconds), statistics.median(seconds)
    rates = ["", ""] if frames is None else [f"{frames / least:.1f}", f"{frames / median:.1f}"]
    return [name, f"{least:.2f}", f"{median:.2f}", *rates]


def timed_limit(anchor: Path, speech: Path, output: Path) -> float:
    """Seconds of a process that runs `decode_and_encode`."""
    arguments = [anchor, "--speech", speech, "--limit", output]
    started = time.monotonic()
    subprocess.run([sys.executable, __file__, *map(str, arguments)], check=True)
    return time.monotonic() - started


def decode_and_encode(anchor: Path, speech: Path, output: Path) -> None:
    """What `talkinghead.generate` does, but every frame stays as it is."""
    from talkinghead.anchor import load_anchor
    from talkinghead.generation.frames import BATCH
    from talkinghead.generation.stream import prefetch
    from talkinghead.generation.timeline import plan
    from talkinghead.media.audio_reader import read_audio
    from talkinghead.media.video_writer import EncoderSettings, VideoWriter
    from talkinghead.structures import Frame

    timeline = plan(load_anchor(anchor), None, read_audio(speech).duration_s)
    frames = prefetch(timeline.read(), BATCH)
    with VideoWriter(
        output,
        timeline.width,
        timeline.height,
        frame_rate=timeline.frame_rate,
        audio_from=speech,
        overwrite=True,
        encoder=EncoderSettings(coding=timeline.coding),
    ) as writer:
        for frame, time_s in zip(frames, timeline.times_s.tolist(), strict=True):
            writer.write(Frame(frame.shown, time_s))


if __name__ == "__main__":
    main()
