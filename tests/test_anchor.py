"""The ANCHOR folder: both formats load and give the same frames, and what a folder lacks is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn_face import DrawnClip
from speech_models import needs_default_weights

from talkinghead.anchor import (
    APPEARANCE_FILE,
    CALIBRATION_FILE,
    FORMATS,
    RECONSTRUCTION_FILE,
    TRACK_FILE,
    Anchor,
    lacks,
    load_anchor,
    read_description,
)
from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.face.tracking import load_track, save_track
from talkinghead.files import load_arrays, save_arrays, sha256_of
from talkinghead.generation.pipeline import generate
from talkinghead.structures import ByteArray, Track

pytestmark = pytest.mark.usefixtures("own_caches")


def rewrite_description(folder: Path, file_format: str) -> None:
    """Give anchor.json another format and the hashes of the files that are there."""
    path = folder / "anchor.json"
    description = json.loads(path.read_text())
    names = [name for name in description["sha256"] if (folder / name).exists()]
    hashes = {name: sha256_of(folder / name) for name in names}
    path.write_text(json.dumps(description | {"format": file_format, "sha256": hashes}))


@pytest.fixture(scope="module")
def format_1(anchor_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared ANCHOR as an earlier version wrote it: without misfit and without speech calibration."""
    folder = shutil.copytree(anchor_folder, tmp_path_factory.mktemp("format 1") / "person")
    arrays, metadata = load_arrays(folder / RECONSTRUCTION_FILE)
    assert metadata["format"] == "talkinghead/reconstruction/2"
    del arrays["misfit_cm"]
    save_arrays(folder / RECONSTRUCTION_FILE, arrays, {"format": "talkinghead/reconstruction/1"})
    (folder / CALIBRATION_FILE).unlink(missing_ok=True)
    rewrite_description(folder, "talkinghead/anchor/1")
    return folder


def frames_of(anchor: Anchor, speech: Path, expression: Path | None) -> list[ByteArray]:
    with generate(anchor, speech, expression=expression, device="cpu") as stream:
        return [frame.image for frame in stream]


def test_a_new_folder_is_of_format_2_and_lacks_nothing_but_a_calibration_at_most(anchor_folder: Path) -> None:
    description = read_description(anchor_folder)
    assert description["format"] == FORMATS[-1] == "talkinghead/anchor/2"
    missing = lacks(description)
    has_calibration = (anchor_folder / CALIBRATION_FILE).exists()
    assert len(missing) == (0 if has_calibration else 1)
    assert CALIBRATION_FILE not in description["sha256"] or load_anchor(anchor_folder).calibration is not None


def test_an_anchor_whose_clip_was_read_otherwise_is_refused(anchor_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(anchor_folder, tmp_path / "person")
    description = read_description(folder)
    assert description["clip"]["pictures"] == {}
    description["clip"]["pictures"] = {"pixel_aspect": "4:3"}
    (folder / "anchor.json").write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match=r"read its clip in another way \(now: as it is\); train it again"):
        load_anchor(folder)


def test_format_1_has_the_misfit_that_format_2_stores(format_1: Path, anchor: Anchor) -> None:
    old = load_anchor(format_1)
    np.testing.assert_array_equal(old.reconstruction.misfit_cm, anchor.reconstruction.misfit_cm)
    assert old.calibration is None
    assert anchor.reconstruction.misfit_cm[anchor.reconstruction.valid].min() > 0


def test_format_1_gives_the_frames_of_format_2(
    format_1: Path, anchor: Anchor, speech: Path, expression_file: Path
) -> None:
    one, two = (frames_of(found, speech, expression_file) for found in (load_anchor(format_1), anchor))
    assert len(one) == len(two) > 30
    np.testing.assert_array_equal(np.stack(one), np.stack(two))


@needs_default_weights
def test_format_1_gives_the_frames_of_format_2_from_speech(format_1: Path, anchor: Anchor, speech: Path) -> None:
    """Its calibration is fitted at the first generation, to the same numbers."""
    assert anchor.calibration is not None
    one, two = (frames_of(found, speech, None) for found in (load_anchor(format_1), anchor))
    np.testing.assert_array_equal(np.stack(one), np.stack(two))


def test_what_a_folder_lacks_is_named(format_1: Path, anchor_folder: Path, tmp_path: Path) -> None:
    misfit, calibration = lacks(read_description(format_1))
    assert "misfit" in misfit and "calibration" in calibration
    folder = shutil.copytree(anchor_folder, tmp_path / "person")
    (folder / APPEARANCE_FILE).unlink()
    (folder / CALIBRATION_FILE).unlink(missing_ok=True)
    rewrite_description(folder, FORMATS[-1])
    calibration, appearance = lacks(read_description(folder))
    assert "calibration" in calibration and "appearance" in appearance
    description = read_description(folder)
    del description["clip"]["loops"]
    assert "loop" in lacks(description)[-1]
    assert load_anchor(folder).appearance is None


def test_other_formats_are_refused(anchor_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(anchor_folder, tmp_path / "person")
    rewrite_description(folder, "talkinghead/anchor/3")
    for read in (load_anchor, read_description):
        with pytest.raises(CheckpointError, match="anchor/3"):
            read(folder)
    with pytest.raises(MissingFileError):
        load_anchor(tmp_path / "none")


@pytest.mark.parametrize("name", [RECONSTRUCTION_FILE, TRACK_FILE, APPEARANCE_FILE])
def test_a_file_that_was_changed_is_refused(anchor_folder: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(anchor_folder, tmp_path / "person")
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        load_anchor(folder)


def test_a_track_of_another_clip_is_refused_where_it_is_needed(format_1: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(format_1, tmp_path / "person")
    track = load_track(folder / TRACK_FILE)
    shorter = Track(track.landmarks[1:], track.valid[1:], track.times_s[1:], track.width, track.height)
    save_track(shorter, folder / TRACK_FILE)
    rewrite_description(folder, FORMATS[0])
    with pytest.raises(CheckpointError, match="not of one clip"):
        load_anchor(folder)


def test_the_rest_is_a_closed_mouth(anchor: Anchor, clip: DrawnClip) -> None:
    opening = anchor.face.opening(np.stack([anchor.rest_expression()]))[0]
    own = anchor.face.opening(anchor.reconstruction.expression)
    assert opening < np.quantile(own, 0.25)
    assert anchor.model is anchor.face.model and len(anchor.reconstruction) == len(clip.times_s)
