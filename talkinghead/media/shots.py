"""Cuts: where one shot of a video ends and the next begins.

Nothing that moves steadily is continued over a cut: the head may be elsewhere in the next frame.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.structures import ByteArray, FloatArray

THUMBNAIL_PX = 32
"""Side of the small images that are compared."""
LEAST_CHANGE = 8.0
"""Mean change from one small image to the next, of 255, that may be a cut."""
LEAST_RATIO = 4.0
"""Least ratio of that change to the usual one around it: in fast motion every frame changes much."""
AROUND = 12
"""Frames on either side by which the usual change is judged."""


class ShotDetector:
    """Compares each frame with the one before, on small gray images; only their changes are kept."""

    def __init__(self) -> None:
        self._last: FloatArray | None = None
        self._changes: list[float] = []

    def push(self, image: ByteArray) -> None:
        """Take the next frame, (H, W, 3) uint8."""
        small = cv2.resize(image, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
        gray: FloatArray = np.asarray(small, np.float32).mean(2)
        self._changes.append(0.0 if self._last is None else float(np.abs(gray - self._last).mean()))
        self._last = gray

    def cuts(self) -> NDArray[np.int64]:
        """(C,) numbers of the frames that begin a new shot, rising; frame 0 is not among them."""
        changes = np.array(self._changes)
        found = []
        for number in np.flatnonzero(changes >= LEAST_CHANGE).tolist():
            around = np.r_[changes[max(1, number - AROUND) : number], changes[number + 1 : number + 1 + AROUND]]
            if not len(around) or changes[number] >= LEAST_RATIO * np.median(around):
                found.append(number)
        return np.array(found, np.int64)
