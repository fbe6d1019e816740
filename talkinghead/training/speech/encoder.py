"""Teaches the speech encoder from the first layers of Whisper's.

The student starts out as a transplant (`training.speech.transplant`).

While it is taught, one more layer stands behind these and learns from nothing what a phoneme recogniser hears: through
a linear head, its output has to give the recogniser's log posteriors. Both are thrown away afterwards; what the layers
before them had to keep for them stays.

Stage 1 teaches the stem alone, which costs little; stage 2 the whole through all layers. The teachers hear clean
sound, the student the same with noise, rooms, other voices, filters and levels.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.device import mixed_precision
from talkinghead.errors import CheckpointError
from talkinghead.files import load_arrays, replacing, save_arrays
from talkinghead.speech.adapters import FRONT_END_FILE, hidden_states
from talkinghead.speech.encoder_files import WEIGHT_FILE
from talkinghead.speech.front_ends import LOG_MEL, RATE_HZ, LogMelFrontEnd
from talkinghead.training.speech.augmentation import Augmentation, Recordings, filter_augmented, speed_perturbed
from talkinghead.training.speech.transplant import (
    EncoderTrainingConfig,
    build_student,
    conformer_layers,
    stem_of,
    transplant,
)
from talkinghead.training.speech.whisper import WhisperTeacher

CPU = torch.device("cpu")
STEM, PHONEMES = "stem", "phonemes"
LEAST_SPREAD = 0.25
"""Phonemes whose log posterior hardly varies in the languages at hand are not taught."""


class Recognizer(Protocol):
    """Hears phonemes; see `training.phonemes`."""

    def log_posteriors(self, audio: Tensor) -> Tensor:
        """(N,) at 16 kHz -> (N // 320, tokens)"""
        ...


class EncoderTrainer:
    """The loop and its state: weights, their moving average, the optimiser, steps and seconds so far."""

    def __init__(
        self,
        config: EncoderTrainingConfig,
        teacher: WhisperTeacher,
        recognizer: Recognizer,
        recordings: Recordings,
        start: Path | None = None,
    ) -> None:
        """`start`: folder of an exported encoder to go on from, in place of the transplant.

        Raises:
            MissingFileError, CheckpointError: there is no encoder in `start`; it has another shape.
        """
        torch.manual_seed(config.seed)
        self.config = config
        self.teacher = teacher
        self.recognizer = recognizer
        self.recordings = recordings
        self.front_end = LogMelFrontEnd()
        self.draw = np.random.default_rng(config.seed)
        self.augment = Augmentation(recordings, self.draw)
        self.student = build_student(config, teacher.width)
        length = config.frames * LogMelFrontEnd.hop
        waveforms = [recordings.stretch(length, self.draw) for _ in range(50)]
        self.early_units = transplant(self.student, teacher, waveforms)
        if start is not None:
            self._take_over(start)
        self.averaged = {name: value.clone() for name, value in self.student.state_dict().items()}
        spectra = torch.cat([self.front_end.spectra_of(audio[None]) for audio in waveforms[:16]])
        with torch.no_grad():
            wanted = [teacher.stem(spectra), *teacher.streams(spectra, self.early_units)]
        # Features that hardly vary are not worth as much as the others.
        spread = [one.flatten(0, 1).std(0) for one in wanted]
        self.spread = [one + 0.3 * one.mean() for one in spread]
        heard = torch.cat([recognizer.log_posteriors(audio) for audio in waveforms[:16]])
        self.phonemes = (heard.std(0) > LEAST_SPREAD).nonzero()[:, 0]
        self.phoneme_mean, self.phoneme_spread = heard.mean(0), heard.std(0).clamp(min=2 * LEAST_SPREAD)
        self.head = nn.Linear(teacher.width, len(self.phonemes))
        self.optimizer = self._make_optimizer()
        self._listener = ThreadPoolExecutor(1)
        self._ahead: tuple[list[Tensor], Future[Tensor] | None] | None = None
        self._drawn = 0
        self.stem_minutes = config.stem_minutes if start is None else 0.0
        self.step = 0
        self.stage = 0
        self.stage_steps = 0
        self.trained_s = 0.0

    def _take_over(self, folder: Path) -> None:
        """Go on from an exported encoder; which of Whisper's units it has where is read off its weights."""
        arrays, _ = load_arrays(folder / WEIGHT_FILE)
        weights = {name: torch.from_numpy(array).float() for name, array in arrays.items()}
        own = f"encoder.layers.{self.config.copied_layers}."
        try:
            missing, unknown = self.student.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise CheckpointError(f"{folder} holds an encoder of another shape than is to be taught.") from error
        # The layer for phonemes was not exported.
        if unknown or not all(name.startswith(own) for name in missing):
            raise CheckpointError(f"{folder} holds an encoder of other layers than is to be taught.")
        for number, layer in enumerate(conformer_layers(self.student)[: self.config.copied_layers]):
            theirs = functional.normalize(self.teacher.weights[f"layer_{number}/ffn/linear_0/weight"])
            ours = functional.normalize(layer.ffn2.intermediate_dense.weight.detach())
            self.early_units[number] = (ours @ theirs.T).argmax(1)

    def _make_optimizer(self) -> torch.optim.AdamW:
        first = conformer_layers(self.student)[0]
        projection = list(self.student.feature_projection.parameters())
        stem = [*first.ffn1.parameters(), *first.ffn1_layer_norm.parameters()]
        phonemes = [*conformer_layers(self.student)[-1].parameters(), *self.head.parameters()]
        taken = {id(parameter) for parameter in projection + stem + phonemes}
        others = [parameter for parameter in self.student.parameters() if id(parameter) not in taken]
        groups = [{"params": parameters, "lr": 0.0} for parameters in (projection, stem, others, phonemes)]
        return torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01)

    def run(self, minutes: float, state: Path) -> Iterator[tuple[int, float, float]]:
        """Train for so many minutes, yielding step, seconds and loss after each step; the state is saved on the way."""
        last = saved = time.monotonic()
        while self.trained_s < minutes * 60:
            loss = self._train_step(minutes)
            now = time.monotonic()
            self.trained_s, last = self.trained_s + now - last, now
            if now - saved >= self.config.save_every_s:
                self.save(state)
                saved = now
            yield self.step, self.trained_s, loss
        self.save(state)

    def _train_step(self, minutes: float) -> float:
        config = self.config
        stem_s = min(self.stem_minutes, minutes / 2) * 60
        stage = int(self.trained_s >= stem_s)
        if stage != self.stage:
            self.stage, self.stage_steps = stage, 0
        done = (self.trained_s - stem_s) / (minutes * 60 - stem_s) if stage else self.trained_s / stem_s
        warm = min(1.0, (self.stage_steps + 1) / 50)
        pace = warm * (0.51 + 0.49 * float(np.cos(np.pi * min(done, 1.0))))
        rates = (config.projection_rates, config.stem_rates, config.layer_rates, (0.0, config.phoneme_rate))
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate[stage] * pace
        loss = self._through_layers() if stage else self._through_stem(self._draw(config.stem_batch))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.stage_steps += 1
        decay = min(config.average_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.student.state_dict().items():
                self.averaged[name].lerp_(value, 1 - decay)
        return float(loss.detach())

    def _draw(self, size: int) -> list[Tensor]:
        length = self.config.frames * LogMelFrontEnd.hop
        return [speed_perturbed(self.recordings, length, self.draw) for _ in range(size)]

    def _spectra(self, waveforms: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Spectra (B, mels, 2 S) of the sounds, spoiled and clean."""
        augmented = torch.stack([self.augment(audio) for audio in waveforms])
        return filter_augmented(self.front_end.spectra_of(augmented)), self.front_end.spectra_of(torch.stack(waveforms))

    def _through_stem(self, waveforms: list[Tensor]) -> Tensor:
        augmented, clean = self._spectra(waveforms)
        with torch.no_grad():
            wanted = self.teacher.stem(clean)
        with mixed_precision(CPU):
            given = stem_of(self.student, self.front_end.stacked(augmented))
        return ((given.float() - wanted) / self.spread[0]).square().clamp(max=25).mean()

    def _through_layers(self) -> Tensor:
        waveforms, phonemes_heard = self._ahead or self._draw_ahead()
        self._ahead = self._draw_ahead()
        augmented, clean = self._spectra(waveforms)
        with torch.no_grad(), mixed_precision(CPU):
            wanted = self.teacher.streams(clean, self.early_units)
        with mixed_precision(CPU):
            *given, last = hidden_states(self.student, self.front_end.stacked(augmented))[1:]
            phonemes = self.head(last)
        losses = [
            functional.smooth_l1_loss(ours.float() / spread, theirs.float() / spread, beta=0.5)
            for ours, theirs, spread in zip(given, wanted, self.spread[1:], strict=True)
        ]
        loss = torch.stack(losses) @ torch.tensor(self.config.stream_weights)
        if phonemes_heard is not None:
            heard = functional.smooth_l1_loss(phonemes.float(), phonemes_heard.result())
            loss = loss + self.config.phoneme_weight * heard
        return loss

    def _draw_ahead(self) -> tuple[list[Tensor], Future[Tensor] | None]:
        """Sounds for a step, which the recogniser hears meanwhile if it is this step's turn."""
        waveforms = self._draw(self.config.batch)
        self._drawn += 1
        asked = self._drawn % self.config.phoneme_every == 0
        return waveforms, self._listener.submit(self._heard_phonemes, waveforms) if asked else None

    def _heard_phonemes(self, waveforms: Sequence[Tensor]) -> Tensor:
        """The recogniser's log posteriors, normalised: (B, S, phonemes)."""
        heard = torch.stack([self.recognizer.log_posteriors(audio) for audio in waveforms])
        return ((heard - self.phoneme_mean) / self.phoneme_spread)[..., self.phonemes]

    @torch.no_grad()
    def explained(self, recordings: Recordings, most: int = 24) -> dict[str, float]:
        """Share of the teachers' variance that the averaged student gives on clean sound: stem, layers, phonemes."""
        student = build_student(self.config, self.teacher.width)
        student.load_state_dict(self.averaged)
        length = self.config.frames * LogMelFrontEnd.hop
        draw = np.random.default_rng(0)
        waveforms = torch.stack([recordings.stretch(length, draw) for _ in range(min(most, len(recordings)))])
        spectra = self.front_end.spectra_of(waveforms)
        frames = self.front_end.stacked(spectra)
        wanted = [self.teacher.stem(spectra), *self.teacher.streams(spectra, self.early_units)]
        wanted.append(self._heard_phonemes(list(waveforms)))
        *streams, last = hidden_states(student, frames)[1:]
        given = [stem_of(student, frames), *streams, self.head(last)]
        names = [STEM, *(f"layer {n + 1}" for n in range(self.config.copied_layers)), PHONEMES]
        return {
            name: 1 - float((ours - theirs).flatten(0, 1).var(0).sum() / theirs.flatten(0, 1).var(0).sum())
            for name, ours, theirs in zip(names, given, wanted, strict=True)
        }

    def _named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        head = [(f"head.{name}", parameter) for name, parameter in self.head.named_parameters()]
        return [*self.student.named_parameters(), *head]

    def save(self, path: Path) -> None:
        """Write everything that `load` needs."""
        arrays = {f"average.{name}": value.numpy() for name, value in self.averaged.items()}
        arrays |= {f"student.{name}": value.numpy() for name, value in self.student.state_dict().items()}
        arrays |= {f"units.{number}": units.numpy() for number, units in enumerate(self.early_units)}
        arrays |= {f"head.{name}": value.numpy() for name, value in self.head.state_dict().items()}
        for name, parameter in self._named_parameters():
            for moment, value in self.optimizer.state.get(parameter, {}).items():
                arrays[f"optimizer.{moment}.{name}"] = value.float().numpy()
        counts = {name: repr(getattr(self, name)) for name in ("step", "stage", "stage_steps", "trained_s")}
        save_arrays(path, arrays, counts)

    def load(self, path: Path) -> None:
        """Take up a saved state.

        Raises:
            MissingFileError, CheckpointError: no such file; damaged, or of another training.
        """
        arrays, metadata = load_arrays(path)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        try:
            self.averaged = {name: tensors[f"average.{name}"] for name in self.averaged}
            self.student.load_state_dict({name: tensors[f"student.{name}"] for name in self.averaged})
            self.early_units = [tensors[f"units.{number}"] for number in range(self.config.copied_layers)]
            self.head.load_state_dict({name: tensors[f"head.{name}"] for name in self.head.state_dict()})
            for name, parameter in self._named_parameters():
                moments = {m: tensors.get(f"optimizer.{m}.{name}") for m in ("step", "exp_avg", "exp_avg_sq")}
                if moments["step"] is not None:
                    self.optimizer.state[parameter] = moments
            self.step, self.stage = int(metadata["step"]), int(metadata["stage"])
            self.stage_steps = int(metadata["stage_steps"])
            self.trained_s = float(metadata["trained_s"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path} does not fit this training; start it again without --resume.") from error
        # What was drawn before the interruption is not drawn again.
        self.draw = np.random.default_rng((self.config.seed, self.step))
        self.augment = Augmentation(self.recordings, self.draw)

    def export(self, folder: Path) -> None:
        """Write the averaged student, without the layer for phonemes, as a Hugging Face folder in half precision."""
        student = build_student(self.config, self.teacher.width)
        student.load_state_dict(self.averaged)
        copied = self.config.copied_layers
        student.encoder.layers = student.encoder.layers[:copied]
        student.config.num_hidden_layers = copied
        student.config.attention_reach_frames = list(self.config.reaches)
        student.config.architectures = ["Wav2Vec2BertModel"]
        student.config.dtype = torch.float16
        folder.mkdir(parents=True, exist_ok=True)
        half = {name: value.half().numpy() for name, value in student.state_dict().items()}
        save_arrays(folder / WEIGHT_FILE, half, {"format": "pt"})
        for name, text in (
            ("config.json", student.config.to_json_string()),
            (
                FRONT_END_FILE,
                json.dumps({"feature_extractor_type": LOG_MEL, "sampling_rate": RATE_HZ}, indent=2) + "\n",
            ),
        ):
            with replacing(folder / name) as temporary:
                temporary.write_text(text)
