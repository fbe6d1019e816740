"""Teaches the expression predictor: speech features of any encoder to the expression coefficients of tracked clips.

A list of clips says where picture and sound lie and how late the sound is. Each clip's coefficients are normalised by
its own mean and standard deviation, so that what is learned is how a mouth moves and not whose mouth it is. Beside
each recording as it is, the same recording is learned played slower and faster: another pitch, other formants,
another tempo, and the same mouth shapes.

Recordings without pictures can be learned from too, labelled by a teacher (`training.pseudo_labels`).

The members of a predictor are taught apart: the linear one by ridge regression, the networks by gradient descent from
different seeds.

Leave-one-speaker-out training measures what an unseen speaker gets, and gives the one factor by which the output is
stretched: the least-squares answer to uncertainty is to move too little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from talkinghead import metrics
from talkinghead.speech.predictor import ExpressionPredictor, PredictorConfig, TemporalNetwork
from talkinghead.training.speech.clips import Clip, Example, Features, Utterances

STRETCHES = 4
"""Rounds in which the stretch of the output is found."""


@dataclass(frozen=True)
class PredictorTrainingConfig:
    steps: int = 500
    """For each of the networks."""
    batch: int = 16
    frames: int = 100
    """Feature frames of an example: 2 s."""
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    component_dropout: float = 0.2
    opening_weight: float = 0.5
    width_weight: float = 0.25
    velocity_weight: float = 0.5
    correlation_weight: float = 0.5
    lesson_share: float = 0.5
    """Of what is learned, where there is a lesson: recordings that a teacher has labelled."""
    openness_weight: float = 0.3
    """Of the course of the opening over utterances whose phones are known."""
    ridge: float = 1.0
    """Of the linear member, in units of the mean squared input."""
    length_power: float = 0.7
    """A clip's weight is its length to this power: a minute of one speaker is not worth six of ten seconds."""
    largest_stretch: float = 2.0
    seed: int = 0


@dataclass(frozen=True)
class Score:
    """How well the opening of a speaker's mouth was predicted."""

    speaker: str
    r: float
    width_r: float
    concordance: float
    std_ratio: float
    error: float
    """Root mean square over the standard deviation of what was tracked: 1 for a mouth that rests at its mean."""
    lag_ms: float
    seconds: float


def train_predictor(
    clips: Sequence[Clip],
    config: PredictorConfig,
    training: PredictorTrainingConfig,
    utterances: Utterances | None = None,
    lesson: Sequence[Example] = (),
) -> ExpressionPredictor:
    """Train a predictor on all the clips given, and its ear for closed lips on the utterances.

    All members learn from the lesson too: recordings without pictures, labelled by a teacher. The networks follow the
    openness of the utterances' phones besides: voices that no clip has, languages among them.
    """
    torch.manual_seed(training.seed)
    predictor = ExpressionPredictor(config)
    _fit_components(predictor, clips)
    seen = _source(predictor, [clip.examples for clip in clips], training.length_power)
    sources = [seen, _source(predictor, [[example] for example in lesson], 1.0)] if lesson else [seen]
    _fit_linear(predictor, sources, training)
    _even_out(predictor.tap_weights, predictor.tap_bias, seen, predictor.linear)
    said = None if utterances is None else _spoken(predictor, utterances)
    for number, network in enumerate(cast(Sequence[TemporalNetwork], predictor.networks)):
        _train_network(network, sources, training, training.seed + number, said)
        _even_out(network.leave.weight, network.leave.bias, seen, network)
    if utterances is not None:
        _train_closing(predictor, utterances, training)
    return predictor.eval()


@torch.no_grad()
def _fit_components(predictor: ExpressionPredictor, clips: Sequence[Clip]) -> None:
    """Principal components of each layer's features, together of mean square 1."""
    heard = torch.cat([clip.examples[0].features.float() for clip in clips])
    predictor.feature_mean.copy_(heard.mean(0))
    std = heard.std(0) + 1e-3
    for layer, (values, scale) in enumerate(zip(((heard - heard.mean(0)) / std).unbind(1), std, strict=True)):
        variance, directions = torch.linalg.eigh(values.T @ values / len(values))
        kept = slice(-predictor.config.components, None)
        level = variance[kept].mean().sqrt()
        predictor.projection[layer] = directions[:, kept] / scale[:, None] / level


@dataclass(frozen=True)
class _Source:
    """What is learned from: recordings, each in one or several versions."""

    examples: Sequence[Sequence[Example]]
    inputs: Sequence[Sequence[Tensor]]
    """(S, inputs) each: what the members are given."""
    chances: NDArray[np.float64]
    """Of each recording, together 1."""


@torch.no_grad()
def _source(predictor: ExpressionPredictor, examples: Sequence[Sequence[Example]], length_power: float) -> _Source:
    inputs = [[predictor.components(one.features.float()[None])[0] for one in versions] for versions in examples]
    weight = np.array([float(versions[0].seen.sum()) ** length_power for versions in examples])
    return _Source(examples, inputs, weight / weight.sum())


@torch.no_grad()
def _fit_linear(predictor: ExpressionPredictor, sources: Sequence[_Source], training: PredictorTrainingConfig) -> None:
    """Ridge regression from the taps' view to the coefficients."""
    taps, wide, outputs = predictor.tap_weights.shape
    gram, targets = torch.zeros(taps * wide + 1, taps * wide + 1), torch.zeros(taps * wide + 1, outputs)
    for source, share in zip(sources, _shares(sources, training), strict=True):
        for versions, inputs, chance in zip(source.examples, source.inputs, source.chances, strict=True):
            frames = sum(int(example.seen.sum()) for example in versions)
            weight = share * float(chance) / max(frames, 1)
            for example, values in zip(versions, inputs, strict=True):
                heard = predictor.tapped(values[None])[0].permute(1, 0, 2).flatten(1)[example.seen]
                heard = torch.cat([heard, torch.ones(len(heard), 1)], 1)
                gram += weight * heard.T @ heard
                targets += weight * heard.T @ example.expression[example.seen]
    gram.diagonal().add_(training.ridge * gram.diagonal().mean())
    solved = torch.linalg.solve(gram, targets)
    predictor.tap_weights.copy_(solved[:-1].unflatten(0, (taps, wide)))
    predictor.tap_bias.copy_(solved[-1])


def _shares(sources: Sequence[_Source], training: PredictorTrainingConfig) -> tuple[float, ...]:
    """What each has of all that is learned: the first is the clips, the second, where there is one, the lesson."""
    return (1 - training.lesson_share, training.lesson_share) if len(sources) > 1 else (1.0,)


@torch.no_grad()
def _even_out(weight: Tensor, bias: Tensor, source: _Source, member: Callable[[Tensor], Tensor]) -> None:
    """Scale a member so that the gap between the lips has the standard deviation that was seen.

    A member that knows less moves less; in the mean of all each is to have the same say.
    """
    gaps = [
        (member(inputs[0][None])[0] @ versions[0].to_shape)[versions[0].seen, 0]
        for versions, inputs in zip(source.examples, source.inputs, strict=True)
    ]
    scale = 1 / torch.cat(gaps).std().clamp(min=1e-3)
    weight.mul_(scale)
    bias.mul_(scale)


def _train_network(
    network: nn.Module,
    sources: Sequence[_Source],
    training: PredictorTrainingConfig,
    seed: int,
    said: _Spoken | None = None,
) -> None:
    draw = np.random.default_rng(seed)
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.learning_rate, total_steps=training.steps)
    to_gap = torch.stack([versions[0].to_shape[:, 0] for versions in sources[0].examples]).mean(0)
    counts = [round(training.batch * share) for share in _shares(sources, training)]
    for _ in range(training.steps):
        batch = _draw_batch(sources, counts, training, draw)
        loss = _loss(network, batch, training)
        if said is not None:
            loss = loss + training.openness_weight * _openness_loss(network, said, to_gap, training, draw)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()


@dataclass(frozen=True)
class _Spoken:
    """Utterances as the members hear them, one after another."""

    inputs: list[Tensor]
    """(S, inputs) each."""
    asked: list[Tensor]
    spoken: list[Tensor]


@torch.no_grad()
def _spoken(predictor: ExpressionPredictor, utterances: Utterances) -> _Spoken:
    inputs = [predictor.components(one.float()[None])[0] for one in utterances.features]
    return _Spoken(inputs, utterances.asked, utterances.spoken)


def _openness_loss(
    network: nn.Module, said: _Spoken, to_gap: Tensor, training: PredictorTrainingConfig, draw: np.random.Generator
) -> Tensor:
    """How little the gap between the lips follows what the phones ask for; its size is left to the clips."""
    drawn = []
    for number in draw.choice(len(said.inputs), training.batch // 2):
        start = int(draw.integers(0, max(len(said.inputs[number]) - training.frames, 0) + 1))
        missing = max(0, training.frames - len(said.inputs[number]))
        columns = (curve[number][start : start + training.frames] for curve in (said.inputs, said.asked, said.spoken))
        drawn.append([functional.pad(c, (*(0, 0) * (c.ndim - 1), 0, missing)) for c in columns])
    inputs, asked, spoken = (torch.stack(column) for column in zip(*drawn, strict=True))
    kept = torch.rand(len(inputs), 1, inputs.shape[2]) > training.component_dropout
    gap = network(inputs * kept) @ to_gap
    # Openness runs from 0 to 1; the small constant in the correlation is made for curves of deviation 1.
    return (1 - _correlation(gap[..., None], 5 * asked[..., None], spoken)).mean()


def _train_closing(predictor: ExpressionPredictor, utterances: Utterances, training: PredictorTrainingConfig) -> None:
    """Teach where the lips are closed, by the phones that the utterances are known to hold."""
    draw = np.random.default_rng(training.seed)
    torch.manual_seed(training.seed)
    network = TemporalNetwork(predictor.config, 1)
    predictor.closing = network
    with torch.no_grad():
        inputs = [predictor.components(one.float()[None])[0] for one in utterances.features]
    optimizer = torch.optim.AdamW(network.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.learning_rate, total_steps=training.steps)
    weight = np.array([len(one) for one in inputs], float)
    for _ in range(training.steps):
        stretches, closed = [], []
        for number in draw.choice(len(inputs), training.batch, p=weight / weight.sum()):
            start = int(draw.integers(0, max(len(inputs[number]) - training.frames, 0) + 1))
            missing = max(0, training.frames - len(inputs[number]))
            stretch = slice(start, start + training.frames)
            stretches.append(functional.pad(inputs[number][stretch], (0, 0, 0, missing)))
            closed.append(functional.pad(utterances.closed[number][stretch], (0, missing)))
        batch = torch.stack(stretches)
        kept = torch.rand(len(batch), 1, batch.shape[2]) > training.component_dropout
        loss = functional.binary_cross_entropy_with_logits(network(batch * kept)[..., 0], torch.stack(closed))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()


@dataclass(frozen=True)
class _Batch:
    inputs: Tensor
    """(B, S, inputs)"""
    expression: Tensor
    """(B, S, K)"""
    to_shape: Tensor
    """(B, K, 2)"""
    seen: Tensor
    """(B, S) 1 where the face was found, else 0."""


def _draw_batch(
    sources: Sequence[_Source],
    counts: Sequence[int],
    training: PredictorTrainingConfig,
    draw: np.random.Generator,
) -> _Batch:
    """Stretches of `frames` feature frames, so many from each source."""
    drawn = []
    for source, count in zip(sources, counts, strict=True):
        for number in draw.choice(len(source.examples), count, p=source.chances):
            version = int(draw.integers(len(source.examples[number])))
            example, values = source.examples[number][version], source.inputs[number][version]
            start = int(draw.integers(0, max(len(values) - training.frames, 0) + 1))
            stretch = slice(start, start + training.frames)
            missing = max(0, training.frames - len(values))
            drawn.append(
                (
                    functional.pad(values[stretch], (0, 0, 0, missing)),
                    functional.pad(example.expression[stretch], (0, 0, 0, missing)),
                    example.to_shape,
                    functional.pad(example.seen[stretch].float(), (0, missing)),
                )
            )
    return _Batch(*(torch.stack(column) for column in zip(*drawn, strict=True)))


def _loss(network: nn.Module, batch: _Batch, training: PredictorTrainingConfig) -> Tensor:
    """Every coefficient; the mouth's opening and width, their course over the example, and the opening's velocity."""
    kept = torch.rand(len(batch.inputs), 1, batch.inputs.shape[2]) > training.component_dropout
    predicted = network(batch.inputs * kept)
    seen = batch.seen
    every = functional.smooth_l1_loss(predicted, batch.expression, reduction="none").mean(2)
    ours, true = predicted @ batch.to_shape, batch.expression @ batch.to_shape
    shape = functional.smooth_l1_loss(ours, true, reduction="none") @ ours.new_tensor(
        [training.opening_weight, training.width_weight]
    )
    still = ((every + shape) * seen).sum() / seen.sum().clamp(min=1)
    both = seen[:, 1:] * seen[:, :-1]
    speed = functional.smooth_l1_loss(ours[..., 0].diff(dim=1), true[..., 0].diff(dim=1), reduction="none")
    moving = (speed * both).sum() / both.sum().clamp(min=1)
    course = (1 - _correlation(ours, true, seen)).mean(0) @ ours.new_tensor([1.0, 0.5])
    return still + training.velocity_weight * moving + training.correlation_weight * course


def _correlation(ours: Tensor, true: Tensor, seen: Tensor) -> Tensor:
    """Pearson's r over the frames seen: (B, S, 2), (B, S, 2), (B, S) -> (B, 2)."""
    count = seen.sum(1).clamp(min=2)[:, None, None]

    def centered(curves: Tensor) -> Tensor:
        return (curves - (curves * seen[..., None]).sum(1, keepdim=True) / count) * seen[..., None]

    a, b = centered(ours), centered(true)
    return (a * b).sum(1) / (a.square().sum(1) * b.square().sum(1) + 1e-3).sqrt()


@torch.inference_mode()
def predicted_shape(predictor: ExpressionPredictor, clip: Clip) -> NDArray[np.float64]:
    """(S, 2) gap between the lips and width of the mouth, normalised by the clip's own, at the feature frames."""
    example = clip.examples[0]
    expression = predictor(example.features.float()[None])[0]
    return np.asarray((expression @ example.to_shape).numpy(), np.float64)


def measure(predictor: ExpressionPredictor, clips: Sequence[Clip], encoder: Features) -> Score:
    """Score of one speaker's clips, each weighted by its length; openings are compared with the tracked ones."""
    rows, weights = [], []
    for clip in clips:
        features_s = encoder.first_s + np.arange(len(clip.examples[0].seen)) / encoder.rate_hz
        gap, width = (np.interp(clip.times_s, features_s, curve) for curve in predicted_shape(predictor, clip).T)
        inside = clip.valid & (clip.times_s >= 0) & (clip.times_s <= features_s[-1])
        true = clip.opening[inside]
        own = clip.opening[clip.valid]
        # The opening cannot be negative: lips that meet are closed.
        guess = np.maximum(own.mean() + own.std() * gap[inside], 0)
        lag = metrics.best_lag(guess, clip.times_s[inside], true, clip.times_s[inside])
        rows.append(
            [
                metrics.pearson_r(guess, true),
                metrics.pearson_r(width[inside], clip.width[inside]),
                metrics.concordance(guess, true),
                metrics.std_ratio(guess, true),
                float(np.sqrt(np.mean((guess - true) ** 2)) / max(true.std(), 1e-9)),
                lag.lag_ms,
            ]
        )
        weights.append(float(inside.sum()))
    seconds = sum(float(clip.examples[0].seen.sum()) for clip in clips) / encoder.rate_hz
    r, width_r, concordance, ratio, error, lag_ms = (float(value) for value in np.average(rows, 0, weights))
    return Score(clips[0].entry.speaker, r, width_r, concordance, ratio, error, lag_ms, seconds)


def leave_one_out(
    clips: Sequence[Clip],
    config: PredictorConfig,
    training: PredictorTrainingConfig,
    encoder: Features,
    utterances: Utterances | None = None,
    lesson_without: Callable[[str], Sequence[Example]] | None = None,
) -> tuple[list[Score], float]:
    """Score every speaker by a predictor that was taught on the others, and the stretch that unseen speakers need.

    The lesson, where there is one, is made for each speaker by a teacher that has not seen that speaker either.

    Scores are with that stretch applied. With it, the speaker who moves most above the own deviation does so by the
    same factor as the one who stays most below.
    """
    speakers = sorted({clip.entry.speaker for clip in clips})
    held_out = {name: [clip for clip in clips if clip.entry.speaker == name] for name in speakers}
    taught = {}
    for name in speakers:
        others = [clip for clip in clips if clip.entry.speaker != name]
        lesson = () if lesson_without is None else lesson_without(name)
        taught[name] = train_predictor(others, config, training, utterances, lesson)
    stretch, scores = 1.0, []
    for _ in range(STRETCHES):  # lips that meet stop there, so the deviation does not follow the stretch exactly
        for predictor in taught.values():
            predictor.output_scale.fill_(stretch)
        scores = [measure(taught[name], held_out[name], encoder) for name in speakers]
        ratios = [max(score.std_ratio, 1e-3) for score in scores]
        needed = stretch / float(np.sqrt(min(ratios) * max(ratios)))
        stretch = float(np.clip(needed, 1.0, training.largest_stretch))
    return scores, float(next(iter(taught.values())).output_scale)
