"""Texture rendering layer: texture map + mesh -> multi-channel local image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.network.rasterize import Backend, best_backend, draw_textured, rasterize
from talkinghead.network.texture_map_generator import TextureMap


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

    def forward(self, texture: TextureMap, vertices_px: Tensor, filled: Tensor, hole: Tensor) -> Tensor:
        """-> (B, C + 5, H, W) float32, channels-last: the sampled texture, the mesh's coverage, `filled`, `hole`.

        Args:
            texture: of B expressions, C channels.
            vertices_px: (B, V, 3), see `LocalModeller`.
            filled: (B, 3, H, W) image to be filled.
            hole: (B, 1, H, W) where the region was removed.
        """
        base, change = texture.base, texture.change
        learning = torch.is_grad_enabled() and any(part.requires_grad for part in (base, change, vertices_px))
        if not learning and (self.backend or best_backend(vertices_px.device)) == "numba" and base.is_cpu:
            return draw_textured(vertices_px, self.triangles, self.uv, base, change, filled, hole)
        uv, coverage = rasterize(vertices_px, self.triangles, self.uv, *self.size_px, self.backend)
        grid = uv.permute(0, 2, 3, 1) * 2 - 1
        parts = (base.float().expand(len(change), -1, -1, -1), change.float())
        image = sum(functional.grid_sample(p, grid, align_corners=False, padding_mode="border") for p in parts)
        drawn = torch.cat([image * coverage, coverage, filled, hole], dim=1)
        return drawn.contiguous(memory_format=torch.channels_last)
