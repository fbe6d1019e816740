"""How much an anchor's images are to be sharpened so that their fine detail is as strong as the clip's own.

Training leaves generated mouths a little softer than real ones. Sharpening, by one amount for all images that is found
on held-out frames, brings back the strength of their detail, not detail that was never learned.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from talkinghead.network.compositor import fine_detail

TARGET_SHARE = 1.0
"""Wanted sharpness, as a share of the clip's. Some of that is the camera's grain, which is not to be imitated; but
pasting the crop into its frame costs as much again."""
LARGEST_AMOUNT = 0.8
"""Largest amount of sharpening."""


def matching_sharpening(generated: Tensor, real: Tensor, weight: Tensor) -> float:
    """The amount of `Compositor.sharpening` with which generated images are as sharp as real ones.

    Sharpness is the mean squared Laplacian, as in `metrics.sharpness`. Sharpening by an amount a makes an image
    i + a d, of which d is the fine detail; so sharpness is a parabola in a, which is solved here.

    Args:
        generated, real: (B, 3, H, W) in [0, 1], the same frames.
        weight: (B, 1, H, W) weight of each pixel.

    Returns:
        The amount, in [0, LARGEST_AMOUNT].
    """

    def energy(a: Tensor, b: Tensor) -> float:
        return float((_laplacian(a) * _laplacian(b) * weight[..., 1:-1, 1:-1]).sum())

    detail = fine_detail(generated)
    constant, linear, square = energy(generated, generated), 2 * energy(generated, detail), energy(detail, detail)
    lacking = TARGET_SHARE * energy(real, real) - constant
    if lacking <= 0 or square <= 0:
        return 0.0
    root = (-linear + (linear**2 + 4 * square * lacking) ** 0.5) / (2 * square)
    return float(min(max(root, 0.0), LARGEST_AMOUNT))


def _laplacian(image: Tensor) -> Tensor:
    """Laplacian of the luma, without a border: (B, 3, H, W) -> (B, 1, H - 2, W - 2)."""
    luma = (image * image.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    kernel = luma.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    return functional.conv2d(luma, kernel[None, None])
