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
BEYOND_PX = 3
"""Pixels beyond the outline that get colors: encoders mix them with those inside."""
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
    if not ((alpha > 0) & (alpha < 255)).any():
        return np.where(alpha[..., None] > 0, image, np.uint8(0))
    height, width = alpha.shape
    radius = max(SMALL_WINDOW_PX, round(WINDOW_SHARE * max(height, width)))
    box = _around(alpha, radius)
    given, cut = image[box], alpha[box]
    rim = _rim(cut, max(1.0, RIM_SHARE * max(height, width)))
    front, back = _neighborhoods(given, rim, cut, radius)
    # Inside the rim all stays, and a little beyond the outline nothing is seen: what lies between is computed.
    seen = cv2.dilate(cut, _disc(BEYOND_PX)) > 0
    places = np.nonzero(seen & (rim > 0))
    share = (cut[places].astype(np.float32) / 255)[:, None]
    inner, outer = front[places], back[places]
    corrected = inner + share * (given[places] - share * inner - (1 - share) * outer)
    change = inner - corrected
    weight = (rim[places].astype(np.float32) / 255)[:, None]
    corrected += weight * (change - (change @ np.array(LUMA, np.float32))[:, None])
    found = np.where(seen[..., None], given, np.uint8(0))
    found[places] = np.clip(np.rint(corrected), 0, 255).astype(np.uint8)
    whole = np.zeros_like(image)
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
    image: ByteArray, rim: ByteArray, alpha: ByteArray, radius: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean colors of the foreground, without its rim, and of the background around each pixel, each (H, W, 3)."""
    height, width = alpha.shape
    shrink = max(1, radius // SMALL_WINDOW_PX)
    size = (math.ceil(width / shrink), math.ceil(height / shrink))
    grown = cv2.dilate(alpha, _disc(shrink))
    colors = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    found = []
    for weight in (255 - rim, 255 - grown):
        small = cv2.resize(weight, size, interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
        near = _blurred(np.dstack([colors * small, small]), 2 * SMALL_WINDOW_PX + 1)
        far = _blurred(near, 8 * SMALL_WINDOW_PX + 1)
        # The wider neighborhood counts only where the near one has nothing.
        total = near + LEAST * far
        mean = total[..., :3] / np.maximum(total[..., 3:], 1e-9)
        found.append(np.asarray(cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR), np.float32))
    return found[0], found[1]


def _rim(alpha: ByteArray, width_px: float) -> ByteArray:
    """How near each pixel is to the outline or beyond it, (H, W) uint8; 0 inside."""
    radius = math.ceil(width_px)
    # Beyond the image it goes on as at its border: the lower edge is no outline.
    padded = cv2.copyMakeBorder(alpha, radius, radius, radius, radius, cv2.BORDER_REPLICATE)
    soft = cv2.blur(cv2.erode(padded, _disc(radius)), (2 * radius + 1, 2 * radius + 1))
    return np.asarray(255 - soft[radius:-radius, radius:-radius], np.uint8)


def _disc(radius: int) -> ByteArray:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)


def _blurred(values: NDArray[Any], side: int) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32)


def _around(alpha: ByteArray, margin: int) -> tuple[slice, slice]:
    """The rectangle that holds all of the foreground, with a margin, within the image."""
    found = []
    for axis, length in enumerate(alpha.shape):
        marked = np.flatnonzero(alpha.any(1 - axis))
        found.append(slice(max(0, int(marked[0]) - margin), min(length, int(marked[-1]) + 1 + margin)))
    return found[0], found[1]
