"""What the crops of a person usually look like, by which a covered face is found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError
from talkinghead.files import load_arrays, save_arrays
from talkinghead.structures import BoolArray, ByteArray, FloatArray

APPEARANCE_FORMAT = "talkinghead/appearance/1"


def save_appearance(path: Path, appearance: Appearance) -> None:
    """Write what a person's crops usually look like."""
    arrays: dict[str, NDArray[Any]] = {
        "inside": appearance.inside.astype(np.uint8),
        "mean": appearance.mean,
        "basis": appearance.basis,
        "usual": np.array([appearance.usual]),
    }
    save_arrays(path, arrays, {"format": APPEARANCE_FORMAT})


def load_appearance(path: Path) -> Appearance:
    """Read what `save_appearance` wrote.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged.
    """
    arrays, metadata = load_arrays(path)
    try:
        inside = arrays["inside"].astype(np.bool_).reshape(CELLS)
        mean = arrays["mean"].reshape(3 * int(inside.sum())).astype(np.float32)
        basis = arrays["basis"].reshape(-1, len(mean)).astype(np.float32)
        usual = float(arrays["usual"][0])
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise CheckpointError(f"{path} is not an appearance: {error}.") from error
    if metadata.get("format") != APPEARANCE_FORMAT:
        raise CheckpointError(f"{path} is not an appearance of this version ({APPEARANCE_FORMAT}).")
    is_color = inside.any() and ((mean >= 0) & (mean <= 255)).all()
    if not (is_color and (np.abs(basis) <= 1.001).all() and 0 <= usual < np.inf):
        raise CheckpointError(f"{path} is damaged: it holds numbers that no face gives.")
    return Appearance(inside, mean, basis, usual)


CELLS = (16, 24)
"""Rows and columns of the mean colours that a crop is judged by."""
COMPONENTS = 20
"""Principal components in which a person's crops are expected to vary: mouth, pose and shadow."""
FEWEST_CROPS_A_COMPONENT = 4
INSIDE = 0.9
"""Cells count that are removed or faded at least so much in the mean: the face, and not what is behind it."""
LEAST_RESIDUAL = 10.0
"""A crop that differs less than this from what is expected, of 255, shows the person,"""
RESIDUAL_FACTOR = 2.0
"""as does one that differs less than so many times as much as nearly all of the anchor's own frames."""
NEARLY_ALL = 0.99


@dataclass(frozen=True)
class Appearance:
    """What the crops of a person usually look like: principal components of the mean colours of P / 3 cells."""

    inside: BoolArray
    """`CELLS`, those that count."""
    mean: FloatArray
    """(P,), of 255."""
    basis: FloatArray
    """(D, P), rows of length 1 at right angles to each other."""
    usual: float
    """Strangeness that nearly all of the person's own frames stay below."""

    @classmethod
    def of(cls, crops: ByteArray, feathers: ByteArray) -> Appearance:
        """Measure it on a person's crops, (S, h, w, 3) uint8, and their feathers, (S, h, w) uint8, 255 is 1."""
        inside = _cells(np.round(feathers.mean(0)).astype(np.uint8)) >= INSIDE * 255
        cells = np.stack([_cells(crop)[inside].ravel() for crop in crops])
        # Half of the frames tell what is expected of the other half.
        half = cls._fitted(inside, cells[::2], 0.0)
        usual = float(np.quantile([half._cell_residual(one) for one in cells[1::2]], NEARLY_ALL))
        return cls._fitted(inside, cells, usual)

    @classmethod
    def _fitted(cls, inside: BoolArray, cells: FloatArray, usual: float) -> Appearance:
        mean = cells.mean(0)
        alike = cls(inside, mean, np.zeros((0, len(mean)), np.float32), usual)
        off = np.stack([alike._off_mean(one) for one in cells])
        components = min(COMPONENTS, len(cells) // FEWEST_CROPS_A_COMPONENT)
        basis = np.linalg.svd(off, full_matrices=False)[2][:components]
        return cls(inside, mean, basis.astype(np.float32), usual)

    def residual(self, crop: ByteArray) -> float:
        """Root mean square of what is not expected in a crop (h, w, 3), whatever the light, of 255."""
        return self._cell_residual(_cells(crop)[self.inside].ravel())

    def is_covered(self, crop: ByteArray) -> bool:
        """Whether something is before this person's face."""
        return self.residual(crop) > max(LEAST_RESIDUAL, RESIDUAL_FACTOR * self.usual)

    def _cell_residual(self, cells: FloatArray) -> float:
        off = self._off_mean(cells)
        return float(np.sqrt(np.mean((off - (off @ self.basis.T) @ self.basis) ** 2)))

    def _off_mean(self, cells: FloatArray) -> FloatArray:
        """(P,) -> (P,), its light made that of the mean, channel by channel."""
        usual, seen = (np.median(values.reshape(-1, 3), axis=0) for values in (self.mean, cells))
        light = (usual / np.maximum(seen, 1.0)).clip(0.7, 1.4)
        return np.asarray((cells.reshape(-1, 3) * light).ravel() - self.mean, np.float32)


def _cells(crop: ByteArray) -> FloatArray:
    return np.asarray(cv2.resize(crop, CELLS[::-1], interpolation=cv2.INTER_AREA), np.float32)
