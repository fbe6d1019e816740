"""The studio in Blender: head, hair, clothes, backdrop, lights and camera, and the next frame's pose.

The scene keeps the head model's axes (x left, y up, z to the camera), which are a Blender camera's own at rest.
"""

from __future__ import annotations

import math
from pathlib import Path

import bpy
import cv2
import mathutils
import numpy as np
from camera import LENS_MM, SENSOR_MM, camera_position
from hair import Strands, brow_hair, lash_hair, scalp_hair
from head import IRIS, SCLERA, Array, eye_center, load_head, rigidly_moved
from looks import Light, Look
from skin import coded, noise, painted
from wardrobe import Surface, dress

CORNEA_RAD = math.radians(27)
"""Angle of the cornea's edge from the axis of the eye."""
FACE_CENTER = (0.0, 0.0, 6.0)
"""Point that the lights face, cm."""


class Studio:
    """The scene of one look: `pose` moves it and `render` writes the image."""

    def __init__(self, look: Look, seed: int, work: Path, size: int, samples: int, threads: int) -> None:
        """Build the scene.

        Args:
            look: of the person.
            seed: of hair, skin and backdrop.
            work: folder for painted textures.
            size: side of the image, pixels.
            samples: of each pixel.
            threads: of the renderer.
        """
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.scene = bpy.context.scene
        self.head = load_head(look.identity())
        self.scalp = scalp_hair(self.head, look.hairstyle, seed + 1)
        self.brows = brow_hair(self.head, 620, seed + 2)
        self.lashes = lash_hair(self.head, seed + 3)
        self._materials(look, seed, work)
        self.mesh = self._head_mesh()
        strands_hair = self.materials["hair"]
        self.scalp_object = self._strands("scalp", self.scalp, strands_hair)
        self.brow_object = self._strands("brows", self.brows.on(self.head.neutral), strands_hair)
        self.lash_object = self._strands("lashes", self.lashes.on(self.head.neutral), self.materials["lash"])
        for surface in dress(self.head, look.outfit):
            self._surface(surface)
        self._backdrop(look, seed, work)
        for light in look.lights:
            self._light(light)
        self._camera()
        self._renderer(size, samples, threads)

    # --- moving -------------------------------------------------------------------------------------------------

    def pose(self, weights: Array, rotation_rad: Array, translation_cm: Array) -> None:
        """Set expression `weights` (E,) and the head pose of one frame."""
        at_rest = self.head.deformed(weights)
        vertices = self.head.posed(at_rest, rotation_rad, translation_cm)
        self.mesh.vertices.foreach_set("co", vertices.ravel().astype(np.float32))
        self.mesh.update()
        for strands, item in ((self.brows, self.brow_object), (self.lashes, self.lash_object)):
            _set_strands(item.data, strands.on(vertices))
        origin = rigidly_moved(np.zeros((1, 3)), rotation_rad, translation_cm)[0]
        axes = rigidly_moved(np.eye(3), rotation_rad, translation_cm) - origin
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = axes.T, origin
        self.scalp_object.matrix_world = mathutils.Matrix(matrix.tolist())

    def render(self, path: Path) -> None:
        """Render a PNG file, which gets its name only when it is complete."""
        partial = path.with_name(f".{path.stem}.partial.png")
        self.scene.render.filepath = str(partial)
        bpy.ops.render.render(write_still=True)
        partial.replace(path)

    def samples(self, count: int) -> int:
        """Set the samples a pixel to `count`; returns the number before."""
        before, self.scene.cycles.samples = self.scene.cycles.samples, count
        return int(before)

    def restrict(self, area: tuple[float, float, float, float]) -> None:
        """Render only left, top, right, bottom (fractions of the image) from now on; the rest comes out black."""
        render = self.scene.render
        render.use_border, render.use_crop_to_border = True, False
        render.border_min_x, render.border_max_x = area[0], area[2]
        render.border_min_y, render.border_max_y = 1 - area[3], 1 - area[1]

    # --- building -----------------------------------------------------------------------------------------------

    def _materials(self, look: Look, seed: int, work: Path) -> None:
        self.materials = {
            "skin": _skin(painted(self.head, look.complexion, seed, work)),
            "teeth": _plain("teeth", (0.72, 0.67, 0.56), 0.22, subsurface=0.15, coat=0.4),
            "gums": _plain("gums", (0.42, 0.10, 0.095), 0.38, subsurface=0.25),
            "sclera": _plain("sclera", (0.70, 0.655, 0.63), 0.12, subsurface=0.12, coat=0.3),
            "iris": _iris(look.iris),
            "fluid": _fluid(),
            "hair": _hair("hair", look.hair_melanin, look.hair_redness, 0.32),
            "lash": _plain("lash", (0.012, 0.009, 0.008), 0.45),
        }
        for name, color in look.outfit.cloths.items():
            self.materials[name] = _cloth(name, color)

    def _head_mesh(self) -> bpy.types.Mesh:
        head = self.head
        shown = {
            "M_Face": "skin",
            "M_BackHead": "skin",
            "M_GumsTongue": "gums",
            "M_Teeth": "teeth",
            "M_ScleraLeft": "sclera",
            "M_ScleraRight": "sclera",
            "M_IrisLeft": "iris",
            "M_IrisRight": "iris",
            "M_LacrimalFluid": "fluid",
        }
        chosen = [i for i, name in enumerate(head.material_of_face) if name in shown and not self._is_cornea(i)]
        mesh = bpy.data.meshes.new("head")
        mesh.from_pydata(head.neutral.tolist(), [], [head.faces[i] for i in chosen])
        slots = sorted(set(shown.values()))
        for name in slots:
            mesh.materials.append(self.materials[name])
        mesh.polygons.foreach_set("material_index", [slots.index(shown[head.material_of_face[i]]) for i in chosen])
        mesh.polygons.foreach_set("use_smooth", [True] * len(chosen))
        atlas = head.uv[np.concatenate([head.face_uv[i] for i in chosen])] * [0.5, 1.0]
        mesh.uv_layers.new(name="atlas").data.foreach_set("uv", atlas.ravel())
        mesh.attributes.new("eye", "FLOAT_VECTOR", "POINT").data.foreach_set("vector", self._eye_coordinates().ravel())
        item = bpy.data.objects.new("head", mesh)
        self.scene.collection.objects.link(item)
        smooth = item.modifiers.new("smooth", "SUBSURF")
        smooth.levels = smooth.render_levels = 1
        return mesh

    def _is_cornea(self, face: int) -> bool:
        """The front of the sclera's mesh: it would hide the iris."""
        for side, ball in SCLERA.items():
            vertex = self.head.faces[face][0]
            if ball.start <= vertex < ball.stop:
                out = self.head.neutral[self.head.faces[face]].mean(0) - eye_center(self.head.neutral, side)
                return bool(out[2] > math.cos(CORNEA_RAD) * np.linalg.norm(out))
        return False

    def _eye_coordinates(self) -> Array:
        """(V, 3) coordinates in the eyeball over its radius, by which the iris is painted."""
        coordinates = np.zeros_like(self.head.neutral)
        for side, ball in IRIS.items():
            own = self.head.neutral[ball]
            coordinates[ball] = (own - eye_center(self.head.neutral, side)) / (np.ptp(own[:, 0]) / 2)
        return coordinates

    def _strands(self, name: str, strands: Strands, material: bpy.types.Material) -> bpy.types.Object:
        data = bpy.data.hair_curves.new(name)
        data.add_curves([strands.points.shape[1]] * len(strands.points))
        data.attributes.new("radius", "FLOAT", "POINT")
        _set_strands(data, strands)
        data.materials.append(material)
        item = bpy.data.objects.new(name, data)
        self.scene.collection.objects.link(item)
        return item

    def _surface(self, surface: Surface) -> None:
        mesh = bpy.data.meshes.new(surface.name)
        mesh.from_pydata(surface.vertices.tolist(), [], surface.faces)
        mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
        mesh.materials.append(self.materials[surface.material])
        item = bpy.data.objects.new(surface.name, mesh)
        self.scene.collection.objects.link(item)
        thick = item.modifiers.new("thick", "SOLIDIFY")
        thick.thickness, thick.offset = surface.thickness, 0.0
        item.modifiers.new("bevel", "BEVEL").width = surface.thickness * 0.4
        smooth = item.modifiers.new("smooth", "SUBSURF")
        smooth.levels = smooth.render_levels = 1

    def _backdrop(self, look: Look, seed: int, work: Path) -> None:
        path = work / "backdrop.png"
        cv2.imwrite(str(path), coded(_backdrop_image(look, seed))[..., ::-1])
        material = bpy.data.materials.new("backdrop")
        material.use_nodes = True
        nodes, links = material.node_tree.nodes, material.node_tree.links
        nodes.clear()
        image, glow = nodes.new("ShaderNodeTexImage"), nodes.new("ShaderNodeEmission")
        image.image = bpy.data.images.load(str(path))
        links.new(image.outputs["Color"], glow.inputs["Color"])
        links.new(glow.outputs["Emission"], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
        half = 60.0
        mesh = bpy.data.meshes.new("backdrop")
        mesh.from_pydata(
            [(-half, -half, -70), (half, -half, -70), (half, half, -70), (-half, half, -70)], [], [[0, 1, 2, 3]]
        )
        mesh.uv_layers.new(name="uv").data.foreach_set("uv", [0, 0, 1, 0, 1, 1, 0, 1])
        mesh.materials.append(material)
        item = bpy.data.objects.new("backdrop", mesh)
        item.visible_diffuse = item.visible_glossy = item.visible_shadow = False
        self.scene.collection.objects.link(item)

    def _light(self, light: Light) -> None:
        data = bpy.data.lights.new("light", "AREA")
        data.energy, data.size, data.color = light.power, light.size, light.color
        item = bpy.data.objects.new("light", data)
        item.location = light.position
        towards = mathutils.Vector(FACE_CENTER) - mathutils.Vector(light.position)
        item.rotation_euler = towards.to_track_quat("-Z", "Y").to_euler()
        self.scene.collection.objects.link(item)

    def _camera(self) -> None:
        data = bpy.data.cameras.new("camera")
        data.lens, data.sensor_width = LENS_MM, SENSOR_MM
        data.clip_end = 1000
        item = bpy.data.objects.new("camera", data)
        item.location = tuple(camera_position())
        self.scene.collection.objects.link(item)
        self.scene.camera = item

    def _renderer(self, size: int, samples: int, threads: int) -> None:
        """Configure Cycles, its sampling and its color management."""
        scene = self.scene
        world = bpy.data.worlds.new("world")
        world.use_nodes = True
        world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.05, 0.055, 0.065, 1)
        scene.world = world
        scene.render.engine = "CYCLES"
        cycles = scene.cycles
        cycles.device, cycles.samples, cycles.seed = "CPU", samples, 0
        cycles.use_adaptive_sampling, cycles.adaptive_threshold = True, 0.03
        cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
        cycles.denoising_prefilter = "FAST"
        cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 6, 2, 2
        cycles.transmission_bounces, cycles.transparent_max_bounces = 4, 8
        cycles.caustics_reflective = cycles.caustics_refractive = False
        cycles.sample_clamp_indirect = 4.0
        scene.cycles_curves.shape = "RIBBONS"
        scene.render.resolution_x = scene.render.resolution_y = size
        scene.render.threads_mode, scene.render.threads = "FIXED", threads
        scene.render.use_persistent_data = True
        scene.render.image_settings.color_mode = "RGB"
        scene.render.image_settings.compression = 30
        scene.view_settings.view_transform = "AgX"
        scene.view_settings.look = "AgX - Medium High Contrast"


def _set_strands(data: bpy.types.Curves, strands: Strands) -> None:
    data.attributes["position"].data.foreach_set("vector", strands.points.ravel().astype(np.float32))
    data.attributes["radius"].data.foreach_set("value", strands.radii.ravel().astype(np.float32))
    data.update_tag()


def _plain(
    name: str, color: tuple[float, float, float], roughness: float, subsurface: float = 0.0, coat: float = 0.0
) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    inputs = material.node_tree.nodes["Principled BSDF"].inputs
    inputs["Base Color"].default_value = (*color, 1)
    inputs["Roughness"].default_value = roughness
    inputs["Subsurface Weight"].default_value = subsurface
    inputs["Subsurface Radius"].default_value = (1.0, 0.45, 0.3)
    inputs["Subsurface Scale"].default_value = 0.2
    inputs["Coat Weight"].default_value = coat
    inputs["Coat Roughness"].default_value = 0.05
    return material


def _skin(maps: dict[str, Path]) -> bpy.types.Material:
    material = _plain("skin", (0.5, 0.3, 0.2), 0.45, subsurface=0.32)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    skin = nodes["Principled BSDF"]
    skin.inputs["Subsurface Radius"].default_value = (1.0, 0.36, 0.2)
    skin.inputs["Subsurface Scale"].default_value = 0.32
    skin.inputs["Specular IOR Level"].default_value = 0.42

    def image(name: str, color_space: str) -> bpy.types.Node:
        node = nodes.new("ShaderNodeTexImage")
        node.image = bpy.data.images.load(str(maps[name]))
        node.image.colorspace_settings.name = color_space
        node.extension = "EXTEND"
        return node

    bump = nodes.new("ShaderNodeBump")
    bump.inputs["Strength"].default_value, bump.inputs["Distance"].default_value = 0.35, 0.10
    links.new(image("albedo", "sRGB").outputs["Color"], skin.inputs["Base Color"])
    links.new(image("roughness", "Non-Color").outputs["Color"], skin.inputs["Roughness"])
    links.new(image("height", "Non-Color").outputs["Color"], bump.inputs["Height"])
    links.new(bump.outputs["Normal"], skin.inputs["Normal"])
    return material


def _iris_stops(color: tuple[float, float, float]) -> tuple[tuple[float, tuple[float, ...]], ...]:
    """Colors of the eye by the distance from its axis, from the pupil to the white."""
    dark = tuple(0.22 * c for c in color)
    bright = tuple(min(1.4 * c + 0.01, 1) for c in color)
    return (
        (0.0, (0.002,) * 3),
        (0.150, (0.002,) * 3),
        (0.168, dark),
        (0.24, bright),
        (0.345, color),
        (0.395, dark),
        (0.415, tuple(0.5 * c + 0.03 for c in dark)),
        (0.455, (0.62, 0.58, 0.56)),
        (1.0, (0.70, 0.655, 0.63)),
    )


def _iris(color: tuple[float, float, float]) -> bpy.types.Material:
    """Pupil, iris with radial streaks, dark limbus, white: by the distance from the eye's axis."""
    material = _plain("iris", color, 0.25, coat=1.0)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    inputs = nodes["Principled BSDF"].inputs
    inputs["Coat Roughness"].default_value = 0.02
    coordinates, apart, angle = (
        nodes.new("ShaderNodeAttribute"),
        nodes.new("ShaderNodeSeparateXYZ"),
        nodes.new("ShaderNodeMath"),
    )
    coordinates.attribute_name = "eye"
    links.new(coordinates.outputs["Vector"], apart.inputs[0])
    flat, length = nodes.new("ShaderNodeCombineXYZ"), nodes.new("ShaderNodeVectorMath")
    links.new(apart.outputs["X"], flat.inputs["X"])
    links.new(apart.outputs["Y"], flat.inputs["Y"])
    length.operation = "LENGTH"
    links.new(flat.outputs[0], length.inputs[0])
    angle.operation = "ARCTAN2"
    links.new(apart.outputs["Y"], angle.inputs[0])
    links.new(apart.outputs["X"], angle.inputs[1])
    streaks, polar = nodes.new("ShaderNodeTexNoise"), nodes.new("ShaderNodeCombineXYZ")
    links.new(angle.outputs[0], polar.inputs["X"])
    links.new(length.outputs["Value"], polar.inputs["Y"])
    streaks.inputs["Scale"].default_value, streaks.inputs["Detail"].default_value = 9.0, 4.0
    links.new(polar.outputs[0], streaks.inputs["Vector"])
    ramp = nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.0, 1.0
    stops = _iris_stops(color)
    for position, stop in stops[1:-1]:
        ramp.color_ramp.elements.new(position).color = (*stop, 1)
    ramp.color_ramp.elements[0].color = (*stops[0][1], 1)
    ramp.color_ramp.elements[-1].color = (*stops[-1][1], 1)
    links.new(length.outputs["Value"], ramp.inputs["Fac"])
    mix, vary = nodes.new("ShaderNodeMix"), nodes.new("ShaderNodeMapRange")
    mix.data_type, mix.blend_type = "RGBA", "MULTIPLY"
    mix.inputs["Factor"].default_value = 1.0
    vary.inputs["From Min"].default_value, vary.inputs["From Max"].default_value = 0.3, 0.7
    vary.inputs["To Min"].default_value, vary.inputs["To Max"].default_value = 0.55, 1.3
    links.new(streaks.outputs[0], vary.inputs["Value"])
    # Streaks color the iris only, not the white.
    within = nodes.new("ShaderNodeMath")
    within.operation = "LESS_THAN"
    within.inputs[1].default_value = 0.40
    links.new(length.outputs["Value"], within.inputs[0])
    links.new(within.outputs[0], mix.inputs["Factor"])
    links.new(ramp.outputs["Color"], mix.inputs[6])
    links.new(vary.outputs["Result"], mix.inputs[7])
    links.new(mix.outputs[2], inputs["Base Color"])
    return material


def _fluid() -> bpy.types.Material:
    """The wet line along the lids: clear, with a highlight."""
    material = bpy.data.materials.new("fluid")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    clear, gloss, mix = (
        nodes.new("ShaderNodeBsdfTransparent"),
        nodes.new("ShaderNodeBsdfGlossy"),
        nodes.new("ShaderNodeMixShader"),
    )
    gloss.inputs["Roughness"].default_value = 0.08
    mix.inputs["Fac"].default_value = 0.06
    links.new(clear.outputs[0], mix.inputs[1])
    links.new(gloss.outputs[0], mix.inputs[2])
    links.new(mix.outputs[0], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    return material


def _hair(name: str, melanin: float, redness: float, roughness: float) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    fiber = nodes.new("ShaderNodeBsdfHairPrincipled")
    fiber.model, fiber.parametrization = "CHIANG", "MELANIN"
    fiber.inputs["Melanin"].default_value = melanin
    fiber.inputs["Melanin Redness"].default_value = redness
    fiber.inputs["Roughness"].default_value = roughness
    fiber.inputs["Random Color"].default_value = 0.25
    links.new(fiber.outputs[0], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    return material


def _cloth(name: str, color: tuple[float, float, float]) -> bpy.types.Material:
    """Woven cloth: rough, a little sheen, a fine weave and soft unevenness in the bump."""
    material = _plain(name, color, 0.45 if name == "tie" else 0.82)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    cloth = nodes["Principled BSDF"]
    cloth.inputs["Sheen Weight"].default_value = 0.0 if name == "tie" else 0.12
    cloth.inputs["Specular IOR Level"].default_value = 0.3
    coordinates = nodes.new("ShaderNodeTexCoord")
    before = None
    for scale, strength, distance in ((0.22, 0.35, 0.5), (9.0, 0.12, 0.05)):
        field, bump = nodes.new("ShaderNodeTexNoise"), nodes.new("ShaderNodeBump")
        field.inputs["Scale"].default_value, field.inputs["Detail"].default_value = scale, 2.0
        bump.inputs["Strength"].default_value, bump.inputs["Distance"].default_value = strength, distance
        links.new(coordinates.outputs["Object"], field.inputs["Vector"])
        links.new(field.outputs[0], bump.inputs["Height"])
        if before is not None:
            links.new(before.outputs["Normal"], bump.inputs["Normal"])
        before = bump
    links.new(before.outputs["Normal"], cloth.inputs["Normal"])
    return material


def _backdrop_image(look: Look, seed: int) -> Array:
    """An out-of-focus studio wall in linear RGB: panels of light behind a haze, darker towards the edges."""
    rng = np.random.default_rng(seed + 9)
    rows, columns = 256, 256
    dark, light, accent = (np.asarray(color) for color in look.backdrop)
    y, x = np.mgrid[0:rows, 0:columns] / 256.0
    field = np.broadcast_to(dark, (rows, columns, 3)).copy()
    field = field + (light - dark) * (0.55 * np.exp(-(((x - 0.5) / 0.3) ** 2 + ((y - 0.42) / 0.3) ** 2)))[..., None]
    for _ in range(9):
        center, width = rng.uniform(0.2, 0.8), rng.uniform(0.006, 0.03)
        bar = 1 / (1 + np.exp((np.abs(x - center) - width) / 0.006))
        tall = 1 / (1 + np.exp((np.abs(y - rng.uniform(0.3, 0.55)) - rng.uniform(0.12, 0.25)) / 0.02))
        color = accent if rng.random() < 0.3 else light
        field = field + (bar * tall * rng.uniform(0.25, 0.8))[..., None] * color
    field = cv2.GaussianBlur(field, (0, 0), 9.0)
    grain = noise(np.stack([x.ravel() * 8, y.ravel() * 8, np.zeros(x.size)], 1), 1.0, seed).reshape(x.shape)
    return np.clip(field * (1 + 0.05 * grain)[..., None], 0, 1)
