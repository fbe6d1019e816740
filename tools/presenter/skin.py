"""Painting the skin: albedo, roughness and height maps in the model's own texture coordinates.

Everything is a function of the place on the generic head, so one painter serves every identity. The face and the
back of the head are two tiles side by side in one atlas.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from hair import in_scalp
from head import Array, Head
from scipy.interpolate import CubicSpline
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

TILE = 1024
"""Texels along one side of a tile."""
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Complexion:
    """Colours are linear RGB albedo."""

    skin: Colour
    flush: Colour
    """Where blood shows: cheeks, nose, ears, chin."""
    sallow: Colour
    """Forehead and under the jaw."""
    lips: Colour
    lips_cover: float
    stubble: Colour
    stubble_cover: float
    """The bluish shadow of a shaven beard, 0 to 1."""
    freckles: float
    """0 to 1."""
    hair: Colour
    """What shows between the strands on the scalp and in the brows."""
    brow_cover: float


@dataclass(frozen=True)
class SkinMaps:
    """(TILE, 2 TILE, ...) rows from the top; albedo in linear RGB."""

    albedo: Array
    roughness: Array
    height: Array


def noise(points: Array, cell: float, seed: int) -> Array:
    """Smooth random field at `points` (N, 3), one bump per `cell`, mean 0 and standard deviation near one, (N,)."""
    lattice = np.random.default_rng(seed).normal(size=(48, 48, 48))
    values = map_coordinates(lattice, (points / cell).T, order=2, mode="grid-wrap")
    return values / 0.55


def fractal(points: Array, cell: float, octaves: int, seed: int) -> Array:
    """Sum of `octaves` of noise, each half the cell and 0.6 the strength of the one before, (N,)."""
    strengths = 0.6 ** np.arange(octaves)
    total = sum(w * noise(points, cell / 2**k, seed + k) for k, w in enumerate(strengths))
    return np.asarray(total) / np.linalg.norm(strengths)


def texel_places(head: Head, tile: int = TILE) -> Array:
    """(tile, 2 tile, 3) place on the generic head that each texel covers; texels outside take the nearest one's."""
    places = np.full((tile, 2 * tile, 3), np.nan)
    for index in np.concatenate([head.part("M_Face"), head.part("M_BackHead")]):
        corners = head.uv[head.face_uv[index]] * tile - 0.5
        points = head.generic[head.faces[index]]
        for third in range(2, len(corners)):
            _fill_triangle(places, corners[[0, third - 1, third]], points[[0, third - 1, third]])
    missing = np.isnan(places[..., 0])
    nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
    return places[tuple(nearest)][::-1]


def _fill_triangle(places: Array, corners: Array, points: Array) -> None:
    low = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, (places.shape[1], places.shape[0]))
    columns, rows = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    edges = (corners[1:] - corners[0]).T
    if columns.size == 0 or abs(np.linalg.det(edges)) < 1e-12:
        return
    inner = np.linalg.solve(edges, np.stack([columns.ravel(), rows.ravel()]) - corners[0][:, None])
    weights = np.vstack([1 - inner.sum(0), inner])
    inside = (weights > -0.05).all(0)
    places[rows.ravel()[inside], columns.ravel()[inside]] = weights.T[inside] @ points


def lip_mask(head: Head, tile: int = TILE) -> Array:
    """(tile, 2 tile) 1 on the red of the lips: the smooth ring between the outer and the inner lip landmarks."""
    uv_of_vertex = dict(zip(np.concatenate(head.faces).tolist(), np.concatenate(head.face_uv).tolist(), strict=True))
    places = head.uv[[uv_of_vertex[int(v)] for v in head.landmarks68]] * tile
    mask = np.zeros((tile, 2 * tile), np.uint8)
    for ring, value in ((places[48:60], 255), (places[60:68], 0)):
        closed = np.vstack([ring, ring[:1]])
        curve = CubicSpline(np.arange(len(closed)), closed, bc_type="periodic")(np.linspace(0, len(ring), 400))
        if value == 0:  # the lips' red goes on inwards, past where they touch
            curve = curve.mean(0) + (curve - curve.mean(0)) * (0.97, 0.55)
        cv2.fillPoly(mask, [np.round(curve * 16).astype(np.int32)], value, cv2.LINE_AA, 4)
    return mask[::-1].astype(np.float64) / 255


def near(places: Array, centres: Array, radius: float) -> Array:
    """1 at any of `centres` (C, 3), falling to 0 like a bell of width `radius`."""
    squared = np.min([((places - centre) ** 2).sum(-1) for centre in np.atleast_2d(centres)], axis=0)
    return np.exp(-squared / (2 * radius**2))


def near_curve(places: Array, curve: Array, radius: float, samples: int = 24) -> Array:
    """The same along a polyline (C, 3)."""
    along = np.linspace(0, len(curve) - 1, samples)
    points = np.stack([np.interp(along, np.arange(len(curve)), curve[:, axis]) for axis in range(3)], 1)
    return near(places, points, radius)


def blend(albedo: Array, colour: Colour, cover: Array) -> Array:
    return albedo + np.clip(cover, 0, 1)[..., None] * (np.asarray(colour) - albedo)


def paint(head: Head, complexion: Complexion, seed: int) -> SkinMaps:
    """The three maps of one person's skin."""
    places = texel_places(head)
    flat = places.reshape(-1, 3)
    marks = head.generic[head.landmarks68]
    shape = places.shape[:2]

    def field(cell: float, octaves: int, offset: int) -> Array:
        # Clipped: a far outlier would be a stain.
        return np.clip(fractal(flat, cell, octaves, seed + offset), -1.7, 1.7).reshape(shape)

    mottle, fine, pores = field(3.0, 4, 0), field(0.5, 3, 20), field(0.11, 2, 40)
    front = np.clip((places[..., 2] - 3) / 4, 0, 1)
    albedo = np.broadcast_to(np.asarray(complexion.skin), (*shape, 3)).copy()
    nose_tip, chin = marks[30], marks[8]
    cheeks = np.array([[5.0, 0.4, 8.0], [-5.0, 0.4, 8.0]])
    ears = np.array([[8.4, 2.0, 0.5], [-8.4, 2.0, 0.5]])
    albedo = blend(albedo, complexion.sallow, 0.6 * near(places, np.array([0, 9.0, 9.0]), 3.5))
    albedo = blend(albedo, complexion.sallow, 0.5 * np.clip((-7.5 - places[..., 1]) / 3, 0, 1))
    for centre, radius, cover in ((cheeks, 2.0, 0.42), (nose_tip, 1.1, 0.5), (ears, 1.6, 0.6), (chin, 1.1, 0.25)):
        albedo = blend(albedo, complexion.flush, cover * near(places, centre, radius) * (1 + 0.25 * mottle))
    under_eyes = np.array([[3.0, 2.2, 9.6], [-3.0, 2.2, 9.6]])
    albedo = blend(albedo, complexion.flush, 0.22 * near(places, under_eyes, 0.9))
    albedo = blend(albedo, complexion.stubble, complexion.stubble_cover * _beard(places, marks) * (0.75 + 0.25 * pores))
    albedo *= (1 + 0.035 * mottle + 0.03 * fine + 0.025 * pores)[..., None]
    freckles = np.clip((field(0.32, 1, 60) - 1.2) * 2, 0, 1) * front
    albedo = blend(albedo, complexion.hair, 0.35 * complexion.freckles * freckles)

    lips = gaussian_filter(lip_mask(head), TILE / 400)
    wrinkles = fractal(flat * np.array([1, 0.12, 0.3]), 0.22, 2, seed + 80).reshape(shape)
    albedo = blend(albedo, complexion.lips, complexion.lips_cover * lips * (1 + 0.12 * wrinkles))
    # Darker where the lips meet.
    albedo = blend(albedo, (0.14, 0.03, 0.03), 0.5 * near_curve(places, marks[[60, 61, 62, 63, 64]], 0.14))
    lid_line = np.max([near_curve(places, marks[rim], 0.10) for rim in ([36, 37, 38, 39], [42, 43, 44, 45])], axis=0)
    albedo = blend(albedo, complexion.hair, 0.45 * lid_line)
    for brow in (marks[17:22], marks[22:27]):
        albedo = blend(albedo, complexion.hair, complexion.brow_cover * near_curve(places, brow - [0, 0.28, 0], 0.26))
    scalp = in_scalp(flat, softness=1.8).reshape(shape)
    albedo = blend(albedo, complexion.hair, 0.8 * scalp**1.3)

    oily = np.max([near(places, np.array([0, 8.5, 10.0]), 2.5), near(places, marks[28:31], 0.9)], axis=0)
    roughness = np.clip(0.50 - 0.09 * oily - 0.17 * lips + 0.03 * fine + 0.02 * pores, 0.2, 0.9)
    height = 0.5 + front * (0.06 * pores * (1 - lips) + 0.05 * fine) + 0.10 * lips * wrinkles
    return SkinMaps(np.clip(albedo, 0.001, 0.95), roughness, np.clip(height, 0, 1))


def _beard(places: Array, marks: Array) -> Array:
    """1 where a beard would grow: upper lip, chin, jaw and the top of the neck."""
    x, y, z = np.moveaxis(places, -1, 0)
    upper_lip = near_curve(places, np.array([[-2.6, -2.2, 10.2], [0, -1.9, 11.6], [2.6, -2.2, 10.2]]), 0.55)
    jaw_top = -2.6 + 0.075 * x**2
    jaw = 1 / (1 + np.exp((y - jaw_top) / 0.5)) * np.clip((z - 1.5) / 2, 0, 1) * np.clip((y + 10.5) / 2, 0, 1)
    return np.maximum(upper_lip, jaw * (1 - near(places, marks[57] + [0, 0.5, 0], 0.6)))


def coded(linear: Array) -> Array:
    """Linear RGB to 8-bit sRGB."""
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    return np.round(np.clip(curve, 0, 1) * 255).astype(np.uint8)


def painted(head: Head, complexion: Complexion, seed: int, folder: Path) -> dict[str, Path]:
    """The maps as PNG files in `folder`; painted only when the painter or what it was asked for has changed."""
    asked = repr((complexion, seed, TILE)) + Path(__file__).read_text("utf-8")
    key = hashlib.sha256(asked.encode()).hexdigest()[:12]
    paths = {name: folder / f"{name}-{key}.png" for name in ("albedo", "roughness", "height")}
    if not all(path.exists() for path in paths.values()):
        maps = paint(head, complexion, seed)
        cv2.imwrite(str(paths["albedo"]), coded(maps.albedo)[..., ::-1])
        cv2.imwrite(str(paths["roughness"]), np.round(maps.roughness * 255).astype(np.uint8))
        cv2.imwrite(str(paths["height"]), np.round(maps.height * 65535).astype(np.uint16))
    return paths
