"""Whole clips judged: made clips whose difference is known, and a real one against itself."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from made_clips import SIZE, made_track, opening_px, picture, write
from rich.console import Console
from rich.table import Table

from talkinghead.errors import MissingFileError, NoFaceError
from talkinghead.evaluation import clip as evaluation_measures
from talkinghead.evaluation.evaluate import (
    FROZEN_MOUTH,
    GROUND_TRUTH,
    RENDERER_CEILING,
    SHIFTED_TRUTH,
    Evaluation,
    PairScores,
    evaluate,
    evaluate_pair,
)
from talkinghead.evaluation.pairs import LeftOut, Pair
from talkinghead.evaluation.scores import METRICS, NAMES, Scores
from talkinghead.evaluation.tables import (
    as_csv,
    as_json,
    differences_table,
    headline_table,
    intervals_table,
    pairs_table,
    remarks,
    scores_table,
)
from talkinghead.metrics.networks import Judges
from talkinghead.structures import Track

SHARED = Path(__file__).parents[3] / "shared"
# fmt: off
KEYS = {
    "lmd_px", "lmd_iod", "opening_r", "width_r", "opening_std_ratio", "lag_ms", "psnr_full_db", "psnr_mouth_db",
    "ssim_mouth", "jitter_ratio", "sharpness_ratio", "frames_scored", "frames_total",
}
# fmt: on
NO_JUDGES = Judges(missing={"lse_d": "needs syncnet_v2"})


def some_scores(lmd_px: float) -> Scores:
    return replace(Scores(**dict.fromkeys((field.name for field in fields(Scores)), 1.0)), lmd_px=lmd_px)


def shown(table: Table, width: int = 120) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return cast(io.StringIO, console.file).getvalue()


@pytest.mark.usefixtures("made_faces")
class TestMadeClips:
    def test_a_clip_against_itself_is_the_ground_truth(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        result = evaluate_pair(Pair(clip, clip), NO_JUDGES)
        assert result.notes == ()
        assert asdict(result.scores) == pytest.approx(
            {**asdict(result.rows[GROUND_TRUTH]), "leak": math.nan}, nan_ok=True
        )
        assert (result.scores.lmd_px, result.scores.lag_ms, result.scores.psnr_mouth_db) == (0, 0, 100)
        assert (result.scores.frames_scored, result.scores.frames_total) == (50, 50)

    def test_frozen_mouth_is_still_and_has_no_pixels(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        frozen = evaluate_pair(Pair(clip, clip), NO_JUDGES).rows[FROZEN_MOUTH]
        assert frozen.lmd_px > 1
        assert frozen.opening_std_ratio == pytest.approx(0, abs=1e-3)
        assert math.isnan(frozen.psnr_mouth_db)
        assert math.isnan(frozen.sharpness_ratio)

    def test_psnr_of_a_darker_clip(self, tmp_path: Path) -> None:
        result = evaluate_pair(Pair(write(tmp_path / "dark.mp4", dark=10), write(tmp_path / "true.mp4")), NO_JUDGES)
        assert result.scores.psnr_full_db == pytest.approx(20 * math.log10(255 / 10), abs=0.5)
        assert result.scores.psnr_mouth_db == pytest.approx(20 * math.log10(255 / 10), abs=0.5)
        assert result.scores.sharpness_ratio == pytest.approx(1, abs=0.2)

    def test_clips_of_different_rate_are_compared_moment_by_moment(self, tmp_path: Path) -> None:
        # Paired by number instead of by time, frame 30 would be 0.2 s or 8 levels off, and the mean below 36 dB.
        rate = Fraction(30000, 1001)
        result = evaluate_pair(Pair(write(tmp_path / "ntsc.mp4", rate), write(tmp_path / "true.mp4")), NO_JUDGES)
        assert result.scores.psnr_full_db > 45
        assert result.scores.frames_scored == 50
        assert result.scores.opening_r > 0.99
        assert result.scores.lag_ms == 0
        assert any("29.970 frames a second against 25.000" in note for note in result.notes)

    @pytest.mark.parametrize("size", [48, 192])
    def test_clips_of_different_size_are_compared_at_the_references(self, tmp_path: Path, size: int) -> None:
        output, reference = write(tmp_path / "other.mp4", size=size), write(tmp_path / "true.mp4")
        result = evaluate_pair(Pair(output, reference), NO_JUDGES)
        assert result.scores.lmd_px == pytest.approx(0, abs=1e-3)
        assert result.scores.psnr_full_db > 33
        assert any(f"{size}x{size} px against 96x96" in note for note in result.notes)

    def test_a_line_added_by_the_encoder_is_cut_off_again(self) -> None:
        seen = evaluation_measures.resized(picture(0), SIZE - 1, SIZE - 1)
        assert np.array_equal(seen, picture(0)[: SIZE - 1, : SIZE - 1])

    def test_an_output_cut_short_is_scored_as_far_as_it_goes(self, tmp_path: Path) -> None:
        output, reference = write(tmp_path / "short.mp4", seconds=1.2), write(tmp_path / "true.mp4")
        result = evaluate_pair(Pair(output, reference), NO_JUDGES)
        assert (result.scores.frames_scored, result.scores.frames_total) == (30, 50)
        assert result.scores.lmd_px == 0
        assert result.notes == ("20 of 50 frames of the reference come when the output has none",)

    def test_a_longer_output_is_noted(self, tmp_path: Path) -> None:
        output, reference = write(tmp_path / "long.mp4", seconds=2.4), write(tmp_path / "true.mp4")
        result = evaluate_pair(Pair(output, reference), NO_JUDGES)
        assert result.scores.frames_scored == 50
        assert result.notes == ("10 of 60 frames of the output come when the reference has none",)

    def test_a_ceiling_has_its_own_row(self, tmp_path: Path) -> None:
        reference = write(tmp_path / "true.mp4")
        output, ceiling = write(tmp_path / "dark.mp4", dark=20), write(tmp_path / "ceiling.mp4", dark=5)
        result = evaluate_pair(Pair(output, reference, ceiling=ceiling), NO_JUDGES)
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
            evaluate_pair(Pair(tmp_path / "nowhere.mp4", write(tmp_path / "true.mp4")), NO_JUDGES)


def lose_faces(monkeypatch: pytest.MonkeyPatch, *lost: list[int]) -> None:
    """Tracks in the order in which the clips are read, each without a face in the frames named."""
    queue: Iterator[list[int]] = iter(lost)

    def track(path: Path) -> Track:
        made = made_track(path)
        chosen = np.isin(np.arange(len(made)), next(queue))
        return replace(made, valid=~chosen, landmarks=np.where(chosen[:, None, None], 0, made.landmarks))

    monkeypatch.setattr(evaluation_measures, "track_file", track)


class TestLostFaces:
    def test_are_counted_on_both_sides(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lose_faces(monkeypatch, [3, 4], [4, 5, 6])
        clip = write(tmp_path / "clip.mp4")
        result = evaluate_pair(Pair(clip, clip), NO_JUDGES)
        assert (result.scores.frames_scored, result.scores.frames_total) == (46, 50)
        assert result.scores.lmd_px == 0
        assert "2 of 50 frames of the reference show no face" in result.notes
        assert "3 of 50 frames of the output show no face" in result.notes

    def test_an_output_without_any_face_is_still_judged_by_its_pixels(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lose_faces(monkeypatch, [], list(range(50)))
        result = evaluate_pair(Pair(write(tmp_path / "dark.mp4", dark=20), write(tmp_path / "true.mp4")), NO_JUDGES)
        assert result.scores.frames_scored == 0
        assert math.isnan(result.scores.lmd_px)
        assert math.isnan(result.scores.jitter_ratio)
        assert result.scores.psnr_mouth_db == pytest.approx(20 * math.log10(255 / 20), abs=0.5)

    def test_a_reference_without_any_face_is_an_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lose_faces(monkeypatch, list(range(50)))
        clip = write(tmp_path / "clip.mp4")
        with pytest.raises(NoFaceError, match=r"clip\.mp4"):
            evaluate_pair(Pair(clip, clip), NO_JUDGES)


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
        assert "mean of 3" in table and "ground" in table and "not measured" in table
        assert "2.50 [1.00, 4.00]" in shown(intervals_table(self.found))
        by_pair = shown(pairs_table(self.found))
        assert all(name in by_pair for name in ("first.mp4", "second.mp4", "faceless.mp4"))
        assert " - " in by_pair and "nan" not in by_pair

    def test_a_hundred_characters_are_enough(self) -> None:
        """Two systems beside four rows that set the scale, everything measured: no heading or number is cut."""
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
        assert "lse_d: not measured: needs syncnet_v2" in lines

    def test_every_score_has_a_line_in_the_table(self) -> None:
        assert [metric.field for metric in METRICS] != [] and {metric.field for metric in METRICS} == set(NAMES)

    def test_csv_has_a_line_a_clip_and_a_row(self) -> None:
        lines = as_csv(self.found).splitlines()
        assert lines[0].split(",")[:4] == ["system", "output", "reference", NAMES[0]]
        assert len(lines) == 1 + 3 + 2

    def test_systems_are_compared_clip_by_clip(self) -> None:
        """The second system is worse by 1 on every clip: that is sure, though the clips differ by far more."""
        clips = [scored(str(number), some_scores(float(number))) for number in range(8)]
        clips += [scored(str(number), some_scores(number + 1.0), "other") for number in range(8)]
        both = Evaluation(tuple(clips))
        apart, intervals = both.difference("output", "other")
        assert apart.lmd_px == pytest.approx(-1)
        assert intervals["lmd_px"] == pytest.approx((-1, -1))
        low, high = both.intervals("output")["lmd_px"]
        assert low < 2.5 < 4.5 < high
        assert "-1.00 [-1.00, -1.00]" in shown(differences_table(both))


@pytest.mark.usefixtures("made_faces")
class TestScale:
    def test_the_shifted_truth_lags_and_marks_what_is_blind(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        found = evaluate([Pair(clip, clip)])
        assert found.rows[SHIFTED_TRUTH].lag_ms == 200
        assert found.rows[SHIFTED_TRUTH].psnr_full_db == pytest.approx(20 * math.log10(255 / 8), abs=1)
        assert {"lag_r", "jitter_ratio", "opening_std_ratio"} <= set(found.blind_to_sync)
        assert not {"lmd_px", "opening_r", "lag_ms", "lvd_px_s"} & set(found.blind_to_sync)

    def test_without_a_reference_only_the_sound_is_left(self, tmp_path: Path) -> None:
        found = evaluate([Pair(write(tmp_path / "clip.mp4"))])
        assert found.rows == {} and found.pairs[0].curves is None
        assert found.missing["lmd_px"] == "needs a reference"
        assert "needs sound" in found.missing["silence_motion"]
        assert found.mean().frames_total == 50

    def test_closing_is_measured_where_phone_times_are_given(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        table = tmp_path / "phones.tsv"
        times_s = np.linspace(0, 1.9, 200)
        shut = float(times_s[np.argmin([opening_px(time_s) for time_s in times_s])])
        table.write_text(f"begin end phone\n0.1 0.5 a\n{max(shut - 0.02, 0):.3f} {shut + 0.02:.3f} B\n")
        assert evaluate_pair(Pair(clip, clip, phones=table), NO_JUDGES).scores.closure_depth > 0.5

    def test_a_twin_shows_the_leak(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        twin = write(tmp_path / "twin.mp4", dark=6)
        found = evaluate_pair(Pair(clip, clip, twin=twin), NO_JUDGES)
        assert found.scores.leak == pytest.approx(6, abs=1)

    def test_a_clip_that_cannot_be_read_is_left_out_with_its_reason(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        found = evaluate([Pair(clip, clip), Pair(tmp_path / "none.mp4", clip)])
        assert len(found.pairs) == 1
        assert "none.mp4" in found.left_out[0].reason


def test_the_headline_follows_from_the_study() -> None:
    """docs/evaluation.md: each kind of damage moves a metric of the headline at every step, each of them some kind."""
    document = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text("utf-8")
    lines = [line for line in document.splitlines() if line.startswith("| ") and line.count("|") == 11]
    kinds, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]
    bold = {row[0].strip("`"): [cell.startswith("**") for cell in row[1:]] for row in rows}
    shown = {metric.field for metric in METRICS if metric.heading}
    assert len(kinds) == 10 and len(bold) >= 20
    assert shown - bold.keys() == {"lse_d", "lse_c"}
    assert all(any(bold[name]) for name in shown & bold.keys())
    general = {name for name in bold if all(bold[name])}
    assert {"lmd_px", "psnr_mouth_db", "ssim_mouth"} <= general & shown
    without_general = [any(bold[name][kind] for name in (shown & bold.keys()) - general) for kind in range(9)]
    assert [kind for kind, seen in zip(kinds[1:], without_general, strict=True) if not seen] == [
        "frozen for, frames 2, 5, 25, all"
    ]
    assert not any(bold["ssim_full"]) and "ssim_full" not in shown


def test_a_real_clip_against_itself(own_caches: None) -> None:
    clip = SHARED / "data" / "clips" / "grid" / "bbaf2n.mpg"
    if not clip.is_file():
        pytest.skip("needs ../shared: a real clip")
    result = evaluate_pair(Pair(clip, clip), NO_JUDGES)
    assert (result.scores.frames_scored, result.scores.frames_total) == (75, 75)
    assert (result.scores.lmd_px, result.scores.lag_ms, result.scores.psnr_full_db) == (0, 0, 100)
    assert result.scores.opening_r == pytest.approx(1)
    assert 0.5 < result.rows[FROZEN_MOUTH].lmd_px < 4
