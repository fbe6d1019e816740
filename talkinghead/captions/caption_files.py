"""Writing cues as files: SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from talkinghead.captions.cues import Cue
from talkinghead.files import check_output_path, write_text
from talkinghead.text_to_speech.formats.subtitles import shown_time


def _srt(cues: Sequence[Cue]) -> str:
    """SubRip, which has no escapes: an arrow in a text would be taken for the times of a cue."""
    return "\n".join(
        f"{number}\n{_times(cue).replace('.', ',')}\n" + "".join(f"{_without_arrow(line)}\n" for line in cue.lines)
        for number, cue in enumerate(cues, 1)
    )


def _vtt(cues: Sequence[Cue]) -> str:
    """WebVTT (W3C, 2019)."""
    escaped = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    return "WEBVTT\n" + "".join(
        f"\n{_times(cue)}\n" + "".join(f"{line.translate(escaped)}\n" for line in cue.lines) for cue in cues
    )


def _times(cue: Cue) -> str:
    return f"{shown_time(cue.start_s)} --> {shown_time(cue.end_s)}"


def _without_arrow(line: str) -> str:
    return line.replace("-->", "→")


FORMATS: Mapping[str, Callable[[Sequence[Cue]], str]] = MappingProxyType({".srt": _srt, ".vtt": _vtt})
"""Suffix of a file's name -> how its content is written."""


def check_captions_path(path: Path, *, overwrite: bool) -> None:
    """Raise OutputExistsError or OutputError where captions cannot be written to a file."""
    check_output_path(path, overwrite=overwrite, suffixes=tuple(FORMATS))


def write_captions(path: Path, cues: Sequence[Cue]) -> None:
    """Write cues in UTF-8, in the format that the file's name ends in: .srt or .vtt.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, FORMATS[path.suffix.lower()](cues))
