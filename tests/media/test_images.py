"""Contact sheets: which frames they show, and how they are laid out."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from talkinghead.errors import OutputError
from talkinghead.media.images import GAP_PX, SHEET_FRAMES, SHEET_WIDTH_PX, SpeechSheet, write_png
from talkinghead.structures import ByteArray


def plain(level: int, height: int, width: int) -> ByteArray:
    return np.full((height, width, 3), level, np.uint8)


def sheet_of(count: int, path: Path) -> ByteArray:
    """The sheet of a video of `count` frames: number t is of grey level t, its mouth of level 100 + t."""
    sheet = SpeechSheet(count)
    for index in range(count):
        if sheet.wants(index):
            sheet.add(plain(index, 90, 160), plain(100 + index, 64, 128))
    sheet.write(path)
    return np.asarray(cv2.imread(str(path)))


@pytest.mark.parametrize("count", [SHEET_FRAMES, 40, 97])
def test_first_and_last_frame_and_evenly_between(count: int, tmp_path: Path) -> None:
    picture = sheet_of(count, tmp_path / "sheet.png")
    height = 90 * SHEET_WIDTH_PX // 160
    columns = SHEET_FRAMES // 2
    assert picture.shape[1] == columns * (SHEET_WIDTH_PX + GAP_PX) + GAP_PX
    centers = GAP_PX + SHEET_WIDTH_PX // 2 + np.arange(columns) * (SHEET_WIDTH_PX + GAP_PX)
    upper, lower = picture[GAP_PX + height // 2, centers, 0], picture[-GAP_PX - 32, centers, 0]
    assert upper[0] == 0 and lower[-1] == 100 + count - 1
    shown = np.concatenate([upper, lower - 100])
    assert np.ptp(np.diff(shown.astype(int))) <= 1


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_short_videos_show_every_frame_once(count: int, tmp_path: Path) -> None:
    picture = sheet_of(count, tmp_path / "sheet.png")
    levels = set(np.unique(picture[..., 0]).tolist())
    assert {*range(count), *range(100, 100 + count)} <= levels


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_png(tmp_path / "none" / "a.png", plain(1, 4, 4))
