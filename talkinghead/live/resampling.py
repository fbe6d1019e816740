"""Resampling of audio that arrives in blocks."""

from __future__ import annotations

import av
import numpy as np

from talkinghead.structures import FloatArray


class StreamResampler:
    """Mono audio from one rate to another, block by block."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._from_hz, self._to_hz = from_hz, to_hz
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=to_hz)
        self._pushed = 0

    def push(self, samples: FloatArray) -> FloatArray:
        """Take (N,) float32 and give what they complete."""
        if self._from_hz == self._to_hz or not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None], np.float32), format="flt", layout="mono")
        frame.sample_rate, frame.pts = self._from_hz, self._pushed
        self._pushed += len(samples)
        return self._joined(frame)

    def finish(self) -> FloatArray:
        """What is left. Nothing may be pushed afterwards."""
        return np.zeros(0, np.float32) if self._from_hz == self._to_hz or not self._pushed else self._joined(None)

    def _joined(self, frame: av.AudioFrame | None) -> FloatArray:
        blocks = [made.to_ndarray()[0] for made in self._resampler.resample(frame)]
        return np.concatenate([np.zeros(0, np.float32), *blocks])


def resampled(samples: FloatArray, from_hz: int, to_hz: int) -> FloatArray:
    """A whole recording, (N,), at another rate."""
    resampler = StreamResampler(from_hz, to_hz)
    return np.concatenate([resampler.push(samples), resampler.finish()])
