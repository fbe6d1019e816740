"""Local image generation network: coefficients + image to be filled -> local image (patent: claim 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from talkinghead.network.composition import can_be_fused, channels_last, local_images
from talkinghead.network.local_modeller import LocalCoefficients, LocalModeller
from talkinghead.network.mouth_interior import MouthInterior
from talkinghead.network.texture_decoder import TextureDecoder
from talkinghead.network.texture_map_generator import TextureMapGenerator
from talkinghead.network.texture_renderer import TextureRenderer


class LocalImageGenerator(nn.Module):
    """The four layers in sequence: local modelling, texture map generation, texture rendering, texture decoding."""

    def __init__(
        self,
        modeller: LocalModeller,
        texture_map: TextureMapGenerator,
        renderer: TextureRenderer,
        decoder: TextureDecoder,
        interior: MouthInterior | None = None,
    ) -> None:
        """Args: the four layers; the inside of the mouth, rendered with the third; None leaves it to the second."""
        super().__init__()
        self.modeller = modeller
        self.texture_map = texture_map
        self.renderer = renderer
        self.decoder = decoder
        self.interior = interior

    def forward(self, coefficients: LocalCoefficients, filled: Tensor, hole: Tensor) -> Tensor:
        """Generate the local image, (B, 3, H, W) float32, nominally in [0, 1].

        Args:
            coefficients: target local reconstruction coefficients of B crops.
            filled: (B, 3, H, W) image to be filled, 0 in the hole.
            hole: (B, 1, H, W) float32, 1 where the region was removed.
        """
        texture = self.texture_map(coefficients.expression)  # (C, h, w) + (B, C, h', w')
        vertices_px = self.modeller(coefficients)
        rendered = self.renderer(texture, vertices_px, filled, hole)  # (B, C + 5, H, W)
        if self.interior is not None:
            rendered = self.interior(rendered, coefficients, vertices_px)
        if can_be_fused(rendered, self.decoder.leave.weight):
            blocks = channels_last(self.decoder.blocks(rendered))  # (B, H / 2, W / 2, 12)
            return torch.from_numpy(local_images(blocks, channels_last(rendered)))
        image: Tensor = self.decoder(rendered)  # (B, 3, H, W)
        # The first three channels of the texture are colors: the static detail of the skin bypasses the decoder.
        return image.float() + rendered[:, :3]
