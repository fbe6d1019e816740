"""The types that flow between the stages. Frozen, and every field says shape, dtype, unit and range.

Shape letters, used all over the package: B batch, T frames, N samples, V vertices, F triangles,
L landmarks, K expression coefficients, I identity coefficients, C channels, H height, W width.

Pixel coordinates have their origin at the top-left corner of the picture and pixel centres at +0.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
ByteArray = NDArray[np.uint8]

FaceChoice = Literal["largest", "left", "right"] | int
"""Which face of a clip that shows several: the largest, the leftmost, the rightmost, or by number from the left."""

LANDMARKS = 478
"""Points of MediaPipe's face landmarker: 468 on the face mesh, 2 x 5 on the irises."""
BLENDSHAPES = 52
"""Blendshape scores of MediaPipe's face landmarker, in its order (see `landmarks.BLENDSHAPE_NAMES`)."""


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video stream before a frame is decoded."""

    width: int
    """Pixels, after the rotation flag has been applied."""
    height: int
    """Pixels, after the rotation flag has been applied."""
    frame_rate: Fraction
    """Average frames per second, exact (30000/1001 for NTSC)."""
    duration_s: float | None
    """Length by the container's word, in seconds; None where it does not say."""
    has_audio: bool


@dataclass(frozen=True)
class Frame:
    """One picture of a clip."""

    image: ByteArray
    """(H, W, 3) uint8, RGB, full range, upright."""
    time_s: float
    """Presentation time in seconds from the start of the clip, >= 0."""


class Recording(Protocol):
    """Mono sound that is read block by block, as often as wanted: a `Audio`, or a `media.AudioFile`."""

    @property
    def rate_hz(self) -> int: ...

    @property
    def duration_s(self) -> float: ...

    def blocks(self) -> Iterator[FloatArray]:
        """(N,) float32 each, one after the other without a gap."""
        ...


@dataclass(frozen=True)
class Audio:
    """A mono recording, all of it in memory."""

    samples: FloatArray
    """(N,) float32, nominally in [-1, 1]."""
    rate_hz: int

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz

    def blocks(self) -> Iterator[FloatArray]:
        """The samples a second at a time; nothing is copied."""
        for start in range(0, len(self.samples), self.rate_hz):
            yield self.samples[start : start + self.rate_hz]


@dataclass(frozen=True)
class Track:
    """Face landmarks of every frame of a clip."""

    landmarks: FloatArray
    """(T, 478, 3) float32, x and y in pixels of the upright frame, z in the same unit, smaller is nearer."""
    valid: BoolArray
    """(T,) False where no usable face was found; landmarks and scores are zero there."""
    times_s: NDArray[np.float64]
    """(T,) float64, presentation time of each frame."""
    width: int
    """Of the upright frame, pixels."""
    height: int
    blendshapes: FloatArray | None = None
    """(T, 52) float32 scores in [0, 1]; None where the blendshape network did not run."""

    def __len__(self) -> int:
        return len(self.valid)


@dataclass(frozen=True)
class Reconstruction:
    """Reconstruction coefficients of the local region of a clip (patent: local reconstruction coefficients).

    A vertex v of the face model (model units: centimetres, y up, z towards the viewer) is seen at
    scale * (R v)[:2] * (1, -1) + translation, in pixels.
    """

    identity: FloatArray
    """(I,) float32, one for the whole clip, in standard deviations."""
    expression: FloatArray
    """(T, K) float32, in standard deviations."""
    rotation: FloatArray
    """(T, 3) float32, axis-angle in radians, of R."""
    translation: FloatArray
    """(T, 2) float32, pixels: where the model's origin is seen."""
    scale: FloatArray
    """(T,) float32, pixels per model unit, > 0."""
    valid: BoolArray
    """(T,) False where the frame had no usable face; the numbers there are interpolated."""
    times_s: NDArray[np.float64]
    """(T,) float64, presentation time of each frame, rising."""
    misfit_cm: NDArray[np.float64]
    """(T,) float64, mean distance of the local landmarks from their reconstruction; of no meaning where not valid."""

    def __len__(self) -> int:
        return len(self.valid)

    def select(self, frames: NDArray[np.int64]) -> Reconstruction:
        """The same person in some of the frames: (B,) frame numbers."""
        return Reconstruction(
            self.identity,
            self.expression[frames],
            self.rotation[frames],
            self.translation[frames],
            self.scale[frames],
            self.valid[frames],
            self.times_s[frames],
            self.misfit_cm[frames],
        )
