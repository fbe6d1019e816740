"""Training of the expression predictor: features of any speech encoder to the expression coefficients of tracked clips.

Each clip's coefficients are normalized by its own mean and standard deviation, so that the predictor depends on how a
mouth moves and not on whose mouth it is. Each recording is used at several speeds (speed perturbation): another pitch,
other formants, another tempo, and the same mouth shapes. Recordings without video can be trained on too, with
pseudo-labels (`talkinghead.training.speech.pseudo_labels`).

The members of a predictor are trained apart, from different seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.speech.predictor import ExpressionPredictor, PredictorConfig, TemporalNetwork
from talkinghead.training.speech.clips import Clip, Example
from talkinghead.training.speech.predictor_batches import (
    LabeledSource,
    UtteranceSource,
    draw_closures,
    draw_labeled,
    draw_openness,
    drop_inputs,
    labeled_source,
    source_shares,
    utterance_source,
)
from talkinghead.training.speech.predictor_config import PredictorTrainingConfig
from talkinghead.training.speech.predictor_losses import expression_loss, openness_loss
from talkinghead.training.speech.utterances import Utterances


def train_predictor(
    clips: Sequence[Clip],
    config: PredictorConfig,
    training: PredictorTrainingConfig,
    utterances: Utterances | None = None,
    pseudo_labeled: Sequence[Example] = (),
) -> ExpressionPredictor:
    """Train a predictor, and its detector of closed lips where there are utterances.

    Args:
        clips: tracked clips; all of them are trained on.
        config: shape of the predictor.
        training: settings.
        utterances: speech whose phones are known. Closed lips are trained on it, and the networks' openings are
            correlated with the openness of its phones: it has voices, and languages, that no clip has.
        pseudo_labeled: recordings without video, labeled by another predictor; all members are trained on them too.
    """
    torch.manual_seed(training.seed)
    predictor = ExpressionPredictor(config)
    _fit_components(predictor, clips)
    tracked = labeled_source(predictor, [clip.examples for clip in clips], training.length_power)
    sources = [tracked]
    if pseudo_labeled:
        sources.append(labeled_source(predictor, [[example] for example in pseudo_labeled], 1.0))
    spoken = None if utterances is None else utterance_source(predictor, utterances)
    for number, network in enumerate(cast(Sequence[TemporalNetwork], predictor.networks)):
        _train_network(network, config.inputs, sources, training, training.seed + number, spoken)
        _equalize(network.leave.weight, network.leave.bias, tracked, network)
    if spoken is not None:
        _train_closing(predictor, spoken, tracked, training)
    return predictor.eval()


@torch.no_grad()
def _fit_components(predictor: ExpressionPredictor, clips: Sequence[Clip]) -> None:
    """Fit the projection: principal components of each layer's features, together of mean square 1."""
    features = torch.cat([clip.examples[0].features.float() for clip in clips])  # as recorded, not perturbed
    predictor.feature_mean.copy_(features.mean(0))
    # Some features of an encoder are a hundred times larger than others and say no more: all are normalized first. The
    # constant keeps features that never change from being blown up.
    std = features.std(0) + 1e-3
    for layer, (values, scale) in enumerate(zip(((features - features.mean(0)) / std).unbind(1), std, strict=True)):
        variance, directions = torch.linalg.eigh(values.T @ values / len(values))
        kept = slice(-predictor.config.components, None)  # eigenvalues come in rising order
        # One level for all components of a layer: layers count the same, and strong components more than weak ones.
        level = variance[kept].mean().sqrt()
        predictor.projection[layer] = directions[:, kept] / scale[:, None] / level


@torch.no_grad()
def _equalize(weight: Tensor, bias: Tensor, source: LabeledSource, member: Callable[[Tensor], Tensor]) -> None:
    """Scale a member so that its opening has the tracked standard deviation, which is 1.

    The more uncertain a member is, the less it moves; in the mean of all members each is to count the same.

    Args:
        weight, bias: of the member's last layer; scaled in place.
        source: recordings to measure on, in their first versions.
        member: inputs (1, S, C_in) -> expression (1, S, K).
    """
    gaps = [
        (member(inputs[0][None])[0] @ versions[0].shape_map)[versions[0].valid, 0]
        for versions, inputs in zip(source.examples, source.inputs, strict=True)
    ]
    scale = 1 / torch.cat(gaps).std().clamp(min=1e-3)
    weight.mul_(scale)
    bias.mul_(scale)


def _train_network(
    network: nn.Module,
    components: int,
    sources: Sequence[LabeledSource],
    training: PredictorTrainingConfig,
    seed: int,
    spoken: UtteranceSource | None,
) -> None:
    """Train one of the temporal networks on labeled recordings and, where there are any, utterances.

    Its first `components` inputs are of the audio, the others of the phones.
    """
    draw = np.random.default_rng(seed)
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.learning_rate, total_steps=training.steps)
    # Utterances have no speaker whose map it could be: the mean of all speakers' has to do.
    to_gap = torch.stack([versions[0].shape_map[:, 0] for versions in sources[0].examples]).mean(0)
    counts = [round(training.batch * share) for share in source_shares(sources, training)]
    for _ in range(training.steps):
        batch = draw_labeled(sources, counts, training, draw)
        loss = expression_loss(network(drop_inputs(batch.inputs, components, training)), batch, training)
        if spoken is not None:
            inputs, openness, is_spoken = draw_openness(spoken, training, draw)
            gap = network(drop_inputs(inputs, components, training)) @ to_gap
            loss = loss + training.openness_weight * openness_loss(gap, openness, is_spoken)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def _train_closing(
    predictor: ExpressionPredictor, source: UtteranceSource, tracked: LabeledSource, training: PredictorTrainingConfig
) -> None:
    """Train the detector of closed lips on the closures of utterances, and on lips that were seen to be closed.

    The phones of utterances say where lips ought to close, for many voices; clips show where they did. Neither says
    anything of the pauses of an utterance, which are left out.
    """
    draw = np.random.default_rng(training.seed)
    torch.manual_seed(training.seed)
    components = predictor.config.inputs
    network = TemporalNetwork(predictor.config, components, 1)
    predictor.closing = network
    optimizer = torch.optim.AdamW(network.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.learning_rate, total_steps=training.steps)
    for _ in range(training.steps):
        spoken, seen = (
            draw_closures(source, training, draw),
            draw_labeled([tracked], [training.batch // 2], training, draw),
        )
        inputs = torch.cat([spoken[0], seen.inputs])
        closed, counts = torch.cat([spoken[1], seen.closed]), torch.cat([spoken[2], seen.valid])
        logits = network(drop_inputs(inputs, components, training)[..., :components])[..., 0]
        loss = functional.binary_cross_entropy_with_logits(logits, closed, counts)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
