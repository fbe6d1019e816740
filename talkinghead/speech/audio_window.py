"""Windows of a recording at the encoder's level and sample rate, in memory that does not grow with its length."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.loudness import Level, measure_level
from talkinghead.speech.resampling import resample
from talkinghead.structures import Audio, Recording


def at_encoder_rate(recording: Recording) -> Recording:
    """The recording at 16 kHz: itself, or resampled, for which all of it is read into memory."""
    if recording.rate_hz == RATE_HZ:
        return recording
    samples = torch.from_numpy(np.concatenate(list(recording.blocks()) or [np.zeros(0, np.float32)]))
    return Audio(resample(samples, recording.rate_hz, RATE_HZ).numpy(), RATE_HZ)


def samples_at_encoder_rate(audio: Audio) -> Tensor:
    """(N,) samples at 16 kHz."""
    samples = torch.from_numpy(np.ascontiguousarray(audio.samples))
    return resample(samples, audio.rate_hz, RATE_HZ)


class AudioWindow:
    """Reads a recording forwards, at the encoder's level, and keeps the requested window only."""

    def __init__(self, recording: Recording, level: Level) -> None:
        """Args: recording at 16 kHz; its level."""
        self._blocks = recording.blocks()
        self._level = level
        self._samples = np.zeros(0, np.float32)
        self._first = 0
        """Number, in the recording, of the first of `_samples`."""

    def stretch(self, first: int, end: int) -> Tensor:
        """Samples from number `first` to before `end`, or to the end of the recording; `first` may never decrease."""
        # What lies before `first` is dropped; blocks are read until `end` is reached.
        parts = [self._samples[first - self._first :]]
        reached = self._first + len(self._samples)
        while reached < end and (block := next(self._blocks, None)) is not None:
            parts.append(self._level.applied(block[max(0, first - reached) :]))
            reached += len(block)
        self._samples, self._first = np.concatenate(parts), first
        return torch.from_numpy(self._samples[: end - first])


def normalize_loudness(samples: Tensor) -> Tensor:
    """Normalize speech (N,) at 16 kHz -> (N,): its mean is removed, its loudness becomes `LOUDNESS_LUFS`."""
    audio = Audio(samples.numpy(), RATE_HZ)
    return torch.from_numpy(measure_level(audio).applied(audio.samples))
