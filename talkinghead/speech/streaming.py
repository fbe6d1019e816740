"""Expression while somebody is still speaking: sound comes in blocks, expression goes out a fixed time behind.

The encoder likes to hear what comes after; here it hears little of it, and the rest of its usual reach is missing as it
is at the end of a recording. `benchmarks/speech_live.py` tells what that costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from talkinghead.speech.encoder import SpeechEncoder, hidden_states
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.loudness import LOUDNESS_LUFS, LoudnessMeter, integrated_lufs
from talkinghead.speech.model import PredictedExpression
from talkinghead.speech.predictor import ExpressionPredictor
from talkinghead.structures import FloatArray

AHEAD_S = 0.2
"""What is heard beyond the moment that is predicted."""
MEMORY_S = 3.0
"""Sound before what is told that the encoder still hears: enough for context, little enough to keep up."""


@dataclass(frozen=True)
class StreamedExpression:
    """What could be told since the last block."""

    times_s: NDArray[np.float64]
    """(T,) seconds from the beginning of the stream, following those told before."""
    expression: PredictedExpression
    """At these times."""


def stream_expression(
    encoder: SpeechEncoder, predictor: ExpressionPredictor, blocks: Iterable[FloatArray], ahead_s: float = AHEAD_S
) -> Iterator[StreamedExpression]:
    """Predict normalised expression as the sound arrives.

    After the last block, what was still held back for want of more sound is told too.

    Args:
        encoder: any; the shorter its look-ahead was in teaching, the less it misses.
        predictor: the encoder's.
        blocks: (N,) float32 at 16 kHz each, of any length; each costs the encoding of `MEMORY_S` and
            `ahead_s` besides its own, so longer blocks cost less.
        ahead_s: how far behind the newest sample the newest expression lies, in seconds.

    Yields:
        After every block that completes a feature frame of the encoder, the expression since the last one.
    """
    meter, held = LoudnessMeter(RATE_HZ), np.zeros(0, np.float32)
    hop = encoder.front_end.hop
    first = told = 0
    """Feature frames: the first that is held, and the first that has not been told."""
    for block in blocks:
        meter.push(block)
        held = np.concatenate([held, block])
        end = first + (len(held) - round(ahead_s * RATE_HZ)) // hop
        if end > told:
            yield _told(encoder, predictor, held * _gain(meter, held), first, told, end)
            told = end
            passed = max(0, told - first - round(MEMORY_S * encoder.rate_hz))
            held, first = held[passed * hop :], first + passed
    end = first + len(held) // hop
    if end > told:
        yield _told(encoder, predictor, held * _gain(meter, held), first, told, end)


def _gain(meter: LoudnessMeter, held: FloatArray) -> np.float32:
    """Brings what was heard so far to the encoder's loudness; 1 where it is silence."""
    lufs = meter.lufs_so_far()
    if lufs is None:  # the first moments: too short for the meter, which takes them as if they went on
        lufs = integrated_lufs(held, RATE_HZ)
    return np.float32(1.0 if lufs is None else 10 ** ((LOUDNESS_LUFS - lufs) / 20))


@torch.inference_mode()
def _told(
    encoder: SpeechEncoder, predictor: ExpressionPredictor, samples: FloatArray, first: int, told: int, end: int
) -> StreamedExpression:
    audio = torch.from_numpy(np.append(samples, np.zeros(encoder.front_end.reach, np.float32)))
    states = hidden_states(encoder.model, encoder.front_end(audio.to(encoder.model.device)[None]))
    layers = torch.stack([states[layer][0] for layer in predictor.config.layers], 1)
    inputs = predictor.components(layers[: len(samples) // encoder.front_end.hop].float()[None])
    wanted = slice(told - first, end - first)
    expression = PredictedExpression(
        np.asarray(predictor.expression(inputs)[0, wanted].cpu().numpy(), np.float32),
        np.asarray(predictor.closure(inputs)[0, wanted].cpu().numpy(), np.float32),
    )
    return StreamedExpression(encoder.first_s + np.arange(told, end) / encoder.rate_hz, expression)
