"""Color matrices and ranges of video frames, where a file leaves them open, and conversion without a bias."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import cast

from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, ColorTrc, Interpolation

from talkinghead.errors import MediaError

MIN_HD_HEIGHT = 720
"""Rows. Frames of at least this height have BT.709 colors where the file does not say, smaller ones BT.601."""
EXACT_COLORS = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""Options of swscale. Its quick path is 1 to 2 levels too dark; this one is unbiased, for about 1 ms more at
512 x 512."""
EXACT_SCALING = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""The same where the size changes too."""
_KNOWN_MATRICES = frozenset(int(matrix) for matrix in Colorspace)
_SMPTE170M = 6
"""BT.601's matrix by its American name, H.273."""
_OTHER_CODINGS = {
    8: "YCgCo",
    10: "BT.2020 with constant luminance",
    11: "Y'D'zD'x",
    12: "a matrix derived from its primaries",
    13: "a matrix derived from its primaries",
    14: "ICtCp",
    15: "IPT",
    16: "YCgCo",
    17: "YCgCo",
}
"""What swscale cannot convert, by H.273's number; it would take them for BT.601 without a word."""
_DOLBY_VISION_TAGS = frozenset({"dvh1", "dvhe", "dva1", "dvav", "dav1"})
"""Codec tags of Dolby Vision without a base layer that other decoders understand."""

_DOLBY_VISION_DATA = ("DOVI_METADATA", "DOVI_RPU_BUFFER")


def check_colors(frame: VideoFrame, codec_tag: str, path: Path) -> None:
    """Refuse a video whose colors cannot be converted; `codec_tag` is its stream's four letters.

    Raises:
        MediaError: it is Dolby Vision without a base layer in HLG, PQ or SDR, or its colors are coded in another way.
    """
    side_data = cast(Container[str], frame.side_data)
    is_dolby_vision = codec_tag in _DOLBY_VISION_TAGS or any(name in side_data for name in _DOLBY_VISION_DATA)
    if is_dolby_vision and frame.color_trc == ColorTrc.UNSPECIFIED:
        raise MediaError(
            f"{path}: Dolby Vision without a base layer (profile 5), whose colors only its own decoder knows; "
            "convert it to SDR or HLG"
        )
    coding = _OTHER_CODINGS.get(int(frame.colorspace))
    if coding is not None and not frame.format.is_rgb:
        raise MediaError(f"{path}: its colors are coded as {coding}, which cannot be read; convert it to BT.709")


def fill_in_colors(frame: VideoFrame) -> None:
    """Set the color matrix and range of a decoded frame in place, where the stream leaves them unspecified."""
    if frame.format.is_rgb:
        return
    if frame.colorspace == _SMPTE170M:
        frame.colorspace = Colorspace.ITU601
    if frame.colorspace not in _KNOWN_MATRICES:
        frame.colorspace = Colorspace.ITU709 if frame.height >= MIN_HD_HEIGHT else Colorspace.ITU601
    if frame.color_range == ColorRange.UNSPECIFIED:
        # The yuvj formats are FFmpeg's old way of saying full range.
        full = frame.format.name.startswith("yuvj")
        frame.color_range = ColorRange.JPEG if full else ColorRange.MPEG
