"""The student of the speech encoder training, and its start as a transplant of Whisper's first layers.

The student is a `Wav2Vec2BertModel` of three layers that starts out as a transplant. A conformer layer differs from
Whisper's in four ways, and each has an answer:

- it ends with a layer norm: Whisper's stream hardly changes its scale from frame to frame, so dividing what the next
  layer adds by that scale, once, comes to the same;
- it has two feed-forward blocks of half weight: Whisper's one is split, its strongest units going after the
  attention and the others into the next layer's first block;
- it has a convolution: it starts at zero and learns what the rest gets wrong;
- its input is one linear map of the spectra, where Whisper has two convolutions: the map starts as the linear part of
  those, and the first feed-forward block, which no unit of Whisper's has claimed, learns the remainder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

from talkinghead.speech.front_ends import LogMelFrontEnd
from talkinghead.training.speech.whisper import WhisperTeacher


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
def transplant(student: Wav2Vec2BertModel, teacher: WhisperTeacher, waveforms: Sequence[Tensor]) -> list[Tensor]:
    """Start the student as near to the teacher as it can come without learning; see the module's text.

    Args:
        sounds: some speech, (N,) each, from which scales and importances are measured.

    Returns:
        For each layer the numbers of the feed-forward units that stand behind its attention.
    """
    front_end = LogMelFrontEnd()
    spectra = [front_end.spectra_of(audio[None]) for audio in waveforms]
    frames = torch.cat([front_end.stacked(one)[0] for one in spectra])
    streams = [teacher.stem(one) for one in spectra]
    _fit_stem(student, frames, torch.cat([stream[0] for stream in streams]))

    early_units = []
    scale = 1.0
    for number, layer in enumerate(conformer_layers(student)[: teacher.layers]):
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
            following = conformer_layers(student)[number + 1]
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
    conformer_layers(student)[0].ffn1.output_dense.weight.mul_(0.1)


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


def conformer_layers(student: Wav2Vec2BertModel) -> list[Any]:
    """The conformer layers; torch's types do not know what is in them."""
    return list(student.encoder.layers)


def stem_of(student: Wav2Vec2BertModel, frames: Tensor) -> Tensor:
    """What the student puts in the place of Whisper's stem: (B, S, width) -> (B, S, D)."""
    hidden, _ = student.feature_projection(frames)
    first = conformer_layers(student)[0]
    given: Tensor = hidden + 0.5 * first.ffn1(first.ffn1_layer_norm(hidden))
    return given
