"""How held-out frames improve in a training, and what they look like meanwhile: where the words of `train` come from.

    python benchmarks/training_curve.py [CLIP] [--steps N] [--every K] [--pictures FOLDER]

Trains as `talkinghead train --steps N` does, and measures the held-out frames every K steps, drawn from their true
coefficients: the word of `train`, PSNR of the region, and of the mouth's half of the crop PSNR, ST-LPIPS, SSIM and
sharpness (mean squared Laplacian, output over truth).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from harness import is_here, print_report

from talkinghead import metrics
from talkinghead.face.face_model import load_face_model
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.region_removal import crop_size_px, local_region
from talkinghead.face.steady_track import steady_track
from talkinghead.media.images import image_grid, write_png
from talkinghead.metrics.st_lpips import ShiftTolerantLpips
from talkinghead.network.checkpoint import start_from
from talkinghead.network.face_update_network import FaceUpdateConfig, FaceUpdateNetwork
from talkinghead.structures import ByteArray
from talkinghead.training.face_update.config import LoopConfig
from talkinghead.training.face_update.discriminator import mouth_windows
from talkinghead.training.face_update.evaluation import measure as measure_quality
from talkinghead.training.face_update.samples import gather_samples
from talkinghead.training.face_update.train import GENERIC_START
from talkinghead.training.face_update.trainer import FaceUpdateTrainer
from talkinghead.weights.bundled import checkpoint_path

SHOWN = 8
"""Frames on a sheet."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    shared_clip = Path(__file__).parents[2] / "shared/data/clips/newsroom.mp4"
    parser.add_argument("clip", nargs="?", type=Path, default=shared_clip)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--pictures", type=Path, help="folder for a sheet of truth and result at each measurement")
    options = parser.parse_args()
    if not is_here(options.clip, "a clip of at least 30 s"):
        return
    trainer = prepare(options.clip)
    rows = []
    while trainer.step <= options.steps:
        if trainer.step % options.every == 0:
            sheet = options.pictures and options.pictures / f"{options.clip.stem}_{trainer.step:05d}.png"
            rows.append([str(trainer.step), *measure(trainer, sheet)])
            print(*rows[-1], flush=True)
        trainer.train_step(trainer.step / options.steps)
    data = f"{options.clip.name}, {len(trainer.training)} frames trained on, {len(trainer.held_out)} measured"
    headings = ["steps", "word", "region PSNR, dB", "mouth PSNR, dB", "ST-LPIPS", "SSIM", "sharpness"]
    print_report(data, headings, rows)


def prepare(clip: Path) -> FaceUpdateTrainer:
    """A trainer as `talkinghead train` has it before the first step."""
    model = load_face_model(checkpoint_path("face_model.safetensors"))
    reconstruction = reconstruct(steady_track(clip, model), model)
    face = model.of(reconstruction.identity)
    region = local_region(face)
    size_px = crop_size_px(region, reconstruction)
    config = LoopConfig()
    samples = gather_samples(clip, model, region, reconstruction, size_px, config.largest_frames)
    torch.manual_seed(config.seed)
    network = FaceUpdateNetwork(FaceUpdateConfig(model.expressions, size_px), face)
    start_from(network, checkpoint_path(GENERIC_START))
    own_std = reconstruction.expression[reconstruction.valid].std(0)
    return FaceUpdateTrainer(network, samples, own_std, config, torch.device("cpu"))


def measure(trainer: FaceUpdateTrainer, sheet: Path | None) -> list[str]:
    """The numbers of one row; its sheet of truths above results is written to `sheet`."""
    batches = list(trainer.held_out_batches())
    quality = measure_quality(batches, ShiftTolerantLpips.load())
    truths: list[ByteArray] = []
    results: list[ByteArray] = []
    for batch in batches:
        for into, image in ((results, batch.updated), (truths, batch.samples.image)):
            windows = mouth_windows(image, batch.samples.mouth_px)
            into += list((windows.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy())
    pairs = list(zip(results, truths, strict=True))
    sharpness = sum(metrics.sharpness(a) for a, _ in pairs) / sum(metrics.sharpness(b) for _, b in pairs)
    if sheet:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        shown = np.linspace(0, len(pairs) - 1, SHOWN).astype(int)
        write_png(sheet, image_grid([[truths[i] for i in shown], [results[i] for i in shown]]))
    return [
        quality.word,
        f"{quality.psnr_db:.2f}",
        f"{quality.mouth_psnr_db:.2f}",
        f"{quality.mouth_distance:.3f}",
        f"{np.mean([metrics.ssim(a, b) for a, b in pairs]):.3f}",
        f"{sharpness:.2f}",
    ]


if __name__ == "__main__":
    main()
