"""The performances: lips that close at every closure, eyes that blink like eyes, breath, loops without a seam."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from talkinghead import metrics
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.loudness import integrated_lufs
from talkinghead.structures import Audio

coarticulation = import_module("coarticulation")
eyes = import_module("eyes")
head = import_module("head")
lips = import_module("lips")
motion = import_module("motion")
performance = import_module("performance")
torso = import_module("torso")

Phone, PAUSE, BREATH = coarticulation.Phone, coarticulation.PAUSE, coarticulation.BREATH

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
def test_the_shortest_bilabial_presses_the_lips_in_some_frame_wherever_the_frames_fall(
    bilabial: str, vowel: str
) -> None:
    phones = [
        Phone(PAUSE, 0, 0.8), Phone(vowel, 0.8, 0.95, 2), Phone(bilabial, 0.95, 0.975), Phone(vowel, 0.975, 1.1, 2),
        Phone(PAUSE, 1.1, PERIOD_S),
    ]  # fmt: skip
    for phase in np.linspace(0, FRAME_S, 9):
        times_s = np.arange(0, PERIOD_S - FRAME_S, FRAME_S) + phase
        near = (times_s > 0.9) & (times_s < 1.0)
        gap = performance.pressed(positions(phones, times_s)["gap"])
        assert gap[near].min() < -0.6 * performance.PRESSED_CM


@pytest.mark.parametrize("vowel", ["ɑ", "i", "u", "æ"])
def test_lips_meet_when_a_closure_begins_and_part_at_its_release(vowel: str) -> None:
    phones = [
        Phone(PAUSE, 0, 0.6), Phone(vowel, 0.6, 0.8, 2), Phone("b", 0.8, 0.9, release_s=0.88),
        Phone(vowel, 0.9, 1.1, 2), Phone(PAUSE, 1.1, PERIOD_S),
    ]  # fmt: skip
    times_s = np.arange(0, PERIOD_S, 0.001)
    gap = positions(phones, times_s)["gap"]
    pressed_s = times_s[(gap < 0) & (times_s > 0.7) & (times_s < 1.0)]
    assert pressed_s[0] == pytest.approx(0.8, abs=0.002)
    assert pressed_s[-1] == pytest.approx(0.88, abs=0.002)


def test_lips_wait_pressed_where_a_closure_begins_a_phrase_and_stay_closed_from_one_to_the_next() -> None:
    first, second = Phone("m", 0.8, 0.9), Phone("b", 0.9, 1.0, release_s=0.97)
    phones = [Phone(PAUSE, 0, 0.8), first, second, Phone("i", 1.0, 1.2, 2), Phone(PAUSE, 1.2, PERIOD_S)]
    assert coarticulation.contacts(phones) == [(pytest.approx(0.8 - coarticulation.HELD_S), 0.97)]


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
    assert at_rest.pop("closing") == 0
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
@pytest.mark.parametrize("aim_cm", [-0.3, -0.01, 0.3, 0.9])
def test_the_gap_is_as_wanted_whatever_the_jaw_does(jaw: float, aim_cm: float) -> None:
    geometry, weights = simple_lips(), {"jawOpen": np.array([jaw])}
    performance.meet_gap(weights, np.array([aim_cm]), geometry)
    expression = np.stack([weights[name] for name in geometry.names], 1)
    gap = lips.lip_gaps(lips.lip_points(geometry, expression))[0, lips.MIDDLE]
    assert gap == pytest.approx(float(performance.pressed(np.array(aim_cm))), abs=1e-9)


def test_pressed_lips_give_way_less_and_less() -> None:
    aims = np.linspace(-1, 0.5, 301)
    gaps = performance.pressed(aims)
    np.testing.assert_array_equal(gaps[aims > 0], aims[aims > 0])
    assert np.all(np.diff(gaps) > 0) and gaps.min() > -performance.PRESSED_CM - 1e-9
    slope = np.gradient(gaps, aims)
    assert abs(slope[np.argmin(np.abs(aims))] - 1) < 0.06  # no corner at contact


# Eyes


ROUNDS = motion.Rounds(20.0, 4.0)


def test_blinks_have_usual_distances_and_one_is_in_every_round_of_silence() -> None:
    shortest, longest = motion.BLINK_SPACING_S
    for seed in range(200):
        starts = motion.blink_times(ROUNDS, [3.0, 3.4, 7.5, 14.0], np.random.default_rng(seed))
        spacing = np.diff(starts, append=starts[0] + ROUNDS.period_s)
        assert spacing.min() > 0.6 * shortest and spacing.max() < longest + 0.75
        assert np.count_nonzero(starts > ROUNDS.speech_s) == 1
        ends = starts + motion.BLINK_CLOSING_S[1] + motion.BLINK_SHUT_S + motion.BLINK_OPENING_S[1]
        for border in (0.0, ROUNDS.speech_s, ROUNDS.period_s):
            assert not np.any((starts < border) & (ends > border))


def test_a_blink_closes_in_60_to_100_ms_opens_in_120_to_250_and_some_frame_sees_it_shut() -> None:
    for seed in range(20):
        start = np.array([1.0 + 0.002 * seed])
        fine_s = np.arange(0, PERIOD_S, 0.001)
        shut = motion.blinks(fine_s, start, PERIOD_S, np.random.default_rng(seed))
        closed, moved = fine_s[shut > 0.9999], fine_s[shut > 1e-5]
        assert 0.060 <= closed[0] - moved[0] <= 0.100
        assert 0.120 <= moved[-1] - closed[-1] <= 0.250
        frames = motion.blinks(np.arange(0, PERIOD_S, FRAME_S), start, PERIOD_S, np.random.default_rng(seed))
        assert frames.max() == pytest.approx(1, abs=0.01)
        # No frame snaps from half open to shut: there is one in between on the way up.
        assert np.count_nonzero((frames > 0.02) & (frames < 0.98)) >= 3


def test_eyes_look_into_the_lens_at_the_ends_and_mostly_and_never_far_from_it() -> None:
    times_s = np.arange(0, ROUNDS.period_s, FRAME_S)
    for seed in range(20):
        gaze = motion.saccades(times_s, ROUNDS, np.random.default_rng(seed))
        border = round(ROUNDS.speech_s / FRAME_S)
        np.testing.assert_allclose(gaze[[0, border - 1, border, -1]], 0, atol=1e-9)
        assert 0 < np.abs(gaze).max() < np.radians(3)
        assert np.mean(np.abs(gaze).max(1) < 1e-6) > 0.5


def test_a_rotated_head_keeps_its_eyes_on_the_lens() -> None:
    """Their axes, rotated by the angles and carried by the head, go through the lens: by matrices written out here."""
    geometry = eyes.EyeGeometry(
        np.array([[3.1, 3.5, 8.2], [-3.1, 3.5, 8.2]]),
        np.radians([[0.5, -1.2], [1.0, 1.6]]),
        np.ones(2),
        np.ones((3, 2)),
    )
    rotation, shift = np.radians([[4.0, -7.0, 3.0]]), np.array([[0.8, -0.3, 0.5]])
    angles = eyes.gaze_angles(geometry, rotation, shift, np.zeros((1, 2)))[0]
    lens = import_module("camera").camera_position()
    for center, axis, angle in zip(geometry.centers_cm, geometry.axes_rad, angles, strict=True):
        pitch, yaw = axis + angle
        ahead = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        placed, further = head.rigidly_moved(np.stack([center, center + ahead]), rotation[0], shift[0])
        away = np.cross(further - placed, lens - placed)
        assert np.linalg.norm(away) < 0.02  # cm at the distance of the lens, more than 90 cm away
        assert (further - placed) @ (lens - placed) > 0


# Head and torso


def test_a_torso_carries_the_head() -> None:
    own = (np.radians([[3.0, -5.0, 2.0]]), np.array([[0.1, 0.2, -0.1]]))
    lean = (np.radians([[-1.0, 2.0, 1.5]]), np.array([[0.3, 0.0, 0.2]]))
    points = np.random.default_rng(0).normal(size=(6, 3)) * 8
    rotation, shift = torso.on_torso(own, lean)
    one_step = head.rigidly_moved(points, rotation[0], shift[0])
    two_steps = torso.torso_moved(head.rigidly_moved(points, own[0][0], own[1][0]), lean[0][0], lean[1][0])
    np.testing.assert_allclose(one_step, two_steps, atol=1e-9)


def test_lungs_fill_in_every_breath_and_empty_until_the_next() -> None:
    breaths = [(0.4, 0.8), (6.0, 6.5), (13.0, 13.4)]
    times_s = np.arange(0, ROUNDS.period_s, 0.01)
    volume = motion.lung_volume(times_s, ROUNDS, breaths, np.random.default_rng(1))
    peaks = times_s[1:-1][(volume[1:-1] > volume[:-2]) & (volume[1:-1] >= volume[2:]) & (volume[1:-1] > 0.3)]
    quiet_s = ROUNDS.speech_s + motion.BREATHED_IN * ROUNDS.idle_s
    np.testing.assert_allclose(peaks, [*(end for _, end in breaths), quiet_s], atol=0.015)
    for border in (0, round(ROUNDS.speech_s * 100), len(times_s) - 1):
        assert volume[border] < 0.002
    assert volume.min() >= 0 and volume.max() <= 1


def test_wandering_repeats_without_a_seam() -> None:
    times_s = np.linspace(0, 20, 2001)
    noise = motion.wander(times_s, 20.0, (0.1, 0.6), np.random.default_rng(2))
    assert noise[:-1].std() == pytest.approx(1, abs=1e-3)
    assert noise[-1] == pytest.approx(noise[0])
    assert np.abs(noise[[0, 1, -2]]).max() < 1e-3  # at rest where one stretch meets the next
    steps = np.diff(noise)
    assert abs(steps[-1] - steps[0]) < 2 * np.abs(np.diff(steps)).max()


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
    assert 39.5 <= built.period_s - performance.IDLE_S <= 42
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


def test_neither_the_clip_nor_its_silence_has_a_seam(built: Any) -> None:
    """From the last frame to the first, and to that of the silence, is a step like those around it, with the lips
    closed; and the speech goes over into the silence as it does into itself."""
    silence, end = built.idle_frames
    assert end == len(built.expression) and end - silence == performance.IDLE_S * built.frame_rate
    bounds = (
        (built.expression, 0.01), (built.rotation_rad, 0.001), (built.translation_cm, 0.01),
        (built.torso_rotation_rad, 0.001), (built.torso_translation_cm, 0.01), (built.breath[:, None], 0.02),
        (built.tongue, 0.01),
    )  # fmt: skip
    for values, bound in bounds:
        for around in ([-2, -1, 0, 1], [-2, -1, silence, silence + 1], np.arange(silence - 2, silence + 2)):
            steps = np.diff(values[around].astype(np.float64), axis=0)
            assert np.abs(steps).max() < bound
            assert np.abs(np.diff(steps, axis=0)).max() < 0.3 * bound
    ends = built.lips_cm[[0, 1, silence - 1, silence, -2, -1]].astype(np.float64)
    assert np.abs(lips.lip_gaps(ends)).max() < 0.08
    assert built.phones[0].symbol == built.phones[-1].symbol == PAUSE


def test_pauses_between_sentences_are_as_written_and_a_breath_is_in_most(built: Any, request: Any) -> None:
    script = performance.SCRIPTS[request.node.callspec.params["built"]]
    silent = (PAUSE, BREATH)
    spoken_s = [(phone.start_s, phone.end_s) for phone in built.phones if phone.symbol not in silent]
    gaps = [after[0] - before[1] for before, after in zip(spoken_s, spoken_s[1:], strict=False)]
    written = [pause for pause, _ in script.lines[1:]]
    assert min(written) >= 0.3 and max(written) <= 1.5 and script.last_pause_s <= 1.5
    for pause in written:
        assert min(abs(gap - pause) for gap in gaps) < 0.045
    assert sum(phone.symbol == BREATH for phone in built.phones) >= len(script.lines) - 1


def test_lips_are_parted_in_every_breath(built: Any) -> None:
    gap = lips.lip_gaps(built.lips_cm.astype(np.float64))[:, lips.MIDDLE]
    for phone in built.phones:
        if phone.symbol == BREATH:
            first, end = (round(moment * built.frame_rate) for moment in (phone.start_s, phone.end_s))
            assert gap[first : end + 1].max() > 0.12
            assert built.breath[end + 1] > built.breath[first] + 0.1


def test_lips_part_at_the_bursts_of_the_voice(built: Any) -> None:
    """By the project's clock. The releases were set by the same bursts: this holds what mouth, frames and clock make of
    them, not that the bursts are where an ear hears them."""
    plosives_s = np.array([(phone.start_s, phone.end_s) for phone in built.phones if phone.symbol in "pb"])
    gap = lips.lip_gaps(built.lips_cm.astype(np.float64))[:, lips.MIDDLE]
    bursts_s = metrics.find_bursts(Audio(built.samples, built.sample_rate), plosives_s)
    found = metrics.plosive_offset(bursts_s, metrics.lip_partings(gap, np.arange(len(gap)) / built.frame_rate))
    assert found.count >= 20
    assert 0 <= found.median_ms <= 10
    assert found.spread_ms < 20


def test_the_lower_lip_is_at_the_upper_teeth_for_f_and_v(built: Any, request: Any) -> None:
    identity = performance.LOOKS[request.node.callspec.params["built"]].identity()
    edge = lips.load_lips(identity).upper_teeth_cm
    lower = built.lips_cm[:, lips.LOWER_INNER[lips.MIDDLE]].astype(np.float64)
    times_s = np.arange(len(lower)) / built.frame_rate
    bitten = [phone for phone in built.phones if phone.symbol in coarticulation.LABIODENTALS]
    assert len(bitten) >= 10
    for phone in bitten:
        during = (times_s > phone.start_s - 0.02) & (times_s < phone.end_s + 0.02)
        above, before = lower[during, 1] - edge[1], lower[during, 2] - edge[2]
        # Its upper side is as high as the edge of the teeth, and the thickness of a tooth before it.
        assert np.min(np.maximum(-above, 0) + np.maximum(before - 0.4, 0)) < 0.05, phone


def test_eyes_are_a_tenth_less_open_than_before(built: Any) -> None:
    """They were at weights of 0.09 and 0.12 of eyeBlink and eyeSquint of the model's neutral face, a stare."""
    open_ = weights_of(built, "eyeBlink_L")[built.blink == 0]
    assert 0.1 < np.median(open_) < 0.3
    assert weights_of(built, "eyeBlink_L")[built.blink == 1] == pytest.approx(1)


def test_the_presenter_smiles_at_the_end(built: Any) -> None:
    smile = weights_of(built, "mouthSmile_L")
    last_s = max(phone.end_s for phone in built.phones if phone.symbol not in (PAUSE, BREATH))
    silence = built.idle_frames[0]
    assert smile[round(last_s * built.frame_rate) : silence].max() > 0.5
    assert smile[silence:].max() < 0.4


def test_the_head_sinks_at_the_end_of_sentences(built: Any) -> None:
    """On the whole: pitch at the end of a sentence, against half a second before and a second after it."""
    pitch = np.degrees(built.rotation_rad[:, 0].astype(np.float64))
    ends = performance.Moments.of(built.phones).sentences_s
    frames = np.array([round(end * built.frame_rate) for _, end in ends[:-1]])
    assert np.mean(pitch[frames] - (pitch[frames - 15] + pitch[frames + 20]) / 2) > 0.5


def test_nothing_jumps(built: Any) -> None:
    assert np.degrees(np.abs(np.diff(built.rotation_rad, axis=0))).max() < 0.6
    assert np.abs(np.diff(built.translation_cm, axis=0)).max() < 0.05
    lids = ("eyeBlink", "eyeSquint", "eyeWide", "eyeLook", "browDown")
    slow = [not name.startswith(lids) for name in built.expression_names]
    assert np.abs(np.diff(built.expression[:, slow], axis=0)).max() < 0.25


def test_eyes_blink_fully_and_not_too_often(built: Any) -> None:
    for side in "LR":
        blink = weights_of(built, f"eyeBlink_{side}")
        starts = np.flatnonzero((blink > 0.5) & (np.roll(blink, 1) <= 0.5))
        spacing = np.diff(starts, append=starts[0] + len(blink)) / built.frame_rate
        assert spacing.min() > 0.8 and spacing.max() < 6.3
        assert 10 <= len(starts) / built.period_s * 60 <= 30
        assert all(blink[np.arange(start, start + 4) % len(blink)].max() > 0.98 for start in starts)


def test_most_blinks_are_at_the_borders_of_phrases(built: Any) -> None:
    starts_s = np.flatnonzero((built.blink > 0) & (np.roll(built.blink, 1) == 0)) / built.frame_rate
    spoken = starts_s[starts_s < built.period_s - performance.IDLE_S]
    borders = np.array(performance.Moments.of(built.phones).borders_s)
    near = [np.abs(borders - start).min() < 0.25 for start in spoken]
    assert np.mean(near) > 0.6


def test_files_hold_the_performance(built: Any, tmp_path: Path) -> None:
    performance.write(built, tmp_path / "clip")
    stored = load_file(tmp_path / "clip" / "performance.safetensors")
    np.testing.assert_array_equal(stored["expression"], built.expression)
    np.testing.assert_array_equal(stored["rotation_rad"], built.rotation_rad)
    np.testing.assert_array_equal(stored["lips_cm"], built.lips_cm)
    frames = len(built.expression)
    shapes = {
        "torso_rotation_rad": (frames, 3), "torso_translation_cm": (frames, 3), "breath": (frames,),
        "tongue": (frames, 3), "blink": (frames,), "gaze_rad": (frames, 2),
        "phone_times_s": (len(built.phones), 2), "release_s": (len(built.phones),),
    }  # fmt: skip
    assert {name: stored[name].shape for name in shapes} == shapes
    assert read_audio(tmp_path / "clip" / "speech.wav").duration_s == pytest.approx(built.period_s)
    assert sorted(path.name for path in (tmp_path / "clip").iterdir()) == ["performance.safetensors", "speech.wav"]
