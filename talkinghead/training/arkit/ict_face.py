"""The ICT-FaceKit head: shape of the face for identities and ARKit weights.

Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020; MIT license. The file is an npz with
the arrays `neutral`, `expression`, `expression_names`, `identity`, `faces` and `landmarks68`, taken from the OBJ files
of ICT-FaceKit Light. Centimeters, x to the person's left, y up, z towards the viewer.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.generation.blendshapes.names import ARKIT_SHAPES

Array = NDArray[np.float64]

SKIN = 9409
"""The first vertices of the head are those of the face's skin."""
COMPONENTS = 40
"""Identity components that are used, the largest."""


@dataclass(frozen=True)
class IctFace:
    """The face's skin of the head model, of P vertices."""

    neutral: Array
    """(P, 3) the mean person at rest."""
    shapes: Array
    """(52, P, 3) displacement at the weight 1 of ARKit's shapes, in their order; 0 for those that the model lacks."""
    identity: Array
    """(COMPONENTS, P, 3) displacement for one standard deviation."""
    normals: Array
    """(P, 3) of the mean person, outwards."""
    landmarks: NDArray[np.int64]
    """(68,) vertices of the 68 landmarks."""

    def person(self, identity: Array) -> Array:
        """(P, 3) the person of (COMPONENTS,) identity weights at rest."""
        return np.asarray(self.neutral + np.tensordot(identity, self.identity, 1))


def load_ict_face(path: Path) -> IctFace:
    """Read the head model.

    Raises:
        MissingFileError: it is not there; the message says how to get it.
        CheckpointError: the file is not the head model.
    """
    if not path.is_file():
        raise MissingFileError(
            f"There is no head model {path}: make the npz of ICT-FaceKit (github.com/ICT-VGL/ICT-FaceKit, MIT) as "
            "data/presenter/README.md says, and name it with --ict or $TALKINGHEAD_ICT."
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            neutral = file["neutral"][:SKIN].astype(np.float64)
            shapes = file["expression"][:, :SKIN].astype(np.float64)
            names = [str(name) for name in file["expression_names"]]
            identity = file["identity"][:COMPONENTS, :SKIN].astype(np.float64)
            faces, landmarks = file["faces"], file["landmarks68"].astype(np.int64)
    except (KeyError, ValueError, IndexError, OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is not the npz of the ICT-FaceKit head: {error}.") from error
    corners = faces[(faces[:, :3] < SKIN).all(1)][:, :3].astype(np.int64)
    return IctFace(neutral, in_arkit_order(shapes, names, sides="sum"), identity, _normals(neutral, corners), landmarks)


def in_arkit_order(values: Array, names: list[str], *, sides: str) -> Array:
    """What is known of each of the head model's shapes, in ARKit's order: (E, ...) -> (52, ...).

    Args:
        values: of the head model's shapes.
        names: theirs, with _L and _R.
        sides: what becomes of shapes that ARKit does not divide: "sum" or "mean" of both sides.
    """
    result = np.zeros((len(ARKIT_SHAPES), *values.shape[1:]))
    at = {name: number for number, name in enumerate(names)}
    for number, name in enumerate(ARKIT_SHAPES):
        side = next((name.removesuffix(end) + f"_{end[0]}" for end in ("Left", "Right") if name.endswith(end)), name)
        if name in at or side in at:
            result[number] = values[at[name if name in at else side]]
        elif f"{name}_L" in at:
            both = values[at[f"{name}_L"]] + values[at[f"{name}_R"]]
            result[number] = both if sides == "sum" else both / 2
    return result


def _normals(vertices: Array, triangles: NDArray[np.int64]) -> Array:
    """(P, 3) unit normals of the vertices, the mean of those of their triangles."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], across)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9))
