"""The expression predictor: speech features to normalized expression coefficients."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.errors import CheckpointError
from talkinghead.files import load_arrays, save_arrays
from talkinghead.speech.encoder import CONTEXT_S

FORMAT = "talkinghead/expression-predictor/2"
NEVER = -20.0
"""Logit of what does not happen."""
LARGEST_SIZE = 1 << 14
"""Of anything that a predictor's description counts."""
MOST_PARTS = 64
"""Layers, taps, networks or convolutions of a predictor."""


@dataclass(frozen=True)
class PredictorConfig:
    """Shape of a predictor, and what it belongs to."""

    encoder: str
    """Name of the encoder it was taught on."""
    encoder_sha256: str
    face_model_sha256: str
    layers: tuple[int, ...]
    """Layers of the encoder that it takes."""
    features: int
    """D, the width of a feature."""
    expressions: int
    """K, the number of expression coefficients."""
    components: int = 256
    """C, the principal components of each layer's features that are kept."""
    taps: tuple[int, ...] = (-8, -5, -3, -1, 0, 1, 3, 5, 8)
    """Feature frames, counted from the one predicted, that the linear member sees."""
    networks: int = 2
    width: int = 96
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 6)
    """With kernels of 5 these reach 26 frames, 0.52 s, to either side."""

    @property
    def inputs(self) -> int:
        """Width of what the members are given."""
        return len(self.layers) * self.components

    @property
    def reach(self) -> int:
        """Feature frames on either side that an output depends on."""
        return max(*map(abs, self.taps), self.kernel // 2 * sum(self.dilations))


class TemporalNetwork(nn.Module):
    """A residual stack of dilated temporal convolutions."""

    def __init__(self, config: PredictorConfig, outputs: int) -> None:
        super().__init__()
        width, kernel = config.width, config.kernel
        self.enter = nn.Linear(config.inputs, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in config.dilations)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, kernel, dilation=d, padding=d * (kernel // 2)) for d in config.dilations
        )
        self.leave = nn.Linear(width, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, S, inputs) -> (B, S, outputs)"""
        hidden = self.enter(inputs)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            hidden = hidden + convolution(functional.gelu(norm(hidden)).transpose(1, 2)).transpose(1, 2)
        outcome: Tensor = self.leave(functional.gelu(hidden))
        return outcome


class ExpressionPredictor(nn.Module):
    """Speech features -> normalised expression: principal components, of which several members make the mean.

    One member is linear in some frames around, the others are small temporal networks. Taught on minutes of speech
    each errs in its own way: together they do better than any of them, however large.

    Normalised means: in each coefficient, mean 0 and standard deviation 1 over a speaker's own clip. An anchor's own
    mean and standard deviation bring it back.
    """

    feature_mean: Tensor
    projection: Tensor
    tap_weights: Tensor
    tap_bias: Tensor
    output_scale: Tensor

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.config = config
        layers = len(config.layers)
        self.register_buffer("feature_mean", torch.zeros(layers, config.features))
        self.register_buffer("projection", torch.zeros(layers, config.features, config.components))
        self.register_buffer("tap_weights", torch.zeros(len(config.taps), config.inputs, config.expressions))
        self.register_buffer("tap_bias", torch.zeros(config.expressions))
        self.register_buffer("output_scale", torch.ones(()))
        self.networks = nn.ModuleList(TemporalNetwork(config, config.expressions) for _ in range(config.networks))
        self.closing = TemporalNetwork(config, 1)
        """Hears closed lips; until it is taught, none."""
        nn.init.zeros_(self.closing.leave.weight)
        nn.init.constant_(self.closing.leave.bias, NEVER)

    def components(self, values: Tensor) -> Tensor:
        """Features (B, S, layers, D) -> what the members are given, (B, S, inputs)."""
        return torch.einsum("bsld,ldc->bslc", values - self.feature_mean, self.projection).flatten(2)

    def forward(self, values: Tensor) -> Tensor:
        """Features (B, S, layers, D) -> normalised expression (B, S, K)."""
        return self.expression(self.components(values))

    def expression(self, inputs: Tensor) -> Tensor:
        """The mean of the members: (B, S, inputs) -> normalised expression (B, S, K)."""
        members = [self.linear(inputs), *(network(inputs) for network in self.networks)]
        return torch.stack(members).mean(0) * self.output_scale

    def closure(self, inputs: Tensor) -> Tensor:
        """Probability of p, b or m: (B, S, inputs) -> (B, S)."""
        heard: Tensor = self.closing(inputs)[..., 0].sigmoid()
        return heard

    def linear(self, inputs: Tensor) -> Tensor:
        """The linear member: (B, S, inputs) -> (B, S, K)."""
        return torch.einsum("btsi,tik->bsk", self.tapped(inputs), self.tap_weights) + self.tap_bias

    def tapped(self, inputs: Tensor) -> Tensor:
        """Every tap's view of the frames, whose ends are repeated: (B, S, inputs) -> (B, taps, S, inputs)."""
        position = torch.arange(inputs.shape[1], device=inputs.device)
        return torch.stack([inputs[:, (position + tap).clamp(0, len(position) - 1)] for tap in self.config.taps], 1)

    def sha256(self) -> str:
        """One hash over configuration and weights."""
        found = hashlib.sha256(json.dumps(asdict(self.config)).encode())
        for name, value in sorted(self.state_dict().items()):
            found.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    def save(self, path: Path) -> None:
        """Write weights and configuration as one safetensors file.

        Raises:
            OutputError: the file cannot be written.
        """
        arrays = {name: value.detach().cpu().numpy() for name, value in self.state_dict().items()}
        save_arrays(path, arrays, {"format": FORMAT, "config": json.dumps(asdict(self.config))})

    @classmethod
    def load(cls, path: Path) -> ExpressionPredictor:
        """Read a predictor that `save` wrote.

        Raises:
            MissingFileError, CheckpointError: no such file; damaged, or no predictor of this version.
        """
        arrays, metadata = load_arrays(path)
        if metadata.get("format") != FORMAT:
            raise CheckpointError(f"{path} is not an expression predictor of this version ({FORMAT}).")
        try:
            # Nothing is as large as it claims before the weights that are there have been found to fit.
            with torch.device("meta"):
                predictor = cls(_predictor_config(json.loads(metadata["config"])))
            state = {name: _finite(array) for name, array in arrays.items()}
            predictor.load_state_dict(state, assign=True)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path} is a damaged expression predictor.") from error
        return predictor.eval()


def _predictor_config(described: dict[str, Any]) -> PredictorConfig:
    """From JSON, where tuples are lists."""
    unknown = set(described) - {field.name for field in fields(PredictorConfig)}
    if unknown:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in described.items()}
    for name, value in values.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if not isinstance(value, str) and not all(type(n) is int and abs(n) <= LARGEST_SIZE for n in numbers):
            raise ValueError(f"{name} is {value!r:.100}")
        if len(numbers) > MOST_PARTS:
            raise ValueError(f"{name} has {len(numbers)} parts")
    config = PredictorConfig(**values)
    if config.networks > MOST_PARTS or config.kernel % 2 == 0 or min(config.dilations, default=1) < 1:
        raise ValueError("such networks are not made")
    if min(config.layers) < 0 or config.reach > CONTEXT_S * 50:
        raise ValueError("that is not what an encoder hears")
    return config


def _finite(array: NDArray[Any]) -> Tensor:
    """Weights in single precision, without NaN and infinity."""
    if array.dtype != np.float32 or not np.isfinite(array).all():
        raise ValueError("weights have to be finite numbers in single precision")
    return torch.from_numpy(array)
