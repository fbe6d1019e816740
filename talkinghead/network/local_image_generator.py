"""Local image generation network: coefficients + image to be filled -> local image."""

from __future__ import annotations

from torch import Tensor, nn

from talkinghead.network.local_modeller import LocalCoefficients, LocalModeller
from talkinghead.network.texture_decoder import TextureDecoder
from talkinghead.network.texture_map_generator import TextureMapGenerator
from talkinghead.network.texture_renderer import TextureRenderer


class LocalImageGenerator(nn.Module):
    """Local modelling, texture map generation, texture rendering, texture decoding (patent: claim 3)."""

    def __init__(
        self,
        modeller: LocalModeller,
        texture_map: TextureMapGenerator,
        renderer: TextureRenderer,
        decoder: TextureDecoder,
    ) -> None:
        super().__init__()
        self.modeller = modeller
        self.texture_map = texture_map
        self.renderer = renderer
        self.decoder = decoder

    def forward(self, coefficients: LocalCoefficients, filled: Tensor, hole: Tensor) -> Tensor:
        """-> (B, 3, H, W) local image.

        Args:
            coefficients: target local reconstruction coefficients of B crops.
            filled: (B, 3, H, W) image to be filled, 0 in the hole.
            hole: (B, 1, H, W) float32, 1 where the region was removed.
        """
        texture = self.texture_map(coefficients.expression)
        drawn = self.renderer(texture, self.modeller(coefficients), filled, hole)
        image: Tensor = self.decoder(drawn)
        # The first channels of the texture are colours: what lies still on the skin need not pass through the decoder.
        return image.float() + drawn[:, :3]
