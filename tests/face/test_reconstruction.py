"""Reconstruction against landmarks made from known coefficients."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from talkinghead.errors import NoFaceError
from talkinghead.face.face_model import FaceModel, load_face_model
from talkinghead.face.reconstruction import local_misfit_cm, project, reconstruct, smooth
from talkinghead.face.region_removal import crop_size_px, local_region, place_crops, region_masks
from talkinghead.structures import LANDMARKS, Reconstruction, Track
from talkinghead.weights.bundled import checkpoint_path

RATE_HZ = 25.0


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model(checkpoint_path("face_model.safetensors"))


def known(model: FaceModel, frames: int = 100, seed: int = 0) -> Reconstruction:
    """A head that turns, nods and talks, in a 512 px image."""
    draw = np.random.default_rng(seed)
    t = np.arange(frames) / RATE_HZ
    noise = draw.normal(size=(frames, model.expressions))
    talk = smooth(noise, np.ones(frames), RATE_HZ, 4.0)
    rotation = np.stack([0.08 * np.sin(t), 0.15 * np.sin(0.7 * t), 0.05 * np.cos(t)], 1)
    return Reconstruction(
        identity=draw.normal(size=model.identities).astype(np.float32),
        expression=(talk / talk.std()).astype(np.float32),
        rotation=rotation.astype(np.float32),
        translation=np.stack([256 + 10 * np.sin(t), 260 + 4 * np.cos(1.3 * t)], 1).astype(np.float32),
        scale=(15 + 0.3 * np.sin(0.5 * t)).astype(np.float32),
        valid=np.ones(frames, np.bool_),
        times_s=t,
        misfit_cm=np.zeros(frames),
    )


def tracked(model: FaceModel, truth: Reconstruction, noise_px: float, seed: int = 1) -> Track:
    """The landmarks that such a head gives."""
    shape = model.neutral + np.tensordot(truth.identity, model.identity_basis, 1)
    shape = shape + np.tensordot(truth.expression, model.expression_basis, 1)
    points = project(shape.astype(np.float32), truth, slice(None))
    points = points + np.random.default_rng(seed).normal(0, noise_px, points.shape)
    landmarks = np.zeros((len(truth), LANDMARKS, 3), np.float32)
    landmarks[:, : points.shape[1]] = points
    return Track(landmarks, truth.valid, truth.times_s, 512, 512)


def test_known_coefficients_are_recovered(model: FaceModel) -> None:
    truth = known(model)
    found = reconstruct(tracked(model, truth, noise_px=0.5), model)
    assert found.valid.all()
    # An unknown face may be a little asymmetric or the head a little turned: a constant offset stays open.
    offset = (found.rotation - truth.rotation).mean(0)
    assert np.abs(offset).max() < np.radians(3.0)
    assert np.abs(found.rotation - truth.rotation - offset).max() < np.radians(0.5)
    assert np.abs(found.scale / truth.scale - 1).max() < 0.02
    opening = model.of(truth.identity).opening(truth.expression)
    assert np.corrcoef(model.of(found.identity).opening(found.expression), opening)[0, 1] > 0.98
    lips = [61, 291, 0, 17, 13, 14]
    local = [model.local_index[point] for point in lips]
    true_px = project(model.of(truth.identity).local_shape(truth.expression)[:, local], truth, slice(None))
    found_px = project(model.of(found.identity).local_shape(found.expression)[:, local], found, slice(None))
    assert np.linalg.norm((true_px - found_px)[..., :2], axis=-1).mean() < 0.8


def test_a_known_identity_is_kept(model: FaceModel) -> None:
    truth = known(model)
    found = reconstruct(tracked(model, truth, 0.5), model, identity=truth.identity)
    np.testing.assert_array_equal(found.identity, truth.identity)
    assert np.abs(found.expression - truth.expression).mean() < 0.25


def test_missing_and_wild_frames_are_bridged(model: FaceModel) -> None:
    truth = known(model)
    track = tracked(model, truth, 0.3)
    landmarks, valid = track.landmarks.copy(), track.valid.copy()
    landmarks[40:43], valid[40:43] = 0, False
    landmarks[60] += np.random.default_rng(5).normal(0, 40, landmarks[60].shape).astype(np.float32)
    found = reconstruct(dataclasses.replace(track, landmarks=landmarks, valid=valid), model)
    assert not found.valid[40:43].any()
    assert not found.valid[60]
    turn = found.rotation - truth.rotation
    offset = np.median(turn, axis=0)  # see above
    for bad in (*range(40, 43), 60):
        assert np.abs(turn[bad] - offset).max() < np.radians(1)
        assert np.abs(found.translation[bad] - truth.translation[bad]).max() < 3


def test_no_face_at_all(model: FaceModel) -> None:
    track = tracked(model, known(model, 10), 0.0)
    with pytest.raises(NoFaceError):
        reconstruct(dataclasses.replace(track, valid=np.zeros(10, np.bool_)), model)


def test_one_frame_is_enough(model: FaceModel) -> None:
    found = reconstruct(tracked(model, known(model, 1), 0.1), model)
    assert len(found) == 1
    assert found.valid.all()


def test_removed_region_does_not_follow_the_expression(model: FaceModel) -> None:
    truth = known(model, 50)
    other = dataclasses.replace(truth, expression=np.roll(truth.expression, 17, axis=0) * 1.5)
    regions = []
    for case in (truth, other):
        found = reconstruct(tracked(model, case, 0.0), model, identity=truth.identity)
        region = local_region(model.of(found.identity))
        regions.append(region_masks(region, found, place_crops(region, found, (128, 176)))[0])
    assert (regions[0] != regions[1]).mean() < 1e-4


def test_removed_region_covers_lips_and_the_lowest_chin(model: FaceModel) -> None:
    truth = known(model, 50)
    region = local_region(model.of(truth.identity))
    crops = place_crops(region, truth, crop_size_px(region, truth))
    holes, feathers = region_masks(region, truth, crops)
    shape = model.of(truth.identity).local_shape(truth.expression)
    points = project(shape, truth, slice(None))[:, [model.local_index[p] for p in (13, 14, 61, 291, 17, 152)], :2]
    for t in range(len(truth)):
        turn, shift = crops.to_frame[t, :, :2], crops.to_frame[t, :, 2]
        x, y = np.linalg.solve(turn, (points[t] - shift).T)
        assert holes[t, y.astype(int), x.astype(int)].all()
    edge = np.concatenate([feathers[:, 0], feathers[:, -1], feathers[:, :, 0], feathers[:, :, -1]], axis=1)
    assert edge.max() == 0


def test_smoothing_halves_the_cutoff_and_keeps_slow_motion() -> None:
    t = np.arange(500) / RATE_HZ
    for hz, low, high in ((5.0, 0.45, 0.55), (0.5, 0.99, 1.01)):
        wave = np.sin(2 * np.pi * hz * t)[:, None]
        kept = smooth(wave, np.ones(500), RATE_HZ, 5.0)[100:400].std() / wave[100:400].std()
        assert low < kept < high


def test_the_misfit_of_a_perfect_track_is_zero(model: FaceModel) -> None:
    truth = known(model)
    assert local_misfit_cm(model, tracked(model, truth, 0.0), truth).max() < 1e-4


def test_the_misfit_of_a_shifted_mouth_is_the_shift(model: FaceModel) -> None:
    """By geometry: every landmark of the local region is off by the same length in the image; depth does not count."""
    truth = known(model)
    track = tracked(model, truth, 0.0)
    landmarks = track.landmarks.copy()
    landmarks[:, model.local] += np.array([3.0, -4.0, 100.0], np.float32)
    outside = np.setdiff1d(np.arange(LANDMARKS), model.local)
    landmarks[:, outside] += 50
    misfit = local_misfit_cm(model, dataclasses.replace(track, landmarks=landmarks), truth)
    np.testing.assert_allclose(misfit, 5.0 / truth.scale, rtol=1e-3)


def test_the_misfit_of_some_shifted_landmarks_is_their_share_of_the_shift(model: FaceModel) -> None:
    truth = known(model, 4)
    track = tracked(model, truth, 0.0)
    landmarks = track.landmarks.copy()
    half = model.local[: len(model.local) // 2]
    landmarks[2, half, 1] += 6
    misfit = local_misfit_cm(model, dataclasses.replace(track, landmarks=landmarks), truth)
    expected = np.array([0, 0, 6.0 * len(half) / len(model.local), 0]) / truth.scale
    np.testing.assert_allclose(misfit, expected, atol=1e-4)


def test_a_reconstruction_has_the_times_and_the_misfit_of_its_track(model: FaceModel) -> None:
    truth = known(model)
    track = tracked(model, truth, 0.5)
    uneven = dataclasses.replace(track, times_s=track.times_s * 1.01 + 0.2)
    found = reconstruct(uneven, model)
    np.testing.assert_array_equal(found.times_s, uneven.times_s)
    np.testing.assert_array_equal(found.misfit_cm, local_misfit_cm(model, uneven, found))
    # Noise of 0.5 px in x and y has a mean length of 0.5 sqrt(pi / 2) px.
    assert found.misfit_cm.mean() == pytest.approx(0.5 * np.sqrt(np.pi / 2) / truth.scale.mean(), rel=0.25)


def test_selected_frames_keep_all_that_belongs_to_them(model: FaceModel) -> None:
    truth = dataclasses.replace(known(model), misfit_cm=np.arange(100) / 100.0)
    chosen = np.array([7, 3, 3, 99])
    part = truth.select(chosen)
    assert len(part) == 4
    np.testing.assert_array_equal(part.identity, truth.identity)
    for field in dataclasses.fields(Reconstruction):
        if field.name != "identity":
            np.testing.assert_array_equal(getattr(part, field.name), getattr(truth, field.name)[chosen])


def test_nothing_is_smoothed_over_a_cut(model: FaceModel) -> None:
    """Two shots of one head: each is reconstructed as it would be alone, up to the frame at the cut."""
    truth = known(model, 80)
    moved = dataclasses.replace(
        truth, translation=truth.translation + np.float32([60, -25]), scale=truth.scale * np.float32(1.3)
    )
    whole = dataclasses.replace(
        truth, translation=np.r_[truth.translation[:40], moved.translation[40:]],
        scale=np.r_[truth.scale[:40], moved.scale[40:]],
    )  # fmt: skip
    track = tracked(model, whole, 0.0)

    def error_px(cuts: list[int]) -> float:
        found = reconstruct(dataclasses.replace(track, cuts=np.array(cuts, np.int64)), model, identity=truth.identity)
        return float(np.linalg.norm(found.translation - whole.translation, axis=1)[36:44].max())

    assert error_px([]) > 10
    assert error_px([40]) < 1


def test_a_shot_without_a_face_takes_the_nearest_pose(model: FaceModel) -> None:
    track = tracked(model, known(model, 60), 0.0)
    valid = np.arange(60) < 40
    hidden = dataclasses.replace(track, valid=valid, landmarks=track.landmarks * valid[:, None, None])
    found = reconstruct(dataclasses.replace(hidden, cuts=np.array([40])), model)
    np.testing.assert_allclose(found.translation[40:], np.repeat(found.translation[39:40], 20, 0), atol=2.0)
    assert not found.valid[40:].any()
