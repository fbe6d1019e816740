"""Blended frames between two moments of a clip: what is seen and where the head is said to be must agree."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_face import face_model, write_frames
from scipy.spatial.transform import Rotation

from talkinghead.face.region_removal import local_region
from talkinghead.generation.crossing import Crossing, between
from talkinghead.generation.frame_order import forward_loop, read_in_order
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import ByteArray, FloatArray, Loop, Reconstruction

SIZE = 160
FRAMES = 40
LOOP = Loop(leave=28, enter=4, frames=7)
APART_PX = np.array([4.0, -2.5])
"""From the moment that is left to the one that is gone on with."""
DRIFT_PX = np.array([0.4, 0.2])
"""Per frame."""
REGION = local_region(face_model().of(np.zeros(face_model().identities, np.float32)))


def places() -> FloatArray:
    """(T, 2) px; the head drifts, and the crossing's two sides are APART_PX from each other."""
    steps = np.arange(FRAMES)[:, None]
    jump = np.where(steps < 20, APART_PX, 0)
    return (SIZE / 2 + DRIFT_PX * (steps - np.where(steps < 20, LOOP.enter, LOOP.leave)) + jump).astype(np.float32)


def moved(place: FloatArray, seed: int = 0) -> ByteArray:
    """A picture of smooth noise whose middle is at a place."""
    draw = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(draw.integers(0, 255, (2 * SIZE, 2 * SIZE, 3)).astype(np.float32), (0, 0), 3)
    noise = np.clip((noise - 127) * 5 + 127, 0, 255)
    matrix = np.array([[1, 0, place[0] - SIZE], [0, 1, place[1] - SIZE]], np.float64)
    return np.asarray(cv2.warpAffine(noise, matrix, (SIZE, SIZE), flags=cv2.INTER_CUBIC)).clip(0, 255).astype(np.uint8)


def reconstruction(translation: FloatArray) -> Reconstruction:
    count = len(translation)
    return Reconstruction(
        identity=np.zeros(face_model().identities, np.float32),
        expression=np.zeros((count, face_model().expressions), np.float32),
        rotation=np.zeros((count, 3), np.float32),
        translation=translation,
        scale=np.full(count, 6, np.float32),
        valid=np.ones(count, np.bool_),
        times_s=np.arange(count) / 25,
        misfit_cm=np.zeros(count),
    )


@pytest.fixture(scope="module")
def crossing() -> Crossing:
    return Crossing(LOOP, REGION, reconstruction(places()))


def test_coefficients_between_two_frames() -> None:
    draw = np.random.default_rng(1)
    left, right = (
        Reconstruction(
            identity=np.zeros(2, np.float32),
            expression=draw.normal(size=(3, 4)).astype(np.float32),
            rotation=draw.normal(0, 0.5, (3, 3)).astype(np.float32),
            translation=draw.normal(100, 9, (3, 2)).astype(np.float32),
            scale=draw.uniform(9, 12, 3).astype(np.float32),
            valid=np.array([True, True, valid]),
            times_s=np.arange(3) / 25,
            misfit_cm=draw.uniform(size=3),
        )
        for valid in (True, False)
    )
    for weight, same in ((0.0, left), (1.0, right)):
        found = between(left, right, np.full(3, weight))
        for name in ("expression", "rotation", "translation", "scale"):
            np.testing.assert_allclose(getattr(found, name), getattr(same, name), rtol=1e-5, atol=1e-5)
    half = between(left, right, np.full(3, 0.5))
    np.testing.assert_allclose(half.scale, np.sqrt(left.scale * right.scale), rtol=1e-5)
    to_left, to_right = (
        (Rotation.from_rotvec(side.rotation) * Rotation.from_rotvec(half.rotation).inv()).magnitude()
        for side in (left, right)
    )
    np.testing.assert_allclose(to_left, to_right, rtol=1e-4)
    np.testing.assert_array_equal(half.valid, [True, True, False])


def test_the_blended_picture_is_where_its_pose_says(crossing: Crossing) -> None:
    """Both sides show one picture, 4.7 px apart: each blended frame is that picture where the blended pose puts it."""
    extended = crossing.extended
    inner = slice(20, -20)
    for step in range(LOOP.frames):
        left, entered = (moved(places()[start + step]) for start in (LOOP.leave, LOOP.enter))
        made = crossing.blend(step, left, entered)
        wanted = moved(extended.translation[crossing.first + step])
        error = np.abs(made.astype(int) - wanted)[inner, inner].mean()
        plain = cv2.addWeighted(left, 1 - crossing.weights[step], entered, crossing.weights[step], 0)
        unaligned = np.abs(plain.astype(int) - wanted)[inner, inner].mean()
        assert error < 2.0, f"step {step}: {error:.2f}"
        if step == LOOP.frames // 2:
            assert unaligned > 8 * error  # a cross-fade alone would show both


def test_the_pose_goes_from_one_side_to_the_other_without_a_stop_or_jump(crossing: Crossing) -> None:
    order = forward_loop(60, 0, FRAMES, LOOP)
    assert (np.diff(order) != 0).all()
    around = crossing.extended.translation[order][LOOP.leave - 3 : LOOP.leave + LOOP.frames + 3]
    along = np.diff(around, axis=0) @ APART_PX / np.linalg.norm(APART_PX)
    own = float(DRIFT_PX @ APART_PX / np.linalg.norm(APART_PX))
    assert (along > own - 1e-3).all()
    # In 8 steps of a smoothstep, no step is longer than 1.5 times the mean one.
    assert along.max() < own + 1.55 * np.linalg.norm(APART_PX) / (LOOP.frames + 1)
    assert crossing.weights[0] > 0 and crossing.weights[-1] < 1 and (np.diff(crossing.weights) > 0).all()


def test_a_mouth_that_differs_does_not_move_the_rest(crossing: Crossing) -> None:
    """The lower face of the frame that is entered is another picture: the flow around it stays that of the head."""
    step = 3
    left, entered = (moved(places()[start + step]) for start in (LOOP.leave, LOOP.enter))
    other = entered.copy()
    x, y = places()[LOOP.enter + step].round().astype(int)
    center = REGION.center[:2] * (6, -6) + (x, y)
    low, high = (center - 14).astype(int), (center + 14).astype(int)
    mouth = (slice(low[1], high[1]), slice(low[0], high[0]))
    other[mouth] = moved(places()[0], seed=9)[mouth]
    same, changed = crossing.blend(step, left, entered), crossing.blend(step, left, other)
    difference = np.abs(same.astype(int) - changed).mean(2)
    outside = np.ones((SIZE, SIZE), bool)
    outside[low[1] - 8 : high[1] + 8, low[0] - 8 : high[0] + 8] = False
    assert difference[mouth].mean() > 5
    assert difference[outside].mean() < 0.5


def test_forward_loop() -> None:
    order = forward_loop(20, 2, 12, Loop(leave=8, enter=3, frames=2))
    expected = [2, 3, 4, 5, 6, 7, 12, 13, *[5, 6, 7, 12, 13] * 2, 5, 6]
    np.testing.assert_array_equal(order, expected)
    np.testing.assert_array_equal(forward_loop(4, 2, 12, Loop(8, 3, 2)), [2, 3, 4, 5])


def test_reading_a_loop_gives_the_clips_frames_and_the_blended_ones(crossing: Crossing, tmp_path: Path) -> None:
    times_s = np.arange(FRAMES) / 25
    path = write_frames(tmp_path / "clip.mp4", (moved(place) for place in places()), times_s, Fraction(25))
    with VideoReader(path) as reader:
        images = [frame.image for frame in reader]
    order = forward_loop(70, 0, FRAMES, LOOP)
    read = [frame.image for frame in read_in_order(path, order, crossing.extended.times_s, crossing=crossing)]
    assert len(read) == 70
    for number, image in zip(order.tolist(), read, strict=True):
        step = number - FRAMES
        wanted = (
            images[number] if step < 0 else crossing.blend(step, images[LOOP.leave + step], images[LOOP.enter + step])
        )
        np.testing.assert_array_equal(image, wanted)
    changes = [np.abs(a.astype(int) - b).mean() for a, b in zip(read[:-1], read[1:], strict=True)]
    own = [np.abs(a.astype(int) - b).mean() for a, b in zip(images[:-1], images[1:], strict=True)]
    assert min(changes) > 0.5 * min(own)
