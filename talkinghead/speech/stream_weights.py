"""What a speech encoder's weights become in streams, where most of the future that they were trained with is missing.

The changes are few numbers beside the encoder's: maps change by a product of two thin matrices (LoRA, Hu et al. 2021),
biases, norms and short convolutions by themselves. They are trained so that features, and what the expression predictor
makes of them, come near those of the whole recording (`talkinghead.training.speech.stream_trainer`): so the predictor,
calibrations and adaptations of anchors serve files and streams alike.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from talkinghead.errors import CheckpointError
from talkinghead.files import load_arrays, save_arrays

FORMAT = "talkinghead/stream-weights/1"
FILE = "streaming.safetensors"
"""Name of the file in an encoder's folder."""
DOWN, UP, CHANGE, EDGE = ".down", ".up", ".change", "edge"
"""Endings of the arrays' names behind those of the weights, and the name of what is added to the first layer's input.
"""
LARGEST = 100.0
"""No number in a usable file is larger."""


@dataclass(frozen=True)
class StreamWeights:
    """Changes of an encoder's weights for streams that wait for one look-ahead."""

    changes: Mapping[str, Tensor]
    """Float32, by the name of the weight in the model and `CHANGE`, or `DOWN`, (rank, in), and `UP`, (out, rank)."""
    edge: Tensor
    """(frames, D) float32, added to the first layer's input: row n to the frame that has n newer ones."""
    encoder_sha256: str
    """Hash of the encoder."""
    look_ahead_s: float
    """Audio after the predicted moment that is waited for, seconds."""

    def applied(self, model: nn.Module) -> nn.Module:
        """A copy of the encoder's model with these changes.

        Raises:
            CheckpointError: they do not fit the model.
        """
        changed = copy.deepcopy(model)
        parameters = dict(changed.named_parameters())
        try:
            with torch.no_grad():
                for name, change in self.changes.items():
                    if name.endswith(CHANGE):
                        parameters[name.removesuffix(CHANGE)].add_(change)
                    elif name.endswith(UP):
                        own = name.removesuffix(UP)
                        product = change @ self.changes[own + DOWN]
                        parameters[own].add_(product.view(parameters[own].shape))
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                "The speech encoder's weights for streams do not fit it; fetch them again."
            ) from error
        return changed


def save_stream_weights(path: Path, weights: StreamWeights) -> None:
    """Write weights in half precision.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {
        name: change.detach().half().numpy() for name, change in {**weights.changes, EDGE: weights.edge}.items()
    }
    metadata = {
        "format": FORMAT,
        "encoder_sha256": weights.encoder_sha256,
        "look_ahead_s": repr(weights.look_ahead_s),
    }
    save_arrays(path, arrays, metadata)


def load_stream_weights(path: Path) -> StreamWeights:
    """Read what `save_stream_weights` wrote.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged, or of another kind.
    """
    arrays, metadata = load_arrays(path)
    usable = metadata.get("format") == FORMAT and EDGE in arrays and arrays[EDGE].ndim == 2
    # Compared in this way, NaN is refused too.
    usable = usable and all(a.dtype == np.float16 and np.abs(a).max(initial=0) <= LARGEST for a in arrays.values())
    if not usable:
        raise CheckpointError(f"{path} does not hold weights for streams of this version ({FORMAT}); fetch it again.")
    try:
        encoder_sha256, look_ahead_s = metadata["encoder_sha256"], float(metadata["look_ahead_s"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} lacks what it was trained for; fetch it again.") from error
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
    edge = tensors.pop(EDGE)
    return StreamWeights(tensors, edge, encoder_sha256, look_ahead_s)


def find_stream_weights(folder: Path, encoder_sha256: str) -> StreamWeights | None:
    """The weights for streams in an encoder's folder; None where it has none.

    Raises:
        CheckpointError: they are damaged, or another encoder's.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    weights = load_stream_weights(path)
    if weights.encoder_sha256 != encoder_sha256:
        raise CheckpointError(f"{path} belongs to another speech encoder than the one beside it; remove it.")
    return weights
