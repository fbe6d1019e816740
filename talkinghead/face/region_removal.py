"""Region removal: the part of a frame that is cut out and drawn anew, by identity and rigid pose alone.

If the region followed the frame's own expression, its edge would reveal the shape of the mouth to the network, and
the old mouth would leak into the new video. So the region is a fixed outline on the head: the edge of the local
mesh at rest, pushed outwards as far as any likely expression can carry it (the lowest chin included).
The outline rotates and moves with the skull and with nothing else.

Patent: claim 6, removal of the target region, which gives the image to be filled.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from talkinghead.face.face_model import PersonFace
from talkinghead.face.rotations import rotation_matrices
from talkinghead.structures import ByteArray, FloatArray, Reconstruction

REACH_SIGMA = 2.5
"""Standard deviations of expression that stay inside the outline."""
MARGIN_CM = 0.25
"""Margin added to the outline on all sides, cm, for errors of the landmarks."""
FEATHER_CM = 0.7
"""Width of the band around the hole in which the updated image fades into the frame, cm."""
EDGE_PX = 6
"""Width of the strip along the crop's edge in which the feather falls to 0, pixels of the crop."""
CONTEXT_CM = 0.5
"""Width of unchanged image around the feather that is input of the network, cm."""


@dataclass(frozen=True)
class LocalRegion:
    """The region of one person that is removed, fixed to the head."""

    outline: FloatArray
    """(E, 3) float32 cm, closed loop around what is removed."""
    center: FloatArray
    """(3,) float32 cm, the point at the center of the crop."""
    width_cm: float
    """Width of the crop, cm."""
    height_cm: float
    """Least height of the crop, cm."""


@dataclass(frozen=True)
class Crops:
    """Position of the crop in each of T frames."""

    to_frame: NDArray[np.float64]
    """(T, 2, 3) float64, similarity from crop pixels to frame pixels."""
    size_px: tuple[int, int]
    """Height and width of the crop, in pixels of the crop."""


def local_region(face: PersonFace) -> LocalRegion:
    """The region of a person: an outline on the head, and the crop around it."""
    model = face.model
    ring = face.local_neutral[model.boundary]
    # Normals of the outline in the plane of the face, from its tangents. The loop may run in either direction: where
    # the normals point to its middle, they are reversed.
    along = np.roll(ring, -1, axis=0) - np.roll(ring, 1, axis=0)
    outward = np.stack([along[:, 1], -along[:, 0]], 1)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    if np.sum(outward * (ring[:, :2] - ring[:, :2].mean(0))) < 0:
        outward = -outward
    # The furthest that a vertex moves along its normal, over all expressions within REACH_SIGMA of rest: for a linear
    # map over a ball, that is the radius times the norm of its row.
    per_coefficient = np.einsum("kei,ei->ke", model.reach_basis[:, model.boundary, :2], outward)
    reach = REACH_SIGMA * np.linalg.norm(per_coefficient, axis=0)
    # Depth is left as it is: the outline is used in projection only.
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
    """Height and width of the crop at the clip's own resolution, both multiples of 16.

    Args:
        region: of the person.
        reconstruction: of the clip, by whose median scale the resolution is chosen.
        smallest: least width, pixels.
        largest: largest width, pixels, so that a face that fills a 4K frame still trains in minutes.
    """
    native = region.width_cm * float(np.median(reconstruction.scale))
    width = int(np.clip(16 * round(native / 16), smallest, largest))
    return 16 * int(np.ceil(region.height_cm / region.width_cm * width / 16)), width


def place_crops(region: LocalRegion, reconstruction: Reconstruction, size_px: tuple[int, int]) -> Crops:
    """Crops that are stabilized on the head: they shift, rotate and scale with the smoothed pose.

    Args:
        region: of the person.
        reconstruction: of T frames.
        size_px: height and width of the crop.
    """
    matrices = rotation_matrices(reconstruction.rotation)
    center = np.einsum("tij,j->ti", matrices, region.center)[:, :2] * (1, -1) * reconstruction.scale[:, None]
    center = center + reconstruction.translation
    # In-plane rotation of the head's vertical axis; the image's y points down.
    roll = np.arctan2(matrices[:, 0, 1], matrices[:, 1, 1])
    zoom = region.width_cm * reconstruction.scale / size_px[1]
    cos, sin = np.cos(roll) * zoom, np.sin(roll) * zoom
    linear = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    # The middle of the crop falls on the center of the region.
    shift = center - np.einsum("tij,j->ti", linear, np.array([size_px[1], size_px[0]]) / 2)
    return Crops(np.concatenate([linear, shift[..., None]], -1), size_px)


def crop_frame(image: ByteArray, to_frame: NDArray[np.float64], size_px: tuple[int, int]) -> ByteArray:
    """Cut a crop out of a frame by bicubic sampling; beyond the frame its edge is repeated.

    Bilinear sampling would lose a quarter of the image's fine detail, which no network brings back.

    Args:
        image: (H, W, 3) uint8 frame.
        to_frame: (2, 3) similarity from crop pixels to frame pixels.
        size_px: height h and width w of the crop.

    Returns:
        (h, w, 3) uint8.
    """
    return np.asarray(
        cv2.warpAffine(
            image,
            corner_to_center(to_frame),
            size_px[::-1],
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def region_masks(region: LocalRegion, reconstruction: Reconstruction, crops: Crops) -> tuple[ByteArray, FloatArray]:
    """Masks of the removed region and of its feather in every crop.

    Args:
        region: of the person.
        reconstruction: of T frames.
        crops: of the same frames.

    Returns:
        hole (T, h, w) uint8, 1 where the frame is removed, and feather (T, h, w) float32, 1 in the hole,
        falling to 0 at FEATHER_CM from it.
    """
    matrices = rotation_matrices(reconstruction.rotation)
    # The outline in frame pixels, by the rigid pose alone.
    outlines = np.einsum("tij,ej->tei", matrices, region.outline)[..., :2] * (1, -1)
    outlines = outlines * reconstruction.scale[:, None, None] + reconstruction.translation[:, None]  # (T, E, 2)
    feather_px = FEATHER_CM * crops.size_px[1] / region.width_cm
    holes = np.zeros((len(outlines), *crops.size_px), np.uint8)
    feathers = np.empty((len(outlines), *crops.size_px), np.float32)
    for t, (outline, to_frame) in enumerate(zip(outlines, crops.to_frame, strict=True)):
        # Into crop pixels, and to OpenCV's pixel centers at whole numbers; fillPoly takes 1/16 pixels (shift 4).
        inverse = cv2.invertAffineTransform(to_frame)
        local = outline @ inverse[:, :2].T + inverse[:, 2] - 0.5
        cv2.fillPoly(holes[t], [np.round(local * 16).astype(np.int32)], 1, shift=4)
        # The feather falls with the distance from the hole, smoothly at both ends (smoothstep), so that no edge shows.
        # The 5 x 5 mask is within 2 % of the true distance, in a third of the time.
        distance = cv2.distanceTransform(1 - holes[t], cv2.DIST_L2, cv2.DIST_MASK_5)
        ramp = np.clip(1.0 - distance / feather_px, 0.0, 1.0)
        feathers[t] = ramp * ramp * (3 - 2 * ramp)
    # A strong rotation of the head carries the band beyond the crop, where it must end softly too.
    return holes, feathers * _edge_ramp(crops.size_px)


def _edge_ramp(size_px: tuple[int, int]) -> FloatArray:
    """(h, w) float32 weights that rise linearly from 0 on the outermost pixels to 1 at EDGE_PX."""
    from_edge = [np.minimum(np.arange(side), np.arange(side)[::-1]) / EDGE_PX for side in size_px]
    return np.clip(np.minimum(from_edge[0][:, None], from_edge[1]), 0.0, 1.0).astype(np.float32)


def remove_region(crop: ByteArray, hole: ByteArray) -> FloatArray:
    """The image to be filled: a crop without the removed region.

    Args:
        crop: (..., h, w, 3) uint8.
        hole: (..., h, w) uint8, 1 where the region is removed.

    Returns:
        (..., h, w, 3) float32 in [0, 1], 0 in the hole.
    """
    filled = np.zeros(crop.shape, np.float32)
    height, width = crop.shape[-3:-1]
    _copy_outside(
        crop.reshape(-1, height, width, 3), hole.reshape(-1, height, width), filled.reshape(-1, height, width, 3)
    )
    return filled


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _copy_outside(crops: ByteArray, holes: ByteArray, filled: FloatArray) -> None:
    """Write crops (B, h, w, 3) outside of the holes (B, h, w), as shares of 255."""
    share = np.float32(1 / 255)
    for b in range(crops.shape[0]):
        for y in range(crops.shape[1]):
            for x in range(crops.shape[2]):
                if holes[b, y, x] == 0:
                    for c in range(3):
                        filled[b, y, x, c] = share * np.float32(crops[b, y, x, c])


def paste_back(image: ByteArray, updated: FloatArray, feather: FloatArray, to_frame: NDArray[np.float64]) -> ByteArray:
    """Blend an updated crop into its frame.

    Args:
        image: (H, W, 3) uint8 frame.
        updated: (h, w, 3) float32 in [0, 1].
        feather: (h, w) float32 in [0, 1], 0 along the crop's edge.
        to_frame: (2, 3) similarity from crop pixels to frame pixels.

    Returns:
        (H, W, 3) uint8, a new array; every byte outside the feather is that of the frame.
    """
    # Only the rectangle of the frame that the crop covers is computed.
    height, width = feather.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ to_frame[:, :2].T + to_frame[:, 2]
    left, top = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int), (image.shape[1], image.shape[0]))
    result = image.copy()
    if right <= left or bottom <= top:  # the crop lies outside the frame
        return result
    shifted = to_frame - [[0, 0, left], [0, 0, top]]
    matrix, patch = corner_to_center(shifted), (int(right - left), int(bottom - top))
    # Values beyond the crop have no weight, since the feather is 0 at its edge; they are repeated from the edge so that
    # cubic sampling does not ring there. The feather is sampled linearly, which keeps it within [0, 1].
    new: FloatArray = np.asarray(
        cv2.warpAffine(updated, matrix, patch, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
    weight = cv2.warpAffine(feather, matrix, patch, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    view = result[top:bottom, left:right]
    # view + weight * (255 * new - view), in place, since copies cost more than the arithmetic. Where the weight is 0,
    # this gives the bytes of the view exactly.
    np.clip(new, 0, 1, out=new)
    new *= 255
    new -= view
    new *= np.asarray(weight, np.float32)[..., None]
    new += view
    view[:] = np.rint(new, out=new)
    return result


def corner_to_center(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """An affine map (2, 3) of coordinates with pixel centers at +0.5, in OpenCV's, where they are whole numbers."""
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return shifted


KERNELS = (_copy_outside,)
"""What numba compiles."""
