"""What ends where a stretch of text ends."""

from __future__ import annotations

from enum import IntEnum


class Break(IntEnum):
    """What ends where a chunk ends; a greater one asks for a longer pause."""

    CLAUSE = 1
    """A part of a sentence that is too long to be synthesized at once."""
    SENTENCE = 2
    """A sentence that another one of its paragraph follows."""
    PARAGRAPH = 3
    """The last sentence of a paragraph."""
