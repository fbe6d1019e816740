"""Subtitles as timed text: SubRip (.srt) and WebVTT. Every cue is spoken from its time on."""

from __future__ import annotations

import html
import re

from talkinghead.errors import TextError
from talkinghead.text_to_speech.passages import Document, Passage

_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{2})[,.](\d{1,3})"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?$")
_TAG = re.compile(r"</?[A-Za-z][^>]*>|<[\d:.]+>|\{\\[^}]*\}")
_NOT_CUES = ("NOTE", "STYLE", "REGION", "WEBVTT")
"""First words of blocks of WebVTT that are not cues."""


def read_subtitles(text: str) -> Document:
    """Read subtitles.

    Raises:
        TextError: a block of lines has no times, or the cues are not in the order of their times.
    """
    passages: list[Passage] = []
    before = 0.0
    for line, block in _blocks(text.replace("\r\n", "\n").replace("\r", "\n")):
        if block[0].startswith(_NOT_CUES):
            continue
        index = next((number for number, content in enumerate(block[:2]) if "-->" in content), None)
        found = _TIMES.match(block[index]) if index is not None else None
        if index is None or found is None:
            raise TextError(
                f"Line {line + (index or 0)} of the subtitles: a cue is a number, a line with its times such as "
                "00:00:01,000 --> 00:00:03,500, and its text; correct it, or read it with --text-format plain."
            )
        start_s, end_s = _seconds(found.groups()[:4]), _seconds(found.groups()[4:])
        name = f"Cue {len(passages) + 1} ({shown_time(start_s)})"
        if start_s < before or end_s < start_s:
            raise TextError(f"{name} of the subtitles starts before the one before it, or ends before it starts.")
        before = start_s
        spoken = html.unescape(_TAG.sub("", "\n".join(block[index + 1 :])))
        passages.append(Passage(spoken, start_s=start_s, name=name))
    return Document("srt", tuple(passages))


def _blocks(text: str) -> list[tuple[int, list[str]]]:
    """Rows of lines that are not blank, each with the number of its first line."""
    blocks: list[tuple[int, list[str]]] = []
    last_blank = True
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            if last_blank:
                blocks.append((number, []))
            blocks[-1][1].append(line)
        last_blank = not line.strip()
    return blocks


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    return (
        int(hours or 0) * 3600
        + int(minutes or 0) * 60
        + int(seconds or 0)
        + int((fraction or "0").ljust(3, "0")) / 1000
    )


def shown_time(time_s: float) -> str:
    """A time as subtitles have it: 00:01:02.500."""
    milliseconds = round(time_s * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"
