"""The studio in Blender: head, hair, clothes, backdrop, lights and camera, and the next frame's pose.

The scene keeps the head model's axes (x left, y up, z to the camera), which are a Blender camera's own at rest.
"""

from __future__ import annotations

from pathlib import Path

import bpy
import cv2
import materials
import mathutils
import numpy as np
from accumulation import BACKDROP, HAIR, SKIN_AND_EYES, TORSO
from camera import F_NUMBER, FACE_DEPTH_CM, FIELD_CM, LENS_MM, SENSOR_MM, camera_position
from frame import Frame
from hair import Strands, brow_hair, lash_hair, scalp_hair
from head import HOLLOW, IRIS, SCLERA, Array, eye_center, load_head, rigidly_moved
from looks import Light, Look
from rooms import ROOMS
from skin import painted
from tongue import Tongue
from torso import torso_moved
from wardrobe import Surface, breathed, dress

FACE_CENTER = (0.0, 0.0, 6.0)
"""Point that the lights face, cm."""
BACKDROP_DEPTH_CM = -70.0
"""Depth of the wall, on the z axis."""
CARRIED_BY = {
    "backdrop": BACKDROP,
    "head": SKIN_AND_EYES,
    "brows": SKIN_AND_EYES,
    "lashes": SKIN_AND_EYES,
    "scalp": HAIR,
}
"""What each object moves with, by its name; clothes move with the torso."""


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
        self.tongue = Tongue.of(self.head)
        self.scalp = scalp_hair(self.head, look.hairstyle, seed + 1)
        self.brows = brow_hair(self.head, look.brows, seed + 2)
        self.lashes = lash_hair(self.head, seed + 3, look.lashes)
        self._materials(look, seed, work)
        self.mesh = self._head_mesh()
        self.scalp_object = self._strands("scalp", self.scalp, self.materials["hair"])
        self.brow_object = self._strands("brows", self.brows.on(self.head.neutral), self.materials["brow"])
        self.lash_object = self._strands("lashes", self.lashes.on(self.head.neutral), self.materials["brow"])
        self.clothes = [(self._surface(surface), surface.vertices) for surface in dress(self.head, look.outfit)]
        self._backdrop(look, seed, work)
        for light in look.lights:
            self._light(light)
        self._camera()
        self._renderer(look, size, samples, threads)

    # --- moving -------------------------------------------------------------------------------------------------

    def pose(self, frame: Frame) -> None:
        """Move everything to where it is in `frame`."""
        at_rest = self.head.deformed(frame.weights)
        jaw_open = float(frame.weights[self.head.expression_names.index("jawOpen")])
        at_rest = self.tongue.moved(at_rest, frame.tongue, jaw_open)
        vertices = self.head.posed(at_rest, frame.rotation_rad, frame.translation_cm)
        still = 1 - self.head.follows[:, None]
        vertices += still * (_on_torso(breathed(at_rest, frame.breath), frame) - at_rest)
        self.mesh.vertices.foreach_set("co", vertices.ravel().astype(np.float32))
        self.mesh.update()
        for strands, item in ((self.brows, self.brow_object), (self.lashes, self.lash_object)):
            _set_strands(item.data, strands.on(vertices))
        origin = rigidly_moved(np.zeros((1, 3)), frame.rotation_rad, frame.translation_cm)[0]
        axes = rigidly_moved(np.eye(3), frame.rotation_rad, frame.translation_cm) - origin
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = axes.T, origin
        self.scalp_object.matrix_world = mathutils.Matrix(matrix.tolist())
        for mesh, points in self.clothes:
            moved = _on_torso(breathed(points, frame.breath), frame)
            mesh.vertices.foreach_set("co", moved.ravel().astype(np.float32))
            mesh.update()

    def render(self, path: Path) -> None:
        """Render a PNG file, which gets its name only when it is complete."""
        partial = path.with_name(f".{path.stem}.partial.png")
        self.scene.render.filepath = str(partial)
        bpy.ops.render.render(write_still=True)
        partial.replace(path)

    def render_samples(self, path: Path, seed: int) -> None:
        """Render an OpenEXR file of noisy linear colors, positions (cm) and what each pixel moves with."""
        self.scene.cycles.seed = seed
        self.scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)

    def keep_samples(self) -> None:
        """Let `render_samples` write the renderer's own values: no denoising, no view transform."""
        cycles, layer, image = self.scene.cycles, self.scene.view_layers[0], self.scene.render.image_settings
        cycles.use_denoising = cycles.use_adaptive_sampling = cycles.use_light_tree = False
        layer.use_pass_position = layer.use_pass_object_index = layer.cycles.denoising_store_passes = True
        for item in self.scene.objects:
            item.pass_index = CARRIED_BY.get(item.name, TORSO)
        image.media_type = "MULTI_LAYER_IMAGE"
        image.file_format, image.color_depth, image.exr_codec = "OPEN_EXR_MULTILAYER", "16", "NONE"

    def samples(self, count: int) -> int:
        """Set the samples a pixel to `count`; returns the number before."""
        before, self.scene.cycles.samples = self.scene.cycles.samples, count
        return int(before)

    # --- building -----------------------------------------------------------------------------------------------

    def _materials(self, look: Look, seed: int, work: Path) -> None:
        self.materials = {
            "skin": materials.skin(painted(self.head, look.complexion, look.hairstyle, seed, work), look.relief),
            "teeth": materials.teeth(look.teeth),
            "gums": materials.gums(),
            "hollow": materials.hollow(),
            "sclera": materials.eyeball(look.eye_white),
            "iris": materials.iris(look.iris),
            "fluid": materials.fluid(),
            "hair": materials.hair(look.hairstyle.redness, 0.24),
            "brow": materials.hair(look.hairstyle.redness, 0.45),
        }
        for name, stuff in look.outfit.cloths.items():
            self.materials[name] = materials.cloth(name, stuff)

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
        chosen = [i for i, name in enumerate(head.material_of_face) if name in shown]
        mesh = bpy.data.meshes.new("head")
        mesh.from_pydata(head.neutral.tolist(), [], [head.faces[i] for i in chosen])
        used = [self._material_of(face, shown[head.material_of_face[face]]) for face in chosen]
        slots = sorted(set(used))
        for name in slots:
            mesh.materials.append(self.materials[name])
        mesh.polygons.foreach_set("material_index", [slots.index(name) for name in used])
        mesh.polygons.foreach_set("use_smooth", [True] * len(chosen))
        atlas = head.uv[np.concatenate([head.face_uv[i] for i in chosen])] * [0.5, 1.0]
        mesh.uv_layers.new(name="atlas").data.foreach_set("uv", atlas.ravel())
        mesh.attributes.new("eye", "FLOAT_VECTOR", "POINT").data.foreach_set("vector", self._eye_coordinates().ravel())
        mesh.attributes.new("rest", "FLOAT_VECTOR", "POINT").data.foreach_set("vector", head.neutral.ravel())
        item = bpy.data.objects.new("head", mesh)
        self.scene.collection.objects.link(item)
        smooth = item.modifiers.new("smooth", "SUBSURF")
        smooth.levels = smooth.render_levels = 1
        return mesh

    def _material_of(self, face: int, name: str) -> str:
        return "hollow" if HOLLOW.start <= self.head.faces[face][0] < HOLLOW.stop else name

    def _eye_coordinates(self) -> Array:
        """(V, 3) coordinates in the eyeball over the radius of the iris's ball, by which the eye is painted."""
        coordinates = np.zeros_like(self.head.neutral)
        for side, ball in IRIS.items():
            radius = np.ptp(self.head.neutral[ball][:, 0]) / 2
            for part in (ball, SCLERA[side]):
                coordinates[part] = (self.head.neutral[part] - eye_center(self.head.neutral, side)) / radius
        return coordinates

    def _strands(self, name: str, strands: Strands, material: bpy.types.Material) -> bpy.types.Object:
        data = bpy.data.hair_curves.new(name)
        data.add_curves([strands.points.shape[1]] * len(strands.points))
        data.attributes.new("radius", "FLOAT", "POINT")
        data.attributes.new("melanin", "FLOAT", "CURVE").data.foreach_set("value", strands.melanin.astype(np.float32))
        _set_strands(data, strands)
        data.materials.append(material)
        item = bpy.data.objects.new(name, data)
        self.scene.collection.objects.link(item)
        return item

    def _surface(self, surface: Surface) -> bpy.types.Mesh:
        mesh = bpy.data.meshes.new(surface.name)
        mesh.from_pydata(surface.vertices.tolist(), [], surface.faces)
        mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
        mesh.materials.append(self.materials[surface.material])
        # The weave stays on the cloth, which moves by its vertices.
        mesh.attributes.new("rest", "FLOAT_VECTOR", "POINT").data.foreach_set("vector", surface.vertices.ravel())
        item = bpy.data.objects.new(surface.name, mesh)
        self.scene.collection.objects.link(item)
        thick = item.modifiers.new("thick", "SOLIDIFY")
        thick.thickness, thick.offset = surface.thickness, 0.0
        return mesh

    def _backdrop(self, look: Look, seed: int, work: Path) -> None:
        path = work / f"{look.room}.hdr"
        cv2.imwrite(str(path), (look.room_light * ROOMS[look.room](seed))[..., ::-1].astype(np.float32))
        far = camera_position()[2] - BACKDROP_DEPTH_CM
        half, level = 0.56 * FIELD_CM * far / (camera_position()[2] - FACE_DEPTH_CM), camera_position()[1]
        corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
        mesh = bpy.data.meshes.new("backdrop")
        mesh.from_pydata([(x, y + level, BACKDROP_DEPTH_CM) for x, y in corners], [], [[0, 1, 2, 3]])
        mesh.uv_layers.new(name="uv").data.foreach_set("uv", [0, 0, 1, 0, 1, 1, 0, 1])
        mesh.materials.append(materials.glowing(path))
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
        data.dof.use_dof = True
        data.dof.focus_distance = camera_position()[2] - FACE_DEPTH_CM + 0.5
        data.dof.aperture_fstop = F_NUMBER / 100  # the renderer takes the scene's centimeters for meters
        item = bpy.data.objects.new("camera", data)
        item.location = tuple(camera_position())
        self.scene.collection.objects.link(item)
        self.scene.camera = item

    def _renderer(self, look: Look, size: int, samples: int, threads: int) -> None:
        """Configure Cycles, its sampling and its color management."""
        scene = self.scene
        world = bpy.data.worlds.new("world")
        world.use_nodes = True
        world.node_tree.nodes["Background"].inputs["Color"].default_value = (*look.ambient, 1)
        scene.world = world
        scene.render.engine = "CYCLES"
        cycles = scene.cycles
        cycles.device, cycles.samples, cycles.seed = "CPU", samples, 0
        cycles.use_adaptive_sampling, cycles.adaptive_threshold = True, 0.03
        cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
        cycles.denoising_prefilter = "ACCURATE"  # otherwise the strands' noise passes for texture
        cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 4, 2, 1
        cycles.transmission_bounces, cycles.transparent_max_bounces = 1, 8
        cycles.caustics_reflective = cycles.caustics_refractive = False
        cycles.sample_clamp_indirect = 4.0
        scene.cycles_curves.shape = "RIBBONS"
        scene.render.resolution_x = scene.render.resolution_y = size
        scene.render.threads_mode, scene.render.threads = "FIXED", threads
        scene.render.use_persistent_data = True
        scene.render.image_settings.color_mode = "RGB"
        scene.render.image_settings.compression = 30
        set_view(scene, look)


def set_view(scene: bpy.types.Scene, look: Look) -> None:
    """How linear colors are shown on a screen."""
    settings = scene.view_settings
    settings.view_transform, settings.look, settings.exposure = "AgX", "AgX - Medium High Contrast", look.exposure


def _on_torso(points: Array, frame: Frame) -> Array:
    return torso_moved(points, frame.torso_rotation_rad, frame.torso_translation_cm)


def _set_strands(data: bpy.types.Curves, strands: Strands) -> None:
    data.attributes["position"].data.foreach_set("vector", strands.points.ravel().astype(np.float32))
    data.attributes["radius"].data.foreach_set("value", strands.radii.ravel().astype(np.float32))
    data.update_tag()
