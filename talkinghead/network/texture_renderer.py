"""Texture rendering layer: texture map + mesh -> multi-channel local image (patent: claim 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.network.rasterize import Backend, best_backend, draw_textured, rasterize
from talkinghead.network.texture_map_generator import TextureMap


class TextureRenderer(nn.Module):
    """Draws the textured mesh (deferred neural rendering, Thies et al. 2019), without trained weights."""

    triangles: Tensor
    """(F, 3) vertex numbers."""
    uv: Tensor
    """(V, 2) texture coordinates in [0, 1]."""

    def __init__(self, triangles: Tensor, uv: Tensor, size_px: tuple[int, int], backend: Backend | None = None) -> None:
        """Build the layer.

        Args:
            triangles: (F, 3) vertex numbers.
            uv: (V, 2) texture coordinates in [0, 1].
            size_px: height and width of the crop.
            backend: of the rasterizer; None chooses the fastest for the device.
        """
        super().__init__()
        self.register_buffer("triangles", triangles, persistent=False)
        self.register_buffer("uv", uv, persistent=False)
        self.size_px = size_px
        self.backend = backend

    def forward(self, texture: TextureMap, vertices_px: Tensor, filled: Tensor, hole: Tensor) -> Tensor:
        """Render (B, C + 5, H, W) float32, channels-last: sampled texture, coverage by the mesh, `filled`, `hole`.

        Args:
            texture: of B expressions, C channels.
            vertices_px: (B, V, 3), see `LocalModeller`.
            filled: (B, 3, H, W) image to be filled.
            hole: (B, 1, H, W), 1 where the region was removed.
        """
        base, change = texture.base, texture.change
        # Without gradients on the CPU, one fused kernel does all of it.
        needs_gradients = torch.is_grad_enabled() and any(part.requires_grad for part in (base, change, vertices_px))
        if not needs_gradients and (self.backend or best_backend(vertices_px.device)) == "numba" and base.is_cpu:
            return draw_textured(vertices_px, self.triangles, self.uv, base, change, filled, hole)
        uv, coverage = rasterize(
            vertices_px, self.triangles, self.uv, *self.size_px, self.backend
        )  # (B, 2, H, W), (B, 1, H, W)
        grid = uv.permute(0, 2, 3, 1) * 2 - 1  # (B, H, W, 2) in [-1, 1]
        parts = (base.float().expand(len(change), -1, -1, -1), change.float())
        image = sum(functional.grid_sample(p, grid, align_corners=False, padding_mode="border") for p in parts)
        # Pixels that the mesh does not cover have uv = 0, a sample of a corner: the coverage removes it.
        rendered = torch.cat([image * coverage, coverage, filled, hole], dim=1)
        return rendered.contiguous(memory_format=torch.channels_last)
