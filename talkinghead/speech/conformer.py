"""The default speech encoder's layers (Conformer, Gulati et al. 2020) as plain modules, which load in milliseconds.

They compute what `Wav2Vec2BertModel` of Hugging Face transformers does without position embeddings and adapter, in the
same order of operations, and their parameters have the same names, so that a folder of the one is a folder of the
other. Importing transformers takes as long as encoding a minute of speech.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

MODEL_TYPE = "wav2vec2-bert"
"""`model_type` in config.json."""
ARCHITECTURE = "Wav2Vec2BertModel"
"""Class of transformers that the weights are named for."""
REACH_KEY = "attention_reach_frames"
"""Key of this project in config.json: feature frames on either side that a layer attends to, one number for all layers
or one for each."""

Activation = Callable[[Tensor], Tensor]
ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {"gelu": functional.gelu, "swish": functional.silu, "silu": functional.silu}
)
"""Activation function by its name in config.json."""
_SIZES = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("feature_projection_input_dim", "conv_depthwise_kernel_size"),
)


@dataclass
class ConformerConfig:
    """What of config.json the layers are built from, under its names there."""

    hidden_size: int
    """D, width of a feature."""
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    """Width inside the feed-forward parts."""
    feature_projection_input_dim: int
    """Numbers in each frame of the front end."""
    conv_depthwise_kernel_size: int
    """Feature frames that a causal convolution spans."""
    layer_norm_eps: float
    hidden_act: str
    """Key of `ACTIVATIONS`."""
    attention_reach_frames: int | list[int]
    """See `REACH_KEY`."""
    model_type: str = MODEL_TYPE
    position_embeddings_type: None = None

    @classmethod
    def of(cls, described: Any) -> ConformerConfig | None:
        """The configuration of a model that these layers compute; None where it is one that transformers has to run.

        Args:
            described: content of config.json.
        """
        if not isinstance(described, dict):
            return None
        sizes = {name: described.get(name) for name in _SIZES}
        is_one = (
            described.get("model_type") == MODEL_TYPE
            and described.get("architectures") == [ARCHITECTURE]
            and described.get("position_embeddings_type", "relative_key") is None
            and not described.get("add_adapter", False)
            and described.get(REACH_KEY) is not None
            and described.get("hidden_act") in ACTIVATIONS
            and all(type(size) is int and size > 0 for size in sizes.values())
            and described["conv_depthwise_kernel_size"] % 2 == 1
            and isinstance(described.get("layer_norm_eps"), float)
            # Dropout is for training alone; a configuration without sense in it is left to transformers to refuse.
            and all(isinstance(value, (int, float)) for name, value in described.items() if name.endswith("dropout"))
        )
        if not is_one:
            return None
        rest = {name: described[name] for name in ("layer_norm_eps", "hidden_act", REACH_KEY)}
        return cls(**sizes, **rest)  # type: ignore[arg-type]


class Conformer(nn.Module):
    """Projection of the input and conformer layers: what `adapters.hidden_states` runs one after the other."""

    def __init__(self, config: ConformerConfig) -> None:
        """Args: sizes of the model."""
        super().__init__()
        self.config = config
        self.feature_projection = FeatureProjection(config)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(ConformerLayer(config) for _ in range(config.num_hidden_layers))

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self.feature_projection.projection.weight.device


class FeatureProjection(nn.Module):
    """From frames of the front end to the input of the first layer."""

    def __init__(self, config: ConformerConfig) -> None:
        """Args: sizes of the model."""
        super().__init__()
        self.layer_norm = nn.LayerNorm(config.feature_projection_input_dim, eps=config.layer_norm_eps)
        self.projection = nn.Linear(config.feature_projection_input_dim, config.hidden_size)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S, width) -> (B, S, D), and the normalized frames (B, S, width)."""
        normalized = self.layer_norm(frames)
        return self.projection(normalized), normalized


class FeedForward(nn.Module):
    """Two linear maps with an activation between."""

    def __init__(self, config: ConformerConfig) -> None:
        """Args: sizes of the model."""
        super().__init__()
        self.intermediate_dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.intermediate_act_fn: Activation = ACTIVATIONS[config.hidden_act]
        self.output_dense = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, S, D) -> (B, S, D)."""
        outputs: Tensor = self.output_dense(self.intermediate_act_fn(self.intermediate_dense(hidden)))
        return outputs


class SelfAttention(nn.Module):
    """Attention of every frame to those that a mask lets it see, without positions."""

    def __init__(self, config: ConformerConfig) -> None:
        """Args: sizes of the model."""
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.linear_q = nn.Linear(config.hidden_size, config.hidden_size)
        self.linear_k = nn.Linear(config.hidden_size, config.hidden_size)
        self.linear_v = nn.Linear(config.hidden_size, config.hidden_size)
        self.linear_out = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, S, D) and whether each frame attends to each, (1, 1, S, S) bool -> (B, S, D)."""

        def by_head(mapped: Tensor) -> Tensor:
            return mapped.unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (B, heads, S, D / heads)

        query, key, value = (by_head(linear(hidden)) for linear in (self.linear_q, self.linear_k, self.linear_v))
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
        outputs: Tensor = self.linear_out(attended.transpose(1, 2).flatten(2))
        return outputs


class ConvolutionModule(nn.Module):
    """Gated causal convolution along time, each channel by itself, between two maps of every frame."""

    def __init__(self, config: ConformerConfig) -> None:
        """Args: sizes of the model."""
        super().__init__()
        width, kernel = config.hidden_size, config.conv_depthwise_kernel_size
        self.layer_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.pointwise_conv1 = nn.Conv1d(width, 2 * width, 1, bias=False)
        self.depthwise_conv = nn.Conv1d(width, width, kernel, groups=width, bias=False)
        self.depthwise_layer_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.activation: Activation = ACTIVATIONS[config.hidden_act]
        self.pointwise_conv2 = nn.Conv1d(width, width, 1, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, S, D) -> (B, S, D)."""
        gated = functional.glu(self.pointwise_conv1(self.layer_norm(hidden).transpose(1, 2)), 1)  # (B, D, S)
        mixed = self.depthwise_conv(functional.pad(gated, (self.depthwise_conv.kernel_size[0] - 1, 0)))
        mixed = self.depthwise_layer_norm(mixed.transpose(1, 2)).transpose(1, 2)
        outputs: Tensor = self.pointwise_conv2(self.activation(mixed)).transpose(1, 2)
        return outputs


class ConformerLayer(nn.Module):
    """Half a feed-forward part, attention, convolution, and the other half."""

    def __init__(self, config: ConformerConfig) -> None:
        """Args: sizes of the model."""
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.ffn1_layer_norm = nn.LayerNorm(width, eps=eps)
        self.ffn1 = FeedForward(config)
        self.self_attn_layer_norm = nn.LayerNorm(width, eps=eps)
        self.self_attn = SelfAttention(config)
        self.conv_module = ConvolutionModule(config)
        self.ffn2_layer_norm = nn.LayerNorm(width, eps=eps)
        self.ffn2 = FeedForward(config)
        self.final_layer_norm = nn.LayerNorm(width, eps=eps)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, S, D) and the mask of `SelfAttention` -> (B, S, D)."""
        hidden = self.ffn1(self.ffn1_layer_norm(hidden)) * 0.5 + hidden
        hidden = self.self_attn(self.self_attn_layer_norm(hidden), attention_mask) + hidden
        hidden = hidden + self.conv_module(hidden)
        hidden = self.ffn2(self.ffn2_layer_norm(hidden)) * 0.5 + hidden
        outputs: Tensor = self.final_layer_norm(hidden)
        return outputs


def load_conformer(config: ConformerConfig, weights: Path) -> tuple[Conformer, list[str]]:
    """Build a model and load its weights, as float32.

    Args:
        config: of the model.
        weights: .safetensors file; what is not the model's is ignored.

    Returns:
        The model, and the names of weights that the file lacks.

    Raises:
        SafetensorError, OSError: the file cannot be read; RuntimeError: a weight has another shape.
    """
    with torch.device("meta"):  # nothing is initialized that is replaced at once
        model = Conformer(config)
    loaded = {name: tensor.float() for name, tensor in load_file(weights).items()}
    return model, list(model.load_state_dict(loaded, strict=False, assign=True).missing_keys)
