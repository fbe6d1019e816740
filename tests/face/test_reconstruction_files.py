"""Reconstructions on disk, in both formats."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.face.face_model import FaceModel, load_face_model
from talkinghead.face.reconstruction_files import load_reconstruction, save_reconstruction
from talkinghead.files import load_arrays, save_arrays
from talkinghead.structures import Reconstruction
from talkinghead.weights.bundled import checkpoint_path

FRAMES = 5


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model(checkpoint_path("face_model.safetensors"))


@pytest.fixture(scope="module")
def reconstruction(model: FaceModel) -> Reconstruction:
    draw = np.random.default_rng(0)

    def random(*shape: int) -> Any:
        return draw.normal(size=shape).astype(np.float32)

    return Reconstruction(
        identity=random(model.identities),
        expression=random(FRAMES, model.expressions),
        rotation=random(FRAMES, 3),
        translation=random(FRAMES, 2),
        scale=np.exp(random(FRAMES)),
        valid=np.array([True, False, True, True, True]),
        times_s=np.array([0.0, 0.04, 0.1, 0.12, 0.2]),
        misfit_cm=draw.uniform(0, 0.1, FRAMES),
    )


def test_a_saved_reconstruction_is_the_same(tmp_path: Path, model: FaceModel, reconstruction: Reconstruction) -> None:
    save_reconstruction(tmp_path / "saved.safetensors", reconstruction)
    loaded, has_misfit = load_reconstruction(tmp_path / "saved.safetensors", model)
    assert has_misfit
    for field in dataclasses.fields(Reconstruction):
        given, found = getattr(reconstruction, field.name), getattr(loaded, field.name)
        assert found.dtype == given.dtype
        np.testing.assert_array_equal(found, given)


def test_format_1_has_no_misfit(tmp_path: Path, model: FaceModel, reconstruction: Reconstruction) -> None:
    path = tmp_path / "old.safetensors"
    arrays = dataclasses.asdict(reconstruction)
    del arrays["misfit_cm"]
    save_arrays(path, arrays, {"format": "talkinghead/reconstruction/1"})
    loaded, has_misfit = load_reconstruction(path, model)
    assert not has_misfit and np.isnan(loaded.misfit_cm).all() and len(loaded.misfit_cm) == FRAMES
    np.testing.assert_array_equal(loaded.expression, reconstruction.expression)


@pytest.mark.parametrize(
    "changed",
    [
        {"misfit_cm": np.full(FRAMES, np.nan)},
        {"misfit_cm": np.zeros(FRAMES, np.float32)},
        {"misfit_cm": np.zeros(FRAMES + 1)},
        {"times_s": np.zeros(FRAMES)},
        {"times_s": np.zeros(())},
        {"valid": np.zeros(FRAMES, np.bool_)},
        {"scale": np.zeros(FRAMES, np.float32)},
        {"rotation": np.full((FRAMES, 3), np.inf, np.float32)},
        {"identity": np.zeros(3, np.float32)},
        {"expression": np.zeros((FRAMES, 2), np.float32)},
    ],
    ids=str,
)
def test_damaged_files_are_refused(
    tmp_path: Path, model: FaceModel, reconstruction: Reconstruction, changed: dict[str, Any]
) -> None:
    path = tmp_path / "saved.safetensors"
    with pytest.raises(MissingFileError):
        load_reconstruction(path, model)
    save_reconstruction(path, reconstruction)
    arrays, metadata = load_arrays(path)
    save_arrays(path, arrays | changed, metadata)
    with pytest.raises(CheckpointError):
        load_reconstruction(path, model)


def test_files_that_lack_an_array_are_refused(tmp_path: Path, model: FaceModel, reconstruction: Reconstruction) -> None:
    path = tmp_path / "saved.safetensors"
    for name in dataclasses.asdict(reconstruction):
        save_reconstruction(path, reconstruction)
        arrays, metadata = load_arrays(path)
        del arrays[name]
        save_arrays(path, arrays, metadata)
        with pytest.raises(CheckpointError):
            load_reconstruction(path, model)
