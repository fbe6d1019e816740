"""The interface of text-to-speech engines, and what they return: utterances, with the times of their phones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from talkinghead.structures import Audio
from talkinghead.text_to_speech.breaks import Break

PAUSE = "|"
"""Symbol of a `Phone` that is silence; IPA's own sign of a minor break."""


@dataclass(frozen=True)
class Phone:
    """One phone of an utterance, or a pause in it."""

    symbol: str
    """IPA without stress marks ("p", "aɪ", "dʒ"), or `PAUSE`."""
    start_s: float
    """Seconds from the start of the utterance."""
    end_s: float
    """Seconds from the start of the utterance, later than `start_s`."""
    stress: int = 0
    """0 none, 1 secondary, 2 primary; only vowels carry it."""

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Word:
    """One word of an utterance, and when it is heard."""

    text: str
    """With the punctuation that belongs to it."""
    start_s: float
    """Beginning of its first phone, in seconds from the start of the utterance."""
    end_s: float
    """End of its last phone, in seconds from the start of the utterance."""
    ends: Break | None = None
    """What of the text ends with it."""
    is_exact: bool = True
    """Whether the times are those of phones; otherwise they are estimated within the sentence."""

    def shifted(self, by_s: float) -> Word:
        """The same word later by so many seconds; by a negative number, earlier."""
        return replace(self, start_s=self.start_s + by_s, end_s=self.end_s + by_s)


@dataclass(frozen=True)
class Utterance:
    """One synthesized sentence."""

    audio: Audio
    """At the engine's own sampling rate."""
    phones: tuple[Phone, ...] | None = None
    """In order, without gaps, from 0 to the end of the audio; None where the engine does not report them."""
    words: tuple[Word, ...] | None = None
    """In order; None where the engine does not report them."""


def join(utterances: Sequence[Utterance]) -> Utterance:
    """Concatenate one or more utterances of one voice; pauses that meet become one.

    The result has phones, and words, only if all of them have.
    """
    rate_hz = utterances[0].audio.rate_hz
    samples = np.concatenate([utterance.audio.samples for utterance in utterances])
    phones = join_phones([(utterance.audio.duration_s, utterance.phones) for utterance in utterances])
    words = join_words([(utterance.audio.duration_s, utterance.words) for utterance in utterances])
    return Utterance(Audio(samples, rate_hz), phones, words)


def join_words(parts: Sequence[tuple[float, Sequence[Word] | None]]) -> tuple[Word, ...] | None:
    """Words of utterances in a row, each given with its length in seconds; None if those of one are not known."""
    joined: list[Word] = []
    start_s = 0.0
    for duration_s, words in parts:
        if words is None:
            return None
        joined += [word.shifted(start_s) for word in words]
        start_s += duration_s
    return tuple(joined)


def join_phones(parts: Sequence[tuple[float, Sequence[Phone] | None]]) -> tuple[Phone, ...] | None:
    """Phones of utterances in a row, each given with its length in seconds; None if those of one are not known."""
    joined: list[Phone] = []
    start_s = 0.0
    for duration_s, phones in parts:
        if phones is None:
            return None
        for phone in phones:
            moved = replace(phone, start_s=phone.start_s + start_s, end_s=phone.end_s + start_s)
            if joined and joined[-1].symbol == moved.symbol == PAUSE:
                joined[-1] = replace(joined[-1], end_s=moved.end_s)
            else:
                joined.append(moved)
        start_s += duration_s
    return tuple(joined)


@dataclass(frozen=True)
class Voice:
    """One voice of an engine."""

    name: str
    """Unique among all engines; what `--voice` takes."""
    language: str
    """BCP 47 tag: "en-US", "zh-CN"."""
    description: str
    scripts: tuple[str, ...] = ()
    """Scripts that it reads, as the Unicode names of their letters begin ("LATIN", "CJK"); empty if not known."""


@runtime_checkable
class Engine(Protocol):
    """A text-to-speech engine. To construct one is cheap: the first `speak` loads the models."""

    @property
    def name(self) -> str:
        """Unique among the engines."""
        ...

    @property
    def version(self) -> str:
        """Version of the package or program that synthesizes; empty where it is not installed."""
        ...

    def voices(self) -> Sequence[Voice]:
        """Voices that can be used now, best first; empty where what the engine needs is not installed."""
        ...

    def missing(self) -> str:
        """What to install to get (more of) its voices, as one clause; empty where everything is there."""
        ...

    def speak(self, sentence: str, voice: str, speed: float = 1.0) -> Utterance:
        """Synthesize one sentence; the same arguments always give the same utterance.

        An engine may have two more attributes. `reads_phones`, where it is true, says that the sentence may have words
        with their phones, which `phones.split_marks` finds. `unsayable(sentence, voice)` returns the parts of a
        sentence that the voice leaves out without an error.

        Args:
            sentence: plain text without line breaks, some of it letters. In English and Chinese its numbers and signs
                are words already.
            voice: name of one of `voices()`.
            speed: factor on the usual speed of speech. An engine without this parameter has one speed.

        Raises:
            NothingToSpeakError: nothing in the sentence can be pronounced in the voice's language.
            VoiceUnavailableError: what the voice needs is not installed, or it failed.
        """
        ...
