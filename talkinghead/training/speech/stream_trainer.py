"""Training of the speech encoder's weights for streams: distillation of the whole recording's answer.

The target of a recording is what encoder and predictor make of the whole of it; the student sees, at each moment, what
a stream with its look-ahead has seen, step by step (`chunked_conformer`). What is compared are the features as the
predictor takes them, and its expression, mouth opening and closures; so nothing but speech is needed, of anybody.
Source: distillation, Hinton et al. 2015; of a streaming student from a teacher with the future, Yu et al. 2021.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from talkinghead.device import mixed_precision
from talkinghead.errors import CheckpointError, ModelUnavailableError
from talkinghead.files import load_arrays, save_arrays
from talkinghead.metrics import pearson_r
from talkinghead.speech.adapters import hidden_states
from talkinghead.speech.audio_window import normalize_loudness
from talkinghead.speech.conformer import Conformer
from talkinghead.speech.front_ends import LogMelFrontEnd
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.stream_weights import StreamWeights
from talkinghead.speech.streaming import LOOK_AHEAD_S, STEP_S
from talkinghead.training.moving_average import moving_average, resume_average
from talkinghead.training.optimizer_state import optimizer_arrays, restore_optimizer
from talkinghead.training.speech.augmentation import Augmentation, Recordings, speed_perturbed
from talkinghead.training.speech.chunked_conformer import ChunkedConformer, ChunkLayout, newest_frames

CPU = torch.device("cpu")
MEASURED_BATCHES = 8
"""Batches of held-out speech that the agreement is measured on."""


@dataclass(frozen=True)
class StreamTrainingConfig:
    """Settings of the training."""

    rank: int = 32
    """Of the changes of the encoder's maps."""
    batch: int = 1
    frames: int = 400
    """Feature frames of a recording: 8 s."""
    rate: float = 5e-4
    """Learning rate after the warm-up; it falls to 0 as a cosine."""
    warmup_steps: int = 6
    augmented_share: float = 0.1
    """Share of the recordings with noise, rooms and other voices, in target and student alike."""
    gain_db: float = 0.5
    """Standard deviation of the student's level, since a stream's loudness is not known from the beginning."""
    provisional_weight: float = 0.25
    """Weight of the provisional frames' features, relative to the final ones'."""
    expression_weight: float = 1.0
    opening_weight: float = 2.0
    closure_weight: float = 1.0
    average_decay: float = 0.97
    """Of the moving average of the changes, which is the result."""
    save_every_s: float = 60.0
    seed: int = 0


class StreamTrainer:
    """The loop and its state."""

    def __init__(
        self, config: StreamTrainingConfig, speech_model: SpeechModel, to_opening: Tensor, recordings: Recordings
    ) -> None:
        """Prepare.

        Args:
            config: settings.
            speech_model: whose encoder is trained, by its predictor.
            to_opening: (K,) from normalized expression to the mouth's opening.
            recordings: speech to train on.

        Raises:
            ModelUnavailableError: streams of this encoder keep no states.
        """
        model, front_end = speech_model.encoder.model, speech_model.encoder.front_end
        if not isinstance(model, Conformer) or type(front_end) is not LogMelFrontEnd:
            raise ModelUnavailableError(
                f"Weights for streams are for encoders of the default one's kind, which {speech_model.encoder.name} is "
                "not; leave --encoder out."
            )
        torch.manual_seed(config.seed)
        self.config, self.speech_model, self.recordings = config, speech_model, recordings
        self.layout = ChunkLayout.of(LOOK_AHEAD_S, STEP_S)
        self.student = ChunkedConformer(model, self.layout, config.rank)
        self._average = moving_average(self.student, config.average_decay)
        self._front_end = front_end
        self._predictor = speech_model.predictor.requires_grad_(False)
        self._to_opening = to_opening
        self.optimizer = torch.optim.AdamW(self.student.parameters(), config.rate, betas=(0.9, 0.98), weight_decay=0.01)
        self._begin_draws(config.seed)
        self.step = 0

    def _begin_draws(self, seed: int | tuple[int, int]) -> None:
        self.draw = np.random.default_rng(seed)
        self._augment = Augmentation(self.recordings, self.draw)

    def run(self, steps: int, state: Path, most_s: float = np.inf) -> Iterator[tuple[int, float]]:
        """Train to a number of steps, those before an interruption included, saving the state on the way.

        Args:
            steps: length of the training.
            state: file to save the state in.
            most_s: seconds after which this run ends before that.

        Yields:
            After each step its number and the loss.
        """
        begun = saved = time.monotonic()
        while self.step < steps and time.monotonic() - begun < most_s:
            loss = self.train_step(self.step / steps)
            if time.monotonic() - saved >= self.config.save_every_s:
                self.save(state)
                saved = time.monotonic()
            yield self.step, loss
        self.save(state)

    def train_step(self, done: float) -> float:
        """One step at a share of the training, in 0..1; returns the loss."""
        warm = min(1.0, (self.step + 1) / self.config.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate * warm * (0.505 + 0.495 * float(np.cos(np.pi * min(done, 1.0))))
        audio = torch.stack([self._drawn() for _ in range(self.config.batch)])
        gain_db = torch.from_numpy(self.draw.normal(0, self.config.gain_db, (len(audio), 1)).astype(np.float32))
        loss = self._loss(self._compared(self.student, audio, audio * 10 ** (gain_db / 20)))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self._average.update_parameters(self.student)
        return float(loss.detach())

    def _drawn(self) -> Tensor:
        """Speech, some of it augmented: (N,) at the encoder's loudness."""
        audio = speed_perturbed(self.recordings, self.config.frames * self._front_end.hop, self.draw)
        if self.draw.random() < self.config.augmented_share:
            audio = self._augment(audio)
        return normalize_loudness(audio)

    @property
    def averaged(self) -> ChunkedConformer:
        """The student with the moving average of its changes: the result of the training."""
        return cast(ChunkedConformer, self._average.module)

    def _compared(self, student: ChunkedConformer, audio: Tensor, heard: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What student and target make of recordings.

        Args:
            student: the student, or its average.
            audio: (B, N) of the target.
            heard: (B, N) of the student.

        Returns:
            Pairs of student's and target's: features of final and of provisional frames, in components; expression;
            opening; probability of closed lips.
        """
        predictor, layers = self._predictor, list(self._predictor.config.layers)
        with torch.no_grad(), mixed_precision(CPU):
            states = hidden_states(self.speech_model.encoder.model, self._front_end(audio))
            whole = predictor.components(torch.stack([states[layer].float() for layer in layers], 2)).float()
            expression, closure = predictor.expression(whole), predictor.closure(whole)
        with torch.no_grad():
            frames, newest = self._front_end(heard), newest_frames(self._front_end, heard, self.layout)
        with mixed_precision(CPU):
            states = student(frames, newest)
        features = torch.stack([states[layer].float() for layer in layers], 3)
        ours = predictor.components(features.flatten(0, 1)).unflatten(0, features.shape[:2])  # (B, chunks, rows, C)
        step, positions = self.layout.step, self.layout.positions(newest.shape[1])
        exists = positions >= 0
        theirs = whole[:, positions.clamp(min=0)]
        final = exists[:, :step]
        pairs = [(part[:, :, :step][:, final], part[:, :, step:].flatten(1, 2)) for part in (ours, theirs)]
        # The first chunks have frames before the stream within the predictor's reach, which padding stands for.
        begin = -(-(predictor.config.reach + self.layout.lead) // step)
        known = positions[begin:, :step]
        windows = self._windows(ours, begin)
        with mixed_precision(CPU):
            wanted = slice(predictor.config.reach, predictor.config.reach + step)
            given = predictor.expression(windows)[:, wanted].float().unflatten(0, (len(ours), -1))
            closed = predictor.closure(windows)[:, wanted].float().unflatten(0, (len(ours), -1))
        target = expression.float()[:, known]
        return [
            *zip(*pairs, strict=True),
            (given, target),
            (given @ self._to_opening, target @ self._to_opening),
            (closed, closure.float()[:, known]),
        ]

    def _windows(self, ours: Tensor, begin: int) -> Tensor:
        """The predictor's input around the final frames of each chunk, from one on, with 0 for what is not known.

        (B, chunks, rows, C) -> (B * chunks, reach + step + reach, C)
        """
        reach, step = self._predictor.config.reach, self.layout.step
        first = begin * step - reach
        past = ours[:, :, :step].flatten(1, 2)[:, first:].unfold(1, reach, step)[:, : ours.shape[1] - begin]
        own = ours[:, begin:, : step + reach]
        missing = step + reach - own.shape[2]
        return functional.pad(torch.cat([past.transpose(2, 3), own], 2), (0, 0, 0, missing)).flatten(0, 1)

    def _loss(self, compared: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Weighted sum of squared errors, in variances."""
        config = self.config
        weights = (
            1.0,
            config.provisional_weight,
            config.expression_weight,
            config.opening_weight,
            config.closure_weight,
        )
        terms = [functional.mse_loss(student, target) / target.var().clamp(min=1e-3) for student, target in compared]
        return torch.stack(terms) @ torch.tensor(weights)

    @torch.no_grad()
    def agreement(self, recordings: Recordings) -> dict[str, float]:
        """Correlation of student and target on clean held-out speech, by what `_compared` compares."""
        draw = np.random.default_rng(0)
        length = self.config.frames * self._front_end.hop
        names = ("features", "provisional", "expression", "opening", "closure")
        found: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(MEASURED_BATCHES):
            audio = torch.stack([recordings.stretch(length, draw) for _ in range(self.config.batch)])
            for name, (ours, theirs) in zip(names, self._compared(self.averaged, audio, audio), strict=True):
                found[name].append(pearson_r(ours.flatten().numpy(), theirs.flatten().numpy()))
        return {name: float(np.mean(values)) for name, values in found.items()}

    def result(self) -> StreamWeights:
        """The weights so far."""
        return StreamWeights(
            self.averaged.named_changes(),
            self.averaged.edge.detach(),
            self.speech_model.encoder.sha256,
            LOOK_AHEAD_S,
        )

    def save(self, path: Path) -> None:
        """Write everything that `load` needs.

        Raises:
            OutputError: the file cannot be written.
        """
        arrays = {f"student.{name}": value.numpy() for name, value in self.student.state_dict().items()}
        arrays |= {f"average.{name}": value.numpy() for name, value in self.averaged.state_dict().items()}
        arrays |= optimizer_arrays(self.optimizer, self.student.named_parameters(), "optimizer.")
        save_arrays(path, arrays, {"step": repr(self.step)})

    def load(self, path: Path) -> None:
        """Restore a state that `save` wrote.

        Raises:
            MissingFileError: there is no such file.
            CheckpointError: it is damaged, or of another training.
        """
        arrays, metadata = load_arrays(path)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        try:
            names = self.student.state_dict().keys()
            self.student.load_state_dict({name: tensors[f"student.{name}"] for name in names})
            self.averaged.load_state_dict({name: tensors[f"average.{name}"] for name in names})
            restore_optimizer(self.optimizer, list(self.student.named_parameters()), tensors, "optimizer.")
            self.step = int(metadata["step"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path} does not fit this training; start it again without --resume.") from error
        resume_average(self._average, self.step)
        # A seed of its own: what was drawn before the interruption is not drawn again.
        self._begin_draws((self.config.seed, self.step))
