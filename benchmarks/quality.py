"""How good the whole program is on a part of a clip that it never saw: the quality table of the README.

    python benchmarks/quality.py [CLIP] [--train-until SECONDS] [--minutes M] [--anchor ANCHOR] [--work FOLDER]

Cuts CLIP in two, trains an anchor on the first part and lets it speak the second part's own audio over the second
part's own frames, once from the audio (from speech) and once from the coefficients measured in the second part (the
renderer ceiling). Both are evaluated against the second part, beside the truth itself and its mouth frozen
(docs/evaluation.md). Only the program's own commands are used. The anchor that FOLDER holds already is not trained
anew; --anchor takes one that was trained on the first part elsewhere.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import soundfile
from harness import DEFAULT_ANCHOR, generate, is_here, print_report

from talkinghead.evaluation.evaluate import evaluate
from talkinghead.evaluation.pairs import Pair
from talkinghead.evaluation.scores import Scores
from talkinghead.evaluation.tables import as_json
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.video_reader import VideoReader
from talkinghead.media.video_writer import EncoderSettings, VideoWriter
from talkinghead.structures import Frame

AUDIO_RATE_HZ = 48000
PART_CRF = 8  # so fine that cutting costs the truth nothing that the metrics can see

COLUMNS = {
    "lmd_px": ("LMD px", 2),
    "opening_r": ("opening r", 3),
    "opening_std_ratio": ("std ratio", 2),
    "lag_ms": ("lag ms", 0),
    "psnr_full_db": ("full PSNR dB", 2),
    "psnr_mouth_db": ("mouth PSNR dB", 2),
    "ssim_mouth": ("mouth SSIM", 3),
    "jitter_ratio": ("jitter", 2),
    "sharpness_ratio": ("sharpness", 2),
    "seam_ratio": ("seam", 2),
}


def main() -> None:
    options = parse_options()
    if not is_here(options.clip, "a clip of at least 30 s with its speech"):
        return
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    anchor: Path = options.anchor or work / "anchor"
    if not anchor.exists():
        train_part = work / "train.mp4"
        write_part(options.clip, train_part, 0.0, options.train_until)
        train(train_part, anchor, options.minutes)

    test_part, output, ceiling = work / "test.mp4", work / "from_speech.mp4", work / "from_truth.mp4"
    speech = write_part(options.clip, test_part, options.train_until, math.inf)
    generate(anchor, speech, output, "--clip", test_part, "--voice-is-anchor", "yes")
    generate(anchor, speech, ceiling, "--clip", test_part, "--expression", test_part)

    result = evaluate([Pair(output, test_part, ceiling=ceiling)])
    rows = {**result.rows, "from speech": result.mean()}
    print_report(describe(options, anchor, result.mean()), headings(), [row(name, rows[name]) for name in rows])
    for note in result.pairs[0].notes:
        print(f"- note: {note}")
    (work / "quality.json").write_text(json.dumps(as_json(result), indent=1, allow_nan=False))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    shared_clip = Path(__file__).parents[2] / "shared/data/clips/newsroom.mp4"
    parser.add_argument("clip", nargs="?", type=Path, default=shared_clip)
    parser.add_argument("--train-until", type=float, default=56.0, help="seconds; what follows is the test")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training")
    parser.add_argument("--anchor", type=Path, help="trained on the first part already; nothing is trained then")
    parser.add_argument("--work", type=Path, default=DEFAULT_ANCHOR.parent)
    return parser.parse_args()


def train(clip: Path, anchor: Path, minutes: float) -> None:
    arguments = ["train", clip, "-o", anchor, "--minutes", minutes]
    subprocess.run([sys.executable, "-m", "talkinghead", *map(str, arguments)], check=True)


def describe(options: argparse.Namespace, anchor: Path, scores: Scores) -> str:
    """What was measured, with how much training."""
    training = json.loads((anchor / "anchor.json").read_text("utf-8"))["training"]
    return (
        f"{options.clip.name} from {options.train_until:g} s on, {scores.frames_scored:.0f} of "
        f"{scores.frames_total:.0f} frames scored; {anchor.name}: {training['seconds'] / 60:.1f} min of training, "
        f"{training['steps']} steps"
    )


def write_part(clip: Path, part: Path, start_s: float, end_s: float) -> Path:
    """The frames of [start_s, end_s) with their audio, times counted from the first of them; the audio as WAV too."""
    audio_path = part.with_suffix(".wav")
    with VideoReader(clip) as reader:
        info = reader.info
        end_s = min(end_s, info.duration_s or math.inf)  # the audio must not outlast the frames
        frames = ((frame.time_s, frame) for frame in reader if start_s <= frame.time_s < end_s)
        first_s, first = next(frames)
        audio = read_audio(clip, AUDIO_RATE_HZ).samples[round(first_s * AUDIO_RATE_HZ) :]
        if math.isfinite(end_s):
            audio = audio[: round((end_s - first_s) * AUDIO_RATE_HZ)]
        soundfile.write(audio_path, audio, AUDIO_RATE_HZ)
        with VideoWriter(
            part,
            info.width,
            info.height,
            frame_rate=info.frame_rate,
            audio_from=audio_path,
            overwrite=True,
            encoder=EncoderSettings(PART_CRF),
        ) as writer:
            writer.write(Frame(first.image, 0.0))
            for time_s, frame in frames:
                writer.write(Frame(frame.image, time_s - first_s))
    return audio_path


def headings() -> list[str]:
    return ["", *(heading for heading, _ in COLUMNS.values())]


def row(name: str, scores: Scores) -> list[str]:
    values = asdict(scores)
    return [name, *(text(values[key], decimals) for key, (_, decimals) in COLUMNS.items())]


def text(value: float, decimals: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


if __name__ == "__main__":
    main()
