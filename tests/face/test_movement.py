"""A still picture and a mouth that never opens are told from a clip of a person who speaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.face.movement import driving_remarks, is_still, training_remarks
from talkinghead.structures import Reconstruction

CLIP = Path("clip.mp4")


@pytest.fixture(scope="module")
def presenter() -> Anchor:
    return load_anchor("presenter")


def frozen(reconstruction: Reconstruction, *, expression: bool, pose: bool, noise: float = 0.0) -> Reconstruction:
    """Frame 100 all the time, in the coefficients named, with noise of the landmarks' size."""
    draw = np.random.default_rng(0)
    frames = np.full(len(reconstruction), 100)
    still = reconstruction.select(frames if pose else np.arange(len(reconstruction)))
    values = reconstruction.expression[frames if expression else np.arange(len(reconstruction))]
    values = (values + noise * draw.normal(size=values.shape)).astype(np.float32)
    rotation = (still.rotation + noise * 0.01 * draw.normal(size=still.rotation.shape)).astype(np.float32)
    return Reconstruction(
        still.identity,
        values,
        rotation,
        still.translation,
        still.scale,
        still.valid,
        reconstruction.times_s,
        still.misfit_cm,
    )


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_a_still_picture(presenter: Anchor, noise: float) -> None:
    still = frozen(presenter.reconstruction, expression=True, pose=True, noise=noise)
    assert is_still(still, presenter.face)
    assert "shows a still picture" in training_remarks(CLIP, still, presenter.face)[0]
    assert "shows a still picture" in driving_remarks(CLIP, still, presenter.face)[0]


def test_a_head_that_moves_with_its_mouth_shut(presenter: Anchor) -> None:
    shut = frozen(presenter.reconstruction, expression=True, pose=False)
    assert not is_still(shut, presenter.face)
    assert "hardly moves" in training_remarks(CLIP, shut, presenter.face)[0]
    assert driving_remarks(CLIP, shut, presenter.face) == []  # a clip to speak in may well be silent


def test_a_person_who_speaks(presenter: Anchor) -> None:
    spoken = presenter.reconstruction
    for moving in (spoken, frozen(spoken, expression=False, pose=True)):
        assert training_remarks(CLIP, moving, presenter.face) == driving_remarks(CLIP, moving, presenter.face) == []
