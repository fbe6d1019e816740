"""Jobs of the studio: they run in order, tell how they end, and survive the server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawn_face import DrawnClip
from job_waiting import is_over, wait_for
from served import STUB

from talkinghead.errors import MissingFileError
from talkinghead.server.jobs import STATE_FILE, Jobs, StudioJob


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(tmp_path / "jobs", STUB)
    yield jobs
    jobs.close()


def add(jobs: Jobs, text: str) -> StudioJob:
    return jobs.add("speak", text, {"text": text, "output": "{folder}/video.mp4"})


def is_busy(job: StudioJob) -> bool:
    return bool(job.state == "running" and job.progress)


def test_a_job_is_done_and_kept(jobs: Jobs) -> None:
    job = wait_for(jobs, add(jobs, "hello").number, is_over)
    assert (job.state, job.result) == ("done", {"output": job.spec["output"], "frames": 3})
    assert jobs.path(job, "video.mp4").read_bytes() == b"a video"
    assert json.loads(jobs.path(job, STATE_FILE).read_text())["state"] == "done"
    jobs.remove(job.number)
    assert not (jobs.folder / job.number).exists()
    with pytest.raises(MissingFileError):
        jobs.find(job.number)


@pytest.mark.parametrize(
    ("text", "message"), [("fail", "It cannot be."), ("crash", "its log"), ("noise", "could not be read")]
)
def test_a_job_that_fails_says_why_and_can_be_tried_again(text: str, message: str, jobs: Jobs) -> None:
    job = wait_for(jobs, add(jobs, text).number, is_over)
    assert job.state == "failed"
    assert message in job.message
    if text == "crash":
        assert "out of luck" in jobs.path(job, "log.txt").read_text()
    assert jobs.resume(job.number).state in ("waiting", "running")
    wait_for(jobs, job.number, is_over)
    assert wait_for(jobs, add(jobs, "hello").number, is_over).state == "done"


def test_one_of_a_kind_runs_at_a_time_in_the_order_they_came(jobs: Jobs) -> None:
    first = add(jobs, "wait")
    second = add(jobs, "hello")
    wait_for(jobs, first.number, is_busy)
    assert jobs.find(second.number).state == "waiting"
    with pytest.raises(ValueError, match="running"):
        jobs.remove(first.number)
    with pytest.raises(ValueError, match="running"):
        jobs.resume(first.number)
    jobs.stop(first.number)
    assert wait_for(jobs, first.number, is_over).message == "Saved."
    assert wait_for(jobs, second.number, is_over).state == "done"
    jobs.resume(first.number)
    assert wait_for(jobs, first.number, is_over).state == "done"


def test_a_job_that_waits_can_be_stopped(jobs: Jobs) -> None:
    first, second = add(jobs, "wait"), add(jobs, "hello")
    wait_for(jobs, first.number, is_busy)
    assert jobs.stop(second.number).state == "interrupted"
    jobs.stop(first.number)
    wait_for(jobs, first.number, is_over)
    assert jobs.find(second.number).state == "interrupted"


def test_the_next_server_goes_on(tmp_path: Path) -> None:
    first = Jobs(tmp_path, STUB)
    running, waiting = add(first, "wait"), add(first, "hello")
    wait_for(first, running.number, is_busy)
    first.close()
    (tmp_path / "20260101T000000-00000000").mkdir()
    (tmp_path / "20260101T000000-00000000" / STATE_FILE).write_text("[" * 99_999)
    second = Jobs(tmp_path, STUB)
    assert wait_for(second, running.number, is_over).state == "done"
    assert wait_for(second, waiting.number, is_over).state == "done"
    assert [job.number for job in second.all()] == [waiting.number, running.number]
    second.close()


SERVER = """
import sys, time
from pathlib import Path
from talkinghead.server.jobs import Jobs
jobs = Jobs(Path(sys.argv[1]))
job = jobs.add("train", "anna", {"clip": sys.argv[2], "output": sys.argv[3], "minutes": 5.0, "steps": 40,
                                 "consent": "Drawn, nobody.", "device": "cpu"})
while True:
    progress = jobs.find(job.number).progress
    if progress.get("stage") == "training" and progress.get("step", 0) >= 2:
        print(job.number, flush=True)
    time.sleep(0.1)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("own_caches")
def test_a_training_survives_a_server_that_is_killed(tmp_path: Path, clip: DrawnClip) -> None:
    output = tmp_path / "anna.anchor"
    arguments = [sys.executable, "-c", SERVER, str(tmp_path / "jobs"), str(clip.path), str(output)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        number = server.stdout.readline().strip()
        os.kill(server.pid, signal.SIGKILL)
    state = output.parent / f".{output.name}.training" / "state.safetensors"
    end_s = time.monotonic() + 120
    while not state.exists() and time.monotonic() < end_s:
        time.sleep(0.1)
    jobs = Jobs(tmp_path / "jobs")
    job = wait_for(jobs, number, is_over, 240)
    jobs.close()
    assert (job.state, job.message) == ("done", "")
    assert json.loads((output / "anchor.json").read_text())["training"]["steps"] == 40
