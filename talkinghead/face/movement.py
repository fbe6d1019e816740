"""Whether anything moves in a clip: a still picture, or a mouth that never opens, is told before it is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from talkinghead.face.face_model import PersonFace
from talkinghead.structures import Reconstruction

FEWEST_FRAMES = 10
"""Frames with a face from which movement can be judged."""
STILL_OPENING = 0.003
"""Range of the mouth's opening, over the width of the face, that the noise of a still picture gives."""
STILL_DEGREES = 0.15
"""Standard deviation of the head's rotation, in degrees, that it gives."""
SHUT_OPENING = 0.01
"""Range of the opening of a mouth that does not speak; that of one that does is several times as large."""
RANGE = (0.05, 0.95)
"""Quantiles that a range lies between."""


def is_still(reconstruction: Reconstruction, face: PersonFace) -> bool:
    """Whether a clip shows a picture in which nothing moves.

    Args:
        reconstruction: of the clip's frames.
        face: of the person in it.
    """
    rotation = np.degrees(reconstruction.rotation[reconstruction.valid])
    has_enough = len(rotation) >= FEWEST_FRAMES
    return has_enough and opening_range(reconstruction, face) < STILL_OPENING and rotation.std(0).max() < STILL_DEGREES


def opening_range(reconstruction: Reconstruction, face: PersonFace) -> float:
    """How far the mouth's opening varies in the frames with a face, over the width of the face."""
    opening = face.opening(reconstruction.expression[reconstruction.valid])
    low, high = np.quantile(opening, RANGE)
    return float(high - low)


def training_remarks(clip: Path, reconstruction: Reconstruction, face: PersonFace) -> list[str]:
    """Remarks on a clip that an ANCHOR is to be made of; the arguments are those of `is_still`."""
    if is_still(reconstruction, face):
        what = f"{clip} shows a still picture"
    elif reconstruction.valid.sum() >= FEWEST_FRAMES and opening_range(reconstruction, face) < SHUT_OPENING:
        what = f"The mouth in {clip} hardly moves"
    else:
        return []
    return [f"{what}: there is no speech to learn from, and the new mouth will be poor. Take a clip with speech."]


def driving_remarks(clip: Path, reconstruction: Reconstruction, face: PersonFace) -> list[str]:
    """Remarks on a clip whose frames an ANCHOR is to speak in; the arguments are those of `is_still`."""
    if not is_still(reconstruction, face):
        return []
    return [f"{clip} shows a still picture: nothing but the mouth will move. Take a clip in which the head moves."]
