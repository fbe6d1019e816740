"""Which frames can be given a new lower face: not those where the face is lost, turned too far, or covered.

The network has been trained on the poses of one clip, with nothing in front of the mouth. What it would draw on a head
that is turned further, or behind a hand, is worse than the frame as it is. Such frames are found by three signs: the
head's direction is far from any that was trained, the landmarks do not lie as any face's would, or the pixels of the
crop do not look like this person's (the landmark model places a plausible mouth on a hand and is no help there).
Around them the generated image is blended out and in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from talkinghead.face.appearance import NEARLY_ALL
from talkinghead.face.rotations import rotation_matrices
from talkinghead.structures import BoolArray, FloatArray, Frame, Reconstruction

FADE_S = 0.2
"""Time in which the generated image is blended out before frames that are passed through, and in after them."""
FURTHEST_DEG = 8.0
"""A head that points further than this from every trained direction is turned beyond what the clip shows."""
LEAST_MISFIT_CM = 0.12
"""Landmarks with a mean distance from the reconstruction up to this are ordinary in any clip."""
MISFIT_FACTOR = 2.5
"""Landmarks up to this many times as far away as nearly all of the anchor's own are ordinary too."""


class Reason(StrEnum):
    """Why a frame is passed through."""

    NO_FACE = "no face"
    TURNED = "turned too far"
    MISFIT = "landmarks do not fit"
    COVERED = "face covered"


@dataclass(frozen=True)
class UpdatedFrame(Frame):
    """One frame of an output, with what became of it."""

    reject_reason: Reason | None = None
    """Why it is passed through unchanged; None where it is not."""
    blend_weight: float = 1.0
    """Share of the generated image in the lower face, 0 to 1; less than 1 next to frames that are passed through."""


@dataclass(frozen=True)
class PassthroughReport:
    """Which frames of an output are not, or not only, generated."""

    reasons: Mapping[Reason, int] = field(default_factory=dict)
    """Number of frames passed through, by reason."""
    blended: int = 0
    """Number of frames that are a blend of both."""

    @property
    def passed_through(self) -> int:
        """Number of frames passed through."""
        return sum(self.reasons.values())


class PassthroughCount:
    """Counts the frames of an output as they come."""

    def __init__(self) -> None:
        self._reasons: Counter[Reason] = Counter()
        self._blended = 0

    def add(self, frame: UpdatedFrame) -> None:
        """Count a frame."""
        if frame.reject_reason is not None:
            self._reasons[frame.reject_reason] += 1
        elif 0 < frame.blend_weight < 1:
            self._blended += 1

    def report(self) -> PassthroughReport:
        """The frames counted so far."""
        return PassthroughReport(dict(self._reasons), self._blended)


def turned_deg(trained: Reconstruction, target: Reconstruction) -> NDArray[np.float64]:
    """Angle between the head's direction in each target frame and the nearest trained one: (T,) degrees.

    Rotation in the image plane does not count, since the crop rotates with it.
    """
    known = rotation_matrices(trained.rotation[trained.valid])[:, :, 2]
    known = np.unique(known.round(2), axis=0)  # directions half a degree apart count as one
    cosine = rotation_matrices(target.rotation)[:, :, 2] @ (known / np.linalg.norm(known, axis=1, keepdims=True)).T
    return np.degrees(np.arccos(cosine.max(1).clip(-1, 1)))


def reject_reasons(target: Reconstruction, trained: Reconstruction) -> list[Reason | None]:
    """Why each of T frames cannot be given a new face, as far as landmarks show; None for those that can.

    Args:
        target: T frames.
        trained: the frames that the network was trained on.
    """
    if not target.valid.any():
        return [Reason.NO_FACE] * len(target)
    usual = trained.misfit_cm[trained.valid]
    limit = max(LEAST_MISFIT_CM, MISFIT_FACTOR * float(np.quantile(usual, NEARLY_ALL)))
    # Another camera distorts faces in another way, so the median misfit of the target frames does not count.
    misfit = target.misfit_cm - np.median(target.misfit_cm[target.valid]) + np.median(usual)
    turned = turned_deg(trained, target) > FURTHEST_DEG
    reasons: list[Reason | None] = []
    for valid, too_far, fits in zip(target.valid, turned, misfit <= limit, strict=True):
        reasons.append(Reason.NO_FACE if not valid else Reason.TURNED if too_far else None if fits else Reason.MISFIT)
    return reasons


def blend_weights(accepted: BoolArray, times_s: NDArray[np.float64]) -> FloatArray:
    """Share of the generated image in each of T frames: 0 where it is not accepted, eased to 1 around those.

    Args:
        accepted: (T,) False for frames that are passed through.
        times_s: (T,) seconds.
    """
    distance_s = np.full(len(times_s), np.inf)
    for time_s in times_s[~accepted]:
        distance_s = np.minimum(distance_s, np.abs(times_s - time_s))
    share = np.clip(distance_s / FADE_S, 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
