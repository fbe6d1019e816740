"""The runner of a batch: nothing is lost, nothing is done twice, one failure does not stop the others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from batch_tools import environment, leftovers

from talkinghead.batch.executor import JobEvent
from talkinghead.batch.jobs import Job
from talkinghead.batch.runner import PARTS, SUMMARY_FILE, run_batch
from talkinghead.batch.state import BatchState, State
from talkinghead.errors import JobFileError, OutputError, OutputExistsError


class ScriptedExecutor:
    """Takes two jobs at a time; runs one step of a job's script at each attempt, which fails by raising ValueError."""

    retries_itself = False

    def __init__(self, scripts: dict[str, list[Callable[[], None]]] | None = None) -> None:
        self.scripts = scripts or {}
        self.started: list[str] = []
        self.taken: list[tuple[Job, Path]] = []
        self.stopped = 0

    def prepare(self, folder: Path) -> None:
        assert folder.is_dir()

    def has_room(self) -> bool:
        return len(self.taken) < 2

    def start(self, job: Job, part: Path) -> None:
        self.started.append(job.id)
        self.taken.append((job, part))

    def wait(self, seconds: float) -> list[JobEvent]:
        job, part = self.taken.pop(0)
        part.write_text(f"half of {job.id}", "utf-8")
        try:
            for step in self.scripts.get(job.id, [])[:1]:
                self.scripts[job.id].pop(0)
                step()
        except ValueError as error:
            return [JobEvent(job.id, "failed", reason=str(error))]
        part.write_text(f"video of {job.id}", "utf-8")
        return [JobEvent(job.id, "progress", frames=(1, 2)), JobEvent(job.id, "done", {"frames": 2})]

    def stop(self) -> None:
        self.stopped += 1


def some_jobs(*names: str) -> list[Job]:
    return [Job(name, "presenter", f"{name}.mp4", text=name) for name in names]


def fail() -> None:
    raise ValueError("out of memory")


def interrupt() -> None:
    raise KeyboardInterrupt


def outputs(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.suffix == ".mp4"}


def test_all_jobs_are_done_and_summarized(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    executor = ScriptedExecutor()
    summary = run_batch(some_jobs("a", "b", "c"), tmp_path / "out", executor, report=events.append)
    assert summary.exit_code == 0 and executor.stopped == 1
    assert outputs(tmp_path / "out") == {f"{name}.mp4": f"video of {name}" for name in "abc"}
    assert leftovers(tmp_path / "out") == set()
    written = json.loads((tmp_path / "out" / SUMMARY_FILE).read_text("utf-8"))
    assert written["counts"] == {"queued": 0, "running": 0, "done": 3, "failed": 0}
    assert [(row["id"], row["frames"], row["attempts"]) for row in written["jobs"]] == [(n, 2, 1) for n in "abc"]
    kinds = [event["event"] for event in events]
    assert kinds.count("started") == kinds.count("done") == kinds.count("progress") == 3 and kinds[-1] == "summary"


def test_a_failing_job_is_retried_and_stops_no_other(tmp_path: Path) -> None:
    executor = ScriptedExecutor({"a": [fail, fail, fail], "b": [fail]})
    events: list[dict[str, Any]] = []
    summary = run_batch(some_jobs("a", "b", "c"), tmp_path, executor, retries=1, report=events.append)
    assert summary.exit_code == 3
    assert outputs(tmp_path) == {"b.mp4": "video of b", "c.mp4": "video of c"}
    rows = {row.job.id: row for row in summary.rows}
    assert (rows["a"].state, rows["a"].attempts, rows["a"].reason) == (State.FAILED, 2, "out of memory")
    assert (rows["b"].state, rows["b"].attempts, rows["b"].reason) == (State.DONE, 2, None)
    assert [event["id"] for event in events if event["event"] == "retry"] == ["a", "b"]
    assert [event["id"] for event in events if event["event"] == "failed"] == ["a"]

    again = ScriptedExecutor()
    assert run_batch(some_jobs("a", "b", "c"), tmp_path, again).exit_code == 0
    assert again.started == ["a"]


class OldMouths(ScriptedExecutor):
    """Of 10 frames of each video, so many were passed through."""

    def __init__(self, passed_through: dict[str, int], scripts: dict[str, list[Callable[[], None]]]) -> None:
        super().__init__(scripts)
        self.passed_through = passed_through

    def wait(self, seconds: float) -> list[JobEvent]:
        events = super().wait(seconds)
        found = {"frames": 10, "frames_passed_through": self.passed_through[events[0].job_id]}
        return [JobEvent(event.job_id, event.kind, found, event.reason, event.frames) for event in events]


def test_videos_that_mostly_have_their_old_mouth_are_told(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    executor = OldMouths({"a": 6, "b": 5}, {})
    summary = run_batch(some_jobs("a", "b"), tmp_path, executor, report=events.append)
    assert summary.exit_code == 4 and summary.mostly_passed_through == 1
    assert [row.remark[:44] for row in summary.rows] == ["6 of 10 frames were passed through unchanged", ""]
    assert [event["mostly_passed_through"] for event in events if event["event"] == "done"] == [True, False]
    assert events[-1]["mostly_passed_through"] == 1
    written = json.loads((tmp_path / SUMMARY_FILE).read_text("utf-8"))
    assert written["mostly_passed_through"] == 1
    assert [row["mostly_passed_through"] for row in written["jobs"]] == [True, False]
    # Done is done: the same command renders nothing again, and says it again.
    again = OldMouths({}, {})
    assert run_batch(some_jobs("a", "b"), tmp_path, again).exit_code == 4 and again.started == []


def test_a_failed_job_outweighs_old_mouths(tmp_path: Path) -> None:
    executor = OldMouths({"a": 9, "b": 0}, {"b": [fail]})
    assert run_batch(some_jobs("a", "b"), tmp_path, executor, retries=0).exit_code == 3


def test_durations_are_right_where_the_wall_clock_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock set back or forward by days, during a job, changes no job's seconds and causes no retry."""
    now_s = [1.8e9]
    monkeypatch.setattr("talkinghead.batch.state.time.time", lambda: now_s[0])

    def jump(seconds: float) -> None:
        now_s[0] += seconds

    executor = ScriptedExecutor({"a": [lambda: jump(-2e6)], "b": [lambda: jump(5e6)], "c": [lambda: jump(-9e6)]})
    summary = run_batch(some_jobs("a", "b", "c"), tmp_path, executor)
    assert summary.exit_code == 0 and now_s == [1.8e9 - 6e6]
    for row in summary.rows:
        assert row.attempts == 1 and 0 <= row.as_json()["seconds"] < 60


def test_an_interrupted_batch_can_be_resumed(tmp_path: Path) -> None:
    executor = ScriptedExecutor({"b": [interrupt]})
    with pytest.raises(KeyboardInterrupt):
        run_batch(some_jobs("a", "b", "c"), tmp_path, executor)
    assert executor.stopped == 1 and leftovers(tmp_path) == set()
    with BatchState(tmp_path) as state:
        assert state.counts() == {"queued": 2, "running": 0, "done": 1, "failed": 0}
    again = ScriptedExecutor()
    assert run_batch(some_jobs("a", "b", "c"), tmp_path, again).exit_code == 0
    assert again.started == ["b", "c"]


def test_a_complete_file_is_moved_after_a_kill(tmp_path: Path) -> None:
    """The kill came after the job was recorded as done, before its file was moved."""
    jobs = some_jobs("a", "b")
    run_batch(jobs, tmp_path, ScriptedExecutor())
    (tmp_path / PARTS / "1").mkdir(parents=True)
    (tmp_path / "b.mp4").rename(tmp_path / PARTS / "1" / "b.mp4")
    again = ScriptedExecutor()
    run_batch(jobs, tmp_path, again)
    assert again.started == [] and outputs(tmp_path)["b.mp4"] == "video of b"


def test_done_jobs_are_rendered_again_only_where_needed(tmp_path: Path) -> None:
    run_batch(some_jobs("a", "b", "c"), tmp_path, ScriptedExecutor())
    (tmp_path / "a.mp4").unlink()
    changed = [*some_jobs("a", "b"), Job("c", "presenter", "c.mp4", text="something else"), *some_jobs("d")]
    executor = ScriptedExecutor()
    run_batch(changed, tmp_path, executor)
    assert executor.started == ["a", "c", "d"]
    fresh = ScriptedExecutor()
    run_batch(changed, tmp_path, fresh, resume=False, overwrite=True)
    assert fresh.started == ["a", "b", "c", "d"]


def test_a_changed_job_that_was_interrupted_is_resumed(tmp_path: Path) -> None:
    run_batch(some_jobs("a"), tmp_path, ScriptedExecutor())
    changed = [Job("a", "presenter", "a.mp4", text="something else")]
    with pytest.raises(KeyboardInterrupt):
        run_batch(changed, tmp_path, ScriptedExecutor({"a": [interrupt]}))
    assert outputs(tmp_path) == {"a.mp4": "video of a"}
    again = ScriptedExecutor()
    assert run_batch(changed, tmp_path, again).exit_code == 0 and again.started == ["a"]


def test_files_that_are_not_of_the_batch_are_kept(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_text("mine", "utf-8")
    executor = ScriptedExecutor()
    with pytest.raises(JobFileError) as caught:
        run_batch(some_jobs("a", "b"), tmp_path, executor)
    assert len(caught.value.problems) == 1 and "b.mp4" in caught.value.problems[0] and executor.started == []
    assert outputs(tmp_path) == {"b.mp4": "mine"}
    run_batch(some_jobs("a", "b"), tmp_path, executor, overwrite=True)
    assert outputs(tmp_path) == {"a.mp4": "video of a", "b.mp4": "video of b"}


HOLDER = """
import sys
from pathlib import Path
from talkinghead.files import locked
with locked(Path(sys.argv[1]) / "batch.sqlite"):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_folder_that_another_process_works_on_is_refused(tmp_path: Path) -> None:
    """The other process holds the folder's lock from the line that it prints until its standard input is closed."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    executor = ScriptedExecutor()
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(OutputExistsError, match="Another process"):
            run_batch(some_jobs("a"), tmp_path, executor)
        assert executor.started == [] and leftovers(tmp_path) == {".batch.sqlite.lock"}
    assert other.returncode == 0
    assert run_batch(some_jobs("a"), tmp_path, executor).exit_code == 0 and executor.started == ["a"]


def test_a_second_batch_in_a_folder_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    second, refused = ScriptedExecutor(), []

    def start_second() -> None:
        with pytest.raises(OutputExistsError) as caught:
            run_batch(some_jobs("a", "b"), tmp_path, second)
        refused.append(caught.value)

    summary = run_batch(some_jobs("a", "b"), tmp_path, ScriptedExecutor({"b": [start_second]}))
    assert len(refused) == 1 and second.started == []
    assert summary.exit_code == 0 and outputs(tmp_path) == {"a.mp4": "video of a", "b.mp4": "video of b"}


def test_a_file_that_was_not_written_is_a_failure(tmp_path: Path) -> None:
    class Forgetful(ScriptedExecutor):
        def wait(self, seconds: float) -> list[JobEvent]:
            job, _ = self.taken.pop(0)
            return [JobEvent(job.id, "done", {})]

    summary = run_batch(some_jobs("a"), tmp_path, Forgetful(), retries=0)
    assert summary.exit_code == 3 and "not written" in str(summary.rows[0].reason)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        run_batch(some_jobs("a"), tmp_path / "file" / "out", ScriptedExecutor())
