"""Colors of a cut-out person without the background that shines through (spill), and putting it before another one.

The color of a pixel on the outline is a mixture of both. Foreground and background are estimated from their
neighborhoods and corrected so that they give the observed color again: Germer et al. 2020, Forte 2021 ("Approximate
Fast Foreground Colour Estimation"). What is left of the background's hue in a narrow rim inside the outline (clips
store hues at half the resolution, and lenses mix them) gives way to the hue further inside; brightness stays.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.structures import ByteArray

WINDOW_SHARE = 1 / 40
"""Half the width of the neighborhood that colors are averaged over, as a share of the image's longer side."""
LEAST = 1e-3
"""Least share of a neighborhood that has to be foreground for its color to count; else that of a wider one is taken."""
RIM_SHARE = 1 / 128
"""Width of the rim whose hue gives way, as a share of the image's longer side."""
LUMA = (0.2126, 0.7152, 0.0722)
"""Brightness of red, green and blue, BT.709."""
SMALL_WINDOW_PX = 4
"""Half the width of the neighborhood on the reduced image; averages need no more."""


def foreground(image: ByteArray, alpha: ByteArray) -> ByteArray:
    """The colors of the foreground alone.

    Args:
        image: (H, W, 3) uint8 RGB, a mixture by `alpha` of foreground and background.
        alpha: (H, W) uint8.

    Returns:
        (H, W, 3) uint8: `image` inside, what the foreground would look like around its outline, and black
        where there is none nearby.
    """
    mixed = (alpha > 0) & (alpha < 255)
    if not mixed.any():
        return np.where(alpha[..., None] > 0, image, np.uint8(0))
    height, width = alpha.shape
    radius = max(SMALL_WINDOW_PX, round(WINDOW_SHARE * max(height, width)))
    box = _around(alpha, radius)
    share = alpha[box].astype(np.float32) / np.float32(255)
    colors = image[box].astype(np.float32)
    rim = _rim(alpha[box], max(1.0, RIM_SHARE * max(height, width)))
    front, back = _neighborhoods(colors, (1 - rim) ** 2, (1 - share) ** 2, radius)
    share = share[..., None]
    corrected = front + share * (colors - share * front - (1 - share) * back)
    rim = rim[..., None]
    change = front - corrected
    corrected += rim * (change - (change @ np.array(LUMA, np.float32))[..., None])
    found = np.where(rim == 0, image[box], np.clip(np.rint(corrected), 0, 255).astype(np.uint8))
    whole = np.where(alpha[..., None] == 255, image, np.uint8(0))
    whole[box] = found
    return whole


def composed(image: ByteArray, alpha: ByteArray, background: ByteArray) -> ByteArray:
    """A foreground before a background.

    Args:
        image: (H, W, 3) uint8, colors of the foreground, as `foreground` gives them.
        alpha: (H, W) uint8.
        background: (H, W, 3) uint8.

    Returns:
        (H, W, 3) uint8.
    """
    share = alpha.astype(np.float32) / np.float32(255)
    return np.asarray(cv2.blendLinear(image, background, share, 1 - share), np.uint8)


def _neighborhoods(
    colors: NDArray[np.float32], inside: NDArray[np.float32], outside: NDArray[np.float32], radius: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean colors of the foreground and of the background around each pixel, each (H, W, 3), by the pixels' weights in
    either."""
    height, width = inside.shape
    shrink = max(1, radius // SMALL_WINDOW_PX)
    size = (math.ceil(width / shrink), math.ceil(height / shrink))
    found = []
    for weight in (inside, outside):
        weighted = np.dstack([colors * weight[..., None], weight])
        small = np.asarray(cv2.resize(weighted, size, interpolation=cv2.INTER_AREA))
        near = _blurred(small, 2 * SMALL_WINDOW_PX + 1)
        far = _blurred(near, 8 * SMALL_WINDOW_PX + 1)
        # The wider neighborhood counts only where the near one has nothing.
        total = near + LEAST * far
        mean = total[..., :3] / np.maximum(total[..., 3:], 1e-9)
        found.append(np.asarray(cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR), np.float32))
    return found[0], found[1]


def _rim(alpha: ByteArray, width_px: float) -> NDArray[np.float32]:
    """How near each pixel is to the outline or beyond it, (H, W) in [0, 1]; 0 inside."""
    radius = math.ceil(width_px)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    # Beyond the image it goes on as at its border: the lower edge is no outline.
    padded = cv2.copyMakeBorder(alpha, radius, radius, radius, radius, cv2.BORDER_REPLICATE)
    inside = cv2.erode(padded, disc)
    soft = cv2.blur(inside, (2 * radius + 1, 2 * radius + 1))[radius:-radius, radius:-radius]
    return np.asarray(1 - soft.astype(np.float32) / 255, np.float32)


def _blurred(values: NDArray[Any], side: int) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32)


def _around(alpha: ByteArray, margin: int) -> tuple[slice, slice]:
    """The rectangle that holds all of the foreground, with a margin, within the image."""
    found = []
    for axis, length in enumerate(alpha.shape):
        marked = np.flatnonzero(alpha.any(1 - axis))
        found.append(slice(max(0, int(marked[0]) - margin), min(length, int(marked[-1]) + 1 + margin)))
    return found[0], found[1]
