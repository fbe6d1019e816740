"""Hair as strands: scalp, brows and lashes, grown on the head mesh in numpy.

A strand is rooted at a point on the mesh (triangle and barycentric weights), so that brows and lashes follow the
expression; scalp hair moves rigidly with the skull.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from head import SKIN, Array, Head, Indices
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

POINTS = 8
"""Points along one strand."""

# The hairline in the side view: in front of this depth z (at height y) there is no hair.
_HAIRLINE_Y = np.array([-0.6, 0.4, 2.5, 4.0, 6.0, 7.6, 8.6, 9.2, 9.8, 10.6, 13.0])
_HAIRLINE_Z = np.array([2.2, 3.5, 3.7, 3.6, 3.8, 4.6, 6.0, 7.6, 9.4, 11.8, 14.0])


@dataclass(frozen=True)
class Hairstyle:
    """Shape of the scalp hair; lengths in cm."""

    count: int
    """Number of strands."""
    length_top: float
    """Length on top of the head."""
    length_sides: float
    """Length at the sides."""
    lift: float
    """Rise of the strands from the scalp at the root, 0 (combed flat) to 1."""
    part: float | None
    """Sideways position of the parting, cm; None combs all hair straight back."""
    clump: float
    """Degree to which neighboring strands gather into locks, 0 to 1."""
    frizz: float
    """Sideways deviation of a strand from its course, cm."""
    root_radius: float = 0.011
    tip_radius: float = 0.004


@dataclass(frozen=True)
class Strands:
    """Hair of S strands: (S, P, 3) points and (S, P) radii, cm."""

    points: Array
    radii: Array


def scalp_field(points_on_skin: Array) -> Array:
    """Signed: positive where hair grows on the generic head, about the distance from the hairline in cm; (N,)."""
    x, y, z = points_on_skin.T
    front = np.interp(y, _HAIRLINE_Y, _HAIRLINE_Z) - z
    sideways = np.abs(x)
    ear = np.hypot((y - 1.3) / 3.5, (z - 0.1) / 2.5) - 1
    beside_ear = np.where(sideways > 6.0, 3.0 * ear, 9.0)
    nape = np.where(z < 0.8, y + 5.2 - 0.05 * sideways**2, y + 0.2)
    return np.minimum.reduce([front, beside_ear, nape])


def in_scalp(points_on_skin: Array, softness: float) -> Array:
    """0 to 1 over `softness` cm inside the hairline, (N,)."""
    return np.clip(scalp_field(points_on_skin) / softness, 0, 1)


def vertex_normals(vertices: Array, faces: list[list[int]]) -> Array:
    """(V, 3) unit normals."""
    triangles = np.array([[f[0], f[k - 1], f[k]] for f in faces for k in range(2, len(f))])
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, triangles[:, k], across)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Roots:
    """Roots of S strands: (S, 3) corners of their triangles and (S, 3) barycentric weights."""

    corners: Indices
    weights: Array

    def on(self, vertices: Array) -> Array:
        """(S, 3) positions on the mesh `vertices`."""
        return np.einsum("sk,skc->sc", self.weights, vertices[self.corners])

    def take(self, chosen: Indices) -> Roots:
        return Roots(self.corners[chosen], self.weights[chosen])


def scatter(head: Head, count: int, rng: np.random.Generator, parts: tuple[str, ...]) -> Roots:
    """`count` roots spread evenly by area over the named parts of the neutral head."""
    faces = [head.faces[i] for part in parts for i in head.part(part)]
    triangles = np.array([[f[0], f[k - 1], f[k]] for f in faces for k in range(2, len(f))])
    a, b, c = (head.neutral[triangles[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = rng.choice(len(triangles), count, p=area / area.sum())
    u, v = rng.random((2, count))
    fold = u + v > 1
    u, v = np.where(fold, 1 - u, u), np.where(fold, 1 - v, v)
    return Roots(triangles[chosen], np.stack([1 - u - v, u, v], 1))


def unit(vectors: Array) -> Array:
    """Vectors (..., 3) at length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def scalp_hair(head: Head, style: Hairstyle, seed: int) -> Strands:
    """The hair of the head, combed along the scalp: back on top (to one side of the parting), down at the sides."""
    rng = np.random.default_rng(seed)
    roots = scatter(head, style.count * 6, rng, ("M_Face", "M_BackHead"))
    points_on_skin = roots.on(head.generic)
    # An uneven, thinning edge: a straight one looks like a cap.
    uneven = 0.35 * np.sin(2.1 * points_on_skin[:, 0] + 1.0) * np.sin(1.3 * points_on_skin[:, 0]) + 0.30 * rng.normal(
        size=len(points_on_skin)
    )
    density = np.clip((scalp_field(points_on_skin) + uneven) / 1.5, 0, 1) ** 1.5
    roots = roots.take(np.flatnonzero(rng.random(len(points_on_skin)) < density)[: style.count])
    points_on_skin, base = roots.on(head.generic), roots.on(head.neutral)

    normals = vertex_normals(head.neutral, [head.faces[i] for p in ("M_Face", "M_BackHead") for i in head.part(p)])
    tree = cKDTree(head.neutral[SKIN])
    top = np.clip((points_on_skin[:, 1] - 7.0) / 3.5, 0, 1)
    inside = np.clip(scalp_field(points_on_skin) / 2.0, 0.22, 1)
    length = (style.length_sides + (style.length_top - style.length_sides) * top) * inside
    length *= rng.uniform(0.8, 1.1, len(points_on_skin))
    flow = combing(points_on_skin, style, top)
    lift = style.lift * (0.35 + 0.65 * top)

    points = np.empty((len(points_on_skin), POINTS, 3))
    points[:, 0] = base
    lean = rng.normal(scale=0.12, size=(len(points_on_skin), 3))
    for k in range(1, POINTS):
        here = points[:, k - 1]
        _, nearest = tree.query(here)
        normal = normals[nearest]
        along = unit(flow - (flow * normal).sum(1, keepdims=True) * normal)
        rise = lift * (1.1 - 1.5 * k / POINTS) + 0.12 / k
        step = unit(along + rise[:, None] * normal + lean)
        points[:, k] = here + step * (length / (POINTS - 1))[:, None]
        skin = head.neutral[nearest]
        height = ((points[:, k] - skin) * normal).sum(1)
        low = 0.05 + 0.22 * top * k / POINTS * style.lift
        points[:, k] += np.maximum(low - height, 0)[:, None] * normal
    points = _gathered(points, style.clump, rng)
    points[:, 1:] += (
        rng.normal(scale=style.frizz, size=points[:, 1:].shape) * np.arange(1, POINTS)[None, :, None] / POINTS
    )
    radii = np.linspace(style.root_radius, style.tip_radius, POINTS)
    return Strands(points, np.broadcast_to(radii, points.shape[:2]).copy())


def combing(points_on_skin: Array, style: Hairstyle, top: Array) -> Array:
    """(S, 3) direction in which the hair at `points_on_skin` (S, 3) is combed."""
    side = np.sign(points_on_skin[:, :1])
    back = np.array([0.0, 0.15, -1.0]) + 0.12 * side * np.array([1.0, 0, 0])
    down = np.array([0.0, -1.0, -0.55])
    if style.part is None:
        return top[:, None] * back + (1 - top[:, None]) * np.array([0.0, 0.05, -1.0])
    over = 1 / (1 + np.exp((points_on_skin[:, :1] - style.part) / 0.25))
    across = over * np.array([-0.6, 0.45, -0.85]) + (1 - over) * np.array([0.8, -0.35, -0.6])
    return top[:, None] * across + (1 - top[:, None]) * down


def _gathered(points: Array, clump: float, rng: np.random.Generator) -> Array:
    """Strands gathered into the lock that is nearest to their root, the more the nearer to the tip."""
    guides = rng.choice(len(points), max(len(points) // 70, 1), replace=False)
    _, nearest = cKDTree(points[guides, 0]).query(points[:, 0])
    lock = points[guides][nearest]
    offset = points[:, :1] - lock[:, :1]
    share = clump * (np.arange(points.shape[1]) / (points.shape[1] - 1)) ** 1.3
    return points + share[None, :, None] * (lock + 0.30 * offset - points)


@dataclass(frozen=True)
class RootedStrands:
    """Strands that follow the skin: offsets (S, P, 3) in the frame of the root's triangle."""

    roots: Roots
    offsets: Array
    radii: Array

    def on(self, vertices: Array) -> Strands:
        """The strands on the mesh `vertices` (V, 3)."""
        frames = _frames(vertices[self.roots.corners])
        points = self.roots.on(vertices)[:, None] + np.einsum("sij,spj->spi", frames, self.offsets)
        return Strands(points, self.radii)


def _frames(triangles: Array) -> Array:
    """(S, 3, 3) orthonormal frames (columns) of triangles (S, 3, 3)."""
    first = unit(triangles[:, 1] - triangles[:, 0])
    normal = unit(np.cross(first, triangles[:, 2] - triangles[:, 0]))
    return np.stack([first, np.cross(normal, first), normal], 2)


def _rooted(head: Head, roots: Roots, shape: Array, radii: Array) -> RootedStrands:
    """Rooted strands from strand shapes (S, P, 3) given as offsets from the root on the neutral head."""
    frames = _frames(head.neutral[roots.corners])
    return RootedStrands(roots, np.einsum("sij,spi->spj", frames, shape), radii)


def brow_hair(head: Head, count: int, seed: int, thickness: float = 0.42) -> RootedStrands:
    """Both brows: short hairs that lie on the skin, pointing up near the nose and outwards further on."""
    rng = np.random.default_rng(seed)
    marks = head.generic[head.landmarks68]
    roots = scatter(head, 900_000, rng, ("M_Face",))
    points_on_skin = roots.on(head.generic)
    normals = vertex_normals(head.neutral, [head.faces[i] for i in head.part("M_Face")])
    chosen, directions = [], []
    for brow, outwards in ((marks[17:22][::-1], -1.0), (marks[22:27], 1.0)):
        curve = CubicSpline(np.arange(5), brow)(np.linspace(-0.1, 3.85, 120)) - np.array([0, 0.28, 0])
        distance, nearest = cKDTree(curve).query(points_on_skin)
        along = nearest / 119
        width = thickness * np.interp(along, [0, 0.12, 0.55, 1], [0.6, 1.0, 0.85, 0.2])
        thinning = np.interp(along, [0, 0.18, 0.85, 1], [0.25, 1, 0.8, 0.15])
        keep = np.flatnonzero(rng.random(len(points_on_skin)) < np.clip(1.2 * (1 - distance / width), 0, 1) * thinning)
        chosen.append(rng.choice(keep, min(count // 2, len(keep)), replace=False))
        along, above = along[chosen[-1]], points_on_skin[chosen[-1], 1] - curve[nearest[chosen[-1]], 1]
        rise = np.interp(along, [0, 0.2, 0.6, 1], [1.2, 0.5, 0.05, -0.3]) - 0.4 * above / thickness
        directions.append(np.stack([np.full(len(along), outwards), rise, np.zeros(len(along))], 1))
    index, direction = np.concatenate(chosen), np.concatenate(directions)
    roots = roots.take(index)
    normal = unit(np.einsum("sk,skc->sc", roots.weights, normals[roots.corners]))
    direction = direction + rng.normal(scale=0.24, size=direction.shape)
    direction = unit(direction - (direction * normal).sum(1, keepdims=True) * normal)
    length = rng.uniform(0.42, 0.68, len(index))
    step = np.linspace(0, 1, 5)
    rise = 0.10 * np.sin(np.pi * np.minimum(step * 0.8 + 0.05, 1))
    shape = (
        length[:, None, None] * (step[None, :, None] * direction[:, None] + rise[None, :, None] * normal[:, None])
        + 0.008 * normal[:, None]
    )
    radii = np.broadcast_to(np.linspace(0.010, 0.003, 5), shape.shape[:2]).copy()
    return _rooted(head, roots, shape, radii)


def lash_hair(head: Head, seed: int, per_lid: tuple[int, int] = (150, 80)) -> RootedStrands:
    """Upper and lower lashes of both eyes, rooted on the rim of the lids and curved away from the eye."""
    rng = np.random.default_rng(seed)
    marks = head.generic[head.landmarks68]
    rims = (
        (marks[[36, 37, 38, 39]], -1.0, 1.0),
        (marks[[42, 43, 44, 45]], 1.0, 1.0),
        (marks[[36, 41, 40, 39]], -1.0, -1.0),
        (marks[[42, 47, 46, 45]], 1.0, -1.0),
    )
    face = [head.faces[i] for i in head.part("M_Face")]
    triangles = np.array([[f[0], f[k - 1], f[k]] for f in face for k in range(2, len(f))])
    tree = cKDTree(head.generic[triangles].mean(1))
    corners, shapes = [], []
    for rim, outwards, upper in rims:
        count = per_lid[0] if upper > 0 else per_lid[1]
        along = np.sort(rng.uniform(0.04, 0.985, count))
        curve = CubicSpline(np.arange(4), rim)(along * 3)
        corners.append(triangles[tree.query(curve)[1]])
        # 0 at the nose, 1 at the temple, for either eye
        temple = along if outwards > 0 else 1 - along
        fan = outwards * np.interp(temple, [0, 0.5, 1], [-0.45, 0.12, 0.95])
        direction = unit(
            np.stack([fan, np.full(count, 0.10 * upper), np.ones(count)], 1) + rng.normal(scale=0.07, size=(count, 3))
        )
        length = np.interp(temple, [0, 0.5, 0.85, 1], [0.30, 0.52, 0.66, 0.5]) * rng.uniform(0.75, 1.05, count)
        length *= 1.0 if upper > 0 else 0.5
        step = np.linspace(0, 1, 6)
        curl = upper * (0.75 * step**2 - 0.12 * step)
        shapes.append(
            length[:, None, None]
            * (
                step[None, :, None] * direction[:, None] * (1 - 0.25 * step[None, :, None])
                + curl[None, :, None] * np.array([0.0, 1.0, 0.0])
            )
        )
    index = np.concatenate(corners)
    roots = Roots(index, np.full((len(index), 3), 1 / 3))
    shape = np.concatenate(shapes)
    radii = np.broadcast_to(np.linspace(0.010, 0.003, 6), shape.shape[:2]).copy()
    return _rooted(head, roots, shape, radii)
