"""Interlaced video: found by flags and by pictures, made whole in either field order, and nothing else taken for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import read_frames
from picture_files import interlaced, scene, telecined, write_lossless

from talkinghead.media.interlacing import Deinterlacer, Scan, scan_of
from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.structures import ByteArray


def error(image: ByteArray, truth: ByteArray) -> float:
    """Mean difference inside of the margins, over which a moving scene comes in."""
    return float(np.abs(image.astype(int) - truth)[8:-8, 8:-8].mean())


@pytest.mark.parametrize("flagged", [True, False])
@pytest.mark.parametrize("top_first", [True, False])
def test_interlaced_frames_become_whole(tmp_path: Path, top_first: bool, flagged: bool) -> None:
    combed = interlaced(20, top_first)
    flags = ("tff" if top_first else "bff") if flagged else ""
    clip = write_lossless(tmp_path / "clip.mp4", combed, flags=flags)
    order = "top field first" if top_first else "bottom field first"
    expected = f"interlaced, {order}" + ("" if flagged else ", not flagged")
    assert read_video_info(clip).treatment.as_dict() == {
        "summary": f"deinterlaced ({expected})",
        "deinterlaced": expected,
    }
    frames = read_frames(clip)
    assert [frame.time_s for frame in frames] == pytest.approx([number / 25 for number in range(20)])
    for number in range(1, 19):
        truth = scene(2 * number)  # of the first field
        before, after = error(combed[number], truth), error(frames[number].image, truth)
        assert before > 6
        assert after < 3 and after < before / 3


def test_combs_are_followed_where_the_flags_have_the_other_order(tmp_path: Path) -> None:
    clip = write_lossless(tmp_path / "clip.mp4", interlaced(20, top_first=False), flags="tff")
    assert read_video_info(clip).treatment.deinterlaced == "interlaced, bottom field first"
    assert error(read_frames(clip)[9].image, scene(18)) < 3


def test_still_video_that_is_flagged_is_left_as_it_is_but_for_nothing(tmp_path: Path) -> None:
    clip = write_lossless(tmp_path / "clip.mp4", [scene(0)] * 12, flags="tff")
    assert read_video_info(clip).treatment.deinterlaced == "interlaced by its flags"
    assert error(read_frames(clip)[6].image, scene(0)) < 1


def test_telecine_is_named(tmp_path: Path) -> None:
    clip = write_lossless(tmp_path / "clip.mp4", telecined(40), rate=Fraction(30000, 1001))
    assert read_video_info(clip).treatment.deinterlaced == "3:2 telecine, top field first, not flagged"
    frames = read_frames(clip)
    for number, moment in ((10, 8), (11, 9), (12, 9), (14, 11)):
        assert error(frames[number].image, scene(moment)) < 3


@pytest.mark.parametrize("stripes", [0, 2, 3, 4, 5])
def test_progressive_video_is_left_alone(tmp_path: Path, stripes: int) -> None:
    images = [scene(number, stripes) for number in range(30)]
    clip = write_lossless(tmp_path / "clip.mp4", images)
    assert not read_video_info(clip).treatment
    assert np.abs(read_frames(clip)[15].image.astype(int) - images[15]).max() <= 2


def test_still_frames_tell_nothing() -> None:
    still = scene(0)[..., 0]
    assert scan_of(still, still, still) is None
    moving = [scene(number)[..., 0] for number in range(3)]
    assert scan_of(*moving) is Scan.PROGRESSIVE


@pytest.mark.parametrize("first", [1, 11, 12, 13, 25])
def test_reading_from_a_time_gives_the_same_frames(tmp_path: Path, first: int) -> None:
    clip = write_lossless(tmp_path / "clip.mp4", interlaced(30, top_first=True), flags="tff")
    in_order = read_frames(clip)
    with VideoReader(clip) as reader:
        found = list(itertools.islice(reader.frames_from(first / 25), 3))
    assert [frame.time_s for frame in found] == [frame.time_s for frame in in_order[first : first + 3]]
    for ours, theirs in zip(found, in_order[first : first + 3], strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)


def test_frames_are_deinterlaced_one_at_a_time() -> None:
    taken = 0

    def source() -> Iterator[av.VideoFrame]:
        nonlocal taken
        for number, image in enumerate(interlaced(30, top_first=True)):
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = 7 * number, Fraction(1, 90)
            taken += 1
            yield frame

    for made, frame in enumerate(Deinterlacer(Scan.TOP_FIRST, all_frames=True).frames(source())):
        assert taken <= made + 2
        assert (frame.pts, frame.time_base) == (7 * made, Fraction(1, 90))
    assert made == 29
