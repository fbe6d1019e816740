"""How good a trained network is, in a word and in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Word = Literal["rough", "usable", "good"]

USABLE_DB, USABLE_DISTANCE = 28.0, 0.09
"""Least PSNR and largest ST-LPIPS of the mouth on held-out frames with which a network is usable: no patches of a wrong
color, no edges that belong to nothing; teeth are a white band."""
GOOD_DB, GOOD_DISTANCE = 31.0, 0.04
"""The same with which it is good: single teeth and the edges of lips are drawn.

Both were found by looking at the frames that `python benchmarks/training_curve.py CLIP --pictures FOLDER` draws, see
docs/training.md. PSNR tells whether everything is in its place, but hardly a blurred mouth from a drawn one; ST-LPIPS
tells these apart, but is content with a mouth that is a little off.
"""


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
