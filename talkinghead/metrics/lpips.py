"""LPIPS, the perceptual distance of two images (Zhang et al. 2018, version 0.1, AlexNet).

The weights of AlexNet and of the layers on top of it are not part of this package.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from talkinghead.structures import ByteArray

CHANNELS = (64, 192, 384, 256, 256)
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Per channel, of RGB in [-1, 1]: AlexNet's input is (color - SHIFT) / SCALE."""
SHORTEST_PX = 32
"""Shortest side of an image, px, that the network can take."""


class Lpips(nn.Module):
    """AlexNet's features after each of its five ReLU layers, compared pixel by pixel.

    Layers have the names of the published weights.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )
        for level, channels in enumerate(CHANNELS):
            self.add_module(f"lin{level}", _Weighting(channels))
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Two image batches (B, 3, H, W) in [-1, 1] -> (B,) distances."""
        total = one.new_zeros(len(one))
        for level, (first, second) in enumerate(zip(self._levels(one), self._levels(other), strict=True)):
            difference = (_unit(first) - _unit(second)).square()
            total = total + self.get_submodule(f"lin{level}")(difference).mean((1, 2, 3))
        return total

    def _levels(self, images: Tensor) -> list[Tensor]:
        levels, value = [], (images - self.shift) / self.scale
        for layer in self.features:
            value = layer(value)
            if isinstance(layer, nn.ReLU):
                levels.append(value)
        return levels

    @torch.inference_mode()
    def distance(self, output: ByteArray, reference: ByteArray) -> float:
        """Distance of two images (H, W, 3) uint8 whose sides are at least `SHORTEST_PX`."""
        images = (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1 for image in (output, reference))
        return float(self(*images))


class _Weighting(nn.Module):
    """A 1x1 convolution with one weight a channel, nested so that its weight has the name in the published file."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Dropout(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, value: Tensor) -> Tensor:
        return self.model(value)


def _unit(value: Tensor) -> Tensor:
    return value / (value.square().sum(1, keepdim=True).sqrt() + 1e-10)
