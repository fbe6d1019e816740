"""Random examples for the training of an expression predictor.

Shape letters beside those of `structures`: S feature frames, D width of a feature, C_in inputs of a member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from talkinghead.speech.predictor import ExpressionPredictor
from talkinghead.training.speech.clips import Example
from talkinghead.training.speech.predictor_config import PredictorTrainingConfig
from talkinghead.training.speech.utterances import Utterances


@dataclass(frozen=True)
class LabeledSource:
    """Recordings with an expression for every frame, each in one or several versions (speed perturbation)."""

    examples: Sequence[Sequence[Example]]
    inputs: Sequence[Sequence[Tensor]]
    """(S, C_in) inputs of the temporal networks, for each of `examples`."""
    chances: NDArray[np.float64]
    """Probability of each recording to be drawn; their sum is 1."""


def joined(predictor: ExpressionPredictor, features: Tensor, articulation: Tensor) -> Tensor:
    """What the temporal networks take: (S, layers, D), (S, A) -> (S, C_in)."""
    return predictor.joined(predictor.components(features.float()[None]), articulation[None])[0]


@torch.no_grad()
def labeled_source(
    predictor: ExpressionPredictor, examples: Sequence[Sequence[Example]], length_power: float
) -> LabeledSource:
    """Prepare recordings; the chance of each grows with its number of valid frames to the power `length_power`."""
    inputs = [[joined(predictor, one.features, one.articulation) for one in versions] for versions in examples]
    weight = np.array([float(versions[0].valid.sum()) ** length_power for versions in examples])
    return LabeledSource(examples, inputs, weight / weight.sum())


def source_shares(sources: Sequence[LabeledSource], training: PredictorTrainingConfig) -> tuple[float, ...]:
    """Share of each source in the training: the first is the clips, the second, if any, pseudo-labeled recordings."""
    return (1 - training.pseudo_label_share, training.pseudo_label_share) if len(sources) > 1 else (1.0,)


@dataclass(frozen=True)
class LabeledBatch:
    """B stretches of recordings, padded with invalid frames where a recording is shorter."""

    inputs: Tensor
    """(B, S, C_in)"""
    expression: Tensor
    """(B, S, K) normalized."""
    shape_map: Tensor
    """(B, K, 2) linear map to the normalized opening and width of the mouth."""
    valid: Tensor
    """(B, S) 1 where the expression is known, else 0."""
    closed: Tensor
    """(B, S) 1 where the lips are closed, else 0."""


def draw_labeled(
    sources: Sequence[LabeledSource],
    counts: Sequence[int],
    training: PredictorTrainingConfig,
    draw: np.random.Generator,
) -> LabeledBatch:
    """Draw stretches of `training.frames` feature frames, `counts` of them from each source."""
    drawn = []
    for source, count in zip(sources, counts, strict=True):
        for number in draw.choice(len(source.examples), count, p=source.chances):
            version = int(draw.integers(len(source.examples[number])))
            example, inputs = source.examples[number][version], source.inputs[number][version]
            start = _draw_start(len(inputs), training.frames, draw)
            drawn.append(
                (
                    _stretch(inputs, start, training.frames),
                    _stretch(example.expression, start, training.frames),
                    example.shape_map,
                    _stretch(example.valid.float(), start, training.frames),
                    _stretch(example.closed, start, training.frames),
                )
            )
    return LabeledBatch(*(torch.stack(column) for column in zip(*drawn, strict=True)))


@dataclass(frozen=True)
class UtteranceSource:
    """Utterances whose phones are known, with the inputs of the members."""

    inputs: list[Tensor]
    """(S, C_in) each."""
    utterances: Utterances
    chances: NDArray[np.float64]
    """Probability of each to be drawn for closed lips, by its length; their sum is 1."""


@torch.no_grad()
def utterance_source(predictor: ExpressionPredictor, utterances: Utterances) -> UtteranceSource:
    """Prepare utterances."""
    pairs = zip(utterances.features, utterances.articulation, strict=True)
    inputs = [joined(predictor, *pair) for pair in pairs]
    weight = np.array([len(one) for one in inputs], float)
    return UtteranceSource(inputs, utterances, weight / weight.sum())


def draw_openness(
    source: UtteranceSource, training: PredictorTrainingConfig, draw: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw stretches of utterances, half a batch: inputs (B, S, C_in), openness (B, S), and 1 where one speaks (B, S).

    Every utterance is as likely as any other.
    """
    drawn = []
    for number in draw.choice(len(source.inputs), training.batch // 2):
        start = _draw_start(len(source.inputs[number]), training.frames, draw)
        curves = (source.inputs, source.utterances.openness, source.utterances.spoken)
        drawn.append([_stretch(curve[number], start, training.frames) for curve in curves])
    inputs, openness, spoken = (torch.stack(column) for column in zip(*drawn, strict=True))
    return inputs, openness, spoken


def draw_closures(
    source: UtteranceSource, training: PredictorTrainingConfig, draw: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw stretches of utterances, half a batch: inputs (B, S, C_in), 1 where lips are closed, 1 where one speaks."""
    drawn = []
    for number in draw.choice(len(source.inputs), training.batch // 2, p=source.chances):
        start = _draw_start(len(source.inputs[number]), training.frames, draw)
        curves = (source.inputs, source.utterances.closed, source.utterances.spoken)
        drawn.append([_stretch(curve[number], start, training.frames) for curve in curves])
    inputs, closed, spoken = (torch.stack(column) for column in zip(*drawn, strict=True))
    return inputs, closed, spoken


def drop_inputs(inputs: Tensor, components: int, training: PredictorTrainingConfig) -> Tensor:
    """Set random inputs to 0, each over a whole example: (B, S, C_in) -> the same.

    Of the first `components`, which are of the audio, a random share; of the others, which describe the phones, either
    all or none. Where there are phones, all of the audio may be dropped: so the networks learn to do with either.
    """
    kept = torch.rand(len(inputs), 1, inputs.shape[2]) > training.component_dropout
    has_phones = torch.rand(len(inputs), 1, 1) > training.phone_dropout
    kept[..., components:] = has_phones
    if inputs.shape[2] > components:
        kept[..., :components] &= ~(has_phones & (torch.rand(len(inputs), 1, 1) < training.audio_dropout))
    return inputs * kept


def _draw_start(length: int, frames: int, draw: np.random.Generator) -> int:
    return int(draw.integers(0, max(length - frames, 0) + 1))


def _stretch(curve: Tensor, start: int, frames: int) -> Tensor:
    """So many frames of a curve, (S,) or (S, C), padded with zeros at the end."""
    cut = curve[start : start + frames]
    return functional.pad(cut, (*(0, 0) * (curve.ndim - 1), 0, frames - len(cut)))
