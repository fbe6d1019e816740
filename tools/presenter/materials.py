"""Materials of skin, eyes, mouth, hair and cloth for Blender's path tracer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import bpy
from wardrobe import Cloth

Colour = tuple[float, float, float]

CORNEA_COSINES = (math.cos(math.radians(27.5)), math.cos(math.radians(23.0)))
"""Cosines of the angle from the eye's axis between which the white turns into the clear cornea."""


class Graph:
    """A material's nodes, wired by name: values and sockets alike are given as inputs."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.nodes, self.links = self.material.node_tree.nodes, self.material.node_tree.links
        self.nodes.clear()

    def add(self, kind: str, inputs: dict[Any, Any] | None = None, **settings: Any) -> Any:
        """A node with its settings and inputs (by name or number)."""
        node = self.nodes.new(f"ShaderNode{kind}")
        for name, value in settings.items():
            setattr(node, name, value)
        for name, value in (inputs or {}).items():
            if isinstance(value, bpy.types.NodeSocket):
                self.links.new(value, node.inputs[name])
            else:
                node.inputs[name].default_value = value
        return node

    def attribute(self, name: str, output: str = "Vector") -> Any:
        """Socket of a mesh or curve attribute."""
        return self.add("Attribute", attribute_name=name).outputs[output]

    def math(self, operation: str, *values: Any) -> Any:
        """Socket of an arithmetic operation."""
        return self.add("Math", dict(enumerate(values)), operation=operation).outputs[0]

    def ranged(self, value: Any, low: float, high: float, to_low: float, to_high: float) -> Any:
        """Socket of `value` mapped linearly from low..high, clamped."""
        names = ("Value", "From Min", "From Max", "To Min", "To Max")
        return self.add("MapRange", dict(zip(names, (value, low, high, to_low, to_high), strict=True))).outputs[0]

    def mixed(self, share: Any, first: Any, second: Any, blend: str = "MIX") -> Any:
        """Socket of two colors mixed."""
        colors = [(*c, 1.0) if isinstance(c, tuple) and len(c) == 3 else c for c in (first, second)]
        node = self.add("Mix", data_type="RGBA", blend_type=blend)
        for socket, value in ((node.inputs[0], share), (node.inputs[6], colors[0]), (node.inputs[7], colors[1])):
            if isinstance(value, bpy.types.NodeSocket):
                self.links.new(value, socket)
            else:
                socket.default_value = value
        return node.outputs[2]

    def noise(self, place: Any, scale: float, detail: float = 2.0) -> Any:
        """Socket of a smooth random field, 0 to 1."""
        inputs = {"Vector": place, "Scale": scale, "Detail": detail}
        return self.add("TexNoise", inputs).outputs[0]

    def bump(self, height: Any, strength: float, distance: float, normal: Any = None) -> Any:
        """Socket of the normal bent by `height`."""
        inputs = {"Height": height, "Strength": strength, "Distance": distance}
        if normal is not None:
            inputs["Normal"] = normal
        return self.add("Bump", inputs).outputs[0]

    def image(self, path: Path, color_space: str) -> Any:
        """Socket of an image in the head's texture coordinates."""
        node = self.add("TexImage", extension="EXTEND")
        node.image = bpy.data.images.load(str(path))
        node.image.colorspace_settings.name = color_space
        return node.outputs[0]

    def done(self, shader: Any) -> bpy.types.Material:
        """The material with `shader` as its surface."""
        self.add("OutputMaterial", {"Surface": shader})
        return self.material


def skin(maps: dict[str, Path], relief: float) -> bpy.types.Material:
    """Skin: light scattered below it, an oily sheen above it, pores by noise, lips and lid rims wet.

    `relief` is the depth of pores and lines, 1 for a weathered skin."""
    graph = Graph("skin")
    rest = graph.attribute("rest")
    wet = graph.image(maps["wet"], "Non-Color")
    pores = graph.noise(rest, 11.0, 2.0)
    grain = graph.noise(rest, 4.0, 3.0)
    normal = graph.bump(graph.image(maps["height"], "Non-Color"), 1.0, 0.17 * (0.4 + 0.6 * relief))
    normal = graph.bump(grain, 0.28 * relief, 0.05, normal)
    normal = graph.bump(pores, 0.40 * relief, 0.022, normal)
    roughness = graph.image(maps["roughness"], "Non-Color")
    roughness = graph.math("ADD", roughness, graph.ranged(grain, 0.3, 0.7, -0.05, 0.05))
    shader = graph.add(
        "BsdfPrincipled",
        {
            "Base Color": graph.image(maps["albedo"], "sRGB"),
            "Roughness": roughness,
            "IOR": 1.4,
            "Subsurface Weight": 1.0,
            "Subsurface Radius": (1.0, 0.36, 0.18),
            "Subsurface Scale": 0.24,
            "Coat Weight": graph.ranged(wet, 0.0, 1.0, 0.05, 0.50),
            "Coat Roughness": graph.ranged(wet, 0.0, 1.0, 0.32, 0.20),
            "Coat IOR": 1.4,
            "Coat Normal": normal,
            "Normal": normal,
        },
        subsurface_method="RANDOM_WALK",
    )
    return graph.done(shader.outputs[0])


def eyeball(white_level: float) -> bpy.types.Material:
    """The white with its veins, which turns at the limbus into the clear, wet cornea before the iris.

    `white_level` is the brightness of the white; the upper lid with its lashes shades it from above."""
    graph = Graph("eyeball")
    place = graph.attribute("eye")
    axis = graph.add("SeparateXYZ", {0: graph.add("VectorMath", {0: place}, operation="NORMALIZE").outputs[0]})
    clear = graph.ranged(axis.outputs["Z"], *CORNEA_COSINES, 0.0, 1.0)
    side = graph.ranged(axis.outputs["Z"], 0.60, 0.90, 1.0, 0.0)
    white = graph.mixed(side, (0.50, 0.47, 0.455), (0.46, 0.33, 0.30))
    if white_level < 1:
        shade = graph.ranged(axis.outputs["Y"], -0.1, 0.45, white_level, 0.6 * white_level)
        white = graph.mixed(
            1.0, white, graph.add("CombineColor", dict.fromkeys(range(3), shade)).outputs[0], "MULTIPLY"
        )
    veins = graph.math("ABSOLUTE", graph.math("SUBTRACT", graph.noise(place, 5.5, 4.0), 0.5))
    veins = graph.math("MULTIPLY", graph.ranged(veins, 0.0, 0.022, 0.55, 0.0), side)
    white = graph.mixed(veins, white, (0.45, 0.10, 0.08))
    opaque = graph.add(
        "BsdfPrincipled",
        {
            "Base Color": white,
            "Roughness": 0.2,
            "Subsurface Weight": 0.6,
            "Subsurface Radius": (1.0, 0.5, 0.35),
            "Subsurface Scale": 0.12,
            "Coat Weight": 0.6,
            "Coat Roughness": 0.04,
            "Normal": graph.bump(graph.noise(place, 5.0, 2.0), 0.10, 0.05),
        },
    )
    film = graph.add("BsdfGlossy", {"Roughness": 0.015})
    mirror = graph.add("Fresnel", {"IOR": 1.376})
    cornea = graph.add(
        "MixShader", {0: mirror.outputs[0], 1: graph.add("BsdfTransparent").outputs[0], 2: film.outputs[0]}
    )
    return graph.done(graph.add("MixShader", {0: clear, 1: opaque.outputs[0], 2: cornea.outputs[0]}).outputs[0])


def _iris_stops(color: Colour) -> tuple[tuple[float, tuple[float, ...]], ...]:
    """Colors of the eye by the distance from its axis, from the pupil past the limbus."""
    dark = tuple(0.25 * c for c in color)
    bright = tuple(min(1.7 * c + 0.012, 1) for c in color)
    return (
        (0.0, (0.001,) * 3),
        (0.128, (0.001,) * 3),
        (0.146, tuple(0.5 * c for c in color)),
        (0.20, tuple(min(1.5 * c + 0.01 * k, 1) for c, k in zip(color, (2.2, 1.2, 0.5), strict=True))),
        (0.27, bright),
        (0.34, color),
        (0.385, dark),
        (0.43, tuple(0.12 * c for c in color)),
        (1.0, (0.05, 0.035, 0.03)),
    )


def iris(color: Colour) -> bpy.types.Material:
    """Pupil, iris with radial streaks, dark limbus: by the distance from the eye's axis."""
    graph = Graph("iris")
    apart = graph.add("SeparateXYZ", {0: graph.attribute("eye")})
    x, y = apart.outputs["X"], apart.outputs["Y"]
    distance = graph.math("SQRT", graph.math("ADD", graph.math("MULTIPLY", x, x), graph.math("MULTIPLY", y, y)))
    polar = graph.add("CombineXYZ", {"X": graph.math("ARCTAN2", y, x), "Y": distance})
    streaks = graph.noise(polar.outputs[0], 8.0, 5.0)
    wavy = graph.math("ADD", distance, graph.ranged(streaks, 0.3, 0.7, -0.014, 0.014))
    ramp = graph.add("ValToRGB", {"Fac": wavy})
    stops = _iris_stops(color)
    for position, stop in stops[1:-1]:
        ramp.color_ramp.elements.new(position).color = (*stop, 1)
    ramp.color_ramp.elements[0].color = (*stops[0][1], 1)
    ramp.color_ramp.elements[-1].color = (*stops[-1][1], 1)
    varied = graph.add("CombineColor", {k: graph.ranged(streaks, 0.3, 0.7, 0.45, 1.5) for k in range(3)})
    base = graph.mixed(1.0, ramp.outputs["Color"], varied.outputs[0], "MULTIPLY")
    normal = graph.bump(streaks, 0.5, 0.06)
    shader = graph.add("BsdfPrincipled", {"Base Color": base, "Roughness": 0.5, "Normal": normal})
    return graph.done(shader.outputs[0])


def fluid() -> bpy.types.Material:
    """The wet line along the lids: clear, with a highlight."""
    graph = Graph("fluid")
    gloss = graph.add("BsdfGlossy", {"Roughness": 0.06})
    share = graph.math("MULTIPLY", graph.add("Fresnel", {"IOR": 1.34}).outputs[0], 0.9)
    clear = graph.add("BsdfTransparent").outputs[0]
    return graph.done(graph.add("MixShader", {0: share, 1: clear, 2: gloss.outputs[0]}).outputs[0])


def teeth(tint: Colour) -> bpy.types.Material:
    """Enamel: slightly translucent, wet, of uneven tint, darker towards the corners of the mouth."""
    graph = Graph("teeth")
    rest = graph.attribute("rest")
    uneven = graph.noise(rest, 1.1, 1.0)
    color = graph.mixed(graph.ranged(uneven, 0.35, 0.65, 0.0, 1.0), tint, tuple(0.86 * t * k for t, k in
                        zip(tint, (1.0, 0.96, 0.86), strict=True)))  # fmt: skip
    # Cheeks and lips shade the arch more than the few bounces of the tracer show.
    aside = graph.math("ABSOLUTE", graph.add("SeparateXYZ", {0: rest}).outputs["X"])
    color = graph.mixed(graph.ranged(aside, 0.7, 2.7, 0.0, 0.85), color, tuple(0.22 * t for t in tint))
    shader = graph.add(
        "BsdfPrincipled",
        {
            "Base Color": color,
            "Roughness": 0.30,
            "Subsurface Weight": 0.5,
            "Subsurface Radius": (1.0, 0.8, 0.6),
            "Subsurface Scale": 0.10,
            "Coat Weight": 0.7,
            "Coat Roughness": 0.10,
            "Normal": graph.bump(graph.noise(rest, 3.5, 2.0), 0.2, 0.04),
        },
    )
    return graph.done(shader.outputs[0])


def gums() -> bpy.types.Material:
    """Gums and tongue: wet, rough on a small scale; the tongue's top is paler."""
    graph = Graph("gums")
    rest = graph.attribute("rest")
    apart = graph.add("SeparateXYZ", {0: rest})
    tongue = graph.ranged(graph.math("ABSOLUTE", apart.outputs["X"]), 1.2, 2.0, 1.0, 0.0)
    color = graph.mixed(tongue, (0.36, 0.11, 0.10), (0.42, 0.16, 0.145))
    patches = graph.ranged(graph.noise(rest, 6.0), 0.3, 0.7, 0, 0.35)
    shader = graph.add(
        "BsdfPrincipled",
        {
            "Base Color": graph.mixed(patches, color, (0.5, 0.26, 0.23)),
            "Roughness": 0.45,
            "Subsurface Weight": 0.7,
            "Subsurface Radius": (1.0, 0.3, 0.2),
            "Subsurface Scale": 0.2,
            "Coat Weight": 0.5,
            "Coat Roughness": 0.2,
            "Normal": graph.bump(graph.noise(rest, 9.0), 0.5, 0.05),
            # For the light that wet walls throw to and fro, longer than it is traced.
            "Emission Color": (0.50, 0.16, 0.13, 1),
            "Emission Strength": 0.05,
        },
    )
    return graph.done(shader.outputs[0])


def hollow() -> bpy.types.Material:
    """Inside of the cheeks."""
    graph = Graph("hollow")
    color = (0.30, 0.085, 0.075, 1)
    inputs = {"Base Color": color, "Roughness": 0.4, "Emission Color": color, "Emission Strength": 0.03}
    return graph.done(graph.add("BsdfPrincipled", inputs).outputs[0])


def hair(redness: float, roughness: float) -> bpy.types.Material:
    """Hair whose melanin is each strand's own: a pigmented body, the mirror of its scales, and light that goes through.

    Sums of simple lobes instead of light traced from fiber to fiber: dark hair looks the same and costs a third.
    """
    graph = Graph("hair")
    melanin = graph.attribute("melanin", "Fac")
    along = graph.add("HairInfo")
    melanin = graph.math("ADD", melanin, graph.ranged(along.outputs["Random"], 0.0, 1.0, -0.02, 0.02))
    black, brown = (0.012, 0.008, 0.006), (0.16 + 0.10 * redness, 0.095, 0.060 - 0.03 * redness)
    pigment = graph.mixed(graph.ranged(melanin, 0.45, 0.95, 0.0, 1.0), brown, black)
    pigment = graph.mixed(graph.ranged(melanin, 0.08, 0.45, 0.0, 1.0), (0.46, 0.44, 0.42), pigment)
    body = graph.add("BsdfDiffuse", {"Color": pigment})
    inputs = {"RoughnessU": roughness, "RoughnessV": 0.5, "Offset": -0.05}
    mirror = graph.add("BsdfHair", {"Color": (0.75, 0.72, 0.70, 1), **inputs}, component="Reflection")
    tinted = graph.mixed(0.40, pigment, (0.30, 0.175, 0.105))
    inner = graph.add("BsdfHair", {"Color": tinted, "RoughnessU": 0.45, "RoughnessV": 0.7, "Offset": 0.12})
    through = graph.add("BsdfHair", {"Color": tinted, **inputs}, component="Transmission")
    lobes = graph.add("MixShader", {0: 0.34, 1: body.outputs[0], 2: inner.outputs[0]})
    lobes = graph.add("MixShader", {0: 0.075, 1: lobes.outputs[0], 2: mirror.outputs[0]})
    return graph.done(graph.add("MixShader", {0: 0.16, 1: lobes.outputs[0], 2: through.outputs[0]}).outputs[0])


def cloth(name: str, stuff: Cloth) -> bpy.types.Material:
    """Woven or smooth cloth: rough, with a little fuzz, unevenly dyed threads and soft unevenness."""
    graph = Graph(name)
    place = graph.attribute("rest")
    color: Any = (*stuff.color, 1.0)
    normal = graph.bump(graph.noise(place, 0.45, 3.0), 0.25, 0.25)
    if stuff.weave == "striped":
        apart = graph.add("SeparateXYZ", {0: place})
        slope = graph.math("ADD", apart.outputs["X"], graph.math("MULTIPLY", apart.outputs["Y"], 0.8))
        stripe = graph.ranged(graph.math("SINE", graph.math("MULTIPLY", slope, 4.2)), 0.86, 0.95, 0.0, 0.7)
        color = graph.mixed(stripe, color, (0.32, 0.29, 0.28))
    if stuff.weave != "smooth":
        threads = graph.noise(graph.add("Mapping", {0: place, 3: (9.0, 3.5, 6.0)}).outputs[0], 1.0, 1.0)
        darker = graph.mixed(1.0, color, (0.55, 0.55, 0.55), "MULTIPLY")
        color = graph.mixed(graph.ranged(threads, 0.3, 0.7, 0.0, 0.28), color, darker)
        normal = graph.bump(threads, 0.18, 0.03, normal)
    shader = graph.add(
        "BsdfPrincipled",
        {
            "Base Color": color,
            "Roughness": stuff.roughness,
            "IOR": 1.38,
            "Sheen Weight": stuff.sheen,
            "Sheen Roughness": 0.5,
            "Normal": normal,
        },
    )
    return graph.done(shader.outputs[0])


def glowing(path: Path) -> bpy.types.Material:
    """A picture that shines by itself."""
    graph = Graph("backdrop")
    node = graph.add("TexImage", extension="EXTEND")
    node.image = bpy.data.images.load(str(path))
    return graph.done(graph.add("Emission", {"Color": node.outputs[0]}).outputs[0])
