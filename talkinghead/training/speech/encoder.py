"""Teaches the speech encoder from the first layers of Whisper's.

The student is a `Wav2Vec2BertModel` of three layers that starts out as a transplant. A conformer layer differs from
Whisper's in four ways, and each has an answer:

- it ends with a layer norm: Whisper's stream hardly changes its scale from frame to frame, so dividing what the next
  layer adds by that scale, once, comes to the same;
- it has two feed-forward blocks of half weight: Whisper's one is split, its strongest units going after the
  attention and the others into the next layer's first block;
- it has a convolution: it starts at zero and learns what the rest gets wrong;
- its input is one linear map of the spectra, where Whisper has two convolutions: the map starts as the linear part of
  those, and the first feed-forward block, which no unit of Whisper's has claimed, learns the remainder.

While it is taught, one more layer stands behind these and learns from nothing what a phoneme recogniser hears: through
a linear head, its output has to give the recogniser's log posteriors. Both are thrown away afterwards; what the layers
before them had to keep for them stays.

Stage 1 teaches the stem alone, which costs little; stage 2 the whole through all layers. The teachers hear clean
sound, the student the same with noise, rooms, other voices, filters and levels.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

from talkinghead.device import mixed_precision
from talkinghead.errors import CheckpointError, MediaError, MissingFileError
from talkinghead.files import load_arrays, replacing, save_arrays
from talkinghead.media.video_writer import read_sound
from talkinghead.speech.predictor import (
    FRONT_END_FILE,
    LOG_MEL,
    RATE_HZ,
    WEIGHT_FILE,
    LogMelFrontEnd,
    hidden_states,
    normalise_loudness,
)
from talkinghead.training.speech.whisper import WhisperTeacher

CPU = torch.device("cpu")
SOUND_SUFFIXES = {".opus", ".ogg", ".wav", ".flac", ".mp3", ".m4a"}
STEM, PHONEMES = "stem", "phonemes"
LEAST_SPREAD = 0.25
"""Phonemes whose log posterior hardly varies in the languages at hand are not taught."""
PLAYED_RATES_HZ = (13600, 14400, 15200, 16800, 17600, 18400)
"""A recording at 16 kHz sounds like another speaker when it is taken for one at another rate."""


@dataclass(frozen=True)
class EncoderTrainingConfig:
    reaches: tuple[int, ...] = (32, 32, 256)
    """For each of Whisper's layers, feature frames on either side that are attended to.

    The near sound says what is spoken, the far who speaks and where. One far layer serves as well as three.
    """
    convolution: int = 9
    """Width of the convolutions, all of it to the past."""
    stem_minutes: float = 7.0
    """How much of the time goes into stage 1."""
    frames: int = 500
    """Feature frames of an example: 10 s."""
    stem_batch: int = 4
    batch: int = 3
    projection_rates: tuple[float, float] = (2e-4, 1e-4)
    """Learning rate of the input map, in stages 1 and 2."""
    stem_rates: tuple[float, float] = (1.2e-3, 4e-4)
    """Of the first feed-forward block."""
    layer_rates: tuple[float, float] = (0.0, 1.5e-4)
    """Of everything else."""
    stream_weights: tuple[float, ...] = (0.5, 0.5, 1.0)
    phoneme_reach: int = 32
    """Attention reach of the layer that learns from the phoneme recogniser."""
    phoneme_rate: float = 8e-4
    """Its learning rate in stage 2."""
    phoneme_every: int = 2
    """The recogniser is slow: it is asked at every so many steps."""
    phoneme_weight: float = 1.0
    average_decay: float = 0.995
    save_every_s: float = 200.0
    seed: int = 0

    @property
    def copied_layers(self) -> int:
        """Layers that come from Whisper's."""
        return len(self.reaches)

    @property
    def layers(self) -> int:
        return self.copied_layers + 1


class Recogniser(Protocol):
    """Hears phonemes; see `training.phonemes`."""

    def log_posteriors(self, sound: Tensor) -> Tensor:
        """(N,) at 16 kHz -> (N // 320, tokens)"""
        ...


class Recordings:
    """Speech files, read when first drawn and kept as 16-bit samples at one loudness."""

    def __init__(self, files: Sequence[tuple[Path, float]]) -> None:
        """`files`: paths, and up to which second each is used."""
        self._files = list(files)
        self._samples: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, number: int) -> Tensor:
        """(N,) float32 at 16 kHz; silence where a file cannot be read."""
        if number not in self._samples:
            path, end_s = self._files[number]
            try:
                sound = torch.from_numpy(read_sound(path).samples.copy())[: int(min(end_s, 3600) * RATE_HZ)]
            except MediaError:
                sound = torch.zeros(RATE_HZ)
            level = normalise_loudness(sound) if len(sound) else torch.zeros(RATE_HZ)
            self._samples[number] = (level.clamp(-1, 1) * 32767).short()
        return self._samples[number].float() / 32767

    def stretch(self, length: int, draw: np.random.Generator) -> Tensor:
        """A random stretch of (length,) samples; short recordings are strung together with pauses between."""
        sound = self[int(draw.integers(len(self)))]
        while len(sound) < length:
            pause = torch.zeros(int(draw.integers(800, 8000)))
            sound = torch.cat([sound, pause, self[int(draw.integers(len(self)))]])
        start = int(draw.integers(0, len(sound) - length + 1))
        return sound[start : start + length]


def find_recordings(folders: Iterable[Path], held_out: Sequence[str]) -> tuple[Recordings, Recordings]:
    """All sound files under the folders: those to learn from, and those with a held-out name on their path.

    Raises:
        MissingFileError: a folder is not there, or there is no sound in any.
    """
    learn: list[tuple[Path, float]] = []
    measure: list[tuple[Path, float]] = []
    for folder in folders:
        if not folder.is_dir():
            raise MissingFileError(f"There is no folder {folder}.")
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SOUND_SUFFIXES:
                (measure if any(part in held_out for part in path.parts) else learn).append((path, float("inf")))
    if not learn:
        raise MissingFileError("There is no sound file to learn from in the folders given.")
    return Recordings(learn), Recordings(measure)


class Spoiler:
    """What happens to sound on its way to the student: rooms, voices, noise, codecs, levels; never a shift in time."""

    def __init__(self, recordings: Recordings, draw: np.random.Generator) -> None:
        self._recordings = recordings
        self._draw = draw
        spectrum = torch.fft.rfft(torch.randn(12, 1 << 18))
        slope = torch.linspace(0, 1.2, 12)[:, None]  # from white noise to darker than pink
        self._noises = torch.fft.irfft(spectrum / (torch.arange(spectrum.shape[1]) + 300.0) ** slope)

    def __call__(self, sound: Tensor) -> Tensor:
        """(N,) -> (N,)"""
        draw = self._draw
        if draw.random() < 0.35:
            sound = self._in_room(sound)
        kind = draw.random()
        if kind < 0.25:
            sound = _mixed(sound, self._recordings.stretch(len(sound), draw), draw.uniform(8, 30))
        elif kind < 0.6:
            noise = self._noises[draw.integers(len(self._noises))]
            start = int(draw.integers(0, len(noise) - len(sound) + 1))
            sound = _mixed(sound, noise[start : start + len(sound)], draw.uniform(3, 35))
        if draw.random() < 0.1:
            sound = _over_telephone(sound)
        if draw.random() < 0.8:
            sound = normalise_loudness(sound) * 10 ** (draw.uniform(-4, 4) / 20)
        return sound

    def _in_room(self, sound: Tensor) -> Tensor:
        """A decaying tail of noise behind the direct sound, which stays where it is."""
        length = int(self._draw.uniform(0.1, 0.6) * RATE_HZ)
        tail = torch.randn(length) * 10 ** (-3 * torch.arange(length) / length)
        tail[:16] = 0
        tail *= self._draw.uniform(0.1, 0.8) / tail.norm()
        tail[0] = 1
        size = 1 << (len(sound) + length).bit_length()
        return torch.fft.irfft(torch.fft.rfft(sound, size) * torch.fft.rfft(tail, size), size)[: len(sound)]


def _voiced_otherwise(recordings: Recordings, length: int, draw: np.random.Generator) -> Tensor:
    """A stretch of (length,) samples, half of them played slower or faster: another pitch, other formants and tempo."""
    if draw.random() < 0.5:
        return recordings.stretch(length, draw)
    rate_hz = int(draw.choice(PLAYED_RATES_HZ))
    sound = recordings.stretch(-(-length * rate_hz // RATE_HZ), draw)
    return torchaudio.functional.resample(sound, rate_hz, RATE_HZ)[:length]


def _over_telephone(sound: Tensor) -> Tensor:
    """Nothing above 4 kHz, eight bits to a sample: (N,) -> (N,)."""
    narrow = torchaudio.functional.resample(sound, RATE_HZ, RATE_HZ // 2)
    peak = narrow.abs().max().clamp(min=1e-6)
    coded = torchaudio.functional.mu_law_decoding(torchaudio.functional.mu_law_encoding(narrow / peak, 256), 256)
    return functional.pad(torchaudio.functional.resample(coded * peak, RATE_HZ // 2, RATE_HZ), (0, 1))[: len(sound)]


def _mixed(sound: Tensor, other: Tensor, ratio_db: float) -> Tensor:
    return sound + other * (sound.norm() / (other.norm() + 1e-6) * 10 ** (-ratio_db / 20))


def _filtered(spectra: Tensor) -> Tensor:
    """Smooth random gains over frequency, as microphones and codecs have: (B, mels, S) -> the same."""
    gains = torch.randn(len(spectra), 1, 6) * torch.rand(len(spectra), 1, 1) * 0.12
    curve = functional.interpolate(gains, size=spectra.shape[1], mode="linear", align_corners=True)
    return spectra + curve.transpose(1, 2)


def build_student(config: EncoderTrainingConfig, width: int) -> Wav2Vec2BertModel:
    """A student with random weights."""
    model = Wav2Vec2BertModel(
        Wav2Vec2BertConfig(
            hidden_size=width,
            num_hidden_layers=config.layers,
            num_attention_heads=width // 64,
            intermediate_size=2 * width,
            feature_projection_input_dim=LogMelFrontEnd.width,
            hidden_act="gelu",
            hidden_dropout=0.0,
            activation_dropout=0.0,
            attention_dropout=0.0,
            feat_proj_dropout=0.0,
            conformer_conv_dropout=0.0,
            layerdrop=0.0,
            apply_spec_augment=False,
            mask_time_prob=0.0,
            position_embeddings_type=None,
            conv_depthwise_kernel_size=config.convolution,
        )
    )
    # Not a field of transformers: `talkinghead.speech` reads it.
    model.config.attention_reach_frames = [*config.reaches, config.phoneme_reach]
    return model


@torch.no_grad()
def transplant(student: Wav2Vec2BertModel, teacher: WhisperTeacher, sounds: Sequence[Tensor]) -> list[Tensor]:
    """Start the student as near to the teacher as it can come without learning; see the module's text.

    Args:
        sounds: some speech, (N,) each, from which scales and importances are measured.

    Returns:
        For each layer the numbers of the feed-forward units that stand behind its attention.
    """
    front_end = LogMelFrontEnd()
    spectra = [front_end.spectra_of(sound[None]) for sound in sounds]
    frames = torch.cat([front_end.stacked(one)[0] for one in spectra])
    streams = [teacher.stem(one) for one in spectra]
    _fit_stem(student, frames, torch.cat([stream[0] for stream in streams]))

    early_units = []
    scale = 1.0
    for number, layer in enumerate(_layers(student)[: teacher.layers]):
        _copy_attention(layer, teacher, number, scale)
        streams = [teacher.attend(stream, number) for stream in streams]
        units = [teacher.units(stream, number) for stream in streams]
        name = f"layer_{number}/ffn/"
        leave, bias = teacher.weights[f"{name}linear_1/weight"], teacher.weights[f"{name}linear_1/bias"]
        activity = torch.cat([one[0] for one in units])
        order = (activity.var(0) * leave.square().sum(0)).argsort(descending=True)
        half = len(order) // 2
        early, late = order[:half], order[half:]
        early_units.append(early)
        streams = [s + functional.linear(u, leave, bias) for s, u in zip(streams, units, strict=True)]

        last = number == teacher.layers - 1
        # Behind the last layer nothing follows: what its weaker units give on average is added to the bias.
        total = bias + (leave[:, late] @ activity[:, late].mean(0) if last else 0)
        _copy_units(layer.ffn2_layer_norm, layer.ffn2, teacher, number, early, 2 * scale, total)
        scale = 1.0 / float(torch.cat([stream[0].std(1) for stream in streams]).mean())
        if not last:
            following = _layers(student)[number + 1]
            nothing = torch.zeros_like(bias)
            _copy_units(following.ffn1_layer_norm, following.ffn1, teacher, number, late, 2 * scale, nothing)
        layer.conv_module.pointwise_conv2.weight.zero_()
    return early_units


def _fit_stem(student: Wav2Vec2BertModel, frames: Tensor, wanted: Tensor) -> None:
    """The input map by ridge regression: frames (S, width) -> stem (S, D)."""
    even = functional.layer_norm(frames, frames.shape[-1:])
    even = torch.cat([even, torch.ones(len(even), 1)], 1)
    ridge = 1e-5 * len(even) * torch.eye(even.shape[1])
    solved = torch.linalg.solve(even.T @ even + ridge, even.T @ wanted)
    student.feature_projection.projection.weight.copy_(solved[:-1].T)
    student.feature_projection.projection.bias.copy_(solved[-1])
    _layers(student)[0].ffn1.output_dense.weight.mul_(0.1)


def _copy_attention(layer: Any, teacher: WhisperTeacher, number: int, scale: float) -> None:
    name = f"layer_{number}/self_attention/"
    w = teacher.weights
    attention = layer.self_attn
    joint = zip(w[f"{name}linear_0/weight"].chunk(3), w[f"{name}linear_0/bias"].chunk(3), strict=True)
    for ours, (weight, bias) in zip((attention.linear_q, attention.linear_k, attention.linear_v), joint, strict=True):
        ours.weight.copy_(weight)
        ours.bias.copy_(bias)
    attention.linear_out.weight.copy_(w[f"{name}linear_1/weight"] * scale)
    attention.linear_out.bias.copy_(w[f"{name}linear_1/bias"] * scale)
    layer.self_attn_layer_norm.weight.copy_(w[f"{name}layer_norm/gamma"])
    layer.self_attn_layer_norm.bias.copy_(w[f"{name}layer_norm/beta"])


def _copy_units(
    norm: Any, block: Any, teacher: WhisperTeacher, number: int, units: Tensor, scale: float, bias: Tensor
) -> None:
    name = f"layer_{number}/ffn/"
    w = teacher.weights
    norm.weight.copy_(w[f"{name}layer_norm/gamma"])
    norm.bias.copy_(w[f"{name}layer_norm/beta"])
    block.intermediate_dense.weight.copy_(w[f"{name}linear_0/weight"][units])
    block.intermediate_dense.bias.copy_(w[f"{name}linear_0/bias"][units])
    block.output_dense.weight.copy_(w[f"{name}linear_1/weight"][:, units] * scale)
    block.output_dense.bias.copy_(bias * scale)


class EncoderTrainer:
    """The loop and its state: weights, their moving average, the optimiser, steps and seconds so far."""

    def __init__(
        self,
        config: EncoderTrainingConfig,
        teacher: WhisperTeacher,
        recogniser: Recogniser,
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
        self.recogniser = recogniser
        self.recordings = recordings
        self.front_end = LogMelFrontEnd()
        self.draw = np.random.default_rng(config.seed)
        self.spoil = Spoiler(recordings, self.draw)
        self.student = build_student(config, teacher.width)
        length = config.frames * LogMelFrontEnd.hop
        sounds = [recordings.stretch(length, self.draw) for _ in range(50)]
        self.early_units = transplant(self.student, teacher, sounds)
        if start is not None:
            self._take_over(start)
        self.averaged = {name: value.clone() for name, value in self.student.state_dict().items()}
        spectra = torch.cat([self.front_end.spectra_of(sound[None]) for sound in sounds[:16]])
        with torch.no_grad():
            wanted = [teacher.stem(spectra), *teacher.streams(spectra, self.early_units)]
        # Features that hardly vary are not worth as much as the others.
        spread = [one.flatten(0, 1).std(0) for one in wanted]
        self.spread = [one + 0.3 * one.mean() for one in spread]
        heard = torch.cat([recogniser.log_posteriors(sound) for sound in sounds[:16]])
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
        for number, layer in enumerate(_layers(self.student)[: self.config.copied_layers]):
            theirs = functional.normalize(self.teacher.weights[f"layer_{number}/ffn/linear_0/weight"])
            ours = functional.normalize(layer.ffn2.intermediate_dense.weight.detach())
            self.early_units[number] = (ours @ theirs.T).argmax(1)

    def _make_optimizer(self) -> torch.optim.AdamW:
        first = _layers(self.student)[0]
        projection = list(self.student.feature_projection.parameters())
        stem = [*first.ffn1.parameters(), *first.ffn1_layer_norm.parameters()]
        phonemes = [*_layers(self.student)[-1].parameters(), *self.head.parameters()]
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
        return [_voiced_otherwise(self.recordings, length, self.draw) for _ in range(size)]

    def _spectra(self, sounds: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Spectra (B, mels, 2 S) of the sounds, spoiled and clean."""
        spoiled = torch.stack([self.spoil(sound) for sound in sounds])
        return _filtered(self.front_end.spectra_of(spoiled)), self.front_end.spectra_of(torch.stack(sounds))

    def _through_stem(self, sounds: list[Tensor]) -> Tensor:
        spoiled, clean = self._spectra(sounds)
        with torch.no_grad():
            wanted = self.teacher.stem(clean)
        with mixed_precision(CPU):
            given = stem_of(self.student, self.front_end.stacked(spoiled))
        return ((given.float() - wanted) / self.spread[0]).square().clamp(max=25).mean()

    def _through_layers(self) -> Tensor:
        sounds, phonemes_heard = self._ahead or self._draw_ahead()
        self._ahead = self._draw_ahead()
        spoiled, clean = self._spectra(sounds)
        with torch.no_grad(), mixed_precision(CPU):
            wanted = self.teacher.streams(clean, self.early_units)
        with mixed_precision(CPU):
            *given, last = hidden_states(self.student, self.front_end.stacked(spoiled))[1:]
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
        sounds = self._draw(self.config.batch)
        self._drawn += 1
        asked = self._drawn % self.config.phoneme_every == 0
        return sounds, self._listener.submit(self._heard_phonemes, sounds) if asked else None

    def _heard_phonemes(self, sounds: Sequence[Tensor]) -> Tensor:
        """The recogniser's log posteriors, normalised: (B, S, phonemes)."""
        heard = torch.stack([self.recogniser.log_posteriors(sound) for sound in sounds])
        return ((heard - self.phoneme_mean) / self.phoneme_spread)[..., self.phonemes]

    @torch.no_grad()
    def explained(self, recordings: Recordings, most: int = 24) -> dict[str, float]:
        """Share of the teachers' variance that the averaged student gives on clean sound: stem, layers, phonemes."""
        student = build_student(self.config, self.teacher.width)
        student.load_state_dict(self.averaged)
        length = self.config.frames * LogMelFrontEnd.hop
        draw = np.random.default_rng(0)
        sounds = torch.stack([recordings.stretch(length, draw) for _ in range(min(most, len(recordings)))])
        spectra = self.front_end.spectra_of(sounds)
        frames = self.front_end.stacked(spectra)
        wanted = [self.teacher.stem(spectra), *self.teacher.streams(spectra, self.early_units)]
        wanted.append(self._heard_phonemes(list(sounds)))
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
        self.spoil = Spoiler(self.recordings, self.draw)

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


def _layers(student: Wav2Vec2BertModel) -> list[Any]:
    """The conformer layers; torch's types do not know what is in them."""
    return list(student.encoder.layers)


def stem_of(student: Wav2Vec2BertModel, frames: Tensor) -> Tensor:
    """What the student puts in the place of Whisper's stem: (B, S, width) -> (B, S, D)."""
    hidden, _ = student.feature_projection(frames)
    first = _layers(student)[0]
    given: Tensor = hidden + 0.5 * first.ffn1(first.ffn1_layer_norm(hidden))
    return given
