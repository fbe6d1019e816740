"""How much an anchor's pictures are to be sharpened so that their fine detail is as strong as the clip's own.

A mean of what a mouth could look like is softer than any mouth. What of that the training leaves is a matter of one
number, found on frames that it held out; it brings back strength, not detail that was never learned.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from talkinghead.network.compositor import fine_detail

WANTED = 0.9
"""Of the clip's energy: the rest is grain, which no picture should shout about."""
MOST = 0.8


def matching_sharpening(made: Tensor, filmed: Tensor, weight: Tensor) -> float:
    """The amount of `Compositor.sharpening` with which made pictures are as sharp as filmed ones, in [0, MOST].

    Sharpness is the mean squared Laplacian, as in `metrics.sharpness`; with the amount it grows as a parabola.

    Args:
        made, filmed: (B, 3, H, W) in [0, 1], the same frames.
        weight: (B, 1, H, W) where it matters.
    """

    def energy(a: Tensor, b: Tensor) -> float:
        return float((_laplacian(a) * _laplacian(b) * weight[..., 1:-1, 1:-1]).sum())

    detail = fine_detail(made)
    still, linear, square = energy(made, made), 2 * energy(made, detail), energy(detail, detail)
    lacking = WANTED * energy(filmed, filmed) - still
    if lacking <= 0 or square <= 0:
        return 0.0
    root = (-linear + (linear**2 + 4 * square * lacking) ** 0.5) / (2 * square)
    return float(min(max(root, 0.0), MOST))


def _laplacian(image: Tensor) -> Tensor:
    luma = (image * image.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    kernel = luma.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    return functional.conv2d(luma, kernel[None, None])
