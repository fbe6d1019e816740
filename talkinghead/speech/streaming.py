"""Streaming prediction of expression: audio arrives in blocks, expression is predicted with a fixed latency.

The audio is taken in steps of one length, so that the prediction does not depend on how it was cut into blocks. It
differs from that of the whole recording, since features beyond the look-ahead and the loudness of the whole are not
known yet; `benchmarks/speech_live.py` measures by how much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkinghead.speech.encoder_stream import open_encoder_stream
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.loudness import LOUDNESS_LUFS, SHORTEST_S, LoudnessMeter, integrated_lufs
from talkinghead.speech.member_stream import MemberStream
from talkinghead.speech.model import PredictedExpression, SpeechModel
from talkinghead.structures import FloatArray

LOOK_AHEAD_S = 0.24
"""Audio after the predicted moment that is waited for, seconds."""
STEP_S = 0.08
"""Audio that is taken at a time, seconds. Latency is at most this and the look-ahead."""


@dataclass(frozen=True)
class StreamedExpression:
    """Expression that a block of audio has completed."""

    times_s: NDArray[np.float64]
    """(T,) float64, seconds from the beginning of the stream, which continue those of the block before."""
    expression: PredictedExpression
    """Normalized expression and closure at these times."""


def stream_expression(
    speech_model: SpeechModel, blocks: Iterable[FloatArray], look_ahead_s: float = LOOK_AHEAD_S
) -> Iterator[StreamedExpression]:
    """Predict normalized expression while the audio arrives, and the rest after its last block.

    Args:
        speech_model: any; the shorter the reach of its encoder, the more accurate.
        blocks: (N,) float32 at 16 kHz each, of any length.
        look_ahead_s: audio after the predicted moment that is waited for, seconds.

    Yields:
        After every block that completes a step of `STEP_S`, the expression since the block before.

    Raises:
        ModelUnavailableError: the encoder's output is not finite.
    """
    stream = ExpressionStream(speech_model, look_ahead_s)
    for block in blocks:
        if len((part := stream.push(block)).times_s):
            yield part
    if len((part := stream.finish()).times_s):
        yield part


class Steps:
    """Divides audio that arrives in blocks of any length into steps of `STEP_S`."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)

    def push(self, block: FloatArray) -> Iterator[FloatArray]:
        """Take the next block, (N,), and yield the complete steps; what is left waits for the next block."""
        length = round(STEP_S * RATE_HZ)
        joined = np.concatenate([self._rest, block])
        whole = len(joined) // length * length
        self._rest = joined[whole:]
        yield from joined[:whole].reshape(-1, length)

    def rest(self) -> FloatArray:
        """The samples that wait."""
        return self._rest


class ExpressionStream:
    """Predicts normalized expression from audio that is pushed block by block."""

    def __init__(self, speech_model: SpeechModel, look_ahead_s: float = LOOK_AHEAD_S) -> None:
        """Args: as in `stream_expression`."""
        encoder, config = speech_model.encoder, speech_model.predictor.config
        self._encoder_stream = open_encoder_stream(encoder, config.layers, look_ahead_s, quantized=True)
        self._members, self._device = MemberStream(speech_model.predictor), speech_model.predictor.projection.device
        self._first_s, self._rate_hz = encoder.first_s, encoder.rate_hz
        self._steps, self._gain = Steps(), _RunningGain()

    def push(self, block: FloatArray) -> StreamedExpression:
        """Take the next samples, (N,) float32 at 16 kHz, and predict what they complete, which may be nothing.

        Raises:
            ModelUnavailableError: the encoder's output is not finite.
        """
        return self._joined([self._step(step) for step in self._steps.push(block)])

    def finish(self) -> StreamedExpression:
        """Predict up to the end of the audio. Nothing may be pushed afterwards."""
        return self._joined([self._step(self._steps.rest(), is_end=True)])

    def _step(self, samples: FloatArray, *, is_end: bool = False) -> tuple[int, FloatArray]:
        """The number of the first frame that a step completes, and (T, K + 1) its prediction, the closure last."""
        features = self._encoder_stream.push(samples, self._gain.push(samples), is_end=is_end)
        both = self._members.push(features.values.to(self._device), features.first, features.final, is_end=is_end)
        return features.first, np.asarray(both.cpu().numpy(), np.float32)

    def _joined(self, steps: list[tuple[int, FloatArray]]) -> StreamedExpression:
        """Several steps as one."""
        empty = np.zeros((0, self._members.outputs), np.float32)
        both = np.concatenate([empty, *(step for _, step in steps)])
        first = steps[0][0] if steps else 0
        times_s = self._first_s + np.arange(first, first + len(both)) / self._rate_hz
        return StreamedExpression(times_s, PredictedExpression(both[:, :-1], both[:, -1]))


class _RunningGain:
    """Factor that brings the audio so far to the encoder's loudness; 1 for silence."""

    def __init__(self) -> None:
        self._meter = LoudnessMeter(RATE_HZ)
        self._head = np.zeros(0, np.float32)

    def push(self, samples: FloatArray) -> float:
        """Take the next samples, (N,), and give the factor for the audio so far."""
        self._meter.push(samples)
        lufs = self._meter.lufs_so_far()
        if lufs is None and len(self._head) < SHORTEST_S * RATE_HZ:  # too short for the meter: repeated to be measured
            self._head = np.concatenate([self._head, samples])
            lufs = integrated_lufs(self._head, RATE_HZ)
        return 1.0 if lufs is None else float(10 ** ((LOUDNESS_LUFS - lufs) / 20))
