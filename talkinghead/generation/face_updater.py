"""Applying a trained face update network to frames: crop, remove the region, fill it, paste it back."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from talkinghead.anchor import Anchor
from talkinghead.device import mixed_precision, to_device
from talkinghead.face.reconstruction import frame_rate_of
from talkinghead.face.region_planes import crop_picture, pasted_picture
from talkinghead.face.region_removal import Crops, place_crops, region_masks, remove_region
from talkinghead.generation.own_range import OwnRange
from talkinghead.generation.passthrough import Reason
from talkinghead.network.coefficients import crop_coefficients
from talkinghead.network.local_modeller import LocalCoefficients
from talkinghead.processes.compiling import start_numba
from talkinghead.structures import BoolArray, ByteArray, FloatArray, Picture, Reconstruction

_NO_IMAGES, _NO_MASKS = np.empty((0, 0, 0, 3), np.float32), np.empty((0, 0, 0), np.uint8)


@dataclass(frozen=True)
class Cut:
    """A batch of B frames whose crops are cut out; for those that have the same names, see `Prepared`."""

    pictures: Sequence[Picture]
    frames: NDArray[np.int64]
    """(B,) numbers of the frames in the clip."""
    usable: NDArray[np.int64]
    crops: Crops
    filled: FloatArray
    holes: ByteArray
    feathers: FloatArray
    covered: BoolArray


@dataclass(frozen=True)
class Prepared:
    """A batch of B frames on its way to the network; U of them show a usable face."""

    pictures: Sequence[Picture]
    """Of B frames."""
    usable: NDArray[np.int64]
    """(U,) positions in the batch of the frames with a usable face."""
    crops: Crops
    """Where the crops of those lie."""
    coefficients: LocalCoefficients
    """Target coefficients of those, as seen in the crops."""
    filled: FloatArray
    """(U, h, w, 3) images to be filled, 0 in the hole; none once the network has run."""
    holes: ByteArray
    """(U, h, w), 1 where the region was removed; none once the network has run."""
    feathers: FloatArray
    """(U, h, w) blend weight of each pixel, in [0, 1]."""
    covered: BoolArray
    """(U,) True where something seems to be in front of the face."""
    blend_weights: FloatArray
    """(U,) share of the generated image in each frame, 0 to 1."""
    reject_reasons: Sequence[Reason | None]
    """Of the B frames: why each is passed through; None where it is not."""

    def frame_weights(self) -> list[float]:
        """The blend weight of all B frames; 0 for frames without a usable face."""
        weights = np.zeros(len(self.pictures))
        weights[self.usable] = self.blend_weights
        return [float(weight) for weight in weights]


class FaceUpdater:
    """The anchor's network, set up for one clip of that person.

    The three steps of `update` may each run in a thread of their own.
    """

    def __init__(self, anchor: Anchor, reconstruction: Reconstruction, device: torch.device) -> None:
        """Copy the network to a device.

        Args:
            anchor: whose network is used; it stays as it is.
            reconstruction: of the clip that the frames come from.
            device: where to compute.
        """
        self.device = device
        self.region = anchor.region
        self.reconstruction = reconstruction
        self.appearance = anchor.appearance
        self.network = copy.deepcopy(anchor.network).placed(device)
        self.crops = place_crops(anchor.region, reconstruction, self.network.config.size_px)
        own = anchor.trained
        self._range = OwnRange.of(anchor.model, own.expression[own.valid], frame_rate_of(own))
        self.bent_frames = 0
        """Number of frames so far whose expression the anchor's clip does not contain, and was bent to what it does."""

    def update(self, images: Sequence[ByteArray], frames: NDArray[np.int64], expression: FloatArray) -> list[ByteArray]:
        """Give frames a new lower face.

        Args:
            images: B frames of the clip, (H, W, 3) uint8.
            frames: (B,) their numbers in the clip.
            expression: (B, K) target expression, in standard deviations.

        Returns:
            B new frames. One without a usable face is returned as it is.
        """
        pictures = [Picture.of(image) for image in images]
        made = self.paste(*self.render(self.prepare(pictures, frames, expression)))
        return [picture.image for picture in made]

    def prepare(self, pictures: Sequence[Picture], frames: NDArray[np.int64], expression: FloatArray) -> Prepared:
        """Cut out the crops and remove the region; of B pictures, and else with the arguments of `update`."""
        return self.driven(self.cut(pictures, frames), expression)

    def cut(self, pictures: Sequence[Picture], frames: NDArray[np.int64]) -> Cut:
        """The part of `prepare` for which the expression need not be known."""
        start_numba()
        usable = np.flatnonzero(self.reconstruction.valid[frames])
        chosen = frames[usable]
        places = Crops(self.crops.to_frame[chosen], self.crops.size_px)
        holes, feathers = region_masks(self.region, self.reconstruction.select(chosen), places)
        crops = np.empty((len(usable), *places.size_px, 3), np.uint8)
        for crop, i, to_frame in zip(crops, usable.tolist(), places.to_frame, strict=True):
            crop[:] = crop_picture(pictures[i], to_frame, places.size_px)
        covered = [self.appearance is not None and self.appearance.is_covered(crop) for crop in crops]
        filled = remove_region(crops, holes)
        return Cut(pictures, frames, usable, places, filled, holes, feathers, np.array(covered, np.bool_))

    def driven(self, cut: Cut, expression: FloatArray) -> Prepared:
        """The rest of `prepare`: (B, K) the expression of frames that have been cut."""
        expression, beyond = self._range.bend(expression[cut.usable])
        self.bent_frames += int(beyond.sum())
        chosen = cut.frames[cut.usable]
        return Prepared(
            pictures=cut.pictures,
            usable=cut.usable,
            crops=cut.crops,
            coefficients=crop_coefficients(self.reconstruction, self.crops, chosen, expression),
            filled=cut.filled,
            holes=cut.holes,
            feathers=cut.feathers,
            covered=cut.covered,
            blend_weights=np.ones(len(cut.usable), np.float32),
            reject_reasons=(None,) * len(cut.pictures),
        )

    @torch.inference_mode()
    def render(self, prepared: Prepared) -> tuple[Prepared, FloatArray]:
        """Run the network: the batch, without the network's images, and its updated crops, (U, h, w, 3) float32."""
        if not prepared.blend_weights.any():
            return prepared, prepared.filled
        image, hole, feather = (
            to_device(torch.from_numpy(array), self.device)
            for array in (prepared.filled, prepared.holes, prepared.feathers)
        )
        image, hole, feather = image.permute(0, 3, 1, 2), hole[:, None].float(), feather[:, None]
        with mixed_precision(self.device):
            _, updated = self.network(prepared.coefficients.to(self.device), image, hole, feather)
        # Several batches wait to be pasted and encoded; what only the network takes is most of their size.
        rendered = replace(prepared, filled=_NO_IMAGES, holes=_NO_MASKS)
        return rendered, np.ascontiguousarray(updated.permute(0, 2, 3, 1).cpu().numpy())

    def paste(self, prepared: Prepared, updated: FloatArray) -> Iterator[Picture]:
        """The B pictures, one after the other, with the updated crops in their places."""
        place_of = {number: place for place, number in enumerate(prepared.usable.tolist())}
        for number, picture in enumerate(prepared.pictures):
            place = place_of.get(number)
            if place is None or not prepared.blend_weights[place]:
                yield picture
            else:
                feather = prepared.feathers[place] * prepared.blend_weights[place]
                yield pasted_picture(picture, updated[place], feather, prepared.crops.to_frame[place])
