"""The audio of a dialogue: turns one after the other without gaps, on one track for each speaker and one for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import librosa
import numpy as np

from talkinghead.generation.dialogue_script import Turn
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.audio_writer import write_audio
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech import PAUSE, Phone, Script
from talkinghead.text_to_speech.breaks import Break
from talkinghead.text_to_speech.config import SpeakingConfig
from talkinghead.text_to_speech.engine import Word
from talkinghead.text_to_speech.speech_file import SpokenFile, write_speech


@dataclass(frozen=True)
class SpokenTurn:
    """A turn and where it lies in the dialogue."""

    speaker: str
    audio: Audio
    start_s: float
    """When its audio begins; that of a text begins and ends with silence, which may lie under the turns beside it."""
    begins_s: float
    """When its first word is heard; a recording counts as a whole."""
    ends_s: float
    """When its last word ends."""
    phones: tuple[Phone, ...] | None
    """In the time of the dialogue; None where they are not known."""
    words: tuple[Word, ...] | None
    report: Mapping[str, Any] | None
    """Of the text; None of a recording."""


def speak_turns(
    turns: Sequence[Turn], voices: Mapping[str, str], config: SpeakingConfig, gap_s: float, folder: Path
) -> list[SpokenTurn]:
    """Speak the turns, and lay them out with pauses of `gap_s` between what is heard.

    Args:
        turns: in order.
        voices: voice of each speaker who has texts without one.
        config: how texts are spoken.
        gap_s: from the last word of a turn to the first one of the next.
        folder: for temporary files.

    Raises:
        What `write_speech` and `read_audio` raise.
    """
    spoken: list[SpokenTurn] = []
    for number, turn in enumerate(turns):
        path = folder / f"turn-{number}.wav"
        if turn.speech is None:
            made = write_speech(Script(turn.text or "", turn.voice or voices[turn.speaker], config), path)
            audio, phones, words = read_audio(path, whole=True), made.phones, made.words
            bounds_s = (words[0].start_s, words[-1].end_s)
            report: Mapping[str, Any] | None = made.report
        else:
            audio, phones, words, report = read_audio(turn.speech, whole=True), None, None, None
            bounds_s = (0.0, audio.duration_s)
        start_s = spoken[-1].ends_s + gap_s - bounds_s[0] if spoken else 0.0
        spoken.append(
            SpokenTurn(
                turn.speaker,
                audio,
                start_s,
                start_s + bounds_s[0],
                start_s + bounds_s[1],
                None if phones is None else _moved(phones, start_s),
                None if words is None else tuple(word.shifted(start_s) for word in words),
                report,
            )
        )
        path.unlink(missing_ok=True)
    return _from_zero(spoken)


def _moved(phones: Sequence[Phone], by_s: float) -> tuple[Phone, ...]:
    return tuple(replace(phone, start_s=phone.start_s + by_s, end_s=phone.end_s + by_s) for phone in phones)


def _from_zero(spoken: Sequence[SpokenTurn]) -> list[SpokenTurn]:
    """The same turns so much later that none begins before 0: a turn's silence may be longer than all before it."""
    late_s = -min(0.0, *(turn.start_s for turn in spoken), 0.0)
    if not late_s:
        return list(spoken)
    return [
        replace(
            turn,
            start_s=turn.start_s + late_s,
            begins_s=turn.begins_s + late_s,
            ends_s=turn.ends_s + late_s,
            phones=None if turn.phones is None else _moved(turn.phones, late_s),
            words=None if turn.words is None else tuple(word.shifted(late_s) for word in turn.words),
        )
        for turn in spoken
    ]


def length_s(spoken: Sequence[SpokenTurn]) -> float:
    """Length of the dialogue."""
    return max(turn.start_s + turn.audio.duration_s for turn in spoken)


def write_tracks(spoken: Sequence[SpokenTurn], folder: Path) -> tuple[Path, dict[str, Path]]:
    """Write one WAV file with all turns, and one for each speaker that is silent while others speak; all equally long.

    Returns:
        The file of all, and those of the speakers by name.
    """
    rate_hz = max(turn.audio.rate_hz for turn in spoken)
    count = round(length_s(spoken) * rate_hz) + 1
    tracks: dict[str, FloatArray] = {}
    for turn in spoken:
        track = tracks.setdefault(turn.speaker, np.zeros(count, np.float32))
        samples = turn.audio.samples
        if turn.audio.rate_hz != rate_hz:
            samples = librosa.resample(samples, orig_sr=turn.audio.rate_hz, target_sr=rate_hz)
        first = round(turn.start_s * rate_hz)
        samples = samples[: count - first]
        track[first : first + len(samples)] += samples
    paths = {name: folder / f"track-{number}.wav" for number, name in enumerate(tracks)}
    for name, path in paths.items():
        write_audio(path, [Audio(tracks[name], rate_hz)])
    mix = folder / "dialogue.wav"
    write_audio(mix, [Audio(np.sum(list(tracks.values()), axis=0, dtype=np.float32), rate_hz)])
    return mix, paths


def known_of(speaker: str, spoken: Sequence[SpokenTurn]) -> SpokenFile:
    """What is known of the track of one speaker: phones where those of all their turns are known."""
    own = [turn for turn in spoken if turn.speaker == speaker]
    phones: list[Phone] | None = []
    for turn in own:
        if turn.phones is None or phones is None:
            phones = None
            break
        phones += [phone for phone in turn.phones if phone.symbol != PAUSE]
    return SpokenFile({}, None if phones is None else tuple(phones))


def words_of(spoken: Sequence[SpokenTurn]) -> tuple[Word, ...] | None:
    """The words of all turns; None where those of one are not known. No subtitle has words of two turns."""
    words: list[Word] = []
    for turn in spoken:
        if turn.words is None:
            return None
        words += [*turn.words[:-1], replace(turn.words[-1], ends=Break.PARAGRAPH)]
    return tuple(words)
