"""The whole system against a known truth: the built-in presenter was computed, not recorded.

What is measured, and how, is benchmarks/ground_truth.py; here it is held to bounds.
"""

from __future__ import annotations

import json
from pathlib import Path

import ground_truth
import numpy as np
import pytest
from ground_truth import CLIPS, DATA, Measured, Truth

from talkinghead import metrics
from talkinghead.anchor import Anchor, load_anchor
from talkinghead.face.landmarks import FaceLandmarker
from talkinghead.face.region_removal import crop_frame, paste_back, place_crops
from talkinghead.files import load_arrays
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.video_reader import VideoReader
from talkinghead.weights.bundled import anchor_folder

FRAMES = 260
"""As many are tracked: 10.4 s."""


@pytest.fixture(scope="module")
def presenter() -> Anchor:
    """A built-in anchor."""
    return load_anchor(anchor_folder(Path("presenter")))


@pytest.fixture(scope="module", params=sorted(CLIPS))
def anyone(request: pytest.FixtureRequest) -> tuple[str, Anchor]:
    """The name of a built-in anchor, and the anchor."""
    return request.param, load_anchor(anchor_folder(Path(request.param)))


@pytest.fixture(scope="module", params=sorted(CLIPS))
def tracked(request: pytest.FixtureRequest, presenter: Anchor, landmarker: FaceLandmarker) -> tuple[Measured, Truth]:
    return ground_truth.measure(request.param, presenter.model, landmarker, FRAMES), Truth.load(request.param)


@pytest.mark.parametrize(("name", "least_s"), [("presenter", 20), ("henrik", 40)])
def test_clip_audio_and_truth_have_one_length(name: str, least_s: float) -> None:
    arrays, metadata = load_arrays(DATA / f"{name}.safetensors")
    about = json.loads(metadata["about"])
    with VideoReader(CLIPS[name]) as reader:
        count = sum(1 for _ in reader)
        assert float(reader.info.frame_rate) == about["frame_rate"] == 25
    assert arrays["expression"].shape == (count, len(about["expression_names"]))
    assert arrays["landmarks_px"].shape == (count, 68, 2)
    assert len(arrays["phone_times_s"]) == len(about["phones"])
    assert read_audio(CLIPS[name]).duration_s == pytest.approx(count / 25, abs=0.05)
    assert count / 25 >= least_s


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_the_end_of_a_clip_meets_its_beginning(name: str) -> None:
    places = Truth.load(name).landmarks_px
    steps = np.linalg.norm(np.diff(places, axis=0), axis=-1).mean(1)
    assert np.linalg.norm(places[0] - places[-1], axis=-1).mean() < np.median(steps) + 0.2


def test_the_known_points_are_where_the_camera_sees_them() -> None:
    """The image of the points in space by the camera's matrix, written out once more."""
    arrays, _ = load_arrays(DATA / "presenter.safetensors")
    across, up, towards = np.moveaxis(arrays["landmarks_cm"] - arrays["camera_cm"], -1, 0)
    focal, center = arrays["camera_intrinsics"][0, 0], arrays["camera_intrinsics"][0, 2]
    image_px = np.stack([center - focal * across / towards, center + focal * up / towards], -1)
    np.testing.assert_allclose(image_px, arrays["landmarks_px"], atol=0.01)


def test_lip_landmarks_lie_on_the_known_lips(tracked: tuple[Measured, Truth]) -> None:
    measured, truth = tracked
    assert measured.track.valid.all()
    raw_px, moving_px = ground_truth.lips_off_px(measured, truth)
    assert raw_px < 5.0
    assert moving_px < 1.5


def test_the_reconstructed_opening_is_the_known_opening(tracked: tuple[Measured, Truth]) -> None:
    """0.97 is wanted. The landmark model sets the inner edge of the upper lip too high where teeth show."""
    measured, truth = tracked
    assert ground_truth.opening_agrees(measured.opening, truth) >= 0.92


def test_the_rigid_pose_is_the_known_pose(tracked: tuple[Measured, Truth]) -> None:
    turn, place_px, nod = ground_truth.pose_off(*tracked)
    assert turn.max() < 0.6
    assert place_px < 3.5
    assert abs(nod) < 1.5


def test_the_removed_region_holds_the_known_lips_and_chin(tracked: tuple[Measured, Truth], presenter: Anchor) -> None:
    measured, truth = tracked
    assert ground_truth.share_removed(measured, presenter.model, truth) == 1.0


def test_the_network_renders_held_out_frames(anyone: tuple[str, Anchor]) -> None:
    name, anchor = anyone
    assert ground_truth.held_out_psnr_db(anchor, Truth.load(name)) > 28.0


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_speech_moves_the_mouth_as_it_truly_moved(name: str, anyone: tuple[str, Anchor]) -> None:
    """Their own, and each other's: of words and a voice that the anchor was not calibrated on."""
    truth = Truth.load(name)
    opening, times_s = ground_truth.spoken_opening(anyone[1], name)
    assert ground_truth.opening_agrees(opening, truth) > 0.6
    assert abs(metrics.best_lag(opening, times_s, truth.opening_cm, times_s).lag_ms) <= 40
    assert ground_truth.labial_opening(opening, times_s, truth) < 0.7


def test_a_frame_that_is_cut_and_pasted_back_stays_sharp(presenter: Anchor) -> None:
    """No network restores what cutting costs: bilinear weights would keep 0.70 of the sharpness."""
    size_px = presenter.network.config.size_px
    places = place_crops(presenter.region, presenter.reconstruction, size_px)
    with VideoReader(presenter.clip) as reader:
        frame = next(iter(reader)).image
    crop = crop_frame(frame, places.to_frame[0], size_px).astype(np.float32) / 255
    inside = np.zeros(size_px, np.float32)
    inside[8:-8, 8:-8] = 1
    pasted = paste_back(frame, crop, inside, places.to_frame[0])
    x, y = (places.to_frame[0] @ [size_px[1] / 2, size_px[0] / 2, 1]).round().astype(int)
    middle = np.s_[y - 40 : y + 40, x - 50 : x + 50]
    kept = metrics.sharpness(pasted[middle]) / metrics.sharpness(frame[middle])
    print(f"cut and pasted back: {kept:.3f} of the sharpness")
    assert kept > 0.85
