"""The nominal rate and the gaps of a video, by its time stamps."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import number_of, numbered_image, read_frames, write_clip

from talkinghead.errors import MediaError
from talkinghead.media.frame_rate import fill_times, nominal_rate
from talkinghead.media.video_probe import frame_stamps
from talkinghead.media.video_reader import VideoReader, read_video_info

NTSC = Fraction(30000, 1001)


def rounded(rate: Fraction, count: int, tick_s: float) -> list[float]:
    """Intervals of exact frames whose stamps are rounded to ticks."""
    stamps = np.round(np.arange(count) / float(rate) / tick_s) * tick_s
    return np.diff(stamps).tolist()


@pytest.mark.parametrize(
    ("intervals_s", "tick_s", "declared", "rate"),
    [
        ([0.032, 0.054, 0.032, 0.032, 0.054, 0.032, 0.054, 0.032, 0.032, 0.046] * 10, 1e-3, [1000], 25),
        ([0.04] * 30 + [1.04] + [0.04] * 44, 1 / 16000, [Fraction(75, 4), 25], 25),
        ([0.04, 0.04, 0.08] * 30, 1 / 90000, [Fraction(75, 4)], 25),
        (rounded(NTSC, 300, 1e-3), 1e-3, [], NTSC),
        (rounded(NTSC, 300, 1e-3), 1e-3, [1000, NTSC], NTSC),
        (rounded(Fraction(30), 300, 1e-3), 1e-3, [], 30),
        (rounded(Fraction(1350, 61), 50, 1e-5), 1e-5, [Fraction(1350, 61)], Fraction(1350, 61)),
        ([1 / 30, 1 / 20] * 40, 1 / 90000, [], 24),
        ([*[0.04] * 7, 0.001] * 10, 1e-3, [], 25),
        ([], 1e-3, [1000], 25),
        ([], 1e-3, [1000, 24], 24),
    ],
)
def test_nominal_rate(intervals_s: list[float], tick_s: float, declared: list[Fraction], rate: Fraction) -> None:
    assert nominal_rate(np.array(intervals_s), tick_s, [Fraction(one) for one in declared]) == rate


def test_stamps_of_fields_are_not_taken_for_those_of_frames() -> None:
    fields = np.array([*range(0, 20, 1), *range(60, 80, 1)]) * 1800
    frames = frame_stamps(fields, 3600.0)
    assert frames.tolist() == [1800 * number for number in (*range(0, 20, 2), *range(60, 80, 2))]
    whole = np.arange(20) * 3600
    assert frame_stamps(whole, 3600.0) is whole


def test_gaps_are_filled_evenly() -> None:
    rate = Fraction(25)
    assert fill_times(Fraction(0), Fraction(6, 100), rate) == []
    assert fill_times(Fraction(1), Fraction(108, 100), rate) == [Fraction(104, 100)]
    filled = fill_times(Fraction(1), Fraction(203, 100), rate)
    assert len(filled) == 25
    times = [Fraction(1), *filled, Fraction(203, 100)]
    assert {later - earlier for earlier, later in itertools.pairwise(times)} == {Fraction(103, 100) / 26}


def with_gap(path: Path, gap_s: float) -> Path:
    """Frames 0 to 29 at 25 fps, with a pause between 9 and 10."""
    return write_clip(path, [number / 25 + gap_s * (number >= 10) for number in range(30)], Fraction(25))


def test_a_gap_is_filled_with_the_frame_before_it(tmp_path: Path) -> None:
    clip = with_gap(tmp_path / "clip.mp4", 1.0)
    info = read_video_info(clip)
    assert info.frame_rate == 25
    assert info.treatment.filled_frames == 25
    frames = read_frames(clip)
    assert [number_of(frame.image) for frame in frames] == [*range(10), *[9] * 25, *range(10, 30)]
    assert [frame.time_s for frame in frames] == pytest.approx([number / 25 for number in range(55)], abs=1e-4)


@pytest.mark.parametrize("first", [5, 9, 10, 20, 34, 35, 50])
def test_reading_from_a_time_finds_frames_in_a_gap(tmp_path: Path, first: int) -> None:
    clip = with_gap(tmp_path / "clip.mp4", 1.0)
    frames = read_frames(clip)
    with VideoReader(clip) as reader:
        found = list(reader.frames_from(frames[first].time_s))
    assert [frame.time_s for frame in found] == [frame.time_s for frame in frames[first:]]
    assert [number_of(frame.image) for frame in found] == [number_of(frame.image) for frame in frames[first:]]


def test_a_gap_of_minutes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"no frame for 90 s after 0\.36 s; cut the video there"):
        read_frames(with_gap(tmp_path / "clip.mp4", 90.0))


def test_a_recorder_that_declares_its_clock(tmp_path: Path) -> None:
    clip = tmp_path / "clip.webm"
    stamps_ms = np.cumsum([0, *[32, 54, 32, 54, 32, 32, 54, 32, 32, 46] * 4])
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libvpx", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number, stamp in enumerate(stamps_ms.tolist()):
            frame = av.VideoFrame.from_ndarray(numbered_image(number), "rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    info = read_video_info(clip)
    assert info.frame_rate == 25
    assert info.treatment.found_rate == 25
    frames = read_frames(clip)
    assert [number_of(frame.image) for frame in frames] == list(range(41))
    assert [frame.time_s for frame in frames] == pytest.approx((stamps_ms / 1000).tolist(), abs=1e-6)
