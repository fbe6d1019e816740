"""The expression predictor over features that arrive step by step, with all of its networks evaluated together.

The values are those of the networks one by one on all frames. Of each network's layers, what depends on final features
alone is kept from step to step, and what lies beyond the newest frame is known beforehand: only what is between is
computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.speech.adaptation import AdaptedPredictor
from talkinghead.speech.predictor import ExpressionPredictor, TemporalNetwork


class MemberStream:
    """Predicts normalized expression and closure from features that are final or provisional.

    What comes after the newest frame is not known. It is taken for the features' mean, which agrees with the whole
    recording's answer a little better than silence or repeats.
    """

    def __init__(self, predictor: ExpressionPredictor) -> None:
        """Args: the predictor, adapted or not."""
        adapted = list(predictor.adapted) if isinstance(predictor, AdaptedPredictor) else []
        networks = cast(Sequence[TemporalNetwork], [*adapted, *predictor.networks, predictor.closing])
        config = predictor.config
        self.outputs = predictor.outputs + 1
        """Columns of what `push` gives."""
        self._kernel, self._dilations = config.kernel, config.dilations
        sides = [dilation * (config.kernel // 2) for dilation in config.dilations]
        self._past = [sum(sides[:level]) for level in range(len(sides) + 1)]
        """Frames on either side that each level depends on, the networks' input being level 0."""
        self._groups = [(slice(0, len(adapted)), 1.0)] if adapted else []
        self._groups.append((slice(len(adapted), -1), float(predictor.output_scale)))
        """Members of which the mean is taken, and its factor."""
        self._enter_weight, self._enter_bias = _entered(predictor, networks)
        self._layers = [_layer(networks, number) for number in range(len(sides))]
        self._leave = torch.stack([_wide(network.leave.weight.T, config.expressions) for network in networks]).detach()
        self._leave_bias = _stacked([_wide(network.leave.bias, config.expressions) for network in networks])
        self._beyond = self._far_beyond()
        empty = self._beyond[0][:, :, :0]
        self._kept = [empty] * len(sides)
        """(2, M, n, width) for every level: `_Level` of the frames that later steps need and that are final."""

    @torch.inference_mode()
    def push(self, values: Tensor, first: int, final: int, *, is_end: bool = False) -> Tensor:
        """Predict what becomes final: (final - first, outputs), the closure last.

        Args:
            values: (S, layers, D) features of the frames from `first` on, which follow those that were final before.
            first: number of the first of them.
            final: number of frames that are final now.
            is_end: whether there are no more frames.
        """
        if final == first:
            return values.new_zeros(0, self.outputs)
        count = first + len(values)
        entered = torch.addmm(self._enter_bias, values.flatten(1), self._enter_weight)
        hidden = entered.view(len(values), len(self._leave), -1).transpose(0, 1).contiguous()  # (M, S, width)
        begin = first
        for number, dilation in enumerate(self._dilations):
            remaining = self._past[-1] - self._past[number]
            known_from = max(0, first - remaining)
            level = self._level(number, hidden, self._kept[number], final + remaining - known_from, is_end=is_end)
            # Frames that depend on final features alone, and that the next step needs.
            kept = slice(max(0, final - remaining) - known_from, max(0, final - self._past[number]) - known_from)
            self._kept[number] = level[:, :, kept] if kept.stop > kept.start else self._beyond[0][:, :, :0]
            above, remaining_above = self._past[number + 1], self._past[-1] - self._past[number + 1]
            begin = max(0, first - min(above, remaining_above))
            end = min(final + remaining_above, count if is_end else count + above)
            hidden = self._convolved(number, dilation, level, slice(begin - known_from, end - known_from))
        hidden = hidden[:, first - begin : final - begin]
        outputs = torch.baddbmm(self._leave_bias, functional.gelu(hidden), self._leave)
        means = [outputs[members].mean(0) * factor for members, factor in self._groups]
        return torch.cat([*means, outputs[-1, :, :1].sigmoid()], 1)

    def _level(self, number: int, hidden: Tensor, kept: Tensor, length: int, *, is_end: bool) -> Tensor:
        """All frames of a level that a step needs: the sums (0) and what is convolved (1), (2, M, length, width).

        Args:
            number: of the level.
            hidden: (M, n, width) sums of the frames that are new or provisional, behind the kept ones.
            kept: those of the step before.
            length: number of frames that are needed.
            is_end: whether nothing follows these.
        """
        level = torch.cat([kept, torch.stack([hidden, self._active(number, hidden)])], 2)
        missing = length - level.shape[2]
        if missing <= 0:
            return level[:, :, :length]
        if is_end:
            return functional.pad(level, (0, 0, 0, missing))
        return torch.cat([level, self._beyond[number].expand(-1, -1, missing, -1)], 2)

    def _active(self, number: int, hidden: Tensor) -> Tensor:
        """Norm and activation before a convolution: (M, n, width) -> the same."""
        scale, shift, _, _ = self._layers[number]
        return functional.gelu(torch.addcmul(shift, functional.layer_norm(hidden, hidden.shape[2:]), scale))

    def _convolved(self, number: int, dilation: int, level: Tensor, wanted: slice) -> Tensor:
        """Sums of the next level, of some frames of this one: (M, n, width)."""
        _, _, weight, bias = self._layers[number]
        side, count = dilation * (self._kernel // 2), wanted.stop - wanted.start
        active = level[1]
        before, after = max(0, side - wanted.start), max(0, wanted.stop + side - active.shape[1])
        if before or after:  # frames before the beginning and after the end of the stream
            active = functional.pad(active, (0, 0, before, after))
        begin, width = wanted.start - side + before, active.shape[2]
        spans = active[:, begin:].as_strided(
            (len(active), count, self._kernel, width),
            (active.stride(0), active.stride(1), dilation * active.stride(1), 1),
        )
        return level[0, :, wanted] + torch.baddbmm(bias, spans.flatten(2), weight)

    def _far_beyond(self) -> list[Tensor]:
        """(2, M, 1, width) for every level: what `_level` gives far beyond the newest frame."""
        members = len(self._leave)
        hidden = self._enter_bias.view(members, 1, -1)
        levels = []
        for number, (_, _, weight, bias) in enumerate(self._layers):
            active = self._active(number, hidden)
            levels.append(torch.stack([hidden, active]))
            hidden = hidden + torch.baddbmm(bias, active.repeat(1, 1, self._kernel), weight)
        return levels


def _entered(predictor: ExpressionPredictor, networks: Sequence[TemporalNetwork]) -> tuple[Tensor, Tensor]:
    """The map from features to the networks' first sums: (layers * D, M * width), and (M * width,) for features of 0.

    Columns of the phones, which nobody knows live, are left out.
    """
    config = predictor.config
    enter = torch.cat([network.enter.weight[:, : config.inputs] for network in networks]).detach().double()
    by_layer = enter.view(len(enter), len(config.layers), config.components)
    weight = torch.einsum("ldc,wlc->ldw", predictor.projection.double(), by_layer).flatten(0, 1)
    bias = torch.cat([network.enter.bias for network in networks]).detach()
    mean = predictor.feature_mean.double().flatten() @ weight
    return weight.float(), (bias.double() - mean).float()


def _layer(networks: Sequence[TemporalNetwork], number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One layer of M networks: scale and shift of its norm, (M, 1, width), its convolution as a map from the frames
    that it spans, (M, kernel * width, width), and the bias of that, (M, 1, width)."""
    norms = [cast(nn.LayerNorm, network.norms[number]) for network in networks]
    convolutions = [cast(nn.Conv1d, network.convolutions[number]) for network in networks]
    return (
        _stacked([norm.weight for norm in norms]),
        _stacked([norm.bias for norm in norms]),
        torch.stack([convolution.weight.permute(2, 1, 0).flatten(0, 1) for convolution in convolutions]).detach(),
        _stacked([cast(Tensor, convolution.bias) for convolution in convolutions]),
    )


def _stacked(vectors: list[Tensor]) -> Tensor:
    """(M, 1, N) of M vectors (N,)."""
    return torch.stack(vectors).detach()[:, None]


def _wide(weights: Tensor, columns: int) -> Tensor:
    """Weights (..., N) with columns of 0 up to a number of them."""
    return functional.pad(weights, (0, columns - weights.shape[-1]))
