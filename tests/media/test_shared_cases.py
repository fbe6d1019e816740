"""Inputs of public bug reports, where they are at hand: what each has to give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talkinghead.media.audio_reader import AudioFile, audio_lead_s
from talkinghead.media.remarks import audio_remarks
from talkinghead.media.video_reader import VideoReader

CASES = Path(__file__).parents[3] / "shared" / "cases"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs ../shared/cases")


@pytest.mark.parametrize(
    ("name", "seconds", "tolerance_s"),
    [
        ("chained.opus", 8.0, 0),
        ("chained.flac", 8.0, 0),
        ("joined.ts", 8.0, 0.11),  # each part with the delay and padding of AAC
        ("stamps_wobble_21ms.mkv", 4.0, 0),
        ("picture_late.mp4", 4.0, 0),
        ("picture_late.mkv", 4.0, 0.004),
        ("picture_late_150ms.mp4", 2.0, 0),
        ("opposite_phase.wav", 4.0, 0),
        ("two_sound_tracks.mkv", 4.0, 0.05),
        ("base_speech.wav", 4.0, 0),
    ],
)
def test_all_of_the_speech_is_there(name: str, seconds: float, tolerance_s: float) -> None:
    audio = AudioFile(CASES / name, whole=True)
    samples = np.concatenate(list(audio.blocks()))
    assert len(samples) / 16000 == pytest.approx(seconds, abs=tolerance_s + 1e-9)
    assert audio.survey.gaps == 0
    blocks = samples[: len(samples) // 8000 * 8000].reshape(-1, 8000)
    assert np.sqrt((blocks**2).mean(1)).max() > 0.05
    remarks = audio_remarks(audio)
    if name == "two_sound_tracks.mkv":
        assert "Number 2 is used" in remarks[0]
    elif name == "opposite_phase.wav":
        assert "cancel" in remarks[0]
    elif name.startswith(("chained", "joined")):
        assert "2 recordings" in remarks[0]
    else:
        assert remarks == []


@pytest.mark.parametrize(
    ("name", "lead_s"), [("picture_late.mp4", 1.5), ("picture_late.mkv", 1.503), ("picture_late_150ms.mp4", 0.15)]
)
def test_a_clip_whose_pictures_begin_late_keeps_its_audio(name: str, lead_s: float) -> None:
    clip = AudioFile(CASES / name)
    assert audio_lead_s(CASES / name) == pytest.approx(lead_s, abs=0.006)
    assert clip.duration_s == pytest.approx(AudioFile(CASES / name, whole=True).duration_s - lead_s, abs=0.005)
    with VideoReader(CASES / name) as reader:
        assert next(iter(reader)).time_s == 0
