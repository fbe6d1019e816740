"""The student of the speech encoder's distillation: a small `Wav2Vec2BertModel`, and the settings of its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

from talkinghead.speech.front_ends import LogMelFrontEnd

HEAD_WIDTH = 64
"""Width of an attention head, Whisper's."""


@dataclass(frozen=True)
class EncoderTrainingConfig:
    """Settings of the student and its training.

    Stage 1 trains the stem alone (the input map and the first feed-forward block), stage 2 everything.
    """

    reaches: tuple[int, ...] = (32, 32, 256)
    """For each of Whisper's layers, feature frames to either side that are attended to.

    The near frames say what is spoken, the far ones who speaks and where. One far layer does as well as three.
    """
    convolution: int = 9
    """Width of the convolutions in feature frames, all of it in the past."""
    stem_minutes: float = 7.0
    """Length of stage 1, but at most half of the training."""
    frames: int = 500
    """Feature frames of an example: 10 s."""
    stem_batch: int = 4
    """Examples in a step of stage 1."""
    batch: int = 3
    """Examples in a step of stage 2."""
    projection_rates: tuple[float, float] = (2e-4, 1e-4)
    """Learning rate of the input map, in stages 1 and 2."""
    stem_rates: tuple[float, float] = (1.2e-3, 4e-4)
    """Learning rate of the first feed-forward block, in stages 1 and 2."""
    layer_rates: tuple[float, float] = (0.0, 1.5e-4)
    """Learning rate of everything else, in stages 1 and 2."""
    warmup_steps: int = 50
    """Steps in which the learning rates rise from 0, in either stage."""
    stream_weights: tuple[float, ...] = (0.5, 0.5, 1.0)
    """Weight of each of Whisper's layers in the loss of stage 2."""
    phoneme_reach: int = 32
    """Attention reach of the layer that is trained on the phoneme recognizer's output."""
    phoneme_rate: float = 8e-4
    """Learning rate of that layer in stage 2."""
    phoneme_every: int = 2
    """The recognizer is slow: it runs at every so many steps only."""
    phoneme_weight: float = 1.0
    """Weight of the phonemes in the loss of stage 2."""
    average_decay: float = 0.995
    """Largest decay of the moving average of the weights, in a step."""
    save_every_s: float = 200.0
    """Seconds between two saves of the training's state."""
    seed: int = 0

    @property
    def copied_layers(self) -> int:
        """Layers that are copied from Whisper."""
        return len(self.reaches)

    @property
    def layers(self) -> int:
        """All layers in training: the copied ones and the one for phonemes."""
        return self.copied_layers + 1


def build_student(config: EncoderTrainingConfig, width: int) -> Wav2Vec2BertModel:
    """A student of random weights and the given width of features, with one layer more than are copied."""
    model = Wav2Vec2BertModel(
        Wav2Vec2BertConfig(
            hidden_size=width,
            num_hidden_layers=config.layers,
            num_attention_heads=width // HEAD_WIDTH,
            intermediate_size=2 * width,
            feature_projection_input_dim=LogMelFrontEnd.width,
            hidden_act="gelu",
            hidden_dropout=0.0,
            activation_dropout=0.0,
            attention_dropout=0.0,
            feat_proj_dropout=0.0,
            conformer_conv_dropout=0.0,
            layerdrop=0.0,
            apply_spec_augment=False,
            mask_time_prob=0.0,
            position_embeddings_type=None,
            conv_depthwise_kernel_size=config.convolution,
        )
    )
    # Not a field of transformers: `talkinghead.speech` reads it.
    model.config.attention_reach_frames = [*config.reaches, config.phoneme_reach]
    return model


def conformer_layers(student: Wav2Vec2BertModel) -> list[Any]:
    """The conformer layers, typed Any: torch's types do not know what is in them."""
    return list(student.encoder.layers)


def stem_of(student: Wav2Vec2BertModel, frames: Tensor) -> Tensor:
    """The student's counterpart of Whisper's stem: stacked spectra (B, S, width) -> (B, S, D)."""
    hidden, _ = student.feature_projection(frames)
    first = conformer_layers(student)[0]
    output: Tensor = hidden + 0.5 * first.ffn1(first.ffn1_layer_norm(hidden))
    return output
