"""A text as it is spoken: passages, each with its speed and the time or the pause before it."""

from __future__ import annotations

from dataclasses import dataclass

from talkinghead.text_to_speech.breaks import Break


@dataclass(frozen=True)
class Passage:
    """A stretch of text that is spoken in one way."""

    text: str
    """Plain text; characters of `phones.PhonedWords` stand for words with phones."""
    ends: Break = Break.PARAGRAPH
    """What ends with the passage."""
    rate: float = 1.0
    """Factor on the speed of the script."""
    pause_s: float | None = None
    """Silence before it, in seconds; None where what ended before it decides."""
    start_s: float | None = None
    """When it begins to be heard, in seconds from the start of the speech; None where it follows what is before it."""
    name: str = ""
    """For messages, of a passage with a start: "Cue 3 (00:00:05.200)"."""


@dataclass(frozen=True)
class Document:
    """A text after its format was read."""

    format: str
    """plain, markdown, srt or ssml."""
    passages: tuple[Passage, ...]
    left_out: tuple[str, ...] = ()
    """Parts that are not spoken: blocks of code."""
    tail_s: float = 0.0
    """Silence after the last passage, in seconds, besides the usual one."""
    without_effect: tuple[str, ...] = ()
    """What the format asks for and no voice does: "SSML emphasis"."""
