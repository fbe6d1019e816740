"""A crop that is cut out of planes and pasted into them, against the same in RGB."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from plane_clips import CODINGS, coded

from talkinghead.face.region_planes import crop_picture, crop_planes, paste_into_planes, pasted_picture
from talkinghead.face.region_removal import crop_frame, paste_back
from talkinghead.structures import ByteArray, Coding, FloatArray, Picture, Planes

SIZE_PX = (64, 80)
TO_FRAME = np.array([[0.98, -0.2, 31.3], [0.2, 0.98, 22.6]])


def scene(seed: int = 0) -> ByteArray:
    """(128, 160, 3) blobs of colors; smooth, since chroma has half the pixels."""
    noise = np.random.default_rng(seed).integers(0, 256, (16, 20, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (160, 128), interpolation=cv2.INTER_CUBIC), np.uint8)


def moved(x: float, y: float) -> NDArray[np.float64]:
    return TO_FRAME + np.array([[0, 0, x], [0, 0, y]])


def feather() -> FloatArray:
    inside = np.zeros(SIZE_PX, np.float32)
    inside[16:48, 20:60] = 1
    return np.asarray(cv2.blur(inside, (13, 13)), np.float32)


def planes_of(image: ByteArray, pixels: str, full: bool, matrix: int) -> Planes:
    luma, blue, red = coded(image, pixels, full, matrix)
    return Planes(luma, (blue, red), Coding(pixels, matrix, full))


@pytest.mark.parametrize(("pixels", "full", "matrix"), CODINGS)
def test_a_crop_of_planes_is_the_crop_of_their_colors(pixels: str, full: bool, matrix: int) -> None:
    image = scene()
    found = crop_planes(planes_of(image, pixels, full, matrix), TO_FRAME, SIZE_PX).astype(int)
    difference = found - crop_frame(image, TO_FRAME, SIZE_PX)
    assert (
        np.abs(difference).mean() < (2.6 if "420" in pixels else 1.2) and np.abs(difference.mean((0, 1))).max() < 0.15
    )


@pytest.mark.parametrize(("pixels", "full", "matrix"), CODINGS)
def test_pasting_into_planes_is_pasting_into_their_colors(pixels: str, full: bool, matrix: int) -> None:
    image, new = scene(), crop_frame(scene(1), TO_FRAME, SIZE_PX).astype(np.float32) / 255
    given = planes_of(image, pixels, full, matrix)
    before = [plane.copy() for plane in (given.luma, *given.chroma)]
    made = paste_into_planes(given, new, feather(), TO_FRAME)
    wanted = coded(paste_back(image, new, feather(), TO_FRAME), pixels, full, matrix)
    unit = 1 << (made.coding.bits - 8)
    for found, right, was, kept in zip(
        (made.luma, *made.chroma), wanted, before, (given.luma, *given.chroma), strict=True
    ):
        np.testing.assert_array_equal(kept, was)
        difference = (found.astype(float) - right) / unit
        assert (found != was).any()
        assert np.abs(difference).max() < 9 and np.abs(difference).mean() < 0.35 and abs(difference.mean()) < 0.1


@pytest.mark.parametrize(("pixels", "full", "matrix"), CODINGS)
def test_outside_the_feather_every_sample_stays(pixels: str, full: bool, matrix: int) -> None:
    given = planes_of(scene(), pixels, full, matrix)
    white = np.ones((*SIZE_PX, 3), np.float32)
    made = paste_into_planes(given, white, feather(), TO_FRAME)
    touched = paste_back(np.zeros((128, 160, 3), np.uint8), white, np.ceil(feather()), TO_FRAME).any(-1)
    outside = ~cv2.dilate(touched.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    rows, columns = made.coding.step
    assert 0.3 < outside.mean() < 0.9
    for found, was, mask in zip(
        (made.luma, *made.chroma),
        (given.luma, *given.chroma),
        (outside, outside[::rows, ::columns], outside[::rows, ::columns]),
        strict=True,
    ):
        np.testing.assert_array_equal(found[mask], was[mask])
        assert (found[~mask] != was[~mask]).any()


def test_values_stay_within_the_range() -> None:
    given = planes_of(np.full((128, 160, 3), 255, np.uint8), "yuv420p", False, 1)
    checked = (np.indices(SIZE_PX).sum(0) % 2).astype(np.float32)
    made = paste_into_planes(given, np.repeat(3 * checked[..., None] - 1, 3, -1), feather(), TO_FRAME)
    assert made.luma.min() >= 16 and made.luma.max() <= 235


def test_a_crop_beyond_the_frame_changes_nothing_or_its_edge() -> None:
    given = planes_of(scene(), "yuv422p", False, 1)
    white = np.ones((*SIZE_PX, 3), np.float32)
    away = paste_into_planes(given, white, feather(), moved(500, 0))
    np.testing.assert_array_equal(away.luma, given.luma)
    cut = paste_into_planes(given, white, feather(), moved(60, 60))
    assert (cut.luma[-10:, -20:] != given.luma[-10:, -20:]).any()
    np.testing.assert_array_equal(cut.luma[:40], given.luma[:40])


def test_a_large_face_keeps_the_detail_of_its_chroma() -> None:
    """Where a crop has fewer pixels than the frame, its chroma is not averaged once more."""
    zoom = np.array([[2.0, 0, 0], [0, 2.0, 0]])
    stripes = np.zeros((*SIZE_PX, 3), np.float32)
    stripes[:, (np.arange(SIZE_PX[1]) // 2) % 2 == 0, 2] = 1
    given = planes_of(np.zeros((128, 160, 3), np.uint8), "yuv420p", False, 1)
    made = paste_into_planes(given, stripes, np.ones(SIZE_PX, np.float32), zoom)
    assert made.chroma[0][30, 20:60].astype(int).max() - made.chroma[0][30, 20:60].min() > 90


def test_pictures_give_either_form() -> None:
    image, planes = scene(), planes_of(scene(), "yuv420p", False, 1)
    both, alone = Picture(lambda: image, lambda: planes, planes.coding), Picture.of(image)
    new = np.zeros((*SIZE_PX, 3), np.float32)
    np.testing.assert_array_equal(crop_picture(alone, TO_FRAME, SIZE_PX), crop_frame(image, TO_FRAME, SIZE_PX))
    np.testing.assert_array_equal(crop_picture(both, TO_FRAME, SIZE_PX), crop_planes(planes, TO_FRAME, SIZE_PX))
    for picture in (both, alone):
        pasted = pasted_picture(picture, new, feather(), TO_FRAME)
        np.testing.assert_array_equal(pasted.image, paste_back(image, new, feather(), TO_FRAME))
        assert (pasted.planes is None) == (picture is alone)
    assert pasted_picture(both, new, feather(), TO_FRAME).coding == planes.coding
