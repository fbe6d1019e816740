"""Whole clips scored: synthetic clips whose difference is known, and a real one against itself."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from synthetic_clips import SIZE, opening_px, pattern, synthetic_track, write

from talkinghead import metrics
from talkinghead.errors import MissingFileError, NoFaceError
from talkinghead.evaluation import clip as evaluation_clip
from talkinghead.evaluation import evaluate as evaluation_module
from talkinghead.evaluation.clip import resized
from talkinghead.evaluation.evaluate import evaluate, evaluate_pair
from talkinghead.evaluation.pairs import LeftOut, Pair
from talkinghead.evaluation.registry import METRICS, NAMES
from talkinghead.evaluation.results import (
    FROZEN_MOUTH,
    GROUND_TRUTH,
    RENDERER_CEILING,
    SHIFTED_TRUTH,
    Evaluation,
    PairScores,
)
from talkinghead.evaluation.scores import Scores
from talkinghead.evaluation.summary import scale_line, summary
from talkinghead.evaluation.tables import (
    as_csv,
    as_json,
    differences_table,
    headline,
    headline_table,
    intervals_table,
    not_measured_line,
    not_measured_reasons,
    pairs_table,
    remarks,
    score_rows,
    scores_table,
)
from talkinghead.metrics.lpips import Lpips
from talkinghead.metrics.networks import MetricNetworks
from talkinghead.metrics.syncnet import SyncNet
from talkinghead.structures import LANDMARKS, ByteArray, FloatArray, Track

SHARED = Path(__file__).parents[3] / "shared"
# fmt: off
KEYS = {
    "lmd_px", "lmd_iod", "opening_r", "width_r", "opening_std_ratio", "lag_ms", "psnr_full_db", "psnr_mouth_db",
    "ssim_mouth", "jitter_ratio", "sharpness_ratio", "frames_scored", "frames_total",
}
# fmt: on


def some_scores(lmd_px: float) -> Scores:
    return replace(Scores(**dict.fromkeys((field.name for field in fields(Scores)), 1.0)), lmd_px=lmd_px)


def shown(table: Table, width: int = 120) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return cast(io.StringIO, console.file).getvalue()


@pytest.mark.usefixtures("synthetic_faces")
class TestSyntheticClips:
    def test_a_clip_against_itself_is_the_ground_truth(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        result = evaluate_pair(Pair(clip, clip))
        assert result.notes == ()
        assert asdict(result.scores) == pytest.approx(
            {**asdict(result.rows[GROUND_TRUTH]), "leak": math.nan}, nan_ok=True
        )
        assert (result.scores.lmd_px, result.scores.lag_ms, result.scores.psnr_mouth_db) == (0, 0, 100)
        assert (result.scores.frames_scored, result.scores.frames_total) == (50, 50)

    def test_frozen_mouth_is_still_and_has_no_pixels(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        frozen = evaluate_pair(Pair(clip, clip)).rows[FROZEN_MOUTH]
        assert frozen.lmd_px > 1
        assert frozen.opening_std_ratio == pytest.approx(0, abs=1e-3)
        assert math.isnan(frozen.psnr_mouth_db)
        assert math.isnan(frozen.sharpness_ratio)

    def test_psnr_of_a_darker_clip(self, tmp_path: Path) -> None:
        result = evaluate_pair(Pair(write(tmp_path / "dark.mp4", dark=10), write(tmp_path / "true.mp4")))
        assert result.scores.psnr_full_db == pytest.approx(20 * math.log10(255 / 10), abs=0.5)
        assert result.scores.psnr_mouth_db == pytest.approx(20 * math.log10(255 / 10), abs=0.5)
        assert result.scores.sharpness_ratio == pytest.approx(1, abs=0.2)

    def test_clips_of_different_rate_are_compared_at_equal_times(self, tmp_path: Path) -> None:
        # Paired by number instead of by time, frame 30 would be 0.2 s or 8 levels off, and the mean below 36 dB.
        rate = Fraction(30000, 1001)
        result = evaluate_pair(Pair(write(tmp_path / "ntsc.mp4", rate), write(tmp_path / "true.mp4")))
        assert result.scores.psnr_full_db > 45
        assert result.scores.frames_scored == 50
        assert result.scores.opening_r > 0.99
        assert result.scores.lag_ms == 0
        assert any("29.970 frames a second against 25.000" in note for note in result.notes)

    @pytest.mark.parametrize("size", [48, 192])
    def test_clips_of_different_size_are_compared_at_the_references(self, tmp_path: Path, size: int) -> None:
        output, reference = write(tmp_path / "other.mp4", size=size), write(tmp_path / "true.mp4")
        result = evaluate_pair(Pair(output, reference))
        assert result.scores.lmd_px == pytest.approx(0, abs=1e-3)
        assert result.scores.psnr_full_db > 33
        assert any(f"{size}x{size} px against 96x96" in note for note in result.notes)

    def test_a_line_added_by_the_encoder_is_cut_off(self) -> None:
        image = resized(pattern(0), SIZE - 1, SIZE - 1)
        assert np.array_equal(image, pattern(0)[: SIZE - 1, : SIZE - 1])

    def test_an_output_cut_short_is_scored_as_far_as_it_goes(self, tmp_path: Path) -> None:
        output, reference = write(tmp_path / "short.mp4", seconds=1.2), write(tmp_path / "true.mp4")
        result = evaluate_pair(Pair(output, reference))
        assert (result.scores.frames_scored, result.scores.frames_total) == (30, 50)
        assert result.scores.lmd_px == 0
        assert result.notes == ("20 of 50 frames of the reference come when the output has none",)

    def test_a_longer_output_is_noted(self, tmp_path: Path) -> None:
        output, reference = write(tmp_path / "long.mp4", seconds=2.4), write(tmp_path / "true.mp4")
        result = evaluate_pair(Pair(output, reference))
        assert result.scores.frames_scored == 50
        assert result.notes == ("10 of 60 frames of the output come when the reference has none",)

    def test_a_ceiling_has_its_own_row(self, tmp_path: Path) -> None:
        reference = write(tmp_path / "true.mp4")
        output, ceiling = write(tmp_path / "dark.mp4", dark=20), write(tmp_path / "ceiling.mp4", dark=5)
        result = evaluate_pair(Pair(output, reference, ceiling=ceiling))
        assert result.rows[RENDERER_CEILING].psnr_mouth_db > result.scores.psnr_mouth_db + 10

    def test_result_is_json_without_nan(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        found = as_json(evaluate([Pair(clip, clip), Pair(clip, clip)]))
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert set(found["pairs"][0]) >= KEYS
        assert set(found["mean"]) >= KEYS
        assert [pair["output"] for pair in found["pairs"]] == [str(clip)] * 2
        assert found["rows"]["frozen_mouth"]["psnr_mouth_db"] is None

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(MissingFileError, match="nowhere"):
            evaluate_pair(Pair(tmp_path / "nowhere.mp4", write(tmp_path / "true.mp4")))


def lose_faces(monkeypatch: pytest.MonkeyPatch, *lost: list[int]) -> None:
    """Tracks in the order in which the clips are read, each without a face in the frames named."""
    queue: Iterator[list[int]] = iter(lost)

    def track(path: Path) -> Track:
        whole = synthetic_track(path)
        chosen = np.isin(np.arange(len(whole)), next(queue))
        return replace(whole, valid=~chosen, landmarks=np.where(chosen[:, None, None], 0, whole.landmarks))

    monkeypatch.setattr(evaluation_clip, "track_file", track)


@pytest.mark.usefixtures("synthetic_faces")
class TestLostFaces:
    def test_are_counted_on_both_sides(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lose_faces(monkeypatch, [3, 4], [4, 5, 6])
        clip = write(tmp_path / "clip.mp4")
        result = evaluate_pair(Pair(clip, clip))
        assert (result.scores.frames_scored, result.scores.frames_total) == (46, 50)
        assert result.scores.lmd_px == 0
        assert "2 of 50 frames of the reference show no face" in result.notes
        assert "3 of 50 frames of the output show no face" in result.notes

    def test_an_output_without_any_face_is_still_scored_by_its_images(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lose_faces(monkeypatch, [], list(range(50)))
        result = evaluate_pair(Pair(write(tmp_path / "dark.mp4", dark=20), write(tmp_path / "true.mp4")))
        assert result.scores.frames_scored == 0
        assert math.isnan(result.scores.lmd_px)
        assert math.isnan(result.scores.jitter_ratio)
        assert result.scores.psnr_mouth_db == pytest.approx(20 * math.log10(255 / 20), abs=0.5)

    def test_a_reference_without_any_face_is_an_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lose_faces(monkeypatch, list(range(50)))
        clip = write(tmp_path / "clip.mp4")
        with pytest.raises(NoFaceError, match=r"clip\.mp4"):
            evaluate_pair(Pair(clip, clip))


def scored(name: str, row: Scores, system: str = "output") -> PairScores:
    pair = Pair(Path(f"{system}/{name}.mp4"), Path(f"{name}.mp4"), system=system)
    return PairScores(pair, row, {GROUND_TRUTH: some_scores(0)}, (), {"lse_d": "needs syncnet_v2"}, None, {})


class TestSummary:
    found = Evaluation(
        tuple(
            scored(name, replace(some_scores(lmd_px), lse_d=math.nan))
            for name, lmd_px in (("first", 1.0), ("second", 4.0), ("faceless", math.nan))
        ),
        (LeftOut(Path("broken.mp4"), "output", "it is empty"),),
    )

    def test_mean_is_over_the_pairs_that_were_measured(self) -> None:
        assert self.found.mean().lmd_px == pytest.approx(2.5)
        assert as_json(self.found)["mean"]["lmd_px"] == pytest.approx(2.5)

    def test_tables_show_every_row_and_say_what_was_not_measured(self) -> None:
        table = shown(scores_table(self.found))
        assert "mean of 3" in table and "ground" in table and "LSE-D" not in table
        assert not_measured_line(self.found).startswith("not measured: lse_d")
        assert not_measured_reasons(self.found)[0] == ("needs syncnet_v2", ["lse_d"])
        assert "2.50 [1.00, 4.00]" in shown(intervals_table(self.found))
        by_pair = shown(pairs_table(self.found))
        assert all(name in by_pair for name in ("first.mp4", "second.mp4", "faceless.mp4"))
        assert " - " in by_pair and "nan" not in by_pair

    def test_names_in_brackets_are_no_markup(self) -> None:
        """Systems are called as their folders are."""
        clips = (scored("[b]one[i]", some_scores(1.0), "ours [v2]"), scored("two", some_scores(2.0), "[red]"))
        for make in (headline_table, scores_table, pairs_table, differences_table):
            assert "[v2]" in shown(make(Evaluation(clips)), 200) and "[red]" in shown(make(Evaluation(clips)), 200)
        assert "[b]one[i].mp4" in shown(pairs_table(Evaluation(clips)), 200)

    def test_a_hundred_characters_are_enough(self) -> None:
        """Two systems beside four scale rows, everything measured: no heading or number is cut."""
        rows = {name: some_scores(12.34) for name in (GROUND_TRUTH, FROZEN_MOUTH, SHIFTED_TRUTH, RENDERER_CEILING)}
        clips = tuple(
            replace(scored(clip, some_scores(12.34), system), rows=rows, missing={})
            for system in ("ours", "theirs")
            for clip in ("one", "two")
        )
        found = Evaluation(clips)
        for make in (headline_table, scores_table, intervals_table, pairs_table, differences_table):
            text = shown(make(found), 100)
            assert "…" not in text
            assert max(map(len, text.splitlines())) <= 100
        assert "ceiling" in shown(scores_table(found), 100) and "LSE-C" in shown(headline_table(found), 100)

    def test_remarks_count_the_clips_and_give_reasons(self) -> None:
        lines = remarks(self.found)
        assert lines[0] == "3 of 4 clips scored"
        assert "left out: broken.mp4 (output): it is empty" in lines
        assert not any("lse_d" in line for line in lines)

    def test_a_sentence_says_what_the_scores_mean(self) -> None:
        frozen = replace(some_scores(3.0), opening_r=0.1)

        def said(**changes: float) -> str:
            row = replace(replace(some_scores(1.0), lag_ms=0.0), **changes)
            whole = replace(scored("one", row), rows={GROUND_TRUTH: some_scores(0), FROZEN_MOUTH: frozen})
            (line,) = summary(Evaluation((whole,)))
            return line

        assert "the mouth is 1.00 px from the reference's" in said() and "nearer than a still mouth" in said()
        assert "follows the reference's (r 1.000; 1 is best), with 1.00 times its movement; in time." in said()
        assert "farther than a still mouth" in said(lmd_px=4.0) and "no nearer than a still" in said(lmd_px=3.001)
        assert "hardly follows" in said(opening_r=0.2) and "40 ms late" in said(lag_ms=40.0)
        assert "40 ms early" in said(lag_ms=-40.0)
        assert "early" not in said(lag_ms=-40.0, lag_r=0.2)
        assert "shows a face in both" in said(lmd_px=math.nan, opening_r=math.nan)

    def test_without_a_reference_it_says_what_the_output_shows(self) -> None:
        alone = replace(scored("one", Scores(silence_motion=0.25, plosive_offset_ms=-20.0)), rows={})
        found = Evaluation((alone,))
        assert summary(found) == [
            "output: there is no reference to compare with; in silence the mouth moves 0.25 times as much as in speech "
            "(0: it rests; 1: it does not know silence); the lips part 20 ms before the bursts of p and b."
        ]
        assert scale_line(found) == ""
        assert len(list(score_rows(found))) == 2 and headline(found) == []

    def test_csv_has_a_line_a_clip_and_a_row(self) -> None:
        lines = as_csv(self.found).splitlines()
        assert lines[0].split(",")[:4] == ["system", "output", "reference", NAMES[0]]
        assert len(lines) == 1 + 3 + 2

    def test_systems_are_compared_clip_by_clip(self) -> None:
        """The second system is worse by 1 on every clip: the interval is narrow though the clips differ by far more."""
        clips = [scored(str(number), some_scores(float(number))) for number in range(8)]
        clips += [scored(str(number), some_scores(number + 1.0), "other") for number in range(8)]
        both = Evaluation(tuple(clips))
        difference, intervals = both.difference("output", "other")
        assert difference.lmd_px == pytest.approx(-1)
        assert intervals["lmd_px"] == pytest.approx((-1, -1))
        low, high = both.intervals("output")["lmd_px"]
        assert low < 2.5 < 4.5 < high
        assert "-1.00 [-1.00, -1.00]" in shown(differences_table(both))


def with_bursts(clip: Path, bursts_s: NDArray[np.float64], folder: Path) -> Pair:
    """A pair of a clip and noise that breaks off for 80 ms before each of the given times, with p there."""
    times_s = np.arange(8 * 16000) / 16000
    level = np.full(len(times_s), 0.1)
    for burst_s in bursts_s:
        level[(times_s >= burst_s - 0.08) & (times_s < burst_s)] = 3e-4
    speech, table = folder / "speech.wav", folder / "phones.tsv"
    soundfile.write(speech, level * np.random.default_rng(0).normal(size=len(times_s)), 16000)
    table.write_text("".join(f"{burst_s - 0.08:.3f} {burst_s + 0.02:.3f} p\n" for burst_s in bursts_s))
    return Pair(clip, driving=speech, phones=table)


@pytest.mark.usefixtures("synthetic_faces")
class TestScale:
    def test_the_shifted_truth_lags_and_shows_which_metrics_are_blind(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        found = evaluate([Pair(clip, clip)])
        assert found.rows[SHIFTED_TRUTH].lag_ms == 200
        assert found.rows[SHIFTED_TRUTH].psnr_full_db == pytest.approx(20 * math.log10(255 / 8), abs=1)
        row = found.rows[SHIFTED_TRUTH]
        measured = [metric for metric in METRICS if not metric.is_count and np.isfinite(getattr(row, metric.name))]
        assert len(measured) > 15
        # The clip's pattern grows brighter and does not move, to which SSIM hardly responds.
        blind = set(found.blind_to_sync) - {"ssim_full", "ssim_mouth"}
        assert blind == {metric.name for metric in measured if metric.blind_to_sync}

    def test_without_a_reference_only_audio_metrics_are_left(self, tmp_path: Path) -> None:
        found = evaluate([Pair(write(tmp_path / "clip.mp4"))])
        assert found.rows == {} and found.pairs[0].curves is None
        assert found.missing["lmd_px"] == "needs a reference"
        assert "needs audio" in found.missing["silence_motion"]
        assert found.mean().frames_total == 50

    def test_lip_closure_is_measured_where_phone_times_are_given(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        table = tmp_path / "phones.tsv"
        times_s = np.linspace(0, 1.9, 200)
        closed = float(times_s[np.argmin([opening_px(time_s) for time_s in times_s])])
        table.write_text(f"begin end phone\n0.1 0.5 a\n{max(closed - 0.02, 0):.3f} {closed + 0.02:.3f} B\n")
        assert evaluate_pair(Pair(clip, clip, phones=table)).scores.closure_depth > 0.5

    def test_audio_that_is_80_ms_late_makes_the_lips_80_ms_early_at_bursts(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4", seconds=8.0)
        times_s = np.arange(0, 7.9, 0.002)
        bursts_s = metrics.lip_partings(np.array([opening_px(time_s) for time_s in times_s]), times_s)
        assert len(bursts_s) >= 6
        for late_s in (0.0, 0.08):
            found = evaluate_pair(with_bursts(clip, bursts_s + late_s, tmp_path)).scores
            assert found.plosives == len(bursts_s)
            assert found.plosive_offset_ms == pytest.approx(-1000 * late_s, abs=8)

    def test_too_few_bursts_are_not_timed(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        found = evaluate_pair(with_bursts(clip, np.array([0.9]), tmp_path))
        assert math.isnan(found.scores.plosive_offset_ms) and found.scores.plosives <= 1
        assert found.missing["plosive_offset_ms"].startswith("needs 5 p and b at which the lips part")

    def test_a_twin_shows_the_leak(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        twin = write(tmp_path / "twin.mp4", dark=6)
        found = evaluate_pair(Pair(clip, clip, twin=twin))
        assert found.scores.leak == pytest.approx(6, abs=1)

    def test_an_anchor_adds_the_renderer_ceiling(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clip = write(tmp_path / "clip.mp4")
        monkeypatch.setattr(evaluation_module, "render_ceiling", lambda *_: write(tmp_path / "ceiling.mp4", dark=5))
        found = evaluate([Pair(clip, clip)], anchor=tmp_path / "me.anchor")
        assert list(found.rows) == [GROUND_TRUTH, FROZEN_MOUTH, SHIFTED_TRUTH, RENDERER_CEILING]
        assert found.rows[RENDERER_CEILING].psnr_mouth_db == pytest.approx(20 * math.log10(255 / 5), abs=0.5)

    def test_a_clip_that_cannot_be_read_is_left_out_with_its_reason(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        found = evaluate([Pair(clip, clip), Pair(tmp_path / "none.mp4", clip)])
        assert len(found.pairs) == 1
        assert "none.mp4" in found.left_out[0].reason


class MeanColor:
    """Stands in for FID's and dlib's networks: the mean color of an image."""

    def features(self, image: ByteArray) -> FloatArray:
        return image.mean((0, 1)).astype(np.float32)

    def describe(self, image: ByteArray, landmarks: FloatArray) -> NDArray[np.float64]:
        assert landmarks.shape == (LANDMARKS, 3)
        return image.mean((0, 1)) * (1, 0, 0) + (0, 100, 0)


@pytest.fixture
def networks() -> MetricNetworks:
    """SyncNet and LPIPS with random weights, and simple functions for the two others."""
    torch.manual_seed(0)
    lpips = Lpips().eval()
    for name, value in lpips.named_parameters():
        if name.startswith("lin"):
            value.data.abs_()
    other = cast(Any, MeanColor())
    return MetricNetworks(SyncNet().eval(), lpips, inception=other, identity=other)


@pytest.mark.usefixtures("synthetic_faces")
class TestMetricNetworks:
    def test_are_used_for_their_metrics(
        self, tmp_path: Path, networks: MetricNetworks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(evaluation_module, "load_metric_networks", lambda: networks)
        speech = tmp_path / "speech.wav"
        soundfile.write(speech, np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
        reference, dark = write(tmp_path / "clip.mp4", seconds=1.0), write(tmp_path / "dark.mp4", seconds=1.0, dark=15)
        found = evaluate([Pair(clip, reference, driving=speech, system=clip.stem) for clip in (reference, dark)])
        same, darker, best = found.mean("clip"), found.mean("dark"), found.rows[GROUND_TRUTH]
        assert (same.lpips_full, same.lpips_mouth, best.lpips_full, best.lpips_mouth) == (0, 0, 0, 0)
        assert darker.lpips_full > 0 and darker.lpips_mouth > 0
        assert same.identity_similarity == pytest.approx(1) and best.identity_similarity == 1
        assert darker.identity_similarity < 0.999
        assert same.fid == pytest.approx(0, abs=1e-3)
        assert darker.fid == pytest.approx(3 * 15**2, rel=0.05)
        assert (same.lse_d, same.lse_c, same.lse_offset) == (best.lse_d, best.lse_c, best.lse_offset)
        assert darker.lse_d != best.lse_d and np.isfinite(darker.lse_d)
        phones = {"closure_depth", "plosive_offset_ms", "plosives"}
        # The noise that drives it is no speech, and the clips are too short for the lag of the audio.
        no_speech = {"silence_motion", "theval_lip_sync"}
        lag = {"audio_lag_ms", "audio_lag_r"}
        assert set(found.missing) == {
            *phones, *no_speech, *lag, "leak", "ms_ssim_full", "ms_ssim_mouth", "st_lpips_mouth", "cvvdp_mouth_jod",
        }  # fmt: skip

    def test_syncnet_needs_audio(self, tmp_path: Path, networks: MetricNetworks) -> None:
        clip = write(tmp_path / "clip.mp4", seconds=0.4)
        result = evaluate_pair(Pair(clip, clip), networks)
        assert math.isnan(result.scores.lse_d) and "needs audio" in result.missing["lse_d"]


def test_a_real_clip_against_itself(own_caches: None) -> None:
    clip = SHARED / "data" / "clips" / "grid" / "bbaf2n.mpg"
    if not clip.is_file():
        pytest.skip("needs ../shared: a real clip")
    result = evaluate_pair(Pair(clip, clip), MetricNetworks())
    assert (result.scores.frames_scored, result.scores.frames_total) == (75, 75)
    assert (result.scores.lmd_px, result.scores.lag_ms, result.scores.psnr_full_db) == (0, 0, 100)
    assert result.scores.opening_r == pytest.approx(1)
    assert 0.5 < result.rows[FROZEN_MOUTH].lmd_px < 4
