"""How good a trained network is, in a word and in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Word = Literal["rough", "usable", "good"]

USABLE_DB, USABLE_DISTANCE = 28.0, 0.09
"""Least PSNR and largest ST-LPIPS of the mouth on held-out frames with which a network is usable: no patches of a wrong
color, no edges that belong to nothing; teeth are a white band."""
GOOD_DB, GOOD_DISTANCE = 31.0, 0.05
"""The same with which it is good: teeth and lips are drawn, and where they belong. Measured on two clips by looking at
the frames at every 20 steps (`python benchmarks/training_curve.py`, docs/training.md). PSNR alone tells a blurred mouth
from a drawn one no more than ST-LPIPS alone tells a mouth in the wrong place from one in the right place."""


@dataclass(frozen=True)
class HeldOutQuality:
    """Agreement of held-out frames with those that the network draws from their true coefficients."""

    psnr_db: float
    """PSNR of the whole region, dB."""
    mouth_psnr_db: float
    """PSNR of the window around the mouth, half the crop's sides, dB."""
    mouth_distance: float
    """Shift-tolerant LPIPS of that window, mean over the frames; 0 is equal."""

    @property
    def word(self) -> Word:
        """The numbers in a word. NaN, of a network that diverged, is rough."""
        if self.mouth_psnr_db >= GOOD_DB and self.mouth_distance <= GOOD_DISTANCE:
            return "good"
        is_usable = self.mouth_psnr_db >= USABLE_DB and self.mouth_distance <= USABLE_DISTANCE
        return "usable" if is_usable else "rough"
