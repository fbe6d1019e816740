"""Whether frames, times and audio come out exact at the frame rates there are, and at a variable one.

    python benchmarks/frame_rates.py [ANCHOR] [--expression FILE]

The first images of the anchor's clip are written anew at each rate, and the anchor speaks over them. The speech is
longer than the images last (they run back and forth) except at the variable rate, where each frame has a length of
its own: there the frames that begin before the speech ends are wanted. All that is counted is decoded from the files.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile
from harness import anchor_parser, is_here, print_report, scratch_folder
from numpy.typing import NDArray

from talkinghead import generate, load_anchor
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.media.video_writer import VideoWriter
from talkinghead.structures import Frame

RATES = {
    "23.976": Fraction(24000, 1001),
    "25": Fraction(25),
    "29.97": Fraction(30000, 1001),
    "30": Fraction(30),
    "50": Fraction(50),
    "59.94": Fraction(60000, 1001),
}
CLIP_S = 2.0
SPEECH_RATE_HZ = 44100
SPEECH_SAMPLES = 123457  # 2.7995 s: no whole number of frames at any rate, nor of blocks of any codec
VARIABLE_S = 3.5
VARIABLE_STEPS_S = (0.033, 0.041, 0.02, 0.067, 0.04, 0.1)
"""Lengths of the frames at the variable rate, again and again."""


@dataclass(frozen=True)
class Measured:
    """What was decoded from an output."""

    fps: float
    times_s: NDArray[np.float64]
    audio_samples: int


def main() -> None:
    options = parse_options()
    if not is_here(options.anchor, "an ANCHOR folder (benchmarks/quality.py makes one)"):
        return
    source = load_anchor(options.anchor).clip
    duration_s = Fraction(SPEECH_SAMPLES, SPEECH_RATE_HZ)
    rows = []
    with scratch_folder() as folder:
        speech = write_speech(source, folder / "speech.wav")
        for name, rate in RATES.items():
            count = -(-duration_s * rate.numerator // rate.denominator)
            clip_times_s = np.arange(int(CLIP_S * rate)) / float(rate)
            made = measure(options, source, speech, folder / f"{name}.mp4", clip_times_s, rate)
            rows.append(row(name, made, np.arange(count) / float(rate), float(rate)))
        clip_times_s = variable_times()
        rate = Fraction(len(clip_times_s)) / Fraction(VARIABLE_S)
        made = measure(options, source, speech, folder / "variable.mp4", clip_times_s, rate)
        rows.append(row("variable", made, clip_times_s[clip_times_s < float(duration_s)], float(rate)))
    headings = [
        "rate",
        "fps out",
        "frames wanted",
        "frames out",
        "largest error of a time",
        "samples in",
        "samples out",
    ]
    print_report(f"{options.anchor.name}, {float(duration_s):.4f} s of its own audio", headings, rows)


def parse_options() -> argparse.Namespace:
    parser = anchor_parser(__doc__)
    parser.add_argument("--expression", type=Path, help="take the coefficients from here, not from the speech")
    return parser.parse_args()


def write_speech(source: Path, path: Path) -> Path:
    soundfile.write(path, read_audio(source, SPEECH_RATE_HZ).samples[:SPEECH_SAMPLES], SPEECH_RATE_HZ)
    assert soundfile.info(path).frames == SPEECH_SAMPLES, "the anchor's clip is too short"
    return path


def variable_times() -> NDArray[np.float64]:
    """Times of frames of uneven length, up to VARIABLE_S."""
    steps = np.resize(VARIABLE_STEPS_S, int(VARIABLE_S / min(VARIABLE_STEPS_S)))
    times_s = np.concatenate([[0.0], np.cumsum(steps)])
    return times_s[times_s < VARIABLE_S]


def measure(
    options: argparse.Namespace,
    source: Path,
    speech: Path,
    output: Path,
    clip_times_s: NDArray[np.float64],
    rate: Fraction,
) -> Measured:
    """Write the images at these times, let the anchor speak over them, decode what came out."""
    clip = output.with_stem(output.stem + "-clip")
    with VideoReader(source) as reader:
        size = (reader.info.width, reader.info.height)
        with VideoWriter(clip, *size, frame_rate=rate) as writer:
            for frame in retimed(reader, clip_times_s):
                writer.write(frame)
    generate(options.anchor, speech, output, clip=clip, expression=options.expression)
    with VideoReader(output) as reader:
        times_s = np.array([frame.time_s for frame in reader])
    return Measured(float(read_video_info(output).frame_rate), times_s, len(read_audio(output, SPEECH_RATE_HZ).samples))


def retimed(frames: VideoReader, times_s: NDArray[np.float64]) -> Iterator[Frame]:
    """The first images of a clip, each at its new time."""
    for frame, time_s in zip(islice(frames, len(times_s)), times_s.tolist(), strict=True):
        yield Frame(frame.image, time_s)


def row(name: str, made: Measured, wanted_s: NDArray[np.float64], rate: float) -> list[str]:
    both = min(len(wanted_s), len(made.times_s))
    error_s = float(np.abs(made.times_s[:both] - wanted_s[:both]).max())
    return [
        name,
        f"{made.fps:.3f}" if name != "variable" else f"{made.fps:.3f} (clip {rate:.3f})",
        str(len(wanted_s)),
        str(len(made.times_s)),
        f"{error_s * 1e6:.0f} µs",
        str(SPEECH_SAMPLES),
        str(made.audio_samples),
    ]


if __name__ == "__main__":
    main()
