"""Fits the linear face model to tracked clips of several speakers.

    python -m talkinghead.training.face_model CLIP... -o checkpoints/face_model.safetensors

Each clip's landmarks are aligned rigidly on upper-face points; its speaker's rest shape is the median of its
frames with closed lips; identity is the principal components of rest shapes, expression those of the
differences from rest, over the lower face. Every clip counts the same, and mirror images are added: a
mirrored face is a face.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import NoFaceError
from talkinghead.face.face_model import FaceModel, save_face_model
from talkinghead.face.pose import fit_similarity, unproject
from talkinghead.face.topology import INNER_LIP_LOWER, INNER_LIP_UPPER, LOWER_LIP, MESH_VERTICES, UPPER_LIP
from talkinghead.face.tracking import track_file
from talkinghead.structures import FloatArray, Track
from talkinghead.weights import registry

Array = NDArray[np.float64]

FRAMES_PER_CLIP = 600
"""At most this many frames of a clip are used, evenly spread."""
ALIGNMENT_AXES = np.array([1.0, 1.0, 0.3])
OPEN_MOUTH_SIGMA = 1.5
"""How far the mouth is opened, in standard deviations, before the mesh is laid flat for its texture."""


def fit_face_model(
    tracks: Sequence[Track], canonical: FloatArray, triangles: NDArray[np.int64], identities: int, expressions: int
) -> FaceModel:
    """Fit a model to the tracks of several clips, one speaker each.

    Args:
        tracks: landmarks of each clip.
        canonical: (468, 3) MediaPipe's canonical face in cm.
        triangles: (898, 3) its triangles.
        identities, expressions: I and K, how many components to keep.

    Raises:
        NoFaceError: a clip has no valid frame.
    """
    local = local_vertices(canonical)
    mirror = mirror_vertices(canonical)
    rigid = rigid_vertices()
    neutral = canonical.astype(np.float64)
    # The mean shape defines the alignment and the alignment the mean shape: a few turns settle both.
    for _ in range(3):
        aligned = [_align(track, neutral, rigid) for track in tracks]
        rests = np.stack([_rest_shape(shape) for shape in aligned])
        rests = np.concatenate([rests, rests[:, mirror] * (-1, 1, 1)])
        neutral = rests.mean(0)
    identity_basis = _components((rests - neutral).reshape(len(rests), -1), identities).reshape(-1, MESH_VERTICES, 3)

    importance = vertex_importance(canonical)[local]
    moves = np.concatenate([_moves(shape, local) for shape in aligned])
    mirrored = np.zeros((len(moves), MESH_VERTICES, 3))
    mirrored[:, local] = moves
    moves = np.concatenate([moves, (mirrored[:, mirror] * (-1, 1, 1))[:, local]])
    expression_basis = np.zeros((expressions, MESH_VERTICES, 3))
    root = np.sqrt(importance[:, None] * ALIGNMENT_AXES)
    directions = _components((moves * root).reshape(len(moves), -1), expressions)
    expression_basis[:, local] = directions.reshape(expressions, -1, 3) / root

    number = np.full(MESH_VERTICES, -1)
    number[local] = np.arange(len(local))
    inside = (number[triangles] >= 0).all(1)
    mesh = np.concatenate([number[triangles[inside]], number[mouth_triangles()]])
    opened = neutral + OPEN_MOUTH_SIGMA * _opening_direction(expression_basis)
    return FaceModel(
        neutral=neutral.astype(np.float32),
        identity_basis=identity_basis.astype(np.float32),
        expression_basis=expression_basis.astype(np.float32),
        local=local,
        rigid=rigid,
        triangles=mesh,
        uv=flatten(opened[local]),
        importance=importance.astype(np.float32),
    )


def local_vertices(canonical: FloatArray) -> NDArray[np.int64]:
    """Vertices below a line that runs under the nose and rises across the cheeks: (468, 3) -> (V,)."""
    x, y = np.abs(canonical[:, 0]), canonical[:, 1]
    # The fourth root of "far from the middle" keeps the nostrils out and the moving part of the cheeks in.
    line = -2.2 + 0.9 * np.clip((x - 1.2) / 2.0, 0.0, 1.0)
    return np.flatnonzero(y < line)


def rigid_vertices() -> NDArray[np.int64]:
    """Vertices that neither speech nor brows nor eyelids move, and that the landmark model does not move either.

    Corners of the eyes, temples and the upper edge of the cheekbones, by number: (R,). Bridge of the nose and forehead
    would be as rigid, but where only the mouth of a picture is changed, the landmark model moves them by about 2 px
    in 512, the corners of the eyes by 0.5 (benchmarks/leak.py), and the pose would follow the old mouth.
    """
    points = [133, 362, 33, 263, 130, 359, 226, 446, 35, 265, 143, 372, 111, 340, 156, 383, 8]
    points += [34, 264, 127, 356, 116, 345, 162, 389, 139, 368]
    return np.unique(np.array(points, np.int64))


def vertex_importance(canonical: FloatArray) -> Array:
    """Weight of every vertex in fitting, (468, 3) -> (468,): 1 on the cheeks, up to 10 at the inner lips."""
    lips = canonical[list(INNER_LIP_UPPER + INNER_LIP_LOWER)]
    distance = np.linalg.norm(canonical[:, None] - lips[None], axis=-1).min(1)
    return 1.0 + 9.0 * np.exp(-((distance / 0.9) ** 2))


def mirror_vertices(canonical: FloatArray) -> NDArray[np.int64]:
    """For every vertex the number of the one across the face's middle plane: (468, 3) -> (468,)."""
    distance = np.linalg.norm(canonical[:, None] * (-1, 1, 1) - canonical[None], axis=-1)
    mirror = distance.argmin(1)
    if not np.array_equal(mirror[mirror], np.arange(len(canonical))):
        raise ValueError("The canonical face is not symmetric: its vertices do not pair up.")
    return mirror


def mouth_triangles() -> NDArray[np.int64]:
    """Triangles that close the mouth between the inner lips, by landmark number: (18, 3)."""
    rows = []
    pairs = list(zip(INNER_LIP_UPPER, INNER_LIP_LOWER, strict=True))
    for (up, low), (next_up, next_low) in zip(pairs, pairs[1:], strict=False):
        rows += [(up, low, next_up), (next_up, low, next_low)]
    return np.array([row for row in rows if len(set(row)) == 3], np.int64)


def flatten(shape: Array) -> FloatArray:
    """Texture coordinates of an open-mouthed lower face: (V, 3) cm -> (V, 2) in [0, 1].

    A cylinder is unrolled, then the middle is drawn larger, since lips and teeth need most of the texture.
    """
    flat = np.stack([np.arctan2(shape[:, 0], shape[:, 2] + 4.0) * 8.0, -shape[:, 1]], 1)
    center = (flat.max(0) + flat.min(0)) / 2
    unit = (flat - center) / (flat.max(0) - flat.min(0)) * 2  # in [-1, 1]
    drawn = np.sign(unit) * np.abs(unit) ** 0.75
    return np.asarray((drawn * 0.96 + 1) / 2, np.float32)


def _align(track: Track, neutral: Array, rigid: NDArray[np.int64]) -> Array:
    """Shapes in the head's own frame: up to FRAMES_PER_CLIP valid frames, (T, 468, 3) cm."""
    valid = np.flatnonzero(track.valid)
    if not len(valid):
        raise NoFaceError("A clip shows no usable face.")
    chosen = valid[np.unique(np.linspace(0, len(valid) - 1, FRAMES_PER_CLIP).astype(int))]
    observed = track.landmarks[chosen, :MESH_VERTICES].astype(np.float64) * (1, -1, -1)
    pose = fit_similarity(neutral[rigid], observed[:, rigid], ALIGNMENT_AXES)
    return unproject(observed, pose)


def _rest_shape(shape: Array) -> Array:
    """(T, 468, 3) -> (468, 3) median of the third of the frames with the least open mouth."""
    gap = np.linalg.norm(shape[:, UPPER_LIP] - shape[:, LOWER_LIP], axis=-1)
    return np.asarray(np.median(shape[gap <= np.quantile(gap, 0.33)], axis=0))


def _moves(shape: Array, local: NDArray[np.int64]) -> Array:
    """(T, 468, 3) -> (T', V, 3) differences from rest, thinned or repeated so that each clip counts the same."""
    moves = (shape - _rest_shape(shape))[:, local]
    return moves[np.linspace(0, len(moves) - 1, FRAMES_PER_CLIP // 2).astype(int)]


def _components(samples: Array, count: int) -> Array:
    """Principal directions about zero, each scaled to one standard deviation: (S, D) -> (count, D)."""
    _, singular, directions = np.linalg.svd(samples, full_matrices=False)
    return np.asarray(directions[:count] * (singular[:count, None] / np.sqrt(len(samples))))


def _opening_direction(expression_basis: Array) -> Array:
    """(468, 3) displacement of one standard deviation of mouth opening: the likeliest way to open the lips."""
    gap = expression_basis[:, UPPER_LIP, 1] - expression_basis[:, LOWER_LIP, 1]
    return np.asarray(np.tensordot(gap / np.linalg.norm(gap), expression_basis, 1))


def read_canonical_face(task: Path) -> tuple[FloatArray, NDArray[np.int64]]:
    """MediaPipe's canonical face from the geometry metadata inside face_landmarker.task: (468, 3) cm, (898, 3).

    The metadata is a protocol buffer; its first field is the mesh, in which field 3 holds the vertices (x, y, z, u, v)
    and field 4 the triangles.
    """
    with zipfile.ZipFile(task) as archive:
        metadata = archive.read("geometry_pipeline_metadata_landmarks.binarypb")
    mesh = next(value for number, value in _fields(metadata) if number == 1 and isinstance(value, bytes))
    fields = list(_fields(mesh))
    floats = b"".join(value for number, value in fields if number == 3 and isinstance(value, bytes))
    corners = [value for number, value in fields if number == 4 and isinstance(value, int)]
    vertices = np.frombuffer(floats, "<f4").reshape(MESH_VERTICES, 5)
    return vertices[:, :3].copy(), np.array(corners, np.int64).reshape(-1, 3)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and raw values of a protocol buffer message (wire types 0, 2 and 5 are all that occur)."""
    position = 0

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while position < len(message):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        else:
            length = 4 if key & 7 == 5 else number()
            yield key >> 3, message[position : position + length]
            position += length


@click.command()
@click.argument("clips", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The .safetensors file to write.")
@click.option("--identities", default=16, show_default=True, help="Identity components, I.")
@click.option("--expressions", default=20, show_default=True, help="Expression components, K.")
def main(clips: tuple[Path, ...], output: Path, identities: int, expressions: int) -> None:
    """Fit the face model to CLIPS, one speaker each."""
    canonical, triangles = read_canonical_face(registry.locate("face_landmarker"))
    tracks = [track_file(clip) for clip in clips]
    save_face_model(fit_face_model(tracks, canonical, triangles, identities, expressions), output)
    click.echo(f"{output}: fitted to {sum(int(track.valid.sum()) for track in tracks)} frames of {len(tracks)} clips")


if __name__ == "__main__":
    main()
