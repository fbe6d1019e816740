"""From a coarse segmentation to a matte with the outline of the image: a guided filter within a band.

Guided filter: He, Sun and Tang 2013 ("Guided Image Filtering"), with the three colors as guide, its coefficients
computed on a smaller image as in He and Sun 2015 ("Fast Guided Filter"). In each window the matte is a linear function
of the color, fitted to the segmentation: it changes where the image does, and not where the coarse grid does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.structures import ByteArray, FloatArray

Mean = Callable[[NDArray[Any]], FloatArray]
"""Averages over a window around each pixel."""

BAND_CELLS = 2.5
"""Half the width of the band in which the matte is refined, in cells of the segmentation; beyond it is 0 or 1."""
WINDOW_CELLS = 2.0
"""Half the width of the guided filter's window, in the same cells."""
REGULARIZATION = 1e-4
"""Variance of the color, values in [0, 1], below which a window counts as plain and keeps the segmentation."""
STEPS = 2
"""How often the filter runs, each time on its own result."""
BLACK, WHITE = 0.1, 0.9
"""Values of the filtered matte that become 0 and 1: what is left of the window's blur."""


def refined(image: ByteArray, coarse: FloatArray) -> ByteArray:
    """The matte of an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        coarse: (h, w) float32, probability of the foreground; a grid over the whole image.

    Returns:
        (H, W) uint8, 0 background, 255 foreground.
    """
    height, width = image.shape[:2]
    cell_px = max(height / coarse.shape[0], width / coarse.shape[1], 1.0)
    smooth = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    band = _band(smooth, cell_px)
    if not band.any():
        return np.where(smooth > 0.5, 255, 0).astype(np.uint8)
    # Everything but the band is decided: the filter sees what the band needs, and no more.
    margin = math.ceil(4 * WINDOW_CELLS * cell_px)
    box = _box_of(band, margin)
    decided = np.where(band[box], smooth[box], (smooth[box] > 0.5).astype(np.float32))
    guide = image[box].astype(np.float32) / np.float32(255)
    matte = decided
    for _ in range(STEPS):
        matte = guided_filter(guide, matte, WINDOW_CELLS * cell_px, REGULARIZATION)
        matte = np.where(band[box], np.clip((matte - BLACK) / (WHITE - BLACK), 0, 1), decided)
    whole = np.where(smooth > 0.5, 255, 0).astype(np.uint8)
    whole[box] = np.round(255 * matte).astype(np.uint8)
    return whole


def guided_filter(guide: FloatArray, values: FloatArray, radius_px: float, regularization: float) -> FloatArray:
    """Filter values by the edges of an image.

    Args:
        guide: (H, W, 3) float32 in [0, 1].
        values: (H, W) float32.
        radius_px: half the width of the window.
        regularization: variance of the guide below which a window is plain.

    Returns:
        (H, W) float32.
    """
    height, width = values.shape
    shrink = max(1, int(radius_px / 4))
    size = (max(1, width // shrink), max(1, height // shrink))
    small = np.asarray(cv2.resize(guide, size, interpolation=cv2.INTER_AREA), np.float32)
    filtered = np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)
    side = 2 * max(1, round(radius_px / shrink)) + 1

    def mean(array: NDArray[Any]) -> FloatArray:
        return np.asarray(cv2.blur(array, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)

    center, average = mean(small), mean(filtered)
    covariance = mean(small * filtered[..., None]) - center * average[..., None]
    slope = _solved(small, center, mean, regularization, covariance)
    offset = average - (slope * center).sum(-1)
    slope, offset = (cv2.resize(mean(array), (width, height)) for array in (slope, offset))
    return np.asarray((slope * guide).sum(-1) + offset, np.float32)


def _solved(
    colors: FloatArray, center: FloatArray, mean: Mean, regularization: float, covariance: FloatArray
) -> FloatArray:
    """Slope of the linear function of each window, (H, W, 3): the inverse of its colors' covariance matrix, by its
    cofactors, times their covariance with the values."""
    r, g, b = cv2.split(colors)
    squares = mean(cv2.merge((r * r, g * g, b * b))) - center * center + regularization
    products = mean(cv2.merge((r * g, g * b, b * r))) - center * center[..., [1, 2, 0]]
    (rr, gg, bb), (rg, gb, br) = cv2.split(squares), cv2.split(products)
    first, second, third = gg * bb - gb * gb, gb * br - rg * bb, rg * gb - gg * br
    x, y, z = cv2.split(covariance)
    determinant = rr * first + rg * second + br * third
    solved = (
        first * x + second * y + third * z,
        second * x + (rr * bb - br * br) * y + (rg * br - rr * gb) * z,
        third * x + (rg * br - rr * gb) * y + (rr * gg - rg * rg) * z,
    )
    return np.asarray(cv2.merge(solved) / determinant[..., None], np.float32)


def _band(smooth: FloatArray, cell_px: float) -> NDArray[np.bool_]:
    """Where the matte is neither certainly 0 nor 1: around the outline of the segmentation."""
    inside = (smooth > 0.5).astype(np.uint8)
    radius = math.ceil(BAND_CELLS * cell_px)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    # Beyond the image it goes on as at its border: the lower edge is no outline.
    padded = cv2.copyMakeBorder(inside, radius, radius, radius, radius, cv2.BORDER_REPLICATE)
    around = cv2.dilate(padded, disc) != cv2.erode(padded, disc)
    return np.asarray(around[radius:-radius, radius:-radius])


def _box_of(band: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """The rectangle around a band, with a margin, within the image."""
    found = []
    for axis, length in enumerate(band.shape):
        marked = np.flatnonzero(band.any(1 - axis))
        found.append(slice(max(0, int(marked[0]) - margin), min(length, int(marked[-1]) + 1 + margin)))
    return found[0], found[1]
