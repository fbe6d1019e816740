"""The presenters' looks: clothes without holes in every posture, teeth where they belong, hair off the face."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from talkinghead.network.rasterize import rasterize

camera = import_module("camera")
film = import_module("film")
frame = import_module("frame")
hair = import_module("hair")
head = import_module("head")
looks = import_module("looks")
rooms = import_module("rooms")
torso = import_module("torso")
wardrobe = import_module("wardrobe")

SIZE = 256
PEOPLE = ("maya", "henrik")
POSTURES = {
    "at rest": (np.zeros(3), np.zeros(3), 0.0),
    "leaning forwards with full lungs": (np.radians([2.0, 3.0, -2.0]), np.array([0.6, 0.2, 0.8]), 1.0),
    "leaning back": (np.radians([-2.0, -3.0, 2.0]), np.array([-0.8, -0.3, -0.6]), 0.2),
}
"""Torso rotation, torso translation and breath, all beyond what a performance does."""


@pytest.fixture(scope="module", params=PEOPLE)
def person(request: pytest.FixtureRequest) -> Any:
    if not head.ict_path().exists():
        pytest.skip("no head model: TALKINGHEAD_ICT names where ict_facekit.npz is")
    look = looks.LOOKS[request.param]
    return look, head.load_head(look.identity())


def triangles_of(faces: list[list[int]]) -> np.ndarray:
    return np.array([(face[0], face[k - 1], face[k]) for face in faces for k in range(2, len(face))])


def seen(person: Any, posture: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """What is visible in each pixel: (H, W) number of the material, -1 for none; materials' names; and
    (H, W, 4) where, and how far its outer side faces the camera, -1 to 1."""
    look, model = person
    rotation, translation, breath = POSTURES[posture]

    def moved(points: np.ndarray) -> np.ndarray:
        return torso.torso_moved(wardrobe.breathed(points, breath), rotation, translation)

    skin = model.neutral[head.SKIN]
    still = 1 - model.follows[head.SKIN, None]
    turned, shifted = rotation + np.radians([2.5, 6.0, -2.5]), translation
    skin = (1 - still) * head.rigidly_moved(skin, turned, shifted) + still * moved(skin)
    faces = [model.faces[i] for part in ("M_Face", "M_BackHead") for i in model.part(part)]
    names, vertices, triangles, material = ["skin"], [skin], [triangles_of(faces)], [np.zeros(len(skin))]
    facing = [np.ones(len(skin))]
    for surface in wardrobe.dress(model, look.outfit):
        if surface.material not in names:
            names.append(surface.material)
        triangles.append(triangles_of(surface.faces) + sum(map(len, vertices)))
        vertices.append(moved(surface.vertices))
        normals = hair.vertex_normals(surface.vertices, surface.faces)
        outer = np.sign(((surface.vertices - (0, 0, -2.6)) * normals * (1, 0, 1)).sum(1))
        facing.append(normals[:, 2] * outer)
        material.append(np.full(len(surface.vertices), names.index(surface.material)))
    points = np.concatenate(vertices)
    placed = np.concatenate([camera.project(points, SIZE), -points[:, 2:]], 1)
    attributes = np.concatenate([np.concatenate(material)[:, None], points, np.concatenate(facing)[:, None]], 1)
    values, drawn = rasterize(
        torch.tensor(placed[None], dtype=torch.float32),
        torch.tensor(np.concatenate(triangles)),
        torch.tensor(attributes, dtype=torch.float32),
        SIZE,
        SIZE,
    )
    what = np.where(drawn[0, 0].numpy() > 0.5, np.round(values[0, 0].numpy()), -1).astype(int)
    return what, values[0, 1:].numpy().transpose(1, 2, 0), names


@pytest.mark.parametrize("posture", POSTURES)
def test_there_is_no_background_inside_the_torso(person: Any, posture: str) -> None:
    what, _, _ = seen(person, posture)
    count, labels = cv2.connectedComponents((what < 0).astype(np.uint8), connectivity=4)
    border = np.concatenate([labels[0], labels[: SIZE * 3 // 4, 0], labels[: SIZE * 3 // 4, -1]])
    assert set(range(1, count)) <= set(border.tolist())
    assert (what[-1, SIZE // 6 : -SIZE // 6] > 0).all()  # the picture's lower edge is cloth


@pytest.mark.parametrize("posture", POSTURES)
def test_one_does_not_look_into_the_clothes(person: Any, posture: str) -> None:
    """The inner side of a garment is seen nowhere below the neck: what looks like a tear is a view of it."""
    what, where, _ = seen(person, posture)
    below = (what > 0) & (where[..., 1] < -12.5) & (np.abs(where[..., 0]) < 12)
    assert below.sum() > 2000
    assert (where[below][:, 3] < -0.4).mean() < 0.001


@pytest.mark.parametrize("posture", POSTURES)
def test_no_cloth_comes_through_another(person: Any, posture: str) -> None:
    """The shirt is seen in one piece, and skin nowhere on the shoulders."""
    what, where, names = seen(person, posture)
    if "shirt" in names:
        pieces, _, boxes, _ = cv2.connectedComponentsWithStats((what == names.index("shirt")).astype(np.uint8))
        large = [box for box in boxes[1:pieces] if box[cv2.CC_STAT_AREA] > 4]
        assert 1 <= len(large) <= 2
    shoulders = (what == 0) & (np.abs(where[..., 0]) > 9.7) & (where[..., 1] < -9)
    chest = (what == 0) & (np.abs(where[..., 0]) > 5.8) & (where[..., 1] < -13.2)
    assert not shoulders.any() and not chest.any()


def test_a_tie_closes_the_shirt(person: Any) -> None:
    """In front, skin ends at the collar, and the tie hangs in one piece from it to the picture's edge."""
    what, where, names = seen(person, "leaning forwards with full lungs")
    if "tie" not in names:
        pytest.skip("an open neckline")
    assert not ((what == 0) & (np.abs(where[..., 0]) < 5) & (where[..., 1] < -13.5)).any()
    tie = what == names.index("tie")
    pieces, _ = cv2.connectedComponents(tie.astype(np.uint8))
    rows = np.flatnonzero(tie.any(1))
    assert pieces == 2 and rows[-1] == SIZE - 1 and where[..., 1][tie].max() > -13.2
    assert (tie[rows].sum(1) >= 8).mean() > 0.8  # 1.1 cm


def test_the_chin_turns_with_the_head_in_one_piece(person: Any) -> None:
    """Turning the head stretches no edge of the face and the throat by a quarter."""
    _, model = person
    turned = model.posed(model.neutral, np.array([0.05, 0.12, 0.03]), np.zeros(3))
    corners = triangles_of([model.faces[i] for i in model.part("M_Face")])
    corners = corners[(model.neutral[corners][..., 2] > 3).all(1)]
    before, after = (np.linalg.norm(v[corners] - v[np.roll(corners, 1, 1)], axis=-1) for v in (model.neutral, turned))
    assert len(corners) > 5000 and (np.abs(after / before - 1) < 0.25).all()


def test_folds_lie_beside_the_mouth_and_not_on_it(person: Any) -> None:
    _, model = person
    marks = model.generic[model.landmarks68]
    corners = marks[[48, 54]] + np.array([[-0.95, 0.75, -0.3], [0.95, 0.75, -0.3]])
    places = np.concatenate([corners, marks[[30, 51, 57, 62, 8]], [[0.0, -2.0, -9.0]]])[None]
    shade, depth = import_module("skin")._folds(places, marks)
    assert (shade[0, :2] > 0.7).all() and (shade[0, 2:] < 0.1).all() and (depth > 0).sum() >= 2


def test_a_hairline_recedes_at_the_temples_and_comes_forwards_above_the_ears(person: Any) -> None:
    look, _ = person
    plain = replace(look.hairstyle, recession=0.0, sideburns=0.0)
    places = np.array([[4.2, 9.0, 8.5], [0.0, 9.0, 9.5], [7.0, 6.0, 6.0], [7.5, -2.0, 4.0]])
    full = hair.scalp_field(places, replace(plain, recession=2.0, sideburns=1.5))
    gained = full - hair.scalp_field(places, plain)
    assert gained[0] < -1.5 and -0.3 < gained[1] < 0 and gained[2] == pytest.approx(1.5) and gained[3] == 0


def test_teeth_show_in_speech_and_stay_behind_closed_lips(person: Any) -> None:
    """The upper teeth end 0 to 5 mm below the upper lip, and behind both lips."""
    _, model = person
    teeth, marks = model.neutral[head.UPPER_TEETH], model.neutral[model.landmarks68]
    front = teeth[np.abs(teeth[:, 0]) < 0.8]
    assert 0.0 < marks[62, 1] - front[:, 1].min() < 0.5
    assert front[:, 2].max() < min(marks[62, 2], marks[66, 2])


def test_lips_are_those_that_the_performance_knows(person: Any) -> None:
    look, model = person
    points = import_module("lips").load_lips(look.identity())
    np.testing.assert_allclose(model.neutral[model.landmarks68[48:68]], points.neutral, atol=1e-9)


def test_hair_leaves_the_face_free(person: Any) -> None:
    look, model = person
    style = replace(look.hairstyle, count=3000)
    strands = hair.scalp_hair(model, style, 7)
    eyes, lips = model.landmarks68[36:48], model.landmarks68[48:68]
    for part in (eyes, lips):
        low, high = model.neutral[part].min(0) - 0.5, model.neutral[part].max(0) + 0.5
        before = (strands.points[..., :2] > low[:2]).all(-1) & (strands.points[..., :2] < high[:2]).all(-1)
        assert not (before & (strands.points[..., 2] > 5)).any()
    assert np.isfinite(strands.points).all() and (strands.radii > 0).all()
    assert (strands.melanin >= 0).all() and (strands.melanin <= 1).all()


def test_the_outline_of_long_hair_runs_on_over_the_parting(person: Any) -> None:
    """Seen from the front, no point of the outline lies deeper than 2 mm between higher ones on both sides."""
    look, model = person
    style = replace(look.hairstyle, count=8000)
    if not style.long:
        pytest.skip("short hair stands up")
    points = hair.scalp_hair(model, style, 21).points
    steps = np.diff(points, axis=1)[:, :, None]
    between = (points[:, :-1, None] + np.linspace(0, 1, 6)[:, None] * steps).reshape(-1, 3)
    columns = np.floor(between[:, 0] / 0.4).astype(int)
    outline = np.array([between[columns == column, 1].max() for column in range(-14, 15)])
    dents = np.minimum(np.maximum.accumulate(outline), np.maximum.accumulate(outline[::-1])[::-1]) - outline
    assert dents.max() < 0.2


def test_hair_combed_past_the_face_is_not_lost(person: Any) -> None:
    """Strands that would cross the face are left out; where those are many, the scalp is bare."""
    look, model = person
    assert len(hair.scalp_hair(model, look.hairstyle, 21).points) > 0.99 * look.hairstyle.count


def test_the_two_are_found_by_name_and_by_their_old_names() -> None:
    assert looks.LOOKS["presenter"] is looks.LOOKS["maya"] and looks.LOOKS["second"] is looks.LOOKS["henrik"]


def test_film_adds_noise_of_its_own_to_every_frame_and_the_same_to_the_same() -> None:
    gray = np.full((64, 64, 3), 90, np.uint8)
    first, again, second = film.filmed(gray, 1), film.filmed(gray, 1), film.filmed(gray, 2)
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert abs(first.astype(float).mean() - 90) < 0.2 and 0.3 < first.astype(float).std() < 2.0


@pytest.mark.parametrize("room", sorted(rooms.ROOMS))
def test_rooms_are_out_of_focus_and_have_lights(room: str) -> None:
    image = rooms.ROOMS[room](20)
    assert np.isfinite(image).all() and image.min() >= 0
    assert np.abs(np.diff(image, axis=1)).max() < 0.35 * image.max()
    assert image.max() > 0.9


def test_what_a_performance_does_not_say_stays_at_rest() -> None:
    expression = np.random.default_rng(1).random((3, 57), np.float32)
    spoken = {"expression": expression, "rotation_rad": np.ones((3, 3), np.float32), "lips_cm": np.zeros((3, 20, 3))}
    plain = frame.Frame.of(spoken, 1)
    np.testing.assert_array_equal(plain.weights, expression[1])
    assert plain.rotation_rad.tolist() == [1, 1, 1] and plain.breath == 0
    assert plain.tongue.tolist() == [0, 0, import_module("tongue").RESTING_BACK]
    assert not plain.torso_rotation_rad.any() and not plain.translation_cm.any()
    moved = {"breath": np.array([0, 0.5, 1]), "tongue": np.eye(3), "torso_translation_cm": np.full((3, 3), 2.0)}
    full = frame.Frame.of({**spoken, **moved}, 2)
    assert full.breath == 1 and full.tongue.tolist() == [0, 0, 1] and full.torso_translation_cm.tolist() == [2, 2, 2]
