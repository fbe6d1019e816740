"""Feature extractors beside the project's speech encoder: for pseudo-labels, and to compare results with.

Each gives 50 features a second, the first centered where the recording begins, as the project's own encoder does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from talkinghead.speech.audio_window import normalize_loudness, samples_at_encoder_rate
from talkinghead.speech.encoder import SpeechFeatures
from talkinghead.speech.front_ends import LogMelFrontEnd
from talkinghead.structures import Audio
from talkinghead.training.speech.phoneme_recognizer import PhonemeRecognizer
from talkinghead.training.speech.whisper import WhisperTeacher

WHISPER_REACH = 750
"""Feature frames to either side that Whisper attends to: 30 s in all, as it was trained."""
FEATURE_RATE_HZ = 50.0
"""Features a second."""
FIRST_GOOD_LAYER = 3
"""Lowest layer whose features are of use: those below represent acoustics rather than speech."""


class FeatureExtractor(Protocol):
    """Makes the features that a predictor is trained on: a speech encoder, or anything in its place."""

    @property
    def layer_count(self) -> int:
        """How many layers there are; the first is called 1."""
        ...

    @property
    def width(self) -> int:
        """D, the width of a feature."""
        ...

    @property
    def rate_hz(self) -> float:
        """Features a second."""
        ...

    @property
    def first_s(self) -> float:
        """Time in the recording at which the center of the first feature lies."""
        ...

    def encode(self, audio: Audio, layers: tuple[int, ...]) -> SpeechFeatures:
        """Features (S, layers, D) of a recording, of the layers named."""
        ...


def chosen_layers(last: int) -> tuple[int, ...]:
    """Layers that a predictor takes, of `last` layers: the last, and the one half way up, or the third if higher."""
    return tuple(sorted({min(last, max(FIRST_GOOD_LAYER, last // 2)), last}))


@dataclass(frozen=True)
class FunctionExtractor:
    """A feature extractor made of a function."""

    layer_count: int
    width: int
    """D, the width of a feature."""
    extract: Callable[[Tensor, tuple[int, ...]], Tensor]
    """Samples (N,) at 16 kHz, normalized in loudness, and layers -> features (S, layers, D)."""
    rate_hz: float = FEATURE_RATE_HZ
    first_s: float = 0.0

    @torch.inference_mode()
    def encode(self, audio: Audio, layers: tuple[int, ...]) -> SpeechFeatures:
        """Features (S, layers, D) of a recording, of the layers named."""
        return SpeechFeatures(self.extract(_encoder_samples(audio), layers).numpy(), self.rate_hz, self.first_s)


def whisper_extractor(path: Path, layers: int) -> FunctionExtractor:
    """The first `layers` layers of a Whisper encoder (a CTranslate2 model.bin), with 30 s of context and no positions.

    Raises:
        MissingFileError, CheckpointError: no such file, or no Whisper encoder.
    """
    teacher, front_end = WhisperTeacher(path, (WHISPER_REACH,) * layers), LogMelFrontEnd()
    every_unit = [torch.arange(4 * teacher.width)] * layers

    def extract(samples: Tensor, chosen: tuple[int, ...]) -> Tensor:
        streams = teacher.streams(front_end.spectra_of(samples[None]), every_unit)
        return torch.stack([streams[layer - 1][0] for layer in chosen], 1)

    return FunctionExtractor(layers, teacher.width, extract)


def phoneme_extractor() -> FunctionExtractor:
    """Log posteriors of the phoneme recognizer, as one layer.

    Raises:
        ModelUnavailableError: it is not installed.
    """
    recognizer = PhonemeRecognizer()
    return FunctionExtractor(1, len(recognizer.tokens), lambda samples, _: recognizer.log_posteriors(samples)[:, None])


class ConcatenatedExtractor:
    """Several feature extractors of the same times, whose layers become those of one; narrow features end in zeros."""

    rate_hz = FEATURE_RATE_HZ
    first_s = 0.0

    def __init__(self, parts: Sequence[tuple[FeatureExtractor, tuple[int, ...]]]) -> None:
        """`parts`: the extractors, and which of their layers are taken.

        Raises:
            ValueError: one of them gives features at other times.
        """
        if any(part.rate_hz != self.rate_hz or part.first_s != self.first_s for part, _ in parts):
            raise ValueError("all have to give features at the same times")
        self._parts = parts
        self.layer_count = sum(len(layers) for _, layers in parts)
        self.width = max(part.width for part, _ in parts)

    def encode(self, audio: Audio, layers: tuple[int, ...]) -> SpeechFeatures:
        """Features (S, layers, D), as many frames as the shortest gives."""
        features = [part.encode(audio, own).values for part, own in self._parts]
        frames = min(map(len, features))
        wide = [np.pad(one[:frames], ((0, 0), (0, 0), (0, self.width - one.shape[2]))) for one in features]
        values = np.concatenate(wide, 1)[:, [layer - 1 for layer in layers]]
        return SpeechFeatures(values, self.rate_hz, self.first_s)


def _encoder_samples(audio: Audio) -> Tensor:
    """(N,) at the encoders' rate and loudness."""
    return normalize_loudness(samples_at_encoder_rate(audio))
