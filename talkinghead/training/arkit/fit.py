"""Fits the map from computed people: movement of the shapes, then networks for the way back.

The networks learn on random weights: of the people's frames, mirrored too, mixed with each other and scaled at random,
with further shapes at random. What a landmark network would make of them is their movement plus noise that is
distributed as the difference between measured and computed coefficients of the same people. The weights to be expected
are learned by least squares; a second term asks that they move the lips back to where the coefficients had them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from talkinghead.face.face_model import FaceModel
from talkinghead.generation.blendshapes.mapping import BlendshapeMap
from talkinghead.generation.blendshapes.names import ARKIT_SHAPES, MOUTH_SHAPES, mirrored
from talkinghead.generation.blendshapes.own_manner import LIPS
from talkinghead.structures import FloatArray
from talkinghead.training.arkit.correspondence import correspondence, mirror_signs, movement
from talkinghead.training.arkit.ict_face import Array, IctFace
from talkinghead.training.arkit.performer import Performer
from talkinghead.training.face_model import mirror_vertices

SHAPES = np.array([ARKIT_SHAPES.index(name) for name in MOUTH_SHAPES], np.int64)
"""Positions of the shapes of the mouth."""
SWAPPED = np.array([ARKIT_SHAPES.index(mirrored(name)) for name in ARKIT_SHAPES], np.int64)
"""Position of each shape's mirror image."""
MM_PER_CM = 10.0


@dataclass(frozen=True)
class FitConfig:
    """How the networks are trained."""

    networks: int = 3
    """Trained from different random weights; their mean is taken."""
    hidden: int = 96
    """Hidden units of each of two layers."""
    draws: int = 40_000
    """Random weights that are learned on."""
    batch: int = 512
    steps: int = 1200
    """Of each network."""
    learning_rate: float = 3e-3
    gain: float = 0.1
    """Standard deviation of the logarithm of random gains: one for all shapes of a draw, and one for each."""
    added_share: float = 0.3
    added: float = 0.03
    """Each shape of the mouth is raised in this share of the draws, by the absolute value of a normal number of this
    deviation."""
    noise: float = 0.02
    """Variance that is added to the measured noise of every coefficient."""
    lip_weight: float = 0.5
    """Weight of the lips' mean squared error after the way back, mm^2, beside that of the weights in deviations."""
    seed: int = 0


@dataclass(frozen=True)
class _Samples:
    """Random weights and what is measured of them: D draws."""

    coefficients: FloatArray
    """(D, K) distance from rest."""
    weights: FloatArray
    """(D, S) of the mouth."""


def fit_map(
    performers: Sequence[Performer], head: IctFace, model: FaceModel, config: FitConfig | None = None
) -> BlendshapeMap:
    """Fit the map to people whose weights are known.

    Args:
        performers: the people, who count the same.
        head: whose shapes they are.
        model: the face model, whose coefficients are mapped.
        config: None for the default.
    """
    config = config or FitConfig()
    draw = np.random.default_rng(config.seed)
    signs = mirror_signs(model, mirror_vertices(model.neutral))
    moved = np.mean([movement(correspondence(one, head), head, model, draw) for one in performers], axis=0)
    moved = np.asarray((moved + moved[SWAPPED] * signs) / 2, np.float32)
    resting = np.mean([one.resting_weights() for one in performers], axis=0)
    resting = np.asarray((resting + resting[SWAPPED]) / 2, np.float32)
    resting[np.setdiff1d(np.arange(len(resting)), SHAPES)] = 0
    samples = _samples(performers, moved, resting, signs, config, draw)
    lips = model.expression_basis[:, list(LIPS), :2].reshape(model.expressions, -1) * MM_PER_CM
    layers = [_train(samples, moved, resting, lips, config, config.seed + n) for n in range(config.networks)]
    return BlendshapeMap(moved, resting, SHAPES, *(np.stack(layer) for layer in zip(*layers, strict=True)))


def _samples(
    performers: Sequence[Performer],
    moved: FloatArray,
    resting: FloatArray,
    signs: FloatArray,
    config: FitConfig,
    draw: np.random.Generator,
) -> _Samples:
    """Random weights of the mouth, and the coefficients that would be measured of them."""
    frames = np.concatenate([one.weights for one in performers])
    frames = np.concatenate([frames, frames[:, SWAPPED]])
    count, size = config.draws, (config.draws, len(ARKIT_SHAPES))
    # A draw is a frame, mixed with at most half of another: so shapes come together as in speech, and otherwise too.
    mixed = (draw.uniform(size=(count, 1)) ** 2) / 2
    one, other = (frames[draw.integers(len(frames), size=count)] for _ in range(2))
    weights = (1 - mixed) * one + mixed * other
    weights *= np.exp(draw.normal(0, config.gain, (count, 1))) * np.exp(draw.normal(0, config.gain, size))
    raised = np.abs(draw.normal(0, config.added, size)) * (draw.uniform(size=size) < config.added_share)
    weights = np.clip(weights + raised, 0, 1)
    weights[:, np.setdiff1d(np.arange(len(ARKIT_SHAPES)), SHAPES)] = 0
    noise = np.mean([_noise(one, moved, signs) for one in performers], axis=0)
    noise = noise + config.noise * np.eye(len(noise))
    off = draw.multivariate_normal(np.zeros(len(noise)), noise, count) * np.exp(draw.normal(0, 0.3, (count, 1)))
    coefficients = (weights - resting) @ moved + off
    return _Samples(coefficients.astype(np.float32), weights[:, SHAPES].astype(np.float32))


def _noise(performer: Performer, moved: FloatArray, signs: FloatArray) -> Array:
    """(K, K) covariance of measured less computed coefficients, the same for the mirrored person."""
    valid = performer.valid
    off = performer.reconstruction.expression[valid] - performer.weights[valid] @ moved
    covariance = np.cov(off.T)
    return np.asarray((covariance + covariance * np.outer(signs, signs)) / 2)


def _train(
    samples: _Samples, moved: FloatArray, resting: FloatArray, lips: NDArray[np.floating], config: FitConfig, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Train one network; its three layers, each with its bias as the last column.

    Args:
        samples: to learn on.
        moved, resting: of the map.
        lips: (K, 2 L) displacement of the lips in the image for each coefficient, mm.
        config, seed: of the training.
    """
    torch.manual_seed(seed)
    order = torch.Generator().manual_seed(seed)
    given, wanted = torch.from_numpy(samples.coefficients), torch.from_numpy(samples.weights)
    mean, deviation = wanted.mean(0), wanted.std(0) + 0.01
    to_lips, rest = torch.from_numpy(np.asarray(lips, np.float32)), torch.from_numpy(resting[SHAPES])
    back = torch.from_numpy(moved[SHAPES]) @ to_lips
    layers = [
        nn.Linear(given.shape[1], config.hidden),
        nn.Linear(config.hidden, config.hidden),
        nn.Linear(config.hidden, wanted.shape[1]),
    ]
    network = nn.Sequential(layers[0], nn.SiLU(), layers[1], nn.SiLU(), layers[2])
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    for _ in range(config.steps):
        chosen = torch.randint(len(given), (config.batch,), generator=order)
        weights = network(given[chosen]) * deviation + mean
        loss = (((weights - wanted[chosen]) / deviation) ** 2).mean()
        off = (weights.clamp(0, 1) - rest) @ back - given[chosen] @ to_lips
        loss = loss + config.lip_weight * (off**2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    # What normalizes the weights goes into the last layer.
    last = (layers[2].weight * deviation[:, None], layers[2].bias * deviation + mean)
    pairs = [(layers[0].weight, layers[0].bias), (layers[1].weight, layers[1].bias), last]
    enter, hidden, leave = (_joined(weight, bias) for weight, bias in pairs)
    return enter, hidden, leave


def _joined(weight: Tensor, bias: Tensor) -> FloatArray:
    return np.asarray(torch.cat([weight, bias[:, None]], 1).detach().numpy(), np.float32)
