"""The types that pass between the stages: frozen dataclasses, each field with shape, dtype, unit and range.

Shape letters, used in the whole package: B batch, T frames, N samples, V vertices, F triangles,
L landmarks, K expression coefficients, I identity coefficients, C channels, H height, W width.

Pixel coordinates have their origin at the top-left corner of the image and pixel centers at +0.5.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
"""Array of float32 numbers."""
BoolArray = NDArray[np.bool_]
"""Array of truth values."""
ByteArray = NDArray[np.uint8]
"""Array of uint8 numbers."""

FaceChoice = Literal["largest", "left", "right"] | int
"""Choice among several faces in a clip: the largest, leftmost or rightmost, or by number from the left, from 0 on."""

Quality = Literal["draft", "standard", "high"]
"""How much a written video spends on quality; `media.video_writer.QUALITIES` has the encoder's settings of each."""
Aspect = Literal["9:16", "1:1", "16:9"]
"""Width to height of a picture."""


@dataclass(frozen=True)
class Tracks:
    """Which of a file's audio and video tracks are used, by their numbers from 1 on; None leaves the choice to us."""

    audio: int | None = None
    video: int | None = None


DEFAULT_TRACKS = Tracks()
"""Those that are marked as default; among several, the loudest audio and the largest video."""

LANDMARKS = 478
"""L, landmarks of MediaPipe's face landmarker: 468 of the face mesh, 2 x 5 of the irises."""
BLENDSHAPES = 52
"""Blendshape scores of MediaPipe's face landmarker; `face.landmarks.BLENDSHAPE_NAMES` has their order."""


@dataclass(frozen=True)
class PictureTreatment:
    """What reading a video does to its pictures, so that they are as a player shows them; all off for most videos."""

    pixel_aspect: Fraction = Fraction(1)
    """Width of a stored pixel by its height; frames with other than square ones are scaled."""
    tone_mapped: str | None = None
    """Transfer function and primaries that were converted to BT.709, such as "HLG BT.2020"."""
    deinterlaced: str | None = None
    """What the video is, such as "interlaced, top field first"."""
    filled_frames: int = 0
    """Repeated frames in gaps of the video, by its time stamps."""
    found_rate: Fraction | None = None
    """Frames per second by the time stamps, where the file declares another rate or none."""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self != UNTREATED

    def __str__(self) -> str:
        """One line for people."""
        aspect = self.pixel_aspect
        parts = [
            f"pixels of {aspect.numerator}:{aspect.denominator} made square" if aspect != 1 else "",
            f"{self.tone_mapped} converted to BT.709" if self.tone_mapped else "",
            f"deinterlaced ({self.deinterlaced})" if self.deinterlaced else "",
            f"{float(self.found_rate):.6g} fps by its time stamps" if self.found_rate else "",
            f"{self.filled_frames} frames repeated in gaps" if self.filled_frames else "",
        ]
        return "; ".join(part for part in parts if part)

    @property
    def of_pictures(self) -> PictureTreatment:
        """The part that changes pictures or their number."""
        return replace(self, found_rate=None)

    def as_dict(self) -> dict[str, str | int | float]:
        """For a report: what was done, without what was not, and all of it as one line in `summary`."""
        found: dict[str, str | int | float] = {"summary": str(self)} if self else {}
        if self.pixel_aspect != 1:
            found["pixel_aspect"] = f"{self.pixel_aspect.numerator}:{self.pixel_aspect.denominator}"
        if self.tone_mapped:
            found["tone_mapped"] = self.tone_mapped
        if self.deinterlaced:
            found["deinterlaced"] = self.deinterlaced
        if self.found_rate:
            found["found_rate"] = float(self.found_rate)
        if self.filled_frames:
            found["filled_frames"] = self.filled_frames
        return found


UNTREATED = PictureTreatment()
"""Of a video that is shown as it is stored."""


@dataclass(frozen=True)
class Coding:
    """How planes of luma and chroma stand for colors. Numbers are those of H.273."""

    pixels: str
    """FFmpeg's name of the planes' sampling and depth, such as yuv420p or yuv422p10le."""
    matrix: int
    """Matrix coefficients, such as 1 of BT.709."""
    is_full_range: bool
    """Whether all values are used, as in JPEG, and not only those from 16 to 235 (of 8 bits)."""
    primaries: int = 1
    """Color primaries; 1 is BT.709's."""
    transfer: int = 1
    """Transfer characteristics; 1 is BT.709's."""
    chroma_at: str = "unspecified"
    """Where in a square of four pixels the chroma sample of 4:2:0 lies, FFmpeg's name: left, center, topleft, top."""

    @property
    def bits(self) -> int:
        """Depth of a sample: 8, or 10 in two bytes."""
        return 10 if self.pixels.endswith("10le") else 8

    @property
    def step(self) -> tuple[int, int]:
        """Rows and columns of pixels for one chroma sample."""
        return {"420": (2, 2), "422": (1, 2), "444": (1, 1)}[self.pixels[3:6]]


@dataclass(frozen=True)
class Planes:
    """A picture as luma and chroma; H and W are multiples of the steps between chroma samples."""

    luma: NDArray[Any]
    """(H, W) uint8, or uint16 where there are 10 bits."""
    chroma: tuple[NDArray[Any], NDArray[Any]]
    """Cb and Cr, each (H / rows, W / columns), of the same type; see `Coding.step`."""
    coding: Coding


class Picture:
    """A picture in two forms: RGB, and the planes of the video that it is from. Each is made when first asked for."""

    def __init__(
        self, make_image: Callable[[], ByteArray], make_planes: Callable[[], Planes] | None, coding: Coding | None
    ) -> None:
        """Args:
        make_image: gives (H, W, 3) uint8 RGB, full range, upright.
        make_planes: gives the same picture as planes; None where it is RGB alone.
        coding: of the planes.
        """
        self._make_image, self._make_planes = make_image, make_planes
        self._image: ByteArray | None = None
        self._planes: Planes | None = None
        self.coding = None if make_planes is None else coding
        """Of the planes; None where the picture is RGB alone."""

    @classmethod
    def of(cls, image: ByteArray | Picture) -> Picture:
        """A picture of RGB, (H, W, 3) uint8; a picture is returned as it is."""
        return image if isinstance(image, Picture) else cls(lambda: image, None, None)

    @property
    def image(self) -> ByteArray:
        """(H, W, 3) uint8 RGB, full range, upright."""
        if self._image is None:
            self._image = self._make_image()
        return self._image

    @property
    def planes(self) -> Planes | None:
        """The same as planes; None where the picture is RGB alone."""
        if self._planes is None and self._make_planes is not None:
            self._planes = self._make_planes()
        return self._planes


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video stream and of the frames that reading it gives."""

    width: int
    """Width of the upright frame, square pixels: after the rotation flag has been applied."""
    height: int
    """Height of the upright frame, square pixels: after the rotation flag has been applied."""
    frame_rate: Fraction
    """Nominal frames per second, exact (30000/1001 for NTSC)."""
    duration_s: float | None
    """Length as the container declares it, seconds; None where it does not."""
    has_audio: bool
    """Whether the file has an audio stream."""
    treatment: PictureTreatment = UNTREATED
    """What reading does to the pictures."""
    coding: Coding | None = None
    """Of the pictures' planes; None where reading gives RGB alone."""


@dataclass(frozen=True)
class Frame:
    """One frame of a clip."""

    shown: Picture | ByteArray
    """The picture, or its RGB alone, (H, W, 3) uint8."""
    time_s: float
    """Presentation time in seconds from the start of the clip, >= 0."""
    alpha: ByteArray | None = None
    """(H, W) uint8, 0 transparent, 255 opaque, beside straight colors (not multiplied by it); None: all is opaque."""

    @property
    def picture(self) -> Picture:
        """What it shows, in either form."""
        return Picture.of(self.shown)

    @property
    def image(self) -> ByteArray:
        """(H, W, 3) uint8, RGB, full range, upright."""
        return self.shown.image if isinstance(self.shown, Picture) else self.shown


class Recording(Protocol):
    """Mono audio that can be read block by block any number of times: an `Audio`, or an `AudioFile` of `media`."""

    @property
    def rate_hz(self) -> int:
        """Samples per second."""
        ...

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        ...

    def blocks(self) -> Iterator[FloatArray]:
        """Read the samples from the beginning: blocks (N,) float32 without gaps between them."""
        ...


@dataclass(frozen=True)
class Audio:
    """A mono recording in memory."""

    samples: FloatArray
    """(N,) float32, nominally in [-1, 1]."""
    rate_hz: int
    """Samples per second."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz

    def blocks(self) -> Iterator[FloatArray]:
        """Read the samples in blocks of one second, without copies."""
        for start in range(0, len(self.samples), self.rate_hz):
            yield self.samples[start : start + self.rate_hz]


@dataclass(frozen=True)
class Track:
    """Face landmarks of every frame of a clip."""

    landmarks: FloatArray
    """(T, 478, 3) float32, x and y in pixels of the upright frame, z in the same unit, smaller is nearer."""
    valid: BoolArray
    """(T,) bool, False where no usable face was found; landmarks and scores are zero there."""
    times_s: NDArray[np.float64]
    """(T,) float64, presentation time of each frame in seconds, rising."""
    width: int
    """Width of the upright frame, pixels."""
    height: int
    """Height of the upright frame, pixels."""
    blendshapes: FloatArray | None = None
    """(T, 52) float32 scores in [0, 1]; None where the blendshape network did not run."""
    cuts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """(C,) numbers of the frames that begin a new shot, rising, in 1..T - 1."""

    def __len__(self) -> int:
        """T, the number of frames."""
        return len(self.valid)


@dataclass(frozen=True)
class Reconstruction:
    """Coefficients of the local 3D reconstruction of a clip (patent: initial local reconstruction coefficients).

    A vertex v of the face model (in centimeters, y up, z towards the viewer) is projected to
    scale * (R v)[:2] * (1, -1) + translation, in pixels.
    """

    identity: FloatArray
    """(I,) float32, in standard deviations, the same in all frames."""
    expression: FloatArray
    """(T, K) float32, in standard deviations."""
    rotation: FloatArray
    """(T, 3) float32, axis-angle in radians, of R."""
    translation: FloatArray
    """(T, 2) float32, pixels: projection of the model's origin."""
    scale: FloatArray
    """(T,) float32, pixels per cm, > 0."""
    valid: BoolArray
    """(T,) bool, False where the frame has no usable face; the coefficients there are interpolated."""
    times_s: NDArray[np.float64]
    """(T,) float64, presentation time of each frame in seconds, rising."""
    misfit_cm: NDArray[np.float64]
    """(T,) float64, mean distance of the local landmarks from their reconstruction in the image, cm; meaningless in
    frames that are not valid."""

    def __len__(self) -> int:
        """T, the number of frames."""
        return len(self.valid)

    def select(self, frames: NDArray[np.int64]) -> Reconstruction:
        """Coefficients of some of the frames, by their numbers (B,); they may repeat, and come in any order."""
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


SAME_TIME_S = 1e-3
"""Difference of timestamps, in seconds, below which they are of the same frame: containers round them."""
SHORTEST_RANGE_S = 1.0
"""Least length of a clip range, seconds: in less, a head only trembles."""
_CLIP_RANGE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*s?\s*-\s*(\d+(?:\.\d+)?)\s*s?\s*")


@dataclass(frozen=True)
class ClipRange:
    """The stretch of a clip that is used; as a text START-ENDs, such as 3-17s or 0.5-12.25s.

    Raises:
        ValueError: it is shorter than SHORTEST_RANGE_S.
    """

    start_s: float
    """Presentation time of the first frame that is used, seconds, >= 0."""
    end_s: float
    """Presentation time before which the last frame lies, seconds."""

    def __post_init__(self) -> None:
        if not 0 <= self.start_s <= self.end_s < math.inf:
            raise ValueError(f"{self} ends before it starts")
        if self.end_s - self.start_s < SHORTEST_RANGE_S:
            raise ValueError(f"{self} is shorter than {SHORTEST_RANGE_S:g} s")

    def __str__(self) -> str:
        return f"{self.start_s:.12g}-{self.end_s:.12g}s"

    def contains(self, times_s: NDArray[np.float64]) -> BoolArray:
        """Whether frames at these presentation times, (T,) seconds, lie in the range."""
        return (times_s >= self.start_s - SAME_TIME_S) & (times_s < self.end_s - SAME_TIME_S)

    @classmethod
    def parse(cls, text: str) -> ClipRange:
        """The range that a text names.

        Raises:
            ValueError: it names none, or one that is too short.
        """
        found = _CLIP_RANGE.fullmatch(text)
        if found is None:
            raise ValueError(f"START-ENDs in seconds is expected, such as 3-17s, not {text[:60]!r}")
        return cls(float(found[1]), float(found[2]))


@dataclass(frozen=True)
class Loop:
    """A forward loop of a clip: instead of going on, playback crosses over to an earlier moment that is alike.

    The crossing shows `frames` frames: the k-th is a blend of frames leave + k and enter + k, k = 0 to frames - 1.
    """

    leave: int
    """First frame of the end that is left."""
    enter: int
    """First frame of the beginning that is gone on with; enter + frames <= leave."""
    frames: int
    """Length of the crossing, > 0."""

    def fits(self, frames: int) -> bool:
        """Whether a clip of so many frames has those of the loop, and the loop runs forwards."""
        return 0 <= self.enter < self.enter + self.frames <= self.leave <= frames - self.frames
