"""Which frames can be given a new lower face: not those where the face is lost, turned too far, or covered.

The network has learned a person from the poses of one clip, with nothing before the mouth. What it would paint on a
head that is turned further, or behind a hand, is worse than the frame as it is. Such frames are found by three signs:
the head's direction is far from any that was trained, the landmarks do not lie as any face's would, or the pixels
of the crop are not those of this person (the landmark model paints a plausible mouth through a hand and is no help
there). Around them the new picture is faded out and in.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from talkinghead.face.appearance import NEARLY_ALL
from talkinghead.face.reconstruction import rotation_matrices
from talkinghead.structures import BoolArray, FloatArray, Reconstruction

FADE_S = 0.2
"""Time in which the new picture fades out before frames that are passed through, and in after them."""
FURTHEST_DEG = 8.0
"""A head that points further than this from every direction that was trained is turned beyond what the clip shows."""
LEAST_MISFIT_CM = 0.12
"""Landmarks that are this far from the reconstruction, on average, are not remarkable in any clip."""
MISFIT_FACTOR = 2.5
"""Nor are those that are less than so many times as far away as nearly all of the anchor's own."""


class Reason(StrEnum):
    """Why a frame is passed through."""

    NO_FACE = "no face"
    TURNED = "turned too far"
    MISFIT = "landmarks do not fit"
    COVERED = "face covered"


@dataclass
class Fallbacks:
    """What of an output is not, or not only, a new picture."""

    reasons: Counter[Reason] = field(default_factory=Counter)
    """Frames passed through."""
    blended: int = 0


def turned_deg(trained: Reconstruction, seen: Reconstruction) -> NDArray[np.float64]:
    """How far the head points away from the nearest direction among the trained frames: (T,) degrees.

    Turning in the plane of the picture does not count, since the crop turns with it.
    """
    known = rotation_matrices(trained.rotation[trained.valid])[:, :, 2]
    known = np.unique(known.round(2), axis=0)  # half a degree apart is the same
    cosine = rotation_matrices(seen.rotation)[:, :, 2] @ (known / np.linalg.norm(known, axis=1, keepdims=True)).T
    return np.degrees(np.arccos(cosine.max(1).clip(-1, 1)))


def reject_reasons(
    seen: Reconstruction,
    seen_misfit_cm: NDArray[np.float64],
    trained: Reconstruction,
    trained_misfit_cm: NDArray[np.float64],
) -> list[Reason | None]:
    """Why each of T frames cannot be given a new face, as far as landmarks tell; None for those that can.

    Args:
        seen: T frames, and
        seen_misfit_cm: (T,) their misfit. Another camera bends faces in another way, so its median does not count.
        trained: the frames that the network was trained on, and
        trained_misfit_cm: their misfit.
    """
    usual = trained_misfit_cm[trained.valid]
    if not seen.valid.any():
        return [Reason.NO_FACE] * len(seen)
    limit = max(LEAST_MISFIT_CM, MISFIT_FACTOR * float(np.quantile(usual, NEARLY_ALL)))
    misfit = seen_misfit_cm - np.median(seen_misfit_cm[seen.valid]) + np.median(usual)
    turned = turned_deg(trained, seen) > FURTHEST_DEG
    reasons: list[Reason | None] = []
    for valid, too_far, fits in zip(seen.valid, turned, misfit <= limit, strict=True):
        reasons.append(Reason.NO_FACE if not valid else Reason.TURNED if too_far else None if fits else Reason.MISFIT)
    return reasons


def blend_weights(trusted: BoolArray, times_s: NDArray[np.float64]) -> FloatArray:
    """How much of the new picture is shown in each of T frames: 0 where it is not trusted, eased to 1 around them."""
    nearness_s = np.full(len(times_s), np.inf)
    for time_s in times_s[~trusted]:
        nearness_s = np.minimum(nearness_s, np.abs(times_s - time_s))
    share = np.clip(nearness_s / FADE_S, 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
