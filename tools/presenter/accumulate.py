"""Make the images of a performance from the renderer's noisy samples (resumable: existing images are kept).

    python tools/presenter/accumulate.py maya SAMPLES performance.safetensors -o FRAMES

SAMPLES is the folder of files from `render.py clip`. Needs the packages of tools/presenter/requirements.txt.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import bpy
import cv2
import numpy as np
import OpenEXR
from accumulation import REACH, Floats, Neighbor, Pose, Samples, denoised, neighbors, steadied
from film import filmed
from frame import Frame
from head import load_head
from looks import LOOKS, Look
from safetensors.numpy import load_file
from scene import set_view
from tongue import Tongue


def read(path: Path) -> Samples:
    """One file from the renderer."""
    parts = OpenEXR.File(str(path), separate_channels=True).parts
    part = {name.removeprefix("ViewLayer."): each.pixels for one in parts for name, each in one.channels.items()}
    color, albedo = (_stacked(part, name, "RGB") for name in ("Combined", "Denoising Albedo"))
    position, normal = (_stacked(part, name, "XYZ") for name in ("Position", "Denoising Normal"))
    return Samples(color, albedo, normal, position, part["Object Index.X"].astype(np.uint8))


def _stacked(part: dict[str, np.ndarray], name: str, channels: str) -> Floats:
    return np.stack([part[f"{name}.{channel}"] for channel in channels], -1).astype(np.float32)


class View:
    """The studio's view transform, from linear colors to those of a screen."""

    def __init__(self, look: Look, work: Path) -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.scene, self.path, self.image = bpy.context.scene, work, None
        set_view(self.scene, look)
        self.scene.render.image_settings.color_mode = "RGB"

    def shown(self, color: Floats) -> np.ndarray:
        """(H, W, 3) uint8, BGR."""
        height, width = color.shape[:2]
        if self.image is None:
            self.image = bpy.data.images.new("linear", width, height, float_buffer=True)
        pixels = np.dstack([color, np.ones((height, width), np.float32)])[::-1]
        self.image.pixels.foreach_set(np.ascontiguousarray(pixels, np.float32).ravel())
        self.image.save_render(str(self.path), scene=self.scene)
        return cv2.imread(str(self.path))


class Clip:
    """The images of a performance, from the samples of its frames; what is needed again soon is kept."""

    def __init__(self, look: Look, samples: Path, performance: dict[str, np.ndarray]) -> None:
        self.folder, self.performance = samples, performance
        self.head = load_head(look.identity())
        self.tongue = Tongue.of(self.head)
        self.frames: dict[int, Samples] = {}
        self.poses: dict[int, Pose] = {}
        self.around: dict[int, list[Neighbor]] = {}
        self.clean: dict[int, Floats] = {}

    def near(self, index: int, reach: int = REACH) -> range:
        """Frames no further than `reach` from frame `index`."""
        return range(max(index - reach, 0), min(index + reach, len(self.performance["expression"]) - 1) + 1)

    def image(self, index: int) -> Floats:
        """(H, W, 3) linear colors of frame `index`."""
        for kept in (self.frames, self.poses):
            for old in [each for each in kept if each not in self.near(index, 2 * REACH)]:
                del kept[old]
        for kept in (self.around, self.clean):
            for old in [each for each in kept if each not in self.near(index)]:
                del kept[old]
        for each in self.near(index):
            if each not in self.clean:
                self._denoise(each)
        return steadied(self.clean, index, self.around[index])

    def _denoise(self, index: int) -> None:
        for each in self.near(index):
            if each not in self.frames:
                self.frames[each] = read(self.folder / f"{each:05d}.exr")
                self.poses[each] = Pose(self.head, self.tongue, Frame.of(self.performance, each))
        self.around[index] = list(neighbors({n: self.frames[n] for n in self.near(index)}, self.poses, index))
        self.clean[index] = denoised(self.frames, index, self.around[index])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("look", choices=sorted(LOOKS))
    parser.add_argument("samples", type=Path)
    parser.add_argument("performance", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--frames", type=int, nargs=2, metavar=("FIRST", "LAST"), help="only these")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    performance = load_file(options.performance)
    first, last = options.frames or (0, len(performance["expression"]) - 1)
    clip = Clip(LOOKS[options.look], options.samples, performance)
    view = View(LOOKS[options.look], options.output / f".{first}.png")
    for index in range(first, last + 1):
        path, partial = options.output / f"{index:05d}.png", options.output / f".{index:05d}.partial.png"
        if path.exists():
            continue
        began = time.monotonic()
        cv2.imwrite(str(partial), filmed(view.shown(clip.image(index)), index))
        partial.replace(path)
        print(f"{path.name} {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
