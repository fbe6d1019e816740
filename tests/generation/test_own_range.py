"""The range of an anchor's own expressions."""

from __future__ import annotations

import numpy as np
import pytest

from talkinghead.face.face_model import FaceModel, load_face_model
from talkinghead.generation.own_range import SIMILAR, SOFTNESS, USUAL, OwnRange
from talkinghead.weights.bundled import checkpoint_path

RATE_HZ = 25.0


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model(checkpoint_path("face_model.safetensors"))


@pytest.fixture(scope="module")
def own(model: FaceModel) -> np.ndarray:
    """A ring in two directions, and others that hardly move: the middle of the ring is not shown."""
    draw = np.random.default_rng(0)
    angle = draw.uniform(0, 2 * np.pi, 1000)
    others = 0.05 * draw.normal(size=(1000, model.expressions - 2))
    return np.concatenate([np.stack([2 * np.cos(angle), np.sin(angle)], 1), others], 1).astype(np.float32) + 1


@pytest.fixture(scope="module")
def limits(model: FaceModel, own: np.ndarray) -> OwnRange:
    return OwnRange.of(model, own, RATE_HZ)


def shape_distance_cm(model: FaceModel, one: np.ndarray, other: np.ndarray) -> float:
    """By the mesh itself: how far its vertices lie apart, each by its importance."""
    moved = np.tensordot(one - other, model.reach_basis, 1)
    return float(np.sqrt(((moved**2).sum(1) * model.importance).sum() / model.importance.sum()))


def fifth_cm(limits: OwnRange, expression: np.ndarray) -> np.ndarray:
    distances = np.linalg.norm((expression @ limits.to_shape)[:, None] - limits.own, axis=2)
    return np.sort(distances, axis=1)[:, SIMILAR - 1]


def test_distances_are_those_of_the_mesh(model: FaceModel, own: np.ndarray, limits: OwnRange) -> None:
    ours = np.linalg.norm((own[0] - own[1]) @ limits.to_shape)
    assert ours == pytest.approx(shape_distance_cm(model, own[0], own[1]), rel=1e-3)


def test_the_clips_expressions_stay_bit_for_bit(own: np.ndarray, limits: OwnRange) -> None:
    bent, beyond = limits.bend(own)
    assert beyond.mean() <= 1 - USUAL  # with their neighbors in time, they are at least as similar as without
    np.testing.assert_array_equal(bent[~beyond], own[~beyond])


def test_new_expressions_like_the_clips_stay_too(model: FaceModel, own: np.ndarray) -> None:
    _, beyond = OwnRange.of(model, own[:500], RATE_HZ).bend(own[500:])
    assert beyond.mean() < 2 * (1 - USUAL)


def test_no_exaggeration_ends_far_from_the_clip(own: np.ndarray, limits: OwnRange) -> None:
    mean = own.mean(0)
    bent, beyond = limits.bend((mean + 100 * (own - mean)).astype(np.float32))
    assert beyond.all()
    assert fifth_cm(limits, bent).max() <= 2 * (1 + SOFTNESS) * limits.usual_cm
    # The mouth still goes where it was asked to: each expression keeps its side of the mean.
    assert (((bent - mean) * (own - mean)).sum(1) > 0).mean() > 0.99


def test_a_combination_that_was_never_shown_is_drawn_to_what_was(own: np.ndarray, limits: OwnRange) -> None:
    middle = own.mean(0)[None]
    bent, beyond = limits.bend(middle)
    assert fifth_cm(limits, middle)[0] > 2 * limits.usual_cm and beyond.all()
    assert fifth_cm(limits, bent)[0] < 0.8 * fifth_cm(limits, middle)[0]


def test_what_was_shown_once_is_not_enough(model: FaceModel, own: np.ndarray) -> None:
    odd = own[:1] + 6 * (own[:1] - own.mean(0))
    bent, beyond = OwnRange.of(model, np.concatenate([own, odd]), RATE_HZ).bend(odd)
    assert beyond.all() and not np.allclose(bent, odd, atol=0.5)


def test_bending_is_continuous(own: np.ndarray, limits: OwnRange) -> None:
    asked = (own.mean(0) + np.linspace(1, 3, 2001)[:, None] * (own[:1] - own.mean(0))).astype(np.float32)
    bent, beyond = limits.bend(asked)
    steps = np.linalg.norm(np.diff(bent, axis=0), axis=1)
    assert steps.max() <= 5 * np.linalg.norm(np.diff(asked, axis=0), axis=1).max()
    assert beyond[-1] and not beyond[0]


@pytest.mark.parametrize("frames", [1, 3])
def test_a_clip_of_one_expression_has_a_range_too(model: FaceModel, frames: int) -> None:
    limits = OwnRange.of(model, np.ones((frames, model.expressions), np.float32), RATE_HZ)
    bent, _ = limits.bend(np.full((2, model.expressions), 5, np.float32))
    assert np.isfinite(bent).all() and np.abs(bent - 1).max() < 0.5
