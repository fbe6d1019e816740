"""Streaming prediction of expression: audio arrives in blocks, expression is predicted with a fixed latency.

The audio is taken in steps of one length, so that the prediction does not depend on how it was cut into blocks. It
differs from that of the whole recording, since features beyond the look-ahead and the loudness of the whole are not
known yet; `benchmarks/speech_live.py` measures by how much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from talkinghead.speech.adaptation import AdaptedPredictor
from talkinghead.speech.encoder_stream import open_encoder_stream
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.loudness import LOUDNESS_LUFS, SHORTEST_S, LoudnessMeter, integrated_lufs
from talkinghead.speech.model import PredictedExpression, SpeechModel
from talkinghead.speech.predictor import ExpressionPredictor
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
        self._predictor, self._members = speech_model.predictor, _Members(speech_model.predictor)
        self._first_s, self._rate_hz = encoder.first_s, encoder.rate_hz
        self._steps, self._gain = Steps(), _RunningGain()
        self._past = torch.zeros(0, config.inputs)
        """Input of the predictor for the last frames that were yielded, up to its reach."""

    def push(self, block: FloatArray) -> StreamedExpression:
        """Take the next samples, (N,) float32 at 16 kHz, and predict what they complete, which may be nothing.

        Raises:
            ModelUnavailableError: the encoder's output is not finite.
        """
        return self._joined([self._step(step) for step in self._steps.push(block)])

    def finish(self) -> StreamedExpression:
        """Predict up to the end of the audio. Nothing may be pushed afterwards."""
        return self._joined([self._step(self._steps.rest(), is_end=True)])

    @torch.inference_mode()
    def _step(self, samples: FloatArray, *, is_end: bool = False) -> tuple[int, FloatArray]:
        """The number of the first frame that a step completes, and (T, K + 1) its prediction, the closure last."""
        features = self._encoder_stream.push(samples, self._gain.push(samples), is_end=is_end)
        predictor, reach = self._predictor, self._predictor.config.reach
        inputs = torch.cat([self._past, predictor.components(features.values.to(predictor.projection.device)[None])[0]])
        begin, end = len(self._past), len(self._past) + features.final - features.first
        self._past = inputs[max(0, end - reach) : end]
        if end == begin:
            return features.first, np.zeros((0, predictor.outputs + 1), np.float32)
        # What comes after the newest frame is not known. Its mean, 0, is a little better than silence or repeats.
        missing, beyond = reach - begin, max(0, end + reach - len(inputs))
        around = functional.pad(inputs[: end + reach], (0, 0, missing, beyond))
        known = slice(missing, len(around) - beyond if is_end else len(around))
        both = self._members(around, known)
        return features.first, np.asarray(both.cpu().numpy(), np.float32)

    def _joined(self, steps: list[tuple[int, FloatArray]]) -> StreamedExpression:
        """Several steps as one."""
        empty = np.zeros((0, self._predictor.outputs + 1), np.float32)
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


class _Members:
    """All temporal networks of a predictor, evaluated together on the few frames of a step.

    The values are those of the networks one by one, on the frames that are wanted alone.
    """

    def __init__(self, predictor: ExpressionPredictor) -> None:
        """Args: the predictor, adapted or not."""
        adapted = list(predictor.adapted) if isinstance(predictor, AdaptedPredictor) else []
        networks = [*adapted, *predictor.networks, predictor.closing]
        config = predictor.config
        self._reach, self._kernel, self._dilations = config.reach, config.kernel, config.dilations
        self._groups = [(slice(0, len(adapted)), 1.0)] if adapted else []
        self._groups.append((slice(len(adapted), -1), float(predictor.output_scale)))
        """Members of which the mean is taken, and its factor."""
        # Columns of the phones, which nobody knows live, are left out. M members: (M, ...).
        self._enter = torch.cat([network.enter.weight[:, : config.inputs] for network in networks]).detach().T
        self._enter = self._enter.contiguous()  # (inputs, M * width)
        self._enter_bias = torch.cat([network.enter.bias for network in networks]).detach()
        self._layers = [
            (
                _stacked([network.norms[layer].weight for network in networks]),
                _stacked([network.norms[layer].bias for network in networks]),
                torch.stack([network.convolutions[layer].weight.permute(2, 1, 0).flatten(0, 1) for network in networks])
                .detach()
                .contiguous(),  # (M, kernel * width, width)
                _stacked([network.convolutions[layer].bias for network in networks]),
            )
            for layer in range(len(config.dilations))
        ]
        self._leave = torch.stack([_wide(network.leave.weight.T, config.expressions) for network in networks]).detach()
        self._leave_bias = _stacked([_wide(network.leave.bias, config.expressions) for network in networks])

    def __call__(self, inputs: Tensor, known: slice) -> Tensor:
        """Normalized expression and closure: (reach + S + reach, inputs) -> (S, outputs + 1), the closure last.

        Args:
            inputs: of the wanted frames and of as many as matter on either side.
            known: those of them that lie within the stream.
        """
        outside = inputs.new_zeros(len(inputs), 1)
        outside[known] = 1
        hidden = torch.addmm(self._enter_bias, inputs, self._enter)
        hidden = hidden.view(len(inputs), len(self._leave), -1).transpose(0, 1).contiguous()  # (M, S, width)
        first = 0
        for dilation, (scale, shift, weight, bias) in zip(self._dilations, self._layers, strict=True):
            side = dilation * (self._kernel // 2)
            count, width = hidden.shape[1] - 2 * side, hidden.shape[2]
            active = torch.addcmul(shift, functional.layer_norm(hidden, (width,)), scale)
            active = functional.gelu(active) * outside[first : first + hidden.shape[1]]
            taps = active.as_strided(
                (len(active), count, self._kernel, width), (active.stride(0), width, dilation * width, 1)
            )
            hidden = hidden[:, side : side + count] + torch.baddbmm(bias, taps.flatten(2), weight)
            first += side
        outputs = torch.baddbmm(self._leave_bias, functional.gelu(hidden), self._leave)
        means = [outputs[members].mean(0) * factor for members, factor in self._groups]
        return torch.cat([*means, outputs[-1, :, :1].sigmoid()], 1)


def _stacked(vectors: list[Tensor]) -> Tensor:
    """(M, 1, N) of M vectors (N,)."""
    return torch.stack(vectors).detach()[:, None]


def _wide(weights: Tensor, columns: int) -> Tensor:
    """Weights (..., N) with columns of 0 up to a number of them."""
    return functional.pad(weights, (0, columns - weights.shape[-1]))
