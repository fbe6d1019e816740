"""Evaluation of a face update network in training, on samples that are held out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkinghead.device import mixed_precision
from talkinghead.network.face_update_network import FaceUpdateNetwork
from talkinghead.training.face_update.discriminator import mouth_windows
from talkinghead.training.face_update.losses import pixel_weight
from talkinghead.training.face_update.quality import HeldOutQuality
from talkinghead.training.face_update.samples import SampleBatch, Samples
from talkinghead.training.face_update.sharpening import matching_sharpening

Distance = Callable[[Tensor, Tensor], Tensor]
LARGEST_PSNR_DB = 100.0
"""PSNR of identical images, which would be infinite."""


@dataclass(frozen=True)
class HeldOutBatch:
    """Held-out samples, and the network's output for them."""

    chosen: NDArray[np.int64]
    """(B,) numbers of the samples."""
    samples: SampleBatch
    updated: Tensor
    """(B, 3, H, W) in [0, 1]."""


@torch.no_grad()
def held_out_batches(
    network: FaceUpdateNetwork,
    samples: Samples,
    held_out: NDArray[np.int64],
    batch_size: int,
    device: torch.device,
) -> Iterator[HeldOutBatch]:
    """Run held-out samples through a network, batch by batch.

    Args:
        network: on the device, in evaluation mode.
        samples: all of the clip's.
        held_out: numbers of those to run.
        batch_size: B.
        device: where to run them.
    """
    for start in range(0, len(held_out), batch_size):
        chosen = held_out[start : start + batch_size]
        batch = samples.batch(chosen, device)
        with mixed_precision(device):
            _, updated = network(batch.coefficients.to(device), batch.filled, batch.hole, batch.feather)
        yield HeldOutBatch(chosen, batch, updated.clamp(0, 1))


@torch.no_grad()
def measure(batches: Iterable[HeldOutBatch], distance: Distance, stride: int = 1) -> HeldOutQuality:
    """Compare held-out samples with what the network makes of them.

    Args:
        batches: what `held_out_batches` gives; at least one sample.
        distance: perceptual distance of two batches of images, (B, 3, h, w) x 2 -> (B,).
        stride: of every so many samples one is given to `distance`, which takes longer than all the rest.
    """
    in_region, at_mouth, distances = [], [], []
    count = 0
    for batch in batches:
        image, updated, mouth_px = batch.samples.image, batch.updated.float(), batch.samples.mouth_px
        squared = (updated - image) ** 2
        inside = (batch.samples.feather > 0).float()
        in_region.append((squared * inside).sum((1, 2, 3)) / (3 * inside.sum((1, 2, 3))))
        at_mouth.append(mouth_windows(squared, mouth_px).mean((1, 2, 3)))
        compared = slice(-count % stride, None, stride)
        if len(mouth_px[compared]):
            windows = (mouth_windows(one[compared], mouth_px[compared]) for one in (updated, image))
            distances.append(distance(*windows))
        count += len(mouth_px)
    region, mouth, perceived = (float(torch.cat(values).mean()) for values in (in_region, at_mouth, distances))
    return HeldOutQuality(_psnr_db(region), _psnr_db(mouth), perceived)


def find_sharpening(batches: Iterable[HeldOutBatch], mouth_weight: float) -> float:
    """The amount of sharpening with which updated images are as sharp as the clip's; see `matching_sharpening`.

    Args:
        batches: what `held_out_batches` gives.
        mouth_weight: of the mouth's pixels against the rest of the region.
    """
    results = list(batches)
    generated = torch.cat([result.updated for result in results])
    real = torch.cat([result.samples.image for result in results])
    weight = torch.cat([pixel_weight(r.samples.feather, r.samples.mouth_px, mouth_weight) for r in results])
    return matching_sharpening(generated, real, weight)


def _psnr_db(squared_error: float) -> float:
    """PSNR of images in [0, 1] by their mean squared error; NaN stays NaN."""
    return LARGEST_PSNR_DB if squared_error == 0 else min(-10 * math.log10(squared_error), LARGEST_PSNR_DB)
