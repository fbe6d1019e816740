"""What the values of `generate --quality` cost and give: encoding speed, size, and likeness to the frames written.

    python benchmarks/encoder_quality.py [CLIP...] [--seconds S] [--repeats N] [--presets P...] [--crfs C...]

The frames of each clip are encoded as `generate` encodes them, as planes, decoded, and compared. With presets of x264
the rows are these at each CRF, of which the values of --quality were chosen. Speed is by the time of all
processors together, which other programs hardly change. PSNR is that of all pixels and colors of all frames together.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from harness import is_here, print_report

from talkinghead.media.video_reader import VideoReader
from talkinghead.media.video_writer import QUALITIES, EncoderSettings, VideoWriter
from talkinghead.structures import Frame

DEFAULT_CLIP = Path("data/presenter/presenter.mp4")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clips", nargs="*", type=Path, default=[DEFAULT_CLIP])
    parser.add_argument("--seconds", type=float, default=10.0, help="of the beginning of each clip")
    parser.add_argument("--repeats", type=int, default=3, help="of which the fastest counts")
    parser.add_argument("--presets", nargs="+", default=[], help="of x264, in place of the values of --quality")
    parser.add_argument("--crfs", type=int, nargs="+", default=[16, 18, 20, 22])
    options = parser.parse_args()
    settings_of = {
        f"{preset}, CRF {crf}": EncoderSettings(crf=crf, preset=preset)
        for preset in options.presets
        for crf in options.crfs
    } or {f"{name} (CRF {one.crf}, {one.preset})": one for name, one in QUALITIES.items()}
    rows = []
    for clip in options.clips:
        if not is_here(clip, "clips"):
            continue
        with VideoReader(clip) as reader:
            info = reader.info
            frames = list(itertools.islice(reader, round(options.seconds * info.frame_rate)))
        for quality, settings in settings_of.items():
            settings = replace(settings, coding=info.coding)
            with TemporaryDirectory() as folder:
                path = Path(folder) / "out.mp4"
                seconds = min(encode(path, frames, settings, info.frame_rate) for _ in range(options.repeats))
                megabits = 8e-6 * path.stat().st_size * float(info.frame_rate) / len(frames)
                row = [f"{len(frames) / seconds:.0f}", f"{megabits:.2f}", f"{psnr_db(path, frames):.1f}"]
            name = f"{clip.stem}, {info.width}x{info.height}"
            rows.append([f"{name}: {quality}", *row])
    data = f"{options.seconds:g} s of each clip, the fastest of {options.repeats} repeats"
    print_report(data, ["", "frames per second of processor time", "Mbit/s", "PSNR, dB"], rows)


def encode(path: Path, frames: Sequence[Frame], settings: EncoderSettings, rate: Fraction) -> float:
    """Write frames as a video; returns the seconds of processor time that took."""
    height, width = frames[0].image.shape[:2]
    started_s = time.process_time()
    with VideoWriter(path, width, height, frame_rate=rate, overwrite=True, encoder=settings) as writer:
        for number, frame in enumerate(frames):
            writer.write(Frame(frame.shown, float(number / rate)))
    return time.process_time() - started_s


def psnr_db(path: Path, frames: Sequence[Frame]) -> float:
    """Peak signal-to-noise ratio of a video and the frames that were written, dB."""
    squared = 0.0
    with VideoReader(path) as reader:
        for shown, given in zip(reader, frames, strict=True):
            squared += float(np.square(shown.image.astype(np.float32) - given.image).mean())
    return 10 * math.log10(255**2 / (squared / len(frames)))


if __name__ == "__main__":
    main()
