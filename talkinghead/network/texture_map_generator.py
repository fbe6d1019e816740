"""Texture map generation layer: expression coefficients, and nothing else -> multi-channel texture map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANGE_TEXELS = 64
"""Side of what the expression changes, which is smooth."""


@dataclass(frozen=True)
class TextureMap:
    """A multi-channel texture map of two resolutions: where it is sampled, both are, and their sum counts."""

    base: Tensor
    """(C, H, W), what the expression leaves as it is: the person's skin."""
    change: Tensor
    """(B, C, h, w), what each of B expressions adds."""


class TextureMapGenerator(nn.Module):
    """A learned texture of the person plus what the expression changes in it.

    Teeth, tongue, the lips' creases and the shade inside the mouth are no geometry of the mesh; they come and
    go with the expression, and this is where they are remembered.
    """

    def __init__(self, expressions: int, channels: int, size: int) -> None:
        """Args: K, C, and the side of the base in texels."""
        super().__init__()
        self.start = CHANGE_TEXELS // 8
        self.base = nn.Parameter(torch.randn(channels, size, size) * 0.1)
        self.base.data[:3] = 0.0  # colours, see `LocalImageGenerator`
        self.mlp = nn.Sequential(nn.Linear(expressions, 128), nn.SiLU(), nn.Linear(128, 64 * self.start**2), nn.SiLU())
        widths = (64, 48, 32, channels)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, widths[1:], strict=False))

    def forward(self, expression: Tensor) -> TextureMap:
        """(B, K) -> the texture maps of B expressions."""
        x = self.mlp(expression).view(len(expression), -1, self.start, self.start)
        for number, conv in enumerate(self.convs):
            x = conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
            if number + 1 < len(self.convs):
                x = functional.silu(x)
        return TextureMap(self.base, x)
