"""Whole clips judged: made clips whose difference is known, and a real one against itself."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from talkinghead import evaluation
from talkinghead.errors import MissingFileError, NoFaceError
from talkinghead.evaluation import (
    FROZEN_MOUTH,
    GROUND_TRUTH,
    RENDERER_CEILING,
    Evaluation,
    Pair,
    Scores,
    evaluate,
    evaluate_pair,
    pairs_table,
    scores_table,
)
from talkinghead.landmarks import FaceLandmarker
from talkinghead.media import VideoWriter
from talkinghead.structures import BLENDSHAPES, LANDMARKS, ByteArray, Frame, Track

SHARED = Path(__file__).parents[2] / "shared"
SIZE = 96
# fmt: off
KEYS = {
    "lmd_px", "lmd_iod", "opening_r", "width_r", "opening_std_ratio", "lag_ms", "psnr_full_db", "psnr_mouth_db",
    "ssim_mouth", "jitter_ratio", "sharpness_ratio", "frames_scored", "frames_total",
}
# fmt: on
NO_LANDMARKER = cast(FaceLandmarker, None)


def opening_px(time_s: float) -> float:
    return 8 + 4 * math.sin(7.1 * time_s) + 2 * math.sin(11.3 * time_s + 1)


def picture(time_s: float, size: int = SIZE) -> ByteArray:
    """A smooth pattern that grows brighter with time, by 40 levels a second: a frame that says when it is."""
    rows, columns = np.mgrid[0:size, 0:size] * (SIZE / size)
    pattern = 60 + 20 * np.sin(rows / 5) + 20 * np.sin(columns / 7)
    return np.repeat((pattern + 40 * time_s)[..., None], 3, axis=2).astype(np.uint8)


def write(path: Path, rate: Fraction | int = 25, seconds: float = 2.0, size: int = SIZE, dark: int = 0) -> Path:
    with VideoWriter(path, size, size, frame_rate=Fraction(rate), crf=1) as writer:
        for number in range(round(seconds * rate)):
            time_s = float(number / Fraction(rate))
            writer.write(Frame(picture(time_s, size) - np.uint8(dark), time_s))
    return path


def made_track(frames: Iterable[Frame], _: FaceLandmarker, width: int, height: int) -> Track:
    """In the landmarker's place: a face that fills the picture, its mouth open as the frame's time says."""
    times_s = np.array([frame.time_s for frame in frames])
    face = np.random.default_rng(0).uniform(8, 88, (LANDMARKS, 3))
    places = {234: (8, 40), 454: (88, 40), 33: (28, 30), 263: (68, 30), 2: (48, 50), 152: (48, 86)}
    for landmark, place in (places | {61: (32, 66), 291: (64, 66), 13: (48, 62), 14: (48, 62)}).items():
        face[landmark] = (*place, 0)
    landmarks = np.repeat(face[None], len(times_s), axis=0)
    landmarks[:, 14, 1] += [opening_px(time_s) for time_s in times_s]
    landmarks[:, [61, 291], 0] += np.outer(np.sin(9 * times_s), (-1, 1))
    return Track(
        landmarks=(landmarks * (width / SIZE)).astype(np.float32),
        blendshapes=np.zeros((len(times_s), BLENDSHAPES), np.float32),
        valid=np.ones(len(times_s), np.bool_),
        times_s=times_s,
        width=width,
        height=height,
    )


@pytest.fixture
def made_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "track_clip", made_track)


@pytest.fixture(scope="module")
def landmarker() -> FaceLandmarker:
    if not SHARED.is_dir():
        pytest.skip("needs ../shared: a real clip and the landmark model")
    return FaceLandmarker.load(SHARED / "models" / "face_landmarker.task")


def some_scores(lmd_px: float) -> Scores:
    return replace(Scores(**dict.fromkeys((field.name for field in fields(Scores)), 1.0)), lmd_px=lmd_px)


def shown(table: Table) -> str:
    console = Console(width=120, file=io.StringIO())
    console.print(table)
    return cast(io.StringIO, console.file).getvalue()


@pytest.mark.usefixtures("made_faces")
class TestMadeClips:
    def test_a_clip_against_itself_is_the_ground_truth(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        result = evaluate_pair(clip, clip, NO_LANDMARKER)
        assert result.notes == ()
        assert asdict(result.scores) == pytest.approx(asdict(result.rows[GROUND_TRUTH]))
        assert (result.scores.lmd_px, result.scores.lag_ms, result.scores.psnr_mouth_db) == (0, 0, 100)
        assert (result.scores.frames_scored, result.scores.frames_total) == (50, 50)

    def test_frozen_mouth_is_still_and_has_no_pixels(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        frozen = evaluate_pair(clip, clip, NO_LANDMARKER).rows[FROZEN_MOUTH]
        assert frozen.lmd_px > 1
        assert frozen.opening_std_ratio == pytest.approx(0, abs=1e-3)
        assert math.isnan(frozen.psnr_mouth_db)
        assert math.isnan(frozen.sharpness_ratio)

    def test_psnr_of_a_darker_clip(self, tmp_path: Path) -> None:
        result = evaluate_pair(write(tmp_path / "dark.mp4", dark=10), write(tmp_path / "true.mp4"), NO_LANDMARKER)
        assert result.scores.psnr_full_db == pytest.approx(20 * math.log10(255 / 10), abs=0.5)
        assert result.scores.psnr_mouth_db == pytest.approx(20 * math.log10(255 / 10), abs=0.5)
        assert result.scores.sharpness_ratio == pytest.approx(1, abs=0.2)

    def test_clips_of_different_rate_are_compared_moment_by_moment(self, tmp_path: Path) -> None:
        # Paired by number instead of by time, frame 30 would be 0.2 s or 8 levels off, and the mean below 36 dB.
        rate = Fraction(30000, 1001)
        result = evaluate_pair(write(tmp_path / "ntsc.mp4", rate), write(tmp_path / "true.mp4"), NO_LANDMARKER)
        assert result.scores.psnr_full_db > 45
        assert result.scores.frames_scored == 50
        assert result.scores.opening_r > 0.99
        assert result.scores.lag_ms == 0
        assert any("29.970 frames a second against 25.000" in note for note in result.notes)

    @pytest.mark.parametrize("size", [48, 192])
    def test_clips_of_different_size_are_compared_at_the_references(self, tmp_path: Path, size: int) -> None:
        output, reference = write(tmp_path / "other.mp4", size=size), write(tmp_path / "true.mp4")
        result = evaluate_pair(output, reference, NO_LANDMARKER)
        assert result.scores.lmd_px == pytest.approx(0, abs=1e-3)
        assert result.scores.psnr_full_db > 33
        assert any(f"{size}x{size} px against 96x96" in note for note in result.notes)

    def test_a_line_added_by_the_encoder_is_cut_off_again(self) -> None:
        seen = evaluation._resized(picture(0), SIZE - 1, SIZE - 1)
        assert np.array_equal(seen, picture(0)[: SIZE - 1, : SIZE - 1])

    def test_an_output_cut_short_is_scored_as_far_as_it_goes(self, tmp_path: Path) -> None:
        output, reference = write(tmp_path / "short.mp4", seconds=1.2), write(tmp_path / "true.mp4")
        result = evaluate_pair(output, reference, NO_LANDMARKER)
        assert (result.scores.frames_scored, result.scores.frames_total) == (30, 50)
        assert result.scores.lmd_px == 0
        assert result.notes == ("20 of 50 frames of the reference come when the output has none",)

    def test_a_longer_output_is_noted(self, tmp_path: Path) -> None:
        output, reference = write(tmp_path / "long.mp4", seconds=2.4), write(tmp_path / "true.mp4")
        result = evaluate_pair(output, reference, NO_LANDMARKER)
        assert result.scores.frames_scored == 50
        assert result.notes == ("10 of 60 frames of the output come when the reference has none",)

    def test_a_ceiling_has_its_own_row(self, tmp_path: Path) -> None:
        reference = write(tmp_path / "true.mp4")
        output, ceiling = write(tmp_path / "dark.mp4", dark=20), write(tmp_path / "ceiling.mp4", dark=5)
        result = evaluate_pair(output, reference, NO_LANDMARKER, ceiling_path=ceiling)
        assert result.rows[RENDERER_CEILING].psnr_mouth_db > result.scores.psnr_mouth_db + 10

    def test_result_is_json_without_nan(self, tmp_path: Path) -> None:
        clip = write(tmp_path / "clip.mp4")
        found = evaluate([Pair(clip, clip), Pair(clip, clip)], NO_LANDMARKER).as_json()
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert set(found["pairs"][0]) >= KEYS
        assert set(found["mean"]) >= KEYS
        assert [pair["output"] for pair in found["pairs"]] == [str(clip)] * 2
        assert found["rows"]["frozen_mouth"]["psnr_mouth_db"] is None

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(MissingFileError, match="nowhere"):
            evaluate_pair(tmp_path / "nowhere.mp4", write(tmp_path / "true.mp4"), NO_LANDMARKER)


def lose_faces(monkeypatch: pytest.MonkeyPatch, *lost: list[int]) -> None:
    """Tracks in the order in which the clips are read, each without a face in the frames named."""
    queue: Iterator[list[int]] = iter(lost)

    def track(frames: Iterable[Frame], landmarker: FaceLandmarker, width: int, height: int) -> Track:
        made = made_track(frames, landmarker, width, height)
        chosen = np.isin(np.arange(len(made)), next(queue))
        return replace(made, valid=~chosen, landmarks=np.where(chosen[:, None, None], 0, made.landmarks))

    monkeypatch.setattr(evaluation, "track_clip", track)


class TestLostFaces:
    def test_are_counted_on_both_sides(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lose_faces(monkeypatch, [3, 4], [4, 5, 6])
        clip = write(tmp_path / "clip.mp4")
        result = evaluate_pair(clip, clip, NO_LANDMARKER)
        assert (result.scores.frames_scored, result.scores.frames_total) == (46, 50)
        assert result.scores.lmd_px == 0
        assert "2 of 50 frames of the reference show no face" in result.notes
        assert "3 of 50 frames of the output show no face" in result.notes

    def test_an_output_without_any_face_is_still_judged_by_its_pixels(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lose_faces(monkeypatch, [], list(range(50)))
        result = evaluate_pair(write(tmp_path / "dark.mp4", dark=20), write(tmp_path / "true.mp4"), NO_LANDMARKER)
        assert result.scores.frames_scored == 0
        assert math.isnan(result.scores.lmd_px)
        assert math.isnan(result.scores.jitter_ratio)
        assert result.scores.psnr_mouth_db == pytest.approx(20 * math.log10(255 / 20), abs=0.5)

    def test_a_reference_without_any_face_is_an_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lose_faces(monkeypatch, list(range(50)))
        clip = write(tmp_path / "clip.mp4")
        with pytest.raises(NoFaceError, match=r"clip\.mp4"):
            evaluate_pair(clip, clip, NO_LANDMARKER)


class TestSummary:
    pairs = tuple(
        evaluation.PairScores(
            Pair(Path(f"{name}.mp4"), Path("true.mp4")), some_scores(lmd_px), {GROUND_TRUTH: some_scores(0)}, ()
        )
        for name, lmd_px in (("first", 1.0), ("second", 4.0), ("faceless", math.nan))
    )

    def test_mean_is_over_the_pairs_that_were_measured(self) -> None:
        assert Evaluation(self.pairs).mean.lmd_px == pytest.approx(2.5)
        assert Evaluation(self.pairs).as_json()["mean"]["lmd_px"] == pytest.approx(2.5)

    def test_tables_show_every_row_and_a_dash_for_what_was_not_measured(self) -> None:
        table = shown(scores_table(Evaluation(self.pairs)))
        assert "mean of 3" in table
        assert GROUND_TRUTH in table
        assert "2.50" in table
        by_pair = shown(pairs_table(Evaluation(self.pairs)))
        assert all(name in by_pair for name in ("first.mp4", "second.mp4", "faceless.mp4"))
        assert " - " in by_pair
        assert "nan" not in by_pair

    def test_every_score_has_a_line_in_the_table(self) -> None:
        assert {kind.field for kind in evaluation._KINDS} == {field.name for field in fields(Scores)}


def test_a_real_clip_against_itself(landmarker: FaceLandmarker) -> None:
    clip = SHARED / "data" / "clips" / "grid" / "bbaf2n.mpg"
    result = evaluate_pair(clip, clip, landmarker)
    assert (result.scores.frames_scored, result.scores.frames_total) == (75, 75)
    assert (result.scores.lmd_px, result.scores.lag_ms, result.scores.psnr_full_db) == (0, 0, 100)
    assert result.scores.opening_r == pytest.approx(1)
    assert 0.5 < result.rows[FROZEN_MOUTH].lmd_px < 4
