"""What a text-to-speech engine is: it has voices, and speaks one sentence of plain text at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from talkinghead.structures import Audio

PAUSE = "|"
"""Symbol of a `Phone` in which nothing is said; IPA's own sign of a minor break."""


@dataclass(frozen=True)
class Phone:
    """One speech sound of an utterance, or a pause within it."""

    symbol: str
    """IPA without stress marks ("p", "aɪ", "dʒ"), or `PAUSE`."""
    start_s: float
    """Seconds from the start of the utterance."""
    end_s: float
    stress: int = 0
    """0 none, 1 secondary, 2 primary; only vowels carry it."""

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Utterance:
    """One spoken sentence."""

    audio: Audio
    phones: tuple[Phone, ...] | None = None
    """In order, without gaps, from 0 to the end of the sound; None where the engine does not know them."""


def join(utterances: Sequence[Utterance]) -> Utterance:
    """One or more utterances of one voice, said one after the other; pauses that meet become one."""
    rate_hz = utterances[0].audio.rate_hz
    phones: list[Phone] | None = []
    start_s = 0.0
    for utterance in utterances:
        if phones is not None and utterance.phones is not None:
            for phone in utterance.phones:
                moved = replace(phone, start_s=phone.start_s + start_s, end_s=phone.end_s + start_s)
                if phones and phones[-1].symbol == moved.symbol == PAUSE:
                    phones[-1] = replace(phones[-1], end_s=moved.end_s)
                else:
                    phones.append(moved)
        else:
            phones = None
        start_s += utterance.audio.duration_s
    samples = np.concatenate([utterance.audio.samples for utterance in utterances])
    return Utterance(Audio(samples, rate_hz), None if phones is None else tuple(phones))


@dataclass(frozen=True)
class Voice:
    """One voice of an engine."""

    name: str
    """Unique among all engines; what `--voice` takes."""
    language: str
    """BCP 47 tag: "en-US", "zh-CN"."""
    description: str
    scripts: tuple[str, ...] = ()
    """Letters that it can read, as their Unicode names begin ("LATIN", "CJK"); empty where that is not known."""


@runtime_checkable
class Engine(Protocol):
    """What a text-to-speech engine must offer. Making one costs nothing: models are loaded by the first `speak`."""

    @property
    def name(self) -> str:
        """Unique among the engines."""
        ...

    @property
    def version(self) -> str:
        """Of the package or program that speaks; empty where it is not installed."""
        ...

    def voices(self) -> Sequence[Voice]:
        """Voices that can speak right now, best first. None where what the engine needs is not installed."""
        ...

    def missing(self) -> str:
        """What to install to get (more of) its voices, as one clause; empty where everything is there."""
        ...

    def speak(self, sentence: str, voice: str) -> Utterance:
        """Say one sentence, always the same way.

        Args:
            sentence: plain text without line breaks, some of it letters or digits.
            voice: name of one of `voices()`.

        Raises:
            NothingToSpeakError: nothing in the sentence can be said in the voice's language.
            VoiceUnavailableError: what the voice needs is not installed, or it failed.
        """
        ...
