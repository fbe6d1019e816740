"""Synthesizing a script to a WAV file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from talkinghead.media.audio_writer import write_audio
from talkinghead.text_to_speech.speaking import Script, speak


def write_speech(script: Script, output: Path, *, overwrite: bool = False) -> dict[str, Any]:
    """Synthesize a script to a WAV file, sentence by sentence.

    Args:
        script: text and voice.
        output: ends in .wav.
        overwrite: replace an existing file.

    Returns:
        What `Script.describe` returns, duration_s, and skipped: how many sentences and words the voice cannot
        pronounce.

    Raises:
        NothingToSpeakError: the voice can pronounce nothing in the text.
        VoiceUnavailableError: there is no such voice, it is not installed, or it failed.
        OutputExistsError, OutputError: the file exists, or it cannot be written.
    """
    skipped: list[str] = []
    recordings = (utterance.audio for utterance in speak(script, skipped=skipped.append))
    described = script.describe()
    duration_s = write_audio(output, recordings, overwrite=overwrite)
    return {**described, "duration_s": duration_s, "skipped": len(skipped)}
