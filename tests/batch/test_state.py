"""The table of a batch's jobs: what it keeps, and files that are no such table."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from talkinghead.batch.jobs import Job
from talkinghead.batch.state import BatchState, State
from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.generation.config import GenerationConfig

# A row as the table had it when attack and release could be null.
OLDER_JOB = """{"id": "a", "anchor": "presenter", "output": "a.mp4", "speech": "/a.wav", "text": null, "voice": null,
"clip": null, "face": 1, "expression": null, "speech_encoder": null, "intensity": 1.0, "attack_ms": null,
"release_ms": null, "visible_label": null, "label_font": null}"""


def some_jobs(*names: str) -> list[Job]:
    return [Job(name, "presenter", f"{name}.mp4", text=name) for name in names]


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    options = GenerationConfig(clip=tmp_path / "clip.mp4", face=2, intensity=0.5, attack_ms=90.0, visible_label="AI")
    jobs = [Job("a", "/me.anchor", "a.mp4", speech=tmp_path / "a.wav", options=options), *some_jobs("b")]
    with BatchState(tmp_path) as state:
        state.lay_out(jobs, resume=True)
        state.start("a")
        state.fail("a", "out of memory", again=True)
        state.finish("b", {"frames": 3})
    with BatchState(tmp_path, must_exist=True) as state:
        rows = state.rows()
        assert [row.job for row in rows] == jobs and [row.position for row in rows] == [0, 1]
        assert [(row.state, row.attempts, row.reason, row.result) for row in rows] == [
            (State.QUEUED, 1, "out of memory", None),
            (State.DONE, 1, None, {"frames": 3}),
        ]


def test_a_table_of_an_older_version_is_read(tmp_path: Path) -> None:
    job = Job("a", "presenter", "a.mp4", speech=Path("/a.wav"), options=GenerationConfig(face=1))
    with BatchState(tmp_path) as state:
        state.lay_out([job], resume=True)
        state.finish("a", {"frames": 3})
        with sqlite3.connect(state.path) as database:
            database.execute("UPDATE jobs SET job = ?", (OLDER_JOB,))
        database.close()
        state.lay_out([job], resume=True)
        assert state.counts()["done"] == 1


def test_ten_thousand_jobs(tmp_path: Path) -> None:
    jobs = some_jobs(*(f"job-{number}" for number in range(10_000)))
    with BatchState(tmp_path) as state:
        state.lay_out(jobs, resume=True)
        state.finish("job-77", {"frames": 1})
        state.lay_out(jobs, resume=True)
        assert state.counts() == {"queued": 9999, "running": 0, "done": 1, "failed": 0}
        assert state.rows(State.DONE)[0].position == 77


def test_tables_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        BatchState(tmp_path, must_exist=True)
    (tmp_path / "batch.sqlite").write_bytes(b"nothing like a table" * 100)
    with pytest.raises(CheckpointError, match="remove it"):
        BatchState(tmp_path)


@pytest.mark.parametrize("damaged", ["{", "[]", "{}", '{"id": "a"}', OLDER_JOB.replace("1.0", "9"), "null"])
def test_a_damaged_row_is_reported(damaged: str, tmp_path: Path) -> None:
    with BatchState(tmp_path) as state:
        state.lay_out(some_jobs("a"), resume=True)
        with sqlite3.connect(state.path) as database:
            database.execute("UPDATE jobs SET job = ?", (damaged,))
        database.close()
        with pytest.raises(CheckpointError, match="remove it"):
            state.rows()
