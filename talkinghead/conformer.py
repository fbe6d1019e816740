"""The conformer that the project's own speech encoder is: `Wav2Vec2BertModel` of transformers, as far as that uses it.

transformers taught it, and runs every other encoder. It takes seconds to import, though, which is most of the time that
a viewer waits for the first frame; so this one kind of model runs without it. The parameters have transformers' names,
and the tests hold the two against each other. Source: Gulati et al. 2020, Conformer; Barrault et al. 2023,
Seamless (w2v-BERT 2.0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_RUN_HERE: Mapping[str, Any] = {
    "model_type": "wav2vec2-bert",
    "position_embeddings_type": None,
    "add_adapter": False,
    "use_intermediate_ffn_before_adapter": False,
    "hidden_act": "gelu",
}
_SIZES = (
    "attention_reach_frames",
    "conv_depthwise_kernel_size",
    "feature_projection_input_dim",
    "hidden_size",
    "intermediate_size",
    "layer_norm_eps",
    "num_attention_heads",
    "num_hidden_layers",
)


class Conformer(nn.Module):
    """Layers of a `Wav2Vec2BertModel` without positions and without an adapter; for inference only."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Args: what config.json of the model's folder says."""
        super().__init__()
        self.config = SimpleNamespace(**config)
        self.feature_projection = _FeatureProjection(self.config)
        self.encoder = _Layers(self.config)

    @staticmethod
    def runs(config: Mapping[str, Any]) -> bool:
        """Whether a model of this configuration is one of these; transformers runs all others."""
        alike = all(name in config and config[name] == value for name, value in _RUN_HERE.items())
        return alike and config.keys() >= set(_SIZES)

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return next(self.parameters()).device

    def states(self, inputs: Tensor, reaches: Sequence[int]) -> list[Tensor]:
        """What enters the first layer and what leaves each: (B, S, features) -> layers + 1 of (B, S, D).

        Args:
            inputs: frames of the front end.
            reaches: frames on either side that each layer attends to.
        """
        found = [self.feature_projection(inputs)]
        position = torch.arange(inputs.shape[1], device=inputs.device)
        distance = (position[:, None] - position).abs()
        for layer, reach in zip(self.encoder.layers, reaches, strict=True):
            found.append(layer(found[-1], distance <= reach))
        return found


class _FeatureProjection(nn.Module):
    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(config.feature_projection_input_dim, config.layer_norm_eps)
        self.projection = nn.Linear(config.feature_projection_input_dim, config.hidden_size)

    def forward(self, inputs: Tensor) -> Tensor:
        projected: Tensor = self.projection(self.layer_norm(inputs))
        return projected


class _Layers(nn.Module):
    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))


class _Layer(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward, each beside what enters it."""

    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__()
        width, epsilon = config.hidden_size, config.layer_norm_eps
        self.ffn1_layer_norm = nn.LayerNorm(width, epsilon)
        self.ffn1 = _FeedForward(config)
        self.self_attn_layer_norm = nn.LayerNorm(width, epsilon)
        self.self_attn = _Attention(config)
        self.conv_module = _Convolution(config)
        self.ffn2_layer_norm = nn.LayerNorm(width, epsilon)
        self.ffn2 = _FeedForward(config)
        self.final_layer_norm = nn.LayerNorm(width, epsilon)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.ffn1(self.ffn1_layer_norm(x)) * 0.5 + x
        x = self.self_attn(self.self_attn_layer_norm(x), mask) + x
        x = x + self.conv_module(x)
        x = self.ffn2(self.ffn2_layer_norm(x)) * 0.5 + x
        normed: Tensor = self.final_layer_norm(x)
        return normed


class _FeedForward(nn.Module):
    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.output_dense = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.output_dense(functional.gelu(self.intermediate_dense(x)))
        return made


class _Attention(nn.Module):
    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.linear_q, self.linear_k, self.linear_v, self.linear_out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        queries, keys, values = (
            linear(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for linear in (self.linear_q, self.linear_k, self.linear_v)
        )
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        left: Tensor = self.linear_out(mixed.transpose(1, 2).flatten(2))
        return left


class _Convolution(nn.Module):
    """Gated, depthwise, and causal: it sees frames before, not after."""

    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__()
        width, kernel = config.hidden_size, config.conv_depthwise_kernel_size
        self.before = kernel - 1
        self.layer_norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.pointwise_conv1 = nn.Conv1d(width, 2 * width, 1, bias=False)
        self.depthwise_conv = nn.Conv1d(width, width, kernel, groups=width, bias=False)
        self.depthwise_layer_norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.pointwise_conv2 = nn.Conv1d(width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.glu(self.pointwise_conv1(self.layer_norm(x).transpose(1, 2)), dim=1)
        x = self.depthwise_conv(functional.pad(x, (self.before, 0)))
        x = self.depthwise_layer_norm(x.transpose(1, 2)).transpose(1, 2)
        made: Tensor = self.pointwise_conv2(functional.gelu(x)).transpose(1, 2)
        return made
