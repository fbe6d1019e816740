"""Loudness of a recording by EBU R128: the gated, K-weighted loudness of ITU-R BS.1770, by FFmpeg's filter ebur128.

Recordings are measured block by block in constant memory, about a thousand times faster than real time.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.filter import Graph

from talkinghead.structures import FloatArray, Recording

LOUDNESS_LUFS = -23.0
"""Integrated loudness to which every recording is normalized, LUFS: the target of EBU R128."""
GATE_LUFS = -70.0
"""Absolute gate of the standard, LUFS: a recording below it is silence."""
SHORTEST_S = 0.4
"""Length of the standard's measuring block, seconds; a shorter recording is repeated to be measured."""


class LoudnessMeter:
    """Measures the integrated loudness of a mono recording that is pushed block by block."""

    def __init__(self, rate_hz: int) -> None:
        """Args: sample rate of the recording."""
        self._rate_hz = rate_hz
        self._taken = 0
        self._head = np.zeros(0, np.float32)
        self._lufs = GATE_LUFS
        graph = Graph()
        graph.threads = 1
        self._source = graph.add_abuffer(sample_rate=rate_hz, format="flt", layout="mono")
        measure = graph.add("ebur128", "metadata=1")
        self._sink = graph.add("abuffersink")
        self._source.link_to(measure)
        measure.link_to(self._sink)
        graph.configure()
        self._graph = graph

    def push(self, samples: FloatArray) -> None:
        """Take the next samples, (N,) float32, finite."""
        shortest = round(SHORTEST_S * self._rate_hz)
        if self._taken < shortest:
            self._head = np.concatenate([self._head, samples[:shortest]])
        self._measure(samples)

    def integrated_lufs(self) -> float | None:
        """Loudness of the whole recording, LUFS; None where all of it is below the standard's gate.

        Nothing may be pushed afterwards.
        """
        if 0 < self._taken < round(SHORTEST_S * self._rate_hz):
            repeats = 2 * round(SHORTEST_S * self._rate_hz) // len(self._head) + 1
            self._measure(np.tile(self._head, repeats))
        return self._lufs if self._lufs > GATE_LUFS else None

    def lufs_so_far(self) -> float | None:
        """Loudness of the recording so far, LUFS; None where it is silent, or shorter than a measuring block."""
        return self._lufs if self._lufs > GATE_LUFS else None

    def _measure(self, samples: FloatArray) -> None:
        """Pass samples through the filter; its newest metadata has the loudness so far."""
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None], np.float32), "flt", "mono")
        frame.sample_rate, frame.pts = self._rate_hz, self._taken
        self._taken += len(samples)
        self._source.push(frame)
        while True:
            try:
                measured = self._sink.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            self._lufs = float(measured.metadata["lavfi.r128.I"])


def integrated_lufs(samples: FloatArray, rate_hz: int) -> float | None:
    """Loudness of a recording (N,) float32, LUFS; None where all of it is below -70 LUFS."""
    meter = LoudnessMeter(rate_hz)
    for start in range(0, len(samples), rate_hz):
        meter.push(samples[start : start + rate_hz])
    return meter.integrated_lufs()


@dataclass(frozen=True)
class Level:
    """Length and level of a recording, by which it is normalized."""

    samples: int
    """Length, samples."""
    mean: float
    """Mean of the samples, which is subtracted."""
    gain: float
    """Factor that brings the remainder to `LOUDNESS_LUFS`; 1 for silence."""

    def applied(self, samples: FloatArray) -> FloatArray:
        """Normalize samples to `LOUDNESS_LUFS`: (N,) -> (N,) float32."""
        return np.asarray((samples - np.float32(self.mean)) * np.float32(self.gain), np.float32)


class LevelMeasurement:
    """Measures the level of a recording that is pushed block by block."""

    def __init__(self, rate_hz: int) -> None:
        """Args: sample rate of the recording."""
        self._meter = LoudnessMeter(rate_hz)
        self._count, self._total = 0, 0.0
        self._offset = np.float32(0)

    def push(self, block: FloatArray) -> None:
        """Take the next samples, (N,) float32."""
        if self._count == 0 and len(block):
            # The mean of the whole is not known yet; without that of the first block, a constant offset would be a step
            # at the input of the meter's filter.
            self._offset = block.mean()
        self._meter.push(block - self._offset)
        self._count += len(block)
        self._total += float(block.sum(dtype=np.float64))

    def finish(self) -> Level:
        """The level of the whole recording."""
        lufs = self._meter.integrated_lufs()
        gain = 1.0 if lufs is None else 10 ** ((LOUDNESS_LUFS - lufs) / 20)
        return Level(self._count, self._total / max(self._count, 1), gain)


def measure_level(recording: Recording) -> Level:
    """Measure length, mean and loudness of a recording, which is read once, in constant memory."""
    measurement = LevelMeasurement(recording.rate_hz)
    for block in recording.blocks():
        measurement.push(block)
    return measurement.finish()
