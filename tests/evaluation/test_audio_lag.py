"""The lag of a reference's audio: found as in training, taken out of what follows the audio, and printed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_clips import track_at, write

from talkinghead.errors import ModelUnavailableError
from talkinghead.evaluation import audio_lag, clip
from talkinghead.evaluation import evaluate as evaluation_module
from talkinghead.evaluation.audio_lag import AudioLag, find_audio_lag, lag_scores, same_recording_r, speech_start_s
from talkinghead.evaluation.evaluate import evaluate, evaluate_pair
from talkinghead.evaluation.landmark_pair import LocalFace
from talkinghead.evaluation.notes import Words, lag_note, words_note
from talkinghead.evaluation.pairs import Pair
from talkinghead.evaluation.results import GROUND_TRUTH
from talkinghead.face.tracking import track_file
from talkinghead.structures import Audio, Track

PRESENTER = Path(__file__).parents[2] / "data" / "presenter" / "presenter.mp4"


def seconds(count: float, late_s: float = 0.0) -> Track:
    """A mouth that does at `t + late_s` what `track_at` does at `t`."""
    times_s = np.arange(round(25 * count)) / 25
    return replace(track_at(times_s - late_s), times_s=times_s)


def noise(duration_s: float, seed: int) -> Audio:
    """Noise whose level changes every 150 ms, as that of speech does."""
    random = np.random.default_rng(seed)
    level = np.repeat(random.uniform(0, 1, math.ceil(duration_s / 0.15)), 2400)[: round(16000 * duration_s)]
    return Audio((level * random.normal(0, 0.1, len(level))).astype(np.float32), 16000)


class TestTakingOut:
    @pytest.mark.parametrize("lag_s", [0.2, 0.06, -0.12])
    def test_an_output_that_follows_late_audio_is_compared_so_much_later(self, lag_s: float) -> None:
        found = lag_scores(seconds(4, late_s=lag_s), seconds(4), AudioLag(lag_s, 0.6))
        assert found.taken_out_s == lag_s and found.lag_ms == pytest.approx(1000 * lag_s)
        assert found.r > 0.98

    def test_an_output_that_follows_the_reference_is_compared_at_equal_times(self) -> None:
        found = lag_scores(seconds(4), seconds(4), AudioLag(0.2, 0.6))
        assert found.taken_out_s == 0 and found.lag_ms == 200 and found.r < 0.5

    def test_a_lag_within_the_error_of_the_estimate_is_printed_alone(self) -> None:
        found = lag_scores(seconds(4, late_s=0.02), seconds(4), AudioLag(0.02, 0.6))
        assert (found.taken_out_s, found.lag_ms) == (0, 20)

    def test_an_unknown_lag_and_a_still_mouth_take_nothing_out(self) -> None:
        assert math.isnan(lag_scores(seconds(4), seconds(4), AudioLag(reason="why")).lag_ms)
        still = seconds(4)
        still.landmarks[:] = still.landmarks[0]
        assert lag_scores(still, seconds(4), AudioLag(0.2, 0.6)).taken_out_s == 0


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synthetic_faces: None) -> Pair:
    """An output that shows the reference's mouth 200 ms late, in its own pictures, and a reference of late audio."""
    pair = Pair(write(tmp_path / "out.mp4", seconds=3), write(tmp_path / "true.mp4", seconds=3))
    tracks = {"out.mp4": seconds(3, late_s=0.2), "true.mp4": seconds(3)}
    monkeypatch.setattr(clip, "track_file", lambda path: tracks[path.name])
    monkeypatch.setattr(
        evaluation_module, "read_driving_audio", lambda *_, **__: evaluation_module.DrivingAudio(noise(3, 0))
    )
    monkeypatch.setattr(evaluation_module, "find_audio_lag", lambda *_: AudioLag(0.2, 0.6))
    return pair


class TestEvaluation:
    def test_the_mouth_is_compared_with_the_lag_taken_out_and_whole_frames_without(self, late: Pair) -> None:
        found = evaluate_pair(late)
        assert found.scores.opening_r > 0.999 and found.scores.lag_ms == 0
        assert (found.scores.audio_lag_ms, found.scores.audio_lag_r) == (200, pytest.approx(found.scores.opening_r))
        assert found.scores.lmd_px == pytest.approx(0, abs=0.01)
        # The pattern grows by 40 levels a second: 8 levels in 200 ms, of which the whole frame shows nothing.
        assert found.scores.psnr_full_db > 60
        assert found.scores.psnr_mouth_db == pytest.approx(20 * math.log10(255 / 8), abs=0.5)
        assert found.notes == (
            "the reference's audio is 200 ms behind its mouth; the output follows the audio, so it was compared "
            "200 ms later",
        )

    def test_the_rows_of_the_scale_keep_their_times(self, late: Pair) -> None:
        assert evaluate([late]).rows[GROUND_TRUTH].opening_r == pytest.approx(1)

    def test_without_the_lag_it_reads_as_late(self, late: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(evaluation_module, "find_audio_lag", lambda *_: AudioLag(reason="needs 250 frames"))
        found = evaluate_pair(late)
        assert found.scores.lag_ms == 200 and found.scores.opening_r < 0.5
        assert found.missing["audio_lag_ms"] == found.missing["audio_lag_r"] == "needs 250 frames"

    def test_the_lead_in_of_an_output_does_not_count_against_its_mouth(
        self, late: Pair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(evaluation_module, "find_audio_lag", lambda *_: AudioLag(reason="needs 250 frames"))
        monkeypatch.setattr(evaluation_module, "speech_start_s", lambda *_: 0.2)
        found = evaluate_pair(late)
        assert found.scores.lag_ms == 0 and found.scores.opening_r > 0.999
        assert found.scores.psnr_full_db > 60
        assert found.notes[0].startswith("the output's speech begins 200 ms after the reference's")


class TestStart:
    def test_the_same_speech_after_a_lead_in_is_found(self) -> None:
        speech = noise(6, 1)
        for start_s in (0.3, 0.1, -0.2):
            lead = np.zeros(round(abs(start_s) * 16000), np.float32)
            longer = Audio(np.concatenate([lead, speech.samples]), 16000)
            pair = (longer, speech) if start_s > 0 else (speech, longer)
            assert speech_start_s(*pair) == pytest.approx(start_s, abs=0.011)

    def test_other_speech_none_and_equal_times_have_no_start(self) -> None:
        speech = noise(6, 1)
        assert speech_start_s(speech, speech) == speech_start_s(noise(6, 2), speech) == 0
        assert speech_start_s(None, speech) == speech_start_s(speech, None) == 0


class TestFinding:
    def test_few_frames_and_a_missing_model_are_reasons(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing() -> None:
            raise ModelUnavailableError("no encoder")

        monkeypatch.setattr(audio_lag, "_speech_model", missing)
        few, enough = LocalFace(seconds(4)), LocalFace(seconds(11))
        assert find_audio_lag(tmp_path / "a.wav", few).reason == "needs 250 frames that show a face; there are 100"
        assert find_audio_lag(tmp_path / "a.wav", enough) == AudioLag(reason="no encoder")


class TestWords:
    def test_a_recording_is_known_again_encoded_and_other_speech_is_not(self) -> None:
        one = noise(6, 1)
        louder = Audio(np.clip(3 * one.samples + 0.001, -1, 1), 16000)
        assert same_recording_r(louder, one) > 0.95
        assert same_recording_r(noise(6, 2), one) < 0.5
        assert math.isnan(same_recording_r(Audio(np.zeros(16000, np.float32), 16000), one))

    def note(self, **changes: object) -> list[str]:
        words = Words(driven_by_reference=True, same_audio_r=0.99, audio_lag=AudioLag(0.0, 0.6), mouth_r=0.9)
        return list(words_note(replace(words, **changes)))  # type: ignore[arg-type]

    def test_other_audio_is_remarked_on(self) -> None:
        assert self.note() == []
        (note,) = self.note(same_audio_r=0.2)
        assert "the output's audio is not the reference's" in note and "leave --reference out" in note

    def test_a_clean_recording_of_the_same_words_is_not(self) -> None:
        """Its levels may differ, but the reference's mouth fits it."""
        assert self.note(driven_by_reference=False, same_audio_r=0.5) == []
        (note,) = self.note(driven_by_reference=False, same_audio_r=0.5, audio_lag=AudioLag(reason="short"))
        assert "the driving audio is not the reference's" in note

    def test_a_dubbed_reference_is(self) -> None:
        (note,) = self.note(audio_lag=AudioLag(None, 0.1, "no fit"))
        assert "does not fit the audio at any lag up to 400 ms (r 0.10 at best)" in note

    def test_without_audio_the_mouths_are_compared(self) -> None:
        assert self.note(same_audio_r=math.nan) == []
        assert self.note(same_audio_r=math.nan, mouth_r=math.nan) == []
        (note,) = self.note(same_audio_r=math.nan, mouth_r=0.1)
        assert "follows the reference's at no lag" in note


@pytest.mark.parametrize(("lag_s", "taken_out_s", "count"), [(None, 0, 0), (0.02, 0, 0), (0.2, 0, 1), (-0.2, -0.2, 1)])
def test_a_lag_that_matters_is_noted(lag_s: float | None, taken_out_s: float, count: int) -> None:
    notes = list(lag_note(AudioLag(lag_s, 0.6), taken_out_s))
    assert len(notes) == count
    if taken_out_s < 0:
        assert "200 ms ahead of its mouth" in notes[0] and "compared 200 ms earlier" in notes[0]


@pytest.mark.slow
def test_the_presenters_lag_is_what_was_put_in(own_caches: None) -> None:
    """The presenter's audio is in time, so that frames shown 200 ms earlier make it 200 ms late."""
    track = track_file(PRESENTER)
    assert find_audio_lag(PRESENTER, LocalFace(replace(track, times_s=track.times_s - 0.2))).lag_s == pytest.approx(
        0.2, abs=0.021
    )
