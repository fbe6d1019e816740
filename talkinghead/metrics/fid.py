"""FID, the Fréchet distance of two sets of images by features of Inception v3 (Heusel et al. 2017).

The network is the one the first FID was computed with, which pools slightly differently from the published Inception
v3. Its weights are those of `pytorch-fid`, ported from TensorFlow; they are not part of this package.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.structures import ByteArray, FloatArray

IMAGE_PX = 299
"""Side that images are scaled to before the network."""

Kernel = int | tuple[int, int]


class _Convolution(nn.Module):
    """Convolution, batch normalization, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, padding: Kernel = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, value: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(value)))


def _average(value: Tensor) -> Tensor:
    return functional.avg_pool2d(value, 3, 1, 1, count_include_pad=False)


class _BlockA(nn.Module):
    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Convolution(inputs, 64, 1)
        self.branch5x5_1 = _Convolution(inputs, 48, 1)
        self.branch5x5_2 = _Convolution(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = _Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = _Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Convolution(96, 96, 3, padding=1)
        self.branch_pool = _Convolution(inputs, pooled, 1)

    def forward(self, value: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(value))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(value)))
        return torch.cat([self.branch1x1(value), five, three, self.branch_pool(_average(value))], 1)


class _BlockB(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Convolution(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = _Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = _Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Convolution(96, 96, 3, stride=2)

    def forward(self, value: Tensor) -> Tensor:
        twice = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(value)))
        return torch.cat([self.branch3x3(value), twice, functional.max_pool2d(value, 3, 2)], 1)


class _BlockC(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        row: tuple[Kernel, int, Kernel] = ((1, 7), 1, (0, 3))
        column: tuple[Kernel, int, Kernel] = ((7, 1), 1, (3, 0))
        self.branch1x1 = _Convolution(inputs, 192, 1)
        self.branch7x7_1 = _Convolution(inputs, width, 1)
        self.branch7x7_2 = _Convolution(width, width, *row)
        self.branch7x7_3 = _Convolution(width, 192, *column)
        self.branch7x7dbl_1 = _Convolution(inputs, width, 1)
        self.branch7x7dbl_2 = _Convolution(width, width, *column)
        self.branch7x7dbl_3 = _Convolution(width, width, *row)
        self.branch7x7dbl_4 = _Convolution(width, width, *column)
        self.branch7x7dbl_5 = _Convolution(width, 192, *row)
        self.branch_pool = _Convolution(inputs, 192, 1)

    def forward(self, value: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(value)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(value)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(value), seven, twice, self.branch_pool(_average(value))], 1)


class _BlockD(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = _Convolution(inputs, 192, 1)
        self.branch3x3_2 = _Convolution(192, 320, 3, stride=2)
        self.branch7x7x3_1 = _Convolution(inputs, 192, 1)
        self.branch7x7x3_2 = _Convolution(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = _Convolution(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = _Convolution(192, 192, 3, stride=2)

    def forward(self, value: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(value))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(value))))
        return torch.cat([three, seven, functional.max_pool2d(value, 3, 2)], 1)


class _BlockE(nn.Module):
    def __init__(self, inputs: int, *, largest: bool) -> None:
        super().__init__()
        self.largest = largest
        self.branch1x1 = _Convolution(inputs, 320, 1)
        self.branch3x3_1 = _Convolution(inputs, 384, 1)
        self.branch3x3_2a = _Convolution(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = _Convolution(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = _Convolution(inputs, 448, 1)
        self.branch3x3dbl_2 = _Convolution(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _Convolution(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = _Convolution(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = _Convolution(inputs, 192, 1)

    def forward(self, value: Tensor) -> Tensor:
        three = self.branch3x3_1(value)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(value))
        pooled = functional.max_pool2d(value, 3, 1, 1) if self.largest else _average(value)
        parts = [
            self.branch1x1(value),
            self.branch3x3_2a(three),
            self.branch3x3_2b(three),
            self.branch3x3dbl_3a(twice),
            self.branch3x3dbl_3b(twice),
            self.branch_pool(pooled),
        ]
        return torch.cat(parts, 1)


class FidInception(nn.Module):
    """Inception v3 up to its last pooling, as FID uses it; layers have the names of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, 3)
        self.Mixed_5b = _BlockA(192, 32)
        self.Mixed_5c = _BlockA(256, 64)
        self.Mixed_5d = _BlockA(288, 64)
        self.Mixed_6a = _BlockB(288)
        self.Mixed_6b = _BlockC(768, 128)
        self.Mixed_6c = _BlockC(768, 160)
        self.Mixed_6d = _BlockC(768, 160)
        self.Mixed_6e = _BlockC(768, 192)
        self.Mixed_7a = _BlockD(768)
        self.Mixed_7b = _BlockE(1280, largest=False)
        self.Mixed_7c = _BlockE(2048, largest=True)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 2048)."""
        value = functional.interpolate(images, (IMAGE_PX, IMAGE_PX), mode="bilinear", align_corners=False)
        value = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(2 * value - 1)))
        value = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(functional.max_pool2d(value, 3, 2)))
        value = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(functional.max_pool2d(value, 3, 2))))
        value = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(value)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(value))).mean((2, 3))

    @torch.inference_mode()
    def features(self, image: ByteArray) -> FloatArray:
        """(2048,) features of one image (H, W, 3) uint8."""
        return np.asarray(self(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)[0].numpy(), np.float32)


def frechet_distance(output: Sequence[FloatArray], reference: Sequence[FloatArray]) -> float:
    """Fréchet distance between normal distributions fitted to two sets of features (F,); NaN of fewer than two.

    |mean1 - mean2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2)). The trace of the root is the sum of the singular values of the
    product of both sets' centered features, which is exact for few images too.
    """
    if len(output) < 2 or len(reference) < 2:
        return float("nan")
    (one, first), (other, second) = (_centered(np.stack(part).astype(np.float64)) for part in (output, reference))
    cross = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(np.square(one - other).sum() + np.square(first).sum() + np.square(second).sum() - 2 * cross)


def _centered(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(F,) mean, and the (N, F) centered features scaled so that their squares sum to the trace of the covariance."""
    mean = features.mean(0)
    return mean, (features - mean) / np.sqrt(len(features) - 1)
