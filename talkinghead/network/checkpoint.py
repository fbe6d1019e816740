"""Weights of a face update network in a safetensors file."""

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
    """Write the network's weights (or `state` in their place) with its sizes.

    The learned ones are written in 16 bits, which halves the file.
    """
    weights = network.state_dict() if state is None else state
    learned = {name for name, _ in network.named_parameters()}
    arrays: dict[str, NDArray[Any]] = {
        name: (value.half() if name in learned else value.float()).detach().cpu().numpy()
        for name, value in weights.items()
    }
    save_arrays(path, arrays, {"config": json.dumps(network.config.as_json())})


def load_network(path: Path, face: PersonFace) -> FaceUpdateNetwork:
    """Read weights that `save_network` wrote, into a network for this person, on the CPU.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged, or not fitting.
    """
    arrays, metadata = load_arrays(path)
    try:
        values = json.loads(metadata["config"])
        values["sharpening"]  # without it, the network is of a version whose texture held no colours
        config = FaceUpdateConfig(**{**values, "size_px": tuple(values["size_px"]), "widths": tuple(values["widths"])})
        _check_config(config, face.model)
        network = FaceUpdateNetwork(config, face)
        network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not hold a face update network of this version.") from error
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise CheckpointError(f"{path} holds numbers that are not finite.")
    return network.eval()


def start_from(network: FaceUpdateNetwork, path: Path) -> None:
    """Give a new network the weights of another person's, as far as their shapes agree.

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
    """Sizes are checked before memory is taken for them."""
    height, width = config.size_px
    fits = config.expressions == model.expressions and height % 16 == width % 16 == 0
    fits = fits and all(16 <= side <= 1024 for side in (height, width, config.texture_size))
    fits = fits and 0 <= config.sharpening <= 2
    fits = fits and 1 <= config.texture_channels <= 256 and 1 <= len(config.widths) <= 5
    if not fits or not all(1 <= width <= 1024 for width in config.widths):
        raise ValueError("sizes out of range")
