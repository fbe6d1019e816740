"""A visible label, drawn into a corner of every frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from talkinghead.errors import LabelError
from talkinghead.media.fonts import load_font
from talkinghead.structures import ByteArray

LETTER_SHARE = 0.05
"""Height of the capital letters, as a share of the frame's shorter side: the least that GB 45438-2025 allows."""
MAX_CHARACTERS = 80
BACKGROUND_BRIGHTNESS = 0.35
"""What is left of the frame's brightness behind the letters."""


class VisibleLabel:
    """A short text in the lower right corner of every frame: white letters on a darkened background."""

    def __init__(self, text: str, width: int, height: int, font: Path | None = None) -> None:
        """Draw the text once.

        Args:
            text: one line.
            width, height: of the frames, pixels.
            font: TrueType or OpenType file; None takes a built-in font, which has Latin letters only.

        Raises:
            LabelError: the text is empty, too long or wider than the frame; or the font lacks its letters, or is none.
            MissingFileError: there is no such font.
        """
        if not text.strip() or len(text) > MAX_CHARACTERS or not text.isprintable():
            raise LabelError(f"The visible label has to be one line of 1 to {MAX_CHARACTERS} characters.")
        if font is None and not text.isascii():
            raise LabelError(
                "The built-in font of the visible label has Latin letters only; name a font that has more."
            )
        letter_px = LETTER_SHARE * min(width, height)
        letters = load_font(font, letter_px)
        left, top, right, bottom = (round(side) for side in letters.getbbox(text))
        margin = max(2, round(letter_px / 3))
        box_width, box_height = right - left + 2 * margin, bottom - top + 2 * margin
        if box_width > width or box_height > height:
            raise LabelError(f"The visible label {text!r} is wider than the frame; make it shorter.")
        drawn = Image.new("L", (box_width, box_height), 0)
        ImageDraw.Draw(drawn).text((margin - left, margin - top), text, fill=255, font=letters)
        self._opacity = np.asarray(drawn, np.float32)[..., None] / 255
        """(h, w, 1), of the white letters."""
        self.height_px = box_height
        """How much of the lower edge it takes, pixels."""
        self._corner = (slice(height - box_height, height), slice(width - box_width, width))

    def drawn_on(self, image: ByteArray) -> ByteArray:
        """A copy of a frame's image, (H, W, 3) uint8, with the label."""
        labeled = image.copy()
        background = image[self._corner] * np.float32(BACKGROUND_BRIGHTNESS)
        labeled[self._corner] = np.round(background + self._opacity * (255 - background)).astype(np.uint8)
        return labeled

    def drawn_on_cutout(self, image: ByteArray, alpha: ByteArray) -> tuple[ByteArray, ByteArray]:
        """The same where the image is transparent: (H, W, 3) straight colors and (H, W) alpha, uint8.

        Whatever is put behind it later is darkened behind the letters, as the image itself is.
        """
        labeled, visible = image.copy(), alpha.copy()
        shines_through = (1 - self._opacity) * np.float32(BACKGROUND_BRIGHTNESS)
        own = alpha[self._corner][..., None].astype(np.float32) / 255
        total = 1 - shines_through * (1 - own)
        colors = (shines_through * own * image[self._corner] + self._opacity * 255) / np.maximum(total, 1e-6)
        labeled[self._corner] = np.round(colors).astype(np.uint8)
        visible[self._corner] = np.round(255 * total[..., 0]).astype(np.uint8)
        return labeled, visible
