"""Batches on several machines: the jobs become tasks of a Ray cluster (the extra `cluster`).

Every machine has talkinghead installed, and sees the inputs and the batch's folder under the same paths.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from talkinghead.batch.engine import Finding
from talkinghead.batch.jobs import Job
from talkinghead.batch.worker import Renderer, describe
from talkinghead.errors import EngineUnavailableError

REQUIREMENT = "pip install 'talkinghead[cluster]'"
MOST_TASKS = 1000
"""Tasks that are handed to Ray before others have ended."""

Sign = tuple[str, str]


class RayEngine:
    """One Ray task a job. Ray decides where each runs, and tries it again where it or its machine fails."""

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
        """Args: address of the cluster, None for this machine alone; processors of a job; auto, cpu or cuda (which
        asks for one GPU); certificate and key; how often Ray tries a failed task again."""
        self._ray = _ray()
        self._address = address
        self._threads = threads
        self._device = device
        self._sign: Sign | None = (str(sign[0].absolute()), str(sign[1].absolute())) if sign else None
        self._retries = retries
        self._tasks: dict[Any, str] = {}
        self._is_ours = False

    def prepare(self, folder: Path) -> None:
        if not self._ray.is_initialized():
            try:
                self._ray.init(self._address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, OSError, RuntimeError, ValueError) as error:
                raise EngineUnavailableError(f"Ray cannot be reached: {describe(error)}") from error
            self._is_ours = True
        self._task = self._ray.remote(_render).options(
            num_cpus=self._threads,
            num_gpus=1 if self._device == "cuda" else 0,
            max_retries=self._retries,
            retry_exceptions=True,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": str(self._threads), "OMP_WAIT_POLICY": "PASSIVE"}},
        )

    def has_room(self) -> bool:
        return len(self._tasks) < MOST_TASKS

    def start(self, job: Job, part: Path) -> None:
        task = self._task.remote(job.as_json(), str(part), self._device, self._threads, self._sign)
        self._tasks[task] = job.id

    def wait(self, seconds: float) -> list[Finding]:
        ended, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=seconds)
        return [self._finding(task) for task in ended]

    def _finding(self, task: Any) -> Finding:
        job_id = self._tasks.pop(task)
        try:
            return Finding(job_id, "done", self._ray.get(task))
        except self._ray.exceptions.RayTaskError as error:
            return Finding(job_id, "failed", reason=describe(error.cause))
        except self._ray.exceptions.RayError as error:
            return Finding(job_id, "failed", reason=describe(error))

    def stop(self) -> None:
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        self._tasks.clear()
        if self._is_ours:
            self._ray.shutdown()


def _ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is sent to Ray's makers
    try:
        import ray
    except ImportError as error:
        raise EngineUnavailableError(f"--engine ray needs one more package: {REQUIREMENT}") from error
    return ray


@lru_cache(maxsize=1)
def _renderer(device: str, sign: Sign | None) -> Renderer:
    """One for each worker process, so that its anchors are loaded once."""
    return Renderer(device, (Path(sign[0]), Path(sign[1])) if sign else None)


def _render(job: dict[str, Any], part: str, device: str, threads: int, sign: Sign | None) -> dict[str, Any]:
    """The task."""
    import torch

    torch.set_num_threads(threads)
    return _renderer(device, sign).render(Job(**job), Path(part))
