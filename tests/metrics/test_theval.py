"""THEval's terms on curves whose terms are known, and against another program of the same definition."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic_clips import track_at

from talkinghead.metrics import theval
from talkinghead.structures import Audio, Track

Values = NDArray[np.float64]
RATE_HZ = 16000
JUDGE = Path(__file__).parents[3] / "shared" / "judge"
WHOLE = np.array([[0.0, 100.0]])


def face(gaps: Values, fps: float = 25.0, width: int = 512, height: int = 256) -> Track:
    """A face whose lips stand `gaps` apart, as fractions of the height; its eyes' centers a half of the width apart."""
    track = track_at(np.arange(len(gaps)) / fps)
    places = np.zeros_like(track.landmarks)
    places[:, list(theval.LIPS), :2] = np.random.default_rng(0).uniform(100, 150, (len(theval.LIPS), 2))
    places[:, list(theval.UPPER_LIP), 1] = 100
    places[:, list(theval.LOWER_LIP), 1] = (100 + gaps * height)[:, None]
    for eye, x in ((theval.RIGHT_EYE, 100), (theval.LEFT_EYE, 100 + width / 2)):
        places[:, list(eye), 0] = x
    return Track(places, track.valid, track.times_s, width, height)


def steps(levels: Values, window_s: float = theval.WINDOW_S) -> Audio:
    """Audio whose volume has the given level in each window; one window more than levels, which is left out."""
    samples = np.repeat(np.append(levels, 0), round(window_s * RATE_HZ))
    return Audio((samples * np.resize([1, -1], len(samples))).astype(np.float32), RATE_HZ)


class TestLipSync:
    def test_of_lips_that_follow_the_volume_is_zero(self) -> None:
        levels = np.array([0.1, 0.5, 0.2, 0.8, 0.3, 0.4])
        track = face(0.02 + 0.1 * levels, fps=1 / theval.WINDOW_S)
        assert theval.lip_sync(track, steps(levels), WHOLE) == pytest.approx(0, abs=1e-5)

    def test_of_lips_that_do_the_opposite_is_the_mean_distance_of_the_scaled_curves(self) -> None:
        levels = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
        track = face(0.1 - 0.1 * levels, fps=1 / theval.WINDOW_S)
        assert theval.lip_sync(track, steps(levels), WHOLE) == pytest.approx(np.mean([1, 0.5, 0, 0.5, 1]), abs=1e-5)

    def test_counts_speech_and_frames_with_a_face_alone(self) -> None:
        levels = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
        track = face(np.array([0.0, 0.1, 0.1, 0.0, 0.0, 0.1]), fps=1 / theval.WINDOW_S)
        track.valid[2:4] = False
        assert theval.lip_sync(track, steps(levels), WHOLE) == pytest.approx(0, abs=1e-5)
        assert math.isnan(theval.lip_sync(track, steps(levels), np.zeros((0, 2))))

    def test_without_audio_is_not_measured(self) -> None:
        assert math.isnan(theval.lip_sync(face(np.ones(5)), Audio(np.zeros(700, np.float32), RATE_HZ), WHOLE))


class TestSilentLip:
    def test_is_the_median_distance_from_the_mean_opening(self) -> None:
        gaps = np.zeros(40)
        gaps[20:30] = [0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2]
        speech_s = np.array([[0.0, 19 / 25], [30 / 25, 2.0]])
        # The eyes' outer corners are half the width apart: fractions of the image, a half.
        assert theval.silent_lip(face(gaps), speech_s) == pytest.approx(0.05 / 0.5, abs=1e-6)

    @pytest.mark.parametrize(("frames", "counts"), [(7, False), (8, True)])
    def test_pauses_of_less_than_300_ms_do_not_count(self, frames: int, counts: bool) -> None:
        speech_s = np.array([[0.0, 9 / 25], [(10 + frames) / 25, 2.0]])
        found = theval.silent(np.arange(40) / 25, speech_s)
        assert found.sum() == (frames if counts else 0)
        assert math.isnan(theval.silent_lip(face(np.zeros(40)), speech_s)) != counts


class TestLipDynamics:
    def test_of_a_still_mouth_is_zero(self) -> None:
        assert theval.lip_dynamics(face(np.full(10, 0.1))) == pytest.approx(0, abs=1e-4)

    def test_of_lips_that_grow_is_the_deviation_of_all_distances(self) -> None:
        track = track_at(np.arange(2) / 25, 512, 256)
        track.landmarks[1] = 2 * track.landmarks[0]
        places = track.landmarks[0, list(theval.LIPS), :2] / (512, 256) * 256
        one, other = np.triu_indices(len(places), 1)
        distances = np.linalg.norm(places[one] - places[other], axis=1)
        # Each distance is d and 2 d: its standard deviation is d / 2.
        assert theval.lip_dynamics(track) == pytest.approx(distances.mean() / 2, rel=1e-5)

    def test_without_a_face_is_not_measured(self) -> None:
        track = face(np.zeros(3))
        track.valid[:] = False
        assert math.isnan(theval.lip_dynamics(track))


@pytest.fixture(scope="module")
def judge() -> Any:
    """Another program of the same definition."""
    if not (JUDGE / "terms.py").is_file():
        pytest.skip("needs ../shared: another program of the same definition")
    path = list(sys.path)
    sys.path.insert(0, str(JUDGE))
    try:
        return importlib.import_module("terms")
    except ImportError as error:
        pytest.skip(f"the other program lacks {error.name}")
    finally:
        sys.path[:] = path


@pytest.mark.parametrize("fps", [24.0, 25.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_another_program_finds_the_same(judge: Any, fps: float, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(60, 150))
    track = track_at(np.arange(count) / fps, 640, 360)
    track.landmarks[:, list(theval.LIPS)] += random.normal(0, 3, (count, len(theval.LIPS), 3)).astype(np.float32)
    track.valid[random.integers(0, count, 5)] = False
    samples = (random.normal(0, 0.1, round(count / fps * RATE_HZ)) * np.abs(np.sin(np.arange(count / fps * RATE_HZ)[
        : round(count / fps * RATE_HZ)] / 3000))).astype(np.float32)  # fmt: skip
    speech_s = np.array([[0.1, 0.9], [1.31, 1.7], [2.0, 2.2]])
    places = track.landmarks[..., :2] / np.array([640, 360], np.float32)
    places[~track.valid] = np.nan
    monkeypatch.setattr(judge, "landmarks", lambda _: (places, fps))
    expected = judge.measure("", samples, [{"start": begin, "end": end} for begin, end in speech_s])
    audio = Audio(samples, RATE_HZ)
    assert theval.lip_sync(track, audio, speech_s) == pytest.approx(expected["lip_sync"], abs=1e-5)
    assert theval.silent_lip(track, speech_s) == pytest.approx(expected["silent_lip"], abs=1e-6)
    assert theval.lip_dynamics(track) == pytest.approx(expected["lip_dynamics"], rel=1e-5)
