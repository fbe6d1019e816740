"""Cross-validation of expression predictors by speakers: what an unseen speaker gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.speech.predictor import ExpressionPredictor, PredictorConfig
from talkinghead.training.speech.clips import Clip, Example
from talkinghead.training.speech.feature_extractors import FeatureExtractor
from talkinghead.training.speech.predictor import train_predictor
from talkinghead.training.speech.predictor_config import PredictorTrainingConfig
from talkinghead.training.speech.utterances import Utterances

STRETCH_ROUNDS = 4
"""Rounds in which the stretch of the output is found."""


@dataclass(frozen=True)
class Score:
    """How well the mouth of one speaker was predicted."""

    speaker: str
    r: float
    """Pearson's r of the opening, as tracked and as predicted."""
    width_r: float
    """Pearson's r of the mouth's width."""
    concordance: float
    """Lin's concordance correlation coefficient of the opening."""
    std_ratio: float
    """Standard deviation of the opening, predicted over tracked."""
    error: float
    """Root mean squared error over the tracked opening's standard deviation: 1 for a mouth that rests at its mean."""
    lag_ms: float
    """Delay of the predicted opening at the best correlation."""
    seconds: float
    """Length of the speaker's clips."""


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation found."""

    scores: list[Score]
    """With the stretch applied, by the speakers' names."""
    stretch: float
    """Factor on the output that moves mouths as far as they were tracked to move."""
    predictors: Mapping[str, ExpressionPredictor]
    """The predictor that has not seen a speaker, by the speaker's name; with the stretch applied."""


@torch.inference_mode()
def predicted_shape(predictor: ExpressionPredictor, clip: Clip) -> NDArray[np.float64]:
    """Predicted opening and width of the mouth at the feature frames, normalized by the clip's own: (S, 2)."""
    example = clip.examples[0]
    expression = predictor(example.features.float()[None])[0]
    return np.asarray((expression @ example.shape_map).numpy(), np.float64)


def measure(predictor: ExpressionPredictor, clips: Sequence[Clip], extractor: FeatureExtractor) -> Score:
    """Score of one speaker's clips, each weighted by its length.

    Args:
        predictor: trained without this speaker.
        clips: the speaker's.
        extractor: what made their features.
    """
    rows, weights = [], []
    for clip in clips:
        features_s = extractor.first_s + np.arange(len(clip.examples[0].valid)) / extractor.rate_hz
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
    seconds = sum(float(clip.examples[0].valid.sum()) for clip in clips) / extractor.rate_hz
    r, width_r, concordance, ratio, error, lag_ms = (float(value) for value in np.average(rows, 0, weights))
    return Score(clips[0].entry.speaker, r, width_r, concordance, ratio, error, lag_ms, seconds)


def leave_one_out(
    clips: Sequence[Clip],
    config: PredictorConfig,
    training: PredictorTrainingConfig,
    extractor: FeatureExtractor,
    utterances: Utterances | None = None,
    pseudo_labels_without: Callable[[Set[str]], Sequence[Example]] | None = None,
) -> CrossValidation:
    """Score every speaker by a predictor that has not seen them, and find the stretch of the output.

    The least-squares answer to uncertainty is to move too little, so the output is multiplied by one factor, the
    stretch. With it, the speaker who moves most in relation to the tracked movement does so by the same factor as
    the one who stays most below it.

    Args:
        clips: of all speakers.
        config: shape of the predictors.
        training: settings.
        extractor: what made the clips' features.
        utterances: speech whose phones are known, to train on besides.
        pseudo_labels_without: gives pseudo-labeled recordings for speakers left out, labeled without their clips.
    """
    predictors: dict[str, ExpressionPredictor] = {}
    for group in groups_of_speakers(clips, training.groups):
        others = [clip for clip in clips if clip.entry.speaker not in group]
        pseudo_labeled = () if pseudo_labels_without is None else pseudo_labels_without(group)
        predictor = train_predictor(others, config, training, utterances, pseudo_labeled)
        predictors.update(dict.fromkeys(group, predictor))
    speakers = sorted(predictors)
    held_out = {name: [clip for clip in clips if clip.entry.speaker == name] for name in speakers}
    stretch, scores = 1.0, []
    # Predicted lips stop where they meet, so the standard deviation does not follow the stretch exactly: hence rounds.
    for _ in range(STRETCH_ROUNDS):
        for predictor in predictors.values():
            predictor.output_scale.fill_(stretch)
        scores = [measure(predictors[name], held_out[name], extractor) for name in speakers]
        # The geometric mean of the extreme ratios becomes 1: both are off by the same factor then.
        ratios = [max(score.std_ratio, 1e-3) for score in scores]
        needed = stretch / float(np.sqrt(min(ratios) * max(ratios)))
        stretch = float(np.clip(needed, 1.0, training.largest_stretch))
    # The stretch that the scores were measured with, not the one of a round that does not follow.
    return CrossValidation(scores, float(next(iter(predictors.values())).output_scale), predictors)


def groups_of_speakers(clips: Sequence[Clip], count: int) -> list[Set[str]]:
    """The speakers in so many groups of about the same length, or fewer where there are not as many speakers."""
    lengths: dict[str, float] = {}
    for clip in clips:
        lengths[clip.entry.speaker] = lengths.get(clip.entry.speaker, 0.0) + float(clip.valid.sum())
    longest_first = sorted(lengths, key=lambda name: (-lengths[name], name))
    groups: list[set[str]] = [set() for _ in range(min(count, len(lengths)))]
    for name in longest_first:
        min(groups, key=lambda group: sum(lengths[one] for one in group)).add(name)
    return [frozenset(group) for group in groups]
