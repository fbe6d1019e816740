"""Tracks on disk, with blendshape scores and without, and when the blendshape network runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_face import draw_frames, perform, performance, person

from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.face.landmarks import FaceLandmarker
from talkinghead.face.tracking import load_track, save_track, track_clip
from talkinghead.files import Arrays, load_arrays, save_arrays
from talkinghead.structures import BLENDSHAPES, LANDMARKS, Frame, Track

FRAMES = 3


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """A drawn face, after one image without a face."""
    times_s = np.arange(FRAMES) / 25
    images = list(draw_frames(person(0), perform(person(0), performance(1.0, 0), times_s)))
    images[0] = np.full_like(images[0], 128)
    return [Frame(image, float(time_s)) for image, time_s in zip(images, times_s, strict=True)]


def random_track(with_blendshapes: bool) -> Track:
    draw = np.random.default_rng(0)
    return Track(
        landmarks=draw.uniform(0, 64, (FRAMES, LANDMARKS, 3)).astype(np.float32),
        valid=np.array([True, False, True]),
        times_s=np.array([0.0, 0.04, 0.1]),
        width=64,
        height=48,
        blendshapes=draw.uniform(0, 1, (FRAMES, BLENDSHAPES)).astype(np.float32) if with_blendshapes else None,
        cuts=np.array([1, 2]) if with_blendshapes else np.zeros(0, np.int64),
    )


def test_the_blendshape_network_does_not_run_unless_asked(
    landmarker: FaceLandmarker, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, runs = landmarker._blendshapes, []
    monkeypatch.setattr(landmarker, "_blendshapes", lambda points: runs.append(points) or network(points))
    height, width = frames[0].image.shape[:2]
    without = track_clip(frames, landmarker, width, height)
    assert without.valid.tolist() == [False, True, True]
    assert without.blendshapes is None and not runs
    scored = track_clip(frames, landmarker, width, height, with_blendshapes=True)
    assert len(runs) == 2
    assert scored.blendshapes is not None and scored.blendshapes.shape == (FRAMES, BLENDSHAPES)
    assert scored.blendshapes.dtype == np.float32 and not scored.blendshapes[0].any()
    assert (scored.blendshapes[1:] >= 0).all() and (scored.blendshapes[1:] <= 1).all() and scored.blendshapes[1:].any()
    np.testing.assert_array_equal(scored.landmarks, without.landmarks)


def test_an_empty_clip_has_scores_for_no_frame(landmarker: FaceLandmarker) -> None:
    scored = track_clip([], landmarker, 320, 240, with_blendshapes=True)
    assert scored.blendshapes is not None and scored.blendshapes.shape == (0, BLENDSHAPES)


@pytest.mark.parametrize("with_blendshapes", [False, True])
def test_a_saved_track_is_the_same(tmp_path: Path, with_blendshapes: bool) -> None:
    track = random_track(with_blendshapes)
    save_track(track, tmp_path / "track.safetensors")
    loaded = load_track(tmp_path / "track.safetensors")
    for field in dataclasses.fields(Track):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(track, field.name))
    arrays, _ = load_arrays(tmp_path / "track.safetensors")
    assert ("blendshapes" in arrays) == with_blendshapes


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """Written out as they were then: with scores, the same format."""
    track = random_track(True)
    arrays: Arrays = {
        "landmarks": track.landmarks,
        "blendshapes": np.asarray(track.blendshapes),
        "valid": track.valid,
        "times_s": track.times_s,
        "size": np.array([64, 48], np.int64),
    }
    save_arrays(tmp_path / "track.safetensors", arrays, {"format": "talkinghead/track/1"})
    loaded = load_track(tmp_path / "track.safetensors")
    np.testing.assert_array_equal(loaded.blendshapes, track.blendshapes)
    np.testing.assert_array_equal(loaded.landmarks, track.landmarks)
    assert (loaded.width, loaded.height, len(loaded)) == (64, 48, FRAMES)


@pytest.mark.parametrize(
    "changed",
    [
        {"landmarks": np.full((FRAMES, LANDMARKS, 3), np.nan, np.float32)},
        {"landmarks": np.full((FRAMES, LANDMARKS, 3), 1e6, np.float32)},
        {"landmarks": np.zeros((FRAMES, 3), np.float32)},
        {"blendshapes": np.full((FRAMES, BLENDSHAPES), np.nan, np.float32)},
        {"blendshapes": np.zeros((FRAMES, 7), np.float32)},
        {"times_s": np.zeros(FRAMES)},
        {"size": np.array([0, 48])},
        {"size": np.array([64])},
        {"cuts": np.array([2, 1])},
        {"cuts": np.array([0, 1])},
        {"cuts": np.array([FRAMES])},
        {"cuts": np.array([np.nan])},
    ],
    ids=str,
)
def test_damaged_tracks_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    path = tmp_path / "track.safetensors"
    with pytest.raises(MissingFileError):
        load_track(path)
    save_track(random_track(True), path)
    arrays, metadata = load_arrays(path)
    save_arrays(path, arrays | changed, metadata)
    with pytest.raises(CheckpointError):
        load_track(path)
