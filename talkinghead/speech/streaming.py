"""Expression while somebody is still speaking: audio comes in blocks, expression goes out a fixed time behind.

The encoder attends to some seconds on either side; here it has little of what follows, and the rest is missing as it is
at the end of a recording. `benchmarks/speech_live.py` measures what that costs.
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
"""Audio beyond the moment that is predicted."""
CONTEXT_S = 3.0
"""Audio before the moment that is predicted: enough for the encoder, little enough to keep up."""


@dataclass(frozen=True)
class StreamedExpression:
    """The expression that a block of audio has completed."""

    times_s: NDArray[np.float64]
    """(T,) seconds from the beginning of the stream, following those of the blocks before."""
    expression: PredictedExpression
    """At these times."""


def stream_expression(
    speech_model: SpeechModel, blocks: Iterable[FloatArray], look_ahead_s: float = LOOK_AHEAD_S
) -> Iterator[StreamedExpression]:
    """Predict normalized expression as the audio arrives; after the last block, the rest too.

    Args:
        speech_model: any; the shorter its encoder's reach was in training, the less it misses.
        blocks: (N,) float32 at 16 kHz each, of any length. Each costs the encoding of `CONTEXT_S` and `look_ahead_s`
            besides its own, so longer blocks cost less.
        look_ahead_s: how far behind the newest sample the newest expression lies, in seconds.

    Yields:
        After every block that completes a feature frame of the encoder, the expression since the last one.
    """
    encoder = speech_model.encoder
    meter, held = LoudnessMeter(RATE_HZ), np.zeros(0, np.float32)
    hop = encoder.front_end.hop
    # Feature frames: the first one of `held`, and the first that has not been yielded.
    first = following = 0
    for block in blocks:
        meter.push(block)
        held = np.concatenate([held, block])
        end = first + (len(held) - round(look_ahead_s * RATE_HZ)) // hop
        if end > following:
            yield _predict(speech_model, held * _gain(meter, held), first, slice(following, end))
            following = end
            passed = max(0, following - first - round(CONTEXT_S * encoder.rate_hz))
            held, first = held[passed * hop :], first + passed
    end = first + len(held) // hop
    if end > following:
        yield _predict(speech_model, held * _gain(meter, held), first, slice(following, end))


def _gain(meter: LoudnessMeter, held: FloatArray) -> np.float32:
    """Brings the audio so far to the encoder's loudness; 1 for silence."""
    lufs = meter.lufs_so_far()
    if lufs is None:  # the first moments are too short for the meter, which measures them as if they went on
        lufs = integrated_lufs(held, RATE_HZ)
    return np.float32(1.0 if lufs is None else 10 ** ((LOUDNESS_LUFS - lufs) / 20))


@torch.inference_mode()
def _predict(speech_model: SpeechModel, samples: FloatArray, first: int, frames: slice) -> StreamedExpression:
    """The expression of some feature frames, by the samples (N,) that begin with feature frame `first`."""
    encoder, predictor = speech_model.encoder, speech_model.predictor
    audio = torch.from_numpy(np.append(samples, np.zeros(encoder.front_end.reach, np.float32)))
    states = hidden_states(encoder.model, encoder.front_end(audio.to(encoder.model.device)[None]))
    layers = torch.stack([states[layer][0] for layer in predictor.config.layers], 1)
    inputs = predictor.components(layers[: len(samples) // encoder.front_end.hop].float()[None])
    wanted = slice(frames.start - first, frames.stop - first)
    expression = PredictedExpression(
        np.asarray(predictor.expression(inputs)[0, wanted].cpu().numpy(), np.float32),
        np.asarray(predictor.closure(inputs)[0, wanted].cpu().numpy(), np.float32),
    )
    return StreamedExpression(encoder.first_s + np.arange(frames.start, frames.stop) / encoder.rate_hz, expression)
