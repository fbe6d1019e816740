"""Framing: which part of the clip's picture the output shows, and in which size.

A crop is chosen once for all frames that are used, from where the face is in them, so the picture stands still.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from talkinghead.errors import OptionError
from talkinghead.face.face_model import PersonFace
from talkinghead.face.reconstruction import project
from talkinghead.generation.output_options import Size
from talkinghead.generation.timeline import Timeline
from talkinghead.structures import Aspect, ByteArray, Coding, Picture, Planes, Reconstruction

HAIR = 0.35
"""Height of the hair above the face model's upper edge, the hairline, as a share of the model's height in the image."""
HEAD_ROOM = 0.1
"""The least height that a crop shows above that edge, as the same share."""
SIDE = 0.1
"""Width of what a crop shows beside the face model (ears, hair), as a share of its width, on each side."""
BELOW = 0.05
"""Height of what a crop shows below the chin, as a share of the model's height."""
ABOVE_SHARE = 0.35
"""Share of the free height of a crop that lies above the hair; more is left below the chin, for the shoulders."""
CLOSE_ABOVE_SHARE = 0.7
"""Share of the free height that lies above the face where the hair does not fit: a close-up cuts it, not the chin."""


@dataclass(frozen=True)
class Box:
    """A rectangle in a frame, pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top


@dataclass(frozen=True)
class Framing:
    """A crop of every frame, and the size that it is scaled to."""

    left: int
    """First column of the crop, pixels of the frame."""
    top: int
    """First row of the crop, pixels of the frame."""
    crop_width: int
    crop_height: int
    width: int
    """Of the output, pixels."""
    height: int
    """Of the output, pixels."""

    def applied(self, image: ByteArray) -> ByteArray:
        """The part of a frame (H, W, 3) that is shown, in the output's size."""
        cut = image[self.top : self.top + self.crop_height, self.left : self.left + self.crop_width]
        if (self.crop_width, self.crop_height) == (self.width, self.height):
            return np.ascontiguousarray(cut)
        method = cv2.INTER_CUBIC if self.enlargement > 1 else cv2.INTER_AREA
        return np.asarray(cv2.resize(cut, (self.width, self.height), interpolation=method), np.uint8)

    def framed(self, picture: Picture) -> Picture:
        """The part of a picture that is shown, in the output's size; its planes too, unless they change size."""
        if (self.left, self.top, self.crop_width, self.crop_height) == (0, 0, self.width, self.height):
            return picture
        coding = self.coding_of(picture.coding)

        def make_planes() -> Planes:
            assert picture.planes is not None and coding is not None
            return self._cut(picture.planes)

        return Picture(lambda: self.applied(picture.image), None if coding is None else make_planes, coding)

    def coding_of(self, coding: Coding | None) -> Coding | None:
        """Of pictures that are framed, by what they had before; None where they become RGB alone."""
        if coding is None or (self.crop_width, self.crop_height) != (self.width, self.height):
            return None
        rows, columns = coding.step
        sides = self.top % rows, self.height % rows, self.left % columns, self.width % columns
        return None if any(sides) else coding

    def _cut(self, planes: Planes) -> Planes:
        """The part of planes that is shown."""
        rows, columns = planes.coding.step
        luma, blue, red = (
            plane[self.top // down :, self.left // across :][: self.height // down, : self.width // across]
            for plane, down, across in zip(
                (planes.luma, *planes.chroma), (1, rows, rows), (1, columns, columns), strict=True
            )
        )
        return Planes(luma, (blue, red), planes.coding)

    @property
    def enlargement(self) -> float:
        """Factor by which the crop is scaled; above 1 the output has no more detail than the clip."""
        return max(self.width / self.crop_width, self.height / self.crop_height)


def framing_for(face: PersonFace, timeline: Timeline, aspect: Aspect | None, size: Size | None) -> Framing:
    """The framing of the frames of an output, as `choose_framing` gives it.

    Args:
        face: of the anchor.
        timeline: of the frames that are made.
        aspect, size: see there.
    """
    frame = timeline.width, timeline.height
    if aspect is None:  # nothing is cut away, wherever the face is
        return choose_framing(frame, Box(0.0, 0.0, 0.0, 0.0), 0.0, None, size)
    poses = timeline.reconstruction.select(np.unique(timeline.frames))
    needed, hair = (head_box(face, poses, frame, above) for above in (HEAD_ROOM, HAIR))
    return choose_framing(frame, needed, hair.top, aspect, size)


def choose_framing(
    frame: tuple[int, int], face: Box, hair_top: float, aspect: Aspect | None, size: Size | None
) -> Framing:
    """The largest crop of an aspect, with the face in it, and the hair where it is high enough, scaled to a size.

    Args:
        frame: width and height of the clip's frames, pixels.
        face: what has to be inside, see `head_box`.
        hair_top: upper edge of the hair, pixels.
        aspect: None keeps all of the frame.
        size: None keeps the crop's.

    Raises:
        OptionError: the face does not fit into the crop; the size does not fit it.
    """
    left, top, crop = 0, 0, frame
    if aspect is not None:
        crop = _largest(frame, aspect)
        if face.width > crop[0] or face.height > crop[1]:
            raise OptionError(
                f"aspect {aspect} of a picture of {frame[0]}x{frame[1]} leaves {crop[0]}x{crop[1]}, and the face takes "
                f"{np.ceil(face.width):.0f}x{np.ceil(face.height):.0f} as it moves; take another aspect, or a clip "
                "that shows more around it."
            )
        left = _placed(face.left, face.right, crop[0], frame[0], before=0.5)
        if face.bottom - hair_top <= crop[1]:
            top = _placed(hair_top, face.bottom, crop[1], frame[1], before=ABOVE_SHARE)
        else:
            top = _placed(face.top, face.bottom, crop[1], frame[1], before=CLOSE_ABOVE_SHARE)
    return Framing(left, top, *crop, *(crop if size is None else size.of(*crop)))


def head_box(face: PersonFace, poses: Reconstruction, frame: tuple[int, int], above: float) -> Box:
    """Where the face is in any of the frames, as far as it is in the picture, with something around it.

    Args:
        face: of the person.
        poses: of the frames that are used; those that are not valid do not count, unless none is.
        frame: width and height, pixels.
        above: height of what is shown above the face model, as a share of its height in the image.
    """
    counted = poses.select(np.flatnonzero(poses.valid)) if poses.valid.any() else poses
    model = face.model
    shape = model.neutral + np.tensordot(face.identity, model.identity_basis, 1)
    points = project(np.broadcast_to(shape, (len(counted), *shape.shape)), counted, slice(None))[..., :2]
    (left, top), (right, bottom) = points.min(1).T, points.max(1).T
    width, height = right - left, bottom - top
    return Box(
        float(max(0, (left - SIDE * width).min())),
        float(max(0, (top - above * height).min())),
        float(min(frame[0], (right + SIDE * width).max())),
        float(min(frame[1], (bottom + BELOW * height).max())),
    )


def _largest(frame: tuple[int, int], aspect: Aspect) -> tuple[int, int]:
    """Width and height, even numbers, of the largest crop of an aspect."""
    across, down = (int(number) for number in aspect.split(":"))
    scale = min(Fraction(frame[0], across), Fraction(frame[1], down))
    return 2 * int(across * scale / 2), 2 * int(down * scale / 2)


def _placed(first: float, last: float, length: int, available: int, before: float) -> int:
    """Where a stretch of a length begins that holds [first, last], with a share of its free part before that."""
    wanted = first - before * (length - (last - first))
    lowest, highest = max(0, int(np.ceil(last - length))), min(available - length, int(np.floor(first)))
    return int(np.clip(round(wanted), lowest, max(lowest, highest)))
