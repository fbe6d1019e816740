"""Evaluation of a face update network in training, on samples that are held out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkinghead.device import mixed_precision
from talkinghead.media.images import image_grid
from talkinghead.network.face_update_network import FaceUpdateNetwork
from talkinghead.structures import ByteArray
from talkinghead.training.face_update.losses import pixel_weight
from talkinghead.training.face_update.samples import SampleBatch, Samples
from talkinghead.training.face_update.sharpening import matching_sharpening

SHOWN_SAMPLES = 8
"""Samples on the contact sheet."""


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


def evaluate(batches: Iterable[HeldOutBatch], count: int) -> tuple[float, ByteArray]:
    """PSNR in the region over all held-out samples, and a contact sheet of some of them.

    Args:
        batches: what `held_out_batches` gives.
        count: how many samples these hold together.

    Returns:
        PSNR in dB, and an image (H, W, 3) on which each sample is shown as it is, cut out, and updated.
    """
    squared_errors, rows = [], []
    shown = set(np.linspace(0, count - 1, SHOWN_SAMPLES).astype(int).tolist())
    number = 0
    for batch in batches:
        image, updated = batch.samples.image, batch.updated
        inside = (batch.samples.feather > 0).float()
        squared = ((updated - image) ** 2 * inside).sum((1, 2, 3)) / (3 * inside.sum((1, 2, 3)))
        squared_errors.append(squared.cpu())
        for offset in range(len(image)):
            if number in shown:
                rows.append([_to_bytes(one[offset]) for one in (image, batch.samples.filled, updated)])
            number += 1
    psnr_db = float(-10 * torch.log10(torch.cat(squared_errors).mean()))
    # Two samples side by side make a row; a sample without a partner is left out unless it is the only one.
    return psnr_db, image_grid([a + b for a, b in zip(rows[::2], rows[1::2], strict=False)] or rows)


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


def _to_bytes(image: Tensor) -> ByteArray:
    """(3, H, W) in [0, 1] -> (H, W, 3) uint8."""
    return np.asarray((image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy())
