"""Frames are moved onto each other as everything moves: against poses that are known, on surfaces that are simple."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

accumulation = import_module("accumulation")
camera = import_module("camera")
frame = import_module("frame")
head = import_module("head")
looks = import_module("looks")
tongue = import_module("tongue")

SIZE = 256


@pytest.fixture(scope="module")
def person() -> Any:
    if not head.ict_path().exists():
        pytest.skip("no head model: TALKINGHEAD_ICT names where ict_facekit.npz is")
    return head.load_head(looks.LOOKS["henrik"].identity())


def pose(person: Any, **moved: Any) -> Any:
    weights = np.zeros(len(person.expression_names))
    weights[person.expression_names.index("jawOpen")] = moved.pop("jaw_open", 0.0)
    return accumulation.Pose(person, tongue.Tongue.of(person), frame.Frame(weights, **moved))


MOVED = {
    "jaw_open": 0.4,
    "rotation_rad": np.array([0.05, -0.1, 0.03]),
    "translation_cm": np.array([0.3, -0.2, 0.1]),
    "torso_rotation_rad": np.array([0.01, 0.02, -0.01]),
    "torso_translation_cm": np.array([0.2, 0.1, 0.0]),
    "breath": 0.8,
}


def wall(depth_cm: float, carrier: int) -> Any:
    """A flat surface that fills the image."""
    eye, focal = camera.camera_position(), camera.intrinsics(SIZE)[0, 0]
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    scale = (eye[2] - depth_cm) / focal
    x, y = (columns - SIZE / 2) * scale + eye[0], (SIZE / 2 - rows) * scale + eye[1]
    position = np.stack([x, y, np.full_like(x, depth_cm)], -1).astype(np.float32)
    color = np.full((SIZE, SIZE, 3), 0.5, np.float32)
    return accumulation.Samples(color, color, color, position, np.full((SIZE, SIZE), carrier, np.uint8))


def test_points_of_the_head_are_found_where_its_vertices_go(person: Any) -> None:
    here, there = pose(person), pose(person, **MOVED)
    chosen = np.arange(0, head.SKIN.stop, 7)
    position = here.vertices[chosen]
    points = accumulation.Points(here, position, np.full(len(chosen), accumulation.SKIN_AND_EYES, np.uint8))
    assert np.abs(points.at(here) - position).max() < 1e-5
    apart = np.linalg.norm(points.at(there) - there.vertices[chosen], axis=-1)
    assert np.median(apart) < 0.01 and np.percentile(apart, 99) < 0.1, "lips that touch may be taken for each other"


def test_hair_and_clothes_move_as_the_scene_moves_them(person: Any) -> None:
    here, there = pose(person, **MOVED), pose(person)
    strands = np.array([[0.0, 12.0, 1.0], [6.0, 8.0, -3.0]])
    on_head = head.rigidly_moved(strands, MOVED["rotation_rad"], MOVED["translation_cm"]).astype(np.float32)
    points = accumulation.Points(here, on_head, np.full(2, accumulation.HAIR, np.uint8))
    assert np.allclose(points.at(there), strands, atol=1e-4)
    cloth = np.array([[10.0, -18.0, 3.0], [-8.0, -14.0, 5.0]])
    breathing = accumulation.breathed(cloth, MOVED["breath"])
    worn = accumulation.torso_moved(breathing, MOVED["torso_rotation_rad"], MOVED["torso_translation_cm"])
    points = accumulation.Points(here, worn.astype(np.float32), np.full(2, accumulation.TORSO, np.uint8))
    assert np.allclose(points.at(there), cloth, atol=0.05), "the breath is undone where it lifted the cloth to"


def test_vertices_are_those_of_the_scene(person: Any) -> None:
    """At rest the model's own; with a pose of the head alone the upper head is moved as one piece."""
    assert np.allclose(pose(person).vertices[: head.SKIN.stop], person.neutral[: head.SKIN.stop], atol=1e-5)
    turned = pose(person, rotation_rad=MOVED["rotation_rad"]).vertices
    rigid = head.rigidly_moved(person.neutral, MOVED["rotation_rad"], np.zeros(3))
    upper = person.follows[: head.SKIN.stop] == 1
    assert np.allclose(turned[: head.SKIN.stop][upper], rigid[: head.SKIN.stop][upper], atol=1e-4)


def test_a_neighbor_is_moved_onto_the_frame_and_another_surface_is_not(person: Any) -> None:
    cm = 3 * (camera.camera_position()[2] - 9.0) / camera.intrinsics(SIZE)[0, 0]  # three pixels at that depth
    still, moved = pose(person), pose(person, torso_translation_cm=np.array([cm, 0, 0]))
    frames = {0: wall(9.0, accumulation.TORSO), 1: wall(9.0, accumulation.TORSO)}
    (neighbor,) = accumulation.neighbors(frames, {0: still, 1: moved}, 0)
    assert np.allclose((neighbor.x - np.arange(SIZE))[4:-4, 4:-4], 3, atol=0.02)
    assert neighbor.weight[4:-4, 4:-4].min() > 0.9
    frames[1] = wall(12.0, accumulation.HAIR)
    (neighbor,) = accumulation.neighbors(frames, {0: still, 1: moved}, 0)
    assert neighbor.weight.max() == 0


def test_noise_is_averaged_and_a_change_of_light_is_not() -> None:
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    ones = np.ones((SIZE, SIZE), np.float32)
    around = [accumulation.Neighbor(n, columns, rows, ones) for n in (1, 2, 3)]
    images = {n: np.full((SIZE, SIZE, 3), 0.5, np.float32) for n in range(4)}
    noisy = {n: image + 0.02 * random.standard_normal(image.shape).astype(np.float32) for n, image in images.items()}
    assert np.isclose(accumulation.steadied(noisy, 0, around).std(), 0.01, rtol=0.1), "of four: half"
    brighter = images | {n: image * 1.5 for n, image in images.items() if n}
    assert np.allclose(accumulation.steadied(brighter, 0, around), 0.5, atol=1e-3)


def test_a_shutter_blurs_what_moves_by_half_of_its_way() -> None:
    step = np.repeat((np.arange(SIZE) >= SIZE // 2).astype(np.float32)[None, :, None], SIZE, 0).repeat(3, -1)
    flow = np.zeros((SIZE, SIZE, 2), np.float32)
    assert np.allclose(accumulation.shuttered(step, flow), step)
    flow[..., 0] = 16
    row = accumulation.shuttered(step, flow)[SIZE // 2, :, 0]
    between = np.flatnonzero((row > 0.02) & (row < 0.98))
    assert 6 <= np.ptp(between) <= 9 and np.isclose(row[[0, -1]], [0, 1]).all()
