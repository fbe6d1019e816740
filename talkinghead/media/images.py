"""Still images: contact sheets of videos, and PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from talkinghead.errors import OutputError
from talkinghead.files import replacing
from talkinghead.structures import ByteArray

GAP_PX = 4
"""Between the images of a grid, and around them."""
BACKGROUND = 24
"""Gray level between the images, 0 to 255."""
SHEET_FRAMES = 12
"""Most frames that a contact sheet shows."""
SHEET_WIDTH_PX = 256
"""Width of each frame and each mouth on a contact sheet."""

LETTERS_PX = 14
"""Size of the letters of captions."""
CAPTION_BRIGHTNESS = 230
"""Gray level of the letters."""


def image_grid(rows: Sequence[Sequence[ByteArray]]) -> ByteArray:
    """Lay out images in rows on a dark background.

    Args:
        rows: at least one image each, (H, W, 3) uint8, all of one size; a short row is filled with background.

    Returns:
        (rows * (H + GAP_PX) + GAP_PX, columns * (W + GAP_PX) + GAP_PX, 3) uint8.
    """
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    grid = np.full(
        (len(rows) * (height + GAP_PX) + GAP_PX, columns * (width + GAP_PX) + GAP_PX, 3), BACKGROUND, np.uint8
    )
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            top, left = GAP_PX + r * (height + GAP_PX), GAP_PX + c * (width + GAP_PX)
            grid[top : top + height, left : left + width] = image
    return grid


def captions(texts: Sequence[str], width_px: int) -> ByteArray:
    """Captions side by side, light letters on the background of `image_grid`, to be put above a grid.

    Args:
        texts: one for each column; words are wrapped, and a word that is too wide is cut.
        width_px: of a column of the grid, without its gap.

    Returns:
        (H, len(texts) * (width_px + GAP_PX) + GAP_PX, 3) uint8, as high as the longest text needs.
    """
    font = ImageFont.load_default(LETTERS_PX)
    blocks = ["\n".join(_wrapped(text, font, width_px)) for text in texts]
    lines = max(block.count("\n") + 1 for block in blocks)
    line_px = round(1.4 * LETTERS_PX)
    image = Image.new("L", (len(texts) * (width_px + GAP_PX) + GAP_PX, lines * line_px + GAP_PX), BACKGROUND)
    for column, block in enumerate(blocks):
        tile = Image.new("L", (width_px, image.height - GAP_PX), BACKGROUND)
        for number, line in enumerate(block.split("\n")):
            ImageDraw.Draw(tile).text((0, number * line_px), line, fill=CAPTION_BRIGHTNESS, font=font)
        image.paste(tile, (GAP_PX + column * (width_px + GAP_PX), GAP_PX))
    return np.repeat(np.asarray(image)[..., None], 3, axis=2)


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int) -> list[str]:
    """The lines of a text that is not to be wider than `width_px`, broken between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


class ContactSheet:
    """One image that sums up a talking video: frames spread evenly over it, below each its mouth, enlarged.

    Frames run from left to right, the second half of them in a second row.
    """

    def __init__(self, frame_count: int) -> None:
        """Choose the frames of a video of so many; the first and the last are among them."""
        count = min(SHEET_FRAMES, frame_count)
        self._wanted = set(np.linspace(0, frame_count - 1, count).round().astype(int).tolist())
        self._frames: list[ByteArray] = []
        self._mouths: list[ByteArray] = []

    def wants(self, index: int) -> bool:
        """Whether the sheet shows the frame of this index."""
        return index in self._wanted

    def add(self, frame: ByteArray, mouth: ByteArray) -> None:
        """Add the next frame, and the image of its mouth: both (H, W, 3) uint8 RGB, of any size."""
        self._frames.append(_scale_to_width(frame, cv2.INTER_AREA))
        self._mouths.append(_scale_to_width(mouth, cv2.INTER_CUBIC))

    def write(self, path: Path) -> None:
        """Write the sheet as a PNG file.

        Raises:
            OutputError: the file cannot be written.
        """
        half = (len(self._frames) + 1) // 2
        strips = [
            image_grid([row])
            for part in (slice(half), slice(half, None))
            for row in (self._frames[part], self._mouths[part])
            if row
        ]
        # With an odd number of frames, the second half's strips are one column short.
        width = max(strip.shape[1] for strip in strips)
        padded = [
            np.pad(strip, ((0, 0), (0, width - strip.shape[1]), (0, 0)), constant_values=BACKGROUND) for strip in strips
        ]
        write_png(path, np.vstack(padded))


def _scale_to_width(image: ByteArray, interpolation: int) -> ByteArray:
    """Resize to `SHEET_WIDTH_PX` columns, the proportions kept."""
    height = round(image.shape[0] * SHEET_WIDTH_PX / image.shape[1])
    return np.asarray(cv2.resize(image, (SHEET_WIDTH_PX, height), interpolation=interpolation))


def encode_png(image: ByteArray) -> bytes:
    """(H, W, 3) uint8 RGB as the content of a PNG file.

    Raises:
        OutputError: the image cannot be encoded.
    """
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise OutputError("Cannot encode an image as PNG.")
    return data.tobytes()


def write_png(path: Path, image: ByteArray) -> None:
    """Write (H, W, 3) uint8 RGB as a PNG file; it appears under its name only when it is complete.

    Raises:
        OutputError: the file cannot be written.
    """
    content = encode_png(image)
    with replacing(path) as partial:
        partial.write_bytes(content)
