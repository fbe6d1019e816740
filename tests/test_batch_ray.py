"""Batches on a Ray cluster of two nodes, both on this machine and started by the test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_batch import environment, frames_of, job_file, leftovers

pytest.importorskip("ray", reason="Ray is an extra: pip install 'talkinghead[cluster]'")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("own_caches"),
    # Ray leaves sockets and processes to the collector when a test cluster ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture
def cluster(own_caches: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Its address. Each of the two nodes has one processor."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    for name, value in environment().items():  # a node's workers have its environment
        monkeypatch.setenv(name, value)
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    started.add_node(num_cpus=1)
    started.wait_for_nodes()
    yield str(started.address)
    started.shutdown()


def test_two_nodes_share_a_batch(
    cluster: str, anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    jobs, out = job_file(tmp_path, anchor_folder, speech, expression_file, 4), tmp_path / "out"
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "anchor.json").write_bytes((anchor_folder / "anchor.json").read_bytes())
    with jobs.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "bad", "anchor": "broken", "speech": str(speech)}) + "\n")
    command = [sys.executable, "-m", "talkinghead", "batch", str(jobs), "-o", str(out), "--device", "cpu", "--json"]
    command += ["--engine", "ray", "--address", cluster, "--threads", "1", "--retries", "1"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 3, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["counts"] == {"queued": 0, "running": 0, "done": 4, "failed": 1}
    assert "missing or damaged" in next(event["reason"] for event in events if event["event"] == "failed")
    assert len({frames_of(out / f"j{number}.mp4") for number in range(4)}) == 1
    assert leftovers(out) == set()
