"""What each training loss, the generic start and the network's width buy on a part of a clip that is not trained on.

    python benchmarks/losses.py [CLIP] [--train-until SECONDS] [--steps N] [--only NAME ...] [--pictures FOLDER]

Each row trains a network of its own for N steps from the same seed and fills the frames after SECONDS from their true
coefficients. Everything is judged on the mouth's half of the crop, in the crop's own pixels, before any encoding:
sharpness is the mean squared Laplacian, output over truth; flicker the mean change of the error from one frame to the
next, of 255. Sharpening (which `talkinghead train` sets when the training has ended) is left out but in its own row.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import is_here, print_report

from talkinghead import metrics
from talkinghead.face.face_model import load_face_model
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.region_removal import crop_size_px, local_region
from talkinghead.face.tracking import track_file
from talkinghead.media.images import image_grid, write_png
from talkinghead.network.checkpoint import start_from
from talkinghead.network.face_update_network import FaceUpdateConfig, FaceUpdateNetwork
from talkinghead.training.face_update.discriminator import mouth_windows
from talkinghead.training.face_update.samples import gather_samples
from talkinghead.training.face_update.train import GENERIC_START
from talkinghead.training.face_update.trainer import AnchorTrainer, AnchorTrainingConfig
from talkinghead.weights.bundled import checkpoint_path

RUN, EVERY = 3, 15
"""The first frames of each so many are judged: neighbours, for the flicker."""
SHOWN = 8

VARIANTS: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "  its sharpening on top": {"sharpened": True},
    "without the generic start": {"generic_start": False},
    "L1 alone": {"laplacian_weight": 0.0, "adversarial_weight": 0.0},
    "L1 + Laplacian pyramid": {"adversarial_weight": 0.0},
    "L1 + gradient": {"laplacian_weight": 0.0, "gradient_weight": 1.0, "adversarial_weight": 0.0},
    "L1 + Laplacian + temporal": {"temporal_weight": 1.0, "adversarial_weight": 0.0},
    "adversarial loss three times as strong": {"adversarial_weight": 3 * AnchorTrainingConfig.adversarial_weight},
    "wider (32, 64, 96, 128), without the generic start": {"widths": (32, 64, 96, 128), "generic_start": False},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    shared_clip = Path(__file__).parents[2] / "shared/data/clips/newsroom.mp4"
    parser.add_argument("clip", nargs="?", type=Path, default=shared_clip)
    parser.add_argument("--train-until", type=float, default=56.0, help="seconds; what follows is judged")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--pictures", type=Path, help="folder for a sheet of truth and result a row")
    options = parser.parse_args()
    if not is_here(options.clip, "a clip of at least 30 s"):
        return
    model = load_face_model(checkpoint_path("face_model.safetensors"))
    track = track_file(options.clip)
    reconstruction = reconstruct(track, model)
    region = local_region(model.of(reconstruction.identity))
    size_px = crop_size_px(region, reconstruction)
    samples = gather_samples(options.clip, model, region, reconstruction, size_px, len(track))
    times_s = track.times_s[reconstruction.valid]
    train = np.flatnonzero(times_s < options.train_until)
    later = np.flatnonzero(times_s >= options.train_until)
    judged = later[np.arange(len(later)) % EVERY < RUN]
    own_std = reconstruction.expression[reconstruction.valid].std(0)

    def run(name: str) -> list[str]:
        changes = dict(VARIANTS[name])
        sharpened, widths = changes.pop("sharpened", False), changes.pop("widths", FaceUpdateConfig.widths)
        config = dataclasses.replace(AnchorTrainingConfig(), **changes)
        torch.manual_seed(config.seed)
        sizes = FaceUpdateConfig(model.expressions, size_px, widths=widths)
        network = FaceUpdateNetwork(sizes, model.of(reconstruction.identity))
        if config.generic_start:
            start_from(network, checkpoint_path(GENERIC_START))
        trainer = AnchorTrainer(network, samples, own_std, config, torch.device("cpu"))
        trainer.training, trainer.held_out = train, judged
        started = time.monotonic()
        trainer.run_steps(options.steps)
        seconds = time.monotonic() - started
        if sharpened:
            trainer.held_out = train[:: len(train) // 32]
            network.compositor.sharpening = trainer.sharpening()
            trainer.held_out = judged
        return [name, *judge(trainer, options.pictures and options.pictures / f"{name.strip()}.png"), f"{seconds:.0f}"]

    data = f"{options.clip.name}, {len(train)} frames trained on, {len(judged)} judged, {options.steps} steps of 8, "
    data += f"crop of {size_px} px"
    headings = ["", "mouth PSNR, dB", "SSIM", "sharpness", "flicker", "training, s"]
    print_report(data, headings, [run(name) for name in options.only])


def judge(trainer: AnchorTrainer, picture: Path | None) -> list[str]:
    """The row of one network; and its sheet of truths above results."""
    truths, results = [], []
    for batch in trainer.held_out_results():
        ellipses = trainer.samples.mouth_px[batch.chosen]
        for into, image in ((truths, batch.image), (results, batch.updated)):
            windows = mouth_windows(image, ellipses)
            into += list((windows.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy())
    pairs = list(zip(results, truths, strict=True))
    sharpness = sum(metrics.sharpness(a) for a, _ in pairs) / sum(metrics.sharpness(b) for _, b in pairs)
    errors = np.stack(results).astype(np.float32) - np.stack(truths)
    flicker = np.abs(np.diff(errors.reshape(-1, RUN, *errors.shape[1:])[: len(errors) // RUN], axis=1)).mean()
    if picture:
        picture.parent.mkdir(parents=True, exist_ok=True)
        shown = np.linspace(0, len(pairs) - 1, SHOWN).astype(int)
        write_png(picture, image_grid([[truths[i] for i in shown], [results[i] for i in shown]]))
    return [
        f"{np.mean([metrics.psnr(a, b) for a, b in pairs]):.2f}",
        f"{np.mean([metrics.ssim(a, b) for a, b in pairs]):.3f}",
        f"{sharpness:.2f}",
        f"{flicker:.2f}",
    ]


if __name__ == "__main__":
    main()
