"""The mouth in consecutive frames of an output and its reference, for metrics that look at motion."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from talkinghead.metrics.networks import MetricNetworks
from talkinghead.structures import ByteArray

MOST_FRAMES = 100
"""Frames from the middle of a clip that are looked at."""


@dataclass
class MouthVideo:
    """Mouth crops of an output beside those of its reference; NaN where the network that a metric needs is missing."""

    networks: MetricNetworks
    frame_rate_hz: float
    """Of the reference."""
    frames: range
    """Frames of the reference that are looked at."""
    output: list[ByteArray] = field(default_factory=list)
    """(side, side, 3) each."""
    reference: list[ByteArray] = field(default_factory=list)
    """(side, side, 3) each."""

    @classmethod
    def middle(cls, networks: MetricNetworks, frame_rate_hz: float, frames: int) -> MouthVideo:
        """Of the middle of a clip of so many frames; of none where no network needs it."""
        count = min(frames, MOST_FRAMES) if networks.cvvdp is not None else 0
        first = (frames - count) // 2
        return cls(networks, frame_rate_hz, range(first, first + count))

    def add(self, frame: int, output: ByteArray, reference: ByteArray) -> None:
        """Take in a frame, if it is one of those that are looked at."""
        if frame in self.frames:
            self.output.append(output.copy())
            self.reference.append(reference.copy())

    @property
    def cvvdp_jod(self) -> float:
        """Quality by ColorVideoVDP; NaN without frames."""
        if self.networks.cvvdp is None or not self.output:
            return math.nan
        return self.networks.cvvdp.jod(np.stack(self.output), np.stack(self.reference), self.frame_rate_hz)
