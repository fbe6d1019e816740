"""Clothes: surfaces lofted around the measured neck and a torso of plain cross-sections, with folds, in numpy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from fields import fractal
from hair import unit
from head import SKIN, Array, Head
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.ndimage import gaussian_filter, map_coordinates

# Half width, and depth to the front and to the back, of the torso at these heights (cm).
_HEIGHT = np.array([-8.0, -9.5, -11.0, -12.2, -13.4, -14.8, -16.6, -19.0, -23.0, -32.0])
_WIDTH = np.array([5.2, 6.0, 8.2, 11.2, 14.6, 17.6, 19.8, 21.2, 22.0, 22.4])
_FRONT = np.array([5.0, 5.4, 6.0, 6.8, 7.8, 9.0, 10.2, 11.6, 13.4, 15.0])
_BACK = np.array([6.0, 6.4, 7.2, 8.2, 9.2, 10.0, 10.5, 11.0, 11.4, 11.6])
# The same below a jacket with padded shoulders: from the neck a slope, a corner, then the sleeves.
_PADDED_WIDTH = np.array([5.2, 6.0, 8.0, 11.8, 15.9, 19.4, 20.7, 21.2, 21.6, 22.0])
_CENTER_Z = -2.6
_ROUNDNESS = 2.25
"""Exponent of the superellipses that are the cross-sections of the torso."""
_TOP_CM, _STEP_CM, _COLUMNS = -8.0, 0.4, 90
FOOT_CM = -30.0
"""Height at which clothes end, below the picture."""


@dataclass(frozen=True)
class Surface:
    """An open quad mesh, thickened by the renderer."""

    name: str
    """Name of the object in the scene."""
    vertices: Array
    """(V, 3) cm."""
    faces: list[list[int]]
    """Vertex numbers of each quad."""
    material: str
    """Name of its material."""
    thickness: float
    """Thickness, cm."""


@dataclass(frozen=True)
class Cloth:
    """What a garment is made of."""

    color: tuple[float, float, float]
    """Linear RGB."""
    weave: str = "woven"
    """"woven", "striped" (woven, with narrow oblique stripes) or "smooth"."""
    roughness: float = 0.8
    sheen: float = 0.1


@dataclass(frozen=True)
class Outfit:
    """Kind of clothes and what they are made of."""

    kind: str
    """"suit" (shirt, tie and jacket) or "blazer" (over a plain top)."""
    cloths: dict[str, Cloth] = field(default_factory=dict)
    """By the name of the material."""
    width: float = 1.0
    """Width of the shoulders relative to a man's."""
    seed: int = 0
    """Of the folds."""


class Body:
    """The torso below the clothes, and the model's own neck and chest, which no cloth may cut."""

    def __init__(self, head: Head, width: float, padded: bool = False, throat: float = -7.5) -> None:
        """`throat` is the height, cm, below which cloth in front must keep clear of the skin above it."""
        self.width, self._widths = width, _PADDED_WIDTH if padded else _WIDTH
        skin = head.neutral[SKIN]
        neck = skin[(skin[:, 1] < -6.5) & ~((skin[:, 1] > -9.5) & (skin[:, 2] > 6.2))]
        angle = np.arctan2(neck[:, 0], neck[:, 2] - _CENTER_Z)
        reach = np.hypot(neck[:, 0], neck[:, 2] - _CENTER_Z)
        around = np.concatenate([angle - 2 * np.pi, angle, angle + 2 * np.pi])
        places, values = np.stack([around * 6, np.tile(neck[:, 1], 3)], 1), np.tile(reach, 3)
        self._inside, self._outside = LinearNDInterpolator(places, values), NearestNDInterpolator(places, values)
        self._shoulders = _shoulders(angle, neck[:, 1], reach, throat)

    def skin(self, angle: Array, height: Array) -> Array:
        """Distance of the skin from the middle of the neck at `angle` (0 is the front) and `height`, cm."""
        angle, height = np.broadcast_arrays((angle + np.pi) % (2 * np.pi) - np.pi, height)
        inside = self._inside(angle * 6, height)
        return np.where(np.isnan(inside), self._outside(angle * 6, height), inside)

    def around(self, angle: Array, height: Array, outwards: Array | float) -> Array:
        """Points (..., 3) on the clothed torso, `outwards` cm off it and off the skin."""
        angle, height = np.broadcast_arrays(angle, height)
        reach = self.reach(angle, height) + outwards
        return np.stack([reach * np.sin(angle), height, _CENTER_Z + reach * np.cos(angle)], -1)

    def reach(self, angle: Array, height: Array) -> Array:
        """Distance of torso or skin, whichever is further out, from the middle at `angle` and `height`, cm."""
        angle, height = np.broadcast_arrays(angle, height)
        sine, cosine = np.sin(angle), np.cos(angle)
        width = np.interp(-height, -_HEIGHT, self._widths) * self._widened(height)
        depth = np.where(cosine > 0, np.interp(-height, -_HEIGHT, _FRONT), np.interp(-height, -_HEIGHT, _BACK))
        reach = (np.abs(sine / width) ** _ROUNDNESS + np.abs(cosine / depth) ** _ROUNDNESS) ** (-1 / _ROUNDNESS)
        column = (angle % (2 * np.pi)) / (2 * np.pi) * _COLUMNS
        skin = map_coordinates(self._shoulders, [(_TOP_CM - height) / _STEP_CM, column], order=1, mode="grid-wrap")
        skin = np.where(height > _TOP_CM, self._shoulders[0, 0], skin) * np.clip((height + 21) / 4, 0.5, 1)
        return np.asarray(np.logaddexp(reach / 0.25, skin / 0.25) * 0.25)

    def front(self, flat: Array, outwards: float) -> Array:
        """Points (..., 3) on the front of the torso above the front view's `flat` (..., 2)."""
        x, height = flat[..., 0], flat[..., 1]
        angle = np.arctan2(x, 12.0)
        for _ in range(12):
            points = self.around(angle, height, outwards)
            angle = angle + np.clip((x - points[..., 0]) / np.hypot(points[..., 0], points[..., 2] + 2.6), -0.3, 0.3)
        return self.around(angle, height, outwards)

    def _widened(self, height: Array) -> Array:
        share = np.clip((-9.5 - height) / 4, 0, 1)
        return 1 + (self.width - 1) * share


def _shoulders(angle: Array, height: Array, reach: Array, throat: float) -> Array:
    """How far skin at a height or above it reaches: rows down from `_TOP_CM` by `_STEP_CM`, `_COLUMNS` around.

    In front, what is above `throat` does not count: cloth that begins there does not hang from the chin."""
    levels = _TOP_CM - _STEP_CM * np.arange(60)
    around = np.arange(_COLUMNS) * 2 * np.pi / _COLUMNS
    table = np.zeros((60, _COLUMNS))
    for row, level in enumerate(levels):
        for column, turn in enumerate(around):
            ceiling = throat if np.cos(turn) > 0.5 else -7.5
            above = (height >= min(level, ceiling - _STEP_CM)) & (height < ceiling)
            near = above & (np.cos(angle - turn) > np.cos(0.12))
            table[row, column] = reach[near].max() if near.any() else 0
    return np.asarray(gaussian_filter(table, (0.8, 1.0), mode=("nearest", "wrap")))


def grid(name: str, points: Array, material: str, thickness: float, closed: bool = False) -> Surface:
    """A surface through points (R, C, 3); `closed` joins the last column to the first."""
    rows, columns = points.shape[:2]
    across = range(columns if closed else columns - 1)
    faces = [
        [r * columns + c, r * columns + (c + 1) % columns, (r + 1) * columns + (c + 1) % columns, (r + 1) * columns + c]
        for r in range(rows - 1)
        for c in across
    ]
    return Surface(name, points.reshape(-1, 3), faces, material, thickness)


def normals_of(points: Array, closed: bool) -> Array:
    """(R, C, 3) unit normals of a grid, away from the torso's axis."""
    along = np.gradient(points, axis=0)
    across = np.roll(points, -1, 1) - np.roll(points, 1, 1) if closed else np.gradient(points, axis=1)
    normal = np.cross(along, across)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    outwards = points - np.array([0.0, 0, _CENTER_Z])
    outwards[..., 1] = 0
    return normal * np.sign((normal * outwards).sum(-1, keepdims=True) + 1e-12)


def folded(points: Array, depth: float, seed: int, closed: bool) -> Array:
    """`points` (R, C, 3) with the folds that cloth hanging from the shoulders has: they run down and inwards."""
    x, y, z = np.moveaxis(points, -1, 0)
    fan = np.arctan2(np.hypot(x, 2.0) - 3, -(y + 4))  # constant along a line from the neck
    side = 4.0 * np.tanh(x / 2)  # the two sides have folds of their own
    far = np.hypot(np.hypot(x, 2.0) - 3, y + 4)
    broad = np.stack([fan * 11, far * 0.22, side + 0.1 * z], -1).reshape(-1, 3)
    sharp = np.stack([fan * 18 + 0.15 * y, far * 0.35, side + 9 + 0.1 * z], -1).reshape(-1, 3)
    rolling = fractal(broad, 1.6, 2, seed).reshape(x.shape)
    ridges = (0.5 - np.abs(np.tanh(fractal(sharp, 1.9, 2, seed + 5)))).reshape(x.shape)
    normals = normals_of(points, closed)
    # Where cloth lies on the shoulders it is smooth.
    strength = depth * np.clip((far - 5) / 9, 0, 1) * np.clip(1.3 - 1.3 * np.abs(normals[..., 1]), 0.1, 1)
    return points + (strength * (0.75 * rolling + 0.8 * ridges))[..., None] * normals


def neckline(angle: Array, front: float, back: float) -> Array:
    """Height of a round neckline at `angle`."""
    return back + (front - back) * ((1 + np.cos(angle)) / 2) ** 1.2


def tube(body: Body, edge: Array, angle: Array, rows: int, gap: float, loose: float) -> Array:
    """(rows, C, 3) cloth from the neckline `edge` (C,) down: by `gap` off the skin, then by `loose` off the torso."""
    drop = np.linspace(0, 1, rows)[:, None] ** 1.4
    height = edge + (FOOT_CM - edge) * drop
    fallen = np.clip((edge - height) / 3.0, 0, 1)
    eased = fallen * fallen * (3 - 2 * fallen)
    points = body.around(angle[None], height, gap + (loose - gap) * eased)
    hug = body.skin(np.broadcast_to(angle, height.shape), height) + gap
    hugged = np.stack([hug * np.sin(angle), height, _CENTER_Z + hug * np.cos(angle)], -1)
    return hugged + eased[..., None] * (points - hugged)


def dress(head: Head, outfit: Outfit) -> list[Surface]:
    """All surfaces of the outfit."""
    if outfit.kind == "blazer":
        return [*top(Body(head, outfit.width)), *blazer(Body(head, outfit.width, padded=True), outfit.seed)]
    body = Body(head, outfit.width, throat=-12.4)
    return [*shirt(body, outfit.seed), *tie(body), *jacket(body, outfit.seed)]


def top(body: Body) -> list[Surface]:
    """A plain top with a round neckline that ends in a narrow binding."""
    angle = np.linspace(0, 2 * np.pi, 241)[:-1]
    edge = neckline(angle, -13.3, -9.9)
    cloth = tube(body, edge, angle, 80, 0.25, 0.40)
    # What the blazer hides stays behind it.
    sunk = np.clip(1 - np.cos(angle) - 0.42, 0, 1) * np.clip((edge - cloth[..., 1]) / 2, 0, 1)
    cloth[..., ::2] -= 1.2 * sunk[..., None] * unit(cloth[..., ::2] - (0, _CENTER_Z))
    turn = np.linspace(-0.5 * np.pi, 1.1 * np.pi, 12)[:, None, None]
    away = unit((cloth[0] - (0, 0, _CENTER_Z)) * (1, 0, 1))
    binding = cloth[0] + 0.22 * np.sin(turn) * np.array([0, 1.0, 0]) + (0.10 * np.cos(turn) - 0.04) * away
    return [grid("top", cloth, "top", 0.10, True), grid("binding", binding, "top", 0.07, True)]


def blazer(body: Body, seed: int) -> list[Surface]:
    """A fitted jacket with set-in sleeves, notched lapels and a collar, worn open over the top."""
    rows, columns = 100, 240
    share = np.linspace(-1, 1, columns)[None]
    edge = np.linspace(0, 1, rows)[:, None]
    upper = -12.0 + 1.4 * np.cos(0.5 * np.pi * share) ** 0.7
    height = upper + (FOOT_CM - upper) * edge**1.25
    opening = np.interp(-height[:, :1], [11.0, 12.5, 17, 30], [6.9, 6.9, 5.2, 1.2])
    start = np.arctan2(opening, np.interp(-height[:, :1], -_HEIGHT, _FRONT) + 0.5)
    # From the middle of the back, of which nothing is seen, to either front: fine where the sleeves are set in.
    angle = np.pi + np.sign(share) * (np.pi - start) * np.abs(share) ** 0.6
    cloth = folded(body.around(angle, height, 1.0), 0.16, seed, False)
    surfaces = [grid("jacket", _sleeved(cloth), "jacket", 0.24)]
    roll = np.array([[6.2, -11.0], [5.6, -12.8], [3.6, -18.0], [0.3, -27.5]])
    outer = np.array([[7.2, -12.3], [10.2, -12.9], [8.4, -18.0], [1.8, -27.5]])
    return [*surfaces, *_lapels(body, roll, outer, 1.5), _jacket_collar(body)]


def _lapels(body: Body, roll: Array, outer: Array, off: float) -> list[Surface]:
    """Both lapels, `off` cm off the torso, between the front view's lines `roll` (4, 2), the fold, and `outer`."""
    surfaces = []
    steps = np.concatenate([np.linspace(0, 1, 24)[:-1], np.linspace(1, 3, 60)])
    inner = np.stack([np.interp(steps, range(4), roll[:, k]) for k in (0, 1)], -1)
    rim = np.stack([np.interp(steps, range(4), outer[:, k]) for k in (0, 1)], -1)
    across = np.linspace(0, 1, 16)[:, None, None]
    for side in (1.0, -1.0):
        panel = body.front((inner + across * (rim - inner)) * (side, 1), off)
        panel[..., 2] += 0.5 * np.sin(np.pi * across[..., 0]) ** 0.8
        surfaces.append(grid(f"lapel{side:+.0f}", panel if side > 0 else panel[::-1], "lapel", 0.20))
    return surfaces


def _sleeved(cloth: Array) -> Array:
    """`cloth` (R, C, 3) with a seam from each shoulder down to the armpit, from which the sleeve's head stands out."""
    seam = np.interp(-cloth[..., 1], [12.0, 14.0, 16.0, 18.0, 21.0, 24.0], [14.9, 14.7, 13.6, 12.9, 13.1, 15.0])
    beyond = np.abs(cloth[..., 0]) - seam
    head = 0.32 * np.clip(beyond / 0.9 + 0.5, 0, 1) * np.clip(1.25 - beyond / 12, 0, 1)
    groove = 0.14 * np.exp(-((beyond / 0.4) ** 2))
    return cloth + (head - groove)[..., None] * normals_of(cloth, False)


def _jacket_collar(body: Body) -> Surface:
    """The collar behind the neck; it ends above the notch of the lapels."""
    half = np.linspace(0.66, np.pi, 90)
    angle = np.concatenate([half, 2 * np.pi - half[::-1][1:]])
    front = np.minimum(angle, 2 * np.pi - angle)
    fold = np.interp(front, [0.66, 0.95, 1.6, np.pi], [-11.7, -11.0, -9.9, -9.0])
    leaf = np.interp(front, [0.66, 0.8, 1.1, 1.6, np.pi], [0.8, 2.4, 3.0, 3.3, 3.8])
    skin = body.skin(angle, np.maximum(fold, -11.5))
    up = np.linspace(1, 0, 4)[:, None]
    drop = np.linspace(0, 4, 81)[:, None]
    lying = np.maximum(skin + 1.6 + 0.3 * drop, body.reach(angle, fold - drop) + 1.3 * np.minimum(1.5 * drop, 1))
    # As wide as the leaf on the cloth, however that slopes.
    along = np.hypot(drop[1], np.diff(lying, axis=0)).cumsum(0)
    down = np.linspace(0, 1, 14)[:, None] * leaf
    drop = np.stack([np.interp(down[:, k], along[:, k], drop[1:, 0], left=0) for k in range(len(angle))], 1)
    drop = gaussian_filter(drop, (0, 4), mode="nearest")
    lying = np.maximum(skin + 1.6 + 0.3 * drop, body.reach(angle, fold - drop) + 1.3 * np.minimum(1.5 * drop, 1))
    stand = np.interp(front, [0.70, 1.1], [0.0, 1.6])
    height = np.concatenate([fold - stand * up, fold + 0.1 - drop])
    reach = np.concatenate([lying[:1] - 0.25 * np.minimum(stand, 1) + 0 * up, lying])
    points = np.stack([reach * np.sin(angle), height, _CENTER_Z + reach * np.cos(angle)], -1)
    return grid("jacket collar", points, "lapel", 0.20)


def shirt(body: Body, seed: int) -> list[Surface]:
    """A dress shirt closed up to its collar: front, yoke, stand, and two pointed leaves that fall from the fold."""
    rows, columns = 90, 200
    drop = np.linspace(0, 1, rows)[:, None] ** 1.3
    angle = np.linspace(-1.05, 1.05, columns)[None]  # what the jacket hides is left out
    top = _collar_fold(np.abs(angle)) - 0.9
    height = top + (FOOT_CM - top) * drop
    front = body.around(angle, height, 0.30 - 1.6 * np.clip(np.abs(angle) - 0.80, 0, 1))
    around = np.linspace(0.85, 2 * np.pi - 0.85, 120)
    base = _collar_fold(np.minimum(around, 2 * np.pi - around)) - 1.0
    fall = np.linspace(0, 1, 24)[:, None]
    height = base - 3.4 * fall
    snug = body.skin(around, np.maximum(height, -11.0)) + 0.30
    low = np.stack(np.broadcast_arrays(snug * np.sin(around), height, _CENTER_Z + snug * np.cos(around)), -1)
    near = np.clip(1 - (base - height) / 1.5, 0, 1)[..., None]
    yoke = near * low + (1 - near) * body.around(around, height, 0.12)
    cloth = [("front", folded(front, 0.07, seed + 20, False), 0.10), ("yoke", yoke, 0.10)]
    return [*(grid(name, points, "shirt", thick) for name, points, thick in cloth), *_collar(body)]


def _collar_fold(front: Array) -> Array:
    """Height of the fold of a shirt's collar at the angle `front` from the throat, to either side."""
    return np.interp(front, [0, 0.15, 0.5, 1.0, 1.6, 2.3, np.pi], [-12.5, -12.35, -11.6, -10.3, -9.2, -8.5, -8.2])


def _collar(body: Body) -> list[Surface]:
    """The stand around the neck, closed in front, and per side a leaf from over the fold down to its pointed end."""
    around = np.linspace(0, 2 * np.pi, 181)[:-1]
    fold = gaussian_filter(_collar_fold(np.minimum(around, 2 * np.pi - around)), 3, mode="wrap")
    snug = body.skin(around, np.maximum(fold, -13.0)) + 0.42
    height = fold - np.linspace(2.2, 0, 9)[:, None]
    stand = np.stack(np.broadcast_arrays(snug * np.sin(around), height, _CENTER_Z + snug * np.cos(around)), -1)
    leaves = [grid(f"leaf{side:+.0f}", _leaf(body, side, around, fold, snug), "shirt", 0.15) for side in (1.0, -1.0)]
    return [grid("stand", stand, "shirt", 0.12, True), *leaves]


def _leaf(body: Body, side: float, around: Array, fold: Array, snug: Array) -> Array:
    """(R, C, 3) leaf of a collar's `side`; the stand's `fold` height and reach `snug` are given at angles `around`."""
    front = np.concatenate([np.linspace(0.015, 1.3, 70), np.linspace(1.3, np.pi, 40)[1:]])
    fold, snug = (np.interp(side * front, around, values, period=2 * np.pi) for values in (fold, snug))
    drop = np.interp(front, [0.03, 0.3, 0.7, 1.0, 1.5, 2.2, np.pi], [3.3, 3.35, 3.0, 2.0, 1.2, 1.6, 3.0])
    shift = np.interp(front, [0.03, 0.3, 0.7, 1.2, np.pi], [0.44, 0.36, 0.18, 0.0, 0.0])
    drop, shift = (gaussian_filter(values, 4, mode="nearest") for values in (drop, shift))
    down = np.linspace(0, 1, 26)[:, None]
    angle, height = side * (front + shift * down), fold - drop * down
    # Stiff in front, where it spans the hollow above the chest; at the sides it lies under the jacket's collar.
    stiff = np.interp(front, [0.45, 0.85], [1.0, 0.0])
    low = stiff * (body.reach(angle[-1], height[-1]) + 0.55) + (1 - stiff) * (snug + 0.5)
    lying = (snug + 0.30) * (1 - down) + low * down + 0.22 * stiff * np.sin(np.pi * down)
    lying = np.maximum(lying, body.reach(angle, height) + (0.24 + 0.18 * stiff) * np.clip(3 * down, 0, 1))
    lying += 0.25 * np.exp(-front / 0.25) * np.clip(1.2 - down, 0, 1)  # over the knot
    turn = np.linspace(0, np.pi, 7)[:-1, None]
    over = 0.5 * (snug + lying[0]) - 0.5 * (lying[0] - snug) * np.cos(turn)
    reach = np.concatenate([over, lying])
    height = np.concatenate([fold + 0.16 * np.sin(turn), height])
    angle = np.concatenate([np.broadcast_to(angle[:1], over.shape), angle])
    leaf = np.stack([reach * np.sin(angle), height, _CENTER_Z + reach * np.cos(angle)], -1)
    return leaf if side > 0 else leaf[:, ::-1]


def tie(body: Body) -> list[Surface]:
    """A necktie: the knot below the collar's corners, not quite even, and the blade with the dimple under it."""
    across = np.linspace(-1, 1, 41)[None]
    drop = np.linspace(0, 1, 40)[:, None]
    half = np.interp(drop, [0, 0.25, 0.85, 1], [1.95, 1.85, 1.2, 1.05])
    flat = np.stack(np.broadcast_arrays(half * across + 0.10 * drop, -12.45 - 2.9 * drop + 0.12 * across * drop), -1)
    bulge = np.interp(drop, [0, 0.15, 0.45, 0.85, 1], [0.35, 0.55, 0.95, 0.85, 0.45])
    knot = body.front(flat, 0.25)
    knot[..., 2] += bulge * np.sqrt(np.maximum(1 - across**2, 0)) - 0.25 * across**8
    drop = np.linspace(0, 1, 80)[:, None] ** 1.2
    height = -15.0 + (FOOT_CM + 15.0) * drop
    half = np.interp(-height, [15.0, 15.6, 17.5, 30.0], [0.92, 1.0, 1.6, 3.8])
    blade = body.front(np.stack(np.broadcast_arrays(half * across + 0.10, height), -1), 0.40)
    dimple = np.exp(-(((across - 0.12) * half / 0.28) ** 2)) * np.exp((height + 15.0) / 1.6)
    blade[..., 2] += 0.30 * (1 - across**4) - 0.28 * dimple
    return [grid("knot", knot, "tie", 0.08), grid("blade", blade, "tie", 0.08)]


def jacket(body: Body, seed: int) -> list[Surface]:
    """Body, lapels and collar of a jacket, worn open over shirt and tie."""
    rows, columns = 100, 220
    share = np.linspace(0, 1, columns)[None]
    edge = np.linspace(0, 1, rows)[:, None]
    top = -11.3 + 1.0 * np.sin(np.pi * share) ** 0.7
    height = top + (FOOT_CM - top) * edge**1.25
    opening = np.interp(-height[:, :1], [11.0, 12.5, 17, 30], [7.2, 7.4, 6.0, 2.2])
    start = np.arctan2(opening, np.interp(-height[:, :1], -_HEIGHT, _FRONT) + 0.5)
    points = body.around(start + share * (2 * np.pi - 2 * start), height, 1.0)
    surfaces = [grid("jacket", folded(points, 0.30, seed, False), "jacket", 0.24)]
    roll = np.array([[5.95, -11.35], [5.6, -12.8], [4.4, -18.5], [1.2, -30.0]])
    outer = np.array([[7.2, -12.3], [10.4, -13.0], [9.4, -19.5], [3.0, -30.0]])
    return [*surfaces, *_lapels(body, roll, outer, 1.95), _jacket_collar(body)]


def breathed(points: Array, breath: float) -> Array:
    """`points` (N, 3) of clothes and skin when the chest is filled by `breath`: up and forwards, the more the lower."""
    chest = np.clip((-9.0 - points[:, 1]) / 8, 0, 1)
    moved = points.copy()
    moved[:, 1] += 0.5 * breath * chest
    moved[:, 2] += 0.4 * breath * chest * np.clip(points[:, 2] / 6 + 0.5, 0, 1)
    return moved
