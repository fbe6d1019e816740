"""Checkpoints of the face update network: weights and sizes as safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError
from talkinghead.face.face_model import FaceModel, PersonFace
from talkinghead.files import load_arrays, save_arrays
from talkinghead.network.face_update_network import FaceUpdateConfig, FaceUpdateNetwork


def save_network(path: Path, network: FaceUpdateNetwork, state: dict[str, torch.Tensor] | None = None) -> None:
    """Write a network's weights and sizes.

    Trained weights are written in half precision, which halves the file; buffers stay in single precision.

    Args:
        path: the file.
        network: of which sizes, names and weights are written.
        state: weights that are written in place of the network's own, such as a moving average.

    Raises:
        OutputError: the file cannot be written.
    """
    weights = network.state_dict() if state is None else state
    trained = {name for name, _ in network.named_parameters()}
    arrays: dict[str, NDArray[Any]] = {
        name: (value.half() if name in trained else value.float()).detach().cpu().numpy()
        for name, value in weights.items()
    }
    save_arrays(path, arrays, {"config": json.dumps(network.config.as_json())})


def load_network(path: Path, face: PersonFace) -> FaceUpdateNetwork:
    """Read a network that `save_network` wrote.

    Args:
        path: the file.
        face: of the person that the network was trained on.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged, of another version, or not fitting the face model.
    """
    arrays, metadata = load_arrays(path)
    try:
        values = json.loads(metadata["config"])
        values["sharpening"]  # a network without it is of an older version, whose texture had no color channels
        sizes = {"size_px": tuple(values["size_px"]), "widths": tuple(values["widths"])}
        # Networks that were trained before there was an interior have none, and do not say so.
        config = FaceUpdateConfig(**{"interior": False, **values, **sizes})
        _check_config(config, face.model)
        network = FaceUpdateNetwork(config, face)
        network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} does not hold a face update network of this version; train the ANCHOR again."
        ) from error
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise CheckpointError(f"{path} holds weights that are not finite; train the ANCHOR again.")
    return network.eval()


def start_from(network: FaceUpdateNetwork, path: Path) -> None:
    """Initialize a network with the weights of another person's, where names and shapes agree.

    Args:
        network: changed in place.
        path: a file that `save_network` wrote.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged.
    """
    arrays, _ = load_arrays(path)
    own = network.state_dict()
    fitting = {name: array for name, array in arrays.items() if name in own and own[name].shape == array.shape}
    network.load_state_dict({**own, **{name: torch.from_numpy(array).float() for name, array in fitting.items()}})


def _check_config(config: FaceUpdateConfig, model: FaceModel) -> None:
    """Check the sizes before memory is allocated for them.

    Raises:
        ValueError: they are out of range, or do not fit the face model.
    """
    height, width = config.size_px
    fits = config.expressions == model.expressions and height % 16 == width % 16 == 0
    fits = fits and all(16 <= side <= 1024 for side in (height, width, config.texture_size))
    fits = fits and 0 <= config.sharpening <= 2 and isinstance(config.interior, bool)
    fits = fits and 1 <= config.texture_channels <= 256 and 1 <= len(config.widths) <= 5
    if not fits or not all(1 <= width <= 1024 for width in config.widths):
        raise ValueError("sizes out of range")
