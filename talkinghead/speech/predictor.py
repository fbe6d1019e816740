"""The expression predictor: from speech features to normalized expression coefficients."""

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

FORMAT = "talkinghead/expression-predictor/3"
"""Format of the file, stored in its metadata."""
NEVER = -20.0
"""Logit of a probability of practically 0, that of closures before their network is trained."""
LARGEST_SIZE = 1 << 14
"""Largest number in the configuration of a usable predictor."""
MOST_PARTS = 64
"""Largest number of layers, networks or convolutions of a usable predictor."""


@dataclass(frozen=True)
class PredictorConfig:
    """Sizes of a predictor, and the encoder and face model for which it was trained; stored in its file."""

    encoder: str
    """Name of the encoder on whose features it was trained."""
    encoder_sha256: str
    """Hash of that encoder."""
    face_model_sha256: str
    """Hash of the face model that its coefficients belong to."""
    layers: tuple[int, ...]
    """Numbers of the encoder's layers whose outputs it takes."""
    features: int
    """D, the width of a feature."""
    expressions: int
    """K, the number of expression coefficients."""
    components: int = 256
    """Principal components of each layer's features that are used."""
    networks: int = 2
    """Number of temporal networks in the ensemble."""
    width: int = 96
    """Channels of a temporal network."""
    kernel: int = 5
    """Kernel size of its convolutions, feature frames, odd."""
    dilations: tuple[int, ...] = (1, 2, 4, 6)
    """Dilations of its convolutions; with kernels of 5, these reach 26 frames, 0.52 s, to either side."""
    articulation: int = 0
    """Articulatory features of the phones that the temporal networks take beside the audio's; 0 for none."""

    @property
    def inputs(self) -> int:
        """Width of the members' input: the components of all layers."""
        return len(self.layers) * self.components

    @property
    def reach(self) -> int:
        """Feature frames on either side on which an output depends."""
        return self.kernel // 2 * sum(self.dilations)


class TemporalNetwork(nn.Module):
    """A residual stack of dilated temporal convolutions (as in WaveNet and TCN; Bai et al. 2018)."""

    def __init__(self, config: PredictorConfig, inputs: int, outputs: int) -> None:
        """Args: sizes; number of input and of output channels."""
        super().__init__()
        width, kernel = config.width, config.kernel
        self.enter = nn.Linear(inputs, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in config.dilations)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, kernel, dilation=d, padding=d * (kernel // 2)) for d in config.dilations
        )
        self.leave = nn.Linear(width, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Predict outputs for every feature frame: (B, S, inputs) -> (B, S, outputs)."""
        hidden = self.enter(inputs)  # (B, S, width)
        # Norm, activation, convolution, sum: without a norm on the residual path, as in pre-norm transformers. The
        # convolutions run over S and pad with zeros, so that the length stays.
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            hidden = hidden + convolution(functional.gelu(norm(hidden)).transpose(1, 2)).transpose(1, 2)
        outputs: Tensor = self.leave(functional.gelu(hidden))
        return outputs


class ExpressionPredictor(nn.Module):
    """An ensemble that predicts normalized expression from the principal components of speech features.

    The members are small temporal networks, and the prediction is their mean. Trained on minutes of speech, their
    errors differ: the mean is better than any of them, however large. Where the phones are known, they are taken too
    (`talkinghead.speech.articulation`).

    Normalized means that each coefficient has mean 0 and standard deviation 1 over a speaker's own clip. An anchor's
    calibration maps it to the anchor's own expression.
    """

    feature_mean: Tensor
    """(layers, D) mean of the features."""
    projection: Tensor
    """(layers, D, components) principal components of the features."""
    output_scale: Tensor
    """() factor on the mean of the members."""

    def __init__(self, config: PredictorConfig) -> None:
        """Args: sizes. Temporal networks start at random, everything else at 0."""
        super().__init__()
        self.config = config
        # Buffers are fitted in closed form in training, and not by gradient descent.
        layers = len(config.layers)
        self.register_buffer("feature_mean", torch.zeros(layers, config.features))
        self.register_buffer("projection", torch.zeros(layers, config.features, config.components))
        self.register_buffer("output_scale", torch.ones(()))
        width = config.inputs + config.articulation
        self.networks = nn.ModuleList(
            TemporalNetwork(config, width, config.expressions) for _ in range(config.networks)
        )
        self.closing = TemporalNetwork(config, config.inputs, 1)
        """Detects p, b and m; before it is trained, it detects none."""
        nn.init.zeros_(self.closing.leave.weight)
        nn.init.constant_(self.closing.leave.bias, NEVER)

    @property
    def outputs(self) -> int:
        """Columns of what `expression` returns."""
        return self.config.expressions

    def components(self, values: Tensor) -> Tensor:
        """Principal components of features, the members' input: (B, S, layers, D) -> (B, S, inputs)."""
        return torch.einsum("bsld,ldc->bslc", values - self.feature_mean, self.projection).flatten(2)

    def forward(self, values: Tensor) -> Tensor:
        """Predict normalized expression from features: (B, S, layers, D) -> (B, S, K)."""
        return self.expression(self.components(values))

    def expression(self, inputs: Tensor, articulation: Tensor | None = None, *, exact: bool = False) -> Tensor:
        """Normalized expression as the mean of the members.

        Args:
            inputs: (B, S, inputs) components of the audio's features.
            articulation: (B, S, articulation) of the phones; None where they are not known.
            exact: whether the times of the phones are exact, so that what they ask for by themselves counts as much as
                what is heard.

        Returns:
            (B, S, K).
        """
        # A mean of differing members varies less than its targets; the trained scale restores the range.
        return self.mean_of(self.networks, inputs, articulation, exact=exact) * self.output_scale

    def mean_of(self, networks: nn.ModuleList, inputs: Tensor, articulation: Tensor | None, *, exact: bool) -> Tensor:
        """Mean of what some temporal networks predict; the arguments are those of `expression`."""
        known = [self.joined(inputs, articulation)]
        if exact and articulation is not None and self.config.articulation:
            known.append(self.joined(torch.zeros_like(inputs), articulation))
        return torch.stack([network(joined) for network in networks for joined in known]).mean(0)

    def joined(self, inputs: Tensor, articulation: Tensor | None = None) -> Tensor:
        """What the temporal networks take: (B, S, inputs) and (B, S, articulation), zeros for None, side by side."""
        if articulation is None or not self.config.articulation:
            articulation = inputs.new_zeros(*inputs.shape[:2], self.config.articulation)
        return torch.cat([inputs, articulation], 2)

    def closure(self, inputs: Tensor) -> Tensor:
        """Probability of p, b or m: (B, S, inputs) -> (B, S)."""
        probability: Tensor = self.closing(inputs)[..., 0].sigmoid()
        return probability

    def sha256(self) -> str:
        """Hash over configuration and weights."""
        digest = hashlib.sha256(json.dumps(asdict(self.config)).encode())
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

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
            MissingFileError, CheckpointError: no such file; damaged, or not a predictor of this version.
        """
        arrays, metadata = load_arrays(path)
        if metadata.get("format") != FORMAT:
            raise CheckpointError(f"{path} is not an expression predictor of this version ({FORMAT}).")
        try:
            # The meta device allocates no memory: a damaged size does no harm before it is compared with the weights.
            with torch.device("meta"):
                predictor = cls(_predictor_config(json.loads(metadata["config"])))
            state = {name: _finite(array) for name, array in arrays.items()}
            predictor.load_state_dict(state, assign=True)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path} is a damaged expression predictor; fetch or train it again.") from error
        return predictor.eval()


def _predictor_config(described: dict[str, Any]) -> PredictorConfig:
    """Configuration from parsed JSON, which has lists in place of tuples.

    Raises:
        ValueError: a field is unknown or out of range.
    """
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
        raise ValueError("networks, kernel or dilations are out of range")
    if min(config.layers) < 0 or config.reach > CONTEXT_S * 50:
        raise ValueError("layers or reach are out of range")
    return config


def _finite(array: NDArray[Any]) -> Tensor:
    """Tensor of an array of weights.

    Raises:
        ValueError: they are not float32, or not finite.
    """
    if array.dtype != np.float32 or not np.isfinite(array).all():
        raise ValueError("weights are not finite float32 numbers")
    return torch.from_numpy(array)
