"""HDR and wide gamut as BT.709: colors that are known in BT.709 come back from their codes in other systems."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from media_files import read_frames
from numpy.typing import NDArray
from picture_files import write_colors

from talkinghead.errors import MediaError
from talkinghead.media.tone_mapping import KNEE, rolled_off
from talkinghead.media.video_reader import read_video_info

COLORS = [(103, 86, 70), (180, 120, 100), (30, 60, 20), (128, 128, 128), (20, 20, 20)]
"""RGB of BT.709, of skin and of clothes."""
# ITU-R BT.2087-0, and the same for Display P3 by its primaries (SMPTE EG 432-1).
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])
BT2020_WEIGHTS, BT709_WEIGHTS = (0.2627, 0.0593), (0.2126, 0.0722)


def hlg(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Code of light on the display, 1 at SDR's white: through the inverse of the system gamma, per channel."""
    scene = (light * 203 / 1000) ** (1 / 1.2)
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    )


def pq(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Code of light on the display, 1 at SDR's white of 203 cd/m2 (SMPTE ST 2084)."""
    root = (light * 203 / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375


@pytest.mark.parametrize("color", COLORS, ids=str)
@pytest.mark.parametrize("system", ["HLG BT.2020", "PQ BT.2020", "BT.2020", "Display P3"])
def test_colors_come_back(tmp_path: Path, system: str, color: tuple[int, int, int]) -> None:
    light = (np.array(color) / 255) ** 2.4
    if system == "Display P3":
        tags, weights, signal = (1, 12, 1), BT709_WEIGHTS, (TO_P3 @ light) ** (1 / 2.4)
    elif system == "BT.2020":
        tags, weights, signal = (14, 9, 9), BT2020_WEIGHTS, (TO_BT2020 @ light) ** (1 / 2.4)
    else:
        tags, weights = (18 if "HLG" in system else 16, 9, 9), BT2020_WEIGHTS
        signal = (hlg if "HLG" in system else pq)(TO_BT2020 @ light)
    clip = write_colors(tmp_path / "clip.mp4", signal, *tags, weights)
    assert read_video_info(clip).treatment.as_dict() == {
        "summary": f"{system} converted to BT.709",
        "tone_mapped": system,
    }
    image = read_frames(clip)[0].image
    assert np.abs(image[32, 32].astype(int) - color).max() <= 2


def test_bt709_in_ten_bits_is_left_alone(tmp_path: Path) -> None:
    clip = write_colors(tmp_path / "clip.mp4", np.array([103, 86, 70]) / 255, 1, 1, 1, BT709_WEIGHTS)
    assert not read_video_info(clip).treatment
    assert np.abs(read_frames(clip)[0].image[32, 32].astype(int) - (103, 86, 70)).max() <= 1


def test_highlights_are_rolled_off() -> None:
    light = np.linspace(0, 1000 / 203, 1000, dtype=np.float32)
    shown = rolled_off(light)
    np.testing.assert_allclose(shown[light <= KNEE], light[light <= KNEE])
    assert shown[-1] == pytest.approx(1)
    slopes = np.diff(shown) / np.diff(light)
    assert (slopes > 0).all() and np.abs(np.diff(slopes)).max() < 0.05


@pytest.mark.parametrize("system", [hlg, pq])
def test_a_white_beyond_sdr_keeps_its_hue_and_is_not_clipped(tmp_path: Path, system: object) -> None:
    light = np.array([3.0, 1.5, 1.5])
    signal = (hlg if system is hlg else pq)(TO_BT2020 @ light)
    clip = write_colors(tmp_path / "clip.mp4", signal, 18 if system is hlg else 16, 9, 9, BT2020_WEIGHTS)
    red, green, blue = (read_frames(clip)[0].image[32, 32] / 255.0) ** 2.4
    assert 0.9 < red < 1
    assert green / red == pytest.approx(0.5, abs=0.03) and blue / red == pytest.approx(0.5, abs=0.03)


def test_dolby_vision_without_a_base_layer_is_refused(tmp_path: Path) -> None:
    clip = write_colors(tmp_path / "clip.mp4", np.array([0.4, 0.3, 0.3]), 2, 2, 2, BT709_WEIGHTS)
    assert read_frames(clip)
    clip.write_bytes(clip.read_bytes().replace(b"avc1", b"dva1"))
    with pytest.raises(MediaError, match="Dolby Vision without a base layer"):
        read_frames(clip)


def test_dolby_vision_with_a_base_layer_is_read(tmp_path: Path) -> None:
    color = (103, 86, 70)
    signal = hlg(TO_BT2020 @ ((np.array(color) / 255) ** 2.4))
    clip = write_colors(tmp_path / "clip.mp4", signal, 18, 9, 9, BT2020_WEIGHTS)
    clip.write_bytes(clip.read_bytes().replace(b"avc1", b"dva1"))
    assert np.abs(read_frames(clip)[0].image[32, 32].astype(int) - color).max() <= 2


@pytest.mark.parametrize(("matrix", "name"), [(8, "YCgCo"), (10, "constant luminance"), (14, "ICtCp")])
def test_other_color_codings_are_refused(tmp_path: Path, matrix: int, name: str) -> None:
    clip = write_colors(tmp_path / "clip.mp4", np.array([0.4, 0.3, 0.3]), 16, 9, matrix, BT2020_WEIGHTS)
    with pytest.raises(MediaError, match=name):
        read_video_info(clip)
