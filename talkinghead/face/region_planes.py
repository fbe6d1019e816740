"""The face region of pictures that are planes of luma and chroma: cut out as RGB, and pasted back into the planes.

Chroma is sampled where it is stored, with its samples in the middle of their pixels, as RGB is made of planes elsewhere
(`media.planes`): what is cut out and pasted back unchanged comes to lie where it was.
"""

from __future__ import annotations

from typing import Any

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from talkinghead.face.region_removal import corner_to_center, crop_frame, paste_back
from talkinghead.structures import ByteArray, Coding, FloatArray, Picture, Planes

_LUMA_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
"""Shares of red and blue in luma, by H.273's number of the matrix."""
_BT601_WEIGHTS = (0.299, 0.114)
"""The same of all others that are read."""
ENLARGED_STEP = 0.75
"""Chroma samples of the frame for one pixel of the crop, on both axes, below which they are sampled linearly."""
COARSE_STEP = 1.5
"""Pixels of the crop for one chroma sample of the frame, from which on its chroma is averaged, lest it alias."""


def crop_picture(picture: Picture, to_frame: NDArray[np.float64], size_px: tuple[int, int]) -> ByteArray:
    """Cut a crop out of a picture, from its planes where it has any; see `region_removal.crop_frame`."""
    planes = picture.planes
    return crop_frame(picture.image, to_frame, size_px) if planes is None else crop_planes(planes, to_frame, size_px)


def pasted_picture(
    picture: Picture, updated: FloatArray, feather: FloatArray, to_frame: NDArray[np.float64]
) -> Picture:
    """A picture with an updated crop in its place, in the form that it is asked for.

    Args:
        picture: of a frame.
        updated, feather, to_frame: see `region_removal.paste_back`.
    """

    def make_planes() -> Planes:
        assert picture.planes is not None
        return paste_into_planes(picture.planes, updated, feather, to_frame)

    return Picture(
        lambda: paste_back(picture.image, updated, feather, to_frame),
        None if picture.coding is None else make_planes,
        picture.coding,
    )


def crop_planes(planes: Planes, to_frame: NDArray[np.float64], size_px: tuple[int, int]) -> ByteArray:
    """Cut a crop out of planes by bicubic sampling; beyond the frame its edge is repeated.

    Chroma that has fewer samples than the crop has pixels is sampled linearly, as RGB is made of it elsewhere.

    Args:
        planes: of the frame.
        to_frame: (2, 3) similarity from crop pixels to frame pixels.
        size_px: height h and width w of the crop.

    Returns:
        (h, w, 3) uint8 RGB, full range.
    """

    def sampled(plane: NDArray[Any], matrix: NDArray[np.float64], interpolation: int) -> NDArray[Any]:
        flags = interpolation | cv2.WARP_INVERSE_MAP
        placed = corner_to_center(matrix)
        return cv2.warpAffine(plane, placed, size_px[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)

    on_chroma = to_frame / np.array(planes.coding.step[::-1])[:, None]
    is_enlarged = np.linalg.norm(on_chroma[:, :2], axis=0).max() < ENLARGED_STEP
    luma = sampled(planes.luma, to_frame, cv2.INTER_CUBIC)
    blue, red = (
        sampled(plane, on_chroma, cv2.INTER_LINEAR if is_enlarged else cv2.INTER_CUBIC) for plane in planes.chroma
    )
    crop = np.empty((*size_px, 3), np.uint8)
    _to_rgb(luma, blue, red, *_to_rgb_weights(planes.coding), crop)
    return crop


def paste_into_planes(
    planes: Planes, updated: FloatArray, feather: FloatArray, to_frame: NDArray[np.float64]
) -> Planes:
    """Blend an updated crop into the planes of its frame.

    Args:
        planes: of the frame.
        updated: (h, w, 3) float32 RGB in [0, 1].
        feather: (h, w) float32 in [0, 1], 0 along the crop's edge.
        to_frame: (2, 3) similarity from crop pixels to frame pixels.

    Returns:
        New planes; every sample outside the feather is that of the frame.
    """
    coding = planes.coding
    luma, chroma = planes.luma.copy(), [plane.copy() for plane in planes.chroma]
    box = _covered_box(feather.shape, to_frame, planes.luma.shape, coding.step)
    result = Planes(luma, (chroma[0], chroma[1]), coding)
    if box is None:  # the crop lies outside the frame
        return result
    new_luma, new_chroma = np.empty(feather.shape, np.float32), np.empty((*feather.shape, 2), np.float32)
    _from_rgb(updated, _from_rgb_weights(coding), new_luma, new_chroma)
    (top, left), (bottom, right) = box
    _blend(luma, top, left, *_placed(new_luma, feather, to_frame, box), *_limits(coding, is_chroma=False))
    rows, columns = coding.step
    box = (top // rows, left // columns), (bottom // rows, right // columns)
    on_chroma = to_frame / np.array([columns, rows])[:, None]
    averaged, matrix = _coarse(new_chroma, on_chroma)
    weight = _warped(feather, on_chroma, box, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
    both = _warped(averaged, matrix, box, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
    for plane, new in zip(chroma, cv2.split(both), strict=True):
        _blend(plane, *box[0], np.asarray(new), weight, *_limits(coding, is_chroma=True))
    return result


_Box = tuple[tuple[int, int], tuple[int, int]]
"""First row and column of a rectangle of samples, and the row and column after its last."""


def _covered_box(
    size_px: tuple[int, ...], to_frame: NDArray[np.float64], frame_px: tuple[int, ...], step: tuple[int, int]
) -> _Box | None:
    """The rectangle of a frame that a crop covers, with whole chroma samples; None where it lies outside."""
    height, width = size_px
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ to_frame[:, :2].T + to_frame[:, 2]
    grid = np.array(step)
    first = np.maximum(np.floor(corners.min(0)[::-1] / grid).astype(int) * grid, 0)
    last = np.minimum(np.ceil(corners.max(0)[::-1] / grid).astype(int) * grid, frame_px)
    if (last <= first).any():
        return None
    return (int(first[0]), int(first[1])), (int(last[0]), int(last[1]))


def _placed(
    new: FloatArray, feather: FloatArray, to_frame: NDArray[np.float64], box: _Box
) -> tuple[FloatArray, FloatArray]:
    """A crop's values and their weights, on the samples of a rectangle.

    Values beyond the crop have no weight, since the feather is 0 at its edge; they are repeated from the edge so that
    cubic sampling does not ring there. The feather is sampled linearly, which keeps it within [0, 1].
    """
    return (
        _warped(new, to_frame, box, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE),
        _warped(feather, to_frame, box, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT),
    )


def _warped(values: FloatArray, matrix: NDArray[np.float64], box: _Box, interpolation: int, border: int) -> FloatArray:
    (top, left), (bottom, right) = box
    placed = corner_to_center(matrix - np.array([[0, 0, left], [0, 0, top]]))
    size = (right - left, bottom - top)
    return np.asarray(cv2.warpAffine(values, placed, size, flags=interpolation, borderMode=border), np.float32)


def _coarse(chroma: FloatArray, matrix: NDArray[np.float64]) -> tuple[FloatArray, NDArray[np.float64]]:
    """A crop's chroma (h, w, 2), averaged along each axis on which the frame has fewer samples, and its matrix then."""
    # Columns of the matrix that are shorter than 1: one sample of the frame is more than one pixel of the crop. A crop
    # may be turned, and then either axis counts where samples differ.
    per_sample = 1 / np.maximum(np.abs(matrix[:, :2]).max(0), 1e-9)
    across, down = (2 if share >= COARSE_STEP else 1 for share in per_sample)
    if across == down == 1:
        return chroma, matrix
    height, width = chroma.shape[:2]
    small = cv2.resize(chroma, (width // across, height // down), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32), matrix * np.array([across, down, 1.0])


def _scales(coding: Coding) -> tuple[float, float, float]:
    """Code value of black, and those between black and white, and between the extremes of chroma."""
    unit = float(1 << (coding.bits - 8))
    if coding.is_full_range:
        most = 256 * unit - 1
        return 0.0, most, most
    return 16 * unit, 219 * unit, 224 * unit


def _to_rgb_weights(coding: Coding) -> tuple[FloatArray, FloatArray]:
    """(3, 3) to RGB of 0 to 255 from luma, Cb and Cr less their (3,) zeros."""
    red, blue = _LUMA_WEIGHTS.get(coding.matrix, _BT601_WEIGHTS)
    green = 1 - red - blue
    black, luma, chroma = _scales(coding)
    matrix = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    zeros = np.array([black, 1 << (coding.bits - 1), 1 << (coding.bits - 1)], np.float32)
    return (255 * matrix / np.array([luma, chroma, chroma])).astype(np.float32), zeros


def _from_rgb_weights(coding: Coding) -> FloatArray:
    """(3, 4) to luma, Cb and Cr from RGB of 0 to 1 and 1."""
    matrix, zeros = _to_rgb_weights(coding)
    inverse = np.linalg.inv(matrix.astype(np.float64)) * 255
    return np.column_stack([inverse, zeros]).astype(np.float32)


def _limits(coding: Coding, *, is_chroma: bool) -> tuple[np.float32, np.float32]:
    """Least and greatest code value of what is pasted."""
    black, luma, chroma = _scales(coding)
    return np.float32(black), np.float32(black + (chroma if is_chroma else luma))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _to_rgb(
    luma: NDArray[Any], blue: NDArray[Any], red: NDArray[Any], matrix: FloatArray, zeros: FloatArray, rgb: ByteArray
) -> None:
    """Write RGB of planes of one size."""
    none, most, half = np.float32(0), np.float32(255), np.float32(0.5)
    for y in range(luma.shape[0]):
        for x in range(luma.shape[1]):
            # The first column of the matrix is that of gray, and the corners opposite to each other are 0.
            gray = matrix[0, 0] * (np.float32(luma[y, x]) - zeros[0]) + half
            b, c = np.float32(blue[y, x]) - zeros[1], np.float32(red[y, x]) - zeros[2]
            rgb[y, x, 0] = np.uint8(min(max(gray + matrix[0, 2] * c, none), most))
            rgb[y, x, 1] = np.uint8(min(max(gray + matrix[1, 1] * b + matrix[1, 2] * c, none), most))
            rgb[y, x, 2] = np.uint8(min(max(gray + matrix[2, 1] * b, none), most))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _from_rgb(rgb: FloatArray, weights: FloatArray, luma: FloatArray, chroma: FloatArray) -> None:
    """Write luma (h, w) and chroma (h, w, 2) of RGB (h, w, 3)."""
    none, full = np.float32(0), np.float32(1)
    for y in range(rgb.shape[0]):
        for x in range(rgb.shape[1]):
            r = min(max(rgb[y, x, 0], none), full)
            g = min(max(rgb[y, x, 1], none), full)
            b = min(max(rgb[y, x, 2], none), full)
            luma[y, x] = weights[0, 0] * r + weights[0, 1] * g + weights[0, 2] * b + weights[0, 3]
            chroma[y, x, 0] = weights[1, 0] * r + weights[1, 1] * g + weights[1, 2] * b + weights[1, 3]
            chroma[y, x, 1] = weights[2, 0] * r + weights[2, 1] * g + weights[2, 2] * b + weights[2, 3]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _blend(
    plane: NDArray[Any],
    top: int,
    left: int,
    new: FloatArray,
    weight: FloatArray,
    least: np.float32,
    most: np.float32,
) -> None:
    """Blend values into a plane from a row and column on; where the weight is 0, samples stay exactly as they are."""
    for y in range(new.shape[0]):
        for x in range(new.shape[1]):
            share = weight[y, x]
            if share > 0:
                old = np.float32(plane[top + y, left + x])
                value = min(max(new[y, x], least), most)
                plane[top + y, left + x] = int(old + share * (value - old) + np.float32(0.5))


KERNELS = (_to_rgb, _from_rgb, _blend)
"""What numba compiles."""
