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

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.face.face_model import FaceModel
from talkinghead.face.reconstruction import project, rotation_matrices
from talkinghead.structures import BoolArray, ByteArray, FloatArray, Reconstruction, Track

FADE_S = 0.2
"""Time in which the new picture fades out before frames that are passed through, and in after them."""
FURTHEST_DEG = 8.0
"""A head that points further than this from every direction that was trained is turned beyond what the clip shows."""
LEAST_MISFIT_CM = 0.12
"""Landmarks that are this far from the reconstruction, on average, are not remarkable in any clip."""
MISFIT_FACTOR = 2.5
"""Nor are those that are less than so many times as far away as nearly all of the anchor's own."""
CELLS = (16, 24)
"""Rows and columns of the mean colours that a crop is judged by."""
COMPONENTS = 20
"""Principal components in which a person's crops are expected to vary: mouth, pose and shadow."""
FEWEST_CROPS_A_COMPONENT = 4
INSIDE = 0.9
"""Cells count that are removed or faded at least so much in the mean: the face, and not what is behind it."""
LEAST_STRANGENESS = 10.0
"""A crop that differs less than this from what is expected, of 255, shows the person,"""
STRANGENESS_FACTOR = 2.0
"""as does one that differs less than so many times as much as nearly all of the anchor's own frames."""
NEARLY_ALL = 0.99


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


@dataclass(frozen=True)
class Appearance:
    """What the crops of a person usually look like: principal components of the mean colours of P / 3 cells."""

    inside: BoolArray
    """`CELLS`, those that count."""
    mean: FloatArray
    """(P,), of 255."""
    basis: FloatArray
    """(D, P), rows of length 1 at right angles to each other."""
    usual: float
    """Strangeness that nearly all of the person's own frames stay below."""

    @classmethod
    def of(cls, crops: ByteArray, feathers: ByteArray) -> Appearance:
        """Measure it on a person's crops, (S, h, w, 3) uint8, and their feathers, (S, h, w) uint8, 255 is 1."""
        inside = _cells(np.round(feathers.mean(0)).astype(np.uint8)) >= INSIDE * 255
        cells = np.stack([_cells(crop)[inside].ravel() for crop in crops])
        # Half of the frames tell what is expected of the other half.
        half = cls._fitted(inside, cells[::2], 0.0)
        usual = float(np.quantile([half._residual(one) for one in cells[1::2]], NEARLY_ALL))
        return cls._fitted(inside, cells, usual)

    @classmethod
    def _fitted(cls, inside: BoolArray, cells: FloatArray, usual: float) -> Appearance:
        mean = cells.mean(0)
        alike = cls(inside, mean, np.zeros((0, len(mean)), np.float32), usual)
        off = np.stack([alike._off_mean(one) for one in cells])
        components = min(COMPONENTS, len(cells) // FEWEST_CROPS_A_COMPONENT)
        basis = np.linalg.svd(off, full_matrices=False)[2][:components]
        return cls(inside, mean, basis.astype(np.float32), usual)

    def strangeness(self, crop: ByteArray) -> float:
        """Root mean square of what is not expected in a crop (h, w, 3), whatever the light, of 255."""
        return self._residual(_cells(crop)[self.inside].ravel())

    def is_covered(self, crop: ByteArray) -> bool:
        """Whether something is before this person's face."""
        return self.strangeness(crop) > max(LEAST_STRANGENESS, STRANGENESS_FACTOR * self.usual)

    def _residual(self, cells: FloatArray) -> float:
        off = self._off_mean(cells)
        return float(np.sqrt(np.mean((off - (off @ self.basis.T) @ self.basis) ** 2)))

    def _off_mean(self, cells: FloatArray) -> FloatArray:
        """(P,) -> (P,), its light made that of the mean, channel by channel."""
        usual, seen = (np.median(values.reshape(-1, 3), axis=0) for values in (self.mean, cells))
        light = (usual / np.maximum(seen, 1.0)).clip(0.7, 1.4)
        return np.asarray((cells.reshape(-1, 3) * light).ravel() - self.mean, np.float32)


def _cells(crop: ByteArray) -> FloatArray:
    return np.asarray(cv2.resize(crop, CELLS[::-1], interpolation=cv2.INTER_AREA), np.float32)


def turned_deg(trained: Reconstruction, seen: Reconstruction) -> NDArray[np.float64]:
    """How far the head points away from the nearest direction among the trained frames: (T,) degrees.

    Turning in the plane of the picture does not count, since the crop turns with it.
    """
    known = rotation_matrices(trained.rotation[trained.valid])[:, :, 2]
    known = np.unique(known.round(2), axis=0)  # half a degree apart is the same
    cosine = rotation_matrices(seen.rotation)[:, :, 2] @ (known / np.linalg.norm(known, axis=1, keepdims=True)).T
    return np.degrees(np.arccos(cosine.max(1).clip(-1, 1)))


def misfit_cm(model: FaceModel, track: Track, reconstruction: Reconstruction) -> NDArray[np.float64]:
    """Mean distance in the picture of the lower face's landmarks from their reconstruction: (T,) cm."""
    shape = model.local_shape(reconstruction.identity, reconstruction.expression)
    seen = project(np.asarray(shape, np.float32), reconstruction, slice(None))[..., :2]
    return np.asarray(
        np.linalg.norm(seen - track.landmarks[:, model.local, :2], axis=-1).mean(1) / reconstruction.scale, np.float64
    )


def doubts(
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


def shares(trusted: BoolArray, times_s: NDArray[np.float64]) -> FloatArray:
    """How much of the new picture is shown in each of T frames: 0 where it is not trusted, eased to 1 around them."""
    nearness_s = np.full(len(times_s), np.inf)
    for time_s in times_s[~trusted]:
        nearness_s = np.minimum(nearness_s, np.abs(times_s - time_s))
    share = np.clip(nearness_s / FADE_S, 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
