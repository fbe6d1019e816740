"""Synthesizing a script to a WAV file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkinghead.media.audio_writer import write_audio
from talkinghead.structures import Audio
from talkinghead.text_to_speech.engine import Phone, Word, join_phones, join_words
from talkinghead.text_to_speech.speaking import Script, speak


@dataclass(frozen=True)
class SpokenFile:
    """What is known of a script that was synthesized to a file."""

    report: dict[str, Any]
    """What `Script.describe` returns, duration_s, skipped (how many sentences, words and signs the voice cannot
    pronounce), and without_effect (what the text's format asks for and the voice does not do)."""
    phones: tuple[Phone, ...] | None
    """Phones and their times in the file; None where the engine does not report them."""
    words: tuple[Word, ...] = ()
    """The words as they are written, with their times in the file; not those that are skipped."""
    skipped: tuple[str, ...] = ()
    """What the voice cannot pronounce, in order."""


def write_speech(script: Script, output: Path, *, overwrite: bool = False) -> SpokenFile:
    """Synthesize a script to a WAV file, sentence by sentence.

    Args:
        script: text and voice.
        output: ends in .wav.
        overwrite: replace an existing file.

    Raises:
        NothingToSpeakError: the voice can pronounce nothing in the text.
        TextError: the text is not of its format, or a passage cannot start at its time.
        VoiceUnavailableError: there is no such voice, it is not installed, or it failed.
        OutputExistsError, OutputError: the file exists, or it cannot be written.
    """
    skipped: list[str] = []
    without_effect: list[str] = []
    timed: list[tuple[float, tuple[Phone, ...] | None]] = []
    words: list[tuple[float, tuple[Word, ...] | None]] = []

    def recordings() -> Iterator[Audio]:
        for utterance in speak(script, skipped=skipped.append, without_effect=without_effect.append):
            timed.append((utterance.audio.duration_s, utterance.phones))
            words.append((utterance.audio.duration_s, utterance.words))
            yield utterance.audio

    described = script.describe()
    duration_s = write_audio(output, recordings(), overwrite=overwrite)
    report = {**described, "duration_s": duration_s, "skipped": len(skipped), "without_effect": without_effect}
    return SpokenFile(report, join_phones(timed), join_words(words) or (), tuple(skipped))
