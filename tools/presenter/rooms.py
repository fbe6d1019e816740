"""Rooms behind the presenter, out of focus: painted in linear light, then blurred as by a lens's round opening."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from fields import fractal
from numpy.typing import NDArray

Array = NDArray[np.float64]
SIDE = 640
"""Side of the picture, pixels."""
BLUR = 0.030
"""Radius of a point out of focus, as a fraction of the side."""


class Canvas:
    """A picture in linear RGB; places are fractions of its side from the left and from the top."""

    def __init__(self, color: tuple[float, float, float]) -> None:
        self.image = np.broadcast_to(np.asarray(color, float), (SIDE, SIDE, 3)).copy()
        self.y, self.x = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE

    def box(self, left: float, top: float, right: float, bottom: float, color: object) -> None:
        """Fill a rectangle."""
        inside = (self.x > left) & (self.x < right) & (self.y > top) & (self.y < bottom)
        self.image[inside] = color

    def disc(self, x: float, y: float, radius: float, color: object, tall: float = 1.0) -> None:
        """Fill an ellipse."""
        self.image[((self.x - x) ** 2 + ((self.y - y) / tall) ** 2) < radius**2] = color

    def glow(self, x: float, y: float, radius: float, color: object) -> None:
        """Light that falls on what is there: it multiplies."""
        fall = np.exp(-((self.x - x) ** 2 + (self.y - y) ** 2) / (2 * radius**2))
        self.image *= 1 + fall[..., None] * np.asarray(color)

    def blurred(self) -> Array:
        """The picture as a lens far out of focus sees it, with a little unevenness."""
        radius = round(BLUR * SIDE)
        disc = np.zeros((2 * radius + 1, 2 * radius + 1))
        cv2.circle(disc, (radius, radius), radius, 1.0, -1, cv2.LINE_AA)
        image = cv2.filter2D(self.image, -1, disc / disc.sum(), borderType=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.5))


def office(seed: int) -> Array:
    """A bright office: a window onto trees on the left, a wall, shelves with books and a plant on the right."""
    rng = np.random.default_rng(seed)
    canvas = Canvas((0.36, 0.35, 0.325))
    canvas.image *= (0.72 + 0.5 * (1 - canvas.x))[..., None]
    leaves = fractal(np.stack([canvas.x.ravel(), canvas.y.ravel(), 0 * canvas.x.ravel()], 1), 0.09, 4, seed)
    leaves = leaves.reshape(canvas.x.shape)[..., None]
    view = (
        np.array([0.55, 0.80, 0.42]) * (0.85 + 0.55 * np.clip(leaves, -1, 2))
        + np.array([0.5, 0.6, 0.7]) * np.clip(0.75 - 1.5 * canvas.y, 0, 1)[..., None]
    )
    pane = (canvas.x < 0.33) & (canvas.y < 0.72)
    canvas.image[pane] = 1.15 * view[pane]
    canvas.box(0.15, 0, 0.165, 0.72, (0.50, 0.49, 0.46))
    canvas.box(0.33, 0, 0.355, 0.76, (0.62, 0.60, 0.56))
    canvas.box(0, 0.72, 0.355, 0.76, (0.66, 0.64, 0.60))
    for shelf in (0.20, 0.42, 0.64, 0.86):
        canvas.box(0.70, shelf - 0.19, 1.0, shelf, (0.15, 0.115, 0.085))
        canvas.box(0.69, shelf, 1.0, shelf + 0.016, (0.36, 0.26, 0.17))
        x = 0.715
        while x < 0.98:
            width, height = rng.uniform(0.010, 0.028), rng.uniform(0.09, 0.15)
            if rng.random() < 0.78:
                tone = rng.choice([0.05, 0.14, 0.30]) * np.array([1.0, 0.9, 0.8]) ** rng.uniform(0, 4)
                canvas.box(x, shelf - height, x + width, shelf, tone * rng.uniform(0.7, 1.3, 3))
            x += width + (0.004 if rng.random() < 0.8 else 0.05)
    for _ in range(60):
        angle, reach = rng.uniform(-2.9, -0.2), rng.uniform(0.02, 0.16)
        tone = np.array([0.07, 0.16, 0.05]) * rng.uniform(0.5, 1.7)
        canvas.disc(0.52 + reach * np.cos(angle), 0.66 + reach * np.sin(angle), 0.018, tone, 1.4)
    canvas.box(0.485, 0.66, 0.555, 0.80, (0.55, 0.53, 0.50))
    canvas.glow(0.98, 0.1, 0.22, (1.3, 0.9, 0.5))
    return canvas.blurred()


def newsroom(seed: int) -> Array:
    """A newsroom in the evening: dark blue walls, screens, desks with lamps, people's monitors far behind."""
    rng = np.random.default_rng(seed)
    canvas = Canvas((0.030, 0.042, 0.065))
    canvas.image *= (1.5 - canvas.y)[..., None]
    for x, y, width, height, tone in (
        (0.02, 0.14, 0.26, 0.20, (0.06, 0.22, 0.48)), (0.70, 0.08, 0.34, 0.24, (0.05, 0.16, 0.36)),
        (0.36, 0.20, 0.20, 0.13, (0.16, 0.20, 0.24)),
    ):  # fmt: skip
        canvas.box(x - 0.008, y - 0.008, x + width + 0.008, y + height + 0.008, (0.006,) * 3)
        canvas.box(x, y, x + width, y + height, tone)
        for _ in range(13):
            left, top = x + rng.uniform(0, 0.75) * width, y + rng.uniform(0, 0.8) * height
            right, bottom = left + rng.uniform(0.02, 0.09), top + rng.uniform(0.01, 0.05)
            color = np.asarray(tone) * rng.uniform(0.3, 3.2)
            canvas.box(left, top, min(right, x + width), min(bottom, y + height), color)
    canvas.box(0, 0.62, 1, 0.635, (0.10, 0.12, 0.15))
    canvas.box(0, 0.635, 1, 1, (0.018, 0.022, 0.030))
    for _ in range(9):
        x, y = rng.uniform(0, 0.95), rng.uniform(0.50, 0.60)
        canvas.box(x, y, x + rng.uniform(0.03, 0.07), y + 0.05, np.array([0.25, 0.45, 0.7]) * rng.uniform(0.4, 1.5))
    for x, y, radius, tone in (
        (0.10, 0.47, 0.016, (5.0, 3.1, 1.4)),
        (0.30, 0.52, 0.010, (3.5, 2.4, 1.3)),
        (0.88, 0.44, 0.018, (4.6, 2.8, 1.3)),
        (0.80, 0.040, 0.012, (3.0, 3.2, 3.6)),
        (0.25, 0.05, 0.012, (3.0, 3.2, 3.6)),
    ):
        canvas.disc(x, y, radius, tone)
        canvas.glow(x, y, 0.09, np.asarray(tone) * 0.4)
    canvas.glow(0.0, 0.4, 0.25, (1.2, 0.8, 0.4))
    return canvas.blurred()


ROOMS: dict[str, Callable[[int], Array]] = {"office": office, "newsroom": newsroom}
