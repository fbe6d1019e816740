"""What losses, generic start, width, batches and the texture's rate buy on a part of a clip that is not trained on.

    python benchmarks/losses.py [CLIP] [--train-until SECONDS] [--steps N] [--minutes M] [--only NAME ...]
                                [--seed S] [--pictures FOLDER]

Each row trains a network of its own for N steps, or M minutes, from the same seed and updates the frames after SECONDS
from their true coefficients. Rows with other batches take as many steps as show them the same number of samples, which
takes about the same time. Everything is measured on the mouth's half of the crop, in the crop's own pixels, before
any encoding: sharpness is the mean squared Laplacian, output over truth; flicker the mean change of the error from one
frame to the next, of 255; ST-LPIPS is that of `talkinghead.metrics.st_lpips`. Sharpening (which `talkinghead train`
sets when the training has ended) is left out but in its own row. The losses that training does not use, of image
gradients and of changes in time, are defined here.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import is_here, print_report
from numpy.typing import NDArray
from torch import Tensor

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
from talkinghead.training.face_update.losses import weighted_l1
from talkinghead.training.face_update.samples import gather_samples
from talkinghead.training.face_update.train import GENERIC_START
from talkinghead.training.face_update.trainer import FaceUpdateTrainer
from talkinghead.weights.bundled import checkpoint_path

RUN, EVERY = 3, 15
"""The first RUN frames of each EVERY are measured: neighbors, for the flicker."""
SHOWN = 8
"""Frames on a sheet."""


@dataclass(frozen=True)
class Variant:
    """A way to train, by its difference from `talkinghead train`."""

    loop: dict[str, Any] = field(default_factory=dict)
    """Fields of `LoopConfig`."""
    gradient_weight: float = 0.0
    temporal_weight: float = 0.0
    """Above 0, half of a batch are the other half's next frames."""
    sharpened: bool = False
    widths: tuple[int, ...] = FaceUpdateConfig.widths
    interior: bool = True


PIXELS_ONLY = {"adversarial_weight": 0.0, "perceptual_weight": 0.0}
VARIANTS = {
    "as shipped": Variant(),
    "  its sharpening on top": Variant(sharpened=True),
    "without the perceptual loss": Variant({"perceptual_weight": 0.0}),
    "perceptual loss half as strong": Variant({"perceptual_weight": LoopConfig.perceptual_weight / 2}),
    "without the generic start": Variant({"generic_start": False}),
    "L1 alone": Variant(PIXELS_ONLY | {"laplacian_weight": 0.0}),
    "L1 + Laplacian pyramid": Variant(PIXELS_ONLY),
    "L1 + gradient": Variant(PIXELS_ONLY | {"laplacian_weight": 0.0}, gradient_weight=1.0),
    "L1 + Laplacian + temporal": Variant(PIXELS_ONLY, temporal_weight=1.0),
    "adversarial loss three times as strong": Variant({"adversarial_weight": 3 * LoopConfig.adversarial_weight}),
    "without the mouth interior": Variant(interior=False),
    "batches of 8": Variant({"batch": 8}),
    "textures by the others' learning rate": Variant({"texture_rate": 1.0}),
    "without any of these three": Variant({"batch": 8, "texture_rate": 1.0}, interior=False),
    "wider (32, 64, 96, 128), without the generic start": Variant({"generic_start": False}, widths=(32, 64, 96, 128)),
}


def gradient_l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 between the differences of neighboring pixels, across and down. Source: Mathieu et al. 2016."""
    difference = output - target
    across = weighted_l1(difference[..., 1:], difference[..., :-1], weight[..., 1:])
    return across + weighted_l1(difference[..., 1:, :], difference[..., :-1, :], weight[..., 1:, :])


def temporal_l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 between the changes from frame to frame, of a batch that is B / 2 pairs of neighbors in time."""
    return weighted_l1(output[1::2] - output[::2], target[1::2] - target[::2], weight[1::2])


class VariantTrainer(FaceUpdateTrainer):
    """A trainer with the losses of a variant."""

    variant = Variant()

    def draw_samples(self, draw: np.random.Generator) -> NDArray[np.int64]:
        chosen = super().draw_samples(draw)
        if self.variant.temporal_weight:
            chosen[1::2] = np.minimum(chosen[::2] + 1, len(self.samples) - 1)
        return chosen

    def image_loss(self, updated: Tensor, image: Tensor, weight: Tensor) -> Tensor:
        loss = super().image_loss(updated, image, weight)
        if self.variant.gradient_weight:
            loss = loss + self.variant.gradient_weight * gradient_l1(updated, image, weight)
        if self.variant.temporal_weight:
            loss = loss + self.variant.temporal_weight * temporal_l1(updated, image, weight)
        return loss


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    shared_clip = Path(__file__).parents[2] / "shared/data/clips/newsroom.mp4"
    parser.add_argument("clip", nargs="?", type=Path, default=shared_clip)
    parser.add_argument("--train-until", type=float, default=56.0, help="seconds; what follows is measured")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--minutes", type=float, help="of training, in place of steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--pictures", type=Path, help="folder for a sheet of truth and result a row")
    options = parser.parse_args()
    if not is_here(options.clip, "a clip of at least 30 s"):
        return
    model = load_face_model(checkpoint_path("face_model.safetensors"))
    track = steady_track(options.clip, model)
    reconstruction = reconstruct(track, model)
    region = local_region(model.of(reconstruction.identity))
    size_px = crop_size_px(region, reconstruction)
    samples = gather_samples(options.clip, model, region, reconstruction, size_px, len(track))
    times_s = track.times_s[reconstruction.valid]
    train = np.flatnonzero(times_s < options.train_until)
    later = np.flatnonzero(times_s >= options.train_until)
    measured = later[np.arange(len(later)) % EVERY < RUN]
    own_std = reconstruction.expression[reconstruction.valid].std(0)

    def share_done(config: LoopConfig, steps: int, seconds: float) -> float:
        samples_share = steps * config.batch / (options.steps * LoopConfig.batch)
        return samples_share if options.minutes is None else seconds / 60 / options.minutes

    def run(name: str) -> list[str]:
        variant = VARIANTS[name]
        config = LoopConfig(**variant.loop, seed=options.seed)
        torch.manual_seed(config.seed)
        sizes = FaceUpdateConfig(model.expressions, size_px, widths=variant.widths, interior=variant.interior)
        network = FaceUpdateNetwork(sizes, model.of(reconstruction.identity))
        if config.generic_start:
            start_from(network, checkpoint_path(GENERIC_START))
        trainer = VariantTrainer(network, samples, own_std, config, torch.device("cpu"))
        trainer.variant = variant
        trainer.training, trainer.held_out = train, measured
        started, began = time.monotonic(), time.process_time()
        while (done := share_done(config, trainer.step, time.monotonic() - started)) < 1:
            trainer.train_step(done)
        seconds = time.process_time() - began
        if variant.sharpened:
            trainer.held_out = train[:: len(train) // 32]
            trainer.averaged.compositor.sharpening = trainer.sharpening()
            trainer.held_out = measured
        return [
            name,
            *measure(trainer, options.pictures and options.pictures / f"{name.strip()}.png"),
            f"{seconds:.0f}",
            str(trainer.step),
        ]

    data = f"{options.clip.name}, {len(train)} frames trained on, {len(measured)} measured, "
    data += f"crop of {size_px} px"
    headings = ["", "mouth PSNR, dB", "SSIM", "sharpness", "flicker", "ST-LPIPS", "training, CPU s", "steps"]
    print_report(data, headings, [run(name) for name in options.only])


def measure(trainer: FaceUpdateTrainer, sheet: Path | None) -> list[str]:
    """The row of one network; its sheet of truths above results is written to `sheet`."""
    truths: list[ByteArray] = []
    results: list[ByteArray] = []
    distances: list[float] = []
    perceptual = ShiftTolerantLpips.load()
    for batch in trainer.held_out_batches():
        both = [mouth_windows(image, batch.samples.mouth_px) for image in (batch.updated, batch.samples.image)]
        with torch.no_grad():
            distances += perceptual(*both).tolist()
        for into, image in ((truths, batch.samples.image), (results, batch.updated)):
            windows = mouth_windows(image, batch.samples.mouth_px)
            into += list((windows.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy())
    pairs = list(zip(results, truths, strict=True))
    sharpness = sum(metrics.sharpness(a) for a, _ in pairs) / sum(metrics.sharpness(b) for _, b in pairs)
    errors = np.stack(results).astype(np.float32) - np.stack(truths)
    flicker = np.abs(np.diff(errors.reshape(-1, RUN, *errors.shape[1:])[: len(errors) // RUN], axis=1)).mean()
    if sheet:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        shown = np.linspace(0, len(pairs) - 1, SHOWN).astype(int)
        write_png(sheet, image_grid([[truths[i] for i in shown], [results[i] for i in shown]]))
    return [
        f"{np.mean([metrics.psnr(a, b) for a, b in pairs]):.2f}",
        f"{np.mean([metrics.ssim(a, b) for a, b in pairs]):.3f}",
        f"{sharpness:.2f}",
        f"{flicker:.2f}",
        f"{np.mean(distances):.3f}",
    ]


if __name__ == "__main__":
    main()
