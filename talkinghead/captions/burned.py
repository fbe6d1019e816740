"""Subtitles drawn into the frames: white letters on a darkened box, in the lower part of the picture."""

from __future__ import annotations

import bisect
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from talkinghead.captions.cues import Cue
from talkinghead.errors import LabelError
from talkinghead.media.fonts import load_font, missing_letters
from talkinghead.structures import ByteArray, FloatArray

MARGIN_SHARE = 0.05
"""Distance from the lower edge and the sides, as a share of the picture: the safe area for text of EBU R 95."""
LETTER_SHARE = 0.035
"""Height of the capital letters, as a share of the picture's shorter side."""
SMALLEST_PX = 6.0
"""Smaller capital letters cannot be read."""
BACKGROUND_BRIGHTNESS = 0.35
"""What is left of the frame's brightness behind the letters."""


_PLAIN_FORMS = {"—": "-", "–": "-", "‑": "-", "’": "'", "‘": "'", "“": '"', "”": '"', "…": "..."}
"""What is drawn where a font lacks a typographic mark."""


def _plain_forms(lacking: str) -> dict[int, str]:
    """What stands for characters that a font lacks: plain forms of typographic marks, nothing for emoji, which are not
    spoken either; there is nothing for others."""
    plain = {ord(mark): form for mark, form in _PLAIN_FORMS.items() if mark in lacking}
    return plain | {ord(mark): "" for mark in lacking if unicodedata.category(mark) in ("So", "Sk", "Mn", "Cf")}


@dataclass(frozen=True)
class _Drawn:
    """A cue as pixels."""

    opacity: FloatArray
    """(h, w, 1), of the white letters."""
    box: tuple[slice, slice]


class BurnedSubtitles:
    """Draws each cue into the frames of its time; the letters are drawn once a cue."""

    def __init__(
        self, cues: Sequence[Cue], size: tuple[int, int], font: Path | None = None, lowest_px: int = 0
    ) -> None:
        """Choose the size of the letters, so that the widest line fits.

        Args:
            cues: in the order of time, on the clock of the frames.
            size: width and height of the frames, pixels.
            font: TrueType or OpenType file; None is the built-in one, which has Latin letters only.
            lowest_px: height of what lies at the lower edge, such as a visible label, which is left free.

        Raises:
            LabelError: the font lacks letters, or is none; or the frames are too small.
            MissingFileError: there is no such font.
        """
        self._cues = cues
        self._starts_s = [cue.start_s for cue in cues]
        self._width, self._height = size
        self._bottom = self._height - max(round(MARGIN_SHARE * self._height), lowest_px)
        available_px = (1 - 2 * MARGIN_SHARE) * self._width
        letter_px = LETTER_SHARE * min(size)
        trial = load_font(font, 100.0)
        self._plain = _plain_forms(missing_letters(trial, "".join(line for cue in cues for line in cue.lines)))
        lines = [line.translate(self._plain) for cue in cues for line in cue.lines]
        lacking = missing_letters(trial, "".join(lines))
        if lacking:
            raise LabelError(
                f"The font of the subtitles lacks {lacking[:10]!r}; name one that has these letters with "
                "--subtitle-font, such as one of the Noto fonts."
            )
        # The margin of the box is one letter's height on either side.
        widest = max((trial.getlength(line) / 100.0 + 2 for line in lines), default=1.0)
        self._letter_px = min(letter_px, available_px / widest)
        if self._letter_px < SMALLEST_PX:
            raise LabelError(
                f"Subtitles cannot be read in frames of {self._width}x{self._height} pixels; leave them out, or write "
                "them to a file."
            )
        self._font = load_font(font, self._letter_px)
        self._drawn: tuple[int, _Drawn] | None = None
        """The cue that was shown last, by its number."""

    def are_shown_at(self, time_s: float) -> bool:
        """Whether there is a cue at a time."""
        return self._number_at(time_s) is not None

    def _number_at(self, time_s: float) -> int | None:
        number = bisect.bisect_right(self._starts_s, time_s + 1e-6) - 1
        return None if number < 0 or time_s >= self._cues[number].end_s - 1e-6 else number

    def drawn_on(self, image: ByteArray, time_s: float) -> ByteArray:
        """A frame's image, (H, W, 3) uint8, with the cue of its time; as it is where there is none."""
        number = self._number_at(time_s)
        if number is None:
            return image
        if self._drawn is None or self._drawn[0] != number:
            self._drawn = (number, self._draw(self._cues[number].lines))
        drawn = self._drawn[1]
        shown = image.copy()
        background = image[drawn.box] * np.float32(BACKGROUND_BRIGHTNESS)
        shown[drawn.box] = np.round(background + drawn.opacity * (255 - background)).astype(np.uint8)
        return shown

    def _draw(self, lines: Sequence[str]) -> _Drawn:
        ascent, descent = self._font.getmetrics()
        line_px, margin = ascent + descent, max(2, round(self._letter_px / 2))
        lines = [line.translate(self._plain).strip() for line in lines]
        widths = [self._font.getlength(line) for line in lines]
        box_width = min(self._width, round(max(widths)) + 4 * margin)
        box_height = min(self._bottom, line_px * len(lines) + 2 * margin)
        image = Image.new("L", (box_width, box_height), 0)
        for number, (line, line_width) in enumerate(zip(lines, widths, strict=True)):
            position = ((box_width - line_width) / 2, margin + number * line_px)
            ImageDraw.Draw(image).text(position, line, fill=255, font=self._font)
        left = (self._width - box_width) // 2
        box = (slice(self._bottom - box_height, self._bottom), slice(left, left + box_width))
        return _Drawn(np.asarray(image, np.float32)[..., None] / np.float32(255), box)
