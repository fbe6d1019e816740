"""Scripts of several speakers: lines such as `anna: Good evening.`, or JSON Lines with one turn each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from talkinghead.errors import TextError

FIELDS = ("anchor", "text", "speech", "voice")
"""Those of a turn in JSON Lines; text or speech (a media file), not both."""

_LINE = re.compile(r"([^\s:：][^:：]{0,199}?)\s*[:：]\s*(\S.*)?$")


@dataclass(frozen=True)
class Turn:
    """What one speaker says until another one speaks."""

    speaker: str
    """A name of the cast, or an ANCHOR."""
    text: str | None = None
    """Text to speak; None where there is a recording."""
    speech: Path | None = None
    """Recording; None where there is a text."""
    voice: str | None = None
    """Voice that speaks the text; None is the speaker's own."""


def read_script(text: str, is_speaker: Callable[[str], bool], folder: Path = Path()) -> list[Turn]:
    """Read a script.

    A line `NAME: text` begins a turn; an indented line goes on with it, and an empty one is a paragraph's end in it. A
    script whose first character is { is JSON Lines with the fields `FIELDS`.

    Args:
        text: the script.
        is_speaker: whether a name is one of a speaker.
        folder: what recordings are relative to.

    Raises:
        TextError: a line is none of these, or names nobody that is known; the message has its number.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    is_json = text.lstrip().startswith("{")
    turns: list[Turn] = []
    for number, line in enumerate(lines, 1):
        if is_json:
            turn = _json_turn(line, number, folder) if line.strip() else None
        elif line[:1].isspace() or not line.strip():
            if line.strip() and not turns:
                raise TextError(f"Line {number} of the script is indented, and no turn is before it.")
            if turns:
                turns[-1] = Turn(turns[-1].speaker, f"{turns[-1].text}\n{line.strip()}")
            continue
        else:
            turn = _line_turn(line, number)
        if turn is None:
            continue
        if not is_speaker(turn.speaker):
            hint = "" if is_json else ", or indent the line if it goes on with the turn before"
            raise TextError(
                f"Line {number} of the script: there is no ANCHOR {turn.speaker!r}; say who that is with --cast "
                f"{turn.speaker.replace(' ', '_')}=ANCHOR{hint}."
            )
        turns.append(turn)
    turns = [turn if turn.text is None else replace(turn, text=turn.text.strip()) for turn in turns]
    for turn in turns:
        if turn.speech is None and not turn.text:
            raise TextError(f"A turn of {turn.speaker} in the script has no text.")
    if not turns:
        raise TextError("The script has no turns; a line of it is NAME: text.")
    return turns


def _line_turn(line: str, number: int) -> Turn:
    found = _LINE.match(line)
    if found is None:
        raise TextError(
            f"Line {number} of the script is not of the form NAME: text; indent it if it goes on with the turn before."
        )
    return Turn(found[1], found[2] or "")


def _json_turn(line: str, number: int, folder: Path) -> Turn:
    try:
        found: Any = json.loads(line)
    except ValueError as error:
        raise TextError(f"Line {number} of the script is not JSON: {error}.") from error
    if not isinstance(found, dict) or not all(isinstance(value, str) and value for value in found.values()):
        raise TextError(f"Line {number} of the script has to be a JSON object of texts.")
    unknown = sorted(found.keys() - set(FIELDS))
    if unknown or "anchor" not in found or ("text" in found) == ("speech" in found):
        what = f"an unknown field {unknown[0]!r}" if unknown else "to have anchor, and one of text and speech"
        raise TextError(f"Line {number} of the script has {what}; its fields are {', '.join(FIELDS)}.")
    speech = folder / found["speech"] if "speech" in found else None
    return Turn(found["anchor"], found.get("text"), speech, found.get("voice"))
