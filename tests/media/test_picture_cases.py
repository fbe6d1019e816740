"""Videos that were found to go wrong, in a folder beside the repository; what is right stands in its README."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from media_files import read_frames

from talkinghead.media.interlacing import Scan, scan_of
from talkinghead.media.video_reader import read_video_info

CASES = Path(__file__).parents[3] / "shared" / "cases"


def case(name: str) -> Path:
    """A video of that folder; the test skips where it is absent."""
    if not (CASES / name).is_file():
        pytest.skip(f"there is no ../shared/cases/{name}")
    return CASES / name


@pytest.mark.parametrize(
    ("name", "summary"),
    [
        ("base_clip.mp4", ""),
        ("interlaced_twin_progressive.mp4", ""),
        ("pixels_4_3.mp4", "pixels of 4:3 made square"),
        ("hdr_hlg.mov", "HLG BT.2020 converted to BT.709"),
        ("interlaced_tff.mp4", "deinterlaced (interlaced, top field first)"),
        ("recorder_1000fps.webm", "25 fps by its time stamps"),
        ("gap_1s.mp4", "25 fps by its time stamps; 25 frames repeated in gaps"),
        ("gap_3s.mp4", "25 fps by its time stamps; 75 frames repeated in gaps"),
    ],
)
def test_what_reading_does(name: str, summary: str) -> None:
    info = read_video_info(case(name))
    assert str(info.treatment) == summary
    assert info.frame_rate == 25
    assert info.width == info.height


@pytest.mark.parametrize(
    ("name", "count"),
    [("gap_1s.mp4", 100), ("gap_3s.mp4", 175), ("recorder_1000fps.webm", 100), ("pixels_4_3.mp4", 100)],
)
def test_frames_come_at_the_nominal_rate(name: str, count: int) -> None:
    times_s = np.array([frame.time_s for frame in read_frames(case(name))])
    assert len(times_s) == count
    assert np.ptp(times_s - np.arange(count) / 25) < 1 / 25


def test_hdr_has_the_colors_of_a_player() -> None:
    upper = read_frames(case("hdr_hlg.mov"))[0].image[:170].mean((0, 1))
    np.testing.assert_allclose(upper, (103, 86, 70), atol=1.5)


def test_combs_are_gone() -> None:
    luma = [frame.image[..., 1] for frame in read_frames(case("interlaced_tff.mp4"))]
    found = [scan_of(*luma[number - 1 : number + 2]) for number in range(1, len(luma) - 1)]
    assert {scan for scan in found if scan is not None} == {Scan.PROGRESSIVE}
    assert found.count(Scan.PROGRESSIVE) > 80
