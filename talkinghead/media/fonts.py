"""Fonts for what is drawn into frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from talkinghead.errors import LabelError, MissingFileError
from talkinghead.structures import ByteArray

_NO_LETTER = "\U0010fffd"
"""A character that no font has: what is drawn for it is drawn for every letter that a font lacks."""


def load_font(path: Path | None, letter_px: float) -> ImageFont.FreeTypeFont:
    """A font whose capital letters are `letter_px` high; None is the built-in one, which has Latin letters only.

    Raises:
        LabelError: the file is no font.
        MissingFileError: there is no such file.
    """
    if path is not None and not path.is_file():
        raise MissingFileError(f"There is no font {path}.")
    try:
        # A font's size is not the height of its letters: measure one, then scale.
        trial = _font_of_size(path, 100.0)
        top, bottom = trial.getbbox("H")[1::2]
        return _font_of_size(path, 100.0 * letter_px / max(bottom - top, 1))
    except (OSError, ValueError) as error:
        raise LabelError(f"{path} is not a font that can be read.") from error


def missing_letters(font: ImageFont.FreeTypeFont, text: str) -> str:
    """The characters of a text that a font lacks, each once; white space is no such character."""
    lacking = _drawn(font, _NO_LETTER)
    return "".join(
        character
        for character in dict.fromkeys(text)
        if not character.isspace() and np.array_equal(_drawn(font, character), lacking)
    )


def _drawn(font: ImageFont.FreeTypeFont, character: str) -> ByteArray:
    side = round(2 * font.size) + 2
    image = Image.new("L", (side, side), 0)
    ImageDraw.Draw(image).text((font.size / 2, 0), character, fill=255, font=font)
    return np.asarray(image, np.uint8)


def _font_of_size(path: Path | None, size_px: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px) if path is None else ImageFont.truetype(str(path), size_px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise LabelError("This build of Pillow draws no scalable letters; install Pillow from its wheel.")
    return font
