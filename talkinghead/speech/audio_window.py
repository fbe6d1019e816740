"""A recording at the level and rate of the encoder, of which only the stretch in use is held."""

from __future__ import annotations

import numpy as np
import torch
import torchaudio
from torch import Tensor

from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.loudness import Level, measure_level
from talkinghead.structures import Audio, Recording


def at_encoder_rate(recording: Recording) -> Recording:
    if recording.rate_hz == RATE_HZ:
        return recording
    samples = torch.from_numpy(np.concatenate(list(recording.blocks()) or [np.zeros(0, np.float32)]))
    return Audio(torchaudio.functional.resample(samples, recording.rate_hz, RATE_HZ).numpy(), RATE_HZ)


class AudioWindow:
    """A recording at the encoder's level, of which no more is held than the stretch that is wanted."""

    def __init__(self, recording: Recording, level: Level) -> None:
        self._blocks = recording.blocks()
        self._level = level
        self._held = np.zeros(0, np.float32)
        self._first = 0
        """Sample of the recording with which `_held` begins."""

    def stretch(self, first: int, end: int) -> Tensor:
        """Samples from `first` to before `end`, or to the recording's end; `first` never goes back."""
        parts = [self._held[first - self._first :]]
        reached = self._first + len(self._held)
        while reached < end and (block := next(self._blocks, None)) is not None:
            parts.append(self._level.applied(block[max(0, first - reached) :]))
            reached += len(block)
        self._held, self._first = np.concatenate(parts), first
        return torch.from_numpy(self._held[: end - first])


def normalize_loudness(samples: Tensor) -> Tensor:
    """Bring speech to one loudness: (N,) at 16 kHz -> (N,), its mean removed and its loudness at `LOUDNESS_LUFS`."""
    audio = Audio(samples.numpy(), RATE_HZ)
    return torch.from_numpy(measure_level(audio).applied(audio.samples))
