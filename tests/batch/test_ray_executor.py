"""Batches on a Ray cluster of two nodes, both on this machine and started by the test."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from batch_tools import command, environment, frames_of, job_file, leftovers

from talkinghead.batch.runner import PARTS

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is an extra: pip install 'talkinghead[cluster]'")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("own_caches"),
    # Ray leaves sockets and processes to the collector when a test cluster ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture
def cluster(own_caches: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Two nodes of one processor each."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    for name, value in environment().items():  # a node's workers have its environment
        monkeypatch.setenv(name, value)
    started = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    started.add_node(num_cpus=1)
    started.wait_for_nodes()
    yield started
    started.shutdown()


def ray_command(jobs: Path, out: Path, cluster: Cluster) -> list[str]:
    return command(jobs, out, "--engine", "ray", "--address", str(cluster.address), "--threads", "1", "--retries", "1")


def test_two_nodes_share_a_batch(
    cluster: Cluster, anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    jobs, out = job_file(tmp_path, anchor_folder, speech, expression_file, 4), tmp_path / "out"
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "anchor.json").write_bytes((anchor_folder / "anchor.json").read_bytes())
    with jobs.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "bad", "anchor": "broken", "speech": str(speech)}) + "\n")
    done = subprocess.run(
        ray_command(jobs, out, cluster), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["counts"] == {"queued": 0, "running": 0, "done": 4, "failed": 1}
    assert "missing or damaged" in next(event["reason"] for event in events if event["event"] == "failed")
    assert len({frames_of(out / f"j{number}.mp4") for number in range(4)}) == 1
    assert leftovers(out) == set()


def test_a_node_that_goes_away_loses_no_job(
    cluster: Cluster, anchor_folder: Path, expression_file: Path, tmp_path: Path
) -> None:
    """Its job is rendered again on the other node: one attempt more than there are jobs."""
    speech = tmp_path / "speech.wav"
    soundfile.write(speech, np.zeros(16000 * 12, np.float32), 16000)
    jobs, out = job_file(tmp_path, anchor_folder, speech, expression_file, 2), tmp_path / "out"
    attempts: set[str] = set()
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(ray_command(jobs, out, cluster), env=environment(), stdout=output, stderr=output) as batch,
    ):
        while batch.poll() is None:
            # Every attempt writes into a temporary file of a new name, which is looked for between short pauses.
            attempts |= {path.name for path in out.glob(f"{PARTS}/*/.*.mp4*")}
            if len(attempts) == 2 and cluster.worker_nodes:
                cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
            time.sleep(0.02)
    assert batch.returncode == 0, log.read_text("utf-8")
    assert not cluster.worker_nodes and len(attempts) == 3
    assert frames_of(out / "j0.mp4") == frames_of(out / "j1.mp4") == 12 * 25
    assert leftovers(out) == set()
