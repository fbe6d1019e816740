"""Every metric on clips of any size, length and content: a finite score, or a reason, and never an error."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from synthetic_clips import track_at, write

from talkinghead import metrics
from talkinghead.evaluation import image_scorer, registry
from talkinghead.evaluation.clip import Clip
from talkinghead.evaluation.driving_audio import DrivingAudio
from talkinghead.evaluation.evaluate import evaluate_pair
from talkinghead.evaluation.image_scorer import ImageMeans, ImageScorer
from talkinghead.evaluation.landmark_pair import AudioLagScores, LandmarkPair, LocalFace
from talkinghead.evaluation.measured import FAILED, Measured
from talkinghead.evaluation.mouth_and_audio import MouthAndAudio
from talkinghead.evaluation.pairs import Pair
from talkinghead.evaluation.registry import (
    METRICS,
    FromAllClips,
    FromTwin,
    Metric,
    audio_scores,
    computed_from,
    landmark_scores,
)
from talkinghead.metrics.lpips import Lpips
from talkinghead.metrics.networks import MetricNetworks
from talkinghead.metrics.st_lpips import ShiftTolerantLpips
from talkinghead.speech.phone_times import PhoneTimes
from talkinghead.structures import Audio, BoolArray, ByteArray, FloatArray, Track

FACES = ("none", "one", "all")
PICTURES = ("equal", "black", "other")


class Anything:
    """Stands in for the networks whose weights a user installs."""

    def describe(self, image: ByteArray, landmarks: FloatArray) -> Any:
        return np.append(image.mean((0, 1)), 1.0)

    def jod(self, output: ByteArray, reference: ByteArray, frame_rate_hz: float) -> float:
        assert output.shape == reference.shape and frame_rate_hz > 0
        return 10 - float(np.abs(output.astype(float) - reference).mean())


class PastedSquare:
    """Stands in for the lower face: the middle of the image."""

    def pasted(self, frame: int, shape: tuple[int, ...]) -> BoolArray:
        found = np.zeros(shape[:2], np.bool_)
        found[shape[0] // 4 : -(shape[0] // 4), shape[1] // 4 : -(shape[1] // 4)] = True
        return found


@pytest.fixture(scope="module")
def networks() -> MetricNetworks:
    stand_in = cast(Any, Anything())
    return MetricNetworks(lpips=Lpips().eval(), identity=stand_in, st_lpips=ShiftTolerantLpips.load(), cvvdp=stand_in)


def with_faces(track: Track, faces: str) -> Track:
    valid = np.zeros(len(track), np.bool_)
    valid[: {"none": 0, "one": 1, "all": len(track)}[faces]] = True
    return replace(track, valid=valid)


def pictures(kind: str, side: int) -> tuple[ByteArray, ByteArray]:
    """An output's image and the reference's."""
    random = np.random.default_rng(side)
    reference = random.integers(0, 256, (side, side, 3)).astype(np.uint8)
    if kind == "black":
        return np.zeros_like(reference), np.zeros_like(reference)
    return (reference if kind == "equal" else reference[::-1].copy()), reference


def image_scores(side: int, frames: int, kind: str, face: bool, networks: MetricNetworks) -> tuple[Measured, set[str]]:
    """Scores of every image metric, and the names of those for which the images are too small."""
    track = track_at(np.arange(frames) / 25, side, side)
    corners = np.zeros(frames, np.intp)
    clip = Clip(Path("reference.mp4"), Fraction(25), track)
    scorer = ImageScorer(
        clip, metrics.MouthCrop(corners, corners, side), frozenset(range(frames)), cast(Any, PastedSquare()), networks
    )
    means = ImageMeans(scorer)
    output, reference = pictures(kind, side)
    means.add(scorer.pair(output, track.landmarks[0] if face else None, reference, 0))  # every frame is the same
    return means.measured(), set(scorer.missing)


def check(found: Measured, names: set[str]) -> None:
    """Every metric has a finite score or a reason, and no computation failed."""
    assert found.scores.keys() == names
    for name, score in found.scores.items():
        assert math.isfinite(score) != (name in found.reasons), (name, score)
    assert not [reason for reason in found.reasons.values() if reason.startswith(FAILED) or not reason]


def names_from(*kinds: Any) -> set[str]:
    return {metric.name for metric in METRICS if isinstance(metric.computed, kinds)}


@settings(max_examples=6, deadline=None)
@given(st.integers(8, 400), st.integers(1, 40), st.sampled_from(PICTURES), st.booleans())
@example(8, 1, "equal", True)
@example(10, 1, "black", False)
@example(11, 40, "other", True)
@example(32, 2, "equal", True)
@example(161, 1, "other", True)
@example(175, 2, "equal", False)
@example(176, 2, "equal", True)
@example(400, 3, "black", True)
def test_images_of_any_size(networks: MetricNetworks, side: int, frames: int, kind: str, face: bool) -> None:
    found, too_small = image_scores(side, frames, kind, face, networks)
    check(found, names_from(registry.FromImages, registry.FromMouthVideo) - too_small)
    assert ("ms_ssim_mouth" in too_small) == (side < 176)
    if kind == "equal":
        best = {metric.name: how.identical for metric, how in computed_from(registry.FromImages)}
        measured = {name: score for name, score in found.scores.items() if math.isfinite(score)}
        expected = {name: best[name] for name in measured if name in best}
        assert {name: measured[name] for name in expected} == pytest.approx(expected, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(FACES), st.sampled_from(FACES[1:]), st.booleans())
@example(1, 1, "none", "one", True)
@example(1, 40, "all", "all", False)
@example(40, 1, "one", "all", False)
@example(2, 2, "all", "all", True)
def test_landmarks_of_any_length(frames: int, others: int, faces: str, reference_faces: str, moves: bool) -> None:
    output = with_faces(track_at(np.arange(frames) / 25), faces)
    reference = with_faces(track_at(np.arange(others) / 25), reference_faces)
    if not moves:
        output.landmarks[:] = output.landmarks[0]
        reference.landmarks[:] = reference.landmarks[0]
    pair = LandmarkPair(output, reference, LocalFace(reference), AudioLagScores(80.0, 0.9, 0.08 if moves else 0.0))
    check(landmark_scores(pair), names_from(registry.FromLandmarks))
    assert len(pair.curves.opening) == others


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 40), st.sampled_from(FACES), st.floats(0, 2), st.sampled_from(["silence", "noise"]), st.booleans()
)
@example(1, "one", 0.0, "noise", True)
@example(40, "all", 0.02, "silence", False)
def test_audio_of_any_length(frames: int, faces: str, seconds: float, sounds: str, speaks: bool) -> None:
    track = with_faces(track_at(np.arange(frames) / 25), faces)
    samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * 16000)).astype(np.float32)
    audio = Audio(samples if sounds == "noise" else 0 * samples, 16000)
    phones = PhoneTimes(("p", "a", "b"), np.array([[0.0, 0.1], [0.1, 0.3], [0.3, 0.5]]))
    speech_s = np.array([[0.1, 0.6]]) if speaks else np.zeros((0, 2))
    mouth = MouthAndAudio(track, DrivingAudio(audio, speech_s, phones))
    check(audio_scores(mouth), names_from(registry.FromAudio))


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_features_of_any_number_of_clips(count: int) -> None:
    features = list(np.random.default_rng(0).normal(size=(count, 2048)).astype(np.float32))
    found = Measured()
    for metric, how in computed_from(FromAllClips):
        found.take(metric.name, lambda how=how: how.compute(features, features), how.undefined)  # type: ignore[misc]
    check(found, names_from(FromAllClips))


@pytest.mark.parametrize("side", [8, 175, 400])
@pytest.mark.parametrize("kind", PICTURES)
def test_twins_of_any_size(side: int, kind: str) -> None:
    for region in (np.zeros((side, side), np.bool_), np.ones((side, side), np.bool_)):
        for _, how in computed_from(FromTwin):
            assert math.isfinite(how.compute(*pictures(kind, side), region)) == region.any()


def test_a_metric_that_raises_is_not_measured_and_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synthetic_faces: None
) -> None:
    """One metric of each kind, by any error."""

    def broken(*_: object) -> float:
        raise RuntimeError("its window\nis larger than the image")

    names = {"opening_r", "silence_motion", "ssim_mouth", "leak", "sharpness_ratio"}
    changed = tuple(_with(metric, broken) if metric.name in names else metric for metric in METRICS)
    monkeypatch.setattr(registry, "METRICS", changed)
    monkeypatch.setattr(image_scorer, "computed_from", registry.computed_from)
    clip = write(tmp_path / "clip.mp4")
    found = evaluate_pair(Pair(clip, clip, twin=clip))
    reason = f"{FAILED} (RuntimeError: its window is larger than the image)"
    # Motion in silence lacks audio anyway, which is the reason that helps.
    assert {name for name, why in found.missing.items() if why == reason} == names - {"silence_motion"}
    assert found.scores.lmd_px == 0 and found.scores.psnr_mouth_db == 100
    assert all(math.isnan(getattr(found.scores, name)) for name in names)


def _with(metric: Metric, compute: Any) -> Metric:
    return replace(metric, computed=replace(metric.computed, compute=compute))


@pytest.mark.parametrize(("frames", "size"), [(1, 16), (2, 32), (9, 200)])
def test_whole_clips_that_are_tiny(tmp_path: Path, synthetic_faces: None, frames: int, size: int) -> None:
    clip = write(tmp_path / "clip.mp4", seconds=frames / 25, size=size)
    found = evaluate_pair(Pair(clip, clip))
    unmeasured = {name for name in registry.NAMES if math.isnan(getattr(found.scores, name))}
    # FID is computed over all clips.
    assert unmeasured - {"fid"} <= found.missing.keys()
    assert not [why for why in found.missing.values() if why.startswith(FAILED)]
    assert found.scores.lmd_px == 0 and found.scores.psnr_full_db == 100
