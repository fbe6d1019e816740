"""training.png: held-out frames as the clip has them, beside what the network makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkinghead.device import mixed_precision
from talkinghead.media.images import GAP_PX, captions, image_grid, write_png
from talkinghead.network.face_update_network import FaceUpdateNetwork
from talkinghead.network.local_modeller import LocalCoefficients
from talkinghead.structures import ByteArray
from talkinghead.training.face_update.own_speech import OwnSpeech
from talkinghead.training.face_update.samples import SampleBatch, Samples

SHOWN_SAMPLES = 6
"""Most frames on the sheet, a row each."""
COLUMNS = (
    "The clip's frame",
    "The region removed from it",
    "Drawn from the frame's own expression",
)
DRIVEN = "Driven by the clip's own speech"


class HeldOutSheet:
    """A picture of some held-out samples, to be written again as the network improves.

    The columns are `COLUMNS`, and `DRIVEN` where the clip has speech; a caption is drawn above each.
    """

    def __init__(self, path: Path, samples: Samples, shown: NDArray[np.int64], own_speech: OwnSpeech) -> None:
        """Args: file to write, a PNG; all of the clip's samples; (S,) numbers of those to show; the expression that
        speech gives these."""
        self.path = path
        self.samples = samples
        self.shown = shown
        self.own_speech = own_speech

    def write(self, network: FaceUpdateNetwork, device: torch.device, headline: str) -> None:
        """Draw the samples by a network, which is on the device and in evaluation mode, and write the sheet.

        Raises:
            OutputError: the file cannot be written.
        """
        batch = self.samples.batch(self.shown, device)
        columns = [batch.image, batch.filled, _drawn(network, batch, batch.coefficients, device)]
        if self.own_speech.expression is not None:
            driven = replace(batch.coefficients, expression=torch.from_numpy(self.own_speech.expression))
            columns.append(_drawn(network, batch, driven, device))
        rows = [[_to_bytes(image) for image in row] for row in zip(*columns, strict=True)]
        write_png(self.path, self._captioned(rows, headline))

    def _captioned(self, rows: Sequence[Sequence[ByteArray]], headline: str) -> ByteArray:
        """The headline, a caption for each column, and the images below."""
        lines, titles = [headline], list(COLUMNS)
        if self.own_speech.expression is None:
            lines.append(f"No column is driven by speech: {self.own_speech.reason}.")
        else:
            titles.append(DRIVEN)
        grid = image_grid(rows)
        parts = [captions([line], grid.shape[1] - 2 * GAP_PX) for line in lines]
        return np.vstack([*parts, captions(titles, rows[0][0].shape[1]), grid])


def shown_samples(held_out: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the samples to show: at most `SHOWN_SAMPLES` of those held out, evenly spread."""
    return held_out[np.unique(np.linspace(0, len(held_out) - 1, SHOWN_SAMPLES).astype(int))]


@torch.no_grad()
def _drawn(
    network: FaceUpdateNetwork, batch: SampleBatch, coefficients: LocalCoefficients, device: torch.device
) -> Tensor:
    """The batch's images with new mouths, (B, 3, H, W)."""
    with mixed_precision(device):
        _, updated = network(coefficients.to(device), batch.filled, batch.hole, batch.feather)
    return updated


def _to_bytes(image: Tensor) -> ByteArray:
    """(3, H, W) in [0, 1] -> (H, W, 3) uint8."""
    return np.asarray((image.float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy())
