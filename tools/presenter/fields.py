"""Random fields in space: smooth noise and its sums over octaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Array = NDArray[np.float64]


def noise(points: Array, cell: float, seed: int) -> Array:
    """Smooth random field at `points` (N, 3), one bump per `cell`, mean 0 and standard deviation near one, (N,)."""
    lattice = np.random.default_rng(seed).normal(size=(48, 48, 48))
    values = map_coordinates(lattice, (points / cell).T, order=2, mode="grid-wrap")
    return values / 0.55


def fractal(points: Array, cell: float, octaves: int, seed: int) -> Array:
    """Sum of `octaves` of noise, each half the cell and 0.6 the strength of the one before, (N,)."""
    strengths = 0.6 ** np.arange(octaves)
    total = sum(w * noise(points, cell / 2**k, seed + k) for k, w in enumerate(strengths))
    return np.asarray(total) / np.linalg.norm(strengths)
