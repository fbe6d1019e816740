"""Render the presenter: one still, or every frame of a performance (resumable: existing frames are kept).

    python tools/presenter/render.py still presenter -o still.png jawOpen=0.5 yaw=0.1
    python tools/presenter/render.py clip presenter performance.safetensors -o frames

Needs the packages of tools/presenter/requirements.txt (Blender as a module; Python 3.11).
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import cv2
import numpy as np
from head import Array
from looks import LOOKS
from safetensors.numpy import load_file
from scene import Studio

SEED = 20
"""Seed of hair, skin and backdrop."""
MOVING = (0.145, 0.035, 0.855, 0.875)
"""Left, top, right, bottom of what can move, as fractions of the image; the rest is rendered once, at high quality."""
FEATHER = 0.012
"""Width of the soft border of the moving part, as a fraction of the image."""
REST_SAMPLES = 64
"""Samples a pixel of the part that does not move."""


def composite(still: Array, moving: Array) -> Array:
    """Blend the moving part into the still image, softly at the border; both (H, W, 3) uint8."""
    height, width = still.shape[:2]
    left, top, right, bottom = MOVING
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    inside = np.minimum.outer(np.minimum(y - top, bottom - y), np.minimum(x - left, right - x))
    # The renderer rounds its border to pixels: the outermost two are left to the still.
    cover = np.clip((inside - 2 / height) / FEATHER, 0, 1)[..., None]
    return np.round(still + cover * (moving.astype(np.float64) - still)).astype(np.uint8)


def render_clip(studio: Studio, performance: dict[str, Array], folder: Path, work: Path) -> None:
    """Render NNNNN.png for every frame that is not in `folder` yet."""

    def pose(index: int) -> None:
        studio.pose(
            *(performance[key][index].astype(np.float64) for key in ("expression", "rotation_rad", "translation_cm"))
        )

    rest = work / "rest.png"
    if not rest.exists():
        pose(0)
        samples = studio.samples(REST_SAMPLES)
        studio.render(rest)
        studio.samples(samples)
    still = cv2.imread(str(rest))
    studio.restrict(MOVING)
    for index in range(len(performance["expression"])):
        path = folder / f"{index:05d}.png"
        if path.exists():
            continue
        began = time.monotonic()
        pose(index)
        moving, partial = work / "moving.png", work / "partial.png"
        studio.render(moving)
        cv2.imwrite(str(partial), composite(still, cv2.imread(str(moving))))
        partial.replace(path)
        print(f"{path.name} {time.monotonic() - began:.1f} s", flush=True)


def render_still(studio: Studio, values: list[str], path: Path) -> None:
    """Render one image; `values` are name=weight (without _L or _R for both sides), and pitch, yaw, roll."""
    weights, rotation = np.zeros(len(studio.head.expression_names)), np.zeros(3)
    for name, _, value in (item.partition("=") for item in values):
        if name in ("pitch", "yaw", "roll"):
            rotation[("pitch", "yaw", "roll").index(name)] = float(value)
        else:
            exists = [f"{name}{side}" in studio.head.expression_names for side in ("", "_L", "_R")]
            for side, present in zip(("", "_L", "_R"), exists, strict=True):
                if present:
                    weights[studio.head.expression_names.index(f"{name}{side}")] = float(value)
    studio.pose(weights, rotation, np.zeros(3))
    studio.render(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("still", "clip"))
    parser.add_argument("look", choices=sorted(LOOKS))
    parser.add_argument("values", nargs="*", help="of a still name=weight, of a clip the performance.safetensors")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_intermixed_args()
    folder = options.output if options.mode == "clip" else options.output.parent
    work = folder / f".{options.look}"
    work.mkdir(parents=True, exist_ok=True)
    studio = Studio(LOOKS[options.look], SEED, work, options.size, options.samples, options.threads)
    if options.mode == "still":
        render_still(studio, options.values, options.output)
    else:
        render_clip(studio, load_file(options.values[0]), folder, work)


if __name__ == "__main__":
    main()
