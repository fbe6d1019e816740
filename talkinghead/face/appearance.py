"""Appearance model of a person: what the crops usually look like, by which a covered face is detected."""

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

CELLS = (16, 24)
"""Rows and columns of the grid of mean colors to which a crop is reduced."""
COMPONENTS = 20
"""Most principal components of an appearance: a person's crops vary with mouth, pose and shadow."""
FEWEST_CROPS_A_COMPONENT = 4
"""Crops that are needed for each principal component, so that short clips are not overfitted."""
INSIDE = 0.9
"""Least mean feather, of 1, of a cell that counts: such cells show the face, and not what is behind it."""
LEAST_RESIDUAL = 10.0
"""Residual, on the scale of 0 to 255, below which a crop is never taken for covered."""
RESIDUAL_FACTOR = 2.0
"""Factor on the person's own `usual` residual, below which a crop is not taken for covered either."""
NEARLY_ALL = 0.99
"""Quantile that stands for nearly all of a clip's frames."""
APPEARANCE_FORMAT = "talkinghead/appearance/1"
"""Format of the file, stored in its metadata."""


@dataclass(frozen=True)
class Appearance:
    """Principal components of the mean colors of a person's crops, P = 3 x (number of cells that count)."""

    inside: BoolArray
    """`CELLS` bool, the cells that count."""
    mean: FloatArray
    """(P,) float32, mean colors in [0, 255]."""
    basis: FloatArray
    """(D, P) float32, orthonormal rows."""
    usual: float
    """Residual that nearly all of the person's own frames stay below, on the scale of 0 to 255."""

    @classmethod
    def of(cls, crops: ByteArray, feathers: ByteArray) -> Appearance:
        """Fit the appearance to a person's crops.

        Args:
            crops: (S, h, w, 3) uint8.
            feathers: (S, h, w) uint8, 255 where the region is removed, see `region_removal.region_masks`.
        """
        inside = _cells(np.round(feathers.mean(0)).astype(np.uint8)) >= INSIDE * 255
        cells = np.stack([_cells(crop)[inside].ravel() for crop in crops])  # (S, P)
        # The usual residual has to be that of frames that were not fitted: half of the frames predict the other half.
        half = cls._fitted(inside, cells[::2], 0.0)
        usual = float(np.quantile([half._cell_residual(one) for one in cells[1::2]], NEARLY_ALL))
        return cls._fitted(inside, cells, usual)

    @classmethod
    def _fitted(cls, inside: BoolArray, cells: FloatArray, usual: float) -> Appearance:
        """Mean and principal components of (S, P) cells, the light of each brought to that of the mean."""
        mean = cells.mean(0)
        without_basis = cls(inside, mean, np.zeros((0, len(mean)), np.float32), usual)
        deviations = np.stack([without_basis._deviation(one) for one in cells])
        components = min(COMPONENTS, len(cells) // FEWEST_CROPS_A_COMPONENT)
        basis = np.linalg.svd(deviations, full_matrices=False)[2][:components]
        return cls(inside, mean, basis.astype(np.float32), usual)

    def residual(self, crop: ByteArray) -> float:
        """Root mean square of what the principal components do not explain in a crop.

        The light of the crop does not count. Takes (h, w, 3) uint8; the residual is on the scale of 0 to 255.
        """
        return self._cell_residual(_cells(crop)[self.inside].ravel())

    def is_covered(self, crop: ByteArray) -> bool:
        """Whether something is in front of this person's face in a crop (h, w, 3) uint8."""
        return self.residual(crop) > max(LEAST_RESIDUAL, RESIDUAL_FACTOR * self.usual)

    def _cell_residual(self, cells: FloatArray) -> float:
        """Residual of the cells (P,) that count."""
        deviation = self._deviation(cells)
        # The basis is orthonormal, so that this subtracts the projection onto it.
        return float(np.sqrt(np.mean((deviation - (deviation @ self.basis.T) @ self.basis) ** 2)))

    def _deviation(self, cells: FloatArray) -> FloatArray:
        """Deviation of cells from the mean, after their light was brought to the mean's: (P,) -> (P,)."""
        # Medians of each channel, which a hand over some of the cells does not move. The factor is bounded: beyond
        # these bounds it is no change of light, but another thing in front of the camera.
        usual, observed = (np.median(values.reshape(-1, 3), axis=0) for values in (self.mean, cells))
        light = (usual / np.maximum(observed, 1.0)).clip(0.7, 1.4)
        return np.asarray((cells.reshape(-1, 3) * light).ravel() - self.mean, np.float32)


def save_appearance(path: Path, appearance: Appearance) -> None:
    """Write an appearance as safetensors.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {
        "inside": appearance.inside.astype(np.uint8),
        "mean": appearance.mean,
        "basis": appearance.basis,
        "usual": np.array([appearance.usual]),
    }
    save_arrays(path, arrays, {"format": APPEARANCE_FORMAT})


def load_appearance(path: Path) -> Appearance:
    """Read an appearance that `save_appearance` wrote.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged, or not an appearance of this version.
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
        raise CheckpointError(f"{path} is damaged: it holds colors that no face has; train the ANCHOR again.")
    return Appearance(inside, mean, basis, usual)


def _cells(crop: ByteArray) -> FloatArray:
    """Mean colors over the grid of `CELLS`: (h, w[, 3]) uint8 -> (rows, columns[, 3]) float32."""
    return np.asarray(cv2.resize(crop, CELLS[::-1], interpolation=cv2.INTER_AREA), np.float32)
