"""`talkinghead batch` and `talkinghead batch status`, without rendering."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner

from talkinghead.batch.executor import Executor, JobEvent
from talkinghead.batch.jobs import Job
from talkinghead.batch.runner import Summary
from talkinghead.cli.main import main
from talkinghead.errors import MissingFileError

GOOD_JOBS = "id,anchor,text\na,presenter,Hi\n"


def test_a_bad_job_file_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("id,anchor,text\na,nobody,Hi\nb,presenter,\n", "utf-8")
    result = CliRunner().invoke(main, ["batch", str(tmp_path / "jobs.csv"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    lines = result.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == ["line 2", "line 3", "Error"]


def test_the_status_of_a_folder_without_a_batch(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["batch", "status", str(tmp_path)])
    assert result.exit_code == MissingFileError.exit_code and str(tmp_path) in result.stderr


def test_the_options_of_the_command_reach_executor_and_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executors: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    runs: list[dict[str, Any]] = []

    class RecordedExecutor:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            executors.append((arguments, options))

    def run_batch(jobs: Sequence[Job], folder: Path, executor: Executor, **options: Any) -> Summary:
        assert [job.id for job in jobs] == ["a"] and isinstance(executor, RecordedExecutor)
        runs.append({name: value for name, value in options.items() if name != "report"})
        return Summary(())

    monkeypatch.setattr("talkinghead.batch.local_executor.LocalExecutor", RecordedExecutor)
    monkeypatch.setattr("talkinghead.batch.ray_executor.RayExecutor", RecordedExecutor)
    monkeypatch.setattr("talkinghead.batch.runner.run_batch", run_batch)
    (tmp_path / "jobs.csv").write_text(GOOD_JOBS, "utf-8")
    local = ["--workers", "3", "--time-limit", "1.5", "--retries", "4", "--no-resume", "--device", "cpu"]
    ray = ["--engine", "ray", "--address", "head:6379", "--threads", "4", "--sign", "a.pem", "b.pem", "--overwrite"]
    for options in (local, ray):
        command = ["batch", str(tmp_path / "jobs.csv"), "-o", str(tmp_path / "out"), *options]
        assert CliRunner().invoke(main, command).exit_code == 0
    sign = Path("a.pem"), Path("b.pem")
    assert executors == [
        ((3,), {"device": "cpu", "sign": None, "time_limit_s": 90.0}),
        (("head:6379",), {"threads": 4, "device": "auto", "sign": sign, "retries": 1}),
    ]
    assert runs == [
        {"resume": False, "retries": 4, "overwrite": False},
        {"resume": True, "retries": 1, "overwrite": True},
    ]


class Renders:
    """Fails job a, however often it is tried; of b's video most is passed through."""

    retries_itself = False

    def __init__(self, *_: object, **__: object) -> None:
        self.taken: list[tuple[Job, Path]] = []

    def prepare(self, folder: Path) -> None: ...

    def has_room(self) -> bool:
        return not self.taken

    def start(self, job: Job, part: Path) -> None:
        self.taken.append((job, part))

    def wait(self, seconds: float) -> list[JobEvent]:
        job, part = self.taken.pop()
        part.write_bytes(b"video")
        kind: Literal["done", "failed"] = "failed" if job.id == "a" else "done"
        old = 8 if job.id == "b" else 0
        result = {"frames": 10, "frames_passed_through": old, "passed_through": {"face [half] covered": old}}
        return [JobEvent(job.id, kind, result, "no face in [clip].mp4, however long " * 4 if job.id == "a" else "")]

    def stop(self) -> None: ...


def test_reasons_are_given_once_and_where_the_videos_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talkinghead.batch.local_executor.LocalExecutor", Renders)
    (tmp_path / "jobs.csv").write_text(GOOD_JOBS + "b,presenter,Hi\nc,presenter,Hi\n", "utf-8")
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["batch", str(tmp_path / "jobs.csv"), "-o", str(out)])
    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        "a failed: " + "no face in [clip].mp4, however long " * 4,
        "b: 8 of 10 frames were passed through unchanged, most of the video has its old mouth "
        "(face [half] covered: 8).",
    ]
    assert result.stdout.splitlines() == [
        f"2 of 3 videos are in {out}; failed: a. The same command tries again. Every job is in {out / 'summary.json'}."
    ]
    shown = CliRunner().invoke(main, ["batch", "status", str(out)]).stdout
    assert "a: failed, no face in [clip].mp4" in shown and "b: 8 of 10 frames" in shown and "c:" not in shown
