"""Order of the clip's frames in the output, and reading them in that order."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from drawn_face import write_frames

from talkinghead.generation import frame_order
from talkinghead.generation.frame_order import ping_pong, read_in_order
from talkinghead.media.video_reader import VideoReader

FRAMES = 40


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images of noise, no two alike."""
    draw = np.random.default_rng(0)
    images = (draw.integers(0, 255, (48, 64, 3)).astype(np.uint8) for _ in range(FRAMES))
    return write_frames(tmp_path_factory.mktemp("order") / "noise.mp4", images, np.arange(FRAMES) / 25, Fraction(25))


def test_within_the_clip_the_order_is_the_clip() -> None:
    np.testing.assert_array_equal(ping_pong(50, 50, 12), np.arange(50))
    np.testing.assert_array_equal(ping_pong(50, 7, 12), np.arange(7))


@pytest.mark.parametrize("ease", [0, 12])
@pytest.mark.parametrize(("frames", "count"), [(50, 80), (50, 400), (3, 40), (2, 9), (100, 1000)])
def test_beyond_it_the_clip_runs_back_and_forth_without_a_jump(frames: int, count: int, ease: int) -> None:
    order = ping_pong(frames, count, ease)
    assert order.shape == (count,)
    assert order[0] == 0 and order.min() == 0 and order.max() == frames - 1
    assert np.abs(np.diff(order)).max() <= 1


def test_turns_are_eased() -> None:
    order = ping_pong(100, 400, 12).astype(float)
    speed = np.diff(order)
    turns = np.flatnonzero((order[1:-1] == 99) | (order[1:-1] == 0)) + 1
    for turn in turns:
        near = np.abs(speed[max(turn - 4, 0) : turn + 4])
        assert near.mean() < 0.7
    assert np.abs(speed[20:60]).mean() == pytest.approx(1.0, abs=0.02)


def test_a_clip_of_one_frame_stands_still() -> None:
    np.testing.assert_array_equal(ping_pong(1, 5, 12), np.zeros(5))


@pytest.mark.parametrize("piece", [4, 10_000])
def test_reading_in_order_gives_the_frames_of_direct_decoding(
    clip: Path, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_order, "BACKWARD_FRAMES", piece)
    monkeypatch.setattr(frame_order, "BACKWARD_BYTES", piece * 48 * 64 * 3)
    with VideoReader(clip) as reader:
        frames = list(reader)
    times_s = np.array([frame.time_s for frame in frames])
    order = [*range(5, FRAMES), *range(FRAMES - 1, 2, -1), 2, 2, 2, 3, 4, 4, 9, 17, 16, 16, 0]
    read = list(read_in_order(clip, order, times_s))
    for number, frame in itertools.zip_longest(order, read):
        np.testing.assert_array_equal(frame.image, frames[number].image)
