"""Still pictures: contact sheets and PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from talkinghead.checkpoint import replacing
from talkinghead.errors import OutputError
from talkinghead.structures import ByteArray

GAP_PX = 4


def contact_sheet(rows: Sequence[Sequence[ByteArray]]) -> ByteArray:
    """Lay pictures out in rows: each (H, W, 3) uint8 of one size -> one picture on a dark ground."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows) * (height + GAP_PX) + GAP_PX, columns * (width + GAP_PX) + GAP_PX, 3), 24, np.uint8)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            top, left = GAP_PX + r * (height + GAP_PX), GAP_PX + c * (width + GAP_PX)
            sheet[top : top + height, left : left + width] = picture
    return sheet


def write_png(path: Path, picture: ByteArray) -> None:
    """Write (H, W, 3) uint8 RGB as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise OutputError(f"Cannot encode a picture for {path}.")
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())
