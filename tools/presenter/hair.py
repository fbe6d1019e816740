"""Hair as strands: scalp, brows and lashes, grown on the head mesh in numpy.

A strand is rooted at a point on the mesh (triangle and barycentric weights), so that brows and lashes follow the
expression; scalp hair moves rigidly with the skull.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from fields import fractal
from head import SKIN, Array, Head, Indices
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

POINTS = 8
"""Points along one strand."""
LONG_POINTS = 14
"""Points along one strand of long hair."""

# The hairline in the side view: in front of this depth z (at height y) there is no hair.
_HAIRLINE_Y = np.array([-0.6, 0.4, 2.5, 4.0, 6.0, 7.2, 8.1, 8.7, 9.3, 10.1, 12.5])
_HAIRLINE_Z = np.array([3.2, 4.6, 4.9, 5.0, 5.2, 5.6, 6.6, 7.9, 9.6, 11.8, 14.0])
# How far of a style's sideburns hair grows forwards at these heights.
_SIDEBURNS_Y = np.array([-0.8, 0.4, 3.0, 5.5, 7.5, 8.8])
_SIDEBURNS_SHARE = np.array([0.0, 0.45, 0.5, 1.0, 1.0, 0.0])


@dataclass(frozen=True)
class Hairstyle:
    """Shape and color of the scalp hair; lengths in cm."""

    long: bool
    """Falls beside the face to the neck (`length_top` from the parting, nothing combed back), or is short."""
    count: int
    """Number of strands."""
    length_top: float
    """Length on top of the head."""
    length_sides: float
    """Length at the sides."""
    lift: float
    """Rise of the strands from the scalp: of short hair at the root, 0 (combed flat) to 1; of long hair in cm."""
    part: float
    """Sideways position of the parting, cm."""
    clump: float
    """Degree to which neighboring strands gather into locks, 0 to 1."""
    frizz: float
    """Sideways deviation of a strand from its course, cm."""
    wave: float = 0.0
    """Sideways swing of the locks, cm."""
    recession: float = 0.0
    """Depth by which the hairline draws back at the temples, cm."""
    melanin: float = 0.8
    """Darkness, 0 to 1."""
    redness: float = 0.3
    """0 to 1."""
    gray: float = 0.0
    """Share of strands without pigment on top; at the sides it is three times as large."""
    stray: float = 0.0
    """Share of strands that leave their lock."""
    sideburns: float = 0.0
    """Distance by which hair grows further forwards above the ears, cm; half as far beside them."""
    ragged: float = 0.0
    """Further unevenness of the hairline, cm."""
    fine: float = 0.0
    """Share of the strands that are short and thin and grow in front of the hairline."""
    root_radius: float = 0.009
    tip_radius: float = 0.003


@dataclass(frozen=True)
class Strands:
    """Hair of S strands: (S, P, 3) points and (S, P) radii, cm, and (S,) melanin."""

    points: Array
    radii: Array
    melanin: Array


def scalp_field(points_on_skin: Array, style: Hairstyle) -> Array:
    """Signed: positive where hair grows on the generic head, about the distance from the hairline in cm; (N,)."""
    x, y, z = points_on_skin.T
    sideways = np.abs(x)
    temples = style.recession * np.exp(-(((sideways - 4.2) / 1.5) ** 2)) * np.clip((y - 6.5) / 1.5, 0, 1)
    front = np.interp(y, _HAIRLINE_Y, _HAIRLINE_Z) - z - temples - 0.08 * style.recession * (y > 7.5)
    front = front + style.sideburns * np.interp(y, _SIDEBURNS_Y, _SIDEBURNS_SHARE)
    ear = np.hypot((y - 1.3) / 3.5, (z - 0.1) / 2.5) - 1
    beside_ear = np.where(sideways > 6.0, 3.0 * ear, 9.0)
    nape = np.where(z < 0.8, y + 5.2 - 0.05 * sideways**2, y + 0.2)
    within = (sideways < 5.5) & (y < 7) & (z > -4)  # the skin of sockets and mouth, inside the head
    return np.where(within, -9.0, np.minimum.reduce([front, beside_ear, nape]))


def in_scalp(points_on_skin: Array, style: Hairstyle, softness: float) -> Array:
    """0 to 1 over `softness` cm inside the hairline, (N,)."""
    return np.clip(scalp_field(points_on_skin, style) / softness, 0, 1)


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
    """The hair of the head, rooted with a thinning, uneven edge, combed as the style says."""
    rng = np.random.default_rng(seed)
    roots = hair_roots(head, style, rng)
    points = long_hair(head, style, roots, rng) if style.long else short_hair(head, style, roots, rng)
    points = _gathered(points, style.clump, rng, alike=style.long)
    # No strand crosses the face or the throat.
    across = (np.abs(points[..., 0]) < 6.0) & (points[..., 1] < 4.0) & (points[..., 2] > 1.0)
    clear = np.flatnonzero(~across.any(1))
    roots, points = roots.take(clear), points[clear]
    count = points.shape[1]
    fraction = np.arange(count) / (count - 1)
    wander = np.cumsum(rng.normal(size=(len(points), count, 3)), 1) / np.sqrt(count)
    loose = rng.exponential(1, (len(points), 1, 1))
    if style.stray:
        at_edge = np.clip(1 - scalp_field(roots.on(head.generic), style) / 2.5, 0, 1)
        leaves = rng.random(len(points)) < style.stray * (1 + 5 * at_edge)
        loose[leaves] *= 9.0
    points[:, 1:] += style.frizz * (wander * fraction[None, :, None])[:, 1:] * loose
    radii = (style.root_radius + (style.tip_radius - style.root_radius) * fraction**2)[None, :]
    generic = roots.on(head.generic)
    thinnest = 0.35 if style.fine else 0.55
    radii = radii * np.clip(thinnest + 0.3 * scalp_field(generic, style), thinnest, 1)[:, None]
    sides = np.clip((8.0 - generic[:, 1]) / 4, 0, 1)
    white = rng.random(len(points)) < style.gray * (1 + 2 * sides)
    melanin = np.where(white, 0.06, np.clip(style.melanin + 0.02 * rng.normal(size=len(points)), 0, 1))
    return Strands(points, radii, melanin)


def hair_roots(head: Head, style: Hairstyle, rng: np.random.Generator) -> Roots:
    """Roots of the scalp hair: dense inside, thinning over the last centimeters before an uneven hairline."""
    roots = scatter(head, style.count * 5, rng, ("M_Face", "M_BackHead"))
    generic = roots.on(head.generic)
    phase = rng.uniform(0, 6, 6)
    uneven = sum(
        scale * np.sin(frequency * generic[:, 0] + p) * np.sin(0.8 * frequency * (generic[:, 1] + generic[:, 2]) + q)
        for scale, frequency, p, q in zip((0.4, 0.25, 0.2), (1.1, 2.9, 6.5), phase[:3], phase[3:], strict=True)
    )
    inside = scalp_field(generic, style) + uneven + 0.12 * rng.normal(size=len(generic))
    if style.ragged:
        inside += style.ragged * np.clip(fractal(generic, 0.8, 2, 77), -1.5, 1.5)
    density = np.clip(inside / (0.9 if style.long else 1.9 + 6 * style.fine), 0, 1) ** 1.7
    density = np.maximum(density, style.fine * np.clip(1.2 + inside, 0, 1))
    return roots.take(np.flatnonzero(rng.random(len(generic)) < density)[: style.count])


def short_hair(head: Head, style: Hairstyle, roots: Roots, rng: np.random.Generator) -> Array:
    """(S, P, 3) points of hair combed along the scalp: aside from the parting on top, back and down at the sides."""
    generic, base = roots.on(head.generic), roots.on(head.neutral)
    normals = vertex_normals(head.neutral, [head.faces[i] for p in ("M_Face", "M_BackHead") for i in head.part(p)])
    tree = cKDTree(head.neutral[SKIN])
    top = np.clip((generic[:, 1] - 7.0) / 3.5, 0, 1)
    inside = np.clip(scalp_field(generic, style) / 2.5, 0.18, 1)
    low_sides = np.clip((generic[:, 1] + 1.0) / 6, 0.25, 1)
    length = (style.length_sides * low_sides + (style.length_top - style.length_sides) * top) * inside
    length *= rng.uniform(0.75, 1.12, len(generic))
    if style.fine:  # those in front of the hairline stay short
        length *= np.clip(0.35 + 0.5 * scalp_field(generic, style), 0.25, 1)
    length *= np.where(generic[:, 0] > style.part, 1 - 0.55 * top, 1)  # the narrow side of the parting lies flat
    flow = combing(generic, style, top)
    front = top * np.clip((generic[:, 2] - 4) / 4, 0, 1)
    lift = style.lift * (0.3 + 0.7 * top + 0.9 * front) * np.where(generic[:, 0] > style.part, 0.35, 1)
    points = np.empty((len(generic), POINTS, 3))
    points[:, 0] = base
    lean = rng.normal(scale=0.10, size=(len(generic), 3))
    layer = rng.random(len(generic))
    for k in range(1, POINTS):
        here = points[:, k - 1]
        _, nearest = tree.query(here)
        normal = normals[nearest]
        along = unit(flow - (flow * normal).sum(1, keepdims=True) * normal)
        rise = lift * (1.25 - 1.6 * k / POINTS) + 0.12 / k
        step = unit(along + rise[:, None] * normal + lean)
        points[:, k] = here + step * (length / (POINTS - 1))[:, None]
        height = ((points[:, k] - head.neutral[nearest]) * normal).sum(1)
        low = 0.03 + (0.15 + 0.75 * layer) * top * style.lift * min(k / 3, 1)
        points[:, k] += np.maximum(low - height, 0)[:, None] * normal
    return points


class Envelope:
    """The head's outline seen from its middle, smooth over the ears: what long hair lies on."""

    def __init__(self, head: Head) -> None:
        self.center = np.array([0.0, 4.0, -0.5])
        skin = head.neutral[SKIN] - self.center
        ears = (np.abs(head.generic[SKIN][:, 0]) > 7.3) & (head.generic[SKIN][:, 2] < 4.0)
        skin = skin[(skin[:, 1] > -11) & ~ears]
        distance = np.linalg.norm(skin, axis=1)
        directions = skin / distance[:, None]
        lattice = _sphere(3000)
        near = lattice @ directions.T
        widest = np.where(near > np.cos(0.13), distance, 0).max(1)
        widest = np.where(widest > 0, widest, 9.0)
        weights = np.exp((lattice @ lattice.T - 1) / (2 * 0.14**2))
        self.lattice, self.radius = cKDTree(lattice), (weights @ widest) / weights.sum(1)

    def __call__(self, directions: Array) -> Array:
        """Distance from the center to the outline in unit `directions` (N, 3), (N,)."""
        apart, nearest = self.lattice.query(directions, 4)
        weights = 1 / (apart + 0.01) ** 2
        return (self.radius[nearest] * weights).sum(1) / weights.sum(1)


def _sphere(count: int) -> Array:
    """`count` even directions (Fibonacci's lattice), (N, 3)."""
    index = np.arange(count) + 0.5
    y, turn = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    flat = np.sqrt(1 - y * y)
    return np.stack([flat * np.cos(turn), y, flat * np.sin(turn)], 1)


def parting(points: Array, style: Hairstyle) -> tuple[Array, Array]:
    """Of points (N, 3): sideways distance to the right of the parting, cm, and how clear it is there, 1 to 0; (N,)."""
    clear = np.clip((points[:, 2] - 3.5) / 4, 0, 1)  # it is lost on the crown
    return points[:, 0] - style.part * (0.5 + 0.5 * clear) - 0.10 * np.sin(1.9 * points[:, 2]), clear


def long_hair(head: Head, style: Hairstyle, roots: Roots, rng: np.random.Generator) -> Array:
    """(S, P, 3) points of hair that parts, lies on the head in layers and falls beside the face.

    Each strand rises to a layer of its own (those from the parting lie outside), follows the head's outline there as
    it is combed, gives way to gravity, and hangs free from where the head is widest.
    """
    envelope = Envelope(head)
    generic, base = roots.on(head.generic), roots.on(head.neutral)
    strands = len(base)
    up = np.clip((generic[:, 1] + 3) / 15, 0, 1)
    # Layers follow the roots' order, so that neighbors run side by side and shine as one.
    layer = style.lift * (0.10 + 0.80 * up**1.5 + 0.16 * rng.random(strands))
    side, flow, young = _parted(generic, style, rng)
    back = np.clip((2.0 - generic[:, 2]) / 6, 0, 1)
    front = np.clip((generic[:, 2] - 5) / 4, 0, 1)
    ends = -style.length_sides - 1.2 * back + 0.8 * rng.normal(size=strands)
    points = np.empty((strands, LONG_POINTS, 3))
    points[:, 0] = base
    edge = scalp_field(generic, style)
    layer *= 0.45 + 0.55 * np.clip(edge / 4, 0, 1)  # the hair of the hairline lies on the skin
    reach = np.abs(base[:, 0] - side * 9) * 0.6 + np.maximum(base[:, 1] - ends, 2.0) * 1.12
    reach *= np.where(young, rng.uniform(0.04, 0.22, strands), 1)
    step = reach / (LONG_POINTS - 1)
    farther = 0.8 * np.maximum(np.abs(generic[:, 0] - 7 * side) - 4, 0)  # it must get past the face before it hangs
    for k in range(1, LONG_POINTS):
        here = points[:, k - 1]
        travelled = step * (k - 0.5)
        combed = np.exp(-((travelled / (5.0 + 3.5 * up - 2.0 * front + farther)) ** 2))[:, None]
        away = here - envelope.center
        normal = unit(away)
        # Below the ears the hair curves in towards the neck.
        curving = 0.16 * np.clip((3.0 - here[:, 1]) / 7, 0, 1)
        hanging = np.stack([-np.sign(here[:, 0]) * curving, np.full(strands, -1.0), -0.05 + 0.10 * curving], 1)
        course = combed * flow + (1 - combed) * hanging
        if k == 1:
            course = course + 0.6 * normal
        # Beside the parting hair lies lower, by less than the skull bends there: the outline runs on over it.
        beside, clear = parting(here, style)
        low = 1 - 0.35 * clear * np.exp(-((beside / 2.2) ** 2))
        surface = envelope(normal) + layer * low * np.clip(travelled / 2.5, 0, 1) ** 0.6
        surface += 0.35 * np.clip((here[:, 2] - 3.0) / 2, 0, 1) * np.clip((7.0 - here[:, 1]) / 3, 0, 1)
        inward = np.minimum((course * normal).sum(1), 0)
        course = unit(course - (inward * (np.linalg.norm(away, axis=1) < surface + 0.15))[:, None] * normal)
        there = here + step[:, None] * course
        away = there - envelope.center
        distance = np.linalg.norm(away, axis=1)
        # Hair lies on the head down to the ears; below, it hangs free.
        free = np.clip((4.5 - there[:, 1]) / 6, 0.12, 1)
        off = np.maximum(distance - surface, 0) * free
        points[:, k] = envelope.center + away * ((surface + off) / distance)[:, None]
    return _waved(points, style, rng)


def _parted(generic: Array, style: Hairstyle, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Of roots (S, 3): side of the parting, -1 or 1 (S,); direction of combing (S, 3); short fine hair of the hairline?

    On the crown the sides cross at random; at the temples the short hair falls.
    """
    beside, clear = parting(generic, style)
    side = np.where(beside + (0.04 + 1.6 * (1 - clear) ** 2) * rng.normal(size=len(generic)) > 0, 1.0, -1.0)
    back = np.clip((2.0 - generic[:, 2]) / 6, 0, 1)
    front = np.clip((generic[:, 2] - 5) / 4, 0, 1)
    turn = rng.uniform(0, 2 * np.pi, 2)  # lock by lock
    falling = 0.22 * np.sin(1.9 * generic[:, 0] + turn[0]) * np.sin(2.6 * generic[:, 2] + turn[1])
    falling = (falling + 0.30 * front) * np.clip(np.abs(beside) / 4, 0, 1)
    flow = np.stack([side * (1 - 0.55 * back), 0.25 - 0.6 * back - falling, -0.3 - 0.15 * front - 0.45 * back], 1)
    temple = np.exp(-(((np.abs(generic[:, 0]) - 6.0) / 1.6) ** 2) - ((generic[:, 1] - 5.5) / 2.5) ** 2)
    young = (scalp_field(generic, style) < 1.2) & (rng.random(len(generic)) < 0.30 + 0.40 * temple)
    flow[young, 1] -= 1.2 * temple[young]
    flow = unit(flow + np.where(young, 0.22, 0.04)[:, None] * rng.normal(size=flow.shape))
    return side, flow, young


def _waved(points: Array, style: Hairstyle, rng: np.random.Generator) -> Array:
    """Locks of long hair swinging sideways, the more the nearer to the tips."""
    guides = rng.choice(len(points), max(len(points) // 260, 1), replace=False)
    _, lock = cKDTree(points[guides, points.shape[1] * 2 // 3]).query(points[:, points.shape[1] * 2 // 3])
    phase, pace = rng.uniform(0, 2 * np.pi, (2, len(guides), 1)), rng.uniform(0.8, 1.3, (len(guides), 1))
    fraction = np.linspace(0, 1, points.shape[1])[None]
    length = np.linalg.norm(points[:, -1] - points[:, 0], axis=1, keepdims=True)
    swing = style.wave * np.clip(1.5 * fraction - 0.35, 0, 1) * np.clip(length / 10, 0, 1) ** 2
    turn = 2 * np.pi * 1.8 * fraction * pace[lock]
    out = unit(points[:, -6] * (1, 0, 1))[:, None]
    across = np.cross(out, (0.0, 1.0, 0.0))
    sideways = (swing * np.sin(turn + phase[0][lock]))[..., None] * across
    outwards = (0.6 * swing * np.sin(turn + phase[1][lock]))[..., None] * out
    return points + sideways + np.maximum(outwards, -0.2)


def combing(points_on_skin: Array, style: Hairstyle, top: Array) -> Array:
    """(S, 3) direction in which the hair at `points_on_skin` (S, 3) is combed."""
    down = np.array([0.0, -0.9, -0.75])
    over = 1 / (1 + np.exp((points_on_skin[:, :1] - style.part) / 0.25))
    across = over * np.array([-0.75, 0.45, -0.75]) + (1 - over) * np.array([0.8, -0.35, -0.6])
    return top[:, None] * across + (1 - top[:, None]) * down


def _gathered(points: Array, clump: float, rng: np.random.Generator, alike: bool) -> Array:
    """Strands gathered into the lock that is nearest to their root, the more the nearer to the tip.

    With `alike`, short strands do not follow a lock of long ones.
    """
    guides = rng.choice(len(points), max(len(points) // 70, 1), replace=False)
    _, nearest = cKDTree(points[guides, 0]).query(points[:, 0])
    lock = points[guides][nearest]
    offset = points[:, :1] - lock[:, :1]
    share = clump * (np.arange(points.shape[1]) / (points.shape[1] - 1))[None] ** 1.3
    if alike:
        own, common = (np.linalg.norm(p[:, -1] - p[:, 0], axis=1) for p in (points, lock))
        share = share * (np.minimum(own, common) / np.maximum(own, common))[:, None]
    return points + share[..., None] * (lock + 0.30 * offset - points)


@dataclass(frozen=True)
class RootedStrands:
    """Strands that follow the skin: offsets (S, P, 3) in the frame of the root's triangle."""

    roots: Roots
    offsets: Array
    radii: Array
    melanin: Array

    def on(self, vertices: Array) -> Strands:
        """The strands on the mesh `vertices` (V, 3)."""
        frames = _frames(vertices[self.roots.corners])
        points = self.roots.on(vertices)[:, None] + np.einsum("sij,spj->spi", frames, self.offsets)
        return Strands(points, self.radii, self.melanin)


def _frames(triangles: Array) -> Array:
    """(S, 3, 3) orthonormal frames (columns) of triangles (S, 3, 3)."""
    first = unit(triangles[:, 1] - triangles[:, 0])
    normal = unit(np.cross(first, triangles[:, 2] - triangles[:, 0]))
    return np.stack([first, np.cross(normal, first), normal], 2)


def _rooted(head: Head, roots: Roots, shape: Array, radii: Array, melanin: float) -> RootedStrands:
    """Rooted strands from strand shapes (S, P, 3) given as offsets from the root on the neutral head."""
    frames = _frames(head.neutral[roots.corners])
    return RootedStrands(roots, np.einsum("sij,spi->spj", frames, shape), radii, np.full(len(shape), melanin))


@dataclass(frozen=True)
class Brows:
    """Shape of the brows; lengths in cm."""

    count: int
    """Hairs of both."""
    thickness: float
    """Half width in the middle."""
    length: float
    melanin: float
    arch: float = 0.0
    """Rise of the outer third."""
    tousle: float = 0.28
    """Deviation of the hairs' directions."""


def brow_hair(head: Head, style: Brows, seed: int) -> RootedStrands:
    """Both brows: short hairs that lie on the skin, pointing up near the nose and outwards further on."""
    rng = np.random.default_rng(seed)
    marks = head.generic[head.landmarks68]
    roots = scatter(head, 900_000, rng, ("M_Face",))
    generic = roots.on(head.generic)
    normals = vertex_normals(head.neutral, [head.faces[i] for i in head.part("M_Face")])
    chosen, directions = [], []
    for brow, outwards in ((marks[17:22][::-1], -1.0), (marks[22:27], 1.0)):
        curve = CubicSpline(np.arange(5), brow)(np.linspace(-0.15, 3.85, 120)) - np.array([0, 0.30, 0])
        curve[:, 1] += style.arch * np.exp(-(((np.linspace(0, 1, 120) - 0.68) / 0.2) ** 2))
        distance, nearest = cKDTree(curve).query(generic)
        along = nearest / 119
        width = style.thickness * np.interp(along, [0, 0.12, 0.55, 1], [0.75, 1.0, 0.8, 0.25])
        thinning = np.interp(along, [0, 0.15, 0.8, 1], [0.3, 1, 0.85, 0.12])
        # Denser along the lower edge, frayed above.
        offset = (generic[:, 1] - curve[nearest, 1]) / width
        density = np.clip(1.15 - np.abs(offset + 0.15) ** 1.5, 0, 1) * (distance < 1.5 * width) * thinning
        keep = np.flatnonzero(rng.random(len(generic)) < density)
        chosen.append(rng.choice(keep, min(style.count // 2, len(keep)), replace=False))
        along, above = along[chosen[-1]], generic[chosen[-1], 1] - curve[nearest[chosen[-1]], 1]
        rise = np.interp(along, [0, 0.2, 0.6, 1], [1.5, 0.6, 0.1, -0.25]) - 0.5 * above / style.thickness
        directions.append(np.stack([np.full(len(along), outwards), rise, np.zeros(len(along))], 1))
    index, direction = np.concatenate(chosen), np.concatenate(directions)
    roots = roots.take(index)
    normal = unit(np.einsum("sk,skc->sc", roots.weights, normals[roots.corners]))
    direction = direction + rng.normal(scale=style.tousle, size=direction.shape)
    direction = unit(direction - (direction * normal).sum(1, keepdims=True) * normal)
    length = style.length * rng.uniform(0.6, 1.15, len(index))
    step = np.linspace(0, 1, 5)
    rise = 0.12 * np.sin(np.pi * np.minimum(step * 0.8 + 0.05, 1))
    shape = (
        length[:, None, None] * (step[None, :, None] * direction[:, None] + rise[None, :, None] * normal[:, None])
        + 0.008 * normal[:, None]
    )
    radii = rng.uniform(0.7, 1.2, (len(index), 1)) * np.linspace(0.0085, 0.003, 5)
    return _rooted(head, roots, shape, radii, style.melanin)


def lash_hair(head: Head, seed: int, reach: float) -> RootedStrands:
    """Upper and lower lashes of both eyes, rooted on the rim of the lids and curved away from the eye.

    `reach` is the longest, cm."""
    per_lid = (130, 60)
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
        length = np.interp(temple, [0, 0.5, 0.85, 1], [0.45, 0.8, 1.0, 0.75]) * reach * rng.uniform(0.75, 1.05, count)
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
    radii = np.broadcast_to(np.linspace(0.0075, 0.002, 6), shape.shape[:2]).copy()
    return _rooted(head, roots, shape, radii, 1.0)
