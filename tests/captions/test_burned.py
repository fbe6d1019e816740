"""Subtitles in the frames: at their times, inside the picture, in letters that the font has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talkinghead.captions.burned import MARGIN_SHARE, BurnedSubtitles
from talkinghead.captions.cues import Cue, line_width_in, width
from talkinghead.errors import LabelError, MissingFileError

CUES = (Cue(("Good evening.",), 0.3, 1.0), Cue(("Two lines, of which one", "is longer than that"), 1.0, 2.0))
GRAY = np.full((360, 640, 3), 100, np.uint8)


@pytest.mark.parametrize(("time_s", "shown"), [(0.0, False), (0.28, False), (0.3, True), (0.96, True), (2.0, False)])
def test_a_cue_is_seen_in_its_time(time_s: float, shown: bool) -> None:
    image = BurnedSubtitles(CUES, (640, 360)).drawn_on(GRAY, time_s)
    assert (image != GRAY).any() == shown
    assert (GRAY == 100).all()


def test_the_box_is_dark_the_letters_white_and_both_in_the_safe_area() -> None:
    image = BurnedSubtitles(CUES, (640, 360)).drawn_on(GRAY, 1.5)
    rows, columns = np.nonzero((image != 100).any(-1))
    assert rows.max() < 360 * (1 - MARGIN_SHARE) and rows.min() > 180
    assert columns.min() >= 640 * MARGIN_SHARE and columns.max() < 640 * (1 - MARGIN_SHARE)
    assert abs((columns.min() + columns.max()) / 2 - 319.5) <= 1
    assert image.max() == 255 and image.min() == 35
    one_line = BurnedSubtitles(CUES, (640, 360)).drawn_on(GRAY, 0.5)
    assert len(np.unique(np.nonzero(one_line != 100)[0])) < 0.7 * len(np.unique(rows))


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (1920, 1080), (256, 256)])
def test_the_widest_line_fits_every_shape(size: tuple[int, int]) -> None:
    cue = Cue(("which met for the third time this week in", "second"), 0, 1)
    gray = np.full((size[1], size[0], 3), 100, np.uint8)
    columns = np.nonzero((BurnedSubtitles([cue], size).drawn_on(gray, 0.5) != 100).any((0, 2)))[0]
    assert columns.min() > 0 and columns.max() < size[0] - 1


def test_frames_that_are_too_small_are_refused() -> None:
    with pytest.raises(LabelError, match="cannot be read in frames of 128x128"):
        BurnedSubtitles(CUES, (128, 128))


def test_a_label_below_is_left_free() -> None:
    image = BurnedSubtitles(CUES, (640, 360), lowest_px=60).drawn_on(GRAY, 0.5)
    assert (image[300:] == 100).all() and (image[240:300] != 100).any()


def test_letters_that_the_font_lacks_are_an_error_and_plain_marks_stand_for_others() -> None:
    with pytest.raises(LabelError, match="lacks '你好'; name one that has these letters with --subtitle-font"):
        BurnedSubtitles([Cue(("你好 you",), 0, 1)], (640, 360))
    plain, typographic = (
        BurnedSubtitles([Cue((text,), 0, 1)], (640, 360)).drawn_on(GRAY, 0.5) for text in ("it - so", "it — so 😀")
    )
    np.testing.assert_array_equal(plain, typographic)


def test_a_font_that_is_missing_or_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no font"):
        BurnedSubtitles(CUES, (640, 360), tmp_path / "none.ttf")
    (tmp_path / "text.ttf").write_text("no font")
    with pytest.raises(LabelError, match="not a font"):
        BurnedSubtitles(CUES, (640, 360), tmp_path / "text.ttf")


CJK_FONTS = [
    path
    for path in map(
        Path,
        (
            "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
            "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
            "/System/Library/Fonts/PingFang.ttc",
            "C:/Windows/Fonts/msyh.ttc",
        ),
    )
    if path.is_file()
]


@pytest.mark.skipif(not CJK_FONTS, reason="no font with Chinese characters is installed (Debian: fonts-wqy-zenhei)")
@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (512, 512)])
def test_chinese_in_a_font_that_has_it(size: tuple[int, int]) -> None:
    """As many characters as a line has by the captions' own width, each of them another shape, inside the picture."""
    for font in CJK_FONTS:
        text = "大家晚上好欢迎收看今天的新闻气温降到五度"
        while width(text) > line_width_in(*size):
            text = text[:-1]
        gray = np.full((size[1], size[0], 3), 100, np.uint8)
        image = BurnedSubtitles([Cue((text,), 0, 1)], size, font).drawn_on(gray, 0.5)
        columns = np.nonzero((image != 100).any((0, 2)))[0]
        assert columns.min() > 0 and columns.max() < size[0] - 1
        rows, places = np.nonzero((image > 200).all(-1))
        pitch = (places.max() - places.min() + 1) / len(text)
        letters = [
            image[rows.min() : rows.max() + 1, round(places.min() + n * pitch) : round(places.min() + (n + 1) * pitch)]
            for n in range(len(text))
        ]
        inked = [(letter > 200).all(-1).mean() for letter in letters]
        assert min(inked) > 0.05, (font, text, inked)
        assert len({letter[:, : int(pitch) - 1].tobytes() for letter in letters}) == len(text)
