"""A linear model of the lower face on the topology of MediaPipe's face mesh.

    shape = neutral + identity @ identity_basis + expression @ expression_basis

Units are centimetres of the canonical face, y up, z towards the viewer. The expression basis moves the
local region's vertices only; the identity basis moves those and the rigid vertices of the upper face, by
which the head's pose is found. Both are scaled so that coefficients come in standard deviations.
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
LARGEST_NUMBER = 1e4
"""No coordinate, weight or number of a vertex is larger."""


@dataclass(frozen=True)
class FaceModel:
    """Arrays of the model; see the module's text for units."""

    neutral: FloatArray
    """(468, 3) mean shape."""
    identity_basis: FloatArray
    """(I, 468, 3) offsets per standard deviation."""
    expression_basis: FloatArray
    """(K, 468, 3) offsets per standard deviation, zero outside `local`."""
    local: NDArray[np.int64]
    """(V,) vertices of the local region: the lower face."""
    rigid: NDArray[np.int64]
    """(R,) vertices of the upper face that speech does not move."""
    triangles: NDArray[np.int64]
    """(F, 3) triangles of the local mesh, the mouth's inside closed, numbered within `local`."""
    uv: FloatArray
    """(V, 2) texture coordinates of the local vertices in [0, 1], u to the right, v downwards."""
    importance: FloatArray
    """(V,) weight of each local vertex in fitting, > 0: the lips count most."""

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
        """Landmark number -> position within `local`."""
        return {int(landmark): position for position, landmark in enumerate(self.local)}

    def of(self, identity: FloatArray) -> PersonFace:
        """The face of a person: (I,) identity coefficients."""
        return PersonFace(self, identity)

    @functools.cached_property
    def reach_basis(self) -> FloatArray:
        """(K, V, 3) the expression basis over the local vertices."""
        return self.expression_basis[:, self.local]

    @functools.cached_property
    def boundary(self) -> NDArray[np.int64]:
        """The local mesh's outer edge as a closed loop of positions within `local`, (E,)."""
        return boundary_loop(self.triangles)


@dataclass(frozen=True)
class PersonFace:
    """The face model of one person: the model and the person's identity."""

    model: FaceModel
    identity: FloatArray
    """(I,) float32, in standard deviations."""

    @functools.cached_property
    def local_neutral(self) -> FloatArray:
        """(V, 3) cm, the local region at rest."""
        model = self.model
        return model.neutral[model.local] + np.tensordot(self.identity, model.identity_basis[:, model.local], 1)

    def local_shape(self, expression: FloatArray) -> FloatArray:
        """The local region with expressions: (T, K) -> (T, V, 3) cm."""
        model = self.model
        return self.local_neutral + np.tensordot(expression, model.expression_basis[:, model.local], 1)

    def opening(self, expression: FloatArray) -> FloatArray:
        """Gap between the inner lips over the width of the mean face: (T, K) -> (T,)."""
        model, lips = self.model, [UPPER_LIP, LOWER_LIP]
        shape = model.neutral[lips] + np.tensordot(self.identity, model.identity_basis[:, lips], 1)
        shape = shape + np.tensordot(expression, model.expression_basis[:, lips], 1)
        width = np.linalg.norm(model.neutral[RIGHT_CHEEK] - model.neutral[LEFT_CHEEK])
        return np.asarray(np.linalg.norm(shape[:, 0] - shape[:, 1], axis=-1) / width, np.float32)

    def lip_gap(self, expression: FloatArray) -> FloatArray:
        """Height of the gap between the inner lips in cm, below 0 where they overlap: (T, K) -> (T,).

        It is linear in the expression.
        """
        model, upper, lower = self.model, UPPER_LIP, LOWER_LIP
        rest = (model.neutral[upper] - model.neutral[lower])[1]
        rest = rest + self.identity @ (model.identity_basis[:, upper] - model.identity_basis[:, lower])[:, 1]
        moves = (model.expression_basis[:, upper] - model.expression_basis[:, lower])[:, 1]
        return np.asarray(rest + expression @ moves, np.float32)


def boundary_loop(triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    """The longest closed loop of edges that belong to one triangle only, in order: (F, 3) -> (E,)."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    directed = {(int(a), int(b)) for a, b in edges}
    following = {a: b for a, b in directed if (b, a) not in directed}
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
    """Write the model as safetensors."""
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
        except (KeyError, ValueError):  # the edge of the mesh is no loop
            wrong.append("triangles")
    if wrong or not all((np.abs(getattr(model, name)) <= LARGEST_NUMBER).all() for name in shapes):
        raise CheckpointError(f"{path} holds arrays that do not fit together{': ' if wrong else ''}{', '.join(wrong)}.")
