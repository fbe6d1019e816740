"""A training's progress leaves the process of a server's job as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from talkinghead.server import job_process
from talkinghead.training.face_update import train as training
from talkinghead.training.face_update.quality import HeldOutQuality
from talkinghead.training.face_update.trainer import TrainingProgress


def test_progress_is_written_with_its_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(*_: object, report: Any, **__: object) -> dict[str, Any]:
        report(TrainingProgress("training", 0.5, 3, 9.0, HeldOutQuality(30.0, 31.5, 0.03), False, tmp_path / "a.png"))
        return {"training": {"steps": 3}, "audio": {}}

    class Reporter:
        def progress(self, share: float | None, **note: Any) -> None:
            print(json.dumps({"share": share, **note}))

    monkeypatch.setattr(training, "train", train)
    spec = {"clip": "c.mp4", "output": str(tmp_path / "a"), "minutes": 1.0, "steps": None}
    spec |= {"consent": None, "device": "cpu"}
    result = job_process.train(spec, Reporter())  # type: ignore[arg-type]
    assert result == {"training": {"steps": 3}, "audio": {}}
    written = json.loads(capsys.readouterr().out)
    assert (written["share"], written["word"], written["quality"]["mouth_psnr_db"]) == (0.5, "good", 31.5)
