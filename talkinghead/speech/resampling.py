"""Resampling of whole recordings by a windowed sinc (Smith, Digital Audio Resampling, 2002), in float32."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

ZEROS = 6
"""Zero crossings of the sinc on either side."""
ROLLOFF = 0.99
"""Cutoff of the low-pass filter, as a share of the lower of the two Nyquist frequencies."""


def resample(samples: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Resample (N,) float32 -> (ceil(N to_hz / from_hz),); sample i keeps its time, i / from_hz.

    Equal to `torchaudio.functional.resample`, whose import takes longer than it computes.
    """
    if from_hz == to_hz:
        return samples
    divisor = math.gcd(from_hz, to_hz)
    before, after = from_hz // divisor, to_hz // divisor
    cutoff = min(before, after) * ROLLOFF
    width = math.ceil(ZEROS * before / cutoff)
    # One filter for each of the `after` output samples that fall on `before` input samples.
    inputs = torch.arange(-width, width + before, dtype=torch.float64) / before
    outputs = torch.arange(0, -after, -1, dtype=torch.float32) / after
    times = ((outputs[:, None] + inputs) * cutoff).clamp(-ZEROS, ZEROS)  # (after, taps), in zero crossings
    window = torch.cos(times * math.pi / ZEROS / 2) ** 2
    filters = (torch.sinc(times) * window * (cutoff / before)).float().to(samples.device)
    padded = functional.pad(samples, (width, width + before))
    resampled = functional.conv1d(padded[None, None], filters[:, None], stride=before)  # (1, after, blocks)
    return resampled[0].T.reshape(-1)[: math.ceil(len(samples) * after / before)]
