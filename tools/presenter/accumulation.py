"""Clean images from a path tracer's few samples: neighboring frames are moved onto each, as everything moves.

Noise differs from frame to frame and what is seen does not, so that a weighted mean over neighbors does what many more
samples would. How everything moves is known exactly: the performance poses the scene. Three steps:

1. Colors, and the surfaces' own colors and normals, are averaged over `REACH` neighbors on either side where they show
   the same point. Colors are taken from the nearest pixel: interpolated noise is no longer independent from pixel to
   pixel, and a denoiser takes it for texture.
2. Open Image Denoise removes what noise is left, guided by the averaged surfaces, which have little.
3. What the denoiser left differs from frame to frame again: its images are averaged once more, where the light is the
   same too, and blurred as far as things move while a shutter is open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from camera import camera_position, intrinsics
from frame import Frame
from head import NECK_PIVOT, Array, Head
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from tongue import Tongue
from torso import TORSO_PIVOT, torso_moved
from wardrobe import breathed

BACKDROP, SKIN_AND_EYES, HAIR, TORSO = range(4)
"""What a pixel moves with; the renderer's object index."""
REACH = 6
"""Neighbors on either side."""
SPREAD = 4.0
"""Standard deviation of their weights, frames."""
SAME_POINT_CM = 0.30
"""How near a neighbor's position must be."""
BLOCK_PX = 4
"""Side of the blocks whose mean colors are compared."""
SHUTTER = 0.5
"""Share of the frame's time in which the camera's shutter is open: 180 degrees."""

Floats = NDArray[np.float32]
Carriers = NDArray[np.uint8]


@dataclass(frozen=True)
class Samples:
    """What the renderer gives of one frame, (H, W, 3) each."""

    color: Floats
    """Linear and noisy."""
    albedo: Floats
    """Colors of the surfaces themselves."""
    normal: Floats
    """Their directions."""
    position: Floats
    """Where they are, cm."""
    carrier: Carriers
    """(H, W) what they move with."""


@dataclass(frozen=True)
class Neighbor:
    """How another frame is moved onto one."""

    index: int
    """Of the other frame."""
    x: Floats
    """(H, W) column in it of what is seen here."""
    y: Floats
    """(H, W) row."""
    weight: Floats
    """(H, W), 0 where it shows something else."""


class Pose:
    """Where everything is in one frame, and where its points are in others."""

    def __init__(self, head: Head, tongue: Tongue, frame: Frame) -> None:
        self.frame = frame
        self._head, self._tongue = head, tongue

    @cached_property
    def vertices(self) -> Floats:
        """(V, 3) of the head, as the scene poses it."""
        return posed_vertices(self._head, self._tongue, self.frame).astype(np.float32)

    @cached_property
    def head_rotation(self) -> Rotation:
        """Of the head and what grows on it."""
        return Rotation.from_euler("XYZ", self.frame.rotation_rad)

    @cached_property
    def nearest(self) -> cKDTree:
        """Tree of the vertices."""
        return cKDTree(self.vertices)


class Points:
    """Points that are seen in one frame, to be found in others."""

    def __init__(self, pose: Pose, position: Floats, carrier: Carriers) -> None:
        """From `position` (N, 3) and `carrier` (N,)."""
        self.pose, self.position = pose, position
        self.on_head, self.on_hair, self.on_torso = (
            np.flatnonzero(carrier == kind) for kind in (SKIN_AND_EYES, HAIR, TORSO)
        )
        distances, self.vertices = pose.nearest.query(position[self.on_head], k=3)
        shares = 1 / (distances + 0.02) ** 2
        self.shares = (shares / shares.sum(-1, keepdims=True)).astype(np.float32)
        frame = pose.frame
        self.hair = pose.head_rotation.inv().apply(position[self.on_hair] - NECK_PIVOT - frame.translation_cm)
        leaning = Rotation.from_euler("XYZ", frame.torso_rotation_rad)
        upright = leaning.inv().apply(position[self.on_torso] - TORSO_PIVOT - frame.torso_translation_cm) + TORSO_PIVOT
        self.torso = 2 * upright - breathed(upright, frame.breath)

    def at(self, pose: Pose) -> Floats:
        """(N, 3) where they are in another frame."""
        moved, frame = self.position.copy(), pose.frame
        shift = (pose.vertices - self.pose.vertices)[self.vertices]
        moved[self.on_head] += (self.shares[..., None] * shift).sum(-2)
        moved[self.on_hair] = pose.head_rotation.apply(self.hair) + NECK_PIVOT + frame.translation_cm
        breathing = breathed(self.torso, frame.breath)
        moved[self.on_torso] = torso_moved(breathing, frame.torso_rotation_rad, frame.torso_translation_cm)
        return moved


def posed_vertices(head: Head, tongue: Tongue, frame: Frame) -> Array:
    """(V, 3) vertices of the head in `frame`: expression, tongue, the head's pose, the neck's and torso's."""
    jaw_open = float(frame.weights[head.expression_names.index("jawOpen")])
    at_rest = tongue.moved(head.deformed(frame.weights), frame.tongue, jaw_open)
    vertices = head.posed(at_rest, frame.rotation_rad, frame.translation_cm)
    breathing = breathed(at_rest, frame.breath)
    on_torso = torso_moved(breathing, frame.torso_rotation_rad, frame.torso_translation_cm)
    return vertices + (1 - head.follows[:, None]) * (on_torso - at_rest)


def neighbors(frames: dict[int, Samples], poses: dict[int, Pose], index: int) -> Iterator[Neighbor]:
    """How each of `frames` is moved onto frame `index`."""
    here = frames[index]
    position, carrier = _front(here)
    rows, columns = np.mgrid[: carrier.shape[0], : carrier.shape[1]].astype(np.float32)
    moving = np.nonzero(carrier != BACKDROP)
    points = Points(poses[index], position[moving], carrier[moving])
    place = _pixels(points.position, carrier.shape[1])
    for other in sorted(frames):
        if other == index or abs(other - index) > REACH:
            continue
        samples, moved = frames[other], points.at(poses[other])
        flow = _pixels(moved, carrier.shape[1]) - place
        x, y = columns.copy(), rows.copy()
        x[moving] += flow[:, 0]
        y[moving] += flow[:, 1]
        seen = cv2.remap(samples.position, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        expected = position.copy()
        expected[moving] = moved
        apart = np.abs(seen - expected).max(-1)
        # On an outline, a strand of hair more or less is not another surface.
        apart = cv2.erode(apart, np.ones((3, 3), np.uint8))
        same = apart < np.where(carrier == BACKDROP, 1.0, SAME_POINT_CM)
        weight = np.exp(-0.5 * ((other - index) / SPREAD) ** 2) * same
        yield Neighbor(other, x, y, weight.astype(np.float32))


def denoised(frames: dict[int, Samples], index: int, around: list[Neighbor]) -> Floats:
    """(H, W, 3) linear colors of a frame: the first two steps."""
    import pyoidn  # the rest of this module runs, and is tested, in an environment without it

    here = frames[index]
    color, albedo, normal = (image.copy() for image in (here.color, here.albedo, here.normal))
    total = np.ones((*here.carrier.shape, 1), np.float32)
    for neighbor in around:
        other, weight = frames[neighbor.index], neighbor.weight[..., None]
        total += weight
        color += weight * _moved(other.color, neighbor, cv2.INTER_NEAREST)
        albedo += weight * _moved(other.albedo, neighbor, cv2.INTER_CUBIC)
        normal += weight * _moved(other.normal, neighbor, cv2.INTER_CUBIC)
    guides = {"albedo": np.clip(albedo / total, 0, 1), "normal": normal / total}
    return pyoidn.denoise(color / total, **guides, hdr=True, clean_aux=True, quality="balanced")


def steadied(images: dict[int, Floats], index: int, around: list[Neighbor]) -> Floats:
    """(H, W, 3) linear colors of a frame, from the denoised ones of it and its neighbors: the third step."""
    here = images[index]
    level, spread = _blocks(here)
    color, total = here.copy(), np.ones((*here.shape[:2], 1), np.float32)
    after = np.zeros((*here.shape[:2], 2), np.float32)
    rows, columns = np.mgrid[: here.shape[0], : here.shape[1]].astype(np.float32)
    for neighbor in around:
        image = _moved(images[neighbor.index], neighbor, cv2.INTER_CUBIC)
        their_level, their_spread = _blocks(image)
        change = ((their_level - level) ** 2 / (spread + their_spread)).max(-1)
        alike = cv2.resize(np.exp(-0.5 * np.maximum(change - 1, 0)), here.shape[1::-1])
        weight = (neighbor.weight * alike)[..., None]
        total += weight
        color += weight * image
        if abs(neighbor.index - index) == 1:
            flow = np.stack([neighbor.x - columns, neighbor.y - rows], -1)
            after = flow if neighbor.index > index else -flow
    return shuttered(color / total, after)


def shuttered(color: Floats, flow: Floats) -> Floats:
    """`color` (H, W, 3) seen through an open shutter while it moves by `flow` (H, W, 2) pixels a frame."""
    rows, columns = np.mgrid[: color.shape[0], : color.shape[1]].astype(np.float32)
    total = np.zeros_like(color)
    times = np.linspace(-SHUTTER / 2, SHUTTER / 2, 5)
    for time in times.astype(np.float32):
        x, y = columns - time * flow[..., 0], rows - time * flow[..., 1]
        total += cv2.remap(color, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.maximum(total / len(times), 0)


def _front(samples: Samples) -> tuple[Floats, Carriers]:
    """Position and carrier of the nearest surface around each pixel, so that outlines move with what is in front."""
    eye = camera_position().astype(np.float32)
    depth = np.pad(np.linalg.norm(samples.position - eye, axis=-1), 1, mode="edge")
    height, width = samples.carrier.shape
    shifts = np.array(sorted(((dy, dx) for dy in range(3) for dx in range(3)), key=(1, 1).__ne__))  # its own first
    nearest = np.stack([depth[dy : dy + height, dx : dx + width] for dy, dx in shifts]).argmin(0)
    rows, columns = np.mgrid[:height, :width] - 1
    rows = np.clip(rows + shifts[nearest, 0], 0, height - 1)
    columns = np.clip(columns + shifts[nearest, 1], 0, width - 1)
    return samples.position[rows, columns], samples.carrier[rows, columns]


def _pixels(points: Floats, size: int) -> Floats:
    """Project points (N, 3) -> (N, 2) pixels, in single precision."""
    focal, eye = float(intrinsics(size)[0, 0]), camera_position().astype(np.float32)
    return focal * (points[:, :2] - eye[:2]) * np.array([1, -1], np.float32) / (eye[2] - points[:, 2:])


def _moved(image: Floats, neighbor: Neighbor, how: int) -> Floats:
    return cv2.remap(image, neighbor.x, neighbor.y, how, borderMode=cv2.BORDER_REPLICATE)


def _blocks(color: Floats) -> tuple[Floats, Floats]:
    """Means of blocks of pixels, and how far they may differ by what the denoiser left (variances)."""
    size = (color.shape[1] // BLOCK_PX, color.shape[0] // BLOCK_PX)
    mean = cv2.GaussianBlur(cv2.resize(color, size, interpolation=cv2.INTER_AREA), (3, 3), 0)
    return mean, 2e-3 * mean * mean + 1e-6
