"""The inside of the mouth: sheets that are fixed to skull and jaw, and seen between the lips alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from talkinghead.face.face_model import FaceModel, PersonFace, load_face_model
from talkinghead.face.rotations import rotation_matrices
from talkinghead.files import load_arrays, save_arrays
from talkinghead.network.checkpoint import load_network, save_network
from talkinghead.network.face_update_network import FaceUpdateConfig, FaceUpdateNetwork
from talkinghead.network.local_modeller import LocalCoefficients
from talkinghead.network.mouth_interior import DEPTHS_CM, HALF_SIZE_CM, MouthInterior
from talkinghead.weights.bundled import checkpoint_path

SIZE = (96, 128)
BOX = (0, *SIZE[:1], 0, *SIZE[1:])


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model(checkpoint_path("face_model.safetensors"))


@pytest.fixture(scope="module")
def face(model: FaceModel) -> PersonFace:
    return model.of(np.zeros(model.identities, np.float32))


@pytest.fixture(scope="module")
def network(face: PersonFace) -> FaceUpdateNetwork:
    torch.manual_seed(0)
    config = FaceUpdateConfig(face.model.expressions, SIZE, texture_size=64, widths=(16, 16, 16, 16))
    return FaceUpdateNetwork(config, face, backend="numba").eval()


def open_mouths(face: PersonFace, count: int, most: float = 3.0) -> LocalCoefficients:
    """Heads that look straight ahead and aside, with mouths from closed to wide open, in the middle of the crop."""
    model = face.model
    up = np.array([face.lip_gap(row[None])[0] for row in np.eye(model.expressions, dtype=np.float32)])
    opens = (up - face.lip_gap(np.zeros((1, model.expressions), np.float32))[0]) / 0.5
    share = np.linspace(-1, 1, count)[:, None] * most
    expression = (share * opens / np.linalg.norm(opens)).astype(np.float32)
    turned = np.linspace(-0.2, 0.2, count)[:, None] * np.array([0.5, 1.0, 0.3])
    rotation = rotation_matrices(turned)
    middle = MouthInterior(face, 3).middle.numpy()
    scale = np.full(count, 8.0)
    seen = np.einsum("tij,j->ti", rotation, middle)[:, :2] * (8.0, -8.0)
    parts = (expression, rotation, np.array([64, 48]) - seen, scale)
    return LocalCoefficients(*(torch.from_numpy(np.asarray(part, np.float32)) for part in parts))


def test_a_pixel_sees_the_point_of_the_sheet_that_is_projected_to_it(face: PersonFace) -> None:
    interior, coefficients = MouthInterior(face, 3), open_mouths(face, 3)
    across, up = 1.1, -0.6
    depth, curvature = interior.form.detach()[0].tolist()
    assert depth == pytest.approx(DEPTHS_CM[0])
    point = interior.middle + torch.tensor([across, up, depth - curvature * across**2])
    rotated = torch.einsum("bij,j->bi", coefficients.rotation, point)[:, :2]
    pixel = rotated * torch.tensor([8.0, -8.0]) + coefficients.translation
    found = interior.sheet_coordinates(0, torch.zeros(3), coefficients, BOX).detach()
    for number, (x, y) in enumerate(pixel.detach().tolist()):
        # Between the centers of the four pixels around it, coordinates are nearly linear.
        left, top = int(x - 0.5), int(y - 0.5)
        around = found[number, top : top + 2, left : left + 2].numpy()
        right, down = x - 0.5 - left, y - 0.5 - top
        met = (around * np.outer([1 - down, down], [1 - right, right])[..., None]).sum((0, 1))
        assert met == pytest.approx([across / HALF_SIZE_CM[0], -up / HALF_SIZE_CM[1]], abs=0.01)


def test_the_upper_teeth_stay_and_the_lower_ones_go_with_the_chin(face: PersonFace) -> None:
    interior, opened = MouthInterior(face, 3), open_mouths(face, 3)
    still = dataclasses.replace(
        opened, rotation=opened.rotation[1:2].expand(3, -1, -1), translation=opened.translation[1:2].expand(3, -1)
    )
    upper = interior.sheet_coordinates(0, torch.zeros(3), still, BOX)
    assert torch.equal(upper[0], upper[2])
    moved = still.expression @ interior.jaw.T
    lower = interior.sheet_coordinates(1, moved, still, BOX)
    assert moved[2, 1] < moved[0, 1] - 0.1  # the chin of an open mouth is lower
    # What lies at a pixel's height is the further up on the sheet the lower the jaw is.
    assert (lower[2, :, :, 1] < lower[0, :, :, 1] - 0.02).all()


def test_only_what_is_between_the_lips_changes(network: FaceUpdateNetwork, face: PersonFace) -> None:
    interior, coefficients = network.generator.interior, open_mouths(face, 5)
    assert interior is not None
    vertices = network.generator.modeller(coefficients)
    blank = torch.zeros(5, network.config.texture_channels + 5, *SIZE)
    with torch.no_grad():
        changed = (interior(blank.clone(), coefficients, vertices) != 0).any(1)
    assert not changed[0].any()  # lips that overlap
    assert changed[4].any()
    rows, columns = np.nonzero(changed[4].numpy())
    lips = vertices[4, interior.lips, :2].flatten(0, 1).numpy()
    assert (lips.min(0) - 2 <= [columns.min(), rows.min()]).all()
    assert (lips.max(0) + 2 >= [columns.max(), rows.max()]).all()
    # Image to be filled, hole and coverage are left alone.
    with torch.no_grad():
        assert not interior(blank.clone(), coefficients, vertices)[:, network.config.texture_channels :].any()


def test_a_mouth_outside_the_crop_is_left_out(network: FaceUpdateNetwork, face: PersonFace) -> None:
    interior, coefficients = network.generator.interior, open_mouths(face, 2)
    assert interior is not None
    away = dataclasses.replace(coefficients, translation=coefficients.translation + 500)
    blank = torch.zeros(2, network.config.texture_channels + 5, *SIZE)
    assert not interior(blank, away, network.generator.modeller(away)).any()


def test_with_gradients_and_without_the_same_is_drawn_and_every_part_learns(
    network: FaceUpdateNetwork, face: PersonFace
) -> None:
    coefficients = open_mouths(face, 3)
    filled, hole = torch.zeros(3, 3, *SIZE), torch.ones(3, 1, *SIZE)
    with torch.inference_mode():
        fast, _ = network(coefficients, filled, hole, hole)
    slow, _ = network(coefficients, filled, hole, hole)
    assert torch.allclose(fast, slow, atol=1e-4)
    slow.sum().backward()
    assert network.generator.interior is not None
    for name, parameter in network.generator.interior.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    network.zero_grad()


def test_a_network_keeps_its_interior_and_an_older_one_has_none(
    network: FaceUpdateNetwork, face: PersonFace, tmp_path: Path
) -> None:
    save_network(tmp_path / "network.safetensors", network)
    loaded = load_network(tmp_path / "network.safetensors", face)
    assert loaded.generator.interior is not None
    coefficients = open_mouths(face, 2)
    filled, hole = torch.zeros(2, 3, *SIZE), torch.ones(2, 1, *SIZE)
    with torch.inference_mode():
        images = [one(coefficients, filled, hole, hole)[0] for one in (network, loaded)]
    assert torch.allclose(*images, atol=5e-3)  # weights are kept in half precision
    arrays, metadata = load_arrays(tmp_path / "network.safetensors")
    older = {name: array for name, array in arrays.items() if ".interior." not in name}
    text = metadata["config"].replace('"interior": true, ', "")
    assert text != metadata["config"]
    save_arrays(tmp_path / "older.safetensors", older, {"config": text})
    assert load_network(tmp_path / "older.safetensors", face).generator.interior is None
