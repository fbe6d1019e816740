"""What a video camera adds to a picture: a touch of sharpening, and noise that differs from frame to frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SHARPENING = 0.30
"""Share of the detail finer than a pixel that is added again."""
GRAIN = 0.8
"""Standard deviation of the noise in middle gray, in steps of 8 bits."""


def filmed(image: NDArray[np.uint8], frame: int) -> NDArray[np.uint8]:
    """`image` (H, W, 3) uint8 as the camera records it as frame number `frame`; the same for the same number."""
    values = image.astype(np.float32)
    values += SHARPENING * (values - cv2.GaussianBlur(values, (0, 0), 1.0))
    random = np.random.default_rng(frame)
    luma = cv2.GaussianBlur(random.standard_normal(image.shape[:2], np.float32), (0, 0), 0.55)
    chroma = cv2.GaussianBlur(random.standard_normal(image.shape, np.float32), (0, 0), 1.1)
    noise = luma[..., None] / luma.std() + 0.35 * chroma / chroma.std()
    # Noise is strongest in the shadows' upper half, as a camera's coding leaves it.
    strength = GRAIN * (0.6 + 0.8 * np.exp(-(((values.mean(-1, keepdims=True) - 70) / 70) ** 2)))
    return np.clip(np.round(values + strength * noise), 0, 255).astype(np.uint8)
