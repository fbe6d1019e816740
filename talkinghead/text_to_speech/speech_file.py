"""A script, spoken to a sound file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from talkinghead.media.audio_writer import write_audio
from talkinghead.text_to_speech.speaking import Script, speak


def write_speech(script: Script, output: Path, *, overwrite: bool = False) -> dict[str, Any]:
    """Say a script to a WAV file, sentence by sentence.

    Returns:
        engine, engine_version, voice, language, text_sha256, duration_s, and skipped: how many sentences and words
        the voice cannot say.

    Raises:
        NothingToSpeakError, VoiceUnavailableError, OutputExistsError, OutputError.
    """
    skipped: list[str] = []
    waveforms = (utterance.audio for utterance in speak(script, skipped=skipped.append))
    described = script.describe()
    duration_s = write_audio(output, waveforms, overwrite=overwrite)
    return {**described, "duration_s": duration_s, "skipped": len(skipped)}
