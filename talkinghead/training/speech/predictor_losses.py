"""Losses of the training of an expression predictor's networks."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from talkinghead.training.speech.predictor_batches import LabeledBatch
from talkinghead.training.speech.predictor_config import PredictorTrainingConfig

OPENNESS_SCALE = 5.0
"""Openness runs from 0 to 1; times this, its standard deviation is about 1, as `correlation` expects."""


def expression_loss(predicted: Tensor, batch: LabeledBatch, training: PredictorTrainingConfig) -> Tensor:
    """Loss of predicted normalized expression, (B, S, K), over the valid frames: a scalar.

    It adds up the error of every coefficient, that of the mouth's opening and width, that of the opening's change from
    frame to frame, and 1 - r of opening and width over an example.
    """
    valid = batch.valid
    coefficients = functional.smooth_l1_loss(predicted, batch.expression, reduction="none").mean(2)
    ours, true = predicted @ batch.shape_map, batch.expression @ batch.shape_map
    shape = functional.smooth_l1_loss(ours, true, reduction="none") @ ours.new_tensor(
        [training.opening_weight, training.width_weight]
    )
    position = ((coefficients + shape) * valid).sum() / valid.sum().clamp(min=1)
    # A velocity is known where two frames in a row are.
    both = valid[:, 1:] * valid[:, :-1]
    speed = functional.smooth_l1_loss(ours[..., 0].diff(dim=1), true[..., 0].diff(dim=1), reduction="none")
    velocity = (speed * both).sum() / both.sum().clamp(min=1)
    course = (1 - correlation(ours, true, valid)).mean(0) @ ours.new_tensor([1.0, 0.5])
    return position + training.velocity_weight * velocity + training.correlation_weight * course


def openness_loss(gap: Tensor, openness: Tensor, spoken: Tensor) -> Tensor:
    """1 - r of the gap between the lips and the openness of the phones: (B, S) x 3 -> scalar.

    A correlation leaves the gap's size to the clips.

    Args:
        gap: predicted.
        openness: of the phones, in [0, 1].
        spoken: 1 where a phone is spoken, else 0.
    """
    return (1 - correlation(gap[..., None], OPENNESS_SCALE * openness[..., None], spoken)).mean()


def correlation(ours: Tensor, true: Tensor, valid: Tensor) -> Tensor:
    """Pearson's r of each curve over the valid frames: (B, S, C), (B, S, C), (B, S) -> (B, C).

    A small constant in the denominator, made for curves of standard deviation 1, lets r fade to 0 for flat ones.
    """
    count = valid.sum(1).clamp(min=2)[:, None, None]

    def centered(curves: Tensor) -> Tensor:
        return (curves - (curves * valid[..., None]).sum(1, keepdim=True) / count) * valid[..., None]

    a, b = centered(ours), centered(true)
    return (a * b).sum(1) / (a.square().sum(1) * b.square().sum(1) + 1e-3).sqrt()
