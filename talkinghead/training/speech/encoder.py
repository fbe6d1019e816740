"""Training of the speech encoder: distillation of Whisper's first layers into a small model of the wav2vec2 family.

The student starts as a transplant of Whisper (`transplant`). In training, one more layer stands behind the copied ones
and is trained on the output of a phoneme recognizer: through a linear head, it has to predict the recognizer's log
posteriors. Layer and head are dropped afterwards; what the layers before had to keep for them stays.

Stage 1 trains the stem alone, which costs little; stage 2 everything, through all layers. The targets are computed
from clean audio; the student gets the same audio augmented by noise, rooms, other voices, filters and levels.
Source: distillation, Hinton et al. 2015; targets from clean, input from noisy audio, as in WavLM, Chen et al. 2022.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Wav2Vec2BertModel

from talkinghead.device import mixed_precision
from talkinghead.errors import CheckpointError
from talkinghead.files import load_arrays, save_arrays, write_text
from talkinghead.speech.adapters import FRONT_END_FILE, hidden_states
from talkinghead.speech.encoder_files import WEIGHT_FILE
from talkinghead.speech.front_ends import LOG_MEL, RATE_HZ, LogMelFrontEnd
from talkinghead.training.moving_average import moving_average, resume_average
from talkinghead.training.optimizer_state import optimizer_arrays, restore_optimizer
from talkinghead.training.speech.augmentation import Augmentation, Recordings, filter_augmented, speed_perturbed
from talkinghead.training.speech.student import EncoderTrainingConfig, build_student, conformer_layers, stem_of
from talkinghead.training.speech.transplant import transplant
from talkinghead.training.speech.whisper import WhisperTeacher

CPU = torch.device("cpu")
STEM, PHONEMES = "stem", "phonemes"
"""Names of these targets in what `EncoderTrainer.explained` gives."""
START_EXAMPLES = 50
"""Examples that the transplant is measured on."""
SPREAD_EXAMPLES = 16
"""Examples that the targets' standard deviations are measured on."""
LEAST_SPREAD = 0.25
"""Phonemes whose log posterior has a smaller standard deviation are no targets: these languages lack them."""
LARGEST_STEM_ERROR = 25.0
"""Squared errors of the stem, in standard deviations, are clipped to this."""


class Recognizer(Protocol):
    """Recognizes phonemes, as `PhonemeRecognizer` does."""

    def log_posteriors(self, audio: Tensor) -> Tensor:
        """(N,) at 16 kHz -> (N // 320, tokens)"""
        ...


class PhonemeTargets:
    """Normalized log posteriors of a phoneme recognizer, of those phonemes that occur."""

    def __init__(self, recognizer: Recognizer, waveforms: Sequence[Tensor]) -> None:
        """`waveforms`: some speech, (N,) each at 16 kHz, on which mean and standard deviation are measured."""
        posteriors = torch.cat([recognizer.log_posteriors(audio) for audio in waveforms])
        self._recognizer = recognizer
        self._phonemes = (posteriors.std(0) > LEAST_SPREAD).nonzero()[:, 0]
        self._mean, self._spread = posteriors.mean(0), posteriors.std(0).clamp(min=2 * LEAST_SPREAD)

    def __len__(self) -> int:
        return len(self._phonemes)

    def of(self, waveforms: Sequence[Tensor]) -> Tensor:
        """B waveforms of one length, (N,) at 16 kHz -> (B, S, phonemes)."""
        posteriors = torch.stack([self._recognizer.log_posteriors(audio) for audio in waveforms])
        return ((posteriors - self._mean) / self._spread)[..., self._phonemes]


class EncoderTrainer:
    """The loop and its state: weights, their moving average, the optimizer, steps and seconds so far."""

    def __init__(
        self,
        config: EncoderTrainingConfig,
        teacher: WhisperTeacher,
        recognizer: Recognizer,
        recordings: Recordings,
        start: Path | None = None,
    ) -> None:
        """Make the student and measure the targets.

        Args:
            config: settings.
            teacher: Whisper, whose layers are the targets.
            recognizer: of phonemes.
            recordings: speech to train on.
            start: folder of an exported encoder to start from, in place of the transplant.

        Raises:
            MissingFileError, CheckpointError: there is no encoder in `start`; it has another shape.
        """
        torch.manual_seed(config.seed)
        self.config = config
        self.teacher = teacher
        self.recordings = recordings
        self.front_end = LogMelFrontEnd()
        self.draw = np.random.default_rng(config.seed)
        self.augment = Augmentation(recordings, self.draw)
        self.student = build_student(config, teacher.width)
        length = config.frames * LogMelFrontEnd.hop
        waveforms = [recordings.stretch(length, self.draw) for _ in range(START_EXAMPLES)]
        self.early_units = transplant(self.student, teacher, waveforms)
        if start is not None:
            self._start_from(start)
        self._average = moving_average(self.student, config.average_decay)
        self._average.eval()
        self._spread = self._measure_spread(waveforms[:SPREAD_EXAMPLES])
        self._phoneme_targets = PhonemeTargets(recognizer, waveforms[:SPREAD_EXAMPLES])
        self.head = nn.Linear(teacher.width, len(self._phoneme_targets))
        self.optimizer = self._make_optimizer()
        # The recognizer is slow and runs outside torch: it works on the next step's audio beside the current step.
        self._recognizer_thread = ThreadPoolExecutor(1)
        self._next_audio: tuple[list[Tensor], Future[Tensor] | None] | None = None
        self._drawn_batches = 0
        self.stem_minutes = config.stem_minutes if start is None else 0.0
        self.step = 0
        self.stage = 0
        self.stage_steps = 0
        self.trained_s = 0.0

    @property
    def averaged(self) -> Wav2Vec2BertModel:
        """The student with the moving average of its weights: the result of the training."""
        return cast(Wav2Vec2BertModel, self._average.module)

    def _start_from(self, folder: Path) -> None:
        """Load an exported encoder, and find out from its weights which of Whisper's units stand where."""
        arrays, _ = load_arrays(folder / WEIGHT_FILE)
        weights = {name: torch.from_numpy(array).float() for name, array in arrays.items()}
        phoneme_layer = f"encoder.layers.{self.config.copied_layers}."
        try:
            missing, unknown = self.student.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise CheckpointError(f"{folder} holds an encoder of another shape than the one to train.") from error
        # The layer for phonemes is not exported.
        if unknown or not all(name.startswith(phoneme_layer) for name in missing):
            raise CheckpointError(f"{folder} holds an encoder of other layers than the one to train.")
        # Training turned the units' weights a little; each is still most similar to the one that it started as.
        for number, layer in enumerate(conformer_layers(self.student)[: self.config.copied_layers]):
            theirs = functional.normalize(self.teacher.weights[f"layer_{number}/ffn/linear_0/weight"])
            ours = functional.normalize(layer.ffn2.intermediate_dense.weight.detach())
            self.early_units[number] = (ours @ theirs.T).argmax(1)

    @torch.no_grad()
    def _measure_spread(self, waveforms: Sequence[Tensor]) -> list[Tensor]:
        """Divisors of the errors of stem and layers, (D,) each: the targets' standard deviations.

        Something is added to each of them, so that features which hardly vary count less than the others.
        """
        spectra = torch.cat([self.front_end.spectra_of(audio[None]) for audio in waveforms])
        targets = [self.teacher.stem(spectra), *self.teacher.streams(spectra, self.early_units)]
        spread = [one.flatten(0, 1).std(0) for one in targets]
        return [one + 0.3 * one.mean() for one in spread]

    def _make_optimizer(self) -> torch.optim.AdamW:
        """Four groups of parameters, as `_set_rates` sets their rates: input map, stem, everything else, phonemes."""
        first = conformer_layers(self.student)[0]
        projection = list(self.student.feature_projection.parameters())
        stem = [*first.ffn1.parameters(), *first.ffn1_layer_norm.parameters()]
        phonemes = [*conformer_layers(self.student)[-1].parameters(), *self.head.parameters()]
        taken = {id(parameter) for parameter in projection + stem + phonemes}
        others = [parameter for parameter in self.student.parameters() if id(parameter) not in taken]
        groups = [{"params": parameters, "lr": 0.0} for parameters in (projection, stem, others, phonemes)]
        return torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01)

    def run(self, minutes: float, state: Path) -> Iterator[tuple[int, float, float]]:
        """Train until `minutes` are used up, those before an interruption included, saving the state on the way.

        Args:
            minutes: length of the training.
            state: file to save the state in.

        Yields:
            After each step its number, the seconds so far, and the loss.
        """
        last = saved = time.monotonic()
        while self.trained_s < minutes * 60:
            loss = self.train_step(minutes)
            now = time.monotonic()
            self.trained_s, last = self.trained_s + now - last, now
            if now - saved >= self.config.save_every_s:
                self.save(state)
                saved = now
            yield self.step, self.trained_s, loss
        self.save(state)

    def train_step(self, minutes: float) -> float:
        """One step of a training of so many minutes; returns the loss."""
        self._set_rates(minutes)
        loss = self._layer_loss() if self.stage else self._stem_loss(self._draw_audio(self.config.stem_batch))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.stage_steps += 1
        self._average.update_parameters(self.student)
        return float(loss.detach())

    def _set_rates(self, minutes: float) -> None:
        """Choose the stage by the time trained so far, and the learning rates by the share of the stage."""
        stem_s = min(self.stem_minutes, minutes / 2) * 60
        stage = int(self.trained_s >= stem_s)
        if stage != self.stage:
            self.stage, self.stage_steps = stage, 0
        done = (self.trained_s - stem_s) / (minutes * 60 - stem_s) if stage else self.trained_s / stem_s
        warm = min(1.0, (self.stage_steps + 1) / self.config.warmup_steps)
        factor = warm * (0.51 + 0.49 * float(np.cos(np.pi * min(done, 1.0))))  # a cosine from 1 to 0.02
        config = self.config
        rates = (config.projection_rates, config.stem_rates, config.layer_rates, (0.0, config.phoneme_rate))
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate[stage] * factor

    def _draw_audio(self, size: int) -> list[Tensor]:
        length = self.config.frames * LogMelFrontEnd.hop
        return [speed_perturbed(self.recordings, length, self.draw) for _ in range(size)]

    def _spectra(self, waveforms: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Spectra of the audio, augmented and clean: (B, mels, 2 S) each."""
        augmented = torch.stack([self.augment(audio) for audio in waveforms])
        return filter_augmented(self.front_end.spectra_of(augmented)), self.front_end.spectra_of(torch.stack(waveforms))

    def _stem_loss(self, waveforms: list[Tensor]) -> Tensor:
        """Stage 1: the mean squared error of the stem, in standard deviations."""
        augmented, clean = self._spectra(waveforms)
        with torch.no_grad():
            target = self.teacher.stem(clean)
        with mixed_precision(CPU):
            output = stem_of(self.student, self.front_end.stacked(augmented))
        return ((output.float() - target) / self._spread[0]).square().clamp(max=LARGEST_STEM_ERROR).mean()

    def _layer_loss(self) -> Tensor:
        """Stage 2: the error of every layer's output, and at some steps that of the phonemes."""
        waveforms, phoneme_target = self._next_audio or self._draw_next_audio()
        self._next_audio = self._draw_next_audio()
        augmented, clean = self._spectra(waveforms)
        with torch.no_grad(), mixed_precision(CPU):
            targets = self.teacher.streams(clean, self.early_units)
        with mixed_precision(CPU):
            *outputs, last = hidden_states(self.student, self.front_end.stacked(augmented))[1:]
            phonemes = self.head(last)
        losses = [
            functional.smooth_l1_loss(output.float() / spread, target.float() / spread, beta=0.5)
            for output, target, spread in zip(outputs, targets, self._spread[1:], strict=True)
        ]
        loss = torch.stack(losses) @ torch.tensor(self.config.stream_weights)
        if phoneme_target is not None:
            phoneme_loss = functional.smooth_l1_loss(phonemes.float(), phoneme_target.result())
            loss = loss + self.config.phoneme_weight * phoneme_loss
        return loss

    def _draw_next_audio(self) -> tuple[list[Tensor], Future[Tensor] | None]:
        """Audio of a step, and its phoneme targets, being computed in a thread, if the step is to have any."""
        waveforms = self._draw_audio(self.config.batch)
        self._drawn_batches += 1
        with_phonemes = self._drawn_batches % self.config.phoneme_every == 0
        return waveforms, (
            self._recognizer_thread.submit(self._phoneme_targets.of, waveforms) if with_phonemes else None
        )

    @torch.no_grad()
    def explained(self, recordings: Recordings, most: int = 24) -> dict[str, float]:
        """Share of the targets' variance that the averaged student explains on clean audio.

        Args:
            recordings: speech to measure on.
            most: examples at most.

        Returns:
            1 for a perfect student, 0 for one that gives the mean: by stem, each layer, and phonemes.
        """
        student = self.averaged
        length = self.config.frames * LogMelFrontEnd.hop
        draw = np.random.default_rng(0)
        waveforms = torch.stack([recordings.stretch(length, draw) for _ in range(min(most, len(recordings)))])
        spectra = self.front_end.spectra_of(waveforms)
        frames = self.front_end.stacked(spectra)
        targets = [self.teacher.stem(spectra), *self.teacher.streams(spectra, self.early_units)]
        targets.append(self._phoneme_targets.of(list(waveforms)))
        *streams, last = hidden_states(student, frames)[1:]
        outputs = [stem_of(student, frames), *streams, self.head(last)]
        names = [STEM, *(f"layer {n + 1}" for n in range(self.config.copied_layers)), PHONEMES]
        return {
            name: 1 - float((output - target).flatten(0, 1).var(0).sum() / target.flatten(0, 1).var(0).sum())
            for name, output, target in zip(names, outputs, targets, strict=True)
        }

    def _named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Everything that is trained, under the names that its optimizer's state is saved with."""
        head = [(f"head.{name}", parameter) for name, parameter in self.head.named_parameters()]
        return [*self.student.named_parameters(), *head]

    def save(self, path: Path) -> None:
        """Write everything that `load` needs.

        Raises:
            OutputError: the file cannot be written.
        """
        arrays = {f"average.{name}": value.numpy() for name, value in self.averaged.state_dict().items()}
        arrays |= {f"student.{name}": value.numpy() for name, value in self.student.state_dict().items()}
        arrays |= {f"units.{number}": units.numpy() for number, units in enumerate(self.early_units)}
        arrays |= {f"head.{name}": value.numpy() for name, value in self.head.state_dict().items()}
        arrays |= optimizer_arrays(self.optimizer, self._named_parameters(), "optimizer.")
        counts = {name: repr(getattr(self, name)) for name in ("step", "stage", "stage_steps", "trained_s")}
        save_arrays(path, arrays, counts)

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
            self.averaged.load_state_dict({name: tensors[f"average.{name}"] for name in names})
            self.student.load_state_dict({name: tensors[f"student.{name}"] for name in names})
            self.early_units = [tensors[f"units.{number}"] for number in range(self.config.copied_layers)]
            self.head.load_state_dict({name: tensors[f"head.{name}"] for name in self.head.state_dict()})
            restore_optimizer(self.optimizer, self._named_parameters(), tensors, "optimizer.")
            self.step, self.stage = int(metadata["step"]), int(metadata["stage"])
            self.stage_steps = int(metadata["stage_steps"])
            self.trained_s = float(metadata["trained_s"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path} does not fit this training; start it again without --resume.") from error
        resume_average(self._average, self.step)
        # A seed of its own: what was drawn before the interruption is not drawn again.
        self.draw = np.random.default_rng((self.config.seed, self.step))
        self.augment = Augmentation(self.recordings, self.draw)

    def export(self, folder: Path) -> None:
        """Write the averaged student, without the layer for phonemes, as a Hugging Face folder in half precision.

        Raises:
            OutputError: a file cannot be written.
        """
        student = copy.deepcopy(self.averaged)
        copied = self.config.copied_layers
        student.encoder.layers = student.encoder.layers[:copied]
        student.config.num_hidden_layers = copied
        student.config.attention_reach_frames = list(self.config.reaches)
        student.config.architectures = ["Wav2Vec2BertModel"]
        student.config.dtype = torch.float16
        folder.mkdir(parents=True, exist_ok=True)
        half = {name: value.half().numpy() for name, value in student.state_dict().items()}
        save_arrays(folder / WEIGHT_FILE, half, {"format": "pt"})
        front_end = {"feature_extractor_type": LOG_MEL, "sampling_rate": RATE_HZ}
        write_text(folder / "config.json", student.config.to_json_string())
        write_text(folder / FRONT_END_FILE, json.dumps(front_end, indent=2) + "\n")
