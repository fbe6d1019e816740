"""What commands print: tables, JSON, progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from talkinghead.locale.messages import translated

LONGEST_SHOWN = 1000
"""Number of characters of a text out of a file that are printed."""
FORMAT_NAMES = {"markdown": "Markdown", "srt": "subtitles, each cue at its time", "ssml": "SSML"}
"""Format of a text -> what it is called."""
MOST_SHOWN_PARTS = 5
"""Number of parts of a text that are shown."""
LONGEST_SHOWN_PART = 40
"""Number of characters of such a part that are shown."""
TABLE_WIDTH = 100
"""Least width, in characters, of a table that is printed into a file or a pipe."""


def echo(message: str, *, err: bool = False) -> None:
    """Print a message for people, in their language where it is in the catalog (`talkinghead.locale`)."""
    click.echo(translated(message), err=err)


def echo_skipped(spoken: dict[str, Any] | None, skipped: Sequence[str] = ()) -> None:
    """Tell how a text was read, and how much of it its voice could not speak.

    Args:
        spoken: what `write_speech` reports.
        skipped: what the voice could not speak, of which the first are shown.
    """
    if not spoken:
        return
    if spoken["text_format"] != "plain":
        echo(f"The text was read as {FORMAT_NAMES[spoken['text_format']]} (--text-format plain reads it as it is).")
    if spoken["without_effect"]:
        echo(f"Without effect: {', '.join(spoken['without_effect'])}.")
    if spoken["skipped"]:
        first = ", ".join(" ".join(part.split())[:LONGEST_SHOWN_PART] for part in skipped[:MOST_SHOWN_PARTS])
        shown = f": {first}{', ...' if len(skipped) > MOST_SHOWN_PARTS else ''}" if first else "."
        echo(f"{spoken['voice']} could not speak {spoken['skipped']} sentences, words or signs of the text{shown}")


def echo_pictures(pictures: Mapping[str, Mapping[str, Any]]) -> None:
    """Tell in a line each what reading did to the pictures of videos, by their role."""
    for role, treatment in pictures.items():
        echo(f"Pictures of the {role}: {treatment['summary']}.")


def progress_bar(hidden: bool) -> Progress:
    """A progress bar with the time left, on standard error if that is a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
        console=console,
        disable=hidden or not console.is_terminal,
        transient=True,
    )


def print_json(value: dict[str, Any]) -> None:
    """Print an object as JSON; in ASCII where the output's encoding does not have all of its characters."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    click.echo(text)


class TextTable:
    """A table without lines, whose cells are wrapped instead of cut and printed as they are: brackets are no markup."""

    def __init__(self, *headings: str) -> None:
        """Args: of the columns."""
        self.table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in headings:
            self.table.add_column(Text(heading), overflow="fold")

    def add_row(self, *cells: str | Text) -> None:
        """Add a row."""
        self.table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def escaped(text: str) -> Text:
    """A text out of an untrusted file, made safe to print: no markup, no control characters, not too long."""
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text[:LONGEST_SHOWN])
    return Text(shown + "..." * (len(text) > LONGEST_SHOWN))


def print_table(table: TextTable | Table) -> None:
    """Print a table as wide as the terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:  # a file or a pipe has no width: rich would take 80
        console = Console(highlight=False, width=max(console.width, TABLE_WIDTH))
    console.print(table.table if isinstance(table, TextTable) else table)
