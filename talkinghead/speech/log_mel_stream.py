"""Input of the default speech encoder for audio that is still arriving: every spectrum is computed once."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from talkinghead.speech.front_ends import LogMelFrontEnd
from talkinghead.structures import FloatArray

LEAST_POWER = 1e-30
"""Keeps the logarithm of silence finite until the level of the audio is known."""


class LogMelStream:
    """Feature frames of `LogMelFrontEnd` for the audio so far, with silence after it."""

    def __init__(self, front_end: LogMelFrontEnd) -> None:
        """Args: the front end, whose frames these are."""
        self._front_end = front_end
        self._samples = np.zeros(front_end.window // 2, np.float32)  # silence before the stream, as in the front end
        self._first_sample = -len(self._samples)
        self._log_power = torch.zeros(front_end.mels, 0)
        """(mels, n) log10 of the mel power of complete spectra and of the newest, incomplete one."""
        self._first_spectrum = self._complete = 0
        """Number of the first kept spectrum, and of spectra that the audio so far completes."""
        self.count = 0
        """Number of feature frames so far."""

    def push(self, samples: FloatArray) -> None:
        """Take the next samples, (N,)."""
        front_end, hop = self._front_end, self._front_end.hop // 2
        self._samples = np.concatenate([self._samples, samples])
        self.count = (self._first_sample + len(self._samples)) // front_end.hop
        end = 2 * self.count
        if end == self._complete:
            return
        # Spectrum j is centered on sample `hop` j. Of an incomplete feature frame, nothing is used.
        begin, side = hop * self._complete - front_end.window // 2, front_end.window // 2
        known = self._samples[begin - self._first_sample : front_end.hop * self.count - self._first_sample]
        audio = np.zeros(hop * (end - 1) + side - begin, np.float32)
        audio[: len(known)] = known[: len(audio)]
        power = front_end.mel_power(torch.from_numpy(audio).unfold(0, front_end.window, hop))
        kept = self._log_power[:, : self._complete - self._first_spectrum]
        self._log_power = torch.cat([kept, power.clamp(min=LEAST_POWER).log10().T], 1)
        # The windows of the last spectra reach beyond the audio.
        self._complete = max(self._complete, (front_end.hop * self.count - side) // hop + 1)
        passed = hop * self._complete - side - self._first_sample
        self._samples, self._first_sample = self._samples[passed:], self._first_sample + passed

    def frames(self, first: int, gain: float) -> Tensor:
        """Feature frames from one on, (count - first, width). Frames before that may not be asked for later.

        Args:
            first: number of the first frame.
            gain: factor on all samples.
        """
        before = min(first, 1)  # one frame more gives the neighboring spectra
        dropped = 2 * (first - before) - self._first_spectrum
        self._log_power, self._first_spectrum = self._log_power[:, dropped:], self._first_spectrum + dropped
        level = 2 * math.log10(max(abs(gain), 1e-12))
        return self._front_end.stacked(self._front_end.scaled(self._log_power + level)[None])[0, before:]
