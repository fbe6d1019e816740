"""Texture map generation layer: expression coefficients alone -> multi-channel texture map (patent: claim 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANGE_TEXELS = 64
"""Side of the map of what the expression changes, texels: small, since that is smooth."""


@dataclass(frozen=True)
class TextureMap:
    """A multi-channel texture map in two resolutions; its value at a point is the sum of samples of both."""

    base: Tensor
    """(C, H, W) texture of the person, which does not depend on the expression."""
    change: Tensor
    """(B, C, h, w) what each of B expressions adds to it."""


class TextureMapGenerator(nn.Module):
    """A trained texture of the person plus what an expression adds to it, predicted by a small network.

    Teeth, tongue, the creases of the lips and the shade inside the mouth are not part of the mesh and depend on the
    expression: this layer represents them.
    """

    def __init__(self, expressions: int, channels: int, size: int) -> None:
        """Args: expression coefficients K; channels C; side of the base in texels."""
        super().__init__()
        self.start = CHANGE_TEXELS // 8
        self.base = nn.Parameter(torch.randn(channels, size, size) * 0.1)
        self.base.data[:3] = 0.0  # colors, see `LocalImageGenerator`
        self.mlp = nn.Sequential(nn.Linear(expressions, 128), nn.SiLU(), nn.Linear(128, 64 * self.start**2), nn.SiLU())
        widths = (64, 48, 32, channels)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, widths[1:], strict=False))

    def forward(self, expression: Tensor) -> TextureMap:
        """Generate the texture maps of B expressions (B, K)."""
        x = self.mlp(expression).view(len(expression), -1, self.start, self.start)  # (B, 64, 8, 8)
        for number, conv in enumerate(self.convs):
            # Each convolution follows a doubling: 8 -> 16 -> 32 -> 64 texels.
            x = conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
            if number + 1 < len(self.convs):
                x = functional.silu(x)
        return TextureMap(self.base, x)  # (B, C, 64, 64)
