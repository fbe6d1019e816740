"""Pseudo-labels: what a teacher that hears more sees in speech without pictures.

Minutes of paired clips are few, hours of speech are not. The teacher is a predictor like any other, but it hears with
several models side by side, slow ones among them: the project's encoder, Whisper-base and a phoneme recogniser. Taught
on the clips, it says what mouths do in recordings that nobody filmed. From those and the clips it learns a second time
itself (a noisy student: Xie et al., "Self-training with Noisy Student improves ImageNet classification", 2020), and
labels again; from these labels and the clips the predictor that is shipped learns, which hears with one small encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkinghead.face.face_model import FaceModel
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.predictor import ExpressionPredictor, PredictorConfig
from talkinghead.structures import Audio
from talkinghead.training.speech.augmentation import Recordings
from talkinghead.training.speech.clips import Clip, ClipEntry, Example, Features, chosen_layers, prepare_clip
from talkinghead.training.speech.feature_extractors import SideBySide, phonemes, whisper
from talkinghead.training.speech.predictor import PredictorTrainingConfig, train_predictor
from talkinghead.weights.bundled import checkpoint_path

STRETCH_S = 25.0
"""Length of a recording that is labelled."""
ROUNDS = 2
"""How often the teacher learns; from the second time on, from what it labelled itself besides the clips."""


@dataclass(frozen=True)
class HeardTwice:
    """A recording without pictures."""

    features: Tensor
    """(S, layers, D) float16, as the student hears it."""
    times_s: NDArray[np.float64]
    """(S,) centres of those."""
    taught: Tensor
    """(S', layers', D') float16, as the teacher does, at its own times."""
    taught_times_s: NDArray[np.float64]
    """(S',)"""


def hear_twice(
    waveforms: Sequence[Tensor], student: Features, layers: tuple[int, ...], teacher: Features
) -> list[HeardTwice]:
    """Encode recordings, (N,) at 16 kHz each, for student and teacher."""
    every = tuple(range(1, teacher.layer_count + 1))
    heard = []
    for samples in waveforms:
        audio = Audio(samples.numpy(), RATE_HZ)
        ours, theirs = student.encode(audio, layers), teacher.encode(audio, every)
        values = (torch.from_numpy(ours.values).half(), torch.from_numpy(theirs.values).half())
        heard.append(HeardTwice(values[0], ours.times_s, values[1], theirs.times_s))
    return heard


def prepare_teacher(
    entries: Sequence[ClipEntry],
    model: FaceModel,
    whisper_file: Path,
    speech: Recordings,
    minutes: float,
    student: Features,
    layers: tuple[int, ...],
    training: PredictorTrainingConfig,
) -> Teacher:
    """The usual teacher: the project's encoder, Whisper-base and a phoneme recogniser side by side.

    Args:
        entries: clips to learn from.
        model: of the face.
        whisper_file: Whisper-base as a CTranslate2 model.bin.
        speech: recordings without pictures, of which stretches are drawn, so many minutes in all.
        minutes: of speech.
        student: whose lesson it will be, and which of its layers are used.
        layers: of the student.
        training: how the teacher learns.

    Raises:
        MissingFileError, CheckpointError, ModelUnavailableError: one of the models is not there.
    """
    own = SpeechEncoder.load(checkpoint_path("speech_encoder"))
    hears = SideBySide([(own, chosen_layers(own.layer_count)), (whisper(whisper_file, 6), (3, 6)), (phonemes(), (1,))])
    every = tuple(range(1, hears.layer_count + 1))
    clips = [prepare_clip(entry, hears, model, every) for entry in entries]
    draw = np.random.default_rng(training.seed)
    length = round(STRETCH_S * RATE_HZ)
    waveforms = [speech.stretch(length, draw) for _ in range(max(1, round(60 * minutes / STRETCH_S)))]
    return Teacher(clips, hears, hear_twice(waveforms, student, layers, hears), training)


class Teacher:
    """Labels recordings, having seen the clips of some speakers."""

    def __init__(
        self,
        clips: Sequence[Clip],
        hears: Features,
        recordings: Sequence[HeardTwice],
        training: PredictorTrainingConfig,
        components: int = 64,
        width: int = 48,
    ) -> None:
        """`clips`: as the teacher hears them, all its layers."""
        self._clips, self._recordings, self._training = clips, recordings, training
        layers = tuple(range(1, hears.layer_count + 1))
        outputs = clips[0].examples[0].expression.shape[1]
        self._config = PredictorConfig("", "", "", layers, hears.width, outputs, components, width=width)

    def lesson_without(self, speaker: str | None) -> list[Example]:
        """The recordings with the expression that a teacher sees in them who never saw this speaker.

        As in a clip, each coefficient has mean 0 over a recording; its standard deviation over all of them is 1.
        """
        clips = [clip for clip in self._clips if clip.entry.speaker != speaker]
        to_shape = torch.stack([clip.examples[0].to_shape for clip in clips]).mean(0)
        heard = [recording.taught for recording in self._recordings]
        told: list[NDArray[np.float32]] = []
        for _ in range(ROUNDS):
            lesson = [_example(*labelled, to_shape) for labelled in zip(heard, told, strict=True)] if told else []
            told = _label(train_predictor(clips, self._config, self._training, lesson=lesson), heard)
        return [
            _example(recording.features, _at(recording.times_s, recording.taught_times_s, curves), to_shape)
            for recording, curves in zip(self._recordings, told, strict=True)
        ]


@torch.inference_mode()
def _label(teacher: ExpressionPredictor, heard: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    """(S, K) for each recording, normalised."""
    told = [teacher(features.float()[None])[0].numpy() for features in heard]
    std = np.maximum(np.concatenate(told).std(0), 1e-3)
    return [(curves - curves.mean(0)) / std for curves in told]


def _at(times_s: NDArray[np.float64], known_s: NDArray[np.float64], curves: NDArray[np.float32]) -> NDArray[np.float32]:
    """Curves (S', K) known at some times, at others: (S, K)."""
    return np.stack([np.interp(times_s, known_s, curve) for curve in curves.T], 1).astype(np.float32)


def _example(features: Tensor, curves: NDArray[np.float32], to_shape: Tensor) -> Example:
    return Example(features, torch.from_numpy(curves), to_shape, torch.ones(len(curves), dtype=torch.bool))
