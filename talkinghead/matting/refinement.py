"""From a coarse segmentation to a matte with the outline of the image: colors, and a guided filter, within a band.

The segmentation is off by a cell of its grid or two, mostly outwards. Within a band around its outline, each pixel is
first compared with the colors on either side of the band: where these differ clearly and the pixel lies between them,
its place between them is its share of the foreground; elsewhere the segmentation stands.

Guided filter: He, Sun and Tang 2013 ("Guided Image Filtering"), with the three colors as guide, its coefficients
computed on a smaller image as in He and Sun 2015 ("Fast Guided Filter"). In each window the matte is a linear function
of the color, fitted to the segmentation: it changes where the image does, and not where the coarse grid does.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.structures import ByteArray, FloatArray

BAND_CELLS = 2.5
"""Half the width of the band in which the matte is refined, in cells of the segmentation; beyond it is 0 or 1."""
WINDOW_CELLS = 2.0
"""Half the width of the guided filter's window, in the same cells."""
REGULARIZATION = 1e-4
"""Variance of the color, values in [0, 1], below which a window counts as plain and keeps the segmentation."""
SIDE_CELLS = 4.0
"""Half the width of the neighborhood that the colors on either side of the band are averaged over, in cells."""
CLEAR = 0.3
"""Distance between these two colors, values in [0, 1], at which they count for half."""
BESIDE = 0.3
"""Distance of a pixel's color from the line between them, as a share of their distance, at which they count for 1 / e.
"""
STEPS = 2
"""How often the filter runs, each time on its own result."""
LEAST_WEIGHT = 1e-4
"""Share of a neighborhood that has to be on a side of the band for its color to be known."""
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
    inside = (smooth[box] > 0.5).astype(np.float32)
    guide = image[box].astype(np.float32) / np.float32(255)
    decided = np.where(band[box], _by_colors(guide, smooth[box], inside, ~band[box], SIDE_CELLS * cell_px), inside)
    matte, follow_edges = decided, GuidedFilter(guide, WINDOW_CELLS * cell_px, REGULARIZATION)
    for _ in range(STEPS):
        matte = follow_edges(matte)
        matte = np.where(band[box], np.clip((matte - BLACK) / (WHITE - BLACK), 0, 1), decided)
    whole = np.where(smooth > 0.5, 255, 0).astype(np.uint8)
    whole[box] = np.round(255 * matte).astype(np.uint8)
    return whole


def _by_colors(
    image: FloatArray, smooth: FloatArray, inside: FloatArray, sure: NDArray[np.bool_], radius_px: float
) -> FloatArray:
    """The segmentation, corrected by the colors on either side of the band.

    Args:
        image: (H, W, 3) in [0, 1].
        smooth: (H, W) the segmentation.
        inside: (H, W) 1 in the foreground, by the segmentation, else 0.
        sure: (H, W) beyond the band.
        radius_px: half the width of the neighborhood.

    Returns:
        (H, W) in [0, 1].
    """
    front, back = (_mean_color(image, side * sure, radius_px) for side in (inside, 1 - inside))
    across = front[..., :3] - back[..., :3]
    length2 = np.maximum((across * across).sum(-1), 1e-6)
    from_back = image - back[..., :3]
    share = (from_back * across).sum(-1) / length2
    beside2 = ((from_back - share[..., None] * across) ** 2).sum(-1) / length2
    trust = length2 / (length2 + np.float32(CLEAR**2)) * np.exp(-beside2 / np.float32(BESIDE**2))
    trust *= (front[..., 3] > 0) & (back[..., 3] > 0)
    return np.asarray(smooth + trust * (np.clip(share, 0, 1) - smooth), np.float32)


def _mean_color(image: FloatArray, weight: FloatArray, radius_px: float) -> FloatArray:
    """Mean color around each pixel, weighted, and the mean weight: (H, W, 4); 0 where there is no weight."""
    height, width = weight.shape
    shrink = max(1, int(radius_px / 4))
    size = (max(1, width // shrink), max(1, height // shrink))
    weighted = np.dstack([image * weight[..., None], weight]).astype(np.float32)
    small = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA)
    # Twice, so that what is near counts more.
    side = 2 * max(1, round(radius_px / shrink)) + 1
    near = cv2.blur(
        cv2.blur(small, (side, side), borderType=cv2.BORDER_CONSTANT), (side, side), borderType=cv2.BORDER_CONSTANT
    )
    near[..., 3][near[..., 3] < LEAST_WEIGHT] = 0
    near[..., :3] *= np.where(near[..., 3:] > 0, 1 / np.maximum(near[..., 3:], LEAST_WEIGHT), 0)
    return np.asarray(cv2.resize(near, (width, height)), np.float32)


class GuidedFilter:
    """Filters values by the edges of one image."""

    def __init__(self, guide: FloatArray, radius_px: float, regularization: float) -> None:
        """Prepare what depends on the image alone.

        Args:
            guide: (H, W, 3) float32 in [0, 1].
            radius_px: half the width of the window.
            regularization: variance of the guide below which a window is plain.
        """
        self._guide = guide
        height, width = guide.shape[:2]
        shrink = max(1, int(radius_px / 4))
        self._size = (max(1, width // shrink), max(1, height // shrink))
        self._side = 2 * max(1, round(radius_px / shrink)) + 1
        self._small = self._shrunk(guide)
        self._center = self._mean(self._small)
        self._inverse = self._inverse_covariance(regularization)

    def __call__(self, values: FloatArray) -> FloatArray:
        """The filtered values: both (H, W) float32."""
        small = self._shrunk(values)
        average = self._mean(small)
        x, y, z = cv2.split(self._mean(self._small * small[..., None]) - self._center * average[..., None])
        a, b, c, d, e, f = self._inverse
        slope = cv2.merge((a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z))
        offset = average - (slope * self._center).sum(-1)
        height, width = values.shape
        whole = cv2.resize(self._mean(np.dstack([slope, offset])), (width, height))
        return np.asarray((whole[..., :3] * self._guide).sum(-1) + whole[..., 3], np.float32)

    def _shrunk(self, array: FloatArray) -> FloatArray:
        return np.asarray(cv2.resize(array, self._size, interpolation=cv2.INTER_AREA), np.float32)

    def _mean(self, array: NDArray[Any]) -> FloatArray:
        """Over the window around each pixel."""
        return np.asarray(cv2.blur(array, (self._side, self._side), borderType=cv2.BORDER_REFLECT), np.float32)

    def _inverse_covariance(self, regularization: float) -> tuple[FloatArray, ...]:
        """The upper triangle, row by row, of the inverse of the colors' covariance matrix in each window."""
        r, g, b = cv2.split(self._small)
        squares = self._mean(cv2.merge((r * r, g * g, b * b))) - self._center**2 + regularization
        products = self._mean(cv2.merge((r * g, g * b, b * r))) - self._center * self._center[..., [1, 2, 0]]
        (rr, gg, bb), (rg, gb, br) = cv2.split(squares), cv2.split(products)
        cofactors = (
            gg * bb - gb * gb,
            gb * br - rg * bb,
            rg * gb - gg * br,
            rr * bb - br * br,
            rg * br - rr * gb,
            rr * gg - rg * rg,
        )
        determinant = rr * cofactors[0] + rg * cofactors[1] + br * cofactors[2]
        return tuple(np.asarray(cofactor / determinant, np.float32) for cofactor in cofactors)


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
