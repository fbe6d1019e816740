"""Streaming speech encoders: features of audio that is still arriving, with a fixed look-ahead.

A feature frame is final once the look-ahead after it has arrived; the newer ones are provisional, as the audio that
they need has not arrived completely. At every step the provisional frames are encoded again. For conformers with a
limited attention reach, as the default encoder is, final frames are not: the keys, values and inputs of the causal
convolutions that later frames need are kept. Other encoders encode their last seconds at every step.

The future that an encoder was trained with is missing in streams. An encoder may have changes of its weights that make
up for most of that (`talkinghead.speech.stream_weights`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.errors import ModelUnavailableError
from talkinghead.speech.adapters import attention_reach, hidden_states
from talkinghead.speech.conformer import Conformer, ConformerLayer
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.front_ends import RATE_HZ, LogMelFrontEnd
from talkinghead.speech.log_mel_stream import LogMelStream
from talkinghead.speech.stream_weights import StreamWeights
from talkinghead.structures import FloatArray

CONTEXT_S = 3.0
"""Audio before the provisional frames that an encoder without kept states encodes again, seconds."""
TUNED_SHARE = 0.25
"""Weights for streams are used where the look-ahead differs by at most this share from that of their training."""
SPARE_FRAMES = 128
"""Rows by which a buffer is longer than needed, so that it is seldom shifted."""

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
    """Encodes, at every step, the frames that are not final, with kept states of those that are.

    What a layer needs of a final frame are its key, value and input of the causal convolution, as they were in the step
    that made the frame final.
    """

    def __init__(
        self, encoder: SpeechEncoder, layers: tuple[int, ...], look_ahead_s: float, *, quantized: bool
    ) -> None:
        front_end = cast(LogMelFrontEnd, encoder.front_end)
        self._encoder, self._layers = encoder, layers
        self._look_ahead = round((look_ahead_s + encoder.first_s) * RATE_HZ)
        self._hop, self._arrived, self._final = front_end.hop, 0, 0
        self._spectra = LogMelStream(front_end)
        self._network = _network(encoder, _fits(encoder.stream_weights, look_ahead_s), quantized=quantized)
        self._states = _KeptStates(self._network.blocks[: max(layers)], encoder.model.device)

    @torch.inference_mode()
    def push(self, samples: FloatArray, gain: float, *, is_end: bool = False) -> StreamedFeatures:
        spectra, first = self._spectra, self._final
        self._arrived += len(samples)
        spectra.push(samples)
        if spectra.count == first:
            return _no_features(self._encoder, self._layers, first)
        awaited = min((self._arrived - self._look_ahead) // self._hop + 1, spectra.count)
        self._final = spectra.count if is_end else max(first, awaited)
        states = [self._network.enter(spectra.frames(first, gain).to(self._states.device))]
        self._states.begin(first, spectra.count)
        for number, block in enumerate(self._network.blocks[: max(self._layers)]):
            states.append(block(states[-1], self._states, number))
        values = torch.stack([states[layer] for layer in self._layers], 1)
        return StreamedFeatures(_finite(values, self._encoder), first, self._final)


class _Network:
    """A conformer's weights as streams use them; shared by all streams of an encoder."""

    def __init__(self, model: Conformer, weights: StreamWeights | None, *, quantized: bool) -> None:
        """Args: the model; what its weights become in streams; whether they are rounded to 8 bits."""
        changed = model if weights is None else cast(Conformer, weights.applied(model))
        reaches = attention_reach(changed) or ()
        layers = [cast(ConformerLayer, layer) for layer in cast(nn.ModuleList, changed.encoder.layers)]
        self._projection = changed.feature_projection
        self._edge = None if weights is None else weights.edge.flip(0).to(model.device)
        self.blocks = [_Block(*pair, quantized=quantized) for pair in zip(layers, reaches, strict=True)]

    def enter(self, frames: Tensor) -> Tensor:
        """Input of the first layer: the newest frames, (S, width) -> (S, D)."""
        hidden: Tensor = self._projection(frames)[0]
        if self._edge is None:
            return hidden
        rows = min(len(hidden), len(self._edge))
        hidden[-rows:] += self._edge[-rows:]
        return hidden


_networks: WeakKeyDictionary[SpeechEncoder, dict[tuple[bool, bool], _Network]] = WeakKeyDictionary()


def _network(encoder: SpeechEncoder, weights: StreamWeights | None, *, quantized: bool) -> _Network:
    """The encoder's network for streams, prepared once."""
    prepared = _networks.setdefault(encoder, {})
    kind = (weights is None, quantized)
    if kind not in prepared:
        prepared[kind] = _Network(cast(Conformer, encoder.model), weights, quantized=quantized)
    return prepared[kind]


def _fits(weights: StreamWeights | None, look_ahead_s: float) -> StreamWeights | None:
    """Weights for streams, where they were trained for about this look-ahead."""
    if weights is None or abs(look_ahead_s - weights.look_ahead_s) > TUNED_SHARE * weights.look_ahead_s:
        return None
    return weights


class _Block:
    """A conformer layer that keeps what later frames need of each one: key, value, input of the convolution."""

    def __init__(self, layer: ConformerLayer, reach: int, *, quantized: bool) -> None:
        """Args: the layer; feature frames on either side that it attends to; 8-bit weights."""
        attention, convolution = layer.self_attn, layer.conv_module

        def pointwise(*modules: nn.Linear | nn.Conv1d, scales: tuple[float, ...] = (1.0,)) -> Pointwise:
            return _pointwise(modules, scales * (len(modules) // len(scales)), quantized=quantized)

        self._layer, self.reach = layer, reach
        # Half of what the feed-forward parts give is added.
        self._ffn1 = (pointwise(layer.ffn1.intermediate_dense), pointwise(layer.ffn1.output_dense, scales=(0.5,)))
        self._ffn2 = (pointwise(layer.ffn2.intermediate_dense), pointwise(layer.ffn2.output_dense, scales=(0.5,)))
        width = attention.linear_q.out_features
        self.heads, self.head_width = attention.num_heads, width // attention.num_heads
        scales = (self.head_width**-0.5, 1.0, 1.0)
        self._query_key_value = pointwise(attention.linear_q, attention.linear_k, attention.linear_v, scales=scales)
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
        layer, act = self._layer, self._layer.ffn1.intermediate_act_fn
        hidden = hidden + self._ffn1[1](act(self._ffn1[0](_norm(hidden, layer.ffn1_layer_norm))))
        hidden += self._attend(_norm(hidden, layer.self_attn_layer_norm), states, number)
        hidden += self._convolve(_norm(hidden, layer.conv_module.layer_norm), states, number)
        hidden += self._ffn2[1](act(self._ffn2[0](_norm(hidden, layer.ffn2_layer_norm))))
        return _norm(hidden, layer.final_layer_norm)

    def _attend(self, hidden: Tensor, states: _KeptStates, number: int) -> Tensor:
        """Attend to all kept frames within reach: (S, D) -> (S, D)."""
        mixed = self._query_key_value(hidden).view(len(hidden), 3, self.heads, self.head_width).permute(1, 2, 0, 3)
        states.keys_values[number][:, :, states.rows] = mixed[1:]
        within, beyond = states.within(self.reach)
        keys, values = states.keys_values[number][:, :, within]
        # Written out, this takes half the time of torch's fused attention for so few frames.
        scores = torch.baddbmm(beyond, mixed[0], keys.transpose(1, 2))
        attended = torch.bmm(scores.softmax(2), values)  # (heads, S, D / heads)
        return self._leave_attention(attended.transpose(0, 1).reshape(hidden.shape))

    def _convolve(self, hidden: Tensor, states: _KeptStates, number: int) -> Tensor:
        """The causal convolution module behind its norm: (S, D) -> (S, D)."""
        module, gated = self._layer.conv_module, states.gated[number]
        (kernel, width), rows = self.taps.shape, states.rows
        gated[rows] = functional.glu(self._enter_convolution(hidden), 1)
        spans = gated[rows.start - kernel + 1 : rows.stop].as_strided((len(hidden), kernel, width), (width, width, 1))
        mixed = _norm((spans * self.taps).sum(1), module.depthwise_layer_norm)
        return self._leave_convolution(module.activation(mixed))


class _KeptStates:
    """What the layers need of each of the newest frames: one row a frame, shifted now and then to make room."""

    def __init__(self, blocks: Sequence[_Block], device: torch.device) -> None:
        """Args: the layers; where they run."""
        kernel, width = blocks[0].taps.shape
        self.device = device
        self._kept = max(kernel - 1, *(block.reach for block in blocks))
        # Rows of 0 stand before the first frame, as padding of the convolutions; attention leaves them out.
        self._first = 1 - kernel
        heads, head_width = blocks[0].heads, blocks[0].head_width
        self.keys_values = torch.zeros(len(blocks), 2, heads, kernel - 1, head_width, device=device)
        """(layers, 2, heads, N, D / heads)"""
        self.gated = torch.zeros(len(blocks), kernel - 1, width, device=device)
        """(layers, N, D) inputs of the convolutions."""
        self.rows = slice(0)
        """Rows of the frames of the step."""
        self._masks: dict[tuple[int, ...], Tensor] = {}

    def begin(self, first: int, count: int) -> None:
        """Prepare a step that encodes the frames from `first` to `count`; neither is ever smaller later."""
        if count - self._first > self.gated.shape[1]:
            dropped = max(0, first - self._kept - self._first)
            self._first += dropped
            added = count - self._first + SPARE_FRAMES - (self.gated.shape[1] - dropped)
            self.keys_values = functional.pad(self.keys_values[:, :, :, dropped:], (0, 0, 0, added))
            self.gated = functional.pad(self.gated[:, dropped:], (0, 0, 0, added))
        self.rows = slice(first - self._first, count - self._first)

    def within(self, reach: int) -> tuple[slice, Tensor]:
        """Rows that the frames of the step may attend to, and (1, S, rows): -inf beyond a frame's reach, else 0."""
        rows = self.rows
        attended = slice(max(rows.start - reach, -self._first, 0), rows.stop)
        kind = (reach, rows.start - attended.start, rows.stop - rows.start)  # the same at most steps
        if kind not in self._masks:
            self._masks = {known: mask for known, mask in self._masks.items() if known[0] != reach}
            row = torch.arange(attended.start, rows.stop, device=self.device)
            distance = (row - row[kind[1] :, None]).abs_()
            self._masks[kind] = torch.zeros(distance.shape, device=self.device).masked_fill_(
                distance > reach, -torch.inf
            )[None]
        return attended, self._masks[kind]


def _norm(hidden: Tensor, norm: nn.LayerNorm) -> Tensor:
    """A layer norm without the module's overhead."""
    return torch.layer_norm(hidden, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _pointwise(modules: tuple[nn.Linear | nn.Conv1d, ...], scales: tuple[float, ...], *, quantized: bool) -> Pointwise:
    """The maps of linear modules or convolutions of kernel 1, side by side as one, each with a factor."""
    factors = list(zip(modules, scales, strict=True))
    weight = torch.cat([module.weight.detach().flatten(1) * factor for module, factor in factors])
    biases = [module.bias.detach() * factor for module, factor in factors if module.bias is not None]
    bias = torch.cat(biases) if biases else None
    if not quantized:
        transposed = weight.T.contiguous()
        zero = weight.new_zeros(())
        return lambda frames: torch.addmm(zero if bias is None else bias, frames, transposed)
    # One scale for each output; the inputs get one scale at each call.
    steps = (weight.abs().amax(1).double() / 127).clamp(min=1e-12)
    rounded = torch.quantize_per_channel(weight.float(), steps, torch.zeros(len(weight)).long(), 0, torch.qint8)
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
