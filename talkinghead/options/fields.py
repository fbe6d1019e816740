"""The options of a command, each defined once: as a field of a frozen dataclass.

    @dataclass(frozen=True)
    class GenerationConfig:
        intensity: float = option(1.0, help="How far the mouth moves.", low=0, high=3)

        def __post_init__(self) -> None:
            check_options(self)

`options_of(GenerationConfig)` lists them with type, default, unit, range and help. The command line makes its options
from that list (`talkinghead.cli.options`), a batch the columns of its job file, and the documentation is tested
against it. A module that defines such a dataclass must not import anything heavy: the command line imports it at once.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from talkinghead.errors import OptionError, TalkingHeadError
from talkinghead.structures import SHORTEST_RANGE_S, ClipRange, FaceChoice

T = TypeVar("T")

FACE_NAMES = ("largest", "left", "right")
"""The words that name a face of a clip; every other is named by its number from the left."""

_CLIP_RANGE_WORDS = f"START-ENDs in seconds, such as 3-17s, of at least {SHORTEST_RANGE_S:g} s"
_KEY = "talkinghead.option"
_NUMBER_WORDS = {float: "a number", int: "a whole number"}


@dataclass(frozen=True)
class Option:
    """One option, as a field of a dataclass defines it."""

    name: str
    """Of the field."""
    kind: Any
    """Type of a value that is not None: float, int, bool, str, Path, tuple[Path, Path], ClipRange, FaceChoice, or a
    Literal."""
    default: Any
    """Value where nothing is given; only where it is None may the option be None."""
    help: str
    """One line, for users."""
    low: float | None
    """Smallest allowed number; None where there is no bound."""
    high: float | None
    """Largest allowed number; None where there is no bound."""
    unit: str
    """Of a number; empty where it has none."""
    error: type[TalkingHeadError]
    """Raised for a value that is not allowed."""
    may_be_folder: bool
    """Whether a text is the path of a folder or file, where there is one of that name."""
    metavar: str
    """Placeholder of the value in the command's help; empty for that of its type."""

    @property
    def expected(self) -> str:
        """What a value has to be, in words: "a number from 0 to 3"."""
        if self.kind in _NUMBER_WORDS:
            of = "of " if self.allowed_range.startswith("at") else ""
            return f"{_NUMBER_WORDS[self.kind]} {of}{self.allowed_range}".strip()
        if self.kind == FaceChoice:
            return "largest, left, right or a number from 0 on"
        if get_origin(self.kind) is Literal:
            return f"one of {', '.join(get_args(self.kind))}"
        words = {bool: "true or false", str: "a text", Path: "a path", ClipRange: _CLIP_RANGE_WORDS}
        return words.get(self.kind, "a pair of paths")

    @property
    def allowed_range(self) -> str:
        """The allowed numbers, in words: "from 1 to 1000 ms"; empty where all are allowed."""
        low, high = ("" if bound is None else f"{bound:.12g}" for bound in (self.low, self.high))
        words = f"from {low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
        return f"{words} {self.unit}".strip() if low or high else ""

    @property
    def description(self) -> str:
        """The help, followed by range and default where there are any: "How far. [from 0 to 3; default: 1]"."""
        notes = [self.allowed_range] if self.allowed_range else []
        if self.default is True:
            notes.append("default: on")
        elif self.default is not None and self.default is not False:
            notes.append(f"default: {self.default:.12g}" if self.kind is float else f"default: {self.default}")
        return f"{self.help} [{'; '.join(notes)}]" if notes else self.help

    def check(self, value: object) -> None:
        """Raise `error` unless a value is of the option's kind and range."""
        if value is None and self.default is None:
            return
        if not self._allows(value):
            raise self.error(f"{self.name} has to be {self.expected}, not {_shown(value)}.")

    def _allows(self, value: object) -> bool:
        if self.kind in _NUMBER_WORDS:
            is_number = isinstance(value, Real if self.kind is float else Integral) and not isinstance(value, bool)
            return is_number and self._is_in_range(float(value))  # type: ignore[arg-type]
        if self.kind == FaceChoice:
            is_number = isinstance(value, Integral) and not isinstance(value, bool)
            return int(value) >= 0 if is_number else value in FACE_NAMES  # type: ignore[call-overload]
        if get_origin(self.kind) is Literal:
            return value in get_args(self.kind)
        if get_origin(self.kind) is tuple:
            return isinstance(value, tuple) and len(value) == 2 and all(isinstance(path, Path) for path in value)
        return isinstance(value, self.kind)

    def _is_in_range(self, value: float) -> bool:
        above = self.low is None or value >= self.low
        return math.isfinite(value) and above and (self.high is None or value <= self.high)


def option(
    default: T,
    *,
    help: str,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    error: type[TalkingHeadError] = OptionError,
    may_be_folder: bool = False,
    metavar: str = "",
) -> T:
    """A dataclass field that is an option; the arguments are those of `Option`."""
    made = Option(
        "", None, default, help, low, high, unit, error, may_be_folder, metavar
    )  # the field knows its name and type
    field: T = dataclasses.field(default=default, metadata={_KEY: made})
    return field


def device_option() -> str:
    """The option `device`, a dataclass field."""
    return option("auto", help="Where networks run: auto (CUDA where there is a GPU), cpu or cuda.")


def options_of(config: type[Any]) -> tuple[Option, ...]:
    """Every field of a dataclass that `option` made, in order."""
    key: Any = config
    return _options_of(key)


@functools.cache
def _options_of(config: Any) -> tuple[Option, ...]:
    hints = get_type_hints(config)
    return tuple(
        dataclasses.replace(field.metadata[_KEY], name=field.name, kind=_without_none(hints[field.name]))
        for field in dataclasses.fields(config)
        if _KEY in field.metadata
    )


def check_options(config: Any) -> None:
    """Check every option of a dataclass, and make paths and clip ranges of texts; its `__post_init__` calls this.

    Raises:
        OptionError, or the option's own error: a value is not of its kind, or out of its range.
    """
    for found in options_of(type(config)):
        value = getattr(config, found.name)
        if found.kind is Path and isinstance(value, str):
            object.__setattr__(config, found.name, Path(value))
        if found.kind is ClipRange and isinstance(value, str):
            object.__setattr__(config, found.name, _clip_range(found, value))
        found.check(getattr(config, found.name))


def parse_face(text: str) -> FaceChoice:
    """Which face a text names: largest, left, right, or a number from 0 on.

    Raises:
        ValueError: it names none.
    """
    if text in FACE_NAMES:
        return text  # type: ignore[return-value]
    if text.isascii() and text.isdecimal():
        return int(text)
    raise ValueError(f"{text!r} is none of largest, left, right and numbers from 0 on.")


def _clip_range(option: Option, text: str) -> ClipRange:
    """The range that a text names.

    Raises:
        The option's error: it names none.
    """
    try:
        return ClipRange.parse(text)
    except ValueError as error:
        raise option.error(f"{option.name}: {error}.") from error


def _without_none(hint: Any) -> Any:
    if hint == FaceChoice or get_origin(hint) not in (Union, types.UnionType):
        return hint
    kept = [part for part in get_args(hint) if part is not types.NoneType]
    return Union[tuple(kept)]  # noqa: UP007


def _shown(value: object) -> str:
    """A wrong value, short enough for a message of one line."""
    text = f"{value:g}" if isinstance(value, Real) and not isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
