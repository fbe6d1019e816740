"""Time of `talkinghead evaluate` for one pair of clips with nothing cached, and again with both tracks cached.

    python benchmarks/evaluation_speed.py [CLIP] [--seconds S] [--repeats N]

The reference is the clip, repeated with its audio to the given length. The output is the same with its images two
frames late and a higher CRF. Each run is a process of its own, timed from its start to its end, with the HTML report.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness import print_report, scratch_folder, write_speech

from talkinghead.media.video_reader import VideoReader
from talkinghead.media.video_writer import EncoderSettings, VideoWriter
from talkinghead.structures import Frame

PRESENTER = Path(__file__).parents[1] / "data" / "presenter" / "presenter.mp4"
LATE_FRAMES = 2
OUTPUT_CRF = 26


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clip", nargs="?", type=Path, default=PRESENTER)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    first, again = [], []
    with scratch_folder() as folder:
        speech, reference, output = folder / "speech.wav", folder / "reference.mp4", folder / "output.mp4"
        write_speech(options.clip, speech, options.seconds)
        size, frames = repeat(options.clip, reference, speech, options.seconds, crf=18)
        repeat(options.clip, output, speech, options.seconds, crf=OUTPUT_CRF, late_frames=LATE_FRAMES)
        for number in range(options.repeats):
            cache = folder / f"cache-{number}"
            first.append(timed(reference, output, cache))
            again.append(timed(reference, output, cache))
            shutil.rmtree(cache)
    rows = [
        [name, f"{min(seconds):.1f}", f"{statistics.median(seconds):.1f}"]
        for name, seconds in (("nothing cached", first), ("tracks cached", again))
    ]
    data = f"{options.clip.name} repeated to {options.seconds:g} s, {frames} frames of {size}, against itself"
    print_report(data, ["", "least s", "median s"], rows)


def repeat(clip: Path, path: Path, speech: Path, seconds: float, *, crf: int, late_frames: int = 0) -> tuple[str, int]:
    """Write a clip's frames over and over; its size as text, and the number of frames written."""
    with VideoReader(clip) as reader:
        info = reader.info
    count = round(seconds * float(info.frame_rate))
    images = itertools.chain(itertools.repeat(next(endless(clip)).image, late_frames), (f.image for f in endless(clip)))
    with VideoWriter(
        path,
        info.width,
        info.height,
        frame_rate=info.frame_rate,
        audio_from=speech,
        overwrite=True,
        encoder=EncoderSettings(crf),
    ) as writer:
        for number, image in enumerate(itertools.islice(images, count)):
            writer.write(Frame(image, float(number / info.frame_rate)))
    return f"{info.width}x{info.height}", count


def endless(clip: Path) -> Iterator[Frame]:
    while True:
        with VideoReader(clip) as reader:
            yield from reader


def timed(reference: Path, output: Path, cache: Path) -> float:
    """Seconds that the command takes, with its report written beside the clips."""
    page = output.with_suffix(".html")
    command = [sys.executable, "-m", "talkinghead", "evaluate", output, "--reference", reference, "--html", page]
    started = time.monotonic()
    subprocess.run(
        [*map(str, command), "--overwrite", "--json"],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
    )
    return time.monotonic() - started


if __name__ == "__main__":
    main()
