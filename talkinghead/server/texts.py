"""Texts to speak in requests."""

from __future__ import annotations

from typing import Any

from talkinghead.server.answers import field
from talkinghead.text_to_speech import DEFAULT_VOICE, Script
from talkinghead.text_to_speech.config import SpeakingConfig

LONGEST_TEXT = 20_000
"""Characters of a text that is spoken at once."""
SPEAKING_OPTIONS = ("text_format", "speed", "pause_ms")
"""Options of speech that a client may set: none that names a file."""


def script_of(body: dict[str, Any], *default: str, voice: str | None = None) -> Script:
    """Text, voice and `speaking` (options of speech) of a request.

    Args:
        body: of the request.
        default: the text where there is none; without it, a text is needed.
        voice: where the request names none, as with None the default voice.

    Raises:
        HTTPException: a field is missing, or of another type.
        ValueError: an option may not be set, or the text is too long.
        OptionError: an option is out of its range.
    """
    options = allowed(field(body, "speaking", dict, {}), SPEAKING_OPTIONS)
    named = field(body, "voice", str, voice or DEFAULT_VOICE)
    script = Script(field(body, "text", str, *default), named, SpeakingConfig(**options))
    if len(script.text) > LONGEST_TEXT:
        raise ValueError(f"A text has at most {LONGEST_TEXT} characters; send it in parts.")
    return script


def allowed(options: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Options of a request, as they are.

    Raises:
        ValueError: one of them may not be set.
    """
    unknown = set(options) - set(names)
    if unknown:
        raise ValueError(f"The options are {', '.join(names)}; {min(unknown)[:40]!r} is none.")
    return dict(options)
