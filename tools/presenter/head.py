"""The head: the open ICT-FaceKit model in numpy, with its shape, expressions, pose and parts.

Units are those of the model (close to centimeters); x to the presenter's left, y up, z towards the camera.
The model is ICT-FaceKit (Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020), MIT license.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

DEFAULT_ICT = Path(__file__).resolve().parents[3] / "shared" / "models" / "ict_facekit.npz"
"""File of the model where $TALKINGHEAD_ICT is not set."""
SCLERA = {"L": slice(21451, 22221), "R": slice(23021, 23791)}
"""Vertices of the white of either eye."""
IRIS = {"L": slice(22221, 23021), "R": slice(23791, 24591)}
"""Vertices of either iris."""
EYEBALL = {"L": slice(21451, 23021), "R": slice(23021, 24591)}
"""Vertices of either whole eyeball: sclera and iris."""
GAZE_RAD = 0.45
"""Rotation of an eyeball at a weight of 1 of eyeLook*, radians; the model's own shapes move the lids only."""
SKIN = slice(0, 14062)
"""Vertices of the skin of face, head and neck."""

HOLLOW = slice(11248, 13294)
"""Vertices of the skin inside the cheeks and behind the teeth."""
UPPER_TEETH = slice(17039, 19247)
"""Vertices of the upper teeth."""
MOUTH_FLOOR = slice(14062, 17039)
"""Vertices of gums, tongue and the floor of the mouth, one surface."""
UPPER_GUMS_CM = -2.5
"""Height in the mean person above which that surface is upper gums and palate."""
TEETH_SHIFT_CM = np.array([0.0, -0.20, 0.08])
"""Displacement of the upper teeth and gums: in the model's mean person the lip hides them when it speaks."""

NECK_PIVOT = np.array([0.0, -6.0, -1.0])
"""(3,) point about which the head rotates, near the top of the spine."""
NECK_BENDS = (-15.0, -8.5)
"""Heights between which the neck bends: below it is still, with the torso; above it moves with the head."""


def ict_path() -> Path:
    """Path of the model: $TALKINGHEAD_ICT, or ../shared/models next to the repository."""
    return Path(os.environ.get("TALKINGHEAD_ICT", DEFAULT_ICT))


@dataclass(frozen=True)
class Head:
    """One person's head at rest, and its expressions."""

    generic: Array
    """(V, 3) the mean person of the model, on which regions are defined, so that they are the same for every person."""
    neutral: Array
    """(V, 3) this person at rest."""
    expressions: Array
    """(E, V, 3) displacement at weight 1."""
    expression_names: tuple[str, ...]
    """(E,) ARKit names with _L and _R."""
    faces: list[list[int]]
    """Vertex numbers of each face, a triangle or a quad."""
    face_uv: list[list[int]]
    """Numbers of the texture coordinates at the corners of each face."""
    uv: Array
    """(N, 2) texture coordinates."""
    material_of_face: list[str]
    """Name of the material of each face."""
    landmarks68: Indices
    """(68,) vertex numbers of the 68 landmarks."""

    def deformed(self, weights: Array) -> Array:
        """Vertices (V, 3) with the expression `weights` (E,), before the pose; the eyeballs rotate with eyeLook*."""
        active = np.flatnonzero(weights)
        vertices = self.neutral + np.tensordot(weights[active], self.expressions[active], 1)
        named = dict(zip(self.expression_names, weights.tolist(), strict=True))
        for side, outwards in (("L", 1.0), ("R", -1.0)):
            yaw = outwards * (named[f"eyeLookOut_{side}"] - named[f"eyeLookIn_{side}"])
            pitch = named[f"eyeLookDown_{side}"] - named[f"eyeLookUp_{side}"]
            rotation = Rotation.from_euler("YX", np.array([yaw, pitch]) * GAZE_RAD).as_matrix()
            balls = np.r_[EYEBALL[side]]
            center = eye_center(vertices, side)
            vertices[balls] = (vertices[balls] - center) @ rotation.T + center
        return vertices

    def posed(self, vertices: Array, rotation_rad: Array, translation_cm: Array) -> Array:
        """`vertices` (V, 3) with the head rotated and shifted; the lower neck stays with the torso."""
        return vertices + self.follows[:, None] * (rigidly_moved(vertices, rotation_rad, translation_cm) - vertices)

    @cached_property
    def follows(self) -> Array:
        """(V,) how far each vertex moves with the head: 0 on the shoulders and low on the neck, 1 above it."""
        low, high = NECK_BENDS
        part = np.clip((self.neutral[:, 1] - low) / (high - low), 0, 1)
        depth = np.minimum(
            self.neutral[:, 2] - NECK_PIVOT[2], 6.0
        )  # what is further in front is the chin, not the chest
        aside = np.hypot(self.neutral[:, 0], depth)
        part = np.where(self.neutral[:, 1] < high, part * np.clip((11.0 - aside) / 4, 0, 1), part)
        return part * part * (3 - 2 * part)

    def part(self, name: str) -> Indices:
        """Indices of the faces made of material `name`."""
        return np.flatnonzero(np.asarray(self.material_of_face) == name)


def rigidly_moved(points: Array, rotation_rad: Array, translation_cm: Array) -> Array:
    """`points` (N, 3) rotated about the neck by pitch, yaw, roll (`rotation_rad`, about x, y, z), then shifted."""
    rotation = Rotation.from_euler("XYZ", rotation_rad).as_matrix()
    return (points - NECK_PIVOT) @ rotation.T + NECK_PIVOT + translation_cm


def eye_center(vertices: Array, side: str) -> Array:
    """(3,) center of the eyeball of `side` L or R."""
    ball = vertices[IRIS[side]]
    return (ball.min(0) + ball.max(0)) / 2


def load_head(identity: dict[int, float], path: Path | None = None) -> Head:
    """The model with the `identity` weights (component number to standard deviations)."""
    with np.load(path or ict_path()) as model:
        generic = model["neutral"].astype(np.float64)
        neutral = generic.copy()
        shapes = model["identity"]  # read once: every access to an npz file unpacks it again
        for component, weight in identity.items():
            neutral += weight * shapes[component].astype(np.float64)
        names = tuple(str(name) for name in model["expression_names"])
        expressions = model["expression"].astype(np.float64)
        neutral[UPPER_TEETH] += TEETH_SHIFT_CM
        upper_gums = np.clip((generic[MOUTH_FLOOR, 1] - UPPER_GUMS_CM) / 0.4, 0, 1)
        neutral[MOUTH_FLOOR] += upper_gums[:, None] * TEETH_SHIFT_CM
        quads, corners = model["faces"], model["faces_uv"]
        materials = model["material_names"][model["face_material"]]
        return Head(
            generic=generic,
            neutral=neutral,
            expressions=expressions,
            expression_names=names,
            faces=[[int(v) for v in face if v >= 0] for face in quads],
            face_uv=[
                [int(t) for t, v in zip(corner, face, strict=True) if v >= 0]
                for corner, face in zip(corners, quads, strict=True)
            ],
            uv=model["uv"].astype(np.float64),
            material_of_face=[str(name) for name in materials],
            landmarks68=model["landmarks68"].astype(np.int64),
        )
