"""Texture rendering layer: texture map + mesh -> multi-channel local image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.rasterize import Backend, rasterize


class TextureRenderer(nn.Module):
    """Draws the textured mesh (deferred neural rendering, Thies et al. 2019). It has nothing to learn."""

    triangles: Tensor
    uv: Tensor

    def __init__(self, triangles: Tensor, uv: Tensor, size_px: tuple[int, int], backend: Backend | None = None) -> None:
        """Args: triangles (F, 3), uv (V, 2) in [0, 1], (height, width) of the crop, rasterizer (None: the quickest)."""
        super().__init__()
        self.register_buffer("triangles", triangles, persistent=False)
        self.register_buffer("uv", uv, persistent=False)
        self.size_px = size_px
        self.backend = backend

    def forward(self, texture: Tensor, vertices_px: Tensor) -> Tensor:
        """(B, C, h, w), (B, V, 3) -> (B, C + 1, H, W): the sampled texture and the mesh's coverage."""
        uv, coverage = rasterize(vertices_px, self.triangles, self.uv, *self.size_px, self.backend)
        grid = uv.permute(0, 2, 3, 1) * 2 - 1
        image = functional.grid_sample(texture.float(), grid, align_corners=False, padding_mode="border")
        return torch.cat([image * coverage, coverage], dim=1)
