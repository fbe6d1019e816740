"""What else can hear in an encoder's place: models that teach, or that results are compared with.

Each gives features every 20 ms, the first centred where the recording begins, as the project's own encoder does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchaudio
from torch import Tensor

from talkinghead.speech.audio_window import normalize_loudness
from talkinghead.speech.encoder import SpeechFeatures
from talkinghead.speech.front_ends import RATE_HZ, LogMelFrontEnd
from talkinghead.structures import Audio
from talkinghead.training.speech.clips import Features
from talkinghead.training.speech.phoneme_recognizer import PhonemeRecognizer
from talkinghead.training.speech.whisper import WhisperTeacher

WHISPER_REACH = 750
"""Frames to either side: 30 s in all, what Whisper was made for."""
FEATURE_RATE_HZ = 50.0


def samples_of(audio: Audio) -> Tensor:
    """(N,) at the encoders' rate and loudness."""
    samples = torch.from_numpy(np.ascontiguousarray(audio.samples))
    if audio.rate_hz != RATE_HZ:
        samples = torchaudio.functional.resample(samples, audio.rate_hz, RATE_HZ)
    return normalize_loudness(samples)


@dataclass(frozen=True)
class FeatureExtractor:
    """Features that some function makes of a sound."""

    layer_count: int
    width: int
    hear: Callable[[Tensor, tuple[int, ...]], Tensor]
    """Samples (N,) and layers -> (S, layers, D)."""
    rate_hz: float = FEATURE_RATE_HZ
    first_s: float = 0.0

    @torch.inference_mode()
    def encode(self, audio: Audio, layers: tuple[int, ...]) -> SpeechFeatures:
        return SpeechFeatures(self.hear(samples_of(audio), layers).numpy(), self.rate_hz, self.first_s)


def whisper(path: Path, layers: int) -> FeatureExtractor:
    """The first so many layers of a Whisper encoder (a CTranslate2 model.bin), which hear 30 s and no positions.

    Raises:
        MissingFileError, CheckpointError: no such file, or no Whisper.
    """
    teacher, front_end = WhisperTeacher(path, (WHISPER_REACH,) * layers), LogMelFrontEnd()
    every_unit = [torch.arange(4 * teacher.width)] * layers

    def hear(samples: Tensor, wanted: tuple[int, ...]) -> Tensor:
        streams = teacher.streams(front_end.spectra_of(samples[None]), every_unit)
        return torch.stack([streams[layer - 1][0] for layer in wanted], 1)

    return FeatureExtractor(layers, teacher.width, hear)


def phonemes() -> FeatureExtractor:
    """Log posteriors of the phoneme recogniser.

    Raises:
        ModelUnavailableError: it is not installed.
    """
    recognizer = PhonemeRecognizer()
    return FeatureExtractor(1, len(recognizer.tokens), lambda samples, _: recognizer.log_posteriors(samples)[:, None])


class SideBySide:
    """Several that hear the same, as the layers of one; narrower features end in zeros."""

    rate_hz = FEATURE_RATE_HZ
    first_s = 0.0

    def __init__(self, parts: Sequence[tuple[Features, tuple[int, ...]]]) -> None:
        """`parts`: who hears, and which of its layers are taken."""
        if any(part.rate_hz != self.rate_hz or part.first_s != self.first_s for part, _ in parts):
            raise ValueError("all have to give features at the same times")
        self._parts = parts
        self.layer_count = sum(len(layers) for _, layers in parts)
        self.width = max(part.width for part, _ in parts)

    def encode(self, audio: Audio, layers: tuple[int, ...]) -> SpeechFeatures:
        """(S, layers, D), as many frames as the shortest gives."""
        heard = [part.encode(audio, own).values for part, own in self._parts]
        frames = min(map(len, heard))
        wide = [np.pad(one[:frames], ((0, 0), (0, 0), (0, self.width - one.shape[2]))) for one in heard]
        values = np.concatenate(wide, 1)[:, [layer - 1 for layer in layers]]
        return SpeechFeatures(values, self.rate_hz, self.first_s)
