"""A linear model of the lower face on the topology of MediaPipe's face mesh.

    shape = neutral + identity @ identity_basis + expression @ expression_basis

Units are centimeters of the canonical face, y up, z towards the viewer. The expression basis moves the
vertices of the local region only; the identity basis moves those and the rigid vertices of the upper face, to
which the head's pose is fitted. Both are scaled so that coefficients are in standard deviations.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError
from talkinghead.face.topology import LEFT_CHEEK, LOWER_LIP, MESH_VERTICES, RIGHT_CHEEK, UPPER_LIP
from talkinghead.files import load_arrays, save_arrays
from talkinghead.structures import FloatArray

FORMAT = "talkinghead/face-model/1"
"""Format of the file, stored in its metadata."""
LARGEST_NUMBER = 1e4
"""Largest coordinate (cm) and weight of a usable file: a larger one is damage."""


@dataclass(frozen=True)
class FaceModel:
    """Linear face model: a mean shape, its modes of identity and expression, and the mesh of the local region."""

    neutral: FloatArray
    """(468, 3) float32, mean shape in cm."""
    identity_basis: FloatArray
    """(I, 468, 3) float32, offsets in cm per standard deviation."""
    expression_basis: FloatArray
    """(K, 468, 3) float32, offsets in cm per standard deviation, zero outside `local`."""
    local: NDArray[np.int64]
    """(V,) int64, landmark numbers of the local region: the lower face."""
    rigid: NDArray[np.int64]
    """(R,) int64, landmark numbers of the upper face that speech does not move."""
    triangles: NDArray[np.int64]
    """(F, 3) int64, triangles of the local mesh, which also cover the inside of the mouth; positions within `local`."""
    uv: FloatArray
    """(V, 2) float32, texture coordinates of the local vertices in [0, 1], u to the right, v downwards."""
    importance: FloatArray
    """(V,) float32, weight of each local vertex in fitting, > 0: the lips count most."""

    @property
    def expressions(self) -> int:
        """K, the number of expression coefficients."""
        return len(self.expression_basis)

    @property
    def identities(self) -> int:
        """I, the number of identity coefficients."""
        return len(self.identity_basis)

    @functools.cached_property
    def local_index(self) -> dict[int, int]:
        """Position within `local` of each of its landmark numbers."""
        return {int(landmark): position for position, landmark in enumerate(self.local)}

    def of(self, identity: FloatArray) -> PersonFace:
        """The face of the person with these identity coefficients (I,)."""
        return PersonFace(self, identity)

    @functools.cached_property
    def reach_basis(self) -> FloatArray:
        """(K, V, 3) expression basis of the local vertices."""
        return self.expression_basis[:, self.local]

    @functools.cached_property
    def boundary(self) -> NDArray[np.int64]:
        """(E,) outer edge of the local mesh, a closed loop of positions within `local`."""
        return boundary_loop(self.triangles)


@dataclass(frozen=True)
class PersonFace:
    """The face of one person: the face model and the person's identity coefficients."""

    model: FaceModel
    """The face model, the same for every person."""
    identity: FloatArray
    """(I,) float32, in standard deviations."""

    @functools.cached_property
    def local_neutral(self) -> FloatArray:
        """(V, 3) cm, the local region with the expression 0."""
        model = self.model
        return model.neutral[model.local] + np.tensordot(self.identity, model.identity_basis[:, model.local], 1)

    def local_shape(self, expression: FloatArray) -> FloatArray:
        """Shape of the local region with given expressions: (T, K) -> (T, V, 3) cm."""
        model = self.model
        return self.local_neutral + np.tensordot(expression, model.expression_basis[:, model.local], 1)

    def opening(self, expression: FloatArray) -> FloatArray:
        """Mouth opening: the distance of the inner lips over the width of the mean face, (T, K) -> (T,) float32."""
        model, lips = self.model, [UPPER_LIP, LOWER_LIP]
        shape = model.neutral[lips] + np.tensordot(self.identity, model.identity_basis[:, lips], 1)
        shape = shape + np.tensordot(expression, model.expression_basis[:, lips], 1)
        width = np.linalg.norm(model.neutral[RIGHT_CHEEK] - model.neutral[LEFT_CHEEK])
        return np.asarray(np.linalg.norm(shape[:, 0] - shape[:, 1], axis=-1) / width, np.float32)

    def lip_gap(self, expression: FloatArray) -> FloatArray:
        """Height of the gap between the inner lips, cm: (T, K) -> (T,) float32.

        It is linear in the expression, and negative where the lips overlap.
        """
        model, upper, lower = self.model, UPPER_LIP, LOWER_LIP
        # Only y counts, the axis along which the lips part.
        rest = (model.neutral[upper] - model.neutral[lower])[1]
        rest = rest + self.identity @ (model.identity_basis[:, upper] - model.identity_basis[:, lower])[:, 1]
        per_coefficient = (model.expression_basis[:, upper] - model.expression_basis[:, lower])[:, 1]
        return np.asarray(rest + expression @ per_coefficient, np.float32)


def boundary_loop(triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Outer edge of a mesh: the longest closed loop of edges that belong to one triangle only.

    Args:
        triangles: (F, 3) vertex numbers, all triangles wound in the same sense.

    Returns:
        (E,) vertex numbers in order along the edge.

    Raises:
        KeyError, ValueError: the edges form no closed loop.
    """
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    # Two triangles that share an edge run along it in opposite directions: an edge without its opposite is outside.
    directed = {(int(a), int(b)) for a, b in edges}
    following = {a: b for a, b in directed if (b, a) not in directed}
    # Each loop is followed from any of its edges until it closes.
    loops: list[list[int]] = []
    while following:
        start, here = following.popitem()
        loop = [start]
        while here != start:
            loop.append(here)
            here = following.pop(here)
        loops.append(loop)
    return np.array(max(loops, key=len), np.int64)


def save_face_model(model: FaceModel, path: Path) -> None:
    """Write the model as safetensors.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays = {name: getattr(model, name) for name in FaceModel.__dataclass_fields__}
    save_arrays(path, arrays, {"format": FORMAT})


def load_face_model(path: Path) -> FaceModel:
    """Read a model that `save_face_model` wrote.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged, or not a face model of this version.
    """
    arrays, metadata = load_arrays(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a face model of this version ({FORMAT}).")
    fields = FaceModel.__dataclass_fields__
    if set(arrays) != set(fields):
        raise CheckpointError(f"{path} lacks {sorted(set(fields) - set(arrays))}; fetch it again.")
    model = FaceModel(**arrays)
    _check(model, path)
    return model


def _check(model: FaceModel, path: Path) -> None:
    """Check shapes, types and ranges of the arrays, and that the mesh has an edge.

    Raises:
        CheckpointError: they do not fit together; the message names those that are wrong.
    """
    vertices = len(model.local)
    shapes = {
        "neutral": (MESH_VERTICES, 3),
        "identity_basis": (model.identities, MESH_VERTICES, 3),
        "expression_basis": (model.expressions, MESH_VERTICES, 3),
        "triangles": (len(model.triangles), 3),
        "uv": (vertices, 2),
        "importance": (vertices,),
    }
    wrong = [
        name
        for name, shape in shapes.items()
        if getattr(model, name).shape != shape or (name != "triangles" and getattr(model, name).dtype != np.float32)
    ]
    for name, top in (("local", MESH_VERTICES), ("rigid", MESH_VERTICES), ("triangles", vertices)):
        numbers = getattr(model, name)
        if numbers.size == 0 or numbers.dtype != np.int64 or numbers.min() < 0 or numbers.max() >= top:
            wrong.append(name)
    if not wrong:
        try:
            _ = model.boundary
        except (KeyError, ValueError):  # the edge of the mesh does not close
            wrong.append("triangles")
    if wrong or not all((np.abs(getattr(model, name)) <= LARGEST_NUMBER).all() for name in shapes):
        raise CheckpointError(f"{path} holds arrays that do not fit together{': ' if wrong else ''}{', '.join(wrong)}.")
