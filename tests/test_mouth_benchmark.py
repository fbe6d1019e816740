"""What benchmarks/mouth.py measures, on images whose answer is known."""

import cv2
import mouth
import numpy as np
import pytest
from mouth import Mouths

LIPS = np.concatenate(
    [
        np.stack([np.linspace(20, 60, 11), 30 - 10 * np.sin(np.linspace(0, np.pi, 11))], 1),
        np.stack([np.linspace(20, 60, 11), 30 + 14 * np.sin(np.linspace(0, np.pi, 11))], 1),
    ]
)
"""Inner lips 24 px apart in the middle."""


def texture(shift: tuple[float, float], seed: int = 0) -> np.ndarray:
    """(64, 80) gray image of blobs, moved to the right and down by a shift, px."""
    blobs = cv2.GaussianBlur(np.random.default_rng(seed).uniform(0, 255, (64, 80)).astype(np.float32), (0, 0), 2)
    matrix = np.array([[1.0, 0, shift[0]], [0, 1, shift[1]]])
    return np.asarray(cv2.warpAffine(blobs, matrix, (80, 64), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT))


def video(crops: np.ndarray, openness: np.ndarray) -> Mouths:
    """Mouths of equal lips, with a given openness."""
    frames = len(crops)
    return Mouths(crops, np.tile(LIPS, (frames, 1, 1)), 100 * openness, openness, np.full(frames, 0.4))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.4, -0.3), (1.6, 1.1)])
def test_shift_is_the_one_that_was_made_under_another_light(shift: tuple[float, float]) -> None:
    seen = np.zeros((64, 80), np.bool_)
    seen[20:44, 20:60] = True
    found = mouth.shift_between(texture((0, 0)), 0.9 * texture(shift) + 5, seen)
    assert found == pytest.approx(shift, abs=0.08)


def test_teeth_that_move_are_told_from_teeth_that_stand_still() -> None:
    frames = [128 + texture(shift) / 2 for shift in ((0, 0), (0, 0), (0.8, 0))]
    crops = np.stack([np.repeat(np.clip(frame, 0, 255).astype(np.uint8)[..., None], 3, 2) for frame in frames])
    found = mouth.teeth_shifts(video(crops, np.full(3, 0.1)), np.array([0, 1]))
    assert found == pytest.approx([0.0, 0.8], abs=0.08)


def test_what_is_dark_is_not_teeth() -> None:
    image = np.full((64, 80), 40, np.float32)
    image[:, :50] = 200
    inside = mouth.upper_half(LIPS, (64, 80))
    teeth = mouth.bright(image, inside)
    assert teeth[:, :50].sum() == inside[:, :50].sum() and not teeth[:, 50:].any()


def test_teeth_are_looked_for_between_the_lips_above_their_middle() -> None:
    seen = mouth.upper_half(LIPS, (64, 80))
    assert seen[26, 40] and not seen[40, 40]  # the middle lies at 32
    assert not seen[18, 40] and not seen[30, 10]  # the upper lip; beside the mouth


def test_true_mouths_of_like_opening_are_at_least_a_second_away() -> None:
    openness = np.tile(np.linspace(0, 0.1, 10), 10)
    crops = np.zeros((100, 64, 80, 3), np.uint8)
    seconds = np.arange(100) / 25
    chosen = np.arange(0, 100, 3)
    alike = mouth.alike_frames(video(crops, openness), video(crops, openness), seconds, chosen)
    assert (np.abs(seconds[alike] - seconds[chosen, None]) >= mouth.APART_S).all()
    assert openness[alike] == pytest.approx(np.repeat(openness[chosen, None], mouth.NEAREST, 1))
