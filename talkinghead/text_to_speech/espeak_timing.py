"""Speech by espeak-ng's library, with the times of its phones and words; `espeak_program` loads it."""

from __future__ import annotations

import functools
import itertools
import json
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from talkinghead.errors import VoiceUnavailableError
from talkinghead.structures import Audio
from talkinghead.text_to_speech.engine import PAUSE, Phone, Utterance, Word
from talkinghead.text_to_speech.phone_timing import Loudness, fit_pauses
from talkinghead.text_to_speech.written_words import split_words

PROGRAM = str(Path(__file__).with_name("espeak_program.py"))
TIMEOUT_S = 60
"""For one sentence."""

Event = tuple[str, int, int, int, str]
"""Kind, sample, position and length in the text, and symbol, as `espeak_program` writes them."""


def speak_by_library(text: str, sentence: str, language: str, words_per_minute: str) -> Utterance | None:
    """Synthesize one sentence.

    Args:
        text: as the library takes it.
        sentence: the same as the words are written.
        language: espeak-ng's name of it.
        words_per_minute: speed.

    Returns:
        Audio, phones and, where each written word is read as one, words; None where there is no library, or not this
        language in it.

    Raises:
        VoiceUnavailableError: it failed.
    """
    if not _has_library():
        return None
    command = [sys.executable, "-I", PROGRAM, language, words_per_minute]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise VoiceUnavailableError(f"espeak-ng failed: {error}") from error
    if done.returncode:
        return None
    line, _, samples = done.stdout.partition(b"\n")
    told = json.loads(line)
    audio = Audio(np.frombuffer(samples, "<i2").astype(np.float32) / np.float32(32768), int(told["rate_hz"]))
    events: list[Event] = [tuple(event) for event in told["events"]]
    phones = place(events, audio)
    return Utterance(audio, phones, place_words(events, phones, audio.rate_hz, split_words(sentence)))


def place(events: Sequence[Event], audio: Audio) -> tuple[Phone, ...] | None:
    """Phones without gaps from 0 to the end of the audio; None where there are none.

    What has no symbol is a pause where it is silent; elsewhere, as a glottal stop, it belongs to the phone after it.
    """
    marks = [(sample / audio.rate_hz, _ipa(symbol)) for kind, sample, _, _, symbol in events if kind == "phone"]
    if not any(symbol for _, symbol in marks):
        return None
    loudness = Loudness(audio.samples, audio.rate_hz)
    marks = [(0.0, ""), *marks, (audio.duration_s, "")]
    phones: list[Phone] = []
    begin_s = 0.0
    for (start_s, symbol), (end_s, _) in itertools.pairwise(marks):
        end_s = min(end_s, audio.duration_s)
        if symbol and end_s > begin_s:
            phones.append(Phone(symbol, begin_s, end_s))
        elif not loudness.has_pause(start_s, end_s):
            continue
        else:
            phones.append(Phone(PAUSE, begin_s, end_s))
        begin_s = end_s
    if begin_s < audio.duration_s and phones:
        last = phones.pop()
        phones.append(Phone(last.symbol, last.start_s, audio.duration_s))
    return fit_pauses(phones, loudness) if phones else None


def _ipa(symbol: str) -> str:
    """A symbol with its marks apart from its letters, as `articulation` reads it; "(en)" changes the language only."""
    return "" if symbol.startswith("(") else unicodedata.normalize("NFD", symbol)


def place_words(
    events: Sequence[Event], phones: Sequence[Phone] | None, rate_hz: int, words: Sequence[str]
) -> tuple[Word, ...] | None:
    """Times of the words, from the first to the last phone of each; None where others were read than are written."""
    starts_s = [sample / rate_hz for kind, sample, *_ in events if kind == "word"]
    if phones is None or len(starts_s) != len(words):
        return None
    placed: list[Word] = []
    for word, start_s, end_s in zip(words, starts_s, [*starts_s[1:], np.inf], strict=True):
        own = [phone for phone in phones if start_s <= (phone.start_s + phone.end_s) / 2 < end_s]
        spoken = [phone for phone in own if phone.symbol != PAUSE]
        if not spoken:
            return None
        placed.append(Word(word, spoken[0].start_s, spoken[-1].end_s))
    return tuple(placed)


@functools.cache
def _has_library() -> bool:
    """Whether the library can be loaded, asked once by speaking nothing."""
    command = [sys.executable, "-I", PROGRAM, "en", "175"]
    try:
        return subprocess.run(command, input=b"", capture_output=True, timeout=TIMEOUT_S).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False
