"""Mono out of stereo for speech: the mean of both channels, unless that cancels the voice."""

from __future__ import annotations

import numpy as np

from talkinghead.structures import FloatArray

WINDOW_S = 0.1
"""Seconds over which energies are compared."""
CANCELED = 0.1
"""A mean whose energy is less than this share of the louder channel's has canceled. Two voices, one in each channel,
give a half, and one channel alone a quarter."""
CANCELED_SHARE = 0.1
"""Share of the energy of a recording that the mean may cancel."""
CLEARLY_LOUDER = 1.01
"""Ratio of energies from which the right channel is used instead of the left."""
PRE_EMPHASIS = 0.97
"""Factor of the first difference that raises the band of speech above hum and rumble."""


class ChannelComparison:
    """Measures whether the mean of two channels cancels what both hold, as with one of them in opposite phase."""

    def __init__(self, rate_hz: int) -> None:
        """Args: rate_hz: of the samples."""
        self._window = max(1, round(WINDOW_S * rate_hz))
        self._rest = np.zeros((2, 0), np.float32)
        self._energy = np.zeros(2)
        self._canceled = self._louder = 0.0

    def push(self, block: FloatArray) -> None:
        """Take in the next samples, (2, N)."""
        samples = np.concatenate([self._rest, block], axis=1)
        count = samples.shape[1] // self._window
        self._rest = samples[:, count * self._window :]
        if not count:
            return
        windows = samples[:, : count * self._window].reshape(2, count, self._window).astype(np.float64)
        voiced = windows[..., 1:] - PRE_EMPHASIS * windows[..., :-1]
        energy = (voiced**2).sum(-1)
        louder = energy.max(0)
        is_canceled = (voiced.mean(0) ** 2).sum(-1) < CANCELED * louder
        self._energy += energy.sum(1)
        self._louder += float(louder.sum())
        self._canceled += float(louder[is_canceled].sum())

    def channel(self) -> int | None:
        """The louder channel, 0 or 1, where the mean of both would cancel speech; None where the mean is right."""
        if self._canceled <= CANCELED_SHARE * self._louder:
            return None
        return int(self._energy[1] > CLEARLY_LOUDER * self._energy[0])
