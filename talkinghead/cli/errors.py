"""The command group that shows each error once, with its exit code."""

from __future__ import annotations

from typing import Any

import click

from talkinghead.errors import TalkingHeadError

INTERRUPTED = 130  # what a shell reports for a command that Ctrl-C ended


class CommandGroup(click.Group):
    """Shows an error once, in one line on standard error, and ends with its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TalkingHeadError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
