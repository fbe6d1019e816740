"""Batches: nothing is lost, nothing is done twice, one failure does not stop the others."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_tools import command, environment, frames_of, job_file, leftovers
from click.testing import CliRunner
from talkinghead.batch.engine import Finding
from talkinghead.batch.local_engine import LocalEngine

from talkinghead.batch.jobs import Job
from talkinghead.batch.runner import PARTS, SUMMARY_FILE, run_batch
from talkinghead.batch.state import BatchState, State
from talkinghead.cli.main import main
from talkinghead.errors import CheckpointError, JobFileError, MissingFileError, OutputError, OutputExistsError
from talkinghead.files import locked

pytestmark = pytest.mark.usefixtures("own_caches")


class ScriptedEngine:
    """Takes two jobs at a time and does with each what its script says, attempt by attempt; by default, all is well."""

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

    def wait(self, seconds: float) -> list[Finding]:
        job, part = self.taken.pop(0)
        part.write_text(f"half of {job.id}", "utf-8")
        try:
            for step in self.scripts.get(job.id, [])[:1]:
                self.scripts[job.id].pop(0)
                step()
        except ValueError as error:
            return [Finding(job.id, "failed", reason=str(error))]
        part.write_text(f"video of {job.id}", "utf-8")
        return [Finding(job.id, "progress", frames=(1, 2)), Finding(job.id, "done", {"frames": 2})]

    def stop(self) -> None:
        self.stopped += 1


def some_jobs(*names: str) -> list[Job]:
    return [Job(name, "presenter", f"{name}.mp4", text=name) for name in names]


def fail() -> None:
    raise ValueError("it is Monday")


def interrupt() -> None:
    raise KeyboardInterrupt


def outputs(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.suffix == ".mp4"}


def test_all_is_done_and_summed_up(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    engine = ScriptedEngine()
    summary = run_batch(some_jobs("a", "b", "c"), tmp_path / "out", engine, report=events.append)
    assert summary.exit_code == 0 and engine.stopped == 1
    assert outputs(tmp_path / "out") == {f"{name}.mp4": f"video of {name}" for name in "abc"}
    assert leftovers(tmp_path / "out") == set()
    written = json.loads((tmp_path / "out" / SUMMARY_FILE).read_text("utf-8"))
    assert written["counts"] == {"queued": 0, "running": 0, "done": 3, "failed": 0}
    assert [(row["id"], row["frames"], row["attempts"]) for row in written["jobs"]] == [(n, 2, 1) for n in "abc"]
    kinds = [event["event"] for event in events]
    assert kinds.count("started") == kinds.count("done") == kinds.count("progress") == 3 and kinds[-1] == "summary"


def test_a_failing_job_is_retried_and_stops_no_other(tmp_path: Path) -> None:
    engine = ScriptedEngine({"a": [fail, fail, fail], "b": [fail]})
    events: list[dict[str, Any]] = []
    summary = run_batch(some_jobs("a", "b", "c"), tmp_path, engine, retries=1, report=events.append)
    assert summary.exit_code == 3
    assert outputs(tmp_path) == {"b.mp4": "video of b", "c.mp4": "video of c"}
    rows = {row.job.id: row for row in summary.rows}
    assert (rows["a"].state, rows["a"].attempts, rows["a"].reason) == (State.FAILED, 2, "it is Monday")
    assert (rows["b"].state, rows["b"].attempts, rows["b"].reason) == (State.DONE, 2, None)
    assert [event["id"] for event in events if event["event"] == "retry"] == ["a", "b"]
    assert [event["id"] for event in events if event["event"] == "failed"] == ["a"]

    again = ScriptedEngine()
    assert run_batch(some_jobs("a", "b", "c"), tmp_path, again).exit_code == 0
    assert again.started == ["a"]


def test_the_clock_may_jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that is set back or forward by days, in mid-job, changes no job's seconds and retries nothing."""
    now_s = [1.8e9]
    monkeypatch.setattr("talkinghead.batch.state.time.time", lambda: now_s[0])

    def jump(seconds: float) -> None:
        now_s[0] += seconds

    engine = ScriptedEngine({"a": [lambda: jump(-2e6)], "b": [lambda: jump(5e6)], "c": [lambda: jump(-9e6)]})
    summary = run_batch(some_jobs("a", "b", "c"), tmp_path, engine)
    assert summary.exit_code == 0 and now_s == [1.8e9 - 6e6]
    for row in summary.rows:
        assert row.attempts == 1 and 0 <= row.as_json()["seconds"] < 60


def test_an_interrupt_leaves_a_batch_that_goes_on(tmp_path: Path) -> None:
    engine = ScriptedEngine({"b": [interrupt]})
    with pytest.raises(KeyboardInterrupt):
        run_batch(some_jobs("a", "b", "c"), tmp_path, engine)
    assert engine.stopped == 1 and leftovers(tmp_path) == set()
    with BatchState(tmp_path) as state:
        assert state.counts() == {"queued": 2, "running": 0, "done": 1, "failed": 0}
    again = ScriptedEngine()
    assert run_batch(some_jobs("a", "b", "c"), tmp_path, again).exit_code == 0
    assert again.started == ["b", "c"]


def test_a_file_that_was_complete_at_a_kill_takes_its_name(tmp_path: Path) -> None:
    """The kill came after the job was put down as done, before its file was moved."""
    jobs = some_jobs("a", "b")
    run_batch(jobs, tmp_path, ScriptedEngine())
    (tmp_path / PARTS / "1").mkdir(parents=True)
    (tmp_path / "b.mp4").rename(tmp_path / PARTS / "1" / "b.mp4")
    again = ScriptedEngine()
    run_batch(jobs, tmp_path, again)
    assert again.started == [] and outputs(tmp_path)["b.mp4"] == "video of b"


def test_what_is_done_is_done_again_only_where_it_must(tmp_path: Path) -> None:
    run_batch(some_jobs("a", "b", "c"), tmp_path, ScriptedEngine())
    (tmp_path / "a.mp4").unlink()
    changed = [*some_jobs("a", "b"), Job("c", "presenter", "c.mp4", text="something else"), *some_jobs("d")]
    engine = ScriptedEngine()
    run_batch(changed, tmp_path, engine)
    assert engine.started == ["a", "c", "d"]
    fresh = ScriptedEngine()
    run_batch(changed, tmp_path, fresh, resume=False, overwrite=True)
    assert fresh.started == ["a", "b", "c", "d"]


def test_a_changed_job_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    run_batch(some_jobs("a"), tmp_path, ScriptedEngine())
    changed = [Job("a", "presenter", "a.mp4", text="something else")]
    with pytest.raises(KeyboardInterrupt):
        run_batch(changed, tmp_path, ScriptedEngine({"a": [interrupt]}))
    assert outputs(tmp_path) == {"a.mp4": "video of a"}
    again = ScriptedEngine()
    assert run_batch(changed, tmp_path, again).exit_code == 0 and again.started == ["a"]


def test_other_peoples_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_text("mine", "utf-8")
    engine = ScriptedEngine()
    with pytest.raises(JobFileError) as caught:
        run_batch(some_jobs("a", "b"), tmp_path, engine)
    assert len(caught.value.problems) == 1 and "b.mp4" in caught.value.problems[0] and engine.started == []
    assert outputs(tmp_path) == {"b.mp4": "mine"}
    run_batch(some_jobs("a", "b"), tmp_path, engine, overwrite=True)
    assert outputs(tmp_path) == {"a.mp4": "video of a", "b.mp4": "video of b"}


def test_two_batches_in_one_folder(tmp_path: Path) -> None:
    with locked(tmp_path / "batch.sqlite"), pytest.raises(OutputExistsError, match="Another process"):
        run_batch(some_jobs("a"), tmp_path, ScriptedEngine())
    assert run_batch(some_jobs("a"), tmp_path, ScriptedEngine()).exit_code == 0


def test_a_file_that_was_not_written_is_a_failure(tmp_path: Path) -> None:
    class Forgetful(ScriptedEngine):
        def wait(self, seconds: float) -> list[Finding]:
            job, _ = self.taken.pop(0)
            return [Finding(job.id, "done", {})]

    summary = run_batch(some_jobs("a"), tmp_path, Forgetful(), retries=0)
    assert summary.exit_code == 3 and "not written" in str(summary.rows[0].reason)


def test_folders_and_tables_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        run_batch(some_jobs("a"), tmp_path / "file" / "out", ScriptedEngine())
    with pytest.raises(MissingFileError):
        BatchState(tmp_path, must_exist=True)
    assert CliRunner().invoke(main, ["batch", "status", str(tmp_path)]).exit_code == MissingFileError.exit_code
    (tmp_path / "batch.sqlite").write_bytes(b"nothing like a table" * 100)
    with pytest.raises(CheckpointError, match="remove it"):
        BatchState(tmp_path)


def test_ten_thousand_jobs(tmp_path: Path) -> None:
    jobs = some_jobs(*(f"job-{number}" for number in range(10_000)))
    with BatchState(tmp_path) as state:
        state.lay_out(jobs, resume=True)
        state.finish("job-77", {"frames": 1})
        state.lay_out(jobs, resume=True)
        assert state.counts() == {"queued": 9999, "running": 0, "done": 1, "failed": 0}
        assert state.rows(State.DONE)[0].position == 77


def test_a_batch_on_this_machine(anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path) -> None:
    """Real workers; one job's anchor is broken after it has been looked at."""
    jobs = job_file(tmp_path, anchor_folder, speech, expression_file, 3)
    broken = shutil.copytree(anchor_folder, tmp_path / "broken")
    (broken / "network.safetensors").write_bytes(b"\xff" * 100)
    with jobs.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "bad", "anchor": "broken", "speech": str(speech)}) + "\n")
    out = tmp_path / "out"
    done = subprocess.run(
        command(jobs, out, "--workers", "2"), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["counts"] == {"queued": 0, "running": 0, "done": 3, "failed": 1}
    assert "damaged" in next(event["reason"] for event in events if event["event"] == "failed")
    assert len({frames_of(out / f"j{number}.mp4") for number in range(3)}) == 1
    assert leftovers(out) == set()

    status = CliRunner().invoke(main, ["batch", "status", str(out), "--json"])
    assert json.loads(status.stdout)["counts"] == events[-1]["counts"]
    shown = CliRunner().invoke(main, ["batch", "status", str(out)]).stdout
    assert "3 done" in shown and "bad: failed" in shown


def test_a_worker_that_is_killed_costs_one_attempt(
    anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    job = Job("a", str(anchor_folder), "a.mp4", speech=str(speech), expression=str(expression_file))
    engine = LocalEngine(1, device="cpu")
    killed: list[int] = []

    def kill_once(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and not killed:
            killed.append(engine._workers[0]._process.pid)
            os.kill(killed[0], signal.SIGKILL)

    events: list[dict[str, Any]] = []
    summary = run_batch([job], tmp_path, engine, report=lambda event: (events.append(event), kill_once(event))[0])
    assert killed and summary.exit_code == 0 and summary.rows[0].attempts == 2
    assert [event["reason"] for event in events if event["event"] == "retry"] == ["its worker was killed by signal 9"]


def test_an_attempt_over_the_time_limit_is_given_up(anchor_folder: Path, speech: Path, tmp_path: Path) -> None:
    job = Job("a", str(anchor_folder), "a.mp4", speech=str(speech))
    engine = LocalEngine(1, device="cpu", time_limit_s=0.3)
    started_s = time.monotonic()
    summary = run_batch([job], tmp_path, engine, retries=0)
    assert summary.rows[0].reason == "took longer than 0.3 s" and time.monotonic() - started_s < 30


def test_a_bad_job_file_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("id,anchor,text\na,nobody,Hi\nb,presenter,\n", "utf-8")
    result = CliRunner().invoke(main, ["batch", str(tmp_path / "jobs.csv"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    lines = result.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == ["line 2", "line 3", "Error"]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2))
def test_kill_9_loses_nothing_and_repeats_nothing(
    number: int, anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    """The whole batch is killed at a random moment; the next run completes it and leaves what was done."""
    jobs, out = job_file(tmp_path, anchor_folder, speech, expression_file, 4), tmp_path / "out"
    process = subprocess.Popen(command(jobs, out), env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    wanted = int(np.random.default_rng(number).integers(3, 13))
    for _ in range(wanted):
        process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.mp4")}
    expected = None
    for path in before:
        expected = expected or frames_of(path)
        assert frames_of(path) == expected

    done = subprocess.run(command(jobs, out), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len({frames_of(out / f"j{n}.mp4") for n in range(4)}) == 1
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert leftovers(out) == set()


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """What is started now heeds SIGINT, even where these tests run in a shell's background and it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_a_clean_folder(
    number: signal.Signals, anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    jobs, out = job_file(tmp_path, anchor_folder, speech, expression_file, 3), tmp_path / "out"
    process = subprocess.Popen(command(jobs, out), env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while '"progress"' not in process.stdout.readline():
        pass
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and '"summary"' not in rest
    assert leftovers(out) == set()
    with BatchState(out) as state:
        assert state.counts()["running"] == 0
