"""What a live session gives: one picture and the audio that belongs to it, at a time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from talkinghead.live.stored_images import Image, pixels
from talkinghead.structures import ByteArray, FloatArray

AUDIO_RATE_HZ = 48_000
"""Sampling rate of a session's audio: Opus has no other."""


@dataclass(frozen=True)
class Event:
    """Something that happens with a tick."""

    kind: Literal["speaking", "silence", "error"]
    """speaking: an utterance begins; silence: it is over, or was interrupted; error: it could not be made."""
    utterance: int
    """Number of the utterance in its session, from 1 on."""
    message: str = ""
    """Of an error, for the user."""


@dataclass(frozen=True)
class Tick:
    """The shortest step of a session. Picture and audio of a tick belong together: no clock can separate them."""

    number: int
    """Of the tick in its session, from 0 on; it is shown at `number / frame_rate` seconds."""
    shown: Image
    """The picture, (H, W, 3) uint8 RGB, or one that is still packed."""
    audio: FloatArray
    """(N,) float32 mono at `AUDIO_RATE_HZ`, zeros where nobody speaks; N as in `samples_before`."""
    utterance: int
    """Number of the utterance that is heard, 0 where none is."""
    position_s: float
    """How much of the utterance has been heard after this tick, seconds."""
    events: tuple[Event, ...] = ()
    """What happens at its beginning."""

    @property
    def image(self) -> ByteArray:
        """(H, W, 3) uint8 RGB; each time that it is asked for, it is unpacked anew."""
        return pixels(self.shown)

    @property
    def is_speaking(self) -> bool:
        return self.utterance > 0


def samples_before(number: int, frame_rate: Fraction) -> int:
    """Number of audio samples before the tick of that number: ticks of any frame rate stay in step for ever."""
    return round(number * AUDIO_RATE_HZ / frame_rate)
