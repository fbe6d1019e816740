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

    def __init__(self, width: int = 16) -> None:
        super().__init__()
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
        out = functional.interpolate(smooth, scale_factor=4.0, mode="bilinear")
        # A learned exponent bends the feather without moving its ends.
        weight = feather ** torch.exp(out[:, :1].clamp(-1.5, 1.5))
        corrected = local + CORRECTION * torch.tanh(out)[:, 1:]  # of all channels: a part of them lies scattered
        return filled + (corrected - filled) * weight
