"""Pixels that are not square, as the container or the codec has it: frames are stretched to square ones."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media_files import read_frames
from picture_files import write_with_pixel_aspect

from talkinghead.errors import MediaError
from talkinghead.media.pixel_aspect import square_size_px
from talkinghead.media.video_reader import read_video_info
from talkinghead.structures import ByteArray


def disc(width: int, height: int, aspect: Fraction) -> ByteArray:
    """White on black: what is stored of a disc of 40 px, if the pixels have that aspect."""
    y, x = np.mgrid[:height, :width] + 0.5
    scale_x, scale_y = (float(aspect), 1.0) if aspect > 1 else (1.0, 1 / float(aspect))
    inside = ((x - width / 2) * scale_x) ** 2 + ((y - height / 2) * scale_y) ** 2 < 40**2
    return np.repeat((235 * inside).astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(8, 9), Fraction(2), Fraction(10, 11)], ids=str)
@pytest.mark.parametrize(
    ("name", "codec"), [("clip.mp4", "libvpx-vp9"), ("clip.h264", "libx264"), ("b.mp4", "libx264")]
)
def test_a_disc_is_shown_round(tmp_path: Path, name: str, codec: str, aspect: Fraction) -> None:
    clip = write_with_pixel_aspect(tmp_path / name, disc(120, 96, aspect), aspect, codec)
    info = read_video_info(clip)
    assert info.treatment.pixel_aspect == aspect
    assert info.treatment.as_dict()["pixel_aspect"] == f"{aspect.numerator}:{aspect.denominator}"
    image = read_frames(clip)[0].image
    assert image.shape[:2] == (info.height, info.width)
    white = image[..., 1] > 117
    assert white.any(0).sum() == pytest.approx(80, abs=2) and white.any(1).sum() == pytest.approx(80, abs=2)
    assert white.sum() == pytest.approx(np.pi * 40**2, rel=0.02)


def test_the_container_counts_more_than_the_codec(tmp_path: Path) -> None:
    clip = write_with_pixel_aspect(tmp_path / "clip.mp4", disc(120, 96, Fraction(2)), Fraction(4, 3), "libx264")
    content = clip.read_bytes()
    place = content.index(b"pasp") + 4
    clip.write_bytes(content[:place] + bytes([0, 0, 0, 2, 0, 0, 0, 1]) + content[place + 8 :])
    info = read_video_info(clip)
    assert (info.width, info.height, info.treatment.pixel_aspect) == (240, 96, 2)


@pytest.mark.parametrize(
    ("stored", "aspect", "shown"),
    [
        ((384, 512), Fraction(4, 3), (512, 512)),
        ((1440, 1080), Fraction(4, 3), (1920, 1080)),
        ((720, 480), Fraction(8, 9), (720, 540)),
        ((720, 576), Fraction(16, 15), (768, 576)),
        ((640, 360), Fraction(1), (640, 360)),
        ((641, 361), Fraction(1), (641, 361)),
    ],
)
def test_square_size(stored: tuple[int, int], aspect: Fraction, shown: tuple[int, int]) -> None:
    assert square_size_px(*stored, aspect) == shown


def test_implausible_pixels_are_refused(tmp_path: Path) -> None:
    clip = write_with_pixel_aspect(tmp_path / "clip.mp4", disc(120, 96, Fraction(1)), Fraction(9), "libvpx-vp9")
    with pytest.raises(MediaError, match="pixels of 9:1 are not plausible"):
        read_video_info(clip)
