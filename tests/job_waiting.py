"""Waiting for jobs of the studio."""

from __future__ import annotations

import time
from collections.abc import Callable

from talkinghead.server.jobs import Jobs, StudioJob


def wait_for(jobs: Jobs, number: str, wanted: Callable[[StudioJob], bool], most_s: float = 60) -> StudioJob:
    end_s = time.monotonic() + most_s
    while time.monotonic() < end_s:
        if wanted(job := jobs.find(number)):
            return job
        time.sleep(0.02)
    raise AssertionError(f"It is still {jobs.find(number)}")


def is_over(job: StudioJob) -> bool:
    return job.state not in ("waiting", "running")
