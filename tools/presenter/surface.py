"""The head model's surface from the camera: what of the mouth is visible, and a plain shaded image of a frame.

    python tools/presenter/surface.py presenter PERFORMANCE -o strip.png --frames 100:124 [--mouth]

draws frames of a performance side by side in a second each or less, without Blender, hair, clothes and light: enough to
look at motion.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from camera import camera_position, project
from head import EYEBALL, IRIS, SCLERA, Array, Head, eye_center, load_head
from looks import LOOKS
from tongue import MOUTH_FLOOR, Tongue

from talkinghead.files import load_arrays
from talkinghead.network.rasterize import rasterize

PARTS = {
    "upper_teeth": (slice(17039, 19247),),
    "lower_teeth": (slice(19247, 21451),),
    "tongue_and_gums": (MOUTH_FLOOR,),
    "hollow": (slice(11248, 13294),),
}
"""Vertices of what is visible in an open mouth; hollow is the skin inside the cheeks and behind the teeth."""
SOLID = ("M_Face", "M_BackHead", "M_GumsTongue", "M_Teeth")
"""Materials that hide what is behind them."""
EYES = ("M_ScleraLeft", "M_ScleraRight", "M_IrisLeft", "M_IrisRight")
MARGIN_PX = 24
"""What is looked at around the lips of an image of `SEEN_PX`."""
SEEN_PX = 512
COLORS = {"skin": (205, 168, 145), "upper_teeth": (235, 232, 222), "lower_teeth": (215, 212, 200)}
COLORS |= {"tongue_and_gums": (170, 85, 85), "hollow": (70, 30, 30), "eye": (235, 235, 235), "iris": (60, 45, 35)}
"""RGB of the image."""
CORNEA = 0.89
"""Cosine of the angle from the axis of the eye within which the white's mesh is clear."""
IRIS_SHARE, PUPIL_SHARE = 0.42, 0.17
"""Radii of iris and pupil over that of the eyeball."""


@dataclass(frozen=True)
class Surface:
    """The head model's triangles, as a camera sees them."""

    head: Head

    @cached_property
    def tongue(self) -> Tongue:
        return Tongue.of(self.head)

    def vertices(self, frame: dict[str, Array]) -> Array:
        """(V, 3) cm, posed, of the arrays of a performance at one frame."""
        weights = frame["expression"].astype(np.float64)
        jaw_open = float(weights[self.head.expression_names.index("jawOpen")])
        vertices = self.tongue.moved(self.head.deformed(weights), frame["tongue"].astype(np.float64), jaw_open)
        return self.head.posed(vertices, frame["rotation_rad"], frame["translation_cm"])

    def visible_in_mouth(self, vertices: Array, size_px: int) -> Array:
        """(4,) pixels of each of `PARTS` in an image of `size_px`."""
        lips = project(vertices[self.head.landmarks68[48:68]], size_px)
        margin = MARGIN_PX * size_px / SEEN_PX
        left, top = np.floor(lips.min(0) - margin)
        width, height = (np.ceil(lips.max(0) + margin) - (left, top)).astype(int)
        placed = self._placed(vertices, size_px)
        placed[:, :2] -= (left, top)
        parts, drawn = _drawn(placed, self._triangles[0], self._parts, height, width)
        return (parts[drawn] > 0.5).sum(0).astype(np.float64)

    def image(self, vertices: Array, size_px: int) -> Array:
        """(H, W, 3) uint8 RGB, shaded by the angle to the camera."""
        triangles = np.concatenate(self._triangles)
        corners = vertices[triangles]
        normals = np.zeros_like(vertices)
        face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        for corner in range(3):
            np.add.at(normals, triangles[:, corner], face)
        facing = np.abs(normals @ (0.25, 0.35, 0.9)) / np.maximum(np.linalg.norm(normals, axis=1), 1e-9)
        colors = self._colors(vertices) * (0.25 + 0.75 * facing[:, None])
        values, drawn = _drawn(self._placed(vertices, size_px), triangles, colors, size_px, size_px)
        return np.where(drawn[..., None], values, 40).astype(np.uint8)

    @cached_property
    def _triangles(self) -> tuple[Array, Array]:
        """(F, 3) of the skin and mouth, and of the eyes."""
        chosen = []
        for materials in (SOLID, EYES):
            faces = [self.head.faces[i] for name in materials for i in self.head.part(name)]
            faces = [face for face in faces if not self._is_cornea(face[0])]
            chosen.append(np.array([(f[0], f[i], f[i + 1]) for f in faces for i in range(1, len(f) - 1)]))
        return chosen[0], chosen[1]

    def _is_cornea(self, vertex: int) -> bool:
        """Whether a vertex is of the front of an eyeball's white, which is clear."""
        for side, ball in SCLERA.items():
            if ball.start <= vertex < ball.stop:
                out = self.head.neutral[vertex] - eye_center(self.head.neutral, side)
                return bool(out[2] > CORNEA * np.linalg.norm(out))
        return False

    @cached_property
    def _parts(self) -> Array:
        """(V, 4) 1 for the vertices of each of `PARTS`."""
        parts = np.zeros((len(self.head.neutral), len(PARTS)))
        for number, ranges in enumerate(PARTS.values()):
            for vertices in ranges:
                parts[vertices, number] = 1
        return parts

    def _colors(self, vertices: Array) -> Array:
        """(V, 3) RGB."""
        colors = np.tile(np.array(COLORS["skin"], np.float64), (len(vertices), 1))
        for number, name in enumerate(PARTS):
            colors[self._parts[:, number] > 0] = COLORS[name]
        for side, ball in EYEBALL.items():
            colors[ball] = COLORS["eye"]
            rest = self.head.neutral[IRIS[side]] - eye_center(self.head.neutral, side)
            radius = np.hypot(rest[:, 0], rest[:, 1]) / (np.ptp(rest[:, 0]) / 2)
            front = rest[:, 2] > 0
            numbers = np.arange(IRIS[side].start, IRIS[side].stop)
            colors[numbers[front & (radius < IRIS_SHARE)]] = COLORS["iris"]
            colors[numbers[front & (radius < PUPIL_SHARE)]] = 10
        return colors

    @staticmethod
    def _placed(vertices: Array, size_px: int) -> Array:
        """(V, 3) pixels, and depth in cm."""
        return np.column_stack([project(vertices, size_px), camera_position()[2] - vertices[:, 2]])


def _drawn(placed: Array, triangles: Array, values: Array, height: int, width: int) -> tuple[Array, Array]:
    """(H, W, A) values of the foremost surface, and (H, W) whether there is one."""
    image, drawn = rasterize(
        torch.from_numpy(placed[None].astype(np.float32)),
        torch.from_numpy(triangles.astype(np.int64)),
        torch.from_numpy(values.astype(np.float32)),
        height,
        width,
        "numba",
    )
    return image[0].movedim(0, -1).numpy(), drawn[0].reshape(height, width).numpy() > 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("look", choices=sorted(LOOKS))
    parser.add_argument("performance", type=Path, help="folder of performance.safetensors")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--frames", required=True, help="FIRST:END[:STEP], around the end too")
    parser.add_argument("--mouth", action="store_true", help="the mouth alone")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--columns", type=int, default=8)
    options = parser.parse_args()
    arrays, _ = load_arrays(options.performance / "performance.safetensors")
    surface = Surface(load_head(LOOKS[options.look].identity()))
    count = len(arrays["expression"])
    images = []
    for number in range(*(int(part) for part in options.frames.split(":"))):
        frame = {name: arrays[name][number % count] for name in PERFORMED}
        vertices = surface.vertices(frame)
        size = 3 * options.size if options.mouth else options.size
        image = surface.image(vertices, size)
        if options.mouth:
            across, down = project(vertices[surface.head.landmarks68[48:68]], size).mean(0).astype(int)
            half = options.size // 2
            image = image[down - half // 2 : down + half // 2 + 20, across - half : across + half]
        image = np.ascontiguousarray(image)
        cv2.putText(image, str(number % count), (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 0), 1)
        images.append(image)
    images += [np.zeros_like(images[0])] * (-len(images) % options.columns)
    rows = [np.hstack(images[i : i + options.columns]) for i in range(0, len(images), options.columns)]
    cv2.imwrite(str(options.output), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


PERFORMED = ("expression", "rotation_rad", "translation_cm", "tongue")
"""Arrays of a performance that move the head model."""


if __name__ == "__main__":
    main()
