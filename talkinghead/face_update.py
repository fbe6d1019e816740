"""Applying a trained face update network to frames: crop, remove the region, fill it, paste it back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from talkinghead.anchor import Anchor, crop_coefficients
from talkinghead.network.local_modeller import LocalCoefficients
from talkinghead.precision import mixed_precision
from talkinghead.region_removal import Crops, crop_frame, paste_back, place_crops, region_masks, remove_region
from talkinghead.structures import ByteArray, FloatArray, Reconstruction


class FaceUpdater:
    """The anchor's network, set up for one clip of that person."""

    def __init__(self, anchor: Anchor, reconstruction: Reconstruction, device: torch.device) -> None:
        """Args: the anchor, the reconstruction of the clip that the frames come from, where to compute."""
        self.device = device
        self.region = anchor.region
        self.reconstruction = reconstruction
        self.network = anchor.network.placed(device)
        self.crops = place_crops(anchor.region, reconstruction, self.network.config.size_px)

    @torch.inference_mode()
    def update(self, images: Sequence[ByteArray], frames: NDArray[np.int64], expression: FloatArray) -> list[ByteArray]:
        """Give frames a new lower face.

        Args:
            images: B frames of the clip, (H, W, 3) uint8.
            frames: (B,) their numbers in the clip.
            expression: (B, K) target expression, in standard deviations.

        Returns:
            B new frames. One without a usable face is returned as it is.
        """
        usable = np.flatnonzero(self.reconstruction.valid[frames])
        results = list(images)
        if not len(usable):
            return results
        chosen = frames[usable]
        places = Crops(self.crops.to_frame[chosen], self.crops.size_px)
        holes, feathers = region_masks(self.region, self.reconstruction.select(chosen), places)
        crops = np.stack(
            [
                crop_frame(images[i], to_frame, places.size_px)
                for i, to_frame in zip(usable.tolist(), places.to_frame, strict=True)
            ]
        )
        filled = remove_region(crops.astype(np.float32) / np.float32(255), holes)
        coefficients = crop_coefficients(self.reconstruction, self.crops, chosen, expression[usable])
        updated = self._run(coefficients, filled, holes, feathers)
        for i, new, feather, to_frame in zip(usable.tolist(), updated, feathers, places.to_frame, strict=True):
            results[i] = paste_back(images[i], new, feather, to_frame)
        return results

    def _run(
        self, coefficients: LocalCoefficients, filled: FloatArray, holes: ByteArray, feathers: FloatArray
    ) -> FloatArray:
        image = torch.from_numpy(filled).to(self.device).permute(0, 3, 1, 2)
        hole = torch.from_numpy(holes).to(self.device)[:, None].float()
        feather = torch.from_numpy(feathers).to(self.device)[:, None]
        with mixed_precision(self.device):
            _, updated = self.network(coefficients.to(self.device), image, hole, feather)
        return np.ascontiguousarray(updated.permute(0, 2, 3, 1).cpu().numpy())
