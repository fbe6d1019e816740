"""Image composition network: local image + image to be filled -> updated face image (patent: claim 2)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.network.composition import POOLED, can_be_fused, channels_last, composed, pooled

CORRECTION = 0.1
"""Largest change of a color value by the compositor, of 1."""


class Compositor(nn.Module):
    """Blends the local image into the image to be filled by a learned weight, with a learned correction of color.

    The blend weight is 1 in the hole, where there is nothing else to show, and 0 beyond the feather. Weight and
    correction are smooth over the image, so they are predicted at a quarter of its resolution.
    """

    def __init__(self, width: int = 16, sharpening: float = 0.0) -> None:
        """Args: channels of the hidden layers; weight of the local image's fine detail that is added to it, >= 0."""
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
        """Compose the updated face image, (B, 3, H, W) float32, nominally in [0, 1].

        Args:
            local: (B, 3, H, W) local image.
            filled: (B, 3, H, W) image to be filled, 0 in the hole.
            hole: (B, 1, H, W), 1 where the region was removed.
            feather: (B, 1, H, W) in [0, 1], see `region_removal.region_masks`.
        """
        if can_be_fused(local, filled, hole, feather, *self.layers.parameters()):
            return self._fused(local, filled, hole, feather)
        inputs = torch.cat([functional.avg_pool2d(part, POOLED) for part in (local, filled, hole, feather)], dim=1)
        smooth = self._smooth(inputs.contiguous(memory_format=torch.channels_last))
        out = functional.interpolate(smooth, scale_factor=float(POOLED), mode="bilinear")  # (B, 4, H, W)
        # A positive exponent bends the course of the feather and leaves 0 and 1 as they are.
        weight = feather ** torch.exp(out[:, :1])
        corrected = local + out[:, 1:]
        if self.sharpening:
            corrected = corrected + self.sharpening * fine_detail(local)
        return filled + (corrected - filled) * weight

    def _smooth(self, inputs: Tensor) -> Tensor:
        """(B, 8, H / 4, W / 4) -> (B, 4, H / 4, W / 4): log of the feather's exponent, and a correction of R, G and B.

        Both are bounded: neither can the feather vanish nor the compositor draw what the generator should.
        """
        smooth = self.layers(inputs).float()
        return torch.cat([smooth[:, :1].clamp(-1.5, 1.5), CORRECTION * torch.tanh(smooth[:, 1:])], dim=1)

    def _fused(self, local: Tensor, filled: Tensor, hole: Tensor, feather: Tensor) -> Tensor:
        """`forward` with its passes over the pixels fused."""
        drawn, given = np.ascontiguousarray(local.detach().numpy()), channels_last(filled)
        holes, feathers = (np.ascontiguousarray(part[:, 0].detach().float().numpy()) for part in (hole, feather))
        inputs = torch.from_numpy(pooled(drawn, given, holes, feathers)).permute(0, 3, 1, 2)
        smooth = channels_last(self._smooth(inputs))
        return torch.from_numpy(composed(drawn, given, feathers, smooth, float(self.sharpening))).permute(0, 3, 1, 2)


def fine_detail(image: Tensor) -> Tensor:
    """Fine detail of an image: its difference from its 3 x 3 box mean, black beyond its edge; (B, 3, H, W) both."""
    mean = image.new_full((3, 1, 3, 3), 1 / 9)
    return image - functional.conv2d(image, mean, padding=1, groups=3)
