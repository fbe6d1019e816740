"""Clothes: surfaces lofted around the measured neck and a torso of plain cross-sections, in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from head import SKIN, Array, Head

# Half width, and depth to the front and to the back, of the torso at these heights (cm); the neck is 6.3 half wide.
_HEIGHT = np.array([-9.0, -10.5, -12.0, -13.2, -14.5, -16.0, -18.0, -22.0, -30.0])
_WIDTH = np.array([6.0, 6.9, 9.2, 12.6, 16.6, 19.8, 21.8, 22.8, 23.0])
_FRONT = np.array([5.0, 5.4, 6.0, 6.6, 7.6, 8.8, 10.0, 11.6, 13.0])
_BACK = np.array([6.5, 6.8, 7.6, 8.6, 9.4, 10.0, 10.5, 11.0, 11.0])
_CENTER_Z = -2.6
_ROUNDNESS = 2.3
"""Exponent of the superellipses that are the cross-sections of the torso."""


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
class Outfit:
    """Kind of clothes and their colors."""

    kind: str
    """"suit" (shirt, tie, jacket) or "blouse" (stand-up collar under a jacket)."""
    cloths: dict[str, tuple[float, float, float]]
    """Linear RGB of each cloth by the name of its material."""


def neck_section(head: Head, height: float) -> tuple[float, float, float]:
    """Half width, depth of the back and of the front of the neck at `height`."""
    skin = head.neutral[SKIN]
    level = skin[np.abs(skin[:, 1] - height) < 0.7]
    return float(np.ptp(level[:, 0]) / 2), float(level[:, 2].min()), float(level[:, 2].max())


def torso(angle: Array, height: Array, outwards: float) -> Array:
    """Points (..., 3) on the torso, `outwards` cm off it; angle 0 is the front, pi / 2 the presenter's left."""
    width = np.interp(-height, -_HEIGHT, _WIDTH) + outwards
    sine, cosine = np.sin(angle), np.cos(angle)
    depth = np.where(cosine > 0, np.interp(-height, -_HEIGHT, _FRONT), np.interp(-height, -_HEIGHT, _BACK)) + outwards
    power = 2 / _ROUNDNESS
    x = width * np.sign(sine) * np.abs(sine) ** power
    z = _CENTER_Z + depth * np.sign(cosine) * np.abs(cosine) ** power
    return np.stack([x, np.broadcast_to(height, x.shape) + 0.35 * outwards, z], -1)


def _grid(name: str, points: Array, material: str, thickness: float, closed: bool = False) -> Surface:
    """A surface through points (R, C, 3); `closed` joins the last column to the first."""
    rows, columns = points.shape[:2]
    across = range(columns if closed else columns - 1)
    faces = [
        [r * columns + c, r * columns + (c + 1) % columns, (r + 1) * columns + (c + 1) % columns, (r + 1) * columns + c]
        for r in range(rows - 1)
        for c in across
    ]
    return Surface(name, points.reshape(-1, 3), faces, material, thickness)


def _on_chest(outline: Array, outwards: float, rows: int = 24, columns: int = 10) -> Array:
    """A panel on the chest, (rows, columns, 3), whose corners in the front view are `outline` (4, 2)."""
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    a, b, c, d = (outline[k] for k in range(4))
    flat = (1 - v)[..., None] * ((1 - u)[..., None] * a + u[..., None] * b) + v[..., None] * (
        (1 - u)[..., None] * d + u[..., None] * c
    )
    return _drape(flat, outwards)


def _drape(flat: Array, outwards: float) -> Array:
    """Project front-view points (..., 2) onto the chest, (..., 3)."""
    height = flat[..., 1]
    width = np.interp(-height, -_HEIGHT, _WIDTH)
    sine = np.clip(np.abs(flat[..., 0]) / width, 0, 1) ** (_ROUNDNESS / 2)
    points = torso(np.sign(flat[..., 0]) * np.arcsin(np.clip(sine, 0, 1)), height, outwards)
    points[..., 0], points[..., 1] = flat[..., 0], flat[..., 1]
    return points


def _around_neck(head: Head, angles: Array, heights: Array, gap: Array) -> Array:
    """Points around the neck at `angles`, `heights` and `gap` cm off the skin, broadcast together, (..., 3)."""
    levels = np.arange(-16.0, -5.9, 0.5)
    width, back, front = np.array([neck_section(head, level) for level in levels]).T
    width = np.minimum(width, width[levels > -10.6].mean() * 1.04)
    # Above the throat the section includes the chin, and below the collar the shoulders: neither is neck.
    front = np.where(levels > -9.6, np.interp(-9.6, levels, front), front)
    middle, depth = (front + back) / 2, (front - back) / 2
    angles, heights, gap = np.broadcast_arrays(angles, heights, gap)
    w, m, d = (np.interp(heights, levels, values) for values in (width, middle, depth))
    return np.stack([(w + gap) * np.sin(angles), heights, m + (d + gap) * np.cos(angles)], -1)


def _jacket(opening_top: float, opening_low: float) -> list[Surface]:
    """Body and lapels of a jacket, its V opening `opening_top` wide at the collar and `opening_low` at the foot."""
    height = np.linspace(-11.3, -30, 46)
    edge = np.interp(-height, [11.3, 12.5, 27], [opening_top, opening_top * 0.98, opening_low])
    width = np.interp(-height, -_HEIGHT, _WIDTH) + 0.55
    start = np.arcsin(np.clip((edge / width) ** (_ROUNDNESS / 2), 0, 1))
    share = np.linspace(0, 1, 120)
    angle = start[:, None] + share[None] * (2 * np.pi - 2 * start[:, None])
    body = torso(angle, height[:, None], 0.55)
    surfaces = [_grid("jacket", body, "jacket", 0.22)]
    for side in (1.0, -1.0):
        top, peak, low = opening_top, 9.6, opening_low
        outline = np.array([[top - 0.5, -11.7], [peak, -15.2], [low + 2.4, -25.0], [low - 0.4, -27.0]])
        panel = _on_chest(outline * [side, 1], 0.95)
        surfaces.append(_grid(f"lapel{side:+.0f}", panel if side > 0 else panel[:, ::-1], "lapel", 0.22))
    return surfaces


def dress(head: Head, outfit: Outfit) -> list[Surface]:
    """All surfaces of the outfit."""
    angle, height = np.linspace(0, 2 * np.pi, 97)[:-1], np.linspace(-10.2, -30, 30)
    under = _grid("shirt", torso(angle[None], height[:, None], 0.1), "shirt", 0.1, closed=True)
    if outfit.kind == "blouse":
        return [under, _stand_collar(head), *_jacket(7.0, 1.0)]
    return [under, *_shirt_collar(head), *_tie(), *_jacket(7.0, 1.2)]


def _stand_collar(head: Head) -> Surface:
    """A soft stand-up collar, higher at the back."""
    angle = np.linspace(0, 2 * np.pi, 97)[:-1]
    top = -10.1 + 1.3 * (1 - np.cos(angle)) / 2
    down = np.linspace(0, 1, 12)[:, None]
    rim = 0.12 * np.sin(np.pi * np.clip(down * 3, 0, 1))
    points = _around_neck(head, angle[None], top[None] - 4.2 * down, 0.35 + rim + 1.7 * down**2)
    return _grid("collar", points, "shirt", 0.28, closed=True)


def _shirt_collar(head: Head) -> list[Surface]:
    """One piece: up the band inside, over the fold, down the leaves, which hang lower in front and end in points."""
    half = np.linspace(0.15, np.pi, 70)
    angle = np.concatenate([half, 2 * np.pi - half[::-1][1:]])
    front = np.minimum(angle, 2 * np.pi - angle)
    top = -11.3 + 2.6 * ((1 - np.cos(angle)) / 2) ** 0.8
    drop = np.interp(front, [0.15, 0.62, 1.15, np.pi], [2.3, 4.6, 3.6, 3.2])
    spread = np.interp(front, [0.15, 0.62, 1.15, np.pi], [0.75, 2.1, 1.6, 1.0])
    inside = np.linspace(1, 0, 6)[:, None]
    outside = np.linspace(0, 1, 12)[:, None]
    heights = np.vstack([top - 2.4 * inside, top + 0.10 + 0 * outside[:1], top - drop * outside])
    gaps = np.vstack([0.22 + 0 * (inside + top), 0.36 + 0 * top[None], 0.52 + spread * outside**1.15])
    return [_grid("collar", _around_neck(head, angle[None], heights, gaps), "shirt", 0.10)]


def _tie() -> list[Surface]:
    """Knot and blade of a tie."""
    knot = np.array([[-1.7, -11.5], [1.7, -11.5], [1.0, -14.6], [-1.0, -14.6]])
    blade = np.array([[-0.95, -14.3], [0.95, -14.3], [2.6, -30.0], [-2.6, -30.0]])
    panels = []
    for name, outline, outwards, bulge in (("knot", knot, 1.1, 0.5), ("blade", blade, 0.45, 0.2)):
        panel = _on_chest(outline, outwards, columns=14)
        panel[..., 2] += bulge * np.sin(np.linspace(0, np.pi, 14)) ** 0.7
        panels.append(_grid(name, panel, "tie", 0.15))
    return panels
