"""Analysis of a recording before it is encoded, in one pass: length, level, and stretches of speech."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.loudness import Level, LevelMeasurement
from talkinghead.speech.voice_activity import SpeechDetection, VoiceActivityConfig
from talkinghead.structures import Recording


@dataclass(frozen=True)
class AudioAnalysis:
    """Length, level and stretches of speech of a recording."""

    level: Level
    """Length, mean and gain, by which the recording is brought to the encoder's loudness."""
    speech_s: NDArray[np.float64]
    """(R, 2) float64, begin and end of each stretch of speech in seconds, in order."""

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds."""
        return self.level.samples / RATE_HZ


def analyze(recording: Recording, config: VoiceActivityConfig) -> AudioAnalysis:
    """Analyze a recording, which is read once, in constant memory.

    Args:
        recording: at 16 kHz.
        config: of voice activity.

    Raises:
        ModelUnavailableError: the voice activity detector's weights are not installed, or damaged.
        ValueError: the recording is not at 16 kHz.
    """
    if recording.rate_hz != RATE_HZ:
        raise ValueError(f"a recording is analyzed at {RATE_HZ} Hz, not at {recording.rate_hz} Hz")
    level, speech = LevelMeasurement(RATE_HZ), SpeechDetection(config)
    for block in recording.blocks():
        level.push(block)
        speech.push(block)
    return AudioAnalysis(level.finish(), speech.finish())
