"""Synthesizing a script to a WAV file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkinghead.media.audio_writer import write_audio
from talkinghead.structures import Audio
from talkinghead.text_to_speech.engine import Phone, join_phones
from talkinghead.text_to_speech.speaking import Script, speak


@dataclass(frozen=True)
class SpokenFile:
    """What is known of a script that was synthesized to a file."""

    report: dict[str, Any]
    """What `Script.describe` returns, duration_s, and skipped: how many sentences and words the voice cannot
    pronounce."""
    phones: tuple[Phone, ...] | None
    """Phones and their times in the file; None where the engine does not report them."""


def write_speech(script: Script, output: Path, *, overwrite: bool = False) -> SpokenFile:
    """Synthesize a script to a WAV file, sentence by sentence.

    Args:
        script: text and voice.
        output: ends in .wav.
        overwrite: replace an existing file.

    Raises:
        NothingToSpeakError: the voice can pronounce nothing in the text.
        VoiceUnavailableError: there is no such voice, it is not installed, or it failed.
        OutputExistsError, OutputError: the file exists, or it cannot be written.
    """
    skipped: list[str] = []
    timed: list[tuple[float, tuple[Phone, ...] | None]] = []

    def recordings() -> Iterator[Audio]:
        for utterance in speak(script, skipped=skipped.append):
            timed.append((utterance.audio.duration_s, utterance.phones))
            yield utterance.audio

    described = script.describe()
    duration_s = write_audio(output, recordings(), overwrite=overwrite)
    return SpokenFile({**described, "duration_s": duration_s, "skipped": len(skipped)}, join_phones(timed))
