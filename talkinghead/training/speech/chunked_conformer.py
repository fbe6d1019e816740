"""What a stream of the speech encoder computes, for all of its steps at once and with gradients.

At every step of a stream, the frames that become final and the newer, provisional ones are encoded together. They
attend to each other and to final frames, whose keys, values and convolution inputs are those of the step that made them
final (`talkinghead.speech.encoder_stream`; as in Emformer, Shi et al. 2021). So each step is a chunk of as many rows,
and all chunks of a recording can be computed side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.speech.conformer import Conformer, ConformerLayer
from talkinghead.speech.front_ends import RATE_HZ, LogMelFrontEnd
from talkinghead.speech.stream_weights import CHANGE, DOWN, UP


@dataclass(frozen=True)
class ChunkLayout:
    """Which frames the steps of a stream encode."""

    step: int
    """Frames that arrive, and frames that become final, at a step."""
    ahead: int
    """Newer frames that are encoded with those: the provisional ones."""
    lead: int
    """Frames before the stream's first one in the first chunk, which make it as long as the others."""

    @property
    def rows(self) -> int:
        """Frames of a chunk."""
        return self.step + self.ahead

    def count(self, frames: int) -> int:
        """Number of chunks in a recording of so many frames."""
        return max(0, (frames + self.lead - self.rows) // self.step + 1)

    def positions(self, chunks: int) -> Tensor:
        """(chunks, rows) number of each row's frame; negative before the stream."""
        return torch.arange(chunks)[:, None] * self.step - self.lead + torch.arange(self.rows)

    @classmethod
    def of(cls, look_ahead_s: float, step_s: float) -> ChunkLayout:
        """Layout of a stream.

        Args:
            look_ahead_s: audio after a frame that is waited for, a whole number of frames.
            step_s: audio that is taken at a time, likewise.
        """
        frame_s = LogMelFrontEnd.hop / RATE_HZ
        step, waited = round(step_s / frame_s), round(look_ahead_s / frame_s)
        # Of `count` frames, the last waited - 1 are not final.
        return cls(step, waited - 1, (waited - 1) % step)


class ChunkedConformer(nn.Module):
    """A conformer with changes of its weights that are trained, run over the chunks of a stream."""

    def __init__(self, model: Conformer, layout: ChunkLayout, rank: int) -> None:
        """Begin without a change.

        Args:
            model: stays as it is.
            layout: of the chunks.
            rank: of the changes of maps.
        """
        super().__init__()
        self.layout = layout
        self._model = [model.requires_grad_(False)]  # in a list, it is no part of what is trained and saved
        self.changes = nn.ParameterDict()
        for name, weight in self._used_weights():
            if weight.dim() == 2 or (weight.dim() == 3 and weight.shape[2] == 1):  # a map, of each frame by itself
                out, into = weight.shape[:2]
                self.changes[_key(name + DOWN)] = nn.Parameter(torch.randn(rank, into) * into**-0.5)
                self.changes[_key(name + UP)] = nn.Parameter(torch.zeros(out, rank))
            else:
                self.changes[_key(name + CHANGE)] = nn.Parameter(torch.zeros_like(weight))
        self.edge = nn.Parameter(torch.zeros(layout.rows, model.config.hidden_size))
        """(rows, D) added to the first layer's input, the row of the newest frame first."""

    @property
    def model(self) -> Conformer:
        """The model without a change."""
        return self._model[0]

    def _used_weights(self) -> list[tuple[str, Tensor]]:
        """Names and values of the model's weights, but those of the front end's norm."""
        return [(name, value) for name, value in self.model.named_parameters() if "projection.layer_norm" not in name]

    def named_changes(self) -> dict[str, Tensor]:
        """As in `StreamWeights.changes`."""
        return {_name(key): value.detach() for key, value in self.changes.items()}

    def forward(self, frames: Tensor, newest: Tensor) -> list[Tensor]:
        """Outputs of every layer, after its input: (B, chunks, rows, D) each.

        Args:
            frames: (B, S, width) of the front end.
            newest: (B, chunks, width), the last row of each chunk, which lacks the audio after it.
        """
        chunks = newest.shape[1]
        positions = self.layout.positions(chunks)
        inputs = frames[:, positions.clamp(min=0)]
        inputs = torch.cat([inputs[:, :, :-1], newest[:, :, None]], 2)
        normalized = self.model.feature_projection.layer_norm(inputs)
        states = [self._map(normalized, "feature_projection.projection") + self.edge.flip(0)]
        exists = positions >= 0
        reaches = self.model.config.attention_reach_frames
        for number, layer in enumerate(cast(nn.ModuleList, self.model.encoder.layers)):
            reach = reaches if isinstance(reaches, int) else reaches[number]
            prefix = f"encoder.layers.{number}."
            states.append(self._layer(cast(ConformerLayer, layer), prefix, states[-1], exists, reach))
        return states

    def _layer(self, layer: ConformerLayer, prefix: str, hidden: Tensor, exists: Tensor, reach: int) -> Tensor:
        """`ConformerLayer.forward` over chunks: (B, chunks, rows, D) -> the same."""
        hidden = hidden + 0.5 * self._feed_forward(hidden, layer, prefix + "ffn1")
        hidden = hidden + self._attend(hidden, layer, prefix, exists, reach)
        hidden = hidden + self._convolve(hidden, layer, prefix + "conv_module.", exists)
        hidden = hidden + 0.5 * self._feed_forward(hidden, layer, prefix + "ffn2")
        return self._norm(hidden, prefix + "final_layer_norm")

    def _feed_forward(self, hidden: Tensor, layer: ConformerLayer, name: str) -> Tensor:
        """One of the feed-forward parts."""
        inner = self._map(self._norm(hidden, name + "_layer_norm"), name + ".intermediate_dense")
        return self._map(layer.ffn1.intermediate_act_fn(inner), name + ".output_dense")

    def _attend(self, hidden: Tensor, layer: ConformerLayer, prefix: str, exists: Tensor, reach: int) -> Tensor:
        """Attention of the rows of each chunk to one another and to the final frames before them."""
        batch, chunks, rows, width = hidden.shape
        step, heads = self.layout.step, layer.self_attn.num_heads
        hidden = self._norm(hidden, prefix + "self_attn_layer_norm")

        def by_head(mapped: Tensor) -> Tensor:  # (B, chunks, rows, D) -> (B, heads, chunks, rows, D / heads)
            return mapped.unflatten(3, (heads, -1)).permute(0, 3, 1, 2, 4)

        query, key, value = (by_head(self._map(hidden, f"{prefix}self_attn.linear_{n}")) for n in "qkv")
        query = query * query.shape[-1] ** -0.5
        final_key, final_value = (part[:, :, :, :step].flatten(2, 3) for part in (key, value))
        before, within = _reached(exists, step, reach)
        scores = torch.cat(
            [
                (query.flatten(2, 3) @ final_key.transpose(2, 3)).masked_fill(~before, -torch.inf),
                (query @ key.transpose(3, 4)).masked_fill(~within, -torch.inf).flatten(2, 3),
            ],
            3,
        )
        share = scores.softmax(3)
        ours = share[..., -rows:].unflatten(2, (chunks, rows)) @ value
        attended = share[..., :-rows] @ final_value + ours.flatten(2, 3)
        return self._map(attended.transpose(1, 2).reshape(batch, chunks, rows, width), prefix + "self_attn.linear_out")

    def _convolve(self, hidden: Tensor, layer: ConformerLayer, prefix: str, exists: Tensor) -> Tensor:
        """The convolution module of the rows of each chunk, with final frames before them."""
        entered = self._map(self._norm(hidden, prefix + "layer_norm"), prefix + "pointwise_conv1")
        gated = functional.glu(entered, 3) * exists[..., None]
        taps = (layer.conv_module.depthwise_conv.weight + self._change(prefix + "depthwise_conv.weight"))[:, 0]
        past = taps.shape[1] - 1
        final = functional.pad(gated[:, :, : self.layout.step].flatten(1, 2), (0, 0, past, 0))
        before = final.unfold(1, past, self.layout.step)[:, : gated.shape[1]].transpose(2, 3)
        joined = torch.cat([before, gated], 2)
        mixed = sum(joined[:, :, tap : tap + gated.shape[2]] * taps[:, tap] for tap in range(past + 1))
        mixed = layer.conv_module.activation(self._norm(cast(Tensor, mixed), prefix + "depthwise_layer_norm"))
        return self._map(mixed, prefix + "pointwise_conv2")

    def _map(self, inputs: Tensor, name: str) -> Tensor:
        """A linear map, or convolution of kernel 1, with its change: (..., in) -> (..., out)."""
        module = self.model.get_submodule(name)
        weight = cast(Tensor, module.weight).flatten(1)  # a convolution of kernel 1 is a map
        bias = None if module.bias is None else cast(Tensor, module.bias) + self._change(name + ".bias")
        outputs = functional.linear(inputs, weight, bias)
        down, up = (self.changes[_key(f"{name}.weight{end}")] for end in (DOWN, UP))
        return outputs + functional.linear(functional.linear(inputs, down), up)

    def _norm(self, inputs: Tensor, name: str) -> Tensor:
        """A layer norm with its change."""
        module = cast(nn.LayerNorm, self.model.get_submodule(name))
        weight, bias = module.weight + self._change(name + ".weight"), module.bias + self._change(name + ".bias")
        return functional.layer_norm(inputs, (inputs.shape[-1],), weight, bias, module.eps)

    def _change(self, name: str) -> Tensor:
        return self.changes[_key(name + CHANGE)]


def newest_frames(front_end: LogMelFrontEnd, audio: Tensor, layout: ChunkLayout) -> Tensor:
    """The newest frame of every chunk, as it is when the audio after it has not arrived.

    Args:
        front_end: of the encoder.
        audio: (B, N) samples.
        layout: of the chunks.

    Returns:
        (B, chunks, width).
    """
    length = 4 * front_end.hop  # more than the windows of one frame reach back
    chunks = layout.count(audio.shape[1] // front_end.hop)
    end = (layout.rows - layout.lead) * front_end.hop
    padded = functional.pad(audio, (max(0, length - end), 0))
    pieces = padded.unfold(1, length, layout.step * front_end.hop)
    pieces = pieces[:, (max(0, end - length)) // (layout.step * front_end.hop) :][:, :chunks]
    return front_end(pieces.flatten(0, 1))[:, -1].unflatten(0, (len(audio), chunks))


def _reached(exists: Tensor, step: int, reach: int) -> tuple[Tensor, Tensor]:
    """Whether each row attends to each final frame, (chunks * rows, chunks * step), and to each row of its chunk."""
    chunks, rows = exists.shape
    place = torch.arange(chunks)[:, None] * step + torch.arange(rows)
    final = torch.arange(chunks * step)
    before = (final < place[:, :1, None]) & (place[..., None] - final <= reach)
    before &= exists[:, :step].flatten()
    row = torch.arange(rows)
    within = ((row[:, None] - row).abs() <= reach) & exists[:, None]
    return before.flatten(0, 1), within


def _key(name: str) -> str:
    """Name of a parameter in a ParameterDict, which has no points."""
    return name.replace(".", "/")


def _name(key: str) -> str:
    return key.replace("/", ".")
