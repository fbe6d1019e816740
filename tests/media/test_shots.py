"""Cuts are found, and motion is not taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from talkinghead.media.shots import ShotDetector


def scene(seed: int) -> np.ndarray:
    """A large image of patches, from which frames are cut."""
    patches = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return np.kron(patches, np.ones((40, 40, 1), np.uint8))


def frames_of(seed: int, count: int, step_px: int = 0) -> list[np.ndarray]:
    whole = scene(seed)
    return [whole[60:300, 60 + step_px * number : 380 + step_px * number] for number in range(count)]


def cuts_of(frames: list[np.ndarray]) -> list[int]:
    detector = ShotDetector()
    for frame in frames:
        detector.push(frame)
    return detector.cuts().tolist()


def test_the_first_frame_of_each_new_shot_is_found() -> None:
    assert cuts_of(frames_of(0, 20) + frames_of(1, 15) + frames_of(2, 9)) == [20, 35]


@pytest.mark.parametrize("step_px", [0, 1, 8])
def test_steady_motion_is_no_cut(step_px: int) -> None:
    assert cuts_of(frames_of(0, 25, step_px)) == []


def test_a_slow_fade_is_no_cut() -> None:
    first, last = scene(0)[:200, :300].astype(float), scene(1)[:200, :300].astype(float)
    assert cuts_of([(first + share * (last - first)).astype(np.uint8) for share in np.linspace(0, 1, 30)]) == []


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_frames(count: int) -> None:
    assert cuts_of(frames_of(0, count)) == []
