"""Texture decoding layer: multi-channel local image + image to be filled -> local image (patent: claim 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class TextureDecoder(nn.Module):
    """A U-Net whose layers run at half resolution and below: at full resolution they would take most of the time.

    The first layer, 6 x 6 with stride 2, equals a 3 x 3 after a 2x pixel-unshuffle, without the copy.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...]) -> None:
        """Args: channels of the input; channels of the levels, from half resolution downwards by halves."""
        super().__init__()
        self.enter = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 6, stride=2, padding=2), nn.LeakyReLU(0.1, inplace=True)
        )
        self.first = _conv(widths[0], widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(_conv(a, b, stride=2), _conv(b, b)) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.up = nn.ModuleList(
            nn.Sequential(_conv(b + a, a), _conv(a, a)) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.leave = nn.Conv2d(widths[0], 12, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Decode (B, in_channels, H, W), H and W multiples of 16 -> (B, 3, H, W), nominally in [0, 1]."""
        # 12 channels at half resolution are 3 at full. The output starts at mid gray.
        return functional.pixel_shuffle(self.blocks(image), 2) + 0.5

    def blocks(self, image: Tensor) -> Tensor:
        """The same as (B, 12, H / 2, W / 2): three colors of each square of four pixels, less mid gray."""
        x = self.first(self.enter(image))  # (B, widths[0], H / 2, W / 2)
        levels = [x]
        for down in self.down:
            levels.append(down(levels[-1]))  # half the resolution of the level before
        x = levels.pop()
        for up in reversed(self.up):
            skip = levels.pop()
            # Nearest-neighbor upsampling, then convolutions: no checkerboard, as transposed convolutions leave.
            x = up(torch.cat([functional.interpolate(x, size=skip.shape[-2:], mode="nearest"), skip], dim=1))
        decoded: Tensor = self.leave(x)
        return decoded


def _conv(a: int, b: int, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution from `a` to `b` channels, and its activation."""
    return nn.Sequential(nn.Conv2d(a, b, 3, stride=stride, padding=1), nn.LeakyReLU(0.1, inplace=True))
