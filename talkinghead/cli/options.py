"""Options that several commands share, and options made from the fields of a dataclass."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click

from talkinghead.options.fields import Option, options_of, parse_face
from talkinghead.structures import ClipRange, FaceChoice

Command = TypeVar("Command", bound=Callable[..., Any])

STANDARD_INPUT = Path("-")
TEXT_FILE_HELP = "Read the text from a file in UTF-8, or from standard input (-)."
VOICE_HELP = "Voice that reads the text; `talkinghead voices` lists them, the default first."

_SHARED_OPTIONS = {
    "overwrite": click.option("--overwrite", is_flag=True, help="Replace outputs that exist."),
    "quiet": click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors."),
    "json": click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text."),
}


def shared_options(*names: str) -> Callable[[Command], Command]:
    """Give a command those of the options `overwrite`, `quiet` and `json` (passed as `as_json`) that it names."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = _SHARED_OPTIONS[name](command)
        return command

    return decorate


def config_options(
    config: type[Any], parameter: str = "config", *, bare: Mapping[str, str] | None = None
) -> Callable[[Command], Callable[..., Any]]:
    """Give a command one option for every option of a dataclass.

    The command is called with one argument, `parameter`, that is an instance of the dataclass, in place of the options.
    A field `attack_ms` becomes `--attack-ms`, a field of type bool a pair such as `--resume/--no-resume`, or a plain
    flag where it is False by default. An option in `bare` may be given without a value, and then has the one there.
    """
    found = options_of(config)

    def decorate(command: Command) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_config(**values: Any) -> Any:
            values[parameter] = config(**{option.name: values.pop(option.name) for option in found})
            return command(**values)

        for option in reversed(found):
            with_config = _click_option(option, (bare or {}).get(option.name))(with_config)
        return with_config

    return decorate


_METAVARS = {FaceChoice: "largest|left|right|N", ClipRange: "START-ENDs"}
"""Placeholders of values in the help, by their type."""


def _click_option(option: Option, bare: str | None) -> Callable[[Command], Command]:
    flag = "--" + option.name.replace("_", "-")
    metavar = option.metavar or _METAVARS.get(option.kind)
    settings: dict[str, Any] = {"default": option.default, "help": option.description, "metavar": metavar}
    if option.kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}" if option.default else flag, is_flag=True, **settings)
    if get_origin(option.kind) is tuple:
        return click.option(flag, nargs=2, type=click.Path(path_type=Path), **settings)
    if bare is not None:
        settings |= {"is_flag": False, "flag_value": bare}
    return click.option(flag, type=_click_type(option.kind), **settings)


def _click_type(kind: Any) -> click.ParamType[Any]:
    """Reads a value from the command line; that it is in its range, the dataclass checks."""
    if kind == FaceChoice:
        return _Face()
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    types: dict[Any, click.ParamType[Any]] = {
        float: click.FLOAT,
        int: click.INT,
        str: click.STRING,
        ClipRange: click.STRING,  # the dataclass reads it, and says in one line what is wrong with it
        Path: click.Path(path_type=Path),
    }
    return types[kind]


class _Face(click.ParamType[Any]):
    """largest, left, right, or a number from 0 on, from the left."""

    name = "face"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return parse_face(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def face_option(command: Command) -> Command:
    """Give a command `--face`, passed as `face`."""
    help_text = "Face to look at where a clip shows several: largest, left, right, or its number from the left, from 0."
    option = click.option("--face", type=_Face(), default="largest", metavar="largest|left|right|N", help=help_text)
    return option(command)


def text_options(command: Command) -> Command:
    """Give a command `--text`, `--text-file` and `--voice`, each None where it is not used."""
    for option in (
        click.option("--voice", help=VOICE_HELP),
        click.option("--text-file", type=click.Path(path_type=Path, allow_dash=True), help=TEXT_FILE_HELP),
        click.option("--text", help="Speak this text instead of SPEECH; a blank line makes a longer pause."),
    ):
        command = option(command)
    return command


def caption_options(command: Command) -> Command:
    """Give a command `--subtitles`, `--visemes` and `--viseme-set`."""
    for option in (
        click.option(
            "--viseme-set",
            type=click.Choice(["rhubarb", "azure"]),
            default="rhubarb",
            help="Mouth shapes of --visemes: Rhubarb Lip Sync's A to H and X, or Azure's and SAPI's ids 0 to 21.",
        ),
        click.option(
            "--visemes",
            type=click.Path(path_type=Path),
            help="Also write mouth shapes (.tsv, .xml, .json; Azure .json).",
        ),
        click.option("--subtitles", type=click.Path(path_type=Path), help="Also write subtitles (.srt, .vtt)."),
    ):
        command = option(command)
    return command


def path_option(name: str, help_text: str) -> Callable[[Command], Command]:
    """An option that may be given several times, each with a path."""
    return click.option(name, multiple=True, type=click.Path(path_type=Path), help=help_text)
