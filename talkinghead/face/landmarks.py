"""Face landmarks: Google's face landmarker (MediaPipe), run by LiteRT alone.

Three networks out of one .task file: a detector (BlazeFace, Bazarevsky et al. 2019) finds faces in the whole picture,
a landmark network (Attention Mesh, Grishchenko et al. 2020) puts 478 points on one face in a square crop, and a small
mixer turns 146 of those points into 52 blendshape scores. `FaceLandmarker` is these three, without memory;
`FaceTracker` follows one face through a clip; `track_clip` makes a `Track` of a whole clip.

Pixel centres are at +0.5 all through. The landmark network itself works that way: a mirrored crop gives mirrored
points about 128.0, the middle of its 256 px, not about 127.5.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from talkinghead.errors import MissingFileError, ModelUnavailableError
from talkinghead.face.topology import LEFT_EYE, RIGHT_EYE
from talkinghead.structures import BLENDSHAPES, LANDMARKS, ByteArray, FaceChoice, FloatArray, Frame, Track

# fmt: off
BLENDSHAPE_NAMES: tuple[str, ...] = (
    "_neutral",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight",
    "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)
"""The blendshape scores in the network's order (ARKit's names; left and right are the person's own)."""

# The points that the blendshape network takes: lips, eyes, brows, irises, oval of the face, bridge of the nose.
_BLENDSHAPE_POINTS = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249,
    251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314,
    317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382,
    384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473,
    474, 475, 476, 477,
])
# fmt: on

DETECTION_THRESHOLD = 0.5
PRESENCE_THRESHOLD = 0.5
SUPPRESSION_OVERLAP = 0.3
"""Two detections that overlap by more than this (intersection over union) are one face."""
REGION_MARGIN = 1.5
"""Side of the square given to the landmark network, over the longer side of the face in it."""
JUMP_SHARE = 0.25
"""A tracked face that moves or grows by more than this share of its size in one frame is looked for anew."""
PATIENCE_S = 0.5
"""How long a lost face is waited for where it was last seen, before another one may take its place."""

_MEMBER_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class FaceRegion:
    """A square around a face, turned so that the face is upright in it."""

    x: float
    """Centre, pixels from the left of the picture."""
    y: float
    """Centre, pixels from the top of the picture."""
    size_px: float
    """Side of the square."""
    angle_rad: float
    """Clockwise turn of the face in the picture."""

    def to_image(self, side: int) -> NDArray[np.float64]:
        """(2, 3) affine map from the pixels of a crop of `side` x `side` to the pixels of the picture."""
        scale = self.size_px / side
        cos, sin = scale * math.cos(self.angle_rad), scale * math.sin(self.angle_rad)
        half = side / 2
        return np.array(
            [[cos, -sin, self.x - (cos - sin) * half], [sin, cos, self.y - (sin + cos) * half]], dtype=np.float64
        )

    def distance_px(self, other: FaceRegion) -> float:
        """From centre to centre."""
        return math.hypot(self.x - other.x, self.y - other.y)

    def is_near(self, other: FaceRegion) -> bool:
        """Whether both can be the same face, one frame apart."""
        grown = self.size_px / other.size_px
        has_kept_size = 1 / (1 + JUMP_SHARE) < grown < 1 + JUMP_SHARE
        return has_kept_size and self.distance_px(other) < JUMP_SHARE * other.size_px / REGION_MARGIN


@dataclass(frozen=True)
class Face:
    """One face in one picture."""

    landmarks: FloatArray
    """(478, 3) float32, x and y in pixels of the picture, z in the same unit, smaller is nearer."""
    presence: float
    """Probability that the region held a face, in [0, 1]."""

    @property
    def region(self) -> FaceRegion:
        """The square around the points, where the face is looked for in the next frame."""
        points = self.landmarks[:, :2].astype(np.float64)
        across = points[LEFT_EYE] - points[RIGHT_EYE]
        angle = math.atan2(across[1], across[0])
        cos, sin = math.cos(angle), math.sin(angle)
        upright = points @ np.array([[cos, -sin], [sin, cos]])
        low, high = upright.min(0), upright.max(0)
        x, y = np.array([[cos, -sin], [sin, cos]]) @ ((low + high) / 2)
        return FaceRegion(float(x), float(y), float((high - low).max()) * REGION_MARGIN, angle)


class FaceLandmarker:
    """Detector, landmark network and blendshape network. Keeps no memory between pictures.

    Not safe for use by two threads at once; LiteRT releases the interpreter lock, so that a caller may decode the
    next frames in another thread meanwhile.
    """

    def __init__(self, detector: bytes, landmarks: bytes, blendshapes: bytes) -> None:
        """Each argument is the content of a .tflite file.

        Raises:
            ModelUnavailableError: one of them is not a network of the expected shape.
        """
        self._detector = _Network(detector, (1, 128, 128, 3), (1, 896, 16), (1, 896, 1))
        self._landmarks = _Network(landmarks, (1, 256, 256, 3), (1, 1, 1, 3 * LANDMARKS), (1, 1, 1, 1))
        self._blendshapes = _Network(blendshapes, (1, len(_BLENDSHAPE_POINTS), 2), (BLENDSHAPES,))
        self._anchors = _detector_anchors()

    @classmethod
    def load(cls, path: Path) -> FaceLandmarker:
        """From a `face_landmarker.task` file (a zip of three networks). Nothing is downloaded.

        Raises:
            MissingFileError: there is no such file.
            ModelUnavailableError: it is not a face landmarker's .task file.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                return cls(
                    _read_network(archive, "face_detector.tflite"),
                    _read_network(archive, "face_landmarks_detector.tflite"),
                    _read_network(archive, "face_blendshapes.tflite"),
                )
        except OSError as error:
            raise MissingFileError(f"cannot read {path}: {error.strerror}") from error
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise ModelUnavailableError(f"{path} is not a face landmarker's .task file: {error}") from error

    def detect(self, image: ByteArray) -> list[FaceRegion]:
        """Every face in a picture, largest first; (H, W, 3) uint8 RGB."""
        height, width = image.shape[:2]
        whole = FaceRegion(width / 2, height / 2, max(height, width), 0.0)
        crop = _crop(image, whole, 128)
        boxes, logits = self._detector(crop[None].astype(np.float32) / 127.5 - 1)
        found = _suppress(*self._decode(boxes[0], logits[0, :, 0]))
        return sorted((_detected_region(face, whole) for face in found), key=lambda region: -region.size_px)

    def landmarks_in(self, image: ByteArray, region: FaceRegion) -> Face | None:
        """The face in one region of a picture, or None when there is none; (H, W, 3) uint8 RGB."""
        crop = _crop(image, region, 256)
        raw, presence_logit = self._landmarks(crop[None].astype(np.float32) / 255)
        presence = float(_sigmoid(presence_logit.ravel())[0])
        points = raw.reshape(LANDMARKS, 3)
        if not (np.isfinite(points).all() and presence >= PRESENCE_THRESHOLD):
            return None
        matrix = region.to_image(256)
        points = np.column_stack((_transform(matrix, points[:, :2]), points[:, 2] * (region.size_px / 256)))
        return Face(points.astype(np.float32), presence)

    def blendshapes(self, face: Face) -> FloatArray:
        """Blendshape scores of a face: (52,) float32 in [0, 1], in the order of `BLENDSHAPE_NAMES`."""
        (scores,) = self._blendshapes(face.landmarks[None, _BLENDSHAPE_POINTS, :2])
        return np.clip(np.nan_to_num(scores), 0, 1)

    def _decode(self, boxes: FloatArray, logits: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Detections above the threshold: (n, 8, 2) centre, size and six points in [0, 1], and (n,) scores."""
        scores = _sigmoid(logits)
        kept = np.isfinite(boxes).all(-1) & (boxes[:, 2:4] > 0).all(-1) & (scores >= DETECTION_THRESHOLD)
        faces = boxes[kept].reshape(-1, 8, 2) / np.float32(128)
        faces[:, [0, 2, 3, 4, 5, 6, 7]] += self._anchors[kept, None]
        return faces, scores[kept]


class FaceTracker:
    """Follows one face from frame to frame: looks where it was, and searches the whole picture only when it is lost."""

    def __init__(self, landmarker: FaceLandmarker, face: FaceChoice = "largest") -> None:
        self._landmarker = landmarker
        self._choice = face
        self._last: FaceRegion | None = None
        self._last_time_s = -math.inf
        self._is_lost = False

    def update(self, frame: Frame) -> Face | None:
        """The followed face in the next frame, or None when it is not to be seen there."""
        face = None if self._last is None or self._is_lost else self._follow(frame.image, self._last)
        if face is None:
            face = self._search(frame)
        self._is_lost = face is None
        if face is not None:
            self._last, self._last_time_s = face.region, frame.time_s
        return face

    def _follow(self, image: ByteArray, last: FaceRegion) -> Face | None:
        face = self._landmarker.landmarks_in(image, last)
        return face if face is not None and face.region.is_near(last) else None

    def _search(self, frame: Frame) -> Face | None:
        region = self._choose(self._landmarker.detect(frame.image), frame.time_s)
        if region is None:
            return None
        first = self._landmarker.landmarks_in(frame.image, region)
        # The detector's square is a rough one: look a second time where the points say that the face is.
        return None if first is None else self._landmarker.landmarks_in(frame.image, first.region)

    def _choose(self, regions: list[FaceRegion], time_s: float) -> FaceRegion | None:
        """The face to follow among those detected, largest first."""
        last = self._last
        if last is not None and time_s - self._last_time_s <= PATIENCE_S:
            # The same face again, or none: a neighbour must not be taken for it.
            nearest = min(regions, key=last.distance_px, default=None)
            return nearest if nearest is not None and last.distance_px(nearest) < last.size_px / 2 else None
        if not regions or self._choice == "largest":
            return regions[0] if regions else None
        from_left = sorted(regions, key=lambda region: region.x)
        if isinstance(self._choice, int):
            return from_left[self._choice] if 0 <= self._choice < len(from_left) else None
        return from_left[0 if self._choice == "left" else -1]


def track_clip(
    frames: Iterable[Frame],
    landmarker: FaceLandmarker,
    width: int,
    height: int,
    *,
    face: FaceChoice = "largest",
    with_blendshapes: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Track:
    """Landmarks of one face through a clip. Frames are taken one at a time and none is kept.

    Args:
        frames: the clip, in the order of time.
        landmarker: the networks.
        width: of the frames, in pixels.
        height: of the frames, in pixels.
        face: which one, where there are several.
        with_blendshapes: whether the blendshape network runs too.
        progress: called after each frame with the number of frames done.

    Returns:
        The track; frames without that face are marked invalid and are zero. It may hold no valid frame at all.
    """
    tracker = FaceTracker(landmarker, face)
    no_face, no_scores = np.zeros((LANDMARKS, 3), np.float32), np.zeros(BLENDSHAPES, np.float32)
    landmarks, scores, times_s, valid = [], [], [], []
    for done, frame in enumerate(frames, start=1):
        found = tracker.update(frame)
        landmarks.append(no_face if found is None else found.landmarks)
        if with_blendshapes:
            scores.append(no_scores if found is None else landmarker.blendshapes(found))
        valid.append(found is not None)
        times_s.append(frame.time_s)
        if progress is not None:
            progress(done)
    return Track(
        landmarks=np.array(landmarks, np.float32).reshape(-1, LANDMARKS, 3),
        valid=np.array(valid, np.bool_),
        times_s=np.array(times_s, np.float64),
        width=width,
        height=height,
        blendshapes=np.array(scores, np.float32).reshape(-1, BLENDSHAPES) if with_blendshapes else None,
    )


class _Network:
    """One .tflite network on one thread: array in, arrays out."""

    def __init__(self, content: bytes, *shapes: tuple[int, ...]) -> None:
        """`shapes`: of the input, then of those outputs that are wanted, in their order."""
        try:
            self._interpreter: Any = Interpreter(model_content=content, num_threads=1)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelUnavailableError(f"a network in the face landmarker does not load: {error}") from error
        taken = self._interpreter.get_input_details()
        given = self._interpreter.get_output_details()[: len(shapes) - 1]
        if tuple(tuple(detail["shape"]) for detail in (*taken, *given)) != shapes:
            raise ModelUnavailableError("a network in the face landmarker is of another version than expected")
        self._input = taken[0]["index"]
        self._outputs = [detail["index"] for detail in given]

    def __call__(self, values: NDArray[np.floating[Any]]) -> list[FloatArray]:
        self._interpreter.set_tensor(self._input, values.astype(np.float32, copy=False))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]


def _read_network(archive: zipfile.ZipFile, name: str) -> bytes:
    """One network out of the .task file, its size checked before it is unpacked."""
    size = archive.getinfo(name).file_size
    if size > _MEMBER_LIMIT_BYTES:
        raise ValueError(f"{name} is {size} bytes large")
    return archive.read(name)


def _detector_anchors() -> FloatArray:
    """(896, 2) centres in [0, 1] that the detector's boxes are relative to: 2 on a 16 x 16 grid, 6 on an 8 x 8 one."""
    grids = []
    for cells, repeats in ((16, 2), (8, 6)):
        centers = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        y, x = np.meshgrid(centers, centers, indexing="ij")
        grids.append(np.stack((x, y), -1).reshape(-1, 2).repeat(repeats, 0))
    return np.concatenate(grids)


def _suppress(faces: FloatArray, scores: FloatArray) -> list[FloatArray]:
    """Non-maximum suppression by blending: overlapping detections become their score-weighted mean (BlazeFace §3.3).

    Takes (n, 8, 2) detections and (n,) scores, gives one (8, 2) array a face, best score first.
    """
    blended = []
    remaining = np.argsort(-scores, kind="stable")
    while len(remaining):
        same = _overlap(faces[remaining[0]], faces[remaining]) > SUPPRESSION_OVERLAP
        same[0] = True  # even a box without area counts as itself, so that the loop ends
        group, remaining = remaining[same], remaining[~same]
        blended.append(np.average(faces[group], axis=0, weights=scores[group]).astype(np.float32))
    return blended


def _overlap(one: FloatArray, many: FloatArray) -> FloatArray:
    """Intersection over union of one (8, 2) detection's box with those of (n, 8, 2) others."""
    low = np.maximum(one[0] - one[1] / 2, many[:, 0] - many[:, 1] / 2)
    high = np.minimum(one[0] + one[1] / 2, many[:, 0] + many[:, 1] / 2)
    shared = np.clip(high - low, 0, None).prod(-1)
    union = one[1].prod() + many[:, 1].prod(-1) - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def _detected_region(face: FloatArray, whole: FaceRegion) -> FaceRegion:
    """The region of an (8, 2) detection in [0, 1] of the square around the whole picture."""
    center, right_eye, left_eye = _transform(whole.to_image(1), face[[0, 2, 3]])
    across = left_eye - right_eye
    size_px = float(face[1].max()) * whole.size_px * REGION_MARGIN
    return FaceRegion(float(center[0]), float(center[1]), size_px, math.atan2(across[1], across[0]))


def _crop(image: ByteArray, region: FaceRegion, side: int) -> ByteArray:
    """A region of the picture as (side, side, 3) uint8, black where it reaches beyond the picture."""
    matrix = region.to_image(side)
    shrink = int(region.size_px / side)
    if shrink > 1:
        image, matrix = _shrunk(image, matrix, side, shrink)
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # cv2 has pixel centres at whole numbers
    warped = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(warped, np.uint8)


def _shrunk(
    image: ByteArray, matrix: NDArray[np.float64], side: int, shrink: int
) -> tuple[ByteArray, NDArray[np.float64]]:
    """The part of the picture that a crop needs, averaged over blocks of `shrink` pixels, and the map into it.

    Bilinear sampling alone would skip pixels of a large face, and its points would shiver.
    """
    corners = _transform(matrix, np.array([[0, 0], [side, 0], [0, side], [side, side]]))
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(corners.min(0)), 0, (width - shrink, height - shrink)).astype(int)
    columns, rows = np.ceil((corners.max(0) - (left, top)) / shrink).astype(int)
    columns, rows = np.clip((columns, rows), 1, ((width - left) // shrink, (height - top) // shrink))
    part = image[top : top + rows * shrink, left : left + columns * shrink]
    matrix[:, 2] -= (left, top)
    return np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8), matrix / shrink


def _transform(matrix: NDArray[np.float64], points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(n, 2) points through a (2, 3) affine map."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1 + np.tanh(logits / 2)), np.float32)
