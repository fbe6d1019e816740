"""What commands print: tables, JSON, progress."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

LONGEST_SHOWN = 1000
"""Characters of a foreign text."""


TABLE_WIDTH = 100
"""Characters of a table that goes into a file or a pipe, at least."""


def warn_of_missing_consent(consent: str | None, anchor: Path, quiet: bool) -> None:
    if consent is None and not quiet:
        click.echo(
            f"{anchor} records nobody's consent: animate only people who agreed to it (train --consent).", err=True
        )


def echo_skipped(spoken: dict[str, Any] | None) -> None:
    if spoken and spoken["skipped"]:
        click.echo(f"{spoken['voice']} could not say {spoken['skipped']} sentences or words of the text.")


def progress_bar(hidden: bool) -> Progress:
    """A progress bar on standard error, with the time left; nothing where there is no terminal to draw it on."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console,
        disable=hidden or not console.is_terminal,
        transient=True,
    )


def print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def text_table(*headings: str) -> Table:
    """A table without lines that folds what is too long instead of cutting it off."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def escaped(text: str) -> Text:
    """A text out of a file that somebody else may have made: no markup, no control signs for the terminal, an end."""
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in text[:LONGEST_SHOWN])
    return Text(shown + "..." * (len(text) > LONGEST_SHOWN))


def print_table(table: Table) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:  # a file or a pipe has no width: rich would take 80
        console = Console(highlight=False, width=max(console.width, TABLE_WIDTH))
    console.print(table)
