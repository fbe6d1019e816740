"""Framing: a crop that is as large as it can be, with the face in it, and scaled without moving anything."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from talkinghead.anchor import Anchor
from talkinghead.errors import OptionError
from talkinghead.face.reconstruction import project
from talkinghead.generation.framing import HAIR, HEAD_ROOM, Box, Framing, choose_framing, head_box
from talkinghead.generation.output_options import Size
from talkinghead.structures import Aspect

RATIOS: dict[Aspect, float] = {"9:16": 9 / 16, "1:1": 1.0, "16:9": 16 / 9}


@pytest.mark.parametrize("aspect", RATIOS)
@pytest.mark.parametrize("frame", [(1920, 1080), (1080, 1920), (512, 512), (641, 479)])
@pytest.mark.parametrize("center", [(0.1, 0.2), (0.5, 0.5), (0.95, 0.9)])
def test_the_crop_is_the_largest_and_holds_the_face(
    aspect: Aspect, frame: tuple[int, int], center: tuple[float, float]
) -> None:
    side = min(frame) / 4
    left, top = ((size - side) * share for size, share in zip(frame, center, strict=True))
    face = Box(left, top, left + side, top + side)
    framing = choose_framing(frame, face, face.top - 20, aspect, None)
    assert framing.crop_width / framing.crop_height == pytest.approx(RATIOS[aspect], rel=0.02)
    assert framing.crop_width % 2 == framing.crop_height % 2 == 0
    assert frame[0] - framing.crop_width < 2 or frame[1] - framing.crop_height < 2
    assert 0 <= framing.left <= face.left and face.right <= framing.left + framing.crop_width <= frame[0]
    assert 0 <= framing.top <= face.top and face.bottom <= framing.top + framing.crop_height <= frame[1]
    assert (framing.width, framing.height) == (framing.crop_width, framing.crop_height)


def test_hair_is_in_the_crop_where_it_fits_and_a_close_up_cuts_it_before_the_chin() -> None:
    roomy = choose_framing((1080, 1920), Box(400, 300, 700, 700), 150, "16:9", None)
    assert roomy.top <= 150
    close = choose_framing((512, 512), Box(150, 130, 360, 400), 50, "16:9", None)
    assert 50 < close.top < 130 - (400 - (close.top + 288))


def test_a_face_that_does_not_fit_is_refused() -> None:
    with pytest.raises(OptionError, match="16:9 of a picture of 512x512 leaves 512x288, and the face takes 200x300"):
        choose_framing((512, 512), Box(100, 100, 300, 400), 50, "16:9", None)


def test_without_an_aspect_all_of_an_odd_frame_is_kept() -> None:
    framing = choose_framing((641, 479), Box(0, 0, 600, 400), 0, None, None)
    assert framing == Framing(0, 0, 641, 479, 641, 479) and framing.enlargement == 1


def test_the_face_box_holds_every_projected_point_of_every_frame(anchor: Anchor) -> None:
    poses = anchor.reconstruction
    face = anchor.face
    shape = face.model.neutral + np.tensordot(face.identity, face.model.identity_basis, 1)
    points = project(np.broadcast_to(shape, (len(poses), *shape.shape)), poses, slice(None))[..., :2]
    low, high = points[poses.valid].min((0, 1)), points[poses.valid].max((0, 1))
    needed, hair = (head_box(face, poses, (10_000, 10_000), above) for above in (HEAD_ROOM, HAIR))
    assert needed.left <= low[0] and needed.top < low[1] and high[0] <= needed.right and high[1] <= needed.bottom
    assert hair.top < needed.top and hair.bottom == needed.bottom
    assert needed.width < 1.5 * (high[0] - low[0]) and needed.height < 1.3 * (high[1] - low[1])


def test_frames_without_a_face_do_not_count(anchor: Anchor) -> None:
    poses = anchor.reconstruction.select(np.arange(10))
    frame = (anchor.reconstruction.translation.max().astype(int).item() + 10_000,) * 2
    moved = poses.translation.copy()
    moved[3] += 500
    valid = np.arange(10) != 3
    lost = dataclasses.replace(poses, translation=moved, valid=valid)
    assert head_box(anchor.face, lost, frame, 0.0) == head_box(
        anchor.face, poses.select(np.flatnonzero(valid)), frame, 0.0
    )


def test_scaling_moves_nothing() -> None:
    """A disc stays where crop and scale put its center, whether the picture is enlarged or reduced."""
    image = np.zeros((200, 300, 3), np.uint8)
    cv2.circle(image, (140, 90), 20, (255, 255, 255), -1)
    for size in (Size(width=320), Size(width=80), Size(shorter=160)):
        framing = choose_framing((300, 200), Box(100, 60, 180, 120), 60, "1:1", size)
        shown = framing.applied(image)
        assert shown.shape == (framing.height, framing.width, 3)
        rows, columns = np.nonzero(shown[..., 0] > 127)
        # Pixel centers are at +0.5, here and in the picture.
        expected = (140.5 - framing.left) * framing.width / 200, (90.5 - framing.top) * framing.height / 200
        np.testing.assert_allclose((columns.mean() + 0.5, rows.mean() + 0.5), expected, atol=0.3)
        assert framing.enlargement == framing.width / 200
