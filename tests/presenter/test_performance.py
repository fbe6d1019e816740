"""The presenter's performance: lips that close at every closure, eyes that blink like eyes, a loop without a seam."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from talkinghead.speech.loudness import integrated_lufs

coarticulation = import_module("coarticulation")
head = import_module("head")
lips = import_module("lips")
motion = import_module("motion")
performance = import_module("performance")

Phone, PAUSE = coarticulation.Phone, coarticulation.PAUSE

FRAME_S = 1 / 25
PERIOD_S = 2.0


def spoken(*symbols: str, length_s: float = 0.12, start_s: float = 0.8) -> list[Any]:
    """Phones of one length between two pauses that fill a round of PERIOD_S."""
    bounds = start_s + length_s * np.arange(len(symbols) + 1)
    phones = [Phone(symbol, *pair) for symbol, *pair in zip(symbols, bounds[:-1], bounds[1:], strict=True)]
    return [Phone(PAUSE, 0.0, start_s), *phones, Phone(PAUSE, bounds[-1], PERIOD_S)]


def positions(phones: list[Any], times_s: np.ndarray) -> dict[str, np.ndarray]:
    return coarticulation.articulate(phones, times_s, PERIOD_S)


def simple_lips() -> Any:
    """Lips that rest a millimetre apart, a jaw that lowers the lower one by 3 cm, mouthClose that lifts it by 4."""
    neutral = np.zeros((20, 3))
    neutral[list(lips.UPPER_INNER), 1] = 0.1
    moved = np.zeros((2, 20, 3))
    moved[0, list(lips.LOWER_INNER), 1] = -3.0
    moved[1, list(lips.LOWER_INNER), 1] = 4.0
    return lips.LipGeometry(neutral, moved, ("jawOpen", "mouthClose"))


# Coarticulation


@pytest.mark.parametrize("bilabial", sorted(coarticulation.BILABIALS))
@pytest.mark.parametrize("vowel", ["ɑ", "i", "u", "æ"])
def test_the_shortest_bilabial_closes_in_some_frame_wherever_the_frames_fall(bilabial: str, vowel: str) -> None:
    phones = [
        Phone(PAUSE, 0, 0.8), Phone(vowel, 0.8, 0.95, 2), Phone(bilabial, 0.95, 0.975), Phone(vowel, 0.975, 1.1, 2),
        Phone(PAUSE, 1.1, PERIOD_S),
    ]  # fmt: skip
    for phase in np.linspace(0, FRAME_S, 9):
        gap = positions(phones, np.arange(0.9, 1.06, FRAME_S) + phase)["gap"]
        assert gap.min() < performance.CONTACT_CM - performance.SOFTNESS_CM


def test_vowels_stay_open_between_bilabials() -> None:
    gap = positions(spoken("b", "ɑ", "b"), np.array([0.98]))["gap"]
    assert 0.5 < gap[0] < 1.4


def test_rounding_is_seen_tens_of_milliseconds_before_its_vowel() -> None:
    times_s = np.arange(0, PERIOD_S, 0.001)
    rounding = positions(spoken("i", "t", "u", length_s=0.15), times_s)["round"]
    onset_s = times_s[np.argmax(rounding > 0.25 * rounding.max())]
    assert 0.03 < 1.1 - onset_s < 0.2
    assert positions(spoken("i", "t", "i", length_s=0.15), times_s)["round"].max() < 0.01


def test_labiodentals_bring_the_lower_lip_under_the_teeth() -> None:
    tuck = positions(spoken("ɑ", "f", "ɑ"), np.array([0.86, 0.98, 1.10]))["tuck"]
    assert tuck[1] > 0.8 and max(tuck[0], tuck[2]) < 0.6


def test_the_mouth_rests_in_the_middle_of_a_pause() -> None:
    at_rest = {name: values[0] for name, values in positions(spoken("ɑ", "u"), np.array([0.1])).items()}
    expected = {name: coarticulation.REST.get(name, 0.0) for name in coarticulation.ARTICULATORS}
    assert at_rest == pytest.approx(expected, abs=1e-3)


def test_time_runs_in_a_circle() -> None:
    times_s = np.linspace(0, PERIOD_S, 40)
    phones = spoken("ɑ", "m", "u", "s", start_s=1.5)
    once, again = positions(phones, times_s), positions(phones, times_s - PERIOD_S)
    for name, values in once.items():
        np.testing.assert_allclose(values[-1], values[0], atol=1e-6)
        np.testing.assert_allclose(again[name][-1], once[name][-1], atol=1e-6)


def test_visemes_name_articulators_that_exist() -> None:
    for viseme in coarticulation.VISEMES.values():
        assert {*viseme.targets, *viseme.strengths} <= set(coarticulation.ARTICULATORS)
    assert {part for parts in coarticulation.DIPHTHONGS.values() for part in parts} <= coarticulation.VISEMES.keys()


# Lips


@pytest.mark.parametrize("jaw", [0.0, 0.02, 0.1, 0.4])
@pytest.mark.parametrize("wanted_cm", [-0.3, 0.3, 0.9])
def test_the_gap_is_as_wanted_whatever_the_jaw_does(jaw: float, wanted_cm: float) -> None:
    geometry, weights = simple_lips(), {"jawOpen": np.array([jaw])}
    performance.meet_gap(weights, np.array([wanted_cm]), geometry)
    expression = np.stack([weights[name] for name in geometry.names], 1)
    gap = lips.lip_gaps(lips.lip_points(geometry, expression))[0, lips.MIDDLE]
    assert gap == pytest.approx(max(wanted_cm, performance.CONTACT_CM), abs=1e-9)


# Eyes


@pytest.mark.parametrize("period_s", [9.0, 21.0])
def test_blinks_are_two_and_a_half_to_five_seconds_apart_round_the_loop_too(period_s: float) -> None:
    for seed in range(200):
        starts = motion.blink_times(period_s, [3.0, 7.5, 14.0], np.random.default_rng(seed))
        spacing = np.diff(starts, append=starts[0] + period_s)
        assert spacing.min() > 2.499 and spacing.max() < 5.001


def test_a_blink_shuts_quicker_than_it_opens_and_some_frame_sees_it_shut() -> None:
    for seed in range(20):
        start = np.array([1.0 + 0.002 * seed])
        fine_s = np.arange(0, PERIOD_S, 0.001)
        shut = motion.blinks(fine_s, start, PERIOD_S, np.random.default_rng(seed))
        closed = fine_s[shut > 0.999]
        assert 0.12 <= np.count_nonzero(shut > 1e-6) * 0.001 <= 0.181
        assert closed[0] - start[0] < fine_s[shut > 1e-6][-1] - closed[-1]
        frames = motion.blinks(np.arange(0, PERIOD_S, FRAME_S), start, PERIOD_S, np.random.default_rng(seed))
        assert frames.max() == pytest.approx(1, abs=0.01)


def test_eyes_look_into_the_camera_at_both_ends_and_never_far_from_it() -> None:
    times_s = np.arange(0, 12, FRAME_S)
    darts = motion.darts(times_s, 12.0, np.random.default_rng(4))
    np.testing.assert_allclose(darts[[0, -1]], 0, atol=1e-9)
    assert 0 < np.abs(darts).max() < np.radians(5)


def test_wandering_repeats_without_a_seam() -> None:
    times_s = np.linspace(0, 20, 2001)
    noise = motion.wander(times_s, 20.0, (0.1, 0.6), np.random.default_rng(2))
    assert noise[:-1].std() == pytest.approx(1, abs=1e-3)
    assert noise[-1] == pytest.approx(noise[0])
    steps = np.diff(noise)
    assert abs(steps[-1] - steps[0]) < 2 * np.abs(np.diff(steps)).max()


# Sound


# The performances themselves


@pytest.fixture(scope="module", params=sorted(performance.SCRIPTS))
def built(request: pytest.FixtureRequest) -> Any:
    if not head.ict_path().exists():
        pytest.skip("no head model: TALKINGHEAD_ICT names where ict_facekit.npz is")
    if find_spec("hibari") is None:
        pytest.skip("no voice: pip install hibari-tts")
    return performance.build(request.param)


def weights_of(built: Any, name: str) -> np.ndarray:
    return built.expression[:, built.expression_names.index(name)]


def test_sound_frames_and_phones_have_one_length(built: Any) -> None:
    frames = len(built.expression)
    assert built.period_s >= 8
    assert len(built.samples) * built.frame_rate == frames * built.sample_rate
    assert built.rotation_rad.shape == built.translation_cm.shape == (frames, 3)
    assert built.lips_cm.shape == (frames, 20, 3)
    assert built.phones[0].start_s == 0 and built.phones[-1].end_s == pytest.approx(built.period_s)
    for before, after in zip(built.phones, built.phones[1:], strict=False):
        assert after.start_s == pytest.approx(before.end_s)
    assert integrated_lufs(built.samples, built.sample_rate) == pytest.approx(-20, abs=0.15)
    assert np.abs(built.samples).max() < 1


def test_weights_are_weights(built: Any) -> None:
    assert np.isfinite(built.expression).all()
    assert built.expression.min() >= 0 and built.expression.max() <= 1


def test_lips_meet_at_every_bilabial_and_nowhere_deep(built: Any) -> None:
    gaps = lips.lip_gaps(built.lips_cm.astype(np.float64))
    times_s = np.arange(len(gaps)) / built.frame_rate
    closures = [phone for phone in built.phones if phone.symbol in coarticulation.BILABIALS]
    assert len(closures) >= 6
    for phone in closures:
        # A closure may be shorter than a frame: its nearest frames count.
        during = (times_s > phone.start_s - 0.02) & (times_s < phone.end_s + 0.02)
        assert gaps[during].max(1).min() <= 0.005, phone
    assert gaps.min() > -0.25  # corners of the lips press into each other, which no view from the front shows


def test_opening_is_that_of_a_news_reader(built: Any) -> None:
    gap = lips.lip_gaps(built.lips_cm.astype(np.float64))[:, lips.MIDDLE]
    assert 0.9 < gap.max() < 1.4
    assert 0.2 < np.median(gap) < 0.5


def test_mouth_and_voice_go_together(built: Any) -> None:
    """Opening follows loudness with no more than a frame's lag."""
    per_frame = built.sample_rate // built.frame_rate
    half = per_frame // 2
    padded = np.pad(built.samples, half)[: len(built.samples)]
    loudness = np.log(np.sqrt(np.square(padded.reshape(-1, per_frame)).mean(1)) + 0.003)
    gap = lips.lip_gaps(built.lips_cm.astype(np.float64))[:, lips.MIDDLE]
    fit = {lag: np.corrcoef(np.roll(loudness, lag), gap)[0, 1] for lag in range(-8, 9)}
    assert abs(max(fit, key=fit.__getitem__)) <= 1
    assert fit[0] > 0.4


def test_the_loop_has_no_seam(built: Any) -> None:
    """From the last frame to the first is a step like those around it, with the lips closed."""
    for values, bound in ((built.expression, 0.01), (built.rotation_rad, 0.005), (built.translation_cm, 0.03)):
        looped = np.concatenate([values[-2:], values[:2]])
        steps = np.diff(looped, axis=0)
        assert np.abs(steps).max() < bound
        assert np.abs(np.diff(steps, axis=0)).max() < 0.3 * bound
    ends = built.lips_cm[[0, 1, -2, -1]].astype(np.float64)
    assert np.abs(lips.lip_gaps(ends)).max() < 0.08
    assert built.phones[0].symbol == built.phones[-1].symbol == PAUSE


def test_nothing_jumps(built: Any) -> None:
    assert np.degrees(np.abs(np.diff(built.rotation_rad, axis=0))).max() < 0.6
    assert np.abs(np.diff(built.translation_cm, axis=0)).max() < 0.05
    lids = ("eyeBlink", "eyeSquint", "eyeWide", "eyeLook")
    slow = [not name.startswith(lids) for name in built.expression_names]
    assert np.abs(np.diff(built.expression[:, slow], axis=0)).max() < 0.25


def test_eyes_blink_fully_and_not_too_often(built: Any) -> None:
    for side in "LR":
        blink = weights_of(built, f"eyeBlink_{side}")
        starts = np.flatnonzero((blink > 0.5) & (np.roll(blink, 1) <= 0.5))
        spacing = np.diff(starts, append=starts[0] + len(blink)) / built.frame_rate
        assert spacing.min() > 2.4 and spacing.max() < 5.1
        assert all(blink[np.arange(start, start + 4) % len(blink)].max() > 0.98 for start in starts)


def test_files_hold_the_performance(built: Any, tmp_path: Path) -> None:
    performance.write(built, tmp_path / "clip")
    stored = load_file(tmp_path / "clip" / "performance.safetensors")
    np.testing.assert_array_equal(stored["expression"], built.expression)
    np.testing.assert_array_equal(stored["rotation_rad"], built.rotation_rad)
    np.testing.assert_array_equal(stored["lips_cm"], built.lips_cm)
    assert sorted(path.name for path in (tmp_path / "clip").iterdir()) == ["performance.safetensors", "speech.wav"]
