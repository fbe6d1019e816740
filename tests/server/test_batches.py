"""Batches of the studio: a table becomes jobs, or is refused as a whole."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from drawn_performer import DrawnPerformer
from job_waiting import is_over, wait_for
from served import BASE, STUB, drawn_service
from starlette.testclient import TestClient

from talkinghead.server.app import make_app
from talkinghead.server.batches import MOST_ROWS
from talkinghead.server.config import ServerConfig
from talkinghead.server.jobs import Jobs
from talkinghead.server.service import Service


@pytest.fixture
def service(tmp_path: Path) -> Service:
    service = drawn_service(ServerConfig(folder=tmp_path / "studio", most_speech_s=5), DrawnPerformer())
    service.jobs.close()
    service.jobs = Jobs(tmp_path / "studio" / "jobs", STUB)
    return service


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(make_app(service.config, service), base_url=BASE) as client:
        yield client


def recording(client: TestClient, duration_s: float = 1.0) -> str:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(round(duration_s * 16_000), np.float32), 16_000, format="WAV")
    return str(client.post("/api/uploads/recordings", content=file.getvalue()).json()["key"])


def problems(client: TestClient, table: str, **more: object) -> str:
    answer = client.post("/api/batches", json={"table": table, **more})
    assert answer.status_code == 422
    assert client.get("/api/jobs").json() == {"jobs": []}
    return "\n".join(answer.json()["problems"])


def test_each_row_becomes_a_video(client: TestClient, service: Service) -> None:
    table = "id;anchor;text;speech;intensity;lead_in\n1;presenter;Good evening.;;1.2;0.5\ntwo;presenter;;b.wav;;\n"
    body = {"name": "../news.csv", "table": table, "recordings": {"b.wav": recording(client)}}
    answer = client.post("/api/batches", json=body)
    assert answer.status_code == 202
    assert answer.json()["batch"]["name"] == "news.csv"
    first, second = (service.jobs.find(job["number"]).spec for job in answer.json()["jobs"])
    assert (first["text"], first["options"]) == ("Good evening.", {"intensity": 1.2, "lead_in": 0.5})
    assert Path(second["recording"]).is_file()
    assert second["text"] == ""
    for job in answer.json()["jobs"]:
        assert wait_for(service.jobs, job["number"], is_over).state == "done"
        assert client.get(f"/api/jobs/{job['number']}/video").content == b"a video"
    listed = client.get("/api/jobs").json()["jobs"]
    assert [job["title"] for job in listed] == ["two", "1"], "the newest first"
    assert {job["settings"]["batch"]["name"] for job in listed} == {"news.csv"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,nobody,Hello.,,,", "no anchor 'nobody'"),
        ("1,../../etc,Hello.,,,", "no anchor"),
        ("1,presenter,,,,", "give one of speech and text"),
        ("1,presenter,Hello.,b.wav,,", "give one of speech and text"),
        ("1,presenter,,/etc/passwd,,", "no recording 'passwd'"),
        ("1,presenter,,missing.wav,,", "no recording 'missing.wav'"),
        ("1,presenter,Hello.,,99,", "intensity has to be"),
        ("1,presenter,Hello.,,,nobody", "no voice"),
        (",presenter,Hello.,,,", "id is missing"),
        ("a/b,presenter,Hello.,,,", "id has to be"),
        ("1,presenter,Hello.,,,\n1,presenter,Hello.,,,", "line 3: id '1' is already used in line 2"),
        ("", "no jobs"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(row: str, message: str, client: TestClient, service: Service) -> None:
    told = problems(client, f"id,anchor,text,speech,intensity,voice\n{row}\n", recordings={"b.wav": recording(client)})
    assert message in told
    assert str(service.config.folder) not in told


@pytest.mark.parametrize("column", ["clip", "expression", "phones", "label_font", "speech_encoder", "device"])
def test_columns_that_name_files_are_refused(column: str, client: TestClient) -> None:
    assert column in problems(client, f"id,anchor,text,{column}\n1,presenter,Hello.,/etc/passwd\n")


def test_recordings_are_the_clients_own(client: TestClient) -> None:
    table = "id,anchor,speech\n1,presenter,b.wav\n"
    assert "no such upload" in problems(client, table, recordings={"b.wav": "../../../etc/passwd"})
    assert "no recording" in problems(client, table, recordings={"b.wav": 7})
    assert "at most 5 s" in problems(client, table, recordings={"b.wav": recording(client, 6)})


def test_a_batch_of_more_than_fit_starts_nothing(client: TestClient) -> None:
    rows = "".join(f"{number},presenter,Hello.\n" for number in range(MOST_ROWS + 1))
    assert "more than" in problems(client, f"id,anchor,text\n{rows}")
