"""Each metric against a known value: an inserted shift, a formula, a synthetic image."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from talkinghead import metrics
from talkinghead.face.topology import JAW_LANDMARKS, MOUTH_LANDMARKS, RIGID_LANDMARKS
from talkinghead.structures import LANDMARKS, ByteArray, Track

Values = NDArray[np.float64]
NTSC = 30000 / 1001
MOUTH = list(MOUTH_LANDMARKS)


def speech_like(times_s: Values) -> Values:
    """A curve without a period, so that only one lag fits."""
    return 0.1 + 0.04 * np.sin(7.1 * times_s) + 0.03 * np.sin(11.3 * times_s + 1) + 0.02 * np.sin(19.7 * times_s + 2)


def still_face(width: int = 512) -> Values:
    """(478, 3) points of a flat face 200 px wide in a 512 px image: landmarks that metrics use set, others random."""
    points = np.random.default_rng(0).uniform((156, 156, -30), (356, 406, 30), (LANDMARKS, 3))
    places = {234: (156, 250), 454: (356, 250), 33: (206, 230), 263: (306, 230), 2: (256, 290), 152: (256, 400)}
    places |= {61: (216, 330), 291: (296, 330), 13: (256, 330), 14: (256, 330)}
    for landmark, place in places.items():
        points[landmark] = (*place, 0)
    return points * (width / 512)


def talking(times_s: Values, delay_s: float = 0.0, width: int = 512) -> Track:
    """A face whose lower lip is as far below the upper one as `speech_like` says, in face widths."""
    landmarks = np.repeat(still_face(width)[None], len(times_s), axis=0)
    landmarks[:, 14, 1] += speech_like(times_s - delay_s) * 200 * (width / 512)
    return Track(
        landmarks=landmarks.astype(np.float32),
        valid=np.ones(len(times_s), np.bool_),
        times_s=times_s,
        width=width,
        height=width,
    )


def without_faces(track: Track, *frames: int) -> Track:
    valid, landmarks = track.valid.copy(), track.landmarks.copy()
    valid[list(frames)] = False
    landmarks[list(frames)] = 0
    return replace(track, valid=valid, landmarks=landmarks)


def moved(track: Track, landmarks: list[int], by: tuple[float, float, float]) -> Track:
    changed = track.landmarks.copy()
    changed[:, landmarks] += np.array(by, np.float32)
    return replace(track, landmarks=changed)


def at(rate_hz: float, seconds: float = 4.0) -> Values:
    return np.arange(round(seconds * rate_hz)) / rate_hz


def noise_image(size: int = 64) -> ByteArray:
    return np.random.default_rng(1).integers(0, 256, (size, size, 3), dtype=np.uint8)


class TestLandmarkSets:
    def test_mouth_has_the_twenty_points_of_the_68_point_convention_once_each(self) -> None:
        assert len(set(MOUTH_LANDMARKS)) == 20

    def test_moving_and_rigid_points_are_disjoint(self) -> None:
        assert not set(RIGID_LANDMARKS) & set(MOUTH_LANDMARKS + JAW_LANDMARKS)


class TestLmd:
    def test_of_a_track_with_itself_is_zero(self) -> None:
        track = talking(at(25))
        assert np.all(metrics.lmd(track, track) == 0)

    def test_is_blind_to_a_translation(self) -> None:
        track = talking(at(25))
        shifted = moved(track, list(range(LANDMARKS)), (37, -12, 5))
        assert metrics.lmd(shifted, track) == pytest.approx(0, abs=1e-4)

    def test_of_one_displaced_point(self) -> None:
        # One of 20 points moves by d: it ends 19/20 d from the centroid's frame, the 19 others d/20 each.
        track = talking(at(25))
        displaced = moved(track, [14], (0, 10, 0))
        assert metrics.lmd(displaced, track) == pytest.approx(10 * 19 / 20 * 2 / 20, rel=1e-5)

    def test_is_in_pixels_of_a_512_px_image_whatever_its_size(self) -> None:
        small, large = (
            metrics.lmd(
                moved(talking(at(25), width=width), [14], (0, 10 * width / 512, 0)), talking(at(25), width=width)
            )
            for width in (256, 1024)
        )
        assert small == pytest.approx(0.95, rel=1e-4)
        assert large == pytest.approx(0.95, rel=1e-4)

    def test_over_the_distance_of_the_eyes(self) -> None:
        track = talking(at(25))
        assert metrics.lmd_iod(moved(track, [14], (0, 10, 0)), track) == pytest.approx(0.95 / 100, rel=1e-4)

    def test_is_nan_where_a_face_is_missing_on_either_side(self) -> None:
        track = talking(at(25))
        distance = metrics.lmd(without_faces(track, 3), without_faces(track, 5))
        assert np.flatnonzero(np.isnan(distance)).tolist() == [3, 5]


class TestCurves:
    def test_opening_is_the_gap_over_the_face_width(self) -> None:
        times_s = at(25)
        assert metrics.opening(talking(times_s)) == pytest.approx(speech_like(times_s), abs=1e-5)

    def test_mouth_width_is_corner_to_corner_over_the_face_width(self) -> None:
        assert metrics.mouth_width(talking(at(25))) == pytest.approx(80 / 200)

    def test_pearson_r_is_blind_to_offset_and_amplitude(self) -> None:
        curve = speech_like(at(25))
        assert metrics.pearson_r(3 * curve + 1, curve) == pytest.approx(1)
        assert metrics.pearson_r(-curve, curve) == pytest.approx(-1)

    def test_concordance_of_a_shifted_and_scaled_curve_follows_lins_formula(self) -> None:
        curve = speech_like(at(25))
        expected = 2 * 0.5 * curve.var() / (0.25 * curve.var() + curve.var() + (0.5 * curve.mean() - 0.3) ** 2)
        assert metrics.concordance(0.5 * curve + 0.3, curve) == pytest.approx(expected)
        assert metrics.concordance(curve, curve) == pytest.approx(1)

    def test_std_ratio_is_the_amplitude(self) -> None:
        curve = speech_like(at(25))
        assert metrics.std_ratio(0.6 * curve + 5, curve) == pytest.approx(0.6)

    def test_frames_without_a_face_do_not_count(self) -> None:
        output, reference = speech_like(at(25)), speech_like(at(25))
        output[7], reference[20] = np.nan, np.nan
        assert metrics.pearson_r(output, reference) == pytest.approx(1)
        assert metrics.concordance(output, reference) == pytest.approx(1)
        assert metrics.std_ratio(2 * output, reference) == pytest.approx(2)

    @pytest.mark.parametrize("curve", [np.full(50, 0.1), np.full(50, np.nan), np.array([]), np.array([1.0])])
    def test_what_does_not_vary_has_no_correlation(self, curve: Values) -> None:
        assert math.isnan(metrics.pearson_r(curve, curve))
        assert math.isnan(metrics.concordance(curve, curve))
        assert math.isnan(metrics.std_ratio(curve, curve))

    def test_a_still_mouth_has_no_amplitude(self) -> None:
        assert metrics.std_ratio(np.full(100, 0.1), speech_like(at(25))) == pytest.approx(0, abs=1e-12)


class TestLag:
    @pytest.mark.parametrize("rate_hz", [25, NTSC])
    @pytest.mark.parametrize("frames_late", [-5, -1, 0, 1, 3, 8])
    def test_of_a_delayed_curve_is_the_delay(self, rate_hz: float, frames_late: int) -> None:
        times_s = at(rate_hz)
        delay_s = frames_late / rate_hz
        lag = metrics.best_lag(speech_like(times_s - delay_s), times_s, speech_like(times_s), times_s)
        assert lag.lag_ms == pytest.approx(1000 * delay_s, abs=metrics.LAG_STEP_MS / 2 + 1e-6)
        assert lag.r > 0.995

    def test_of_clips_with_different_frame_rates(self) -> None:
        lag = metrics.best_lag(speech_like(at(60) - 0.12), at(60), speech_like(at(25)), at(25))
        assert lag.lag_ms == pytest.approx(120, abs=10)

    def test_ignores_frames_without_a_face(self) -> None:
        late = speech_like(at(25) - 0.08)
        late[[10, 11, 40]] = np.nan
        assert metrics.best_lag(late, at(25), speech_like(at(25)), at(25)).lag_ms == pytest.approx(80)

    def test_is_nan_for_a_still_mouth_and_for_a_moment(self) -> None:
        still = metrics.best_lag(np.full(100, 0.1), at(25), speech_like(at(25)), at(25))
        moment = metrics.best_lag(speech_like(at(25, 0.3)), at(25, 0.3), speech_like(at(25, 0.3)), at(25, 0.3))
        assert math.isnan(still.lag_ms)
        assert math.isnan(still.r)
        assert math.isnan(moment.lag_ms)

    def test_stays_within_its_range(self) -> None:
        lag = metrics.best_lag(speech_like(at(25) - 1.0), at(25), speech_like(at(25)), at(25))
        assert abs(lag.lag_ms) <= metrics.LAG_RANGE_MS


class TestSilence:
    def test_motion_is_the_ratio_of_deviations(self) -> None:
        curve = speech_like(at(25))
        both = np.concatenate((0.25 * curve, curve))
        silent = np.arange(len(both)) < len(curve)
        assert metrics.silence_motion(both, silent) == pytest.approx(0.25)

    def test_is_nan_where_the_mouth_stands_still_in_speech_too(self) -> None:
        trembling = 0.02 + np.random.default_rng(0).normal(0, 0.0003, 100)
        assert math.isnan(metrics.silence_motion(trembling, np.arange(100) < 40))

    def test_is_nan_without_silence(self) -> None:
        assert math.isnan(metrics.silence_motion(speech_like(at(25)), np.zeros(100, np.bool_)))


class TestAlign:
    def test_on_itself_changes_nothing(self) -> None:
        track = without_faces(talking(at(25)), 4, 9)
        aligned = metrics.align(track, track)
        assert np.array_equal(aligned.landmarks, track.landmarks)
        assert np.array_equal(aligned.valid, track.valid)

    def test_brings_another_rate_and_size_together(self) -> None:
        reference = talking(at(25))
        aligned = metrics.align(talking(at(60), width=1024), reference)
        assert (aligned.width, aligned.height, len(aligned)) == (512, 512, 100)
        assert aligned.valid.all()
        assert metrics.opening(aligned) == pytest.approx(metrics.opening(reference), abs=2e-3)
        assert metrics.finite_mean(metrics.lmd(aligned, reference)) < 0.02

    def test_has_no_frames_beyond_the_output(self) -> None:
        aligned = metrics.align(talking(at(25, 2.0)), talking(at(25, 4.0)))
        assert aligned.valid.sum() == 50
        assert not aligned.valid[50:].any()

    def test_a_frame_without_a_face_invalidates_only_its_neighbors(self) -> None:
        aligned = metrics.align(without_faces(talking(at(50)), 20), talking(at(25)))
        assert np.flatnonzero(~aligned.valid).tolist() == [10]
        aligned = metrics.align(without_faces(talking(at(50)), 21), talking(at(25)))
        assert aligned.valid.all()

    def test_clips_of_equal_length_are_covered_to_the_end_at_any_rate(self) -> None:
        for rate_hz in (23.976, 25, NTSC, 30, 50, 59.94):
            assert metrics.align(talking(at(25)), talking(at(rate_hz))).valid.all()

    def test_nearest_frames_pair_the_same_moments(self) -> None:
        frames = metrics.nearest_frames(at(50, 1.0), at(25, 1.2))
        assert frames[:25].tolist() == list(range(0, 50, 2))
        assert frames[26:].tolist() == [-1] * 4

    def test_nearest_frames_are_within_half_a_frame_and_never_step_back(self) -> None:
        times_s, reference_times_s = at(NTSC), at(25)
        frames = metrics.nearest_frames(times_s, reference_times_s)
        assert np.all(np.diff(frames) >= 0)
        assert np.abs(times_s[frames] - reference_times_s).max() <= 0.5 / NTSC + 1e-9


class TestJitter:
    def test_of_even_motion_is_zero(self) -> None:
        line = np.arange(50)[:, None, None] * np.array([3.0, -2.0]) + np.zeros((50, 20, 2))
        assert metrics.jitter(line) == pytest.approx(0, abs=1e-9)

    def test_of_known_noise(self) -> None:
        # x[t-1] - 2 x[t] + x[t+1] of white noise has sigma sqrt(6); the length of it in a plane is Rayleigh.
        noise = np.random.default_rng(2).normal(0, 0.5, (4000, 20, 2))
        assert metrics.jitter(noise) == pytest.approx(0.5 * math.sqrt(6) * math.sqrt(math.pi / 2), rel=0.01)

    def test_skips_missing_frames(self) -> None:
        line = np.arange(50)[:, None, None] * np.array([3.0, -2.0]) + np.zeros((50, 20, 2))
        line[10] = np.nan
        assert metrics.jitter(line) == pytest.approx(0, abs=1e-9)
        assert math.isnan(metrics.jitter(line[:2]))


class TestFrozenMouth:
    def test_does_not_move_however_the_mouth_does(self) -> None:
        frozen = metrics.freeze_mouth(talking(at(25)))
        assert metrics.opening(frozen) == pytest.approx(np.median(speech_like(at(25))), abs=1e-4)

    def test_goes_with_the_head(self) -> None:
        # The same talking face turned and moved, in three dimensions: its frozen mouth is the still one's, so moved.
        still = talking(at(25))
        angle = 0.3 * np.sin(at(25))
        zero, one = np.zeros_like(angle), np.ones_like(angle)
        turns = np.stack((np.cos(angle), zero, np.sin(angle), zero, one, zero, -np.sin(angle), zero, np.cos(angle)), -1)

        def pose(landmarks: NDArray[np.float32]) -> Values:
            return np.asarray(1.1 * np.einsum("tij,tlj->tli", turns.reshape(-1, 3, 3), landmarks - 256) + 260)

        turning = replace(still, landmarks=pose(still.landmarks).astype(np.float32))
        expected = pose(metrics.freeze_mouth(still).landmarks)
        assert metrics.freeze_mouth(turning).landmarks == pytest.approx(expected, abs=0.01)

    def test_leaves_everything_else_and_missing_frames_alone(self) -> None:
        track = without_faces(talking(at(25)), 0, 7)
        frozen = metrics.freeze_mouth(track)
        others = np.setdiff1d(np.arange(LANDMARKS), MOUTH_LANDMARKS + JAW_LANDMARKS)
        assert np.array_equal(frozen.landmarks[:, others], track.landmarks[:, others])
        assert np.array_equal(frozen.landmarks[[0, 7]], track.landmarks[[0, 7]])


class TestMouthCrop:
    def test_covers_nose_base_to_below_the_chin_and_keeps_its_size(self) -> None:
        crop = metrics.mouth_crop(talking(at(25)))
        assert crop.side == round(metrics.CROP_SHARE * 200)
        assert np.all(crop.top < 290)
        assert np.all(crop.top + crop.side > 400)
        assert np.all(crop.left < 216)
        assert np.all(crop.left + crop.side > 296)

    def test_follows_the_head_smoothly_over_missing_frames(self) -> None:
        track = talking(at(25))
        walk = replace(track, landmarks=track.landmarks + np.linspace(0, 99, 100, dtype=np.float32)[:, None, None])
        with_gaps = metrics.mouth_crop(without_faces(walk, 30, 31, 32))
        assert np.abs(np.diff(with_gaps.left[20:80]) - 1).max() <= 1
        assert with_gaps.left[50] - metrics.mouth_crop(track).left[50] == pytest.approx(50, abs=1)

    def test_stays_inside_the_image(self) -> None:
        track = talking(at(25))
        low = replace(track, landmarks=track.landmarks + np.array([200, 130, 0], np.float32))
        crop = metrics.mouth_crop(low)
        image = np.zeros((512, 512, 3), np.uint8)
        assert crop.of(image, 0).shape == (crop.side, crop.side, 3)
        assert np.all(crop.top + crop.side == 512)

    def test_needs_a_face(self) -> None:
        track = talking(at(25, 0.2))
        with pytest.raises(ValueError, match="face"):
            metrics.mouth_crop(without_faces(track, *range(5)))


class TestPixels:
    def test_psnr_of_a_known_error(self) -> None:
        image = np.full((40, 40, 3), 100, np.uint8)
        assert metrics.psnr(image + np.uint8(5), image) == pytest.approx(20 * math.log10(255 / 5))

    def test_psnr_of_known_noise(self) -> None:
        noise = np.random.default_rng(3).normal(0, 8, (256, 256, 3))
        noisy = np.round(128 + noise).astype(np.uint8)
        expected = 10 * math.log10(255**2 / (64 + 1 / 12))  # rounding adds its own noise
        assert metrics.psnr(noisy, np.full_like(noisy, 128)) == pytest.approx(expected, abs=0.05)

    def test_psnr_of_equal_images_is_capped(self) -> None:
        assert metrics.psnr(noise_image(), noise_image()) == metrics.PSNR_CAP_DB

    def test_ssim_of_equal_images_is_one(self) -> None:
        assert metrics.ssim(noise_image(), noise_image()) == pytest.approx(1)

    def test_ssim_of_uniform_images_follows_the_luminance_term(self) -> None:
        dark, light = np.full((32, 32, 3), 60, np.uint8), np.full((32, 32, 3), 120, np.uint8)
        c1 = (0.01 * 255) ** 2
        assert metrics.ssim(dark, light) == pytest.approx((2 * 60 * 120 + c1) / (60**2 + 120**2 + c1))

    def test_blur_lowers_sharpness_and_a_flat_image_has_none(self) -> None:
        sharp = noise_image()
        blurred = gaussian_filter(sharp.astype(np.float64), (1.5, 1.5, 0)).astype(np.uint8)
        assert metrics.sharpness(blurred) < 0.1 * metrics.sharpness(sharp)
        assert metrics.sharpness(np.full((32, 32, 3), 77, np.uint8)) == pytest.approx(0, abs=1e-20)

    def test_sharpness_of_one_bright_point(self) -> None:
        # The Laplacian of a point of height h is -4 h there and h at its four neighbors: 20 h^2 over 8 x 8 pixels.
        image = np.zeros((10, 10, 3), np.uint8)
        image[5, 5] = 30
        assert metrics.sharpness(image) == pytest.approx(20 * 30**2 / 64)

    def test_seam_is_one_where_nothing_was_pasted_and_grows_with_a_step(self) -> None:
        ramp = np.repeat(np.arange(0, 160, 4, dtype=np.uint8)[None, :, None], 40, axis=0).repeat(3, axis=2)
        pasted = np.zeros((40, 40), np.bool_)
        pasted[:, 20:] = True
        stepped = ramp.copy()
        stepped[pasted] += 8
        assert metrics.seam(ramp, ramp, pasted) == pytest.approx(1)
        assert metrics.seam(stepped, ramp, pasted) == pytest.approx((4 + 8) / 4)
        assert math.isnan(metrics.seam(ramp, ramp, np.zeros_like(pasted)))

    def test_leak_is_the_mean_change_in_the_region_alone(self) -> None:
        one = np.full((20, 20, 3), 50, np.uint8)
        other = one.copy()
        region = np.zeros((20, 20), np.bool_)
        region[5:15, 5:15] = True
        other[:5] = 255
        other[5:10, 5:15] -= 4
        assert metrics.leak(other, one, region) == pytest.approx(2)


class TestLipClosure:
    times_s = np.arange(100) / 25

    def test_of_a_mouth_that_closes_at_each_phone(self) -> None:
        opening = np.full(100, 0.1)
        opening[[25, 50]] = 0
        closures_s, others_s = np.array([[0.98, 1.02], [1.98, 2.02]]), np.array([[0.2, 0.8], [1.2, 1.8]])
        assert metrics.closure_depth(opening, self.times_s, closures_s, others_s) == pytest.approx(1)
        opening[[25, 50]] = 0.05
        assert metrics.closure_depth(opening, self.times_s, closures_s, others_s) == pytest.approx(0.5)

    def test_is_nan_without_such_phones(self) -> None:
        nothing = metrics.closure_depth(np.ones(100), self.times_s, np.zeros((0, 2)), np.array([[0.2, 0.8]]))
        assert math.isnan(nothing)

    def test_confidence_separates_a_real_lag_from_chance(self) -> None:
        curve = speech_like(self.times_s)
        noise = np.random.default_rng(0).normal(size=100)
        sure = metrics.best_lag(curve, self.times_s, curve, self.times_s).confidence
        assert sure > 0.5 > metrics.best_lag(noise, self.times_s, curve, self.times_s).confidence


def test_the_worst_lip_vertex_counts() -> None:
    reference = np.zeros((2, 20, 3), np.float32)
    output = reference.copy()
    output[1, 7] = (3, 4, 0)
    assert metrics.lip_vertex_error(output, reference).tolist() == [0, 5]


def test_ms_ssim_of_equal_images_is_one() -> None:
    image = np.random.default_rng(0).integers(0, 256, (180, 180, 3), np.uint8)
    assert metrics.ms_ssim(image, image) == pytest.approx(1, abs=1e-5)
    assert metrics.ms_ssim(image // 2, image) < 0.95


@pytest.mark.parametrize(("side", "measured"), [(161, False), (175, False), (176, True), (191, True)])
def test_ms_ssim_needs_a_window_on_its_coarsest_scale(side: int, measured: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (side, 300, 3), np.uint8)
    found = metrics.ms_ssim(image, image)
    assert found == pytest.approx(1, abs=1e-5) if measured else math.isnan(found)
