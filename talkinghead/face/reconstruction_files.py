"""Files of reconstructions: one clip's coefficients as safetensors."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from talkinghead.errors import CheckpointError
from talkinghead.face.face_model import FaceModel
from talkinghead.files import load_arrays, save_arrays
from talkinghead.structures import Reconstruction

FORMATS = ("talkinghead/reconstruction/1", "talkinghead/reconstruction/2")
"""Formats that can be read; the last is written. Format 1 has no `misfit_cm`."""
LARGEST_NUMBER = 1e6
"""Largest value of a usable file, whether in standard deviations, radians, pixels or cm."""


def save_reconstruction(path: Path, reconstruction: Reconstruction) -> None:
    """Write a reconstruction as safetensors.

    Raises:
        OutputError: the file cannot be written.
    """
    save_arrays(path, asdict(reconstruction), {"format": FORMATS[-1]})


def load_reconstruction(path: Path, model: FaceModel) -> tuple[Reconstruction, bool]:
    """Read what `save_reconstruction` wrote, in either format.

    Args:
        path: the file.
        model: the face model that the coefficients belong to.

    Returns:
        The reconstruction, and whether the file has `misfit_cm`; where it has not, all of them are NaN.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged, or not fitting the face model.
    """
    arrays, metadata = load_arrays(path)
    if metadata.get("format") not in FORMATS or arrays.get("times_s", np.zeros(())).ndim != 1:
        raise CheckpointError(f"{path} is not a reconstruction of this version ({FORMATS[-1]}).")
    frames = len(arrays["times_s"])
    has_misfit = metadata["format"] != FORMATS[0]
    if not has_misfit:
        arrays["misfit_cm"] = np.full(frames, np.nan)
    shapes = _shapes(frames, model)
    for name, (shape, kind) in shapes.items():
        if name not in arrays or arrays[name].shape != shape or arrays[name].dtype != kind:
            raise CheckpointError(
                f"{path} is damaged: {name} is not {shape} numbers of type {np.dtype(kind)}; train the ANCHOR again."
            )
        if (has_misfit or name != "misfit_cm") and not (np.abs(arrays[name]) <= LARGEST_NUMBER).all():
            raise CheckpointError(f"{path} is damaged: {name} has values out of range; train the ANCHOR again.")
    rising = (np.diff(arrays["times_s"]) > 0).all()
    if not rising or not arrays["valid"].any() or (arrays["scale"] <= 0).any():
        raise CheckpointError(f"{path} is damaged: it has no usable pose; train the ANCHOR again.")
    return Reconstruction(**{name: arrays[name] for name in shapes}), has_misfit


def _shapes(frames: int, model: FaceModel) -> dict[str, tuple[tuple[int, ...], type[np.generic[Any]]]]:
    """Shape and type of each array of a clip of `frames` frames."""
    return {
        "identity": ((model.identities,), np.float32),
        "expression": ((frames, model.expressions), np.float32),
        "rotation": ((frames, 3), np.float32),
        "translation": ((frames, 2), np.float32),
        "scale": ((frames,), np.float32),
        "valid": ((frames,), np.bool_),
        "times_s": ((frames,), np.float64),
        "misfit_cm": ((frames,), np.float64),
    }
