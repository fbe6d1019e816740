"""Facts about the face update network that hold whatever its weights are."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from talkinghead.errors import CheckpointError
from talkinghead.face.face_model import FaceModel, PersonFace, load_face_model
from talkinghead.face.reconstruction import project
from talkinghead.face.region_removal import (
    crop_frame,
    local_region,
    paste_back,
    place_crops,
    region_masks,
    remove_region,
)
from talkinghead.files import load_arrays, save_arrays
from talkinghead.network.checkpoint import load_network, save_network, start_from
from talkinghead.network.coefficients import crop_coefficients
from talkinghead.network.face_update_network import FaceUpdateConfig, FaceUpdateNetwork
from talkinghead.network.local_modeller import LocalModeller
from talkinghead.network.texture_map_generator import TextureMap
from talkinghead.structures import Reconstruction
from talkinghead.weights.bundled import checkpoint_path

SIZE = (96, 128)
FRAMES = 3


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model(checkpoint_path("face_model.safetensors"))


@pytest.fixture(scope="module")
def head(model: FaceModel) -> Reconstruction:
    draw = np.random.default_rng(0)
    return Reconstruction(
        identity=draw.normal(size=model.identities).astype(np.float32),
        expression=draw.normal(size=(FRAMES, model.expressions)).astype(np.float32),
        rotation=draw.uniform(-0.2, 0.2, (FRAMES, 3)).astype(np.float32),
        translation=np.array([[128, 110], [130, 112], [126, 115]], np.float32),
        scale=np.array([8.0, 8.2, 7.9], np.float32),
        valid=np.ones(FRAMES, np.bool_),
        times_s=np.arange(FRAMES) / 25,
        misfit_cm=np.zeros(FRAMES),
    )


@pytest.fixture(scope="module")
def face(model: FaceModel, head: Reconstruction) -> PersonFace:
    return model.of(head.identity)


@pytest.fixture(scope="module")
def network(face: PersonFace, model: FaceModel, head: Reconstruction) -> FaceUpdateNetwork:
    torch.manual_seed(0)
    config = FaceUpdateConfig(model.expressions, SIZE, texture_size=64, widths=(16, 16, 16, 16))
    return FaceUpdateNetwork(config, face, backend="numba").eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (FRAMES, 200, 240, 3), np.uint8)


def test_geometry_is_not_rounded_by_mixed_precision(
    network: FaceUpdateNetwork, face: PersonFace, head: Reconstruction
) -> None:
    """Eight bits would move vertices by up to a pixel, another way in each frame."""
    crops = place_crops(local_region(face), head, SIZE)
    coefficients = crop_coefficients(head, crops, np.arange(FRAMES), head.expression)
    modeller, interior = network.generator.modeller, network.generator.interior
    assert interior is not None
    blank = torch.zeros(FRAMES, network.config.texture_channels + 5, *SIZE)
    with torch.inference_mode():
        vertices = modeller(coefficients)
        inside = interior(blank.clone(), coefficients, vertices)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(modeller(coefficients), vertices)
            assert torch.equal(interior(blank.clone(), coefficients, vertices), inside)
    assert inside.any()


def test_mesh_in_the_crop_is_the_mesh_in_the_frame(face: PersonFace, model: FaceModel, head: Reconstruction) -> None:
    """The camera of the crop and that of the frame see each vertex at the same place."""
    crops = place_crops(local_region(face), head, SIZE)
    frames = np.arange(FRAMES)
    coefficients = crop_coefficients(head, crops, frames, head.expression)
    modeller = LocalModeller(torch.from_numpy(face.local_neutral), torch.from_numpy(model.reach_basis))
    in_crop = modeller(coefficients)[..., :2].numpy()
    moved = np.einsum("tij,tvj->tvi", crops.to_frame[:, :, :2], in_crop) + crops.to_frame[:, None, :, 2]
    in_frame = project(face.local_shape(head.expression), head, frames)[..., :2]
    np.testing.assert_allclose(moved, in_frame, atol=1e-2)


def test_nothing_in_the_hole_reaches_the_result(
    network: FaceUpdateNetwork, face: PersonFace, head: Reconstruction, images: np.ndarray
) -> None:
    """Two frames that differ only where the region is removed give the same image, byte for byte."""
    region = local_region(face)
    crops = place_crops(region, head, SIZE)
    holes, feathers = region_masks(region, head, crops)
    coefficients = crop_coefficients(head, crops, np.arange(FRAMES), head.expression)
    results = []
    for seed in (2, 3):
        noise = np.random.default_rng(seed).integers(0, 256, (FRAMES, *SIZE, 3), np.uint8)
        crop = np.stack([crop_frame(p, m, SIZE) for p, m in zip(images, crops.to_frame, strict=True)])
        image = np.where(holes[..., None] > 0, noise, crop)
        filled = torch.from_numpy(remove_region(image, holes)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            _, updated = network(
                coefficients, filled, torch.from_numpy(holes)[:, None].float(), torch.from_numpy(feathers)[:, None]
            )
        results.append(updated)
    assert torch.equal(results[0], results[1])


def test_beyond_the_feather_the_image_is_kept(
    network: FaceUpdateNetwork, face: PersonFace, head: Reconstruction
) -> None:
    region = local_region(face)
    crops = place_crops(region, head, SIZE)
    holes, feathers = region_masks(region, head, crops)
    image = torch.rand(FRAMES, 3, *SIZE)
    hole, feather = torch.from_numpy(holes)[:, None].float(), torch.from_numpy(feathers)[:, None]
    coefficients = crop_coefficients(head, crops, np.arange(FRAMES), head.expression)
    with torch.inference_mode():
        _, updated = network(coefficients, image * (1 - hole), hole, feather)
    outside = (feather == 0).expand_as(image)
    assert outside.any()
    assert torch.equal(updated[outside], image[outside])


def test_drawing_without_gradients_gives_the_same(
    network: FaceUpdateNetwork, face: PersonFace, head: Reconstruction
) -> None:
    """Kernel and grid sampling agree, the texture's edge and what lies beside the face included."""
    region = local_region(face)
    crops = place_crops(region, head, SIZE)
    vertices = network.generator.modeller(crop_coefficients(head, crops, np.arange(FRAMES), head.expression))
    vertices = vertices + torch.tensor([40.0, 0, 0])  # part of it lies beyond the image
    texture = TextureMap(torch.randn(11, 64, 48).requires_grad_(), torch.randn(FRAMES, 11, 16, 24))
    image, hole = torch.rand(FRAMES, 3, *SIZE), torch.rand(FRAMES, 1, *SIZE)
    renderer = network.generator.renderer
    sampled = renderer(texture, vertices, image, hole)
    with torch.inference_mode():
        drawn = renderer(texture, vertices, image, hole)
    assert 0.1 < drawn[:, 11].mean() < 0.9 and drawn.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(drawn, sampled.detach(), rtol=1e-4, atol=1e-4)


def test_texture_map_depends_on_the_expression_alone(network: FaceUpdateNetwork, model: FaceModel) -> None:
    generator = network.generator.texture_map
    one, other = torch.randn(2, model.expressions)
    with torch.inference_mode():
        same = generator(torch.stack([one, one]))
        different = generator(torch.stack([one, other]))
    torch.testing.assert_close(same.change[0], same.change[1])
    assert (different.change[0] - different.change[1]).abs().max() > 0


def test_gradients_reach_every_weight(network: FaceUpdateNetwork, face: PersonFace, head: Reconstruction) -> None:
    region = local_region(face)
    crops = place_crops(region, head, SIZE)
    holes, feathers = region_masks(region, head, crops)
    hole, feather = torch.from_numpy(holes)[:, None].float(), torch.from_numpy(feathers)[:, None]
    image = torch.rand(FRAMES, 3, *SIZE)
    coefficients = crop_coefficients(head, crops, np.arange(FRAMES), head.expression)
    local, updated = network(coefficients, image * (1 - hole), hole, feather)
    (((local - image) * feather).abs().mean() + (updated - image).abs().mean()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []
    network.zero_grad()


def test_paste_back_touches_only_what_it_should(face: PersonFace, head: Reconstruction, images: np.ndarray) -> None:
    region = local_region(face)
    crops = place_crops(region, head, SIZE)
    _, feathers = region_masks(region, head, crops)
    white = np.ones((*SIZE, 3), np.float32)
    before = images[0].copy()
    after = paste_back(images[0], white, feathers[0], crops.to_frame[0])
    np.testing.assert_array_equal(images[0], before)  # the frame itself is left alone
    changed = (after != before).any(-1)
    assert 0.02 < changed.mean() < 0.6
    center = crops.to_frame[0] @ (SIZE[1] / 2, SIZE[0] / 2, 1)
    assert (after[int(center[1]), int(center[0])] == 255).all()
    nothing = paste_back(images[0], white, np.zeros(SIZE, np.float32), crops.to_frame[0])
    np.testing.assert_array_equal(nothing, before)


def test_pasting_the_crop_back_gives_the_frame(face: PersonFace, head: Reconstruction) -> None:
    """On a smooth image the way into the crop and back is the identity to within resampling."""
    y, x = np.mgrid[0:200, 0:240]
    smooth = np.stack([x / 240 * 200 + 20, y / 200 * 200 + 20, (x + y) / 440 * 200 + 20], -1).round().astype(np.uint8)
    region = local_region(face)
    crops = place_crops(region, head, SIZE)
    _, feathers = region_masks(region, head, crops)
    crop = crop_frame(smooth, crops.to_frame[0], SIZE).astype(np.float32) / 255
    back = paste_back(smooth, crop, feathers[0], crops.to_frame[0])
    assert np.abs(back.astype(int) - smooth).max() <= 2


def test_starting_from_another_network_copies_what_fits_and_leaves_the_rest(
    network: FaceUpdateNetwork, face: PersonFace, head: Reconstruction, tmp_path: Path
) -> None:
    save_network(tmp_path / "network.safetensors", network)
    wider = FaceUpdateNetwork(dataclasses.replace(network.config, widths=(16, 16, 16, 32)), face)
    before = {name: value.clone() for name, value in wider.state_dict().items()}
    start_from(wider, tmp_path / "network.safetensors")
    given = network.state_dict()
    for name, value in wider.state_dict().items():
        fits = given[name].shape == value.shape
        torch.testing.assert_close(value, given[name].half().float() if fits else before[name], rtol=0, atol=0)
    assert not torch.equal(before["generator.texture_map.base"], wider.state_dict()["generator.texture_map.base"])


def test_sharpening_is_kept_and_networks_from_before_it_are_refused(
    network: FaceUpdateNetwork, face: PersonFace, head: Reconstruction, tmp_path: Path
) -> None:
    path = tmp_path / "network.safetensors"
    config = dataclasses.replace(network.config, sharpening=0.25)
    save_network(path, FaceUpdateNetwork(config, face))
    assert load_network(path, face).compositor.sharpening == 0.25
    arrays, metadata = load_arrays(path)
    values = json.loads(metadata["config"])
    del values["sharpening"]
    save_arrays(path, arrays, {"config": json.dumps(values)})
    with pytest.raises(CheckpointError, match="this version"):
        load_network(path, face)
