"""Initial weights of the student in the speech encoder's training: a transplant of Whisper's first layers.

A conformer layer, of which the student is made, differs from a layer of Whisper in four ways. Each has an answer:

- it ends with a layer norm: the scale of Whisper's hidden states hardly changes from frame to frame, so dividing what
  the next layer adds by that scale, once, comes to the same;
- it has two feed-forward blocks of half weight: Whisper's one is split, its strongest units going after the
  attention and the others into the next layer's first block;
- it has a convolution: its output starts at zero, and training fits what the rest gets wrong;
- its input is one linear map of the spectra, where Whisper has two convolutions: the map starts as the linear part of
  those, and the first feed-forward block, which no unit of Whisper's has taken, is trained on the remainder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import Wav2Vec2BertModel

from talkinghead.speech.front_ends import LogMelFrontEnd
from talkinghead.training.speech.student import conformer_layers
from talkinghead.training.speech.whisper import WhisperTeacher

STEM_RIDGE = 1e-5
"""Ridge of the input map's regression, per frame."""
STEM_START = 0.1
"""Scale of the first feed-forward block's initial weights: it is to begin near zero, yet able to learn."""


@torch.no_grad()
def transplant(student: Wav2Vec2BertModel, teacher: WhisperTeacher, waveforms: Sequence[Tensor]) -> list[Tensor]:
    """Give the student weights that bring it as near to the teacher as it can come without training.

    Args:
        student: changed in place; its layers behind the teacher's keep their weights.
        teacher: Whisper.
        waveforms: some speech, (N,) each at 16 kHz, on which scales and the strength of units are measured.

    Returns:
        For each layer the numbers of the feed-forward units that stand behind its attention; the other half stands
        in the next layer.
    """
    front_end = LogMelFrontEnd()
    spectra = [front_end.spectra_of(audio[None]) for audio in waveforms]
    frames = torch.cat([front_end.stacked(one)[0] for one in spectra])
    streams = [teacher.stem(one) for one in spectra]
    _fit_stem(student, frames, torch.cat([stream[0] for stream in streams]))

    early_units = []
    # The last layer norm divided the student's hidden states by the scale of Whisper's; all that is added to them from
    # then on is multiplied by `scale`, its inverse. The norms inside the blocks do not see the difference.
    scale = 1.0
    for number, layer in enumerate(conformer_layers(student)[: teacher.layers]):
        _copy_attention(layer, teacher, number, scale)
        streams = [teacher.attend(stream, number) for stream in streams]
        units = [teacher.units(stream, number) for stream in streams]

        # A unit is strong if what it adds to the hidden states varies much: its own variance times the squared length
        # of its output weights. The stronger half acts at once, the other half only after the layer norm.
        name = f"layer_{number}/ffn/"
        output, bias = teacher.weights[f"{name}linear_1/weight"], teacher.weights[f"{name}linear_1/bias"]
        activity = torch.cat([one[0] for one in units])
        order = (activity.var(0) * output.square().sum(0)).argsort(descending=True)
        half = len(order) // 2
        early, late = order[:half], order[half:]
        early_units.append(early)
        streams = [s + functional.linear(u, output, bias) for s, u in zip(streams, units, strict=True)]

        # Conformer blocks have weight one half: their output is doubled.
        last = number == teacher.layers - 1
        # Behind the last layer nothing follows: what its weaker units add on average goes into the bias.
        total = bias + (output[:, late] @ activity[:, late].mean(0) if last else 0)
        _copy_units(layer.ffn2_layer_norm, layer.ffn2, teacher, number, early, 2 * scale, total)
        scale = 1.0 / float(torch.cat([stream[0].std(1) for stream in streams]).mean())
        if not last:
            following = conformer_layers(student)[number + 1]
            zero_bias = torch.zeros_like(bias)  # the whole bias went with the early units
            _copy_units(following.ffn1_layer_norm, following.ffn1, teacher, number, late, 2 * scale, zero_bias)
        # The convolution has no counterpart in Whisper: without output weights it adds nothing yet.
        layer.conv_module.pointwise_conv2.weight.zero_()
    return early_units


def _fit_stem(student: Wav2Vec2BertModel, frames: Tensor, targets: Tensor) -> None:
    """Fit the input map by ridge regression of Whisper's stem, (S, D), on stacked spectra, (S, width)."""
    # The student's layer norm stands before its input map, so the regression has to see normalized frames.
    normalized = functional.layer_norm(frames, frames.shape[-1:])
    inputs = torch.cat([normalized, torch.ones(len(normalized), 1)], 1)
    # The normal equations; stacked spectra overlap, so without a ridge they would be nearly singular.
    ridge = STEM_RIDGE * len(inputs) * torch.eye(inputs.shape[1])
    solved = torch.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ targets)
    student.feature_projection.projection.weight.copy_(solved[:-1].T)
    student.feature_projection.projection.bias.copy_(solved[-1])
    conformer_layers(student)[0].ffn1.output_dense.weight.mul_(STEM_START)


def _copy_attention(layer: Any, teacher: WhisperTeacher, number: int, scale: float) -> None:
    """Copy the attention of Whisper's layer `number`, its output multiplied by `scale`."""
    name = f"layer_{number}/self_attention/"
    w = teacher.weights
    attention = layer.self_attn
    # CTranslate2 stores the maps to queries, keys and values as one matrix.
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
    """Copy some feed-forward units of Whisper's layer `number` into a conformer's feed-forward block.

    Args:
        norm, block: the block and the layer norm before it.
        teacher: Whisper.
        number: of its layer.
        units: (U,) numbers of the units; the block has as many.
        scale: factor on the block's output.
        bias: (D,) of the output, before that factor.
    """
    name = f"layer_{number}/ffn/"
    w = teacher.weights
    # Every unit needs the whole layer norm, wherever it stands.
    norm.weight.copy_(w[f"{name}layer_norm/gamma"])
    norm.bias.copy_(w[f"{name}layer_norm/beta"])
    # A unit is a row of the first matrix and a column of the second.
    block.intermediate_dense.weight.copy_(w[f"{name}linear_0/weight"][units])
    block.intermediate_dense.bias.copy_(w[f"{name}linear_0/bias"][units])
    block.output_dense.weight.copy_(w[f"{name}linear_1/weight"][:, units] * scale)
    block.output_dense.bias.copy_(bias * scale)
