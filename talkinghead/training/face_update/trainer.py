"""The training loop of the face update network, and its state."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkinghead.device import mixed_precision
from talkinghead.errors import CheckpointError, TrainingInterruptedError
from talkinghead.files import load_arrays, save_arrays
from talkinghead.metrics.st_lpips import ShiftTolerantLpips
from talkinghead.network.face_update_network import FaceUpdateNetwork
from talkinghead.structures import FloatArray
from talkinghead.training.face_update.config import LoopConfig, TrainingLength
from talkinghead.training.face_update.discriminator import DiscriminatorTrainer, mouth_windows
from talkinghead.training.face_update.evaluation import HeldOutBatch, find_sharpening, held_out_batches, measure
from talkinghead.training.face_update.improvement import Improvement
from talkinghead.training.face_update.losses import laplacian_l1, pixel_weight, weighted_l1
from talkinghead.training.face_update.quality import HeldOutQuality
from talkinghead.training.face_update.samples import SampleBatch, Samples, coefficient_jitter, held_out_frames
from talkinghead.training.face_update.sheet import HeldOutSheet
from talkinghead.training.moving_average import moving_average, resume_average
from talkinghead.training.optimizer_state import optimizer_arrays, restore_optimizer

LOCAL_WEIGHT = 0.5
"""Weight of the local image's L1 loss against the updated image's."""
PERCEPTUAL_SAMPLES = 4
"""Most samples of a batch that the perceptual loss is taken of: it takes long."""
PERCEIVED_SAMPLES = 16
"""Most held-out samples of which ST-LPIPS is measured."""
REPORT_EVERY_S = 1.0
"""Time between two reports of progress."""
COURSES = ("region_course", "mouth_course")
"""What the courses of PSNR are called in the file of the state."""
EVALUATION_GROWTH = 0.08
"""Time between two evaluations, as a share of the time trained: so the curve on which it is decided whether a training
still improves has as many points for a quick training as for a slow one. `LoopConfig` limits it."""
EVALUATION_COST = 0.05
"""Share of the time that evaluations may take."""


@dataclass(frozen=True)
class TrainingProgress:
    """Progress of a training, as it is reported about once a second."""

    stage: str
    """tracking, matting, speech, cropping, training or done; or remark, see there."""
    done: float
    """Share of the stage, in [0, 1]."""
    step: int
    """Training steps so far; frames so far while tracking and matting."""
    seconds_left: float | None = None
    """Estimated time until the loop ends; None where it is not known."""
    quality: HeldOutQuality | None = None
    """Quality on held-out frames at the last evaluation; None before the first."""
    stands_still: bool = False
    """Whether it no longer improves, so that the training is being brought to its end."""
    sheet: Path | None = None
    """Picture of held-out frames as of the last evaluation; None before the first."""
    remark: str | None = None
    """Something to know of the clip, a sentence, at any stage; the other fields say nothing then."""


Report = Callable[[TrainingProgress], None]


class FaceUpdateTrainer:
    """The loop and its state: weights, their moving average, optimizers, steps and seconds so far."""

    def __init__(
        self,
        network: FaceUpdateNetwork,
        samples: Samples,
        expression_std: FloatArray,
        config: LoopConfig,
        device: torch.device,
    ) -> None:
        """Args: the network, trained in place; one clip's samples; (K,) standard deviation of the anchor's own
        expression; settings; where to train."""
        self.config = config
        self.device = device
        self.network = network.placed(device)
        self.samples = samples
        self.expression_std = torch.from_numpy(expression_std)
        self.training, self.held_out = held_out_frames(len(samples), config.held_out_share)
        self.optimizer = optimizer_for(network, config)
        self.discriminator = (
            DiscriminatorTrainer(device, config.discriminator_learning_rate) if config.adversarial_weight else None
        )
        self.perceptual = ShiftTolerantLpips.load().to(device)
        self._average = moving_average(self.network, config.ema_decay)
        self._average.eval()
        self.step = 0
        self.trained_s = 0.0
        self.quality: HeldOutQuality | None = None
        self.courses = (Improvement(), Improvement())
        """Of PSNR in the region and at the mouth; the training stands still where both do."""
        self.stood_still_at: int | None = None
        """Step from which the training no longer improved, and went on to its final phase."""

    @property
    def averaged(self) -> FaceUpdateNetwork:
        """The network with the moving average of its weights: the result of the training."""
        return cast(FaceUpdateNetwork, self._average.module)

    def run(
        self,
        length: TrainingLength,
        state: Path,
        sheet: HeldOutSheet,
        report: Report,
        is_interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train until the time or the steps are used up, or nothing improves, saving and evaluating on the way.

        Args:
            length: of the training, what was trained before included.
            state: file to save the state in.
            sheet: picture of held-out frames, written at each evaluation.
            report: called with the progress, about once a second.
            is_interrupted: asked after each step; if so, the state is saved.

        Raises:
            TrainingInterruptedError: `is_interrupted` said so.
        """
        if not length.early_stop:  # a training that was interrupted in its final phase leaves it
            self.stood_still_at = None
        last = saved = reported = time.monotonic()
        next_evaluation_s = self.config.evaluate_first_s if self.trained_s == 0 else self.trained_s
        while (done := self._share_done(length)) < 1.0:
            self.train_step(done)
            now = time.monotonic()
            self.trained_s, last = self.trained_s + now - last, now
            if is_interrupted():
                self.save(state)
                raise TrainingInterruptedError(f"Interrupted after {self.step} steps, which are kept.")
            if self.trained_s >= next_evaluation_s:
                self.evaluate(sheet)
                if length.early_stop:
                    self._watch_improvement(done)
                next_evaluation_s = self.trained_s + self._evaluation_pause_s(time.monotonic() - now)
            if now - saved >= self.config.save_every_s:
                self.save(state)
                saved = now
            if now - reported >= REPORT_EVERY_S:
                report(self._progress(self._share_done(length), sheet))
                reported = now
        self.save(state)
        self.evaluate(sheet)

    def _progress(self, done: float, sheet: HeldOutSheet) -> TrainingProgress:
        done = min(done, 1.0)
        return TrainingProgress(
            "training",
            done,
            self.step,
            self.trained_s * (1 - done) / done if done > 0 else None,
            self.quality,
            self.stood_still_at is not None,
            None if self.quality is None else sheet.path,
        )

    def _share_done(self, length: TrainingLength) -> float:
        """Share of the training that is done; 1 or more when it is to end."""
        by_time = 0.0 if length.minutes is None else self.trained_s / max(length.minutes * 60, 1e-9)
        by_steps = 0.0 if length.steps is None else self.step / max(length.steps, 1)
        by_standing = 0.0
        if self.stood_still_at is not None:
            # As if it had been planned from the start for the length at which the final phase begins now: the losses
            # of that phase and the fall of the learning rate get the share of the whole that they always have.
            by_standing = self.config.final_phase_from * self.step / self.stood_still_at
        return max(by_time, by_steps, by_standing)

    def _watch_improvement(self, done: float) -> None:
        """Go on to the final phase where the training stands still before it.

        In the final phase PSNR says nothing of standing still: falling learning rates raise it, and the losses that
        make teeth and lips sharp lower it.
        """
        can_end = self.stood_still_at is None and done < self.config.final_phase_from
        if can_end and all(course.stands_still() for course in self.courses):
            self.stood_still_at = self.step

    def _evaluation_pause_s(self, evaluation_s: float) -> float:
        """Time until the next evaluation, by how long the last one took."""
        wanted_s = min(EVALUATION_GROWTH * self.trained_s, self.config.evaluate_every_s)
        return max(wanted_s, evaluation_s / EVALUATION_COST)

    def train_step(self, done: float) -> None:
        """One step of the network, and of the discriminator where it takes part.

        Args:
            done: share of the training that is done, in [0, 1]; learning rate and losses depend on it.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = group["factor"] * learning_rate(self.config, self.step, done)
        # The draw depends on the seed and the step alone, so that a resumed training sees what it would have seen.
        draw = np.random.default_rng((self.config.seed, self.step))
        loss = self._loss(self.draw_samples(draw), draw, done)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self._average.update_parameters(self.network)

    def draw_samples(self, draw: np.random.Generator) -> NDArray[np.int64]:
        """Numbers of the samples of a step, (B,)."""
        return draw.choice(self.training, self.config.batch, replace=len(self.training) < self.config.batch)

    def image_loss(self, updated: Tensor, image: Tensor, weight: Tensor) -> Tensor:
        """Loss between updated images and sample images, (B, 3, H, W), beside L1 and the adversarial loss: a scalar.

        `weight` (B, 1, H, W) is that of each pixel.
        """
        return self.config.laplacian_weight * laplacian_l1(updated, image, weight)

    def _loss(self, chosen: NDArray[np.int64], draw: np.random.Generator, done: float) -> Tensor:
        config = self.config
        batch = self._jittered(self.samples.batch(chosen, self.device), draw)
        with mixed_precision(self.device):
            local, updated = self.network(batch.coefficients, batch.filled, batch.hole, batch.feather)
        weight = pixel_weight(batch.feather, batch.mouth_px, config.mouth_weight)
        # The local image has a loss of its own, or the compositor would have to mend what the generator gets wrong.
        loss = weighted_l1(updated, batch.image, weight) + LOCAL_WEIGHT * weighted_l1(local, batch.image, weight)
        loss = loss + self.image_loss(updated, batch.image, weight)
        real, generated = (mouth_windows(part, batch.mouth_px) for part in (batch.image, updated))
        if config.perceptual_weight and done >= config.perceptual_from:
            with mixed_precision(self.device):
                windows = (part[:PERCEPTUAL_SAMPLES] for part in (generated, real))
                loss = loss + config.perceptual_weight * self.perceptual(*windows, quick=True).mean()
        if self.discriminator and done >= config.adversarial_from:
            with mixed_precision(self.device):
                self.discriminator.train_step(real, generated)
                adversarial = self.discriminator.generator_loss(real, generated, config.feature_weight)
            loss = loss + config.adversarial_weight * adversarial
        return loss

    def _jittered(self, batch: SampleBatch, draw: np.random.Generator) -> SampleBatch:
        """Augmentation: random gains on the color channels, and coefficients shifted at random (patent: claim 8)."""
        config = self.config
        gain = 1 + config.color_jitter * draw.uniform(-1, 1, (len(batch.image), 3, 1, 1))
        image = batch.image * torch.from_numpy(gain.astype(np.float32)).to(self.device)
        coefficients = coefficient_jitter(
            batch.coefficients, self.expression_std, config.expression_jitter, config.pose_jitter_px, draw
        ).to(self.device)
        return replace(batch, image=image, coefficients=coefficients)

    def held_out_batches(self) -> Iterator[HeldOutBatch]:
        """The held-out samples, batch by batch, through the averaged network."""
        return held_out_batches(self.averaged, self.samples, self.held_out, self.config.batch, self.device)

    def evaluate(self, sheet: HeldOutSheet) -> None:
        """Measure the quality on held-out frames, and write a picture of some of them."""
        stride = math.ceil(len(self.held_out) / PERCEIVED_SAMPLES)
        self.quality = measure(self.held_out_batches(), self.perceptual, stride)
        for course, psnr_db in zip(self.courses, (self.quality.psnr_db, self.quality.mouth_psnr_db), strict=True):
            course.add(self.step, psnr_db)
        headline = f"Frames that training did not use, after {self.step} steps: {self.quality.word}"
        sheet.write(self.averaged, self.device, f"{headline} (mouth {self.quality.mouth_psnr_db:.1f} dB)")

    def describe(self) -> dict[str, Any]:
        """Quality on held-out frames and whether it stood still, as plain values for anchor.json."""
        numbers: list[float | None] = [None, None, None]
        if self.quality is not None:
            measured = (self.quality.psnr_db, self.quality.mouth_psnr_db, self.quality.mouth_distance)
            numbers = [round(number, 3) if math.isfinite(number) else None for number in measured]
        return {
            "held_out_psnr_db": numbers[0],
            "held_out_mouth_psnr_db": numbers[1],
            "held_out_mouth_st_lpips": numbers[2],
            "quality": None if self.quality is None else self.quality.word,
            "stood_still": self.stood_still_at is not None,
        }

    def sharpening(self) -> float:
        """The amount by which the averaged network's images are to be sharpened, found on the held-out frames."""
        return find_sharpening(self.held_out_batches(), self.config.mouth_weight)

    def save(self, path: Path) -> None:
        """Write everything that `load` needs to continue as if nothing had happened.

        Raises:
            OutputError: the file cannot be written.
        """
        arrays = {f"average.{name}": value.cpu().numpy() for name, value in self.averaged.state_dict().items()}
        for prefix, module, optimizer in self._trained_modules():
            arrays |= {f"{prefix}network.{name}": value.cpu().numpy() for name, value in module.state_dict().items()}
            arrays |= optimizer_arrays(optimizer, module.named_parameters(), f"{prefix}optimizer.")
        metadata = {"step": str(self.step), "trained_s": repr(self.trained_s)}
        metadata |= {name: course.as_text() for name, course in zip(COURSES, self.courses, strict=True)}
        if self.stood_still_at is not None:
            metadata["stood_still_at"] = str(self.stood_still_at)
        save_arrays(path, arrays, metadata)

    def load(self, path: Path) -> None:
        """Restore a state that `save` wrote.

        Raises:
            MissingFileError: there is no such file.
            CheckpointError: it belongs to another network or is damaged.
        """
        arrays, metadata = load_arrays(path)
        try:
            tensors = {name: torch.from_numpy(array).to(self.device) for name, array in arrays.items()}
            self.averaged.load_state_dict(_under(tensors, "average."))
            for prefix, module, optimizer in self._trained_modules():
                module.load_state_dict(_under(tensors, f"{prefix}network."))
                restore_optimizer(optimizer, module.named_parameters(), tensors, f"{prefix}optimizer.")
            self.step, self.trained_s = int(metadata["step"]), float(metadata["trained_s"])
            region, mouth = (Improvement.from_text(metadata[name]) for name in COURSES)
            self.courses = region, mouth
            self.stood_still_at = int(metadata["stood_still_at"]) if "stood_still_at" in metadata else None
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path} does not fit this training; start it again without --resume.") from error
        resume_average(self._average, self.step)

    def _trained_modules(self) -> Iterator[tuple[str, torch.nn.Module, torch.optim.Optimizer]]:
        """Every module that is trained, with its optimizer, under the prefix that its state is saved with."""
        yield "", self.network, self.optimizer
        if self.discriminator:
            yield "discriminator.", self.discriminator.discriminator, self.discriminator.optimizer


def optimizer_for(network: FaceUpdateNetwork, config: LoopConfig) -> torch.optim.Optimizer:
    """AdamW for all weights of a network; the `factor` of a group is that of its learning rate."""
    interior = network.generator.interior
    textures = [network.generator.texture_map.base, *([] if interior is None else [interior.upper, interior.lower])]
    chosen = {id(texture) for texture in textures}
    others = [parameter for parameter in network.parameters() if id(parameter) not in chosen]
    groups = [{"params": others, "factor": 1.0}, {"params": textures, "factor": config.texture_rate}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)


def learning_rate(config: LoopConfig, step: int, done: float) -> float:
    """A linear warm-up over the first steps, and a cosine over the whole training.

    Args:
        config: settings of the loop.
        step: steps taken so far.
        done: share of the training that is done, in [0, 1].
    """
    warm = min(1.0, (step + 1) / config.warmup_steps)
    cosine = 0.5 * (1 + np.cos(np.pi * done))
    return float((config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * cosine) * warm)


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those tensors whose names begin with a prefix, under the rest of their names."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
