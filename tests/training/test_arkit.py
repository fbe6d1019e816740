"""The training of the ARKit map on a head whose correspondence and movement are known, since it is made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.spatial.transform import Rotation

from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.face.face_model import FaceModel, load_face_model
from talkinghead.files import load_arrays
from talkinghead.generation.blendshapes.names import ARKIT_SHAPES
from talkinghead.structures import Reconstruction
from talkinghead.training.arkit import correspondence as correspondence_module
from talkinghead.training.arkit.__main__ import main
from talkinghead.training.arkit.accuracy import accuracy
from talkinghead.training.arkit.correspondence import correspondence, mirror_signs, movement
from talkinghead.training.arkit.fit import FitConfig, fit_map
from talkinghead.training.arkit.ict_face import COMPONENTS, SKIN, IctFace, in_arkit_order, load_ict_face
from talkinghead.training.arkit.performer import NECK_CM, Performer
from talkinghead.training.face_model import mirror_vertices
from talkinghead.weights.bundled import checkpoint_path

ROOT = Path(__file__).parents[2]
FRAMES = 120
MOVES = {"jawOpen": 0, "mouthPucker": 1, "mouthSmileLeft": 2}
"""Shapes of the head, and the coefficient of the face model that each moves."""
CAMERA = (np.array([[1200.0, 0, 256], [0, 1200, 256], [0, 0, 1]]), np.array([0, 0, 100.0]))


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model(checkpoint_path("face_model.safetensors"))


@pytest.fixture(scope="module")
def order(model: FaceModel) -> np.ndarray:
    """The vertex of the head that is at each landmark."""
    return np.random.default_rng(3).permutation(len(model.neutral))


@pytest.fixture(scope="module")
def head(model: FaceModel, order: np.ndarray) -> IctFace:
    """The mean face of the face model with its vertices in another order, moved by its own coefficients."""
    neutral = np.zeros((len(order), 3))
    neutral[order] = model.neutral
    shapes = np.zeros((len(ARKIT_SHAPES), len(order), 3))
    for name, coefficient in MOVES.items():
        shapes[ARKIT_SHAPES.index(name)][order] = 2 * model.expression_basis[coefficient]
    normals = np.tile([0.0, 0.0, 1.0], (len(order), 1))
    return IctFace(neutral, shapes, np.zeros((COMPONENTS, len(order), 3)), normals, np.arange(68))


@pytest.fixture(scope="module")
def performer(model: FaceModel, order: np.ndarray, head: IctFace) -> Performer:
    draw = np.random.default_rng(0)
    weights = np.zeros((FRAMES, len(ARKIT_SHAPES)))
    for number, name in enumerate(MOVES):
        weights[:, ARKIT_SHAPES.index(name)] = (1 + np.sin(np.arange(FRAMES) / (5 + 3 * number))) / 2
    expression = 2 * weights[:, [ARKIT_SHAPES.index(name) for name in MOVES]]
    coefficients = np.zeros((FRAMES, model.expressions), np.float32)
    coefficients[:, list(MOVES.values())] = expression
    coefficients += draw.normal(0, 0.05, coefficients.shape).astype(np.float32)
    rotation = draw.normal(0, 0.05, (FRAMES, 3))
    still = np.zeros((FRAMES, 3), np.float32)
    reconstruction = Reconstruction(
        identity=np.zeros(model.identities, np.float32),
        expression=coefficients,
        rotation=still,
        translation=still[:, :2],
        scale=np.ones(FRAMES, np.float32),
        valid=np.ones(FRAMES, np.bool_),
        times_s=np.arange(FRAMES) / 25,
        misfit_cm=np.zeros(FRAMES),
    )
    opening = model.of(reconstruction.identity).lip_gap(coefficients)
    person = Performer(
        weights=weights,
        opening_cm=opening.astype(np.float64),
        mouth_cm=np.zeros((FRAMES, 20, 3)),
        neutral=head.neutral,
        rotation_rad=rotation,
        translation_cm=draw.normal(0, 0.3, (FRAMES, 3)),
        camera=CAMERA,
        landmarks_px=np.zeros((FRAMES, len(order), 2), np.float32),
        reconstruction=reconstruction,
        rest=np.median(coefficients[opening <= np.quantile(opening, 0.15)], axis=0),
    )
    for frame in range(FRAMES):
        person.landmarks_px[frame] = person.vertices_px(head, frame)[order]
    return person


def test_vertices_are_projected_by_pose_and_camera(performer: Performer, head: IctFace) -> None:
    """The neck's pivot does not turn; a point 1 cm to the person's left of it is focal / distance px to the right."""
    point = NECK_CM + np.array([1.0, 0, 0])
    bare = IctFace(point[None], np.zeros((52, 1, 3)), head.identity[:, :1], head.normals[:1], head.landmarks)
    turned = Rotation.from_euler("XYZ", performer.rotation_rad[7]).as_matrix()[:, 0]
    place = NECK_CM + turned + performer.translation_cm[7]
    (found,) = Performer(**{**vars(performer), "neutral": point[None]}).vertices_px(bare, 7)
    depth = 100 - place[2]
    np.testing.assert_allclose(found, [256 + 1200 * place[0] / depth, 256 - 1200 * place[1] / depth])


def test_landmarks_find_their_vertices(performer: Performer, head: IctFace, order: np.ndarray) -> None:
    assert (correspondence(performer, head) == order).mean() > 0.99


def test_a_vertex_that_faces_away_is_no_landmark(performer: Performer, head: IctFace, order: np.ndarray) -> None:
    normals = head.normals.copy()
    normals[order[13]] = (0, 0, -1)
    turned = IctFace(head.neutral, head.shapes, head.identity, normals, head.landmarks)
    assert correspondence(performer, turned)[13] != order[13]


def test_movement_is_that_of_the_coefficients(
    model: FaceModel, head: IctFace, order: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correspondence_module, "DEPTH_SHARES", (1.0, 1.0))
    moved = movement(order, head, model, np.random.default_rng(0))
    for name, coefficient in MOVES.items():
        expected = np.zeros(model.expressions)
        expected[coefficient] = 2
        np.testing.assert_allclose(moved[ARKIT_SHAPES.index(name)], expected, atol=0.05)
    assert not moved[ARKIT_SHAPES.index("browInnerUp")].any()


def test_coefficients_are_symmetric_or_antisymmetric(model: FaceModel) -> None:
    signs = mirror_signs(model, mirror_vertices(model.neutral))
    assert set(signs.tolist()) == {-1.0, 1.0}
    symmetric = model.expression_basis[:, 13, 0]  # the middle of the lip moves sideways in antisymmetric ones alone
    assert np.abs(symmetric[signs > 0]).max() < 1e-3 < np.abs(symmetric[signs < 0]).max()


def test_a_map_is_fitted_and_finds_the_weights(performer: Performer, head: IctFace, model: FaceModel) -> None:
    config = FitConfig(networks=1, hidden=32, draws=4000, batch=128, steps=400)
    found = fit_map([performer], head, model, config)
    measured = accuracy(found, performer, model)
    assert measured.shapes_r["jawOpen"] > 0.9 and measured.shapes_r["mouthPucker"] > 0.9
    # A head of one-sided smiles: of left and right, which are swapped in half of what is learned on, both are known.
    assert set(measured.shapes_r) == set(MOVES)
    again = fit_map([performer], head, model, config)
    np.testing.assert_array_equal(again.leave, found.leave)


def test_shapes_in_arkits_order() -> None:
    names = ["browInnerUp_L", "browInnerUp_R", "jawOpen", "mouthSmile_R", "cheekRaiser_L"]
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = dict(zip(ARKIT_SHAPES, in_arkit_order(values, names, sides="sum").tolist(), strict=True))
    assert {name: value for name, value in found.items() if value} == {
        "browInnerUp": 3.0,
        "jawOpen": 3.0,
        "mouthSmileRight": 4.0,
    }
    assert in_arkit_order(values, names, sides="mean")[ARKIT_SHAPES.index("browInnerUp")] == 1.5


def test_the_head_model_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="ICT-FaceKit"):
        load_ict_face(tmp_path / "none.npz")
    arguments = [str(ROOT / "data/presenter/presenter.mp4"), "-o", str(tmp_path / "m.safetensors")]
    result = CliRunner().invoke(main, [*arguments, "--ict", str(tmp_path / "none.npz")])
    assert result.exit_code == 1 and "TALKINGHEAD_ICT" in result.output


@pytest.mark.parametrize("arrays", [{"neutral": np.zeros((3, 3))}, {}])
def test_another_npz_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(CheckpointError, match="is not the npz"):
        load_ict_face(tmp_path / "a.npz")


def test_a_head_model_is_read(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    vertices = SKIN + 4
    arrays = {
        "neutral": np.zeros((vertices, 3), np.float32),
        "expression": draw.normal(size=(2, vertices, 3)).astype(np.float16),
        "expression_names": np.array(["jawOpen", "mouthSmile_L"]),
        "identity": np.zeros((COMPONENTS + 1, vertices, 3), np.float16),
        "faces": np.array([[0, 1, 2, -1], [0, SKIN, SKIN + 1, SKIN + 2]]),
        "landmarks68": np.arange(68),
    }
    arrays["neutral"][1, 0], arrays["neutral"][2, 1] = 1, 1
    np.savez(tmp_path / "a.npz", **arrays)
    head = load_ict_face(tmp_path / "a.npz")
    assert head.neutral.shape == (SKIN, 3) and head.identity.shape == (COMPONENTS, SKIN, 3)
    np.testing.assert_array_equal(head.shapes[ARKIT_SHAPES.index("mouthSmileLeft")], arrays["expression"][1, :SKIN])
    np.testing.assert_allclose(head.normals[:3], [[0, 0, 1]] * 3)


def test_the_truth_of_the_built_in_people_has_all_that_is_read() -> None:
    from talkinghead.training.arkit.performer import NEEDED

    for name in ("presenter", "henrik"):
        assert set(NEEDED) <= set(load_arrays(ROOT / "data" / "presenter" / f"{name}.safetensors")[0])
