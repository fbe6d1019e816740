"""The second look: the upper face stays where it is when nothing but the mouth changes."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.face import steady_track as module
from talkinghead.face.region_removal import crop_frame, paste_back, place_crops, region_masks
from talkinghead.face.steady_track import Look, steady_track, with_rigid_points
from talkinghead.face.tracking import track_file
from talkinghead.media.video_reader import VideoReader
from talkinghead.media.video_writer import EncoderSettings, VideoWriter
from talkinghead.structures import Frame, Track
from talkinghead.weights.bundled import anchor_folder

PAIRS, HELD = 8, 4
SIZE_PX = (128, 160)


@pytest.fixture(scope="module")
def presenter() -> Anchor:
    return load_anchor(anchor_folder(Path("presenter")))


@pytest.fixture(scope="module")
def pairs(presenter: Anchor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of the presenter, each twice: as it is, and with the mouth of the frame whose opening differs most."""
    reconstruction = presenter.reconstruction
    chosen = np.linspace(0, len(reconstruction) - 1, PAIRS).astype(int)
    with VideoReader(presenter.clip) as reader:
        images = [frame.image for number, frame in enumerate(reader) if number in set(chosen.tolist())]
    part = reconstruction.select(chosen)
    crops = place_crops(presenter.region, part, SIZE_PX)
    holes, _ = region_masks(presenter.region, part, crops)
    openings = presenter.face.opening(part.expression)
    donors = np.abs(openings[:, None] - openings).argmax(1)
    path = tmp_path_factory.mktemp("pairs") / "pairs.mp4"
    height, width = images[0].shape[:2]
    with VideoWriter(path, width, height, frame_rate=Fraction(25), encoder=EncoderSettings(8)) as writer:
        for number, image in enumerate(images):
            donor = int(donors[number])
            mouth = crop_frame(images[donor], crops.to_frame[donor], SIZE_PX).astype(np.float32) / 255
            inside = cv2.distanceTransform(np.pad(holes[number], 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
            weight = np.clip((inside - 4) / 4, 0, 1).astype(np.float32)
            other = paste_back(image, mouth, weight, crops.to_frame[number])
            # Each is shown for some frames, since where a face is looked for depends on where it was before.
            for place, shown in enumerate([image] * HELD + [other] * HELD):
                writer.write(Frame(shown, (2 * HELD * number + place) / 25))
    return path


def moved_px(track: Track, rigid: np.ndarray) -> float:
    """How far the upper face moves within a pair, as a whole."""
    points = track.landmarks[:, rigid, :2]
    before, after = points[HELD - 1 :: 2 * HELD], points[2 * HELD - 1 :: 2 * HELD]
    return float(np.linalg.norm((after - before).mean(1), axis=1).mean())


@pytest.mark.usefixtures("own_caches")
def test_the_upper_face_does_not_follow_the_mouth(pairs: Path, presenter: Anchor) -> None:
    first, steady = track_file(pairs), steady_track(pairs, presenter.model)
    assert first.valid.all() and len(first) == 2 * HELD * PAIRS
    assert moved_px(steady, presenter.model.rigid) < 0.7 * moved_px(first, presenter.model.rigid)
    local = np.setdiff1d(presenter.model.local, presenter.model.rigid)
    np.testing.assert_array_equal(steady.landmarks[:, local], first.landmarks[:, local])


@pytest.mark.usefixtures("own_caches")
def test_the_second_look_is_taken_once(pairs: Path, presenter: Anchor, monkeypatch: pytest.MonkeyPatch) -> None:
    first = steady_track(pairs, presenter.model)
    monkeypatch.setattr(module, "track_clip", lambda *_, **__: pytest.fail("tracked again"))
    np.testing.assert_array_equal(steady_track(pairs, presenter.model).landmarks, first.landmarks)


@pytest.mark.usefixtures("own_caches")
def test_each_person_of_a_clip_is_looked_at_anew(
    pairs: Path, presenter: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two anchors may be made of one clip of two people: what was found for one is not taken for the other."""
    looks: list[int] = []
    monkeypatch.setattr(module, "track_clip", lambda *_, **__: looks.append(1) or track_file(pairs))
    one = presenter.reconstruction
    for person in (one, dataclasses.replace(one, identity=one.identity + 1), one):
        steady_track(pairs, presenter.model, look=Look(presenter.clip, person))
    assert len(looks) == 2


@pytest.mark.usefixtures("own_caches")
def test_where_the_second_look_finds_another_face_or_none_the_first_counts(pairs: Path, presenter: Anchor) -> None:
    first = track_file(pairs)
    landmarks, valid = first.landmarks + 1, first.valid.copy()
    landmarks[3] += 200
    valid[5] = False
    second = dataclasses.replace(first, landmarks=landmarks[:-1], valid=valid[:-1], times_s=first.times_s[:-1])
    rigid = with_rigid_points(first, second, presenter.model).landmarks[:, presenter.model.rigid]
    kept = [3, 5, len(first) - 1]
    np.testing.assert_array_equal(rigid[kept], first.landmarks[kept][:, presenter.model.rigid])
    others = np.setdiff1d(np.arange(len(first)), kept)
    np.testing.assert_allclose(rigid[others], first.landmarks[others][:, presenter.model.rigid] + 1, atol=1e-3)
