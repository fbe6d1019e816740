"""LPIPS: how different two pictures look to a network (Zhang et al. 2018, version 0.1, AlexNet).

The weights, AlexNet's and those on top of it, are not part of this package; nothing else is called LPIPS here.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from talkinghead.errors import CheckpointError
from talkinghead.files import load_arrays
from talkinghead.structures import ByteArray

FORMAT = "talkinghead/lpips/1"
CHANNELS = (64, 192, 384, 256, 256)
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Colours in [-1, 1], less this, over that: what AlexNet was trained on."""
SHORTEST_PX = 32


class Lpips(nn.Module):
    """AlexNet's five rectified layers, compared point by point; layers and names are those of the published weights."""

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
        """Two (B, 3, H, W) in [-1, 1] -> (B,)."""
        total = one.new_zeros(len(one))
        for level, (first, second) in enumerate(zip(self._levels(one), self._levels(other), strict=True)):
            apart = (_unit(first) - _unit(second)).square()
            total = total + self.get_submodule(f"lin{level}")(apart).mean((1, 2, 3))
        return total

    def _levels(self, picture: Tensor) -> list[Tensor]:
        found, value = [], (picture - self.shift) / self.scale
        for layer in self.features:
            value = layer(value)
            if isinstance(layer, nn.ReLU):
                found.append(value)
        return found

    @torch.inference_mode()
    def distance(self, output: ByteArray, reference: ByteArray) -> float:
        """Of two pictures (H, W, 3) uint8 of at least 32 px."""
        pictures = (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1 for image in (output, reference))
        return float(self(*pictures))


class _Weighting(nn.Module):
    """One weight a channel, under the name it has in the file."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Dropout(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, value: Tensor) -> Tensor:
        return self.model(value)


def _unit(value: Tensor) -> Tensor:
    return value / (value.square().sum(1, keepdim=True).sqrt() + 1e-10)


def load_lpips(path: Path) -> Lpips:
    """The network with the published weights, as `talkinghead convert` wrote them.

    Raises:
        MissingFileError, CheckpointError: there is no such file, or it is something else.
    """
    arrays, metadata = load_arrays(path)
    network = Lpips()
    try:
        if metadata.get("format") != FORMAT:
            raise RuntimeError(f"its format is not {FORMAT}")
        network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not hold LPIPS: {error}") from error
    return network.eval()
