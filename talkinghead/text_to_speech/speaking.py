"""A text of any length, spoken sentence by sentence with pauses between, at an even loudness."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from talkinghead.errors import NothingToSpeakError
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech.engine import PAUSE, Phone, Utterance, join
from talkinghead.text_to_speech.registry import DEFAULT_VOICE, find_voice
from talkinghead.text_to_speech.sentences import Break, pieces

LEAD_S = 0.3
"""Silence before the first word: the mouth is seen at rest before it opens."""
TAIL_S = 0.5
"""Silence after the last word."""
PAUSE_S = {Break.CLAUSE: 0.2, Break.SENTENCE: 0.6, Break.PARAGRAPH: 1.0}
"""Silence after each piece that another one follows."""
MARGIN_S = 0.05
"""What is kept of an engine's own silence at either end of a piece; it counts towards the pause."""
FADE_S = 0.005
LEVEL_DB = -20.0
"""Loudness of the speech, root mean square where something is said, below full scale."""
PEAK = 0.89
"""-1 dB: what no sample goes beyond."""
BLOCK_S = 0.01
QUIET_DB = -40.0
"""Below a piece's loudest block: nothing is being said."""


@dataclass(frozen=True)
class Script:
    """What is to be said, and by whom."""

    text: str
    """Plain text of any length; a blank line ends a paragraph."""
    voice: str = DEFAULT_VOICE
    """A name that `talkinghead voices` lists."""

    def describe(self) -> dict[str, str]:
        """Engine, its version, voice, language, and the sha256 of the text in UTF-8, for reports.

        Raises VoiceUnavailableError.
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


def speak(script: Script, *, skipped: Callable[[str], None] | None = None) -> Iterator[Utterance]:
    """Say a script piece by piece: put one after the other, the utterances are the whole speech.

    Only one piece is held at a time. A piece in which nothing can be said (a row of stars) is left out; `skipped` is
    called with it, and with every word in letters that the voice does not read.

    Raises:
        NothingToSpeakError: nothing can be said in the whole text.
        VoiceUnavailableError: there is no such voice, it is not installed, or it failed.
    """
    engine, voice = find_voice(script.voice)
    level = _Level()
    pause_s = LEAD_S
    last: Utterance | None = None
    skip = skipped or (lambda text: None)
    for piece in pieces(script.text):
        try:
            spoken = engine.speak(piece.text, voice.name)
        except NothingToSpeakError:
            skip(piece.text)
            continue
        for word in unreadable_words(piece.text, voice.scripts):
            skip(word)
        margins_s = MARGIN_S if last is None else 2 * MARGIN_S
        last = level.evened(_trimmed(spoken))
        yield join([_silence(last, pause_s - margins_s), last])
        pause_s = PAUSE_S[piece.ends]
    if last is None:
        raise NothingToSpeakError(
            f"The text holds nothing that {voice.name} ({voice.language}) can say; `talkinghead voices` lists others."
        )
    yield _silence(last, TAIL_S - MARGIN_S)


def unreadable_words(text: str, scripts: tuple[str, ...]) -> list[str]:
    """Words with a letter that is in none of the scripts; no words if there are no scripts."""
    if not scripts:
        return []
    return [word for word in text.split() if not all(name.startswith(scripts) for name in _letter_names(word))]


def _letter_names(word: str) -> Iterator[str]:
    """Unicode names of the letters of a word, those of special widths and styles as plain ones."""
    plain = unicodedata.normalize("NFKC", word)
    return (unicodedata.name(character, "") for character in plain if character.isalpha())


def _silence(like: Utterance, duration_s: float) -> Utterance:
    rate_hz = like.audio.rate_hz
    samples = np.zeros(round(duration_s * rate_hz), np.float32)
    phones = None if like.phones is None else (Phone(PAUSE, 0.0, len(samples) / rate_hz),)
    return Utterance(Audio(samples, rate_hz), phones)


def _trimmed(utterance: Utterance) -> Utterance:
    """The utterance without the silence at its ends but for a margin, faded in and out."""
    rate_hz, samples = utterance.audio.rate_hz, utterance.audio.samples
    start_s, end_s = _spoken_part(utterance)
    start = max(0, round((start_s - MARGIN_S) * rate_hz))
    end = min(len(samples), round((end_s + MARGIN_S) * rate_hz))
    kept = samples[start:end].copy()
    fade = np.linspace(0, 1, min(round(FADE_S * rate_hz), len(kept)), dtype=np.float32)
    kept[: len(fade)] *= fade
    kept[len(kept) - len(fade) :] *= fade[::-1]
    return Utterance(Audio(kept, rate_hz), _cut_phones(utterance, start / rate_hz, end / rate_hz))


def _spoken_part(utterance: Utterance) -> tuple[float, float]:
    """From the first to the last phone, or what is heard, in seconds."""
    if utterance.phones is not None:
        said = [phone for phone in utterance.phones if phone.symbol != PAUSE]
        return said[0].start_s, said[-1].end_s
    heard = np.flatnonzero(_heard(utterance.audio)[0])
    return float(heard[0] * BLOCK_S), float((heard[-1] + 1) * BLOCK_S)


def _cut_phones(utterance: Utterance, start_s: float, end_s: float) -> tuple[Phone, ...] | None:
    if utterance.phones is None:
        return None
    cut = (
        replace(phone, start_s=max(phone.start_s, start_s) - start_s, end_s=min(phone.end_s, end_s) - start_s)
        for phone in utterance.phones
    )
    return tuple(phone for phone in cut if phone.end_s > phone.start_s)


def _heard(audio: Audio) -> tuple[np.ndarray, np.ndarray]:
    """Per block: whether something is heard in it, and its mean square."""
    block = round(BLOCK_S * audio.rate_hz)
    padded = np.pad(audio.samples, (0, -len(audio.samples) % block))
    power = np.square(padded.reshape(-1, block), dtype=np.float64).mean(1)
    return power >= power.max(initial=0) * 10 ** (QUIET_DB / 10), power


class _Level:
    """Brings the pieces to one loudness: by that of all that was said so far, so that a shout stays a shout."""

    def __init__(self) -> None:
        self._energy = 0.0
        self._blocks = 0

    def evened(self, utterance: Utterance) -> Utterance:
        samples: FloatArray = utterance.audio.samples
        heard, power = _heard(utterance.audio)
        self._energy += float(power[heard].sum())
        self._blocks += int(heard.sum())
        gain = 10 ** (LEVEL_DB / 20) / max(np.sqrt(self._energy / self._blocks), 1e-6)
        gain = min(gain, PEAK / max(float(np.abs(samples).max(initial=0)), 1e-6))
        return replace(utterance, audio=replace(utterance.audio, samples=(samples * np.float32(gain))))
