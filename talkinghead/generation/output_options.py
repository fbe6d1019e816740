"""Options of the output that are written as texts: range of a preview, size of the picture, background."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from talkinghead.errors import OptionError

FIRST_SECONDS = "0-3"
"""Range of a preview where none is given."""
SMALLEST_PX, LARGEST_PX = 64, 8192
"""Least and greatest width and height."""
SAME_SHAPE = 0.01
"""A width and height whose ratio differs by up to this share from the picture's does not visibly distort it."""

TRANSPARENT: Literal["transparent"] = "transparent"
"""The name of no background: the output has an alpha channel."""
Color = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""
NamedBackground = Literal["transparent"] | Color | Path
"""A background that is asked for."""

_SECONDS = r"(\d{1,6}(?:\.\d{1,6})?)\s*s?"
_RANGE = re.compile(rf"(?:{_SECONDS}\s*-\s*)?{_SECONDS}", re.ASCII)
_SIZE = re.compile(r"(\d{1,5})(?:x(\d{1,5})|(p))?", re.ASCII)


@dataclass(frozen=True)
class TimeRange:
    """A stretch of the output, in seconds from its beginning."""

    begin_s: float
    end_s: float


def parse_preview(text: str) -> TimeRange:
    """The range of a preview: "10-13" or "10-13s", or "3" for the first three seconds.

    Raises:
        OptionError: it is none.
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        raise OptionError(
            f"preview has to be a range of seconds, such as 10-13, or the first few, such as 3, not {text!r:.60}; "
            "without one, the option comes last."
        )
    begin_s, end_s = float(found[1] or 0), float(found[2])
    if begin_s >= end_s:
        raise OptionError(f"preview {text!r} has to end after it begins.")
    return TimeRange(begin_s, end_s)


@dataclass(frozen=True)
class Size:
    """A wanted size of the picture; two of the three fields are None, or the last one is."""

    width: int | None = None
    height: int | None = None
    shorter: int | None = None
    """Pixels of the shorter side."""

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Width and height, even numbers, for a picture of a width and height whose shape is kept.

        Raises:
            OptionError: both are given, and in another ratio than the picture's; or the result is too small or large.
        """
        if self.width is not None and self.height is not None:
            if abs(self.width * height / (self.height * width) - 1) > SAME_SHAPE:
                raise OptionError(
                    f"size {self.width}x{self.height} would distort the picture of {width}x{height}; give its width "
                    "alone, or crop it by aspect."
                )
            return self.width, self.height
        factor = self.width / width if self.width is not None else (self.shorter or 0) / min(width, height)
        found = 2 * round(width * factor / 2), 2 * round(height * factor / 2)
        if not all(SMALLEST_PX <= side <= LARGEST_PX for side in found):
            raise OptionError(
                f"size {found[0]}x{found[1]} is not possible: each side has to be {SMALLEST_PX} to {LARGEST_PX} pixels."
            )
        return found


def parse_size(text: str) -> Size:
    """The size of the picture: "1280" is its width, "1280x720" width and height, "720p" its shorter side.

    Raises:
        OptionError: it is none, or a number is odd, too small or too large.
    """
    found = _SIZE.fullmatch(text.strip())
    numbers = [int(number) for number in found.groups()[:2] if number] if found else []
    if not numbers or any(number % 2 or not SMALLEST_PX <= number <= LARGEST_PX for number in numbers):
        raise OptionError(
            f"size has to be a width, WIDTHxHEIGHT or a height such as 720p, in even numbers from {SMALLEST_PX} to "
            f"{LARGEST_PX}, not {text!r:.60}."
        )
    if found and found[3]:
        return Size(shorter=numbers[0])
    return Size(*numbers)


def parse_background(text: str) -> NamedBackground:
    """What a text names: no background (`transparent`), a color as CSS has it (`#00b140`, `rgb(0, 177, 64)`, `white`),
    or else the path of a picture or video.

    Raises:
        OptionError: the text is empty, or begins like a color and is none, or names one with an alpha of its own.
    """
    from PIL import ImageColor  # the command line imports this module at once, and Pillow takes its time

    named = text.strip()
    if not named:
        raise OptionError("background has to be transparent, a color such as #00b140, or a picture or video file.")
    if named.lower() == TRANSPARENT:
        return TRANSPARENT
    try:
        color = ImageColor.getrgb(named)
    except ValueError as error:
        if named.startswith("#"):
            raise OptionError(
                f"background {named!r:.60} is no color; three or six digits are expected, as in #00b140. "
                f"A file of that name is ./{named:.60}"
            ) from error
        return Path(named)
    if len(color) != 3:
        raise OptionError(f"background {named!r:.60} is half transparent; give a color without alpha, or transparent.")
    return color
