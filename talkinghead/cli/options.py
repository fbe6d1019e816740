"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

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


STANDARD_INPUT = Path("-")
TEXT_FILE_HELP = "Read the text from a file in UTF-8, or from standard input (-)."
VOICE_HELP = "Who says the text; `talkinghead voices` lists them, the default first."


def text_options(command: Command) -> Command:
    """Give a command `--text`, `--text-file` and `--voice`, each None where it is not used."""
    for option in (
        click.option("--voice", help=VOICE_HELP),
        click.option("--text-file", type=click.Path(path_type=Path, allow_dash=True), help=TEXT_FILE_HELP),
        click.option("--text", help="Say this instead of SPEECH; a blank line is a longer pause."),
    ):
        command = option(command)
    return command


class _Face(click.ParamType[Any]):
    """largest, left, right, or a number from 0 on, from the left."""

    name = "largest|left|right|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in ("largest", "left", "right"):
            return value
        if not str(value).isdecimal():
            self.fail(f"{value!r} is none of largest, left, right and numbers from 0 on.", param, ctx)
        return int(value)


face_option = click.option(
    "--face",
    type=_Face(),
    default="largest",
    show_default=True,
    help="Which face, where there are several; N counts from the left, from 0.",
)


def path_option(name: str, help_text: str) -> Callable[[Command], Command]:
    """An option that may be given several times, each with a path."""
    return click.option(name, multiple=True, type=click.Path(path_type=Path), help=help_text)
