"""The audio that an output was driven by, where there is speech in it and which phones are spoken when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import ModelUnavailableError, NoAudioError, TableError
from talkinghead.evaluation.needs import Need
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.phone_alignment import align_phones
from talkinghead.speech.phone_times import PhoneTimes
from talkinghead.speech.voice_activity import VoiceActivityConfig, speech_stretches
from talkinghead.structures import Audio, BoolArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class DrivingAudio:
    """The audio that an output was driven by, as far as it is known."""

    audio: Audio | None = None
    speech_s: Values | None = None
    """(R, 2) begin and end of each stretch of speech; None where they are not known."""
    phones: PhoneTimes | None = None
    missing: Mapping[Need, str] = field(default_factory=dict)
    """Why something is None."""

    def silent(self, times_s: Values) -> BoolArray:
        """(T,) True at times without speech; all False where the stretches of speech are not known."""
        if self.speech_s is None:
            return np.zeros(len(times_s), np.bool_)
        speaking = [(times_s >= begin) & (times_s < end) for begin, end in self.speech_s]
        return ~np.any(speaking, axis=0) if speaking else np.ones(len(times_s), np.bool_)


def read_audio_if_any(path: Path, *, whole: bool = False) -> Audio | None:
    """The audio of a file, see `read_audio`; None where it has none.

    Raises:
        MissingFileError, MediaError: the file cannot be read.
    """
    try:
        audio = read_audio(path, whole=whole)
    except NoAudioError:
        return None
    return audio if len(audio.samples) else None


def read_driving_audio(path: Path | None, phones: PhoneTimes | None, *, whole: bool = False) -> DrivingAudio:
    """Read the audio of a file and find the speech in it.

    Args:
        path: audio or video file; it may have no audio track. None stands for no file.
        phones: phone times in that audio, where known.
        whole: whether the file was given as speech, so that its audio counts from its own beginning, and not from its
            first video frame.

    Raises:
        MissingFileError, MediaError: the file cannot be read.
    """
    missing = {} if phones else {Need.PHONE_TIMES: "needs phone times (--phones) or a transcript (--transcript)"}
    audio = read_audio_if_any(path, whole=whole) if path else None
    if audio is None:
        missing[Need.AUDIO] = "needs audio: neither the driving file nor the reference has any"
        return DrivingAudio(phones=phones, missing=missing)
    try:
        speech_s = speech_stretches(audio, VoiceActivityConfig())
    except ModelUnavailableError as error:
        return DrivingAudio(audio, None, phones, {**missing, Need.VOICE_ACTIVITY: str(error)})
    return DrivingAudio(audio, speech_s, phones, missing)


def with_aligned_phones(driving: DrivingAudio, transcript: Path) -> DrivingAudio:
    """The same audio with phone times found by aligning a transcript; where that fails, `missing` says why.

    Raises:
        MissingFileError: the transcript does not exist.
    """
    if driving.audio is None:
        return driving
    try:
        phones = align_phones(transcript, driving.audio)
    except (ModelUnavailableError, TableError) as error:
        return replace(driving, missing={**driving.missing, Need.PHONE_TIMES: str(error)})
    missing = dict(driving.missing)
    missing.pop(Need.PHONE_TIMES, None)
    return replace(driving, phones=phones, missing=missing)
