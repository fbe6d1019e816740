"""Contact sheets, pixel by pixel: which frames and mouths they show, and where."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from talkinghead.errors import OutputError
from talkinghead.media.images import BACKGROUND, GAP_PX, SHEET_WIDTH_PX, ContactSheet, captions, image_grid, write_png
from talkinghead.structures import ByteArray

FRAME_HEIGHT, MOUTH_HEIGHT = 20, 12


def noise(seed: int, height: int, width: int = SHEET_WIDTH_PX) -> ByteArray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def frame(index: int) -> ByteArray:
    """No two are alike, and none has to be resized for the sheet."""
    return noise(index, FRAME_HEIGHT)


def mouth(index: int) -> ByteArray:
    return noise(1000 + index, MOUTH_HEIGHT)


def read_png(path: Path) -> ByteArray:
    return np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))


def assert_laid_out(sheet: ByteArray, expected: list[list[ByteArray]]) -> None:
    """Check that rows of images stand where they should, each row in a margin of its own, and nothing else does."""
    columns = max(map(len, expected))
    rest = sheet.copy()
    top = 0
    for row in expected:
        top += GAP_PX
        for column, image in enumerate(row):
            left = GAP_PX + column * (SHEET_WIDTH_PX + GAP_PX)
            place = (slice(top, top + len(image)), slice(left, left + SHEET_WIDTH_PX))
            np.testing.assert_array_equal(sheet[place], image)
            rest[place] = BACKGROUND
        top += len(row[0]) + GAP_PX
    assert sheet.shape == (top, GAP_PX + columns * (SHEET_WIDTH_PX + GAP_PX), 3)
    assert (rest == BACKGROUND).all()


@pytest.mark.parametrize(
    ("count", "upper", "lower"),
    [
        (1, [0], []),
        (2, [0], [1]),
        (5, [0, 1, 2], [3, 4]),
        (12, [0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]),
        (40, [0, 4, 7, 11, 14, 18], [21, 25, 28, 32, 35, 39]),
        (97, [0, 9, 17, 26, 35, 44], [52, 61, 70, 79, 87, 96]),
    ],
)
def test_frames_in_two_rows_with_their_mouths_below(
    count: int, upper: list[int], lower: list[int], tmp_path: Path
) -> None:
    sheet = ContactSheet(count)
    for index in range(count):
        if sheet.wants(index):
            sheet.add(frame(index), mouth(index))
    sheet.write(tmp_path / "sheet.png")
    rows = [list(map(make, half)) for half in (upper, lower) if half for make in (frame, mouth)]
    assert_laid_out(read_png(tmp_path / "sheet.png"), rows)


def test_frames_are_scaled_down_and_mouths_up(tmp_path: Path) -> None:
    """Blocks of one color stay blocks: four of them, away from the edges between them."""
    quarters = np.array([[[200, 10, 30], [20, 190, 40]], [[50, 60, 180], [240, 230, 220]]], np.uint8)
    sheet = ContactSheet(1)
    sheet.add(np.kron(quarters, np.ones((360, 512, 1), np.uint8)), np.kron(quarters, np.ones((16, 32, 1), np.uint8)))
    sheet.write(tmp_path / "sheet.png")
    image = read_png(tmp_path / "sheet.png")
    frame_height, mouth_height = 180, 128
    assert image.shape[0] == frame_height + mouth_height + 4 * GAP_PX
    for top, height in ((GAP_PX, frame_height), (3 * GAP_PX + frame_height, mouth_height)):
        rows = top + np.array([1, 3]) * height // 4
        columns = GAP_PX + np.array([1, 3]) * SHEET_WIDTH_PX // 4
        np.testing.assert_array_equal(image[np.ix_(rows, columns)], quarters)


def test_a_short_row_of_a_grid_ends_in_background() -> None:
    images = [noise(number, 3, 5) for number in range(3)]
    grid = image_grid([images[:2], images[2:]])
    expected = np.full((2 * (3 + GAP_PX) + GAP_PX, 2 * (5 + GAP_PX) + GAP_PX, 3), BACKGROUND, np.uint8)
    expected[GAP_PX : GAP_PX + 3, GAP_PX : GAP_PX + 5] = images[0]
    expected[GAP_PX : GAP_PX + 3, -GAP_PX - 5 : -GAP_PX] = images[1]
    expected[-GAP_PX - 3 : -GAP_PX, GAP_PX : GAP_PX + 5] = images[2]
    np.testing.assert_array_equal(grid, expected)


def test_captions_stand_above_their_columns() -> None:
    drawn = captions(["one", "", "three"], 60)
    assert drawn.shape[1] == 3 * 60 + 4 * GAP_PX and drawn.dtype == np.uint8
    letters = drawn[..., 0] > BACKGROUND + 50
    columns = [letters[:, GAP_PX + left : GAP_PX + left + 60] for left in (0, 60 + GAP_PX, 2 * (60 + GAP_PX))]
    assert [column.any() for column in columns] == [True, False, True]
    assert letters.sum() == sum(column.sum() for column in columns)  # none in the gaps


def test_long_captions_are_wrapped_between_words_and_cut_within() -> None:
    one, wrapped = captions(["word"], 60), captions(["word word"], 60)
    line_px = wrapped.shape[0] - one.shape[0]
    assert line_px > 0
    np.testing.assert_array_equal(wrapped[: one.shape[0]], one)
    np.testing.assert_array_equal(wrapped[line_px + GAP_PX :], one[GAP_PX:])  # the same word again, a line lower
    assert captions(["incomprehensibilities"], 60).shape == one.shape
    assert captions(["word", "word word"], 60).shape[0] == wrapped.shape[0]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_png(tmp_path / "none" / "a.png", noise(0, 4, 4))
