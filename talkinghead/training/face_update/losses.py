"""Training losses between the updated image and the sample image (patent: claim 7)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from talkinghead.structures import FloatArray


def pixel_weight(feather: Tensor, mouth_px: FloatArray, mouth_weight: float) -> Tensor:
    """Weight of each pixel in the losses, (B, 1, H, W): 0 outside the region, 1 inside, highest on the mouth.

    Args:
        feather: (B, 1, H, W) in [0, 1], the region with its soft edge.
        mouth_px: (B, 4) center x, y and half axes of each mouth, in pixels of the crop.
        mouth_weight: the weight at the mouth's center.
    """
    height, width = feather.shape[-2:]
    ellipse = torch.from_numpy(mouth_px).to(feather.device)
    x = (torch.arange(width, device=feather.device) + 0.5 - ellipse[:, :1]) / ellipse[:, 2:3]
    y = (torch.arange(height, device=feather.device) + 0.5 - ellipse[:, 1:2]) / ellipse[:, 3:4]
    distance = x[:, None, :] ** 2 + y[:, :, None] ** 2
    # The square of a squared distance: flat over the lips, and gone soon behind them.
    mouth = torch.exp(-(distance**2))
    return feather * (1 + (mouth_weight - 1) * mouth[:, None])


def weighted_l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference, weighted by pixel: (B, C, H, W) x 2, (B, 1, H, W) -> scalar."""
    return ((output - target).abs() * weight).sum() / (weight.sum() * output.shape[1]).clamp(min=1e-6)


def laplacian_l1(output: Tensor, target: Tensor, weight: Tensor, levels: int = 3) -> Tensor:
    """Weighted L1 over the band-pass levels of a Laplacian pyramid: (B, C, H, W) x 2, (B, 1, H, W) -> scalar.

    A plain L1 is content with a blur, since a blur is nearly right everywhere; the fine bands of teeth and
    lip edges are small in it. Here each band counts the same. Source: Burt and Adelson 1983; as a loss,
    Bojanowski et al. 2018.

    Args:
        output, target: images.
        weight: of each pixel.
        levels: bands, finest first.
    """
    difference = output - target
    total = difference.new_zeros(())
    for _ in range(levels):
        coarse = functional.avg_pool2d(difference, 2)
        band = difference - functional.interpolate(coarse, size=difference.shape[-2:], mode="bilinear")
        total = total + (band.abs() * weight).sum() / (weight.sum() * output.shape[1]).clamp(min=1e-6)
        difference, weight = coarse, functional.avg_pool2d(weight, 2)
    return total
