"""Images of a clip's frames that are kept packed in memory, and unpacked only where somebody looks at the pixels."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.structures import ByteArray

QUALITY = 97
"""JPEG quality, with full colors."""


class ImageStore:
    """Images by the numbers of their frames, for all sessions of an anchor. Methods may be called from any thread."""

    def __init__(self, most_bytes: int) -> None:
        """Args: most memory; images beyond are not kept."""
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._packed: dict[int, NDArray[np.uint8]] = {}
        self._bytes = 0
        self._is_full = False
        self.encoded: dict[Any, Any] = {}
        """What encoders have made of them, to be used again; it goes with the store."""

    @property
    def is_full(self) -> bool:
        """Whether an image found no room: none is kept from then on."""
        with self._lock:
            return self._is_full

    @property
    def bytes(self) -> int:
        """Memory that the images take."""
        with self._lock:
            return self._bytes

    def get(self, number: int) -> StoredImage | None:
        """The image of a frame; None where it is not kept."""
        with self._lock:
            packed = self._packed.get(number)
        return None if packed is None else StoredImage(self, number, packed)

    def keep(self, number: int, image: ByteArray) -> Image:
        """Keep the image of a frame, (H, W, 3) uint8, if there is room.

        Returns:
            What every session shows of that frame: the image that is kept, be it of an earlier call, or else `image`.
        """
        kept = self.get(number)
        if kept is not None or self.is_full:
            return image if kept is None else kept
        settings = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
        packed = np.asarray(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)[1])
        with self._lock:
            if number not in self._packed:
                self._is_full = self._is_full or self._bytes + packed.nbytes > self._most_bytes
                if self._is_full:
                    return image
                self._packed[number] = packed
                self._bytes += packed.nbytes
            return StoredImage(self, number, self._packed[number])


@dataclass(frozen=True, eq=False)
class StoredImage:
    """One image of a store."""

    store: ImageStore
    number: int
    """Of the frame."""
    packed: NDArray[np.uint8]
    """JPEG."""

    def pixels(self) -> ByteArray:
        """(H, W, 3) uint8 RGB, unpacked now."""
        unpacked = np.asarray(cv2.imdecode(self.packed, cv2.IMREAD_COLOR))
        return np.asarray(cv2.cvtColor(unpacked, cv2.COLOR_BGR2RGB), np.uint8)


Image = ByteArray | StoredImage
"""(H, W, 3) uint8 RGB, at hand or packed."""


def pixels(image: Image) -> ByteArray:
    """(H, W, 3) uint8 RGB."""
    return image.pixels() if isinstance(image, StoredImage) else image
