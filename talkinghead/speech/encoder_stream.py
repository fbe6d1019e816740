"""Streaming speech encoders: features of audio that is still arriving, with a fixed look-ahead.

A feature frame is final once the look-ahead after it has arrived; the newer ones are provisional, as the audio that
they need has not arrived completely. At every step the provisional frames are encoded again. For conformers with a
limited attention reach, as the default encoder is, most frames before them are not: the keys, values and inputs of the
causal convolutions that later frames need are kept. Other encoders encode their last seconds at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.errors import ModelUnavailableError
from talkinghead.speech.adapters import attention_reach, hidden_states
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.front_ends import RATE_HZ, LogMelFrontEnd
from talkinghead.structures import FloatArray

CONTEXT_S = 3.0
"""Audio before the provisional frames that an encoder without kept states encodes again, seconds."""
REFRESH_FRAMES = 16
"""Number of frames by which a frame is final when it is encoded for the last time."""
THINNING, THICKNESS = 4, 2
"""Of each so many provisional frames, so many are encoded again at a step."""
SPARE_FRAMES = 128
"""Rows by which a buffer is longer than needed, so that it is seldom shifted."""
FRONT_END_FRAMES = 2
"""Feature frames before the first requested one that the front end's windows reach into."""

Pointwise = Callable[[Tensor], Tensor]
"""A linear map of every frame: (S, A) -> (S, B)."""


@dataclass(frozen=True)
class StreamedFeatures:
    """Features of the frames that were not final before a step."""

    values: Tensor
    """(S, layers, D) float32: the frames that this step made final, and the provisional ones after them."""
    first: int
    """Number of the first of these frames in the stream."""
    final: int
    """Number of frames of the stream that are final, in first..first + S."""


class EncoderStream(Protocol):
    """Encodes audio that is pushed piece by piece."""

    def push(self, samples: FloatArray, gain: float, *, is_end: bool = False) -> StreamedFeatures:
        """Encode the next samples.

        Args:
            samples: (N,) float32 at 16 kHz, none or more.
            gain: factor on all samples that are not final.
            is_end: whether these are the last samples of the stream; all frames become final.

        Raises:
            ModelUnavailableError: the model's output is not finite.
        """
        ...


def open_encoder_stream(
    encoder: SpeechEncoder, layers: tuple[int, ...], look_ahead_s: float, *, quantized: bool = False
) -> EncoderStream:
    """Begin a stream.

    Args:
        encoder: any.
        layers: numbers of the layers whose outputs are returned, in 1..layer_count.
        look_ahead_s: audio after the center of a frame that is waited for before the frame is final, seconds.
        quantized: whether the weights of a conformer with kept states are rounded to 8 bits, which saves most of the
            time of short steps on a CPU. Without effect on other encoders and devices.
    """
    config = encoder.model.config
    keeps_states = (
        config.model_type == "wav2vec2-bert"
        and attention_reach(encoder.model) is not None
        and config.position_embeddings_type is None
        and type(encoder.front_end) is LogMelFrontEnd
    )
    if not keeps_states:
        return _WindowStream(encoder, layers, look_ahead_s)
    can_quantize = encoder.model.device.type == "cpu" and torch.backends.quantized.engine != "none"
    return _ConformerStream(encoder, layers, look_ahead_s, quantized=quantized and can_quantize)


class _AudioTail:
    """The newest samples of a stream, from a whole number of frames before the first one that is not final."""

    def __init__(self, encoder: SpeechEncoder, look_ahead_s: float, kept_frames: int) -> None:
        """Args: the encoder; as in `open_encoder_stream`; number of final frames whose samples are kept."""
        self._front_end = encoder.front_end
        self._look_ahead = round((look_ahead_s + encoder.first_s) * RATE_HZ)
        self._kept_frames = kept_frames
        self._samples = np.zeros(0, np.float32)
        self.first = self.final = 0
        """Numbers of the frame with which the samples begin, and of the first one that is not final."""

    def push(self, samples: FloatArray) -> int:
        """Take the next samples; returns the number of frames of the stream so far."""
        self._samples = np.concatenate([self._samples, samples])
        return self.first + len(self._samples) // self._front_end.hop

    def inputs(self, gain: float, device: torch.device) -> Tensor:
        """Input of the encoder for all frames from `first` on, (1, ...); silence follows the newest sample."""
        hop, reach = self._front_end.hop, self._front_end.reach
        whole = len(self._samples) // hop * hop
        audio = np.append(self._samples[: whole + reach - hop], np.zeros(max(0, reach - hop), np.float32))
        audio = audio[: whole + reach - hop] * np.float32(gain)
        return self._front_end(torch.from_numpy(audio).to(device)[None])

    def advance(self, is_end: bool) -> int:
        """Make frames final whose look-ahead has arrived; returns the number of final frames."""
        hop = self._front_end.hop
        arrived, count = self.first * hop + len(self._samples), self.first + len(self._samples) // hop
        reached = count if is_end else min((arrived - self._look_ahead) // hop + 1, count)
        self.final = max(self.final, reached)
        passed = max(0, self.final - self._kept_frames - self.first)
        self._samples, self.first = self._samples[passed * hop :], self.first + passed
        return self.final


class _WindowStream:
    """Encodes the last seconds at every step: for encoders whose frames attend to all others."""

    def __init__(self, encoder: SpeechEncoder, layers: tuple[int, ...], look_ahead_s: float) -> None:
        self._encoder, self._layers = encoder, layers
        self._tail = _AudioTail(encoder, look_ahead_s, round(CONTEXT_S * encoder.rate_hz))

    @torch.inference_mode()
    def push(self, samples: FloatArray, gain: float, *, is_end: bool = False) -> StreamedFeatures:
        model, tail = self._encoder.model, self._tail
        count, begin, first = tail.push(samples), tail.first, tail.final
        if count == first:
            return _no_features(self._encoder, self._layers, first)
        states = hidden_states(model, tail.inputs(gain, model.device))
        values = torch.stack([states[layer][0, first - begin : count - begin] for layer in self._layers], 1)
        return StreamedFeatures(_finite(values, self._encoder), first, tail.advance(is_end))


class _ConformerStream:
    """Encodes, at every step, the frames whose features change most, with kept states of the others.

    These are new frames, those that become final, some of the provisional ones, and frames that have been final for
    some time: the states that are kept of them in the end are those of a longer look-ahead.
    """

    def __init__(
        self, encoder: SpeechEncoder, layers: tuple[int, ...], look_ahead_s: float, *, quantized: bool
    ) -> None:
        self._encoder, self._layers = encoder, layers
        self._tail = _AudioTail(encoder, look_ahead_s, REFRESH_FRAMES + FRONT_END_FRAMES)
        model: Any = encoder.model
        reaches = attention_reach(encoder.model) or ()
        self._blocks = [
            _ConformerLayer(layer, reach, quantized=quantized)
            for layer, reach in zip(model.encoder.layers[: max(layers)], reaches, strict=False)
        ]
        self._states = _KeptStates(len(self._blocks), self._blocks[0].taps, max(reaches), model.device)
        self._refreshed = self._encoded = 0
        """Numbers of frames that are not encoded again, and that have been encoded."""
        self._features = torch.zeros(0, len(layers), encoder.width, device=model.device)
        """Newest features of the frames that are not final."""

    @torch.inference_mode()
    def push(self, samples: FloatArray, gain: float, *, is_end: bool = False) -> StreamedFeatures:
        model: Any = self._encoder.model
        tail = self._tail
        count, begin, first = tail.push(samples), tail.first, tail.final
        if count == first:
            return _no_features(self._encoder, self._layers, first)
        inputs = tail.inputs(gain, model.device)[0]
        final = tail.advance(is_end)
        refreshed = max(0, final - REFRESH_FRAMES) if not is_end else self._refreshed
        provisional = torch.arange(first, count, device=inputs.device)
        chosen = (provisional < final) | (provisional >= self._encoded) | ((count - provisional) % THINNING < THICKNESS)
        again = torch.arange(self._refreshed, min(refreshed, first), device=inputs.device)
        frames = torch.cat([again, provisional[chosen]])
        states = [model.feature_projection(inputs[None, frames - begin])[0][0]]
        self._states.begin(frames, count)
        for number, block in enumerate(self._blocks):
            states.append(block(states[-1], self._states, number))
        newest = _finite(torch.stack([states[layer][len(again) :] for layer in self._layers], 1), self._encoder)
        values = torch.cat([self._features, newest.new_zeros(count - first - len(self._features), *newest.shape[1:])])
        values[provisional[chosen] - first] = newest
        self._features, self._refreshed, self._encoded = values[final - first :], refreshed, count
        return StreamedFeatures(values, first, final)


class _ConformerLayer:
    """A conformer layer of Wav2Vec2Bert that keeps what other frames need of each one: key, value, convolved input."""

    def __init__(self, layer: Any, reach: int, *, quantized: bool) -> None:
        """Args: the layer of transformers; feature frames on either side that it attends to; 8-bit weights."""
        attention, convolution = layer.self_attn, layer.conv_module
        self._layer, self._reach, self._heads = layer, reach, attention.num_heads

        def pointwise(*modules: nn.Linear | nn.Conv1d) -> Pointwise:
            return _pointwise(modules, quantized=quantized)

        self._ffn1 = (pointwise(layer.ffn1.intermediate_dense), pointwise(layer.ffn1.output_dense))
        self._ffn2 = (pointwise(layer.ffn2.intermediate_dense), pointwise(layer.ffn2.output_dense))
        self._query_key_value = pointwise(attention.linear_q, attention.linear_k, attention.linear_v)
        self._leave_attention = pointwise(attention.linear_out)
        self._enter_convolution = pointwise(convolution.pointwise_conv1)
        self._leave_convolution = pointwise(convolution.pointwise_conv2)
        weight: Tensor = convolution.depthwise_conv.weight.detach()
        self.taps = weight[:, 0].T.contiguous()
        """(kernel, D) weights of the depthwise convolution."""

    def __call__(self, hidden: Tensor, states: _KeptStates, number: int) -> Tensor:
        """Outputs of the frames of a step: (S, D) -> (S, D).

        Args:
            hidden: input of the layer.
            states: what is kept of all layers.
            number: of this layer, from 0 on.
        """
        layer = self._layer
        hidden = torch.add(hidden, self._feed_forward(layer.ffn1_layer_norm(hidden), self._ffn1), alpha=0.5)
        hidden = hidden + self._attend(layer.self_attn_layer_norm(hidden), states, number)
        hidden = hidden + self._convolve(layer.conv_module.layer_norm(hidden), states, number)
        hidden = torch.add(hidden, self._feed_forward(layer.ffn2_layer_norm(hidden), self._ffn2), alpha=0.5)
        outputs: Tensor = layer.final_layer_norm(hidden)
        return outputs

    def _feed_forward(self, hidden: Tensor, maps: tuple[Pointwise, Pointwise]) -> Tensor:
        """(S, D) -> (S, D)."""
        return maps[1](self._layer.ffn1.intermediate_act_fn(maps[0](hidden)))

    def _attend(self, hidden: Tensor, states: _KeptStates, number: int) -> Tensor:
        """Attend to all kept frames within reach: (S, D) -> (S, D)."""
        width = hidden.shape[1]
        mixed = self._query_key_value(hidden)
        states.keys_values[number].index_copy_(0, states.index, mixed[:, width:])
        within, beyond = states.within(self._reach)
        keys_values = states.keys_values[number, within]

        def by_head(rows: Tensor) -> Tensor:
            return rows.unflatten(1, (self._heads, -1)).transpose(0, 1)  # (heads, S, D / heads)

        # Written out, this takes half the time of torch's fused attention for so few frames.
        query, key, value = by_head(mixed[:, :width]), by_head(keys_values[:, :width]), by_head(keys_values[:, width:])
        scores = torch.bmm(query * query.shape[2] ** -0.5, key.transpose(1, 2)).masked_fill_(beyond, -torch.inf)
        attended = torch.bmm(scores.softmax(2), value)
        return self._leave_attention(attended.transpose(0, 1).flatten(1))

    def _convolve(self, hidden: Tensor, states: _KeptStates, number: int) -> Tensor:
        """The causal convolution module behind its norm: (S, D) -> (S, D)."""
        module = self._layer.conv_module
        states.gated[number].index_copy_(0, states.index, functional.glu(self._enter_convolution(hidden), 1))
        before = states.gated[number].index_select(0, states.convolved)
        mixed = (before.view(-1, *self.taps.shape) * self.taps).sum(1)  # (S, kernel, D) -> (S, D)
        return self._leave_convolution(module.activation(module.depthwise_layer_norm(mixed)))


class _KeptStates:
    """What the layers need of each of the newest frames: one row a frame, shifted now and then to make room."""

    def __init__(self, layers: int, taps: Tensor, reach: int, device: torch.device) -> None:
        """Args: number of layers; (kernel, D) of their convolutions; the longest reach of attention, frames; device."""
        kernel, width = taps.shape
        self._kept = max(reach, kernel - 1)
        self._back = torch.arange(1 - kernel, 1, device=device)
        # Rows of 0 stand before the first frame, as padding of the convolutions; attention leaves them out.
        self._first = 1 - kernel
        self.keys_values = taps.new_zeros(layers, kernel - 1, 2 * width)
        """(layers, N, 2 D) keys and values."""
        self.gated = taps.new_zeros(layers, kernel - 1, width)
        """(layers, N, D) inputs of the convolutions."""
        self.index = self.convolved = torch.zeros(0, dtype=torch.long, device=device)
        """(S,) rows of the frames of the step, and (S * kernel,) those that are convolved for each."""
        self._earliest = self._count = 0
        self._within: dict[int, tuple[slice, Tensor]] = {}

    def begin(self, frames: Tensor, count: int) -> None:
        """Prepare a step.

        Args:
            frames: (S,) numbers of the frames that are encoded; none of a later step is smaller than the first.
            count: number of frames of the stream so far.
        """
        earliest = int(frames[0])
        if count - self._first > self.gated.shape[1]:
            dropped = max(0, earliest - self._kept - self._first)
            self._first += dropped
            added = count - self._first + SPARE_FRAMES - (self.gated.shape[1] - dropped)
            self.keys_values = functional.pad(self.keys_values[:, dropped:], (0, 0, 0, added))
            self.gated = functional.pad(self.gated[:, dropped:], (0, 0, 0, added))
        self.index = frames - self._first
        self.convolved = (self.index[:, None] + self._back).flatten()
        self._earliest, self._count = earliest - self._first, count - self._first
        self._within = {}

    def within(self, reach: int) -> tuple[slice, Tensor]:
        """Rows that the frames of the step may attend to, and (S, rows) whether each is beyond a frame's reach."""
        if reach not in self._within:
            rows = slice(max(self._earliest - reach, -self._first, 0), self._count)
            distance = torch.arange(rows.start, rows.stop, device=self.index.device) - self.index[:, None]
            self._within[reach] = rows, distance.abs_() > reach
        return self._within[reach]


def _pointwise(modules: tuple[nn.Linear | nn.Conv1d, ...], *, quantized: bool) -> Pointwise:
    """The maps of linear modules or convolutions of kernel 1, side by side as one."""
    weight = torch.cat([module.weight.detach().flatten(1) for module in modules])
    biases = [module.bias.detach() for module in modules if module.bias is not None]
    bias = torch.cat(biases) if biases else None
    if not quantized:
        transposed = weight.T.contiguous()
        zero = weight.new_zeros(())
        return lambda frames: torch.addmm(zero if bias is None else bias, frames, transposed)
    # One scale for each output; the inputs get one scale at each call.
    scales = (weight.abs().amax(1).double() / 127).clamp(min=1e-12)
    rounded = torch.quantize_per_channel(weight.float(), scales, torch.zeros(len(weight)).long(), 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(rounded, bias)
    # A reduced range of the inputs keeps sums of products from overflowing on processors without VNNI.
    multiply = torch.ops.quantized.linear_dynamic.default
    return lambda frames: multiply(frames, packed, True)


def _no_features(encoder: SpeechEncoder, layers: tuple[int, ...], final: int) -> StreamedFeatures:
    """No frames, where a step completed none."""
    return StreamedFeatures(torch.zeros(0, len(layers), encoder.width), final, final)


def _finite(values: Tensor, encoder: SpeechEncoder) -> Tensor:
    """Values as float32.

    Raises:
        ModelUnavailableError: they are not finite.
    """
    if not values.isfinite().all():
        raise ModelUnavailableError(
            f"The output of the speech encoder {encoder.name} is not finite; use another --speech-encoder."
        )
    return values.float()
