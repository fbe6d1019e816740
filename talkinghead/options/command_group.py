"""The command group that prints each error once and ends with its exit code."""

from __future__ import annotations

import io
import sys
from typing import Any

import click

from talkinghead.errors import TalkingHeadError, TrainingInterruptedError
from talkinghead.locale.messages import translated

INTERRUPTED = 130
"""Exit code of an interrupted command, as shells report it."""


class CommandGroup(click.Group):
    """A group whose commands print an error as one line on standard error and end with its exit code."""

    def main(self, *arguments: Any, **settings: Any) -> Any:
        # On Windows, an output that is no terminal has an old encoding, which lacks most characters of most languages.
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        return super().main(*arguments, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TalkingHeadError as error:
            what = "" if isinstance(error, TrainingInterruptedError) else translated("Error: ")
            click.echo(f"{what}{translated(str(error))}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt as interrupt:
            click.echo(translated(str(interrupt) or "Interrupted."), err=True)
            ctx.exit(INTERRUPTED)
