"""How good the whole program is on a part of a clip that it never saw: the quality table of the README.

    python benchmarks/quality.py [CLIP] [--train-until SECONDS] [--minutes M] [--work FOLDER]

Cuts CLIP in two, trains an anchor on the first part and lets it speak the second part's own sound, once from the
sound (the output) and once from the coefficients measured in the second part (the renderer ceiling). Both are judged
against the second part. Only the program's own commands are used. What is in FOLDER already is not made anew, so that
a run can be continued, or an anchor trained elsewhere be put there as FOLDER/anchor.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import soundfile

from talkinghead import weights
from talkinghead.evaluation import Pair, Scores, evaluate
from talkinghead.landmarks import FaceLandmarker
from talkinghead.media import VideoReader, VideoWriter, read_sound
from talkinghead.structures import Frame

SOUND_RATE_HZ = 48000
PART_CRF = 8  # so fine that cutting costs the truth nothing that the metrics can see

HEADINGS = {
    "lmd_px": ("LMD px", 2),
    "opening_r": ("opening r", 3),
    "opening_std_ratio": ("std ratio", 2),
    "lag_ms": ("lag ms", 0),
    "lag_r": ("r at lag", 3),
    "psnr_full_db": ("full PSNR dB", 2),
    "psnr_mouth_db": ("mouth PSNR dB", 2),
    "ssim_mouth": ("mouth SSIM", 3),
    "jitter_ratio": ("jitter", 2),
    "sharpness_ratio": ("sharpness", 2),
    "frames_scored": ("frames", 0),
}


def main() -> None:
    options = parse_options()
    if not options.clip.is_file():
        print(f"quality: nothing to measure, there is no {options.clip}; name a clip of at least 30 s with its speech")
        return
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    train_part, test_part = work / "train.mp4", work / "test.mp4"
    write_part(options.clip, train_part, 0.0, options.train_until)
    write_part(options.clip, test_part, options.train_until, math.inf)

    anchor, output, ceiling = work / "anchor", work / "from_speech.mp4", work / "from_truth.mp4"
    run_unless(anchor, ["train", train_part, "-o", anchor, "--minutes", options.minutes])
    generate = ["generate", anchor, test_part, "--clip", test_part, "-o"]
    run_unless(output, [*generate, output])
    run_unless(ceiling, [*generate, ceiling, "--expression", test_part])

    landmarker = FaceLandmarker.load(weights.locate("face_landmarker"))
    result = evaluate([Pair(output, test_part, ceiling)], landmarker)
    print(as_markdown({"from speech": result.mean, **result.rows}))
    for note in result.pairs[0].notes:
        print(f"note: {note}")
    (work / "quality.json").write_text(json.dumps(result.as_json(), indent=1, allow_nan=False))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    shared_clip = Path(__file__).parents[2] / "shared/data/clips/newsroom.mp4"
    parser.add_argument("clip", nargs="?", type=Path, default=shared_clip)
    parser.add_argument("--train-until", type=float, default=56.0, help="seconds; what follows is the test")
    parser.add_argument("--minutes", type=float, default=30.0, help="of training")
    parser.add_argument("--work", type=Path, default=Path("out/quality"))
    return parser.parse_args()


def write_part(clip: Path, part: Path, start_s: float, end_s: float) -> None:
    """The frames of [start_s, end_s) with their sound, times counted from the first of them."""
    if part.exists():
        return
    sound_path = part.with_suffix(".wav")
    with VideoReader(clip) as reader:
        frames = ((frame.time_s, frame) for frame in reader if start_s <= frame.time_s < end_s)
        first_s, first = next(frames)
        sound = read_sound(clip, SOUND_RATE_HZ).samples[round(first_s * SOUND_RATE_HZ) :]
        if math.isfinite(end_s):
            sound = sound[: round((end_s - first_s) * SOUND_RATE_HZ)]
        soundfile.write(sound_path, sound, SOUND_RATE_HZ)
        info = reader.info
        with VideoWriter(
            part, info.width, info.height, frame_rate=info.frame_rate, sound_from=sound_path, crf=PART_CRF
        ) as writer:
            writer.write(Frame(first.image, 0.0))
            for time_s, frame in frames:
                writer.write(Frame(frame.image, time_s - first_s))


def run_unless(made: Path, arguments: Sequence[object]) -> None:
    """One command of the program, unless what it makes is there."""
    if not made.exists():
        subprocess.run([sys.executable, "-m", "talkinghead", *map(str, arguments)], check=True)


def as_markdown(rows: dict[str, Scores]) -> str:
    lines = [["", *(heading for heading, _ in HEADINGS.values())], ["---", *("---:" for _ in HEADINGS)]]
    for name, scores in rows.items():
        values = asdict(scores)
        lines.append([name, *(text(values[key], decimals) for key, (_, decimals) in HEADINGS.items())])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text(value: float, decimals: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


if __name__ == "__main__":
    main()
