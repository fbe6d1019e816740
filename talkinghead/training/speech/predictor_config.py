"""Settings of the training of an expression predictor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PredictorTrainingConfig:
    """Settings of the training of all members of a predictor."""

    steps: int = 500
    """Steps of each network."""
    batch: int = 16
    """Examples in a step."""
    frames: int = 100
    """Feature frames of an example: 2 s."""
    learning_rate: float = 2e-3
    """Largest rate of a one-cycle schedule."""
    weight_decay: float = 0.05
    component_dropout: float = 0.2
    """Share of the input components that are dropped in a whole example."""
    phone_dropout: float = 0.5
    """Share of the examples whose phones are withheld."""
    audio_dropout: float = 0.3
    """Share of the examples with phones whose audio is withheld."""
    opening_weight: float = 0.5
    """Weight of the mouth's opening in the loss, against 1 for all coefficients."""
    width_weight: float = 0.25
    """Weight of the mouth's width."""
    velocity_weight: float = 0.5
    """Weight of the opening's change from frame to frame."""
    correlation_weight: float = 0.5
    """Weight of 1 - r, of opening and width over an example."""
    pseudo_label_share: float = 0.5
    """Share of pseudo-labeled examples in a step, where there are any."""
    openness_weight: float = 0.3
    """Weight of 1 - r of the opening over utterances, against the openness of their phones."""
    length_power: float = 0.7
    """A clip's weight is its length to this power: a minute of one speaker is not worth six of ten seconds."""
    largest_stretch: float = 2.0
    """Largest factor on the output; see `leave_one_out`."""
    groups: int = 6
    """Groups of speakers of the cross-validation, each predicted by a predictor that is trained on the others."""
    seed: int = 0
