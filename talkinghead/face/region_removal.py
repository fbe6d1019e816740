"""Region removal: which part of a frame is cut out, from identity and rigid pose alone.

If the cut followed the frame's own expression, its edge would tell the network how the mouth stands, and the
old mouth would leak into the new video. So the region is a fixed outline on the head: the edge of the local
mesh at rest, pushed outwards as far as any likely expression can carry it (the lowest chin included).
The outline turns and moves with the skull and with nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.face.face_model import PersonFace
from talkinghead.face.reconstruction import rotation_matrices
from talkinghead.structures import ByteArray, FloatArray, Reconstruction

REACH_SIGMA = 2.5
"""Expressions up to this many standard deviations stay inside the outline."""
MARGIN_CM = 0.25
"""Added all round, for landmarks that are a little off."""
FEATHER_CM = 0.7
"""Width of the band around the hole in which the new picture fades into the old one."""
EDGE_PX = 6
"""Width of the strip along the crop's edge in which nothing may change abruptly."""
CONTEXT_CM = 0.5
"""Untouched picture that the network sees around the band."""


@dataclass(frozen=True)
class LocalRegion:
    """The region of one person, in model units, fixed to the head."""

    outline: FloatArray
    """(E, 3) cm, closed loop around what is removed."""
    center: FloatArray
    """(3,) cm, the point that the crop is centred on."""
    width_cm: float
    """Width of the crop."""
    height_cm: float
    """Height that the crop must have at least."""


@dataclass(frozen=True)
class Crops:
    """Where the crop of each frame lies."""

    to_frame: NDArray[np.float64]
    """(T, 2, 3) similarity from crop pixels to frame pixels."""
    size_px: tuple[int, int]
    """Height and width of the crop in its own pixels."""


def local_region(face: PersonFace) -> LocalRegion:
    """The region of a person: an outline on the head."""
    model = face.model
    ring = face.local_neutral[model.boundary]
    # Outward normals of the outline, from its tangents; the ring's sense of rotation is not known.
    along = np.roll(ring, -1, axis=0) - np.roll(ring, 1, axis=0)
    outward = np.stack([along[:, 1], -along[:, 0]], 1)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    if np.sum(outward * (ring[:, :2] - ring[:, :2].mean(0))) < 0:
        outward = -outward
    # The furthest a vertex gets along its outward direction, over all expressions within REACH_SIGMA of rest.
    per_coefficient = np.einsum("kei,ei->ke", model.reach_basis[:, model.boundary, :2], outward)
    reach = REACH_SIGMA * np.linalg.norm(per_coefficient, axis=0)
    outline = ring.copy()
    outline[:, :2] += outward * (reach + MARGIN_CM)[:, None]
    low, high = outline.min(0), outline.max(0)
    width_cm, height_cm = (high - low)[:2] + 2 * (FEATHER_CM + CONTEXT_CM)
    return LocalRegion(
        outline.astype(np.float32), ((low + high) / 2).astype(np.float32), float(width_cm), float(height_cm)
    )


def crop_size_px(
    region: LocalRegion, reconstruction: Reconstruction, smallest: int = 96, largest: int = 320
) -> tuple[int, int]:
    """Height and width of the crop that keeps the clip's own resolution, both multiples of 16.

    The width stays within [smallest, largest], so that a face that fills a 4K frame still trains in minutes.
    """
    native = region.width_cm * float(np.median(reconstruction.scale))
    width = int(np.clip(16 * round(native / 16), smallest, largest))
    return 16 * int(np.ceil(region.height_cm / region.width_cm * width / 16)), width


def place_crops(region: LocalRegion, reconstruction: Reconstruction, size_px: tuple[int, int]) -> Crops:
    """A crop that stands still on the head: it shifts, turns and scales with the (smoothed) pose."""
    matrices = rotation_matrices(reconstruction.rotation)
    center = np.einsum("tij,j->ti", matrices, region.center)[:, :2] * (1, -1) * reconstruction.scale[:, None]
    center = center + reconstruction.translation
    # In-plane turn of the head's vertical axis; the picture's y points down.
    roll = np.arctan2(matrices[:, 0, 1], matrices[:, 1, 1])
    zoom = region.width_cm * reconstruction.scale / size_px[1]
    cos, sin = np.cos(roll) * zoom, np.sin(roll) * zoom
    turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    shift = center - np.einsum("tij,j->ti", turn, np.array([size_px[1], size_px[0]]) / 2)
    return Crops(np.concatenate([turn, shift[..., None]], -1), size_px)


def crop_frame(image: ByteArray, to_frame: NDArray[np.float64], size_px: tuple[int, int]) -> ByteArray:
    """Cut a crop: (H, W, 3) uint8 -> (h, w, 3) uint8; beyond the frame its edge is repeated.

    Bicubic: bilinear weights cost a quarter of the picture's fine detail, which no network brings back.
    """
    return np.asarray(
        cv2.warpAffine(
            image,
            _corner_to_center(to_frame),
            size_px[::-1],
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def region_masks(region: LocalRegion, reconstruction: Reconstruction, crops: Crops) -> tuple[ByteArray, FloatArray]:
    """What is removed, and how the new picture fades in, in each crop.

    Returns:
        hole (T, h, w) uint8, 1 where the frame is removed, and feather (T, h, w) float32, 1 in the hole,
        falling to 0 at FEATHER_CM from it.
    """
    matrices = rotation_matrices(reconstruction.rotation)
    seen = np.einsum("tij,ej->tei", matrices, region.outline)[..., :2] * (1, -1)
    seen = seen * reconstruction.scale[:, None, None] + reconstruction.translation[:, None]
    feather_px = FEATHER_CM * crops.size_px[1] / region.width_cm
    holes = np.zeros((len(seen), *crops.size_px), np.uint8)
    feathers = np.empty((len(seen), *crops.size_px), np.float32)
    for t, (outline, to_frame) in enumerate(zip(seen, crops.to_frame, strict=True)):
        inverse = cv2.invertAffineTransform(to_frame)
        local = outline @ inverse[:, :2].T + inverse[:, 2] - 0.5
        cv2.fillPoly(holes[t], [np.round(local * 16).astype(np.int32)], 1, shift=4)
        distance = cv2.distanceTransform(1 - holes[t], cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        ramp = np.clip(1.0 - distance / feather_px, 0.0, 1.0)
        feathers[t] = ramp * ramp * (3 - 2 * ramp)
    # A head turned far enough carries the band beyond the crop: it must still end softly.
    return holes, feathers * _edge_ramp(crops.size_px)


def _edge_ramp(size_px: tuple[int, int]) -> FloatArray:
    """(h, w) float32, 0 on the outermost pixels, 1 from EDGE_PX inwards."""
    away = [np.minimum(np.arange(side), np.arange(side)[::-1]) / EDGE_PX for side in size_px]
    return np.clip(np.minimum(away[0][:, None], away[1]), 0.0, 1.0).astype(np.float32)


def remove_region(crop: ByteArray, hole: ByteArray) -> FloatArray:
    """The image to be filled: (..., h, w, 3) uint8 -> float32 in [0, 1], with the hole (..., h, w) set to 0."""
    filled = (crop * (1 - hole[..., None])).astype(np.float32)
    filled *= np.float32(1 / 255)
    return filled


def paste_back(image: ByteArray, updated: FloatArray, feather: FloatArray, to_frame: NDArray[np.float64]) -> ByteArray:
    """Put an updated crop back into its frame; a new array, every byte outside the feather as it was.

    Args:
        image: (H, W, 3) uint8 frame.
        updated: (h, w, 3) float32 in [0, 1].
        feather: (h, w) float32 in [0, 1], 0 along the crop's edge.
        to_frame: (2, 3) similarity from crop pixels to frame pixels.
    """
    height, width = feather.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ to_frame[:, :2].T + to_frame[:, 2]
    left, top = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int), (image.shape[1], image.shape[0]))
    result = image.copy()
    if right <= left or bottom <= top:
        return result
    shifted = to_frame - [[0, 0, left], [0, 0, top]]
    matrix, patch = _corner_to_center(shifted), (int(right - left), int(bottom - top))
    # Values beyond the crop do not count (feather is 0 there), but cubic weights must not ring at the border.
    new: FloatArray = np.asarray(
        cv2.warpAffine(updated, matrix, patch, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
    weight = cv2.warpAffine(feather, matrix, patch, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    view = result[top:bottom, left:right]
    # In place, since copies of it cost more than the arithmetic; where the weight is 0, the view comes out as it was.
    np.clip(new, 0, 1, out=new)
    new *= 255
    new -= view
    new *= np.asarray(weight, np.float32)[..., None]
    new += view
    view[:] = np.rint(new, out=new)
    return result


def _corner_to_center(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """From coordinates with pixel centres at +0.5 to OpenCV's, which has them at whole numbers."""
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return moved
