"""Render the true mattes of the presenter's frames: what of each pixel is person, and what backdrop.

    python tools/presenter/matte.py presenter data/presenter/presenter.safetensors -o mattes --frames 0 1 160 304

Needs what `render.py` needs. Writes NNNNN.png, gray, 512 x 512. Every surface glows, so that it takes seconds a frame.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import bpy
import cv2
from frame import Frame
from looks import LOOKS
from render import SEED
from safetensors.numpy import load_file
from scene import Studio


def cut_out(studio: Studio) -> None:
    """Leave out the backdrop and all shading."""
    bpy.data.objects["backdrop"].hide_render = True
    for light in list(bpy.data.lights):
        bpy.data.lights.remove(light)
    glow = bpy.data.materials.new("glow")
    glow.use_nodes = True
    nodes = glow.node_tree.nodes
    nodes.clear()
    emission, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    glow.node_tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    scene = studio.scene
    scene.view_layers[0].material_override = glow
    scene.render.film_transparent = True
    scene.render.image_settings.color_mode = "RGBA"
    scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
    scene.cycles.max_bounces = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("look", choices=sorted(LOOKS))
    parser.add_argument("performance", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--frames", type=int, nargs="+", required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    work = options.output / f".{options.look}"
    work.mkdir(parents=True, exist_ok=True)
    studio = Studio(LOOKS[options.look], SEED, work, options.size, options.samples, options.threads)
    cut_out(studio)
    performance = load_file(options.performance)
    for number in options.frames:
        studio.pose(Frame.of(performance, number))
        whole = work / "whole.png"
        studio.render(whole)
        alpha = cv2.imread(str(whole), cv2.IMREAD_UNCHANGED)[..., 3]
        cv2.imwrite(str(options.output / f"{number:05d}.png"), alpha, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
