"""Streaming prediction of expression: audio arrives in blocks, expression is predicted with a fixed latency.

The encoder attends to some seconds on either side; here most of the following audio is not known yet and missing, as
it is at the end of a recording. `benchmarks/speech_live.py` measures the loss of accuracy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from talkinghead.speech.adapters import hidden_states
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.loudness import LOUDNESS_LUFS, LoudnessMeter, integrated_lufs
from talkinghead.speech.model import PredictedExpression, SpeechModel
from talkinghead.structures import FloatArray

LOOK_AHEAD_S = 0.2
"""Audio after the predicted moment that is waited for, seconds."""
CONTEXT_S = 3.0
"""Audio before the predicted moment that is encoded, seconds: enough for the encoder, and few enough to keep up."""


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
        blocks: (N,) float32 at 16 kHz each, of any length. With each, `CONTEXT_S` and `look_ahead_s` are encoded again,
            so longer blocks take less time.
        look_ahead_s: latency of the expression behind the newest sample, seconds.

    Yields:
        After every block that completes a feature frame of the encoder, the expression since the block before.
    """
    encoder = speech_model.encoder
    meter, samples = LoudnessMeter(RATE_HZ), np.zeros(0, np.float32)
    hop = encoder.front_end.hop
    # Numbers of feature frames: the first one of `samples`, and the first that has not been yielded.
    first = following = 0
    for block in blocks:
        meter.push(block)
        samples = np.concatenate([samples, block])
        end = first + (len(samples) - round(look_ahead_s * RATE_HZ)) // hop
        if end > following:
            yield _predict(speech_model, samples * _gain(meter, samples), first, slice(following, end))
            following = end
            # What lies before the context of the next frame is dropped.
            passed = max(0, following - first - round(CONTEXT_S * encoder.rate_hz))
            samples, first = samples[passed * hop :], first + passed
    end = first + len(samples) // hop
    if end > following:
        yield _predict(speech_model, samples * _gain(meter, samples), first, slice(following, end))


def _gain(meter: LoudnessMeter, samples: FloatArray) -> np.float32:
    """Factor that brings the audio so far to the encoder's loudness; 1 for silence."""
    lufs = meter.lufs_so_far()
    if lufs is None:  # the first moments are too short for the meter, and are repeated to be measured
        lufs = integrated_lufs(samples, RATE_HZ)
    return np.float32(1.0 if lufs is None else 10 ** ((LOUDNESS_LUFS - lufs) / 20))


@torch.inference_mode()
def _predict(speech_model: SpeechModel, samples: FloatArray, first: int, frames: slice) -> StreamedExpression:
    """Predict the expression of `frames`, by samples (N,) that begin with feature frame `first`."""
    encoder, predictor = speech_model.encoder, speech_model.predictor
    audio = torch.from_numpy(np.append(samples, np.zeros(encoder.front_end.reach, np.float32)))
    states = hidden_states(encoder.model, encoder.front_end(audio.to(encoder.model.device)[None]))
    layers = torch.stack([states[layer][0] for layer in predictor.config.layers], 1)
    inputs = predictor.components(layers[: len(samples) // encoder.front_end.hop].float()[None])
    requested = slice(frames.start - first, frames.stop - first)
    expression = PredictedExpression(
        np.asarray(predictor.expression(inputs)[0, requested].cpu().numpy(), np.float32),
        np.asarray(predictor.closure(inputs)[0, requested].cpu().numpy(), np.float32),
    )
    return StreamedExpression(encoder.first_s + np.arange(frames.start, frames.stop) / encoder.rate_hz, expression)
