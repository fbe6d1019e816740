"""A visible label, drawn into a corner of every frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from talkinghead.errors import LabelError, MissingFileError
from talkinghead.structures import ByteArray


class VisibleLabel:
    """A short text in the corner of every frame.

    The letters are 5 % of the frame's shorter side high, the least that GB 45438-2025 asks for in pictures.
    """

    SHARE = 0.05
    LONGEST = 80

    def __init__(self, text: str, width: int, height: int, font: Path | None = None) -> None:
        """Draw the text once.

        Args:
            text: one line.
            width, height: of the frames, pixels.
            font: TrueType or OpenType file; None takes a built-in font, which has Latin letters only.

        Raises:
            LabelError: the text is empty, too long or wider than the frame, or the font lacks its letters.
            MissingFileError: there is no such font.
        """
        if not text.strip() or len(text) > self.LONGEST or not text.isprintable():
            raise LabelError(f"The visible label has to be one line of 1 to {self.LONGEST} characters.")
        if font is None and not text.isascii():
            raise LabelError(
                "The built-in font of the visible label has Latin letters only; name a font that has more."
            )
        size_px = self.SHARE * min(width, height)
        letters = _load_font(font, size_px)
        left, top, right, bottom = (round(side) for side in letters.getbbox(text))
        margin = max(2, round(size_px / 3))
        box = (right - left + 2 * margin, bottom - top + 2 * margin)
        if box[0] > width or box[1] > height:
            raise LabelError(f"The visible label {text!r} is wider than the picture; make it shorter.")
        picture = Image.new("L", box, 0)
        ImageDraw.Draw(picture).text((margin - left, margin - top), text, fill=255, font=letters)
        self._letters = np.asarray(picture, np.float32)[..., None] / 255
        self._corner = (slice(height - box[1], height), slice(width - box[0], width))

    def drawn_on(self, image: ByteArray) -> ByteArray:
        """A copy of a frame, (H, W, 3) uint8, with the text in white on a darkened ground at the lower right."""
        labelled = image.copy()
        ground = image[self._corner] * np.float32(0.35)
        labelled[self._corner] = np.round(ground + self._letters * (255 - ground)).astype(np.uint8)
        return labelled


def _load_font(path: Path | None, letter_px: float) -> ImageFont.FreeTypeFont:
    """A font whose capital letters are so many pixels high."""
    if path is not None and not path.is_file():
        raise MissingFileError(f"There is no font {path}.")
    try:
        trial = _font_of_size(path, 100.0)
        top, bottom = trial.getbbox("H")[1::2]
        return _font_of_size(path, 100.0 * letter_px / max(bottom - top, 1))
    except (OSError, ValueError) as error:
        raise LabelError(f"{path} is not a font that can be read.") from error


def _font_of_size(path: Path | None, size_px: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px) if path is None else ImageFont.truetype(str(path), size_px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise LabelError("This build of Pillow draws no scalable letters; install Pillow from its wheel.")
    return font
