"""The face update network: local image generation network + image composition network (patent: claim 2)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from talkinghead.face.face_model import PersonFace
from talkinghead.network.compositor import Compositor
from talkinghead.network.local_image_generator import LocalImageGenerator
from talkinghead.network.local_modeller import LocalCoefficients, LocalModeller
from talkinghead.network.mouth_interior import MouthInterior
from talkinghead.network.rasterize import Backend
from talkinghead.network.texture_decoder import TextureDecoder
from talkinghead.network.texture_map_generator import TextureMapGenerator
from talkinghead.network.texture_renderer import TextureRenderer


@dataclass(frozen=True)
class FaceUpdateConfig:
    """Sizes of the network, stored in its checkpoint."""

    expressions: int
    """K, expression coefficients that drive it."""
    size_px: tuple[int, int]
    """Height and width of the crop, multiples of 16."""
    texture_channels: int = 11
    """C, channels of the texture map; with coverage, image and hole, 11 give the decoder 16 inputs, which are fast."""
    texture_size: int = 256
    """Side of the texture map, texels."""
    widths: tuple[int, ...] = (16, 48, 64, 96)
    """Channels of the decoder's levels, from half resolution downwards."""
    interior: bool = True
    """Whether teeth have textures of their own behind the lips."""
    sharpening: float = 0.0
    """Weight of the local image's fine detail that is added to it; chosen on held-out frames after training."""

    def as_json(self) -> dict[str, Any]:
        """The sizes as plain values for JSON."""
        return asdict(self)


class FaceUpdateNetwork(nn.Module):
    """Draws the lower face of a person anew in a face image, with given expression coefficients."""

    def __init__(self, config: FaceUpdateConfig, face: PersonFace, backend: Backend | None = None) -> None:
        """Build it with random weights.

        Args:
            config: sizes.
            face: the person's, which gives the neutral shape of the local region.
            backend: of the rasterizer; None chooses the fastest for the device.
        """
        model = face.model
        super().__init__()
        self.config = config
        self.generator = LocalImageGenerator(
            LocalModeller(torch.from_numpy(face.local_neutral), torch.from_numpy(model.reach_basis)),
            TextureMapGenerator(config.expressions, config.texture_channels, config.texture_size),
            TextureRenderer(torch.from_numpy(model.triangles), torch.from_numpy(model.uv), config.size_px, backend),
            TextureDecoder(config.texture_channels + 5, config.widths),
            MouthInterior(face, config.texture_channels, backend) if config.interior else None,
        )
        self.compositor = Compositor(sharpening=config.sharpening)

    def forward(
        self, coefficients: LocalCoefficients, filled: Tensor, hole: Tensor, feather: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Generate the local image and the updated face image, both (B, 3, H, W) float32, nominally in [0, 1].

        Args:
            coefficients: target local reconstruction coefficients of B crops.
            filled: (B, 3, H, W) float32 image to be filled, 0 in the hole.
            hole: (B, 1, H, W) float32, 1 where the region was removed.
            feather: (B, 1, H, W) float32 in [0, 1], see `region_removal.region_masks`.
        """
        local = self.generator(coefficients, filled, hole)
        return local, self.compositor(local, filled, hole, feather)

    def placed(self, device: torch.device) -> FaceUpdateNetwork:
        """Move this network to a device and its weights to channels-last order, which is faster on all devices.

        Changes the network in place and returns it.
        """
        self.to(device)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        base = self.generator.texture_map.base
        base.data = base.data[None].contiguous(memory_format=torch.channels_last)[0]
        return self
