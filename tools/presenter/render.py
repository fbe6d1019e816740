"""Render the presenter: one still, or the noisy samples of every frame of a performance.

Frames that exist are kept, so that it can be stopped and started; `accumulate.py` makes the clip's images of them.

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
from eyes import load_eyes
from film import filmed
from frame import Frame
from head import Array
from looks import LOOKS, Look
from safetensors.numpy import load_file
from scene import Studio

SEED = 20
"""Seed of hair, skin and backdrop."""


def render_clip(studio: Studio, performance: dict[str, Array], folder: Path, frames: range) -> None:
    """Render NNNNN.exr for each of `frames` that is not in `folder` yet."""
    studio.keep_samples()
    partial = folder / f".{frames.start}.exr"
    for index in frames:
        path = folder / f"{index:05d}.exr"
        if path.exists():
            continue
        began = time.monotonic()
        studio.pose(Frame.of(performance, index))
        studio.render_samples(partial, index)
        partial.replace(path)
        print(f"{path.name} {time.monotonic() - began:.1f} s", flush=True)


def render_still(studio: Studio, look: Look, values: list[str], path: Path) -> None:
    """Render one image with the lids at rest.

    `values` are name=weight (without _L or _R for both sides), and pitch, yaw, roll.
    """
    weights, rotation = np.zeros(len(studio.head.expression_names)), np.zeros(3)
    resting = load_eyes(look.identity()).resting_blink(0.0)
    for side, blink in zip("LR", resting, strict=True):
        weights[studio.head.expression_names.index(f"eyeBlink_{side}")] = blink
    for name, _, value in (item.partition("=") for item in values):
        if name in ("pitch", "yaw", "roll"):
            rotation[("pitch", "yaw", "roll").index(name)] = float(value)
        else:
            exists = [f"{name}{side}" in studio.head.expression_names for side in ("", "_L", "_R")]
            for side, present in zip(("", "_L", "_R"), exists, strict=True):
                if present:
                    weights[studio.head.expression_names.index(f"{name}{side}")] = float(value)
    studio.pose(Frame(weights, rotation))
    studio.render(path)
    cv2.imwrite(str(path), filmed(cv2.imread(str(path)), 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("still", "clip"))
    parser.add_argument("look", choices=sorted(LOOKS))
    parser.add_argument("values", nargs="*", help="of a still name=weight, of a clip the performance.safetensors")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--samples", type=int, help="of a pixel: 10 of a still, which is denoised, 2 of a frame")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--frames", type=int, nargs=2, metavar=("FIRST", "LAST"), help="of a clip: only these")
    options = parser.parse_intermixed_args()
    folder = options.output if options.mode == "clip" else options.output.parent
    work = folder / f".{options.look}"
    work.mkdir(parents=True, exist_ok=True)
    samples = options.samples or (2 if options.mode == "clip" else 10)
    studio = Studio(LOOKS[options.look], SEED, work, options.size, samples, options.threads)
    if options.mode == "still":
        render_still(studio, LOOKS[options.look], options.values, options.output)
    else:
        performance = load_file(options.values[0])
        first, last = options.frames or (0, len(performance["expression"]) - 1)
        render_clip(studio, performance, folder, range(first, last + 1))


if __name__ == "__main__":
    main()
