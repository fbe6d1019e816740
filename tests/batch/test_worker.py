"""What a worker makes of a job: every option reaches the video."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from talkinghead.batch.jobs import OPTIONS, Job, read_jobs
from talkinghead.batch.worker import ANCHORS_KEPT, Renderer, WorkerSettings, describe
from talkinghead.errors import MediaError
from talkinghead.generation.config import GenerationConfig
from talkinghead.generation.pipeline import VideoOutput
from talkinghead.structures import ClipRange
from talkinghead.text_to_speech import Script

# Other values than the defaults, for every column; files are relative to the job file.
EVERY_OPTION = {
    "clip": "clip.mp4",
    "clip_range": "1-3s",
    "video_track": 1,
    "audio_track": 2,
    "face": 2,
    "expression": "mouth.csv",
    "speech_encoder": "encoder",
    "transcript": "words.txt",
    "voice_is_anchor": "yes",
    "intensity": 0.5,
    "attack_ms": 90.0,
    "release_ms": 250.0,
    "lead_in": 0.5,
    "lead_out": 1.0,
    "preview": "10-13",
    "aspect": "9:16",
    "size": "720p",
    "quality": "draft",
    "background": "#00ff00",
    "video_codec": "hevc",
    "audio_codec": "alac",
    "visible_label": "AI",
    "label_font": "font.ttf",
    "subtitle_stream": True,
    "burn_subtitles": True,
    "subtitle_font": "font.ttf",
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The arguments of every call to `write_video`, which does nothing else; anchors are their folders."""
    made: list[tuple[Any, ...]] = []

    def write_video(*arguments: Any) -> dict[str, Any]:
        made.append(arguments)
        return {"frames": len(made)}

    monkeypatch.setattr("talkinghead.generation.pipeline.write_video", write_video)
    monkeypatch.setattr("talkinghead.anchor.load_anchor", lambda folder: folder)
    return made


def test_every_column_of_a_job_file_reaches_the_video(calls: list[tuple[Any, ...]], tmp_path: Path) -> None:
    assert EVERY_OPTION.keys() | {"phones"} == OPTIONS.keys()  # a transcript and phones exclude each other
    for name in ("clip.mp4", "mouth.csv", "font.ttf", "speech.wav", "words.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "encoder").mkdir()
    rows = [
        {"id": "a", "anchor": "presenter", "speech": "speech.wav", **EVERY_OPTION},
        {"id": "b", "anchor": "presenter", "text": "Good evening."},
    ]
    (tmp_path / "jobs.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    renderer = Renderer(WorkerSettings("cpu"))
    for job in read_jobs(tmp_path / "jobs.jsonl"):
        sent = Job.from_json(json.loads(json.dumps(job.as_json())))
        assert sent == job
        assert renderer.render(sent, tmp_path / job.output) == {"frames": len(calls)}
    values: dict[str, Any] = dict(EVERY_OPTION)
    files = ("clip", "expression", "transcript", "label_font", "subtitle_font")
    values |= {name: tmp_path / values[name] for name in files}
    values["clip_range"] = ClipRange(1, 3)
    values["speech_encoder"] = str(tmp_path / "encoder")
    (_, speech, output, config, _), (_, script, _, plain, _) = calls
    assert (speech, output) == (tmp_path / "speech.wav", VideoOutput(tmp_path / "a.mp4", overwrite=True))
    assert config == GenerationConfig(device="cpu", **values)
    assert all(getattr(config, name) != getattr(GenerationConfig(), name) for name in EVERY_OPTION)
    assert (script, plain) == (Script("Good evening."), GenerationConfig(device="cpu"))


def test_an_anchor_is_loaded_once_until_it_changes(
    calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr("talkinghead.anchor.load_anchor", lambda folder: loaded.append(folder.name))
    for number in range(ANCHORS_KEPT + 1):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "anchor.json").touch()
    renderer = Renderer()

    def render(name: str) -> None:
        renderer.render(Job("a", str(tmp_path / name), "a.mp4", speech=Path("a.wav")), tmp_path / "a.mp4")

    for name in ("0", "0", "1", "0"):
        render(name)
    assert loaded == ["0", "1"]
    os.utime(tmp_path / "0" / "anchor.json", ns=(1, 1))
    render("0")
    assert loaded == ["0", "1", "0"]
    for number in range(ANCHORS_KEPT + 1):  # more than are kept
        render(str(number))
    assert len(renderer._anchors) == ANCHORS_KEPT


def test_settings_are_sent_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = WorkerSettings("cpu", 3, (Path("a.pem"), tmp_path / "b.pem"))
    sent = WorkerSettings.from_json(json.loads(json.dumps(settings.as_json())))
    assert sent == dataclasses.replace(settings, sign=(tmp_path / "a.pem", tmp_path / "b.pem"))
    assert WorkerSettings.from_json(WorkerSettings().as_json()) == WorkerSettings()


def test_an_error_is_described_in_one_line() -> None:
    assert describe(MediaError("a.wav is\nempty.")) == "a.wav is empty."
    assert describe(ZeroDivisionError("division\n by zero")) == "ZeroDivisionError: division by zero"
