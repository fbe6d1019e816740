"""What the network does with every pixel around its convolutions, fused: on the CPU, without gradients.

It gives what the modules' own tensor operations give, with fewer passes over memory.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkinghead.structures import FloatArray

POOLED = 4
"""Pixels on each side of the squares over which the compositor's inputs are averaged."""


def can_be_fused(*tensors: Tensor) -> bool:
    """Whether all tensors lie on the CPU, and none of them needs a gradient."""
    return all(tensor.is_cpu and not (torch.is_grad_enabled() and tensor.requires_grad) for tensor in tensors)


def channels_last(tensor: Tensor) -> FloatArray:
    """(B, C, H, W) as an array (B, H, W, C) float32, without copying it where it lies so."""
    return np.ascontiguousarray(tensor.detach().float().permute(0, 2, 3, 1).numpy())


@numba.njit(cache=True, nogil=True, error_model="numpy")
def local_images(blocks: FloatArray, rendered: FloatArray) -> FloatArray:
    """Local images of decoded blocks and the colors of the texture.

    Args:
        blocks: (B, H / 2, W / 2, 12), three colors of the four pixels of a square.
        rendered: (B, H, W, C), of which the first three channels are colors.

    Returns:
        (B, 3, H, W) float32.
    """
    batch, rows, columns, _ = blocks.shape
    images = np.empty((batch, 3, 2 * rows, 2 * columns), np.float32)
    gray = np.float32(0.5)
    for b in range(batch):
        for y in range(2 * rows):
            for x in range(2 * columns):
                pixel = 2 * (y % 2) + x % 2
                for c in range(3):
                    images[b, c, y, x] = blocks[b, y // 2, x // 2, 4 * c + pixel] + gray + rendered[b, y, x, c]
    return images


@numba.njit(cache=True, nogil=True, error_model="numpy")
def pooled(local: FloatArray, filled: FloatArray, holes: FloatArray, feathers: FloatArray) -> FloatArray:
    """Means over squares of `POOLED` pixels.

    Args:
        local: (B, 3, H, W).
        filled: (B, H, W, 3).
        holes, feathers: (B, H, W).

    Returns:
        (B, H / 4, W / 4, 8): means of local, filled, hole and feather.
    """
    batch, _, height, width = local.shape
    means = np.zeros((batch, height // POOLED, width // POOLED, 8), np.float32)
    share = np.float32(1 / POOLED**2)
    for b in range(batch):
        for y in range(means.shape[1] * POOLED):
            for x in range(means.shape[2] * POOLED):
                mean = means[b, y // POOLED, x // POOLED]
                for c in range(3):
                    mean[c] += share * local[b, c, y, x]
                    mean[3 + c] += share * filled[b, y, x, c]
                mean[6] += share * holes[b, y, x]
                mean[7] += share * feathers[b, y, x]
    return means


@numba.njit(cache=True, nogil=True, error_model="numpy")
def composed(
    local: FloatArray, filled: FloatArray, feathers: FloatArray, smooth: FloatArray, sharpening: float
) -> FloatArray:
    """Blend local images into images to be filled, see `Compositor`.

    Args:
        local: (B, 3, H, W).
        filled: (B, H, W, 3).
        feathers: (B, H, W).
        smooth: (B, H / 4, W / 4, 4), log of the feather's exponent, and corrections of red, green and blue.
        sharpening: weight of the fine detail of `local`.

    Returns:
        (B, H, W, 3) float32.
    """
    batch, _, height, width = local.shape
    result = filled.copy()
    one, ninth, strength = np.float32(1), np.float32(1 / 9), np.float32(sharpening)
    columns, across = _places(width, smooth.shape[2])
    rows, down = _places(height, smooth.shape[1])
    between = np.empty((smooth.shape[2], 4), np.float32)
    sums = np.zeros((3, width + 2), np.float32)
    for b in range(batch):
        for y in range(height):
            upper, lower = rows[y], min(rows[y] + 1, smooth.shape[1] - 1)
            for x in range(smooth.shape[2]):
                for c in range(4):
                    above = smooth[b, upper, x, c]
                    between[x, c] = above + down[y] * (smooth[b, lower, x, c] - above)
            if sharpening:
                # Sums of three rows; the image is black beyond its edge.
                for c in range(3):
                    for x in range(width):
                        total = local[b, c, y, x]
                        if y > 0:
                            total += local[b, c, y - 1, x]
                        if y + 1 < height:
                            total += local[b, c, y + 1, x]
                        sums[c, x + 1] = total
            for x in range(width):
                weight = feathers[b, y, x]
                if weight <= 0:
                    continue
                left, right, part = columns[x], min(columns[x] + 1, smooth.shape[2] - 1), across[x]
                if weight < one:
                    # A positive exponent bends the course of the feather and leaves 0 and 1 as they are.
                    exponent = between[left, 0] + part * (between[right, 0] - between[left, 0])
                    weight = np.exp(np.log(weight) * np.exp(exponent))
                for c in range(3):
                    new = local[b, c, y, x]
                    if sharpening:
                        new += strength * (new - ninth * (sums[c, x] + sums[c, x + 1] + sums[c, x + 2]))
                    new += between[left, 1 + c] + part * (between[right, 1 + c] - between[left, 1 + c])
                    old = filled[b, y, x, c]
                    result[b, y, x, c] = old + weight * (new - old)
    return result


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _places(length: int, small: int) -> tuple[NDArray[np.int64], FloatArray]:
    """For each of so many pixels, the sample before it among `small` ones, and how far it is on the way to the next."""
    before, share = np.empty(length, np.int64), np.empty(length, np.float32)
    for position in range(length):
        place = max((position + 0.5) * small / length - 0.5, 0.0)
        before[position] = int(place)
        share[position] = place - int(place)
    return before, share


KERNELS = (local_images, pooled, composed)
"""What numba compiles."""
