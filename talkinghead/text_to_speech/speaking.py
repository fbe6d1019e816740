"""Synthesizing a text of any length sentence by sentence, with pauses between them, at an even loudness."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import NothingToSpeakError
from talkinghead.structures import Audio, BoolArray, FloatArray
from talkinghead.text_to_speech.engine import PAUSE, Phone, Utterance, join
from talkinghead.text_to_speech.registry import DEFAULT_VOICE, find_voice
from talkinghead.text_to_speech.sentences import Break, split_text

LEAD_S = 0.3
"""Silence before the first word, in seconds, so that the video starts with the mouth at rest."""
TAIL_S = 0.5
"""Silence after the last word, in seconds."""
PAUSE_S = {Break.CLAUSE: 0.2, Break.SENTENCE: 0.6, Break.PARAGRAPH: 1.0}
"""Silence after a chunk of text that another one follows, in seconds."""
MARGIN_S = 0.05
"""How many seconds of an engine's own silence are kept at either end of an utterance; they count towards the pause."""
FADE_S = 0.005
"""Length of the fades in and out at either end of an utterance, in seconds."""
LEVEL_DB = -20.0
"""Loudness of the speech: root mean square of its audible blocks, relative to full scale."""
PEAK = 0.89
"""-1 dB: the limit of every sample."""
BLOCK_S = 0.01
"""Length of the blocks over which loudness is measured, in seconds."""
SILENT_DB = -40.0
"""A block is silent below this level, relative to the utterance's loudest block."""


@dataclass(frozen=True)
class Script:
    """A text, and the voice that speaks it."""

    text: str
    """Plain text of any length; a blank line ends a paragraph."""
    voice: str = DEFAULT_VOICE
    """A name that `talkinghead voices` lists."""

    def describe(self) -> dict[str, str]:
        """For reports: engine, engine_version, voice, language (BCP 47), text_sha256 (of the text in UTF-8).

        Raises:
            VoiceUnavailableError: there is no such voice, or it is not installed.
        """
        engine, voice = find_voice(self.voice)
        digest = hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()
        return {
            "engine": engine.name,
            "engine_version": engine.version,
            "voice": voice.name,
            "language": voice.language,
            "text_sha256": digest,
        }


def speak(
    script: Script, *, skipped: Callable[[str], None] | None = None, lead_s: float = LEAD_S
) -> Iterator[Utterance]:
    """Synthesize a script chunk by chunk; concatenated, the utterances are the whole speech.

    Memory holds one chunk at a time. A chunk with nothing to pronounce (a row of stars) is left out.

    Args:
        script: text and voice.
        skipped: called with each chunk that is left out, and with each word of letters that the voice does not read.
        lead_s: silence before the first word, at least `MARGIN_S`.

    Raises:
        NothingToSpeakError: the voice can pronounce nothing in the whole text.
        VoiceUnavailableError: there is no such voice, it is not installed, or it failed.
    """
    engine, voice = find_voice(script.voice)
    loudness = _Loudness()
    pause_s = lead_s
    last: Utterance | None = None
    skip = skipped or (lambda text: None)
    for chunk in split_text(script.text):
        try:
            utterance = engine.speak(chunk.text, voice.name)
        except NothingToSpeakError:
            skip(chunk.text)
            continue
        for word in unreadable_words(chunk.text, voice.scripts):
            skip(word)
        # The margins that are left of this utterance and of the one before it are part of the pause.
        margins_s = MARGIN_S if last is None else 2 * MARGIN_S
        last = loudness.normalize(_trim(utterance))
        yield join([_silence(last, pause_s - margins_s), last])
        pause_s = PAUSE_S[chunk.ends]
    if last is None:
        raise NothingToSpeakError(
            f"The text has nothing that {voice.name} ({voice.language}) can read; `talkinghead voices` lists others."
        )
    yield _silence(last, TAIL_S - MARGIN_S)


def unreadable_words(text: str, scripts: tuple[str, ...]) -> list[str]:
    """Words with a letter of none of the scripts (see `Voice.scripts`); without scripts, no words."""
    if not scripts:
        return []
    return [word for word in text.split() if not all(name.startswith(scripts) for name in _letter_names(word))]


def _letter_names(word: str) -> Iterator[str]:
    """Unicode names of the letters of a word; letters of special widths and styles are taken as plain ones."""
    plain = unicodedata.normalize("NFKC", word)
    return (unicodedata.name(character, "") for character in plain if character.isalpha())


def _silence(like: Utterance, duration_s: float) -> Utterance:
    """Silence at the sampling rate of another utterance, as one pause if that has phones."""
    rate_hz = like.audio.rate_hz
    samples = np.zeros(round(duration_s * rate_hz), np.float32)
    phones = None if like.phones is None else (Phone(PAUSE, 0.0, len(samples) / rate_hz),)
    return Utterance(Audio(samples, rate_hz), phones)


def _trim(utterance: Utterance) -> Utterance:
    """Cut the silence at both ends of an utterance down to `MARGIN_S`, and fade it in and out."""
    rate_hz, samples = utterance.audio.rate_hz, utterance.audio.samples
    start_s, end_s = _speech_bounds(utterance)
    start = max(0, round((start_s - MARGIN_S) * rate_hz))
    end = min(len(samples), round((end_s + MARGIN_S) * rate_hz))
    kept = samples[start:end].copy()
    fade = np.linspace(0, 1, min(round(FADE_S * rate_hz), len(kept)), dtype=np.float32)
    kept[: len(fade)] *= fade
    kept[len(kept) - len(fade) :] *= fade[::-1]
    return Utterance(Audio(kept, rate_hz), _cut_phones(utterance, start / rate_hz, end / rate_hz))


def _speech_bounds(utterance: Utterance) -> tuple[float, float]:
    """Start of the first phone and end of the last one, in seconds; without phones, those of what is audible."""
    if utterance.phones is not None:
        phones = [phone for phone in utterance.phones if phone.symbol != PAUSE]
        return phones[0].start_s, phones[-1].end_s
    audible = np.flatnonzero(_measure_blocks(utterance.audio)[0])
    return float(audible[0] * BLOCK_S), float((audible[-1] + 1) * BLOCK_S)


def _cut_phones(utterance: Utterance, start_s: float, end_s: float) -> tuple[Phone, ...] | None:
    """The phones between two times, counted from the first of them."""
    if utterance.phones is None:
        return None
    cut = (
        replace(phone, start_s=max(phone.start_s, start_s) - start_s, end_s=min(phone.end_s, end_s) - start_s)
        for phone in utterance.phones
    )
    return tuple(phone for phone in cut if phone.end_s > phone.start_s)


def _measure_blocks(audio: Audio) -> tuple[BoolArray, NDArray[np.float64]]:
    """For each block of `BLOCK_S`: whether it is audible, and its mean square."""
    block = round(BLOCK_S * audio.rate_hz)
    padded = np.pad(audio.samples, (0, -len(audio.samples) % block))
    power = np.square(padded.reshape(-1, block), dtype=np.float64).mean(1)
    return power >= power.max(initial=0) * 10 ** (SILENT_DB / 10), power


class _Loudness:
    """Brings the utterances of a script to one loudness.

    The gain follows from the mean power of all the utterances so far, not of each alone: a shout stays a shout.
    """

    def __init__(self) -> None:
        self._energy = 0.0
        """Sum of the mean squares of the audible blocks so far."""
        self._blocks = 0
        """How many these are."""

    def normalize(self, utterance: Utterance) -> Utterance:
        """Scale an utterance to `LEVEL_DB`, or less where a sample would exceed `PEAK`."""
        samples: FloatArray = utterance.audio.samples
        audible, power = _measure_blocks(utterance.audio)
        self._energy += float(power[audible].sum())
        self._blocks += int(audible.sum())
        gain = 10 ** (LEVEL_DB / 20) / max(np.sqrt(self._energy / self._blocks), 1e-6)
        gain = min(gain, PEAK / max(float(np.abs(samples).max(initial=0)), 1e-6))
        return replace(utterance, audio=replace(utterance.audio, samples=(samples * np.float32(gain))))
