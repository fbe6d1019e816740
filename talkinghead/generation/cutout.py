"""Cutting the person out of the frames of an output, and putting a background behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from talkinghead.anchor import Anchor
from talkinghead.errors import CheckpointError
from talkinghead.generation.crossing import Crossing
from talkinghead.generation.framing import Framing
from talkinghead.generation.output_options import Color
from talkinghead.generation.timeline import Timeline
from talkinghead.matting.backgrounds import Background, open_background
from talkinghead.matting.clip_matte import ClipMatte, cached_matte, load_matte
from talkinghead.matting.foreground import composed, foreground
from talkinghead.matting.refinement import refined
from talkinghead.matting.segmenter import SIDE_PX
from talkinghead.structures import ByteArray, FloatArray, Tracks

CHECKED_PX = 16
"""Side of the squares that stand for transparency on a contact sheet."""
CHECKED = (150, 200)
"""Their gray levels."""


@dataclass(frozen=True)
class Cutout:
    """The person of an output's frames before another background."""

    matte: ClipMatte
    """Of the clip."""
    crossing: Crossing | None
    """With which the clip goes on; see `Timeline`."""
    framing: Framing
    background: Background | None
    """None leaves the background transparent."""
    begin_s: float = 0.0
    """Time in the whole output of the first frame that is made."""

    def applied(self, number: int, image: ByteArray, time_s: float) -> tuple[ByteArray, ByteArray | None]:
        """One frame, framed.

        Args:
            number: of the frame, in the clip or among the blended frames after it.
            image: (H, W, 3) uint8, as it is before it is framed.
            time_s: presentation time.

        Returns:
            (height, width, 3) uint8, and where the background is transparent (height, width) uint8, its alpha.
        """
        alpha = self.framing.applied(self._matte(number, image))
        person = foreground(self.framing.applied(image), alpha)
        if self.background is None:
            return person, alpha
        return composed(person, alpha, self.background.at(self.begin_s + time_s)), None

    def _matte(self, number: int, image: ByteArray) -> ByteArray:
        """The matte of a frame; that of a blended one is drawn anew, from between those of its two sides."""
        if self.crossing is None or number < self.crossing.first:
            return self.matte.frame(number)
        step, loop = number - self.crossing.first, self.crossing.loop
        weight = float(self.crossing.weights[step])
        sides = (self.matte.frame(loop.leave + step), self.matte.frame(loop.enter + step))
        between = (1 - weight) * sides[0].astype(np.float32) + weight * sides[1].astype(np.float32)
        coarse: FloatArray = np.asarray(cv2.resize(between / 255, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA))
        return refined(image, coarse)


def matte_of(anchor: Anchor, clip: Path | None, tracks: Tracks, progress: Callable[[int], None] | None) -> ClipMatte:
    """The matte of the clip that frames are taken from: the ANCHOR's, or one that is made once and cached.

    Args:
        anchor: who speaks.
        clip: another clip of the same person; None is the anchor's own.
        tracks: which video track of that.
        progress: called with the number of frames done while it is made.

    Raises:
        MissingFileError, MediaError, CheckpointError: it cannot be read.
        ModelUnavailableError: the network that it is made with cannot be had.
    """
    if clip is not None:
        return cached_matte(clip, tracks, progress)
    if anchor.matte is None:
        return cached_matte(anchor.clip, anchor.tracks, progress)
    return load_matte(anchor.matte)


def check_matte(matte: ClipMatte, frames: int, width: int, height: int) -> None:
    """Raise CheckpointError unless a matte is of a clip of so many frames, of that size."""
    if (len(matte), matte.width, matte.height) != (frames, width, height):
        raise CheckpointError(
            f"The matte has {len(matte)} frames of {matte.width}x{matte.height}, and its clip {frames} of "
            f"{width}x{height}; train the anchor again."
        )


def cutout_for(
    matte: ClipMatte, timeline: Timeline, framing: Framing, named: str | Color | Path, begin_s: float
) -> Cutout:
    """What cuts the person out of the frames of a timeline.

    Args:
        matte: of the timeline's clip.
        timeline: of the frames that are made.
        framing: of them.
        named: the background, see `output_options.parse_background`.
        begin_s: time in the whole output of the first of them.

    Raises:
        MissingFileError, MediaError: the background cannot be read.
        CheckpointError: the matte is of another clip.
    """
    crossing = timeline.crossing
    frames = len(timeline.reconstruction) if crossing is None else crossing.first
    check_matte(matte, frames, timeline.width, timeline.height)
    background = None
    if not isinstance(named, str):
        background = open_background(named, framing.width, framing.height)
    return Cutout(matte, crossing, framing, background, begin_s)


def before_squares(image: ByteArray, alpha: ByteArray) -> ByteArray:
    """A cut-out person before gray squares, for people to see what is transparent."""
    height, width = alpha.shape
    rows, columns = np.arange(height) // CHECKED_PX, np.arange(width) // CHECKED_PX
    squares = np.where((rows[:, None] + columns) % 2, *CHECKED).astype(np.uint8)
    return composed(image, alpha, np.repeat(squares[..., None], 3, 2))
