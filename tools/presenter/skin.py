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
from fields import fractal
from hair import Hairstyle, in_scalp, parting
from head import Array, Head
from scipy.interpolate import CubicSpline
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree

TILE = 1024
"""Texels along one side of a tile."""
_TEXELS_PER_CM = TILE / 22.7
"""About the mouth."""
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
    age: float
    """Depth of the wrinkles, 0 to 1."""
    uneven: float
    """Strength of blotches and of the reddish and bluish places of a face, 1 for a clear skin."""
    grain: float = 1.0
    """Strength of pores and of unevenness finer than blotches."""
    gloss: float = 1.0
    """Wetness of the lips, 0 (dry) to 1."""
    matt: float = 0.0
    """What is added to the roughness of the skin."""
    folds: float = 0.0
    """Depth and shade of the broad folds beside nose and mouth and below the lower lip, 0 to 1."""
    lip_rim: float = 0.0
    """Width over which the red of the lips fades into the skin, cm; 0 for a crisp edge."""


@dataclass(frozen=True)
class SkinMaps:
    """(TILE, 2 TILE, ...) rows from the top; albedo in linear RGB."""

    albedo: Array
    roughness: Array
    height: Array
    wet: Array
    """1 on the lips and on the rims of the lids."""


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
    centres = np.atleast_2d(centres)
    reach = 4 * radius  # further off it is nothing
    inside = ((places > centres.min(0) - reach) & (places < centres.max(0) + reach)).all(-1)
    bell = np.zeros(places.shape[:-1])
    bell[inside] = np.exp(-(cKDTree(centres).query(places[inside])[0] ** 2) / (2 * radius**2))
    return bell


def near_curve(places: Array, curve: Array, radius: float, samples: int = 24) -> Array:
    """The same along a polyline (C, 3)."""
    along = np.linspace(0, len(curve) - 1, samples)
    points = np.stack([np.interp(along, np.arange(len(curve)), curve[:, axis]) for axis in range(3)], 1)
    return near(places, points, radius)


def blend(albedo: Array, colour: Colour, cover: Array) -> Array:
    return albedo + np.clip(cover, 0, 1)[..., None] * (np.asarray(colour) - albedo)


def paint(head: Head, complexion: Complexion, hairstyle: Hairstyle, seed: int) -> SkinMaps:
    """The maps of one person's skin."""
    places = texel_places(head)
    flat = places.reshape(-1, 3)
    marks = head.generic[head.landmarks68]
    shape = places.shape[:2]

    def field(cell: float, octaves: int, offset: int) -> Array:
        # Clipped: a far outlier would be a stain.
        return np.clip(fractal(flat, cell, octaves, seed + offset), -1.7, 1.7).reshape(shape)

    mottle, blotch, fine, pores = field(3.2, 3, 0), field(1.1, 3, 10), field(0.45, 3, 20), field(0.10, 2, 40)
    red = lip_mask(head)
    lips = gaussian_filter(red, TILE / 450)
    faded = gaussian_filter(red, complexion.lip_rim * _TEXELS_PER_CM) if complexion.lip_rim else lips
    creases = fractal(flat * np.array([1, 0.12, 0.3]), 0.20, 2, seed + 80).reshape(shape)
    lid_line = np.max([near_curve(places, marks[rim], 0.09) for rim in _LIDS], axis=0)
    front = np.clip((places[..., 2] - 3) / 4, 0, 1)
    beard = _beard(places, marks)

    albedo = _blood(places, marks, complexion, mottle, blotch)
    grown = gaussian_filter(beard, 0.3 * _TEXELS_PER_CM)
    stubble = complexion.stubble_cover * grown * (0.72 + complexion.grain * (0.25 * pores + 0.12 * fine))
    albedo = blend(albedo, complexion.stubble, stubble)
    shade = 0.045 * mottle + 0.035 * complexion.uneven * blotch + complexion.grain * (0.03 * fine + 0.05 * pores)
    albedo = albedo * (1 + shade)[..., None]
    freckles = np.clip((field(0.20, 1, 60) - 1.2) * 2.5, 0, 1) * front * np.clip(0.5 + 0.5 * mottle, 0, 1)
    albedo = blend(albedo, complexion.hair, 0.30 * complexion.freckles * freckles)
    spots = np.clip((field(0.55, 1, 65) - 1.55) * 6, 0, 1) * np.clip(1.6 * field(2.3, 1, 66), 0, 1)
    albedo = blend(albedo, complexion.hair, 0.10 * complexion.uneven * spots * (1 - lips))
    shaded, sunk = _folds(places, marks)
    albedo = albedo * (1 - complexion.folds * shaded[..., None] * (0.20, 0.30, 0.32))
    rim = np.clip(2 * (faded - lips), 0, 1)  # the pale edge where red turns into skin
    albedo = blend(albedo, tuple(np.minimum(1.12 * np.asarray(complexion.skin), 1)), 0.6 * rim)
    edge = np.clip(np.minimum(lips, 0.35 * lips + 0.75 * faded) * (1 + 0.08 * creases + 0.1 * blotch), 0, 1)
    albedo = blend(albedo, complexion.lips, complexion.lips_cover * edge)
    # Darker where the lips meet.
    albedo = blend(albedo, (0.16, 0.035, 0.03), 0.45 * near_curve(places, marks[[60, 61, 62, 63, 64]], 0.12))
    albedo = blend(albedo, (0.45, 0.16, 0.13), 0.55 * lid_line)
    for brow in (marks[17:22], marks[22:27]):
        albedo = blend(albedo, complexion.hair, complexion.brow_cover * near_curve(places, brow - [0, 0.30, 0], 0.30))
    scalp = in_scalp(flat, hairstyle, softness=3.6 if hairstyle.long else 3.0).reshape(shape)
    if hairstyle.long:  # along the parting skin shows
        beside, clear = parting(flat, hairstyle)
        scalp = scalp**2 * (1 - 0.75 * clear * np.exp(-((beside / 0.25) ** 2))).reshape(shape)
    albedo = blend(albedo, complexion.hair, 0.62 * scalp**1.2)

    oily = np.max([near(places, np.array([0, 8.5, 10.0]), 2.5), near(places, marks[28:31], 0.9)], axis=0)
    smooth = 0.10 * oily + 0.10 * complexion.gloss * lips
    roughness = 0.50 + complexion.matt - smooth + 0.045 * fine + 0.04 * pores + 0.03 * blotch + 0.05 * beard
    relief = complexion.grain * (0.055 * pores * (1 - lips) + 0.05 * fine + 0.02 * blotch)
    height = 0.5 + front * relief + 0.022 * lips * creases
    height = height - complexion.age * _wrinkles(places, marks, mottle) - complexion.folds * sunk
    wet = np.maximum(complexion.gloss * lips, lid_line)
    return SkinMaps(
        np.clip(albedo, 0.001, 0.95), np.clip(roughness, 0.2, 0.9), np.clip(height, 0, 1), np.clip(wet, 0, 1)
    )


_LIDS = ([36, 37, 38, 39], [42, 43, 44, 45], [36, 41, 40, 39], [42, 47, 46, 45])
"""Landmarks along the rims of the lids."""


def _blood(places: Array, marks: Array, complexion: Complexion, mottle: Array, blotch: Array) -> Array:
    """Albedo without hair and lips: where blood, fat and shadowed thin skin show in a face."""
    albedo = np.broadcast_to(np.asarray(complexion.skin), (*mottle.shape, 3)).copy()
    uneven = complexion.uneven
    cheeks = np.array([[4.9, 0.2, 8.2], [-4.7, 0.5, 8.2]])
    ears = np.array([[8.4, 2.0, 0.5], [-8.4, 2.0, 0.5]])
    wings = marks[[31, 35]] + np.array([0, 0.3, -0.2])
    albedo = blend(albedo, complexion.sallow, 0.6 * near(places, np.array([0, 9.0, 9.0]), 3.5))
    albedo = blend(albedo, complexion.sallow, 0.5 * np.clip((-7.5 - places[..., 1]) / 3, 0, 1))
    flushed = (
        (cheeks, 1.9, 0.38), (marks[30], 1.0, 0.5), (wings, 0.45, 0.6), (ears, 1.6, 0.6), (marks[8], 1.1, 0.25),
        (np.array([0, 6.2, 11.0]), 0.9, 0.25), (np.array([0, -12.5, 4.0]), 3.0, 0.3),
    )  # fmt: skip
    for centre, radius, cover in flushed:
        patchy = np.clip(1 + 0.35 * mottle + 0.45 * blotch, 0, 2)
        albedo = blend(albedo, complexion.flush, uneven * cover * near(places, centre, radius) * patchy)
    dark = np.asarray(complexion.skin) * np.array([0.72, 0.58, 0.62])
    under_eyes = np.array([[2.7, 2.35, 9.6], [-2.7, 2.35, 9.6], [1.7, 2.9, 9.4], [-1.7, 2.9, 9.4]])
    sockets = np.array([[2.9, 4.7, 9.6], [-2.9, 4.7, 9.6], [1.7, 4.0, 9.6], [-1.7, 4.0, 9.6]])
    for centre, radius, cover in ((under_eyes, 0.55, 0.45), (sockets, 0.55, 0.40)):
        albedo = blend(albedo, tuple(dark), uneven * cover * near(places, centre, radius))
    return albedo


def _wrinkles(places: Array, marks: Array, mottle: Array) -> Array:
    """Depth of the lines of an older face: forehead, crow's feet, below the eyes, beside nose and mouth, neck."""
    depth = np.zeros(mottle.shape)

    def line(points: object, width: float, strength: float) -> None:
        np.maximum(depth, strength * near_curve(places, np.asarray(points, float), width, 40), out=depth)

    for height, reach, strength in ((7.6, 3.8, 0.16), (8.5, 4.4, 0.22), (9.35, 4.0, 0.18), (10.1, 3.0, 0.10)):
        across = np.linspace(-reach, reach, 7)
        sway = 0.22 * np.cos(across * 1.1 + height) + 0.12 * np.sin(2.3 * across + 3 * height)
        line(np.stack([across, height + sway, 11.0 - 0.055 * across**2 - 0.25 * (height - 7)], 1), 0.07, strength)
    for side in (-1.0, 1.0):
        mirror = np.array([side, 1, 1])
        for k, turn in enumerate((0.55, 0.1, -0.35)):
            start, length = np.array([4.9, 3.4, 8.2]), 1.2 - 0.15 * k
            end = start + length * np.array([np.cos(turn) * 0.75, np.sin(turn) - 0.1 * k, -0.65])
            line(np.stack([start, (start + end) / 2 + [0, 0.05, 0.05], end]) * mirror, 0.05, 0.14)
        bag = np.array([[1.9, 2.55, 9.5], [2.6, 2.05, 9.7], [3.5, 2.0, 9.5], [4.3, 2.4, 9.0]])
        line(bag * mirror, 0.09, 0.20)
        fold = np.array([[1.7, -0.2, 10.9], [2.35, -1.0, 10.7], [2.9, -2.1, 10.3], [3.2, -3.2, 9.8]])
        line(fold * mirror, 0.10, 0.26)
        line(np.array([[2.8, -3.8, 9.9], [3.0, -4.6, 9.6], [2.9, -5.3, 9.3]]) * mirror, 0.10, 0.14)
        line(np.array([[0.45, 5.2, 11.0], [0.55, 5.9, 11.0], [0.5, 6.5, 10.9]]) * mirror, 0.07, 0.16)
    for height in (-9.6, -11.0):
        across = np.linspace(-4, 4, 7)
        line(np.stack([across, height - 0.03 * across**2, 5.6 - 0.12 * across**2], 1), 0.09, 0.18)
    return depth * np.clip(1 + 0.25 * mottle, 0.4, 1.5)


def _folds(places: Array, marks: Array) -> tuple[Array, Array]:
    """Shade, 0 to 1, and depth of the broad folds that every grown face has around its mouth."""
    seen = np.where(places[..., 2:] > 5, places[..., :2], np.inf)  # in the front view
    chin = marks[57, :2] - (0, 0.85)
    lines = [(chin + np.array([[-1.6, 0.25], [-0.8, 0.02], [0.8, 0], [1.6, 0.22]]), 0.26, 0.55)]
    for side, strength in ((-1.0, 1.0), (1.0, 0.85)):
        wing, corner = marks[31 if side < 0 else 35, :2], marks[48 if side < 0 else 54, :2]
        outwards = np.array([side, 1.0])
        beside_nose = [wing + outwards * (0.75, 0.45), wing + outwards * (1.25, -0.5),
                       corner + outwards * (0.95, 0.75), corner + outwards * (1.15, -0.35)]  # fmt: skip
        below = corner + outwards * [[0.25, -0.15], [0.5, -0.8], [0.5, -1.6]]
        lines += [(np.array(beside_nose), 0.24, strength), (below, 0.27, 0.5 * strength)]
    shade, depth = np.zeros(places.shape[:2]), np.zeros(places.shape[:2])
    for points, width, strength in lines:
        along = np.linspace(0, len(points) - 1, 60)
        bend = CubicSpline(np.arange(len(points)), points)(along)
        ends = np.clip(2.5 * np.sin(np.pi * np.linspace(0.02, 0.98, 60)), 0, 1)
        reach, nearest = cKDTree(bend).query(np.nan_to_num(seen, posinf=99.0))
        bell = strength * ends[nearest] * np.exp(-((reach / width) ** 2) / 2)
        np.maximum(shade, bell, out=shade)
        np.maximum(depth, 0.45 * bell, out=depth)
    return shade, depth


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


def painted(head: Head, complexion: Complexion, hairstyle: Hairstyle, seed: int, folder: Path) -> dict[str, Path]:
    """The maps as PNG files in `folder`; painted only when the painter or what it was asked for has changed."""
    asked = repr((complexion, hairstyle, seed, TILE)) + Path(__file__).read_text("utf-8")
    key = hashlib.sha256(asked.encode()).hexdigest()[:12]
    paths = {name: folder / f"{name}-{key}.png" for name in ("albedo", "roughness", "height", "wet")}
    if not all(path.exists() for path in paths.values()):
        maps = paint(head, complexion, hairstyle, seed)
        cv2.imwrite(str(paths["albedo"]), coded(maps.albedo)[..., ::-1])
        cv2.imwrite(str(paths["roughness"]), np.round(maps.roughness * 255).astype(np.uint8))
        cv2.imwrite(str(paths["wet"]), np.round(maps.wet * 255).astype(np.uint8))
        cv2.imwrite(str(paths["height"]), np.round(maps.height * 65535).astype(np.uint16))
    return paths
