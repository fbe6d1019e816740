"""The training loop of the face update network and its state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkinghead.device import mixed_precision, to_device
from talkinghead.errors import (
    CheckpointError,
)
from talkinghead.files import load_arrays, save_arrays
from talkinghead.media.images import image_grid, write_png
from talkinghead.network.face_update_network import FaceUpdateNetwork
from talkinghead.structures import ByteArray, FloatArray
from talkinghead.training.face_update.discriminator import Adversary, mouth_windows
from talkinghead.training.face_update.losses import gradient_l1, laplacian_l1, temporal_l1, weighted_l1
from talkinghead.training.face_update.samples import Samples, coefficient_jitter, held_out_frames, select_coefficients
from talkinghead.training.face_update.sharpening import matching_sharpening


@dataclass(frozen=True)
class AnchorTrainingConfig:
    """Settings of the loop."""

    generic_start: bool = True
    """Start from the built-in anchor's network, whose likeness is nobody's: how skin, lips and teeth are drawn is much
    the same in everybody."""
    batch: int = 8
    learning_rate: float = 2e-3
    final_learning_rate: float = 5e-5
    warmup_steps: int = 30
    ema_decay: float = 0.998
    expression_jitter: float = 0.15
    """Sample coefficients are shifted by up to this share of the anchor's own standard deviation (claim 8)."""
    pose_jitter_px: float = 0.5
    color_jitter: float = 0.03
    """Light of sample and target together, per channel, so that drift of exposure is nothing new."""
    laplacian_weight: float = 1.0
    gradient_weight: float = 0.0
    temporal_weight: float = 0.0
    """Above 0, half of a batch are the other half's next frames."""
    adversarial_weight: float = 0.05
    feature_weight: float = 10.0
    """Of the discriminator's layers, within the adversarial loss."""
    adversarial_from: float = 0.4
    """Share of the training after which the discriminator takes part: before, all is plainly made."""
    discriminator_learning_rate: float = 4e-4
    mouth_weight: float = 4.0
    """Weight of the mouth in the losses against 1 for the rest of the region."""
    held_out_share: float = 0.02
    largest_frames: int = 3000
    """Longer clips are thinned evenly to this many training frames."""
    save_every_s: float = 60.0
    evaluate_first_s: float = 30.0
    evaluate_every_s: float = 180.0
    seed: int = 0


@dataclass(frozen=True)
class TrainingProgress:
    """One report of the loop."""

    stage: str
    """tracking, cropping, training or done."""
    done: float
    """Share of the stage, in [0, 1]."""
    step: int
    seconds_left: float | None = None
    held_out_psnr_db: float | None = None
    """Of the region, on held-out frames, at the last evaluation."""


@dataclass(frozen=True)
class HeldOutBatch:
    """Samples that were not trained on, and what the network makes of them."""

    chosen: NDArray[np.int64]
    """(B,) their numbers."""
    image: Tensor
    """(B, 3, H, W) in [0, 1], as is `updated`."""
    hole: Tensor
    """(B, 1, H, W), as is `feather`."""
    feather: Tensor
    updated: Tensor


Report = Callable[[TrainingProgress], None]


class AnchorTrainer:
    """The loop and its state: weights, their moving average, the optimiser, steps and seconds so far."""

    def __init__(
        self,
        network: FaceUpdateNetwork,
        samples: Samples,
        expression_std: FloatArray,
        config: AnchorTrainingConfig,
        device: torch.device,
    ) -> None:
        self.config = config
        self.device = device
        self.network = network.placed(device)
        self.samples = samples
        self.expression_std = torch.from_numpy(expression_std)
        self.training, self.held_out = held_out_frames(len(samples), config.held_out_share)
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True
        )
        self.adversary = Adversary(device, config.discriminator_learning_rate) if config.adversarial_weight else None
        self.averaged = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self.step = 0
        self.trained_s = 0.0
        self.held_out_psnr_db: float | None = None

    def run(self, minutes: float | None, steps: int | None, state: Path, picture: Path, report: Report) -> None:
        """Train until the time or the steps are used up, saving and evaluating on the way."""
        last = saved = reported = time.monotonic()
        next_evaluation_s = self.config.evaluate_first_s if self.trained_s == 0 else self.trained_s
        while (done := self._share_done(minutes, steps)) < 1.0:
            self._train_step(done)
            now = time.monotonic()
            self.trained_s, last = self.trained_s + now - last, now
            if self.trained_s >= next_evaluation_s:
                self.evaluate(picture)
                next_evaluation_s = self.trained_s + self.config.evaluate_every_s
            if now - saved >= self.config.save_every_s:
                self.save(state)
                saved = now
            if now - reported >= 1.0:
                left = self.trained_s * (1 - done) / done if done > 0 else None
                report(TrainingProgress("training", done, self.step, left, self.held_out_psnr_db))
                reported = now
        self.save(state)
        self.evaluate(picture)

    def run_steps(self, steps: int) -> None:
        """Train so many steps more, with nothing saved or shown."""
        first = self.step
        while self.step < first + steps:
            self._train_step((self.step - first) / steps)

    def _share_done(self, minutes: float | None, steps: int | None) -> float:
        by_time = 0.0 if minutes is None else self.trained_s / max(minutes * 60, 1e-9)
        by_steps = 0.0 if steps is None else self.step / max(steps, 1)
        return max(by_time, by_steps)

    def _train_step(self, done: float) -> None:
        config = self.config
        warm = min(1.0, (self.step + 1) / config.warmup_steps)
        cosine = 0.5 * (1 + np.cos(np.pi * done))
        rate = config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * cosine
        for group in self.optimizer.param_groups:
            group["lr"] = rate * warm

        # The draw depends on the seed and the step alone, so that a resumed training sees what it would have seen.
        draw = np.random.default_rng((config.seed, self.step))
        chosen = draw.choice(self.training, config.batch, replace=len(self.training) < config.batch)
        if config.temporal_weight:
            chosen[1::2] = np.minimum(chosen[::2] + 1, len(self.samples) - 1)
        loss = self._loss(chosen, draw, done >= config.adversarial_from)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.averaged[name].lerp_(value, 1 - decay)

    def _loss(self, chosen: NDArray[np.int64], draw: np.random.Generator, opposed: bool) -> Tensor:
        config = self.config
        image, hole, feather = self._pictures(chosen)
        light = 1 + config.color_jitter * draw.uniform(-1, 1, (len(chosen), 3, 1, 1))
        image = image * torch.from_numpy(light.astype(np.float32)).to(self.device)
        coefficients = coefficient_jitter(
            select_coefficients(self.samples.coefficients, chosen),
            self.expression_std,
            config.expression_jitter,
            config.pose_jitter_px,
            draw,
        ).to(self.device)
        with mixed_precision(self.device):
            local, updated = self.network(coefficients, image * (1 - hole), hole, feather)
        weight = self._weight(chosen, feather)
        loss = weighted_l1(updated, image, weight) + 0.5 * weighted_l1(local, image, weight)
        if config.laplacian_weight:
            loss = loss + config.laplacian_weight * laplacian_l1(updated, image, weight)
        if config.gradient_weight:
            loss = loss + config.gradient_weight * gradient_l1(updated, image, weight)
        if config.temporal_weight:
            loss = loss + config.temporal_weight * temporal_l1(updated, image, weight)
        if self.adversary and opposed:
            filmed, made = (mouth_windows(part, self.samples.mouth_px[chosen]) for part in (image, updated))
            with mixed_precision(self.device):
                self.adversary.learn(filmed, made)
                opposition = self.adversary.generator_loss(filmed, made, config.feature_weight)
            loss = loss + config.adversarial_weight * opposition
        return loss

    def _pictures(self, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Sample images (B, 3, H, W), holes and feathers (B, 1, H, W) of the chosen samples, on the device."""
        arrays = (self.samples.crops[chosen], self.samples.holes[chosen], self.samples.feathers[chosen])
        image, hole, feather = (to_device(torch.from_numpy(array), self.device) for array in arrays)
        return image.permute(0, 3, 1, 2).float() / 255, hole[:, None].float(), feather[:, None].float() / 255

    def _weight(self, chosen: NDArray[np.int64], feather: Tensor) -> Tensor:
        """(B, 1, H, W) weight of each pixel in the losses: 0 outside the region, highest on the mouth."""
        height, width = feather.shape[-2:]
        ellipse = torch.from_numpy(self.samples.mouth_px[chosen]).to(self.device)
        x = (torch.arange(width, device=self.device) + 0.5 - ellipse[:, :1]) / ellipse[:, 2:3]
        y = (torch.arange(height, device=self.device) + 0.5 - ellipse[:, 1:2]) / ellipse[:, 3:4]
        distance = x[:, None, :] ** 2 + y[:, :, None] ** 2
        mouth = torch.exp(-(distance**2))
        return feather * (1 + (self.config.mouth_weight - 1) * mouth[:, None])

    def evaluate(self, picture: Path) -> None:
        """PSNR in the region on held-out frames with the averaged weights, and a contact sheet of eight of them."""
        errors, rows = [], []
        shown = set(np.linspace(0, len(self.held_out) - 1, 8).astype(int).tolist())
        for batch, result in enumerate(self.held_out_results()):
            image, hole, feather, updated = result.image, result.hole, result.feather, result.updated
            inside = (feather > 0).float()
            squared = ((updated - image) ** 2 * inside).sum((1, 2, 3)) / (3 * inside.sum((1, 2, 3)))
            errors.append(squared.cpu())
            for offset in range(len(image)):
                if batch * self.config.batch + offset in shown:
                    rows.append([_to_bytes(one[offset]) for one in (image, image * (1 - hole), updated)])
        self.held_out_psnr_db = float(-10 * torch.log10(torch.cat(errors).mean()))
        write_png(picture, image_grid([a + b for a, b in zip(rows[::2], rows[1::2], strict=False)] or rows))

    def sharpening(self) -> float:
        """How much the averaged network's pictures are to be sharpened, by the held-out frames."""
        results = list(self.held_out_results())
        made, filmed = (torch.cat([getattr(result, part) for result in results]) for part in ("updated", "image"))
        weight = torch.cat([self._weight(result.chosen, result.feather) for result in results])
        return matching_sharpening(made, filmed, weight)

    @torch.no_grad()
    def held_out_results(self) -> Iterator[HeldOutBatch]:
        """The held-out samples, batch by batch, through the averaged weights."""
        trained = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.averaged)
        self.network.eval()
        try:
            for start in range(0, len(self.held_out), self.config.batch):
                chosen = self.held_out[start : start + self.config.batch]
                image, hole, feather = self._pictures(chosen)
                coefficients = select_coefficients(self.samples.coefficients, chosen).to(self.device)
                with mixed_precision(self.device):
                    _, updated = self.network(coefficients, image * (1 - hole), hole, feather)
                yield HeldOutBatch(chosen, image, hole, feather, updated.clamp(0, 1))
        finally:
            self.network.load_state_dict(trained)
            self.network.train()

    def save(self, path: Path) -> None:
        """Write everything that `load` needs to go on as if nothing had happened."""
        arrays = {f"average.{name}": value.cpu().numpy() for name, value in self.averaged.items()}
        for prefix, module, optimizer in self._learners():
            arrays |= {f"{prefix}network.{name}": value.cpu().numpy() for name, value in module.state_dict().items()}
            for name, parameter in module.named_parameters():
                for moment, value in optimizer.state.get(parameter, {}).items():
                    arrays[f"{prefix}optimizer.{moment}.{name}"] = value.detach().float().cpu().numpy()
        save_arrays(path, arrays, {"step": str(self.step), "trained_s": repr(self.trained_s)})

    def _learners(self) -> Iterator[tuple[str, torch.nn.Module, torch.optim.Optimizer]]:
        """What learns here, under the prefix that its state is saved with."""
        yield "", self.network, self.optimizer
        if self.adversary:
            yield "adversary.", self.adversary.discriminator, self.adversary.optimizer

    def load(self, path: Path) -> None:
        """Take up a saved state.

        Raises:
            CheckpointError: it belongs to another network or is damaged.
        """
        arrays, metadata = load_arrays(path)
        try:
            tensors = {name: torch.from_numpy(array).to(self.device) for name, array in arrays.items()}
            self.averaged = _under(tensors, "average.")
            for prefix, module, optimizer in self._learners():
                module.load_state_dict(_under(tensors, f"{prefix}network."))
                moments = [_under(tensors, f"{prefix}optimizer.{m}.") for m in ("step", "exp_avg", "exp_avg_sq")]
                for name, parameter in module.named_parameters():
                    if name not in moments[0]:  # it has not taken a step yet
                        continue
                    step, *averages = (moment[name] for moment in moments)
                    # The fused optimiser walks through memory: its averages must lie there as the parameter does.
                    first, second = (torch.empty_like(parameter).copy_(average) for average in averages)
                    optimizer.state[parameter] = {"step": step, "exp_avg": first, "exp_avg_sq": second}
            self.step, self.trained_s = int(metadata["step"]), float(metadata["trained_s"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path} does not fit this training; start it again without --resume.") from error


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _to_bytes(image: Tensor) -> ByteArray:
    return np.asarray((image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy())
