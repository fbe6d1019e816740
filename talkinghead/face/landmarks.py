"""Face landmarks: Google's face landmarker (MediaPipe), run by LiteRT alone.

Three networks from one .task file: a detector (BlazeFace, Bazarevsky et al. 2019) finds faces in the whole image, a
landmark network (Attention Mesh, Grishchenko et al. 2020) predicts 478 points of one face in a square crop, and a
small MLP-mixer predicts 52 blendshape scores from 146 of those points. `FaceLandmarker` runs the three on single
images; `tracking` follows a face through a clip.

Pixel centers are at +0.5. The landmark network itself has that convention: a mirrored crop gives points that are
mirrored about 128.0, the middle of its 256 px, and not about 127.5.
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import MissingFileError, ModelUnavailableError
from talkinghead.face.native_messages import without_notices
from talkinghead.face.topology import LEFT_EYE, RIGHT_EYE
from talkinghead.structures import BLENDSHAPES, LANDMARKS, ByteArray, FloatArray

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
"""Names of the blendshape scores in the network's order: ARKit's, with the person's own left and right."""

# Input landmarks of the blendshape network: lips, eyes, brows, irises, oval of the face, bridge of the nose.
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
"""Least score of a detection."""
PRESENCE_THRESHOLD = 0.5
"""Least probability, by the landmark network, that a region holds a face."""
SUPPRESSION_OVERLAP = 0.3
"""Intersection over union above which two detections are of one face."""
REGION_MARGIN = 1.5
"""Side of the landmark network's input square over the longer side of the face in it."""
JUMP_SHARE = 0.25
"""Largest motion and change of size of one face between two frames, as a fraction of its size."""
LARGEST_NETWORK_BYTES = 64 * 1024 * 1024
"""Largest network in a .task file; a larger one is damage."""


@dataclass(frozen=True)
class FaceRegion:
    """A square around a face, rotated so that the face is upright in it."""

    x: float
    """Center, pixels from the left edge of the image."""
    y: float
    """Center, pixels from the top edge of the image."""
    size_px: float
    """Side of the square, pixels of the image."""
    angle_rad: float
    """Clockwise rotation of the face in the image, radians."""

    def to_image(self, side: int) -> NDArray[np.float64]:
        """(2, 3) affine map from the pixels of a crop of `side` x `side` to pixels of the image."""
        scale = self.size_px / side
        cos, sin = scale * math.cos(self.angle_rad), scale * math.sin(self.angle_rad)
        half = side / 2
        return np.array(
            [[cos, -sin, self.x - (cos - sin) * half], [sin, cos, self.y - (sin + cos) * half]], dtype=np.float64
        )

    def distance_px(self, other: FaceRegion) -> float:
        """Distance of the centers, pixels."""
        return math.hypot(self.x - other.x, self.y - other.y)

    def is_near(self, other: FaceRegion) -> bool:
        """Whether both can be regions of one face in neighboring frames."""
        growth = self.size_px / other.size_px
        has_like_size = 1 / (1 + JUMP_SHARE) < growth < 1 + JUMP_SHARE
        return has_like_size and self.distance_px(other) < JUMP_SHARE * other.size_px / REGION_MARGIN


@dataclass(frozen=True)
class Face:
    """Landmarks of one face in one image."""

    landmarks: FloatArray
    """(478, 3) float32, x and y in pixels of the image, z in the same unit, smaller is nearer."""
    presence: float
    """Probability that the region shows a face, in [0, 1]."""

    @property
    def region(self) -> FaceRegion:
        """The upright square around the landmarks: the landmark network's input in the next frame."""
        points = self.landmarks[:, :2].astype(np.float64)
        across = points[LEFT_EYE] - points[RIGHT_EYE]
        angle = math.atan2(across[1], across[0])
        cos, sin = math.cos(angle), math.sin(angle)
        upright = points @ np.array([[cos, -sin], [sin, cos]])
        low, high = upright.min(0), upright.max(0)
        x, y = np.array([[cos, -sin], [sin, cos]]) @ ((low + high) / 2)
        return FaceRegion(float(x), float(y), float((high - low).max()) * REGION_MARGIN, angle)


class FaceLandmarker:
    """Face detector, landmark network and blendshape network, applied to single images.

    Not safe for use by two threads at once. LiteRT releases Python's interpreter lock, so that a caller can decode the
    next frames in another thread meanwhile.
    """

    def __init__(self, detector: bytes, landmarks: bytes, blendshapes: bytes) -> None:
        """Load the three networks, each from the content of its .tflite file.

        Raises:
            ModelUnavailableError: one of them is not a network of the expected shape.
        """
        self._detector = _Network(detector, (1, 128, 128, 3), (1, 896, 16), (1, 896, 1))
        self._landmarks = _Network(landmarks, (1, 256, 256, 3), (1, 1, 1, 3 * LANDMARKS), (1, 1, 1, 1))
        self._blendshapes = _Network(blendshapes, (1, len(_BLENDSHAPE_POINTS), 2), (BLENDSHAPES,))
        self._anchors = _detector_anchors()

    @classmethod
    def load(cls, path: Path) -> FaceLandmarker:
        """Load a `face_landmarker.task` file, a zip of the three networks. Nothing is downloaded.

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
            raise MissingFileError(f"Cannot read {path}: {error.strerror}.") from error
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise ModelUnavailableError(f"{path} is not a face landmarker's .task file: {error}") from error

    def detect(self, image: ByteArray) -> list[FaceRegion]:
        """Detect all faces in an image (H, W, 3) uint8 RGB: their regions, largest first."""
        height, width = image.shape[:2]
        whole = FaceRegion(width / 2, height / 2, max(height, width), 0.0)
        # The detector takes the image padded to a square, with values in [-1, 1].
        crop = _crop(image, whole, 128)
        boxes, logits = self._detector(crop[None].astype(np.float32) / 127.5 - 1)
        found = _suppress(*self._decode(boxes[0], logits[0, :, 0]))
        return sorted((_detected_region(face, whole) for face in found), key=lambda region: -region.size_px)

    def landmarks_in(self, image: ByteArray, region: FaceRegion) -> Face | None:
        """Landmarks of the face in a region of an image (H, W, 3) uint8 RGB; None where the region shows no face."""
        crop = _crop(image, region, 256)
        raw, presence_logit = self._landmarks(crop[None].astype(np.float32) / 255)
        presence = float(_sigmoid(presence_logit.ravel())[0])
        points = raw.reshape(LANDMARKS, 3)
        if not (np.isfinite(points).all() and presence >= PRESENCE_THRESHOLD):
            return None
        # From the crop back to the image; z has the scale of x and y.
        matrix = region.to_image(256)
        points = np.column_stack((_transform(matrix, points[:, :2]), points[:, 2] * (region.size_px / 256)))
        return Face(points.astype(np.float32), presence)

    def blendshapes(self, face: Face) -> FloatArray:
        """Predict the blendshape scores of a face: (52,) float32 in [0, 1], in the order of `BLENDSHAPE_NAMES`."""
        (scores,) = self._blendshapes(face.landmarks[None, _BLENDSHAPE_POINTS, :2])
        return np.clip(np.nan_to_num(scores), 0, 1)

    def _decode(self, boxes: FloatArray, logits: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Decode the detector's output.

        Args:
            boxes: (896, 16) offsets in pixels of the detector's input: center, size and six points.
            logits: (896,) of the scores.

        Returns:
            Detections above the threshold: (n, 8, 2) center, size and six points in [0, 1], and (n,) scores.
        """
        scores = _sigmoid(logits)
        usable = np.isfinite(boxes).all(-1) & (boxes[:, 2:4] > 0).all(-1) & (scores >= DETECTION_THRESHOLD)
        faces = boxes[usable].reshape(-1, 8, 2) / np.float32(128)
        # Everything but the size (entry 1) is an offset from the anchor.
        faces[:, [0, 2, 3, 4, 5, 6, 7]] += self._anchors[usable, None]
        return faces, scores[usable]


class _Network:
    """One .tflite network, run by LiteRT on one thread: array in, arrays out."""

    def __init__(self, content: bytes, *shapes: tuple[int, ...]) -> None:
        """Load a network and check its shapes.

        Args:
            content: of a .tflite file.
            shapes: of the input, then of the first outputs, those that are returned.

        Raises:
            ModelUnavailableError: it does not load, or has other shapes.
        """
        from ai_edge_litert.interpreter import Interpreter  # a trained anchor speaks without it

        try:
            with without_notices():
                self._interpreter: Any = Interpreter(model_content=content, num_threads=1)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelUnavailableError(f"A network of the face landmarker does not load: {error}") from error
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()[: len(shapes) - 1]
        if tuple(tuple(detail["shape"]) for detail in (*inputs, *outputs)) != shapes:
            raise ModelUnavailableError(
                "A network of the face landmarker is of another version than expected; fetch it again."
            )
        self._input = inputs[0]["index"]
        self._outputs = [detail["index"] for detail in outputs]

    def __call__(self, values: NDArray[np.floating[Any]]) -> list[FloatArray]:
        """Run the network on one input and return its first outputs."""
        self._interpreter.set_tensor(self._input, values.astype(np.float32, copy=False))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]


def _read_network(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read one network from the .task file; its size is checked before it is unpacked."""
    size = archive.getinfo(name).file_size
    if size > LARGEST_NETWORK_BYTES:
        raise ValueError(f"{name} has {size} bytes")
    return archive.read(name)


def _detector_anchors() -> FloatArray:
    """Anchors of the detector: (896, 2) centers in [0, 1], 2 a cell of a 16 x 16 grid and 6 a cell of an 8 x 8 grid."""
    grids = []
    for cells, repeats in ((16, 2), (8, 6)):
        centers = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        y, x = np.meshgrid(centers, centers, indexing="ij")
        grids.append(np.stack((x, y), -1).reshape(-1, 2).repeat(repeats, 0))
    return np.concatenate(grids)


def _suppress(faces: FloatArray, scores: FloatArray) -> list[FloatArray]:
    """Non-maximum suppression by blending: overlapping detections become their score-weighted mean (BlazeFace §3.3).

    The mean jitters less from frame to frame than the best detection alone.

    Args:
        faces: (n, 8, 2) detections.
        scores: (n,) of them.

    Returns:
        One (8, 2) detection for each face, best score first.
    """
    blended = []
    remaining = np.argsort(-scores, kind="stable")
    while len(remaining):
        # The best remaining detection and all that overlap it are one face.
        same = _overlap(faces[remaining[0]], faces[remaining]) > SUPPRESSION_OVERLAP
        same[0] = True  # a box without area does not overlap itself; without this, the loop would not end
        group, remaining = remaining[same], remaining[~same]
        blended.append(np.average(faces[group], axis=0, weights=scores[group]).astype(np.float32))
    return blended


def _overlap(one: FloatArray, many: FloatArray) -> FloatArray:
    """Intersection over union of the boxes of one detection (8, 2) and of many (n, 8, 2): (n,) float32."""
    low = np.maximum(one[0] - one[1] / 2, many[:, 0] - many[:, 1] / 2)
    high = np.minimum(one[0] + one[1] / 2, many[:, 0] + many[:, 1] / 2)
    shared = np.clip(high - low, 0, None).prod(-1)
    union = one[1].prod() + many[:, 1].prod(-1) - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def _detected_region(face: FloatArray, whole: FaceRegion) -> FaceRegion:
    """Region of a detection (8, 2) in [0, 1] of the square `whole`; the line of its eyes gives the rotation."""
    center, right_eye, left_eye = _transform(whole.to_image(1), face[[0, 2, 3]])
    across = left_eye - right_eye
    size_px = float(face[1].max()) * whole.size_px * REGION_MARGIN
    return FaceRegion(float(center[0]), float(center[1]), size_px, math.atan2(across[1], across[0]))


def _crop(image: ByteArray, region: FaceRegion, side: int) -> ByteArray:
    """Sample a region of an image as (side, side, 3) uint8, black where it reaches beyond the image."""
    matrix = region.to_image(side)
    shrink = int(region.size_px / side)
    if shrink > 1:
        image, matrix = _shrunk(image, matrix, side, shrink)
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV has pixel centers at whole numbers
    warped = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(warped, np.uint8)


def _shrunk(
    image: ByteArray, matrix: NDArray[np.float64], side: int, shrink: int
) -> tuple[ByteArray, NDArray[np.float64]]:
    """Reduce the part of an image that a crop needs, so that bilinear sampling does not alias.

    Bilinear sampling of a large face skips pixels, and its landmarks would jitter.

    Args:
        image: (H, W, 3) uint8.
        matrix: (2, 3) map from crop pixels to image pixels.
        side: of the crop, pixels.
        shrink: side of the blocks of pixels that are averaged.

    Returns:
        The reduced part, and the map from crop pixels to its pixels.
    """
    # Bounds of the rotated crop in the image, cut to whole blocks inside the image; at least one block remains.
    corners = _transform(matrix, np.array([[0, 0], [side, 0], [0, side], [side, side]]))
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(corners.min(0)), 0, (width - shrink, height - shrink)).astype(int)
    columns, rows = np.ceil((corners.max(0) - (left, top)) / shrink).astype(int)
    columns, rows = np.clip((columns, rows), 1, ((width - left) // shrink, (height - top) // shrink))
    # Averaging whole blocks (INTER_AREA by an integer factor) keeps pixel centers at +0.5, so the map only has to be
    # shifted to the part's corner and divided by the factor.
    part = image[top : top + rows * shrink, left : left + columns * shrink]
    matrix[:, 2] -= (left, top)
    return np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8), matrix / shrink


def _transform(matrix: NDArray[np.float64], points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Apply a (2, 3) affine map to (n, 2) points."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def _sigmoid(logits: FloatArray) -> FloatArray:
    """Logistic function, written by tanh so that it does not overflow."""
    return np.asarray(0.5 * (1 + np.tanh(logits / 2)), np.float32)
