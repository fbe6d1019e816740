"""Order of the clip's frames in the output, and reading them in that order."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from drawn_face import write_frames

from talkinghead.generation import frame_order
from talkinghead.generation.frame_order import ping_pong, read_in_order, turning_points
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import Reconstruction

FRAMES = 40


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images of noise, no two alike."""
    draw = np.random.default_rng(0)
    images = (draw.integers(0, 255, (48, 64, 3)).astype(np.uint8) for _ in range(FRAMES))
    return write_frames(tmp_path_factory.mktemp("order") / "noise.mp4", images, np.arange(FRAMES) / 25, Fraction(25))


def test_the_clip_comes_first() -> None:
    np.testing.assert_array_equal(ping_pong(50, 0, 49), np.arange(50))
    np.testing.assert_array_equal(ping_pong(7, 3, 49), np.arange(7))
    np.testing.assert_array_equal(ping_pong(12, 2, 5), [0, 1, 2, 3, 4, 5, 4, 3, 2, 3, 4, 5])


@pytest.mark.parametrize(("first", "last", "count"), [(0, 49, 80), (5, 44, 400), (0, 2, 40), (0, 1, 9), (7, 90, 1000)])
def test_then_it_runs_back_and_forth_and_every_frame_is_another(first: int, last: int, count: int) -> None:
    order = ping_pong(count, first, last)
    assert order.shape == (count,)
    assert order[0] == 0 and order.max() == last and order[last:].min() >= first
    assert (np.abs(np.diff(order)) == 1).all()


def test_a_clip_of_one_frame_stands_still() -> None:
    np.testing.assert_array_equal(ping_pong(5, 0, 0), np.zeros(5))


def test_playback_turns_where_the_head_is_still() -> None:
    """A head that nods all the time but for two moments, at 1 s and 8.2 s, and is lost at one still one."""
    t = np.arange(250) / 25
    still = np.exp(-(((t - 1.0) / 0.3) ** 2)) + np.exp(-(((t - 8.2) / 0.3) ** 2)) + np.exp(-(((t - 9.4) / 0.3) ** 2))
    nod = 0.2 * np.cumsum(np.sin(9 * t) * (1 - np.minimum(still, 1))) / 25
    clip = Reconstruction(
        identity=np.zeros(1, np.float32),
        expression=np.zeros((250, 1), np.float32),
        rotation=np.stack([nod, 0 * nod, 0 * nod], 1).astype(np.float32),
        translation=np.full((250, 2), 200, np.float32),
        scale=np.full(250, 15, np.float32),
        valid=np.abs(t - 9.4) > 0.1,
        times_s=t,
        misfit_cm=np.zeros(250),
    )
    first, last = turning_points(clip)
    assert abs(first / 25 - 1.0) < 0.2 and abs(last / 25 - 8.2) < 0.2


@pytest.mark.parametrize("frames", [1, 2, 3, 10])
def test_short_clips_have_turning_points_too(frames: int) -> None:
    zeros = np.zeros((frames, 3), np.float32)
    clip = Reconstruction(
        zeros[0], zeros, zeros, zeros[:, :2], np.ones(frames, np.float32), np.zeros(frames, bool),
        np.arange(frames) / 25, zeros[:, 0].astype(float),
    )  # fmt: skip
    first, last = turning_points(clip)
    assert 0 <= first <= last < frames


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
