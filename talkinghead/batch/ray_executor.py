"""Rendering jobs on several machines, as tasks of a Ray cluster (the extra `cluster`).

Every machine has talkinghead installed, and finds the inputs and the batch's folder under the same paths.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from talkinghead.batch.executor import JobEvent
from talkinghead.batch.jobs import Job
from talkinghead.batch.worker import Renderer, WorkerSettings, describe
from talkinghead.errors import EngineUnavailableError

REQUIREMENT = "pip install 'talkinghead[cluster]'"
MOST_TASKS = 1000
"""Number of tasks that Ray holds at the same time, queued ones included."""


class RayExecutor:
    """One Ray task for each job. Ray chooses the machine, and repeats a task that fails or whose machine fails."""

    retries_itself = True

    def __init__(
        self,
        address: str | None = None,
        *,
        threads: int = 2,
        device: str = "auto",
        sign: tuple[Path, Path] | None = None,
        retries: int = 1,
    ) -> None:
        """Ray is started, or connected to, by `prepare`.

        Args:
            address: of the cluster; None starts Ray on this machine alone.
            threads: processors that each job takes.
            device: auto, cpu or cuda; cuda takes one GPU for each job.
            sign: certificate and key to sign videos with, PEM files.
            retries: how often Ray repeats a task that fails.

        Raises:
            EngineUnavailableError: Ray is not installed.
        """
        self._ray = _import_ray()
        self._address = address
        self._settings = WorkerSettings(device, threads, sign)
        self._retries = retries
        self._tasks: dict[Any, str] = {}
        self._started_ray = False

    def prepare(self, folder: Path) -> None:
        """Connect to the cluster.

        Raises:
            EngineUnavailableError: it cannot be reached.
        """
        if not self._ray.is_initialized():
            try:
                self._ray.init(self._address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, OSError, RuntimeError, ValueError) as error:
                raise EngineUnavailableError(
                    f"The Ray cluster cannot be reached ({describe(error)}); check --address."
                ) from error
            self._started_ray = True
        threads = self._settings.threads
        self._task = self._ray.remote(_render).options(
            num_cpus=threads,
            num_gpus=1 if self._settings.device == "cuda" else 0,
            max_retries=self._retries,
            retry_exceptions=True,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}},
        )

    def has_room(self) -> bool:
        return len(self._tasks) < MOST_TASKS

    def start(self, job: Job, part: Path) -> None:
        task = self._task.remote(job.as_json(), str(part), json.dumps(self._settings.as_json()))
        self._tasks[task] = job.id

    def wait(self, seconds: float) -> list[JobEvent]:
        ended, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=seconds)
        return [self._event(task) for task in ended]

    def _event(self, task: Any) -> JobEvent:
        job_id = self._tasks.pop(task)
        try:
            return JobEvent(job_id, "done", self._ray.get(task))
        except self._ray.exceptions.RayTaskError as error:
            return JobEvent(job_id, "failed", reason=describe(error.cause))
        except self._ray.exceptions.RayError as error:
            return JobEvent(job_id, "failed", reason=describe(error))

    def stop(self) -> None:
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        self._tasks.clear()
        if self._started_ray:
            self._ray.shutdown()


def _import_ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray sends nothing to its makers
    try:
        import ray
    except ImportError as error:
        raise EngineUnavailableError(f"--engine ray needs one more package: {REQUIREMENT}") from error
    return ray


@lru_cache(maxsize=1)
def _renderer(settings: str) -> Renderer:
    """One renderer for each process of Ray, so that its anchors are loaded once."""
    return Renderer(WorkerSettings.from_json(json.loads(settings)))


def _render(job: dict[str, Any], part: str, settings: str) -> dict[str, Any]:
    """The task: render a job to a file. `settings` is the JSON of `WorkerSettings`."""
    import torch

    torch.set_num_threads(json.loads(settings)["threads"])
    return _renderer(settings).render(Job.from_json(job), Path(part))
