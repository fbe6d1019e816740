"""Exponential moving averages of a network's weights, which draw and predict better than the last weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(network: nn.Module, largest_decay: float) -> AveragedModel:
    """The moving average of a network's parameters, starting as a copy of the network.

    Call `update_parameters(network)` after each step. The decay of step n is min(largest_decay, (1 + n) / (10 + n)):
    a constant one would remember the initial weights for too long. Buffers are copied, not averaged.

    Args:
        network: what is trained; it is copied.
        largest_decay: in [0, 1].

    Source: Polyak and Juditsky 1992; the rising decay is that of TensorFlow's ExponentialMovingAverage.
    """

    def update(averages: Sequence[Tensor], values: Sequence[Tensor], steps: Tensor | int) -> None:
        step = int(steps)
        decay = min(largest_decay, (1 + step) / (10 + step))
        for average, value in zip(averages, values, strict=True):
            average.lerp_(value, 1 - decay)

    averaged = AveragedModel(network, multi_avg_fn=update)
    resume_average(averaged, 0)
    return averaged


@torch.no_grad()
def resume_average(averaged: AveragedModel, steps: int) -> None:
    """Tell a moving average how many steps its weights have been averaged over.

    The initial weights count as the first of the averaged ones, which `AveragedModel` would replace otherwise.
    """
    averaged.n_averaged.fill_(steps + 1)
