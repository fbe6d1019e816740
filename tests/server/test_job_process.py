"""The process of a server's job: progress as JSON, pictures while it works, clips that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from talkinghead.clip_check import findings, measurements
from talkinghead.errors import UnfitClipError
from talkinghead.server import job_process
from talkinghead.training.face_update import train as training
from talkinghead.training.face_update.quality import HeldOutQuality
from talkinghead.training.face_update.trainer import TrainingProgress

DESCRIPTION: dict[str, Any] = {
    "training": {
        "steps": 900, "held_out_mouth_psnr_db": 31.5, "quality": "good", "stood_still": True, "seconds": 700.0,
    },
    "clip": {"seconds_with_face": 12.0, "opening": 0.06},
    "audio": {"lag_ms": 0},
}  # fmt: skip


def test_progress_is_written_with_its_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(*_: object, report: Any, **__: object) -> dict[str, Any]:
        report(TrainingProgress("training", 0.5, 3, 9.0, HeldOutQuality(30.0, 31.5, 0.03), False, tmp_path / "a.png"))
        return DESCRIPTION

    class Reporter:
        def progress(self, share: float | None, **note: Any) -> None:
            print(json.dumps({"share": share, **note}))

    monkeypatch.setattr(training, "train", train)
    spec = {"clip": "c.mp4", "output": str(tmp_path / "a"), "minutes": 1.0, "steps": None}
    spec |= {"consent": None, "device": "cpu"}
    result = job_process.train(spec, Reporter())  # type: ignore[arg-type]
    assert (result["training"], result["audio"]) == (DESCRIPTION["training"], DESCRIPTION["audio"])
    assert result["verdict"].startswith("good: 31.5 dB at the mouth") and result["verdict"].endswith(".")
    assert any("12 s" in sentence for sentence in result["limits"])
    written = json.loads(capsys.readouterr().out)
    assert (written["share"], written["word"], written["quality"]["mouth_psnr_db"]) == (0.5, "good", 31.5)


def test_a_picture_is_written_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s = 100.0
    monkeypatch.setattr(job_process.time, "monotonic", lambda: clock_s)
    pictures = job_process.Pictures(tmp_path / "picture.jpg")
    for clock_s, red in ((100.0, 200), (100.9, 90), (101.1, 40), (101.2, 90)):
        pictures(np.full((400, 960, 3), (red, 10, 10), np.uint8))
        shown = cv2.imread(str(tmp_path / "picture.jpg"))
        assert shown is not None and shown.shape == (200, 480, 3)
        expected = {100.9: 200, 101.2: 40}.get(clock_s, red)
        assert abs(float(shown[..., 2].mean()) - expected) < 6, "red is red"
    assert [path.name for path in tmp_path.iterdir()] == ["picture.jpg"]


@pytest.mark.parametrize("state", [findings.State.REMARK, findings.State.PROBLEM])
def test_a_clip_that_was_not_checked_is_checked_now(state: findings.State, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [findings.Finding("mouth opens", state, "lips part by 0.1 cm", "take another clip")]
    monkeypatch.setattr(measurements, "measure_clip", lambda clip, progress: None)
    monkeypatch.setattr(findings, "find", lambda measured: found)
    if state == findings.State.REMARK:
        job_process.refuse_unfit(Path("a.mp4"), lambda frames: None)
    else:
        with pytest.raises(UnfitClipError, match="mouth opens: lips part by 0.1 cm; take another clip"):
            job_process.refuse_unfit(Path("a.mp4"), lambda frames: None)


@pytest.mark.usefixtures("own_caches")
def test_a_video_leaves_its_picture(tmp_path: Path, anchor_folder: Path, speech: Path) -> None:
    class Reporter:
        def progress(self, share: float | None, **note: Any) -> None: ...

    spec = {"anchor": str(anchor_folder), "recording": str(speech), "device": "cpu", "options": {"aspect": "1:1"}}
    result = job_process.speak(spec | {"output": str(tmp_path / "video.mp4")}, Reporter())  # type: ignore[arg-type]
    shown = cv2.imread(str(tmp_path / "picture.jpg"))
    assert shown is not None and shown.shape[:2] == (result["height"], result["width"])
