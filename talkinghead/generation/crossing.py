"""The crossing of a loop: frames between two moments of a clip that are alike, warped onto each other and blended.

Both sides go on while one fades into the other, so that no frame is shown twice and motion does not stop. The pose of a
blended frame lies between the poses of its two sides; the picture is warped to the same place between them by dense
optical flow (Kroeger et al. 2016, Fast Optical Flow using Dense Inverse Search), so that both agree and the network can
draw the lower face into it as into any other frame.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.face.region_removal import Crops, LocalRegion, crop_frame, paste_back, place_crops, region_masks
from talkinghead.face.rotations import axis_angles, rotation_matrices
from talkinghead.structures import ByteArray, FloatArray, Loop, Reconstruction

FLOW_PX = 960
"""Longest side of the images between which the flow is computed, pixels; it is enlarged to that of the frames."""
SMOOTH = 0.015
"""Standard deviation of the window over which the flow is averaged, as a share of the image's longest side."""
AGREES_PX = 1.0
"""Distance between a pixel and where flow forth and back lead it, pixels, at which the flow is trusted no longer."""
PLAIN = 2.0
"""Weight in that average of pixels without any detail, as a gradient of gray values."""
UNKNOWN = 0.5
"""Weight in it of no motion at all, which is what is left where no flow can be trusted."""
CROP_PX = 256
"""Width of the crops with which the flow is kept from following the mouth, pixels."""


@dataclass(frozen=True)
class Crossing:
    """The blended frames of a loop; they have the numbers after those of the clip."""

    loop: Loop
    region: LocalRegion
    """The lower face, which is drawn anew."""
    reconstruction: Reconstruction
    """Of the clip alone, T frames."""

    @property
    def first(self) -> int:
        """Number of the first blended frame: T."""
        return len(self.reconstruction)

    @property
    def weights(self) -> NDArray[np.float64]:
        """(N,) share of the side that is gone on with in each blended frame, rising, above 0 and below 1."""
        share = np.arange(1, self.loop.frames + 1) / (self.loop.frames + 1)
        return share * share * (3 - 2 * share)

    @property
    def extended(self) -> Reconstruction:
        """The clip's reconstruction, and after it the coefficients of the blended frames: T + N frames."""
        clip, loop = self.reconstruction, self.loop
        steps = np.arange(loop.frames)
        blended = between(clip.select(loop.leave + steps), clip.select(loop.enter + steps), self.weights)
        step_s = float(np.median(np.diff(clip.times_s)))
        blended = replace(blended, times_s=clip.times_s[-1] + step_s * (steps + 1))
        joined = {
            field.name: np.concatenate([getattr(clip, field.name), getattr(blended, field.name)])
            for field in fields(Reconstruction)
            if field.name != "identity"
        }
        return Reconstruction(identity=clip.identity, **joined)

    def blend(self, step: int, left: ByteArray, entered: ByteArray) -> ByteArray:
        """One blended frame.

        Args:
            step: its number in the crossing, from 0 on.
            left, entered: frames leave + step and enter + step of the clip, (H, W, 3) uint8.
        """
        weight = float(self.weights[step])
        numbers = np.array([self.loop.leave + step, self.loop.enter + step])
        painted = self._with_mouth_of(left, entered, numbers)
        forth, back = _flows(left, painted)
        # Where a point of the frame between comes from: against the way that it has gone from either side.
        left_warped = _warped(left, -weight * forth)
        entered_warped = _warped(entered, -(1 - weight) * back)
        return np.asarray(cv2.addWeighted(left_warped, 1 - weight, entered_warped, weight, 0), np.uint8)

    def _with_mouth_of(self, left: ByteArray, entered: ByteArray, numbers: NDArray[np.int64]) -> ByteArray:
        """The frame that is entered, with the lower face of the one that is left: between them, the flow of the lower
        face is that of the head, and not that of a mouth which is replaced anyway."""
        size_px = (round(CROP_PX * self.region.height_cm / self.region.width_cm), CROP_PX)
        chosen = self.reconstruction.select(numbers)
        crops = place_crops(self.region, chosen, size_px)
        one = np.array([1])
        _, feathers = region_masks(self.region, chosen.select(one), Crops(crops.to_frame[1:], size_px))
        crop = crop_frame(left, crops.to_frame[0], size_px).astype(np.float32) / np.float32(255)
        return paste_back(entered, crop, feathers[0], crops.to_frame[1])


def between(left: Reconstruction, right: Reconstruction, weights: NDArray[np.float64]) -> Reconstruction:
    """Coefficients between those of two times N frames; at weight 0 those of the left ones, at 1 of the right ones.

    Times and identity are the left ones'.
    """
    share = weights[:, None]
    turned = rotation_matrices(left.rotation)
    rest = axis_angles(rotation_matrices(right.rotation) @ turned.swapaxes(1, 2))
    logs = (1 - weights) * np.log(left.scale) + weights * np.log(right.scale)
    return Reconstruction(
        identity=left.identity,
        expression=_mixed(left.expression, right.expression, share),
        rotation=axis_angles(rotation_matrices(share * rest) @ turned).astype(np.float32),
        translation=_mixed(left.translation, right.translation, share),
        scale=np.exp(logs).astype(np.float32),
        valid=left.valid & right.valid,
        times_s=left.times_s,
        misfit_cm=np.maximum(left.misfit_cm, right.misfit_cm),
    )


def _mixed(left: FloatArray, right: FloatArray, share: NDArray[np.float64]) -> FloatArray:
    return ((1 - share) * left + share * right).astype(np.float32)


def _flows(left: ByteArray, right: ByteArray) -> tuple[FloatArray, FloatArray]:
    """Dense optical flow from one image to another and back, each (H, W, 2) float32 px, smooth and without tears."""
    height, width = left.shape[:2]
    shrink = min(1.0, FLOW_PX / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    grays = [
        np.asarray(cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA), np.uint8)
        for image in (left, right)
    ]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    nothing = np.zeros((*size[::-1], 2), np.float32)
    forth, back = (
        np.asarray(search.calc(start, end, nothing.copy()), np.float32) for start, end in (grays, grays[::-1])
    )
    zoom = np.array([width / size[0], height / size[1]], np.float32)
    enlarged = [
        zoom * np.asarray(cv2.resize(_smoothed(gray, flow, other), (width, height), interpolation=cv2.INTER_LINEAR))
        for gray, flow, other in ((grays[0], forth, back), (grays[1], back, forth))
    ]
    return enlarged[0].astype(np.float32), enlarged[1].astype(np.float32)


def _smoothed(gray: ByteArray, flow: FloatArray, other: FloatArray) -> FloatArray:
    """A flow averaged over the neighborhood, (H / 4, W / 4, 2), weighted by how far it can be trusted: where the image
    has detail, and where the flow back leads to the same place. Plain areas beside an edge otherwise tear."""
    height, width = gray.shape
    returned = flow + _sampled(other, _grid(height, width) + flow, cv2.INTER_LINEAR)
    agrees = np.exp(-(returned**2).sum(2) / (2 * AGREES_PX**2))
    detail = np.hypot(*(cv2.Sobel(gray, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1))))
    trust = (agrees * (detail + PLAIN)).astype(np.float32)
    # Averages are as smooth as their window: a quarter of the pixels on each side is enough for them.
    size, sigma = (max(1, width // 4), max(1, height // 4)), SMOOTH * max(height, width) / 4
    weighted, total = (
        cv2.GaussianBlur(cv2.resize(values, size, interpolation=cv2.INTER_AREA), (0, 0), sigma)
        for values in (flow * trust[..., None], trust)
    )
    return np.asarray(weighted / (total[..., None] + UNKNOWN), np.float32)


def _grid(height: int, width: int) -> FloatArray:
    """(H, W, 2) float32, x and y of each pixel."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)


def _warped(image: ByteArray, offsets: FloatArray) -> ByteArray:
    """An image sampled at offsets (H, W, 2), in pixels, from each of its pixels."""
    return np.asarray(_sampled(image, _grid(*image.shape[:2]) + offsets, cv2.INTER_CUBIC), np.uint8)


def _sampled(values: NDArray[Any], places: FloatArray, interpolation: int) -> NDArray[Any]:
    """(H, W, C) values sampled at places (H, W, 2) in their pixels; beyond the edge it is repeated."""
    rows, columns = places[..., 0], places[..., 1]
    return np.asarray(cv2.remap(values, rows, columns, interpolation, borderMode=cv2.BORDER_REPLICATE))
