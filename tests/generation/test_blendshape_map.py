"""The map between ARKit's weights and an expression: exact where it is linear, bounded, and checked when it is read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.errors import CheckpointError
from talkinghead.face.face_model import load_face_model
from talkinghead.files import load_arrays, save_arrays, sha256_of
from talkinghead.generation.blendshapes.mapping import FILE, BlendshapeMap, load_map, map_for, save_map
from talkinghead.generation.blendshapes.names import ARKIT_SHAPES, MOUTH_SHAPES
from talkinghead.weights.bundled import checkpoint_path

EXPRESSIONS, HIDDEN, SHAPES = 4, 5, 2
JAW_OPEN = ARKIT_SHAPES.index("jawOpen")


def small_map(networks: int = 2) -> BlendshapeMap:
    draw = np.random.default_rng(0)

    def random(*size: int) -> np.ndarray:
        return draw.normal(size=size).astype(np.float32)

    return BlendshapeMap(
        movement=random(len(ARKIT_SHAPES), EXPRESSIONS),
        resting=np.full(len(ARKIT_SHAPES), 0.1, np.float32),
        shapes=np.array([JAW_OPEN, 3]),
        enter=random(networks, HIDDEN, EXPRESSIONS + 1),
        hidden=random(networks, HIDDEN, HIDDEN + 1),
        leave=random(networks, SHAPES, HIDDEN + 1),
    )


@pytest.fixture(scope="module")
def shipped() -> BlendshapeMap:
    return load_map(checkpoint_path(FILE))[0]


@pytest.fixture(scope="module")
def presenter() -> Anchor:
    return load_anchor("presenter")


def test_the_networks_are_those_of_torch() -> None:
    one = small_map(networks=1)
    layers = [torch.nn.Linear(EXPRESSIONS, HIDDEN), torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.Linear(HIDDEN, SHAPES)]
    for layer, values in zip(layers, (one.enter, one.hidden, one.leave), strict=True):
        layer.weight.data, layer.bias.data = torch.from_numpy(values[0, :, :-1]), torch.from_numpy(values[0, :, -1])
    network = torch.nn.Sequential(layers[0], torch.nn.SiLU(), layers[1], torch.nn.SiLU(), layers[2])
    expression = np.random.default_rng(1).normal(size=(9, EXPRESSIONS)).astype(np.float32)
    rest = np.ones(EXPRESSIONS, np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(expression - rest)).clamp(0, 1).numpy()
    np.testing.assert_allclose(one.weights_of(expression, rest)[:, one.shapes], expected, atol=1e-6)


def test_weights_of_zero_are_the_mouth_at_rest() -> None:
    one, rest = small_map(), np.arange(EXPRESSIONS, dtype=np.float32)
    np.testing.assert_array_equal(one.expression_of(np.zeros((3, 52), np.float32), rest), [rest] * 3)


def test_a_weight_moves_the_expression_by_its_shape() -> None:
    one, rest = small_map(), np.zeros(EXPRESSIONS, np.float32)
    weights = np.zeros((10, 52), np.float32)
    weights[-1, JAW_OPEN] = 0.5
    np.testing.assert_allclose(one.expression_of(weights, rest)[-1], one.movement[JAW_OPEN] / 2, atol=1e-6)


def test_a_mouth_that_never_closes_is_not_taken_for_a_closed_one() -> None:
    one = small_map()
    weights = np.zeros((10, 52), np.float32)
    weights[:, JAW_OPEN] = 9.0
    np.testing.assert_allclose(one.resting_in(weights), one.resting)


@pytest.mark.parametrize(("share", "taken"), [(0.0, 0.0), (0.2, 0.4), (0.6, 1.0), (1.0, 1.0)])
def test_the_share_of_rest_in_a_recording(share: float, taken: float) -> None:
    one, rest = small_map(), np.zeros(EXPRESSIONS, np.float32)
    weights = np.tile(share * one.resting, (10, 1)).astype(np.float32)
    np.testing.assert_allclose(one.resting_in(weights), taken * one.resting, atol=1e-6)
    expected = (share - taken) * one.resting @ one.movement
    np.testing.assert_allclose(one.expression_of(weights, rest), np.tile(expected, (10, 1)), atol=1e-5)


def test_the_shipped_map_opens_the_mouth_by_the_jaw_and_closes_it(shipped: BlendshapeMap, presenter: Anchor) -> None:
    weights = np.zeros((20, 52), np.float32)
    weights[10:, JAW_OPEN] = 0.3
    weights[15:, ARKIT_SHAPES.index("mouthClose")] = 0.3
    gap = presenter.face.lip_gap(shipped.expression_of(weights, presenter.rest_expression()))
    assert gap[12] - gap[0] > 0.5 and gap[17] - gap[0] < 0.2


def test_the_shipped_map_is_symmetric_and_gives_the_mouth_alone(shipped: BlendshapeMap, presenter: Anchor) -> None:
    smile = np.zeros((20, 52), np.float32)
    smile[10:, [ARKIT_SHAPES.index("mouthSmileLeft"), ARKIT_SHAPES.index("mouthSmileRight")]] = 0.5
    rest = presenter.rest_expression()
    moved = np.tensordot(shipped.expression_of(smile, rest) - rest, presenter.model.expression_basis, 1)[15]
    right, left = moved[61], moved[291]
    np.testing.assert_allclose(right * (-1, 1, 1), left, atol=2e-3)
    assert left[0] > 0.1 and left[1] > 0.1  # outwards and up
    weights = shipped.weights_of(presenter.reconstruction.expression, rest)
    mouth = np.isin(ARKIT_SHAPES, MOUTH_SHAPES)
    assert weights.min() >= 0 and weights.max() <= 1 and not weights[:, ~mouth].any()


def test_the_shipped_map_finds_the_true_weights_of_the_built_in_anchor(
    shipped: BlendshapeMap, presenter: Anchor
) -> None:
    """It was fitted to this person among others: a floor under what benchmarks/arkit.py measures."""
    from talkinghead.training.arkit.ict_face import in_arkit_order

    arrays, metadata = load_arrays(Path(__file__).parents[2] / "data" / "presenter" / "presenter.safetensors")

    names = json.loads(metadata["about"])["expression_names"]
    true = in_arkit_order(arrays["expression"].T.astype(np.float64), names, sides="mean").T
    found = shipped.weights_of(presenter.reconstruction.expression, presenter.rest_expression())
    for name, least in (("jawOpen", 0.85), ("mouthPucker", 0.85), ("mouthSmileLeft", 0.8)):
        at = ARKIT_SHAPES.index(name)
        assert np.corrcoef(found[:, at], true[: len(found), at])[0, 1] > least, name
    driven = shipped.expression_of(true.astype(np.float32), presenter.rest_expression())
    gap = presenter.face.lip_gap(driven)
    opening = arrays["opening_cm"][: len(gap)]
    assert np.corrcoef(gap, opening)[0, 1] > 0.95 and 0.9 < gap.std() / opening.std() < 1.1


def test_a_map_is_written_and_read(tmp_path: Path) -> None:
    path, one = tmp_path / "map.safetensors", small_map()
    save_map(path, one, "a" * 64)
    read, face_model = load_map(path)
    assert face_model == "a" * 64
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(one, field.name))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("movement", np.zeros((51, EXPRESSIONS), np.float32)),
        ("resting", np.full(52, np.nan, np.float32)),
        ("shapes", np.array([1, 52])),
        ("shapes", np.array([1, 1])),
        ("shapes", np.array([1.0, 2.0])),
        ("enter", np.zeros((2, HIDDEN, EXPRESSIONS), np.float32)),
        ("hidden", np.zeros((2, HIDDEN, HIDDEN + 1), np.float64)),
        ("leave", np.zeros((2, 3, HIDDEN + 1), np.float32)),
    ],
)
def test_a_damaged_map_is_refused(tmp_path: Path, name: str, value: np.ndarray) -> None:
    path = tmp_path / "map.safetensors"
    save_map(path, small_map(), "a" * 64)
    arrays, metadata = load_arrays(path)
    save_arrays(path, {**arrays, name: value}, metadata)
    with pytest.raises(CheckpointError, match="do not fit together"):
        load_map(path)


def test_the_map_belongs_to_a_face_model(presenter: Anchor) -> None:
    path = checkpoint_path("face_model.safetensors")
    assert load_map(checkpoint_path(FILE))[1] == sha256_of(path)
    assert map_for(presenter).movement.shape[1] == load_face_model(path).expressions
    with pytest.raises(CheckpointError, match="another face model"):
        map_for(dataclasses.replace(presenter, face_model_sha256="0" * 64))
