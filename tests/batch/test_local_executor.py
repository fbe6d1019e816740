"""Batches in worker processes on this machine, as the command runs them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_tools import command, environment, frames_of, job_file, leftovers
from click.testing import CliRunner

from talkinghead.batch.jobs import Job
from talkinghead.batch.local_executor import LocalExecutor
from talkinghead.batch.runner import run_batch
from talkinghead.batch.state import BatchState
from talkinghead.cli.main import main
from talkinghead.generation.config import GenerationConfig

pytestmark = pytest.mark.usefixtures("own_caches")


def test_a_batch_on_this_machine(anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path) -> None:
    """Two worker processes; one job's anchor has a damaged network, which the check of the job file does not find."""
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
    options = GenerationConfig(expression=expression_file)
    job = Job("a", str(anchor_folder), "a.mp4", speech=speech, options=options)
    executor = LocalExecutor(1, device="cpu")
    events: list[dict[str, Any]] = []

    def kill_first_worker(event: dict[str, Any]) -> None:
        events.append(event)
        if [event["event"] for event in events] == ["started"]:
            os.kill(executor._workers[0]._process.pid, signal.SIGKILL)

    summary = run_batch([job], tmp_path, executor, report=kill_first_worker)
    assert summary.exit_code == 0 and summary.rows[0].attempts == 2
    assert [event["reason"] for event in events if event["event"] == "retry"] == ["its worker was killed by signal 9"]


def test_an_attempt_over_the_time_limit_is_stopped(tmp_path: Path) -> None:
    """Reading the anchor blocks for ever: its description is a pipe that nobody writes to."""
    (tmp_path / "anchor").mkdir()
    os.mkfifo(tmp_path / "anchor" / "anchor.json")
    job = Job("a", str(tmp_path / "anchor"), "a.mp4", speech=tmp_path / "speech.wav")
    executor = LocalExecutor(1, device="cpu", time_limit_s=0.3)
    workers: list[subprocess.Popen[str]] = []

    def keep_worker(event: dict[str, Any]) -> None:
        if event["event"] == "started":
            workers.append(executor._workers[0]._process)

    summary = run_batch([job], tmp_path / "out", executor, retries=0, report=keep_worker)
    assert summary.rows[0].reason == "took longer than 0.3 s"
    assert [worker.returncode for worker in workers] == [-signal.SIGKILL]


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
def default_sigint() -> Iterator[None]:
    """Processes that are started react to SIGINT, even where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("default_sigint")
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
    rest, _ = process.communicate()
    assert process.returncode == 130 and '"summary"' not in rest
    assert leftovers(out) == set()
    with BatchState(out) as state:
        assert state.counts()["running"] == 0
