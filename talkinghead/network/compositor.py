"""Image composition network: local image + image to be filled -> updated face image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CORRECTION = 0.1
"""Largest change of colour that the compositor may make, of 1."""


class Compositor(nn.Module):
    """Learns how the local image goes over into the rest: the course of the fade, and a correction of colour.

    In the hole the weight is 1 (there is nothing else to show), beyond the feather it is 0. Both things learned are
    smooth over the picture, so they are found at a quarter of its resolution.
    """

    def __init__(self, width: int = 16, sharpening: float = 0.0) -> None:
        """Args: channels inside; how much of its fine detail is added to the local image once more."""
        super().__init__()
        self.sharpening = sharpening
        self.layers = nn.Sequential(
            nn.Conv2d(8, width, 3, padding=1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(width, 4, 3, padding=1),
        )

    def forward(self, local: Tensor, filled: Tensor, hole: Tensor, feather: Tensor) -> Tensor:
        """-> (B, 3, H, W) updated face image.

        Args:
            local: (B, 3, H, W) local image.
            filled: (B, 3, H, W) image to be filled, 0 in the hole.
            hole, feather: (B, 1, H, W), see `region_removal.region_masks`.
        """
        inputs = torch.cat([functional.avg_pool2d(part, 4) for part in (local, filled, hole, feather)], dim=1)
        smooth = self.layers(inputs.contiguous(memory_format=torch.channels_last)).float()
        smooth = torch.cat([smooth[:, :1].clamp(-1.5, 1.5), CORRECTION * torch.tanh(smooth[:, 1:])], dim=1)
        out = functional.interpolate(smooth, scale_factor=4.0, mode="bilinear")
        # A learned exponent bends the feather without moving its ends.
        weight = feather ** torch.exp(out[:, :1])
        corrected = local + out[:, 1:]
        if self.sharpening:
            corrected = corrected + self.sharpening * fine_detail(local)
        return filled + (corrected - filled) * weight


def fine_detail(image: Tensor) -> Tensor:
    """What an image (B, 3, H, W) has over its own mean of 3 x 3 pixels; beyond its edge it counts as black."""
    mean = image.new_full((3, 1, 3, 3), 1 / 9)
    return image - functional.conv2d(image, mean, padding=1, groups=3)
