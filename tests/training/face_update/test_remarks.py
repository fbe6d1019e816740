"""What is worth knowing of a training clip is said before the training, and recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_face import drawn_clip

from talkinghead.anchor import load_anchor
from talkinghead.errors import MediaError
from talkinghead.media.audio_reader import AudioFile
from talkinghead.structures import DEFAULT_TRACKS, Tracks
from talkinghead.training.face_update.config import LoopConfig
from talkinghead.training.face_update.train import train
from talkinghead.training.face_update.trainer import TrainingProgress

pytestmark = pytest.mark.usefixtures("own_caches")


def test_audio_that_is_given_up_is_remarked_on_before_the_training(tmp_path: Path, quick: LoopConfig) -> None:
    clip = drawn_clip(tmp_path / "silent.mp4", 0.8, with_audio=False).path
    seen: list[TrainingProgress] = []
    description = train(clip, tmp_path / "person", steps=1, device="cpu", loop=quick, video_track=1, report=seen.append)
    remarks = [progress.remark for progress in seen if progress.remark is not None]
    assert remarks == description["remarks"]
    assert sum("audio is not used" in remark and "no audio" in remark for remark in remarks) == 1
    stages = [progress.stage for progress in seen]
    assert stages.index("remark") < stages.index("tracking") and "remark" not in stages[stages.index("cropping") :]
    assert load_anchor(tmp_path / "person").tracks == Tracks(video=1)


def test_the_reason_is_that_of_the_error(tmp_path: Path, quick: LoopConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage that shows only where the audio is decoded."""
    clip = drawn_clip(tmp_path / "clip.mp4", 0.8).path

    def blocks(file: AudioFile) -> list[np.ndarray]:
        raise MediaError(f"{file.path}: the audio has samples that are not finite; export it again")

    monkeypatch.setattr(AudioFile, "survey", property(blocks))
    description = train(clip, tmp_path / "person", steps=1, device="cpu", loop=quick)
    assert any("not used" in remark and "not finite" in remark for remark in description["remarks"])
    assert load_anchor(tmp_path / "person").tracks == DEFAULT_TRACKS
