"""Shift-tolerant LPIPS: how different two images look to a network that was trained on people's judgments.

Source: Ghildyal and Liu 2022, Shift-tolerant Perceptual Similarity Metric; after Zhang et al. 2018. The network is an
AlexNet in which every stride is a blur and a subsampling, so that an image shifted by a pixel is nearly the same image.
The weights lie inside the package stlpips-pytorch, of which nothing else is used. It is no LPIPS: other weights, other
numbers.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.structures import ByteArray
from talkinghead.weights.registry import packaged_file

REQUIREMENT = "stlpips-pytorch==0.0.2"
WEIGHTS_FILE = Path("weights/vST0.0/alex_shift_tolerant.pth")
WEIGHTS_SHA256 = "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee"
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Mean and deviation of the images that the network was trained on, for values in [-1, 1]."""
CHANNELS = (64, 192, 384, 256, 256)
"""Of the five layers that are compared."""
SHORTEST_PX = 32
"""Shortest side of an image, px, that the network can take."""
LONGEST_PX = 128
"""Longest side that `distance` compares at; larger images are scaled to it, because the work grows with their area."""


class ShiftTolerantLpips(nn.Module):
    """Distance of image pairs; its weights stay as they are, and gradients go through it to the images."""

    shift: Tensor
    scale: Tensor
    blur: Tensor
    """(3, 3) binomial filter before each subsampling."""

    def __init__(self) -> None:
        """With random weights; see `load`."""
        super().__init__()
        inputs, kernels, paddings = (3, *CHANNELS[:-1]), (11, 5, 3, 3, 3), (2, 2, 1, 1, 1)
        sizes = zip(inputs, CHANNELS, kernels, paddings, strict=True)
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, kernel, padding=side) for a, b, kernel, side in sizes)
        self.weights = nn.ParameterList(torch.zeros(1, channels, 1, 1) for channels in CHANNELS)
        """How much each channel's difference counts."""
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("blur", line[:, None] * line)
        self.requires_grad_(False)

    @classmethod
    def load(cls) -> ShiftTolerantLpips:
        """The published weights.

        Raises:
            ModelUnavailableError: the package is not installed, or of another version.
        """
        return _loaded()

    def forward(self, images: Tensor, others: Tensor, *, quick: bool = False) -> Tensor:
        """Distances, (B,), 0 for equal images.

        Args:
            images, others: (B, 3, H, W) in [0, 1] each, H and W at least 32.
            quick: for training: of the first three layers, which see details, the first and its blur as one. That is a
                fifth of the work.
        """
        distance = images.new_zeros(len(images))
        pairs = zip(self._layers(images, quick), self._layers(others, quick), self.weights, strict=False)
        for one, other, weight in pairs:
            difference = (_unit(one.float()) - _unit(other.float())) ** 2
            distance = distance + (difference * weight).sum(1).mean((1, 2))
        return distance

    @torch.inference_mode()
    def distance(self, output: ByteArray, reference: ByteArray) -> float:
        """Distance of two images (H, W, 3) uint8 whose sides are at least `SHORTEST_PX`, at most `LONGEST_PX` large."""
        pair = [output, reference]
        scale = LONGEST_PX / max(reference.shape[:2])
        if scale < 1:
            size = [max(round(side * scale), SHORTEST_PX) for side in reference.shape[1::-1]]
            pair = [np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8) for image in pair]
        images = (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in pair)
        return float(self(*images))

    def _layers(self, images: Tensor, quick: bool) -> list[Tensor]:
        """Outputs of the layers that are compared: all five, or three."""
        first, second, *others = self.convolutions[:3] if quick else self.convolutions
        normalized = (images * 2 - 1 - self.shift) / self.scale
        # Channels-last, in which the poolings take a third of the time; the values are the same.
        normalized = normalized.contiguous(memory_format=torch.channels_last)
        layers = [functional.relu(self._first_halved(normalized) if quick else self._halved(first(normalized)))]
        layers.append(functional.relu(second(self._pooled(layers[-1]))))
        hidden = self._pooled(layers[-1])
        for convolution in others:
            hidden = functional.relu(convolution(hidden))
            layers.append(hidden)
        return layers

    def _first_halved(self, images: Tensor) -> Tensor:
        """The first layer, halved, as one convolution: kernels of 11 blurred by 3 are kernels of 13.

        It differs along the image's edges, where the blur reflects.
        """
        first = cast(nn.Conv2d, self.convolutions[0])
        kernels = functional.conv2d(first.weight.flatten(0, 1)[:, None], self.blur[None, None], padding=2)
        kernels = kernels.view(*first.weight.shape[:2], 13, 13)
        halved = functional.conv2d(images, kernels, first.bias, stride=2, padding=4)
        height, width = ((side - 3) // 2 for side in images.shape[-2:])
        return halved[..., :height, :width]

    def _pooled(self, hidden: Tensor) -> Tensor:
        return self._halved(functional.max_pool2d(hidden, 3, stride=1))

    def _halved(self, hidden: Tensor) -> Tensor:
        """Blur and keep every second row and column."""
        channels = hidden.shape[1]
        padded = functional.pad(hidden, (2, 2, 2, 2), mode="reflect")
        return functional.conv2d(padded, self.blur.expand(channels, 1, 3, 3), stride=2, groups=channels)


def _unit(features: Tensor) -> Tensor:
    """Features with the length 1 at each place."""
    return features / (features.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)


@functools.cache
def _loaded() -> ShiftTolerantLpips:
    """The network with its weights, read once; the file is checked against its hash before it is opened."""
    path = packaged_file("stlpips_pytorch", WEIGHTS_FILE, WEIGHTS_SHA256, REQUIREMENT)
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    network = ShiftTolerantLpips()
    convolutions = [name.removesuffix(".weight") for name in state if name.startswith("net.") and state[name].ndim == 4]
    convolutions = [name for name in convolutions if not name.endswith("filt")]
    for convolution, name in zip(network.convolutions, convolutions, strict=True):
        convolution.load_state_dict({part: state[f"{name}.{part}"] for part in ("weight", "bias")})
    for number, weight in enumerate(network.weights):
        weight.copy_(state[f"lin{number}.model.1.weight"])
    return network.eval()
