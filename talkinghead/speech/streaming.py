"""Streaming prediction of expression: audio arrives in blocks, expression is predicted with a fixed latency.

The audio is taken in steps of one length, so that the prediction does not depend on how it was cut into blocks. It
differs from that of the whole recording, since features beyond the look-ahead and the loudness of the whole are not
known yet; `benchmarks/speech_live.py` measures by how much.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.speech.adaptation import AdaptedPredictor
from talkinghead.speech.encoder_stream import open_encoder_stream
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.loudness import LOUDNESS_LUFS, SHORTEST_S, LoudnessMeter, integrated_lufs
from talkinghead.speech.model import PredictedExpression, SpeechModel
from talkinghead.speech.predictor import ExpressionPredictor
from talkinghead.structures import FloatArray

LOOK_AHEAD_S = 0.26
"""Audio after the predicted moment that is waited for, seconds."""
STEP_S = 0.04
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
        self._predictor = _for_short_inputs(speech_model.predictor)
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
        if not is_end:
            # What comes after the newest frame is not known. Its mean, 0, is a little better than silence or repeats.
            inputs = torch.cat(
                [inputs[: end + reach], inputs.new_zeros(max(0, end + reach - len(inputs)), inputs.shape[1])]
            )
        both = torch.cat([predictor.expression(inputs[None]), predictor.closure(inputs[None])[..., None]], 2)
        return features.first, np.asarray(both[0, begin:end].cpu().numpy(), np.float32)

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


def _for_short_inputs(predictor: ExpressionPredictor) -> ExpressionPredictor:
    """The same predictor with convolutions that are several times faster on some tens of frames on a CPU."""
    predictor = copy.deepcopy(predictor)
    if predictor.projection.device.type == "cpu":
        adapted = predictor.adapted if isinstance(predictor, AdaptedPredictor) else ()
        for network in (*predictor.networks, *adapted, predictor.closing):
            network.convolutions = nn.ModuleList(_ShortConvolution(conv) for conv in network.convolutions)
            network.enter = _ShortLinear(network.enter)
    return predictor


class _ShortConvolution(nn.Module):
    """A dilated convolution as one product of matrices, without the set-up time of torch's."""

    def __init__(self, convolution: nn.Conv1d) -> None:
        """Args: of stride 1, padded with zeros."""
        super().__init__()
        self._kernel, self._dilation = convolution.kernel_size[0], convolution.dilation[0]
        self._padding = int(convolution.padding[0])
        weight = convolution.weight.detach().permute(2, 1, 0).flatten(0, 1)  # (kernel * channels, outputs)
        self._weight, self._bias = weight.contiguous(), _bias(convolution)

    def forward(self, inputs: Tensor) -> Tensor:
        """(1, C, S) -> (1, C, S)."""
        frames = functional.pad(inputs[0].T, (0, 0, self._padding, self._padding)).contiguous()
        count, width = inputs.shape[2], inputs.shape[1]
        taps = frames.as_strided((count, self._kernel, width), (width, self._dilation * width, 1))
        return torch.addmm(self._bias, taps.flatten(1), self._weight).T[None]


class _ShortLinear(nn.Module):
    """A linear layer whose weights lie in memory as they are read."""

    def __init__(self, linear: nn.Linear) -> None:
        """Args: the layer."""
        super().__init__()
        self._weight, self._bias = linear.weight.detach().T.contiguous(), _bias(linear)

    def forward(self, inputs: Tensor) -> Tensor:
        """(1, S, A) -> (1, S, B)."""
        return torch.addmm(self._bias, inputs[0], self._weight)[None]


def _bias(module: nn.Linear | nn.Conv1d) -> Tensor:
    """The bias of a module, zeros where it has none."""
    return module.weight.new_zeros(len(module.weight)) if module.bias is None else module.bias.detach()
