"""Training losses between the updated image and the sample image (patent: claim 7)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def weighted_l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference, weighted by pixel: (B, C, H, W) x 2, (B, 1, H, W) -> scalar."""
    return ((output - target).abs() * weight).sum() / (weight.sum() * output.shape[1]).clamp(min=1e-6)


def laplacian_l1(output: Tensor, target: Tensor, weight: Tensor, levels: int = 3) -> Tensor:
    """Weighted L1 over the band-pass levels of a Laplacian pyramid, finest first.

    A plain L1 is content with a blur, since a blur is nearly right everywhere; the fine bands of teeth and
    lip edges are small in it. Here each band counts the same. Source: Burt and Adelson 1983; as a loss,
    Bojanowski et al. 2018.
    """
    difference = output - target
    total = difference.new_zeros(())
    for _ in range(levels):
        coarse = functional.avg_pool2d(difference, 2)
        band = difference - functional.interpolate(coarse, size=difference.shape[-2:], mode="bilinear")
        total = total + (band.abs() * weight).sum() / (weight.sum() * output.shape[1]).clamp(min=1e-6)
        difference, weight = coarse, functional.avg_pool2d(weight, 2)
    return total


def gradient_l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 between the differences of neighbouring pixels, across and down. Source: Mathieu et al. 2016."""
    difference = output - target
    across = weighted_l1(difference[..., 1:], difference[..., :-1], weight[..., 1:])
    return across + weighted_l1(difference[..., 1:, :], difference[..., :-1, :], weight[..., 1:, :])


def temporal_l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 between the changes from frame to frame, of a batch that is B / 2 pairs of neighbours in time."""
    return weighted_l1(output[1::2] - output[::2], target[1::2] - target[::2], weight[1::2])
