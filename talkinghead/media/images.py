"""Still pictures: contact sheets and PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from talkinghead.errors import OutputError
from talkinghead.files import replacing
from talkinghead.structures import ByteArray

GAP_PX = 4
GROUND = 24
"""Grey level between the pictures."""
SHEET_FRAMES = 12
SHEET_WIDTH_PX = 256


def contact_sheet(rows: Sequence[Sequence[ByteArray]]) -> ByteArray:
    """Lay pictures out in rows: each (H, W, 3) uint8 of one size -> one picture on a dark ground."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows) * (height + GAP_PX) + GAP_PX, columns * (width + GAP_PX) + GAP_PX, 3), GROUND, np.uint8)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            top, left = GAP_PX + r * (height + GAP_PX), GAP_PX + c * (width + GAP_PX)
            sheet[top : top + height, left : left + width] = picture
    return sheet


class SpeechSheet:
    """A contact sheet of a talking video: frames spread evenly over it, the mouth enlarged below each."""

    def __init__(self, count: int) -> None:
        """Args: number of frames of the video."""
        self._wanted = set(np.linspace(0, count - 1, min(SHEET_FRAMES, count)).round().astype(int).tolist())
        self._frames: list[ByteArray] = []
        self._mouths: list[ByteArray] = []

    def wants(self, index: int) -> bool:
        return index in self._wanted

    def add(self, frame: ByteArray, mouth: ByteArray) -> None:
        """The next frame, (H, W, 3) uint8, and the picture of its mouth, of any size."""
        height = round(frame.shape[0] * SHEET_WIDTH_PX / frame.shape[1])
        self._frames.append(np.asarray(cv2.resize(frame, (SHEET_WIDTH_PX, height), interpolation=cv2.INTER_AREA)))
        height = round(mouth.shape[0] * SHEET_WIDTH_PX / mouth.shape[1])
        self._mouths.append(np.asarray(cv2.resize(mouth, (SHEET_WIDTH_PX, height), interpolation=cv2.INTER_CUBIC)))

    def write(self, path: Path) -> None:
        """Write the sheet as PNG. Raises OutputError."""
        half = (len(self._frames) + 1) // 2
        sheets = [
            contact_sheet([row])
            for part in (slice(half), slice(half, None))
            for row in (self._frames[part], self._mouths[part])
            if row
        ]
        width = max(sheet.shape[1] for sheet in sheets)
        padded = [
            np.pad(sheet, ((0, 0), (0, width - sheet.shape[1]), (0, 0)), constant_values=GROUND) for sheet in sheets
        ]
        write_png(path, np.vstack(padded))


def encode_png(picture: ByteArray) -> bytes:
    """(H, W, 3) uint8 RGB as the content of a PNG file.

    Raises:
        OutputError: the picture cannot be encoded.
    """
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise OutputError("Cannot encode a picture as PNG.")
    return data.tobytes()


def write_png(path: Path, picture: ByteArray) -> None:
    """Write (H, W, 3) uint8 RGB as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    content = encode_png(picture)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
