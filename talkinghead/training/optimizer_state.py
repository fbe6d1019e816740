"""The state of AdamW as named arrays, so that a training can be saved without pickle and resumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

NamedParameters = Iterable[tuple[str, nn.Parameter]]

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""Names of AdamW's state of one parameter."""


def optimizer_arrays(
    optimizer: torch.optim.Optimizer, parameters: NamedParameters, prefix: str
) -> dict[str, NDArray[np.float32]]:
    """The optimizer's state under the names `{prefix}{moment}.{parameter}`; parameters without a step have none."""
    return {
        f"{prefix}{moment}.{name}": value.detach().float().cpu().numpy()
        for name, parameter in parameters
        for moment, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, parameters: NamedParameters, tensors: Mapping[str, Tensor], prefix: str
) -> None:
    """Put back what `optimizer_arrays` gave, as tensors on the parameters' device.

    Raises:
        KeyError, RuntimeError: a moment is missing, or of another shape than its parameter.
    """
    for name, parameter in parameters:
        if f"{prefix}step.{name}" not in tensors:  # it has not taken a step yet
            continue
        step, *averages = (tensors[f"{prefix}{moment}.{name}"] for moment in MOMENTS)
        # The fused optimizer walks through memory: its averages must lie there as the parameter does.
        first, second = (torch.empty_like(parameter).copy_(average) for average in averages)
        optimizer.state[parameter] = {"step": step, "exp_avg": first, "exp_avg_sq": second}
