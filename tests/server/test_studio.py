"""The studio's programming interface, and its page."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
from drawn_face import DrawnClip
from drawn_performer import DrawnPerformer
from job_waiting import is_over, wait_for
from served import BASE, CHECK_STUB, STUB, drawn_service
from starlette.testclient import TestClient

from talkinghead.server.app import make_app
from talkinghead.server.clip_checks import ClipChecks
from talkinghead.server.config import ServerConfig
from talkinghead.server.jobs import Jobs
from talkinghead.server.making import VIDEO_OPTIONS
from talkinghead.server.service import Service
from talkinghead.server.studio import PAGE

LARGEST_PAGE_BYTES = 200_000


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = drawn_service(ServerConfig(folder=tmp_path / "studio", most_upload_mb=1), DrawnPerformer())
    service.jobs.close()
    service.jobs = Jobs(tmp_path / "studio" / "jobs", STUB)
    service.clip_checks = ClipChecks(CHECK_STUB)
    return service


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(make_app(service.config, service), base_url=BASE) as client:
        yield client


@pytest.fixture
def speech_key(client: TestClient) -> str:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(16_000, np.float32), 16_000, format="WAV")
    answer = client.post("/api/uploads/recordings", content=file.getvalue(), headers={"x-file-name": "a%20b.wav"})
    assert answer.status_code == 201
    assert answer.json()["duration_s"] == 1
    assert answer.json()["name"] == "a b.wav"
    return str(answer.json()["key"])


@pytest.fixture
def clip_key(client: TestClient, clip: DrawnClip) -> str:
    answer = client.post("/api/uploads/clips", content=clip.path.read_bytes())
    assert answer.status_code == 201
    return str(answer.json()["key"])


def training(clip_key: str, **changes: Any) -> dict[str, Any]:
    return {"clip": clip_key, "name": "Anna", "consent": "Anna herself, today", "minutes": 1} | changes


def test_the_page_is_small_and_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    files = [path for path in PAGE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST_PAGE_BYTES
    for path in files:
        addresses = set(re.findall(r"https?://[^\s\"'`]+", path.read_text("utf-8")))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path
    for address in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        assert client.get(address).status_code == 200
    assert not re.findall(r"<script(?![^>]*src=)|\sstyle=|\son\w+=", page.text), "the policy forbids them"


def test_the_page_says_everything_in_both_languages() -> None:
    text = (PAGE / "strings.js").read_text("utf-8")
    english, chinese = (set(re.findall(r"\b(\w+): ?\n? *\"", part)) for part in text.split("zh: {"))
    assert english - {"en"} == chinese
    used = set(re.findall(r'data-(?:text|label|placeholder)="(\w+)"', (PAGE / "index.html").read_text("utf-8")))
    for path in PAGE.glob("*.js"):
        used |= set(re.findall(r'say\("(\w+)"\)', path.read_text("utf-8")))
    assert used <= english


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"])
def test_nothing_else_of_the_disk_is_shown(path: str, client: TestClient) -> None:
    assert client.get(path).status_code == 404


def test_a_video_is_made_of_a_text(client: TestClient, service: Service) -> None:
    body = {"anchor": "presenter", "text": "Good evening.", "options": {"intensity": 1.2}}
    job = client.post("/api/videos", json=body).json()
    assert (job["title"], job["anchor"]) == ("Good evening.", "presenter")
    wait_for(service.jobs, job["number"], is_over)
    listed = client.get("/api/jobs").json()["jobs"]
    assert [one["number"] for one in listed] == [job["number"]]
    assert listed[0]["state"] == "done"
    assert str(service.config.folder) not in json.dumps(listed), "no path of the server"
    assert client.get(f"/api/jobs/{job['number']}/video").content == b"a video"
    ranged = client.get(f"/api/jobs/{job['number']}/video", headers={"range": "bytes=2-6"})
    assert (ranged.status_code, ranged.content) == (206, b"video")
    download = client.get(f"/api/jobs/{job['number']}/video?download")
    assert "attachment" in download.headers["content-disposition"]
    assert client.delete(f"/api/jobs/{job['number']}").status_code == 204
    assert client.get("/api/jobs").json() == {"jobs": []}


def test_a_video_is_made_of_a_recording(client: TestClient, service: Service, speech_key: str) -> None:
    job = client.post("/api/videos", json={"recording": speech_key, "title": "../../x\x07y"}).json()
    assert job["title"] == "xy"
    assert wait_for(service.jobs, job["number"], is_over).state in ("done", "failed")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"text": ""}, 422),
        ({"text": "a" * 20_001}, 422),
        ({"text": "Hello.", "anchor": "../presenter"}, 404),
        ({"text": "Hello.", "anchor": "/etc"}, 404),
        ({"text": "Hello.", "voice": "nobody"}, 422),
        ({"text": "Hello.", "options": {"intensity": 99}}, 422),
        ({"text": "Hello.", "options": {"clip": "/etc/passwd"}}, 422),
        ({"text": "Hello.", "options": []}, 400),
        ({"text": "Hello.", "options": {"aspect": "7:3"}}, 422),
        ({"text": "Hello.", "options": {"lead_in": -1}}, 422),
        ({"text": "Hello.", "options": {"clip_range": "x"}}, 422),
        ({"text": "Hello.", "options": {"label_font": "/etc/passwd"}}, 422),
        ({"text": "Hello.", "speaking": {"speed": 9}}, 422),
        ({"text": "Hello.", "speaking": {"pronunciation": "/etc/passwd"}}, 422),
        ({"recording": "0123456789abcdef"}, 404),
        ({"recording": "../../../etc/passwd"}, 404),
        ({"recording": 7}, 400),
    ],
)
def test_a_video_that_cannot_be_made_is_refused(body: dict[str, Any], status: int, client: TestClient) -> None:
    answer = client.post("/api/videos", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert client.get("/api/jobs").json() == {"jobs": []}


def test_a_training_is_asked_for(client: TestClient, service: Service, clip_key: str) -> None:
    job = client.post("/api/trainings", json=training(clip_key)).json()
    spec = service.jobs.find(job["number"]).spec
    assert Path(spec["clip"]).is_file()
    assert Path(spec["output"]) == service.anchors.folder.absolute() / "Anna.anchor"
    assert spec["consent"] == "Anna herself, today"
    assert client.post("/api/trainings", json=training(clip_key)).status_code == 409


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"clip": "0123456789abcdef"}, 404),
        ({"name": "../evil"}, 422),
        ({"name": ".hidden"}, 422),
        ({"name": ""}, 422),
        ({"name": "presenter"}, 409),
        ({"consent": "yes"}, 422),
        ({"consent": None}, 400),
        ({"minutes": 0}, 422),
        ({"minutes": "1"}, 422),
        ({"minutes": 1e9}, 422),
    ],
)
def test_a_training_that_cannot_be_is_refused(
    changes: dict[str, Any], status: int, client: TestClient, clip_key: str
) -> None:
    answer = client.post("/api/trainings", json=training(clip_key, **changes))
    assert answer.status_code == status
    assert answer.json()["error"]


def test_uploads_that_are_no_media_or_too_large_leave_nothing(client: TestClient, service: Service) -> None:
    assert client.post("/api/uploads/clips", content=b"no video" * 99).status_code == 422
    assert client.post("/api/uploads/recordings", content=b"no audio" * 99).status_code == 422
    assert client.post("/api/uploads/clips", content=b"").status_code == 400
    assert client.post("/api/uploads/clips", content=b"\0" * 1_100_000).status_code == 413
    assert client.post("/api/uploads/others", content=b"x").status_code == 404
    for kind in ("clips", "recordings"):
        assert not list((service.config.folder / kind).iterdir())


def test_an_upload_is_removed(client: TestClient, speech_key: str) -> None:
    assert client.delete(f"/api/uploads/recordings/{speech_key}").status_code == 204
    assert client.delete(f"/api/uploads/recordings/{speech_key}").status_code == 404


def test_the_voice_is_heard_before(client: TestClient) -> None:
    sound = client.post("/api/speech", json={"text": "Good evening."})
    samples, rate_hz = soundfile.read(io.BytesIO(sound.content))
    assert 0.5 < len(samples) / rate_hz < 4
    assert client.post("/api/speech", json={"text": "。。。"}).status_code == 422


@pytest.mark.parametrize("action", ["stop", "resume", "video", "picture", ""])
def test_a_job_that_is_not_there_is_not_found(action: str, client: TestClient) -> None:
    path = f"/api/jobs/20260101T000000-00000000/{action}".rstrip("/")
    method = "POST" if action in ("stop", "resume") else "GET"
    assert client.request(method, path).status_code == 404


def test_anchors_and_voices_are_listed(client: TestClient) -> None:
    names = [anchor["name"] for anchor in client.get("/api/anchors").json()["anchors"]]
    assert names[0] == "henrik" and names[1] == "presenter"
    voices = client.get("/api/voices").json()
    assert voices["default"] in [voice["name"] for voice in voices["voices"]]


def test_options_reach_the_job_as_they_are(client: TestClient, service: Service) -> None:
    options = {"lead_in": 0.5, "lead_out": 0, "aspect": "9:16", "size": "720p", "quality": "draft"}
    options |= {"clip_range": "1-4s", "visible_label": "AI", "intensity": 1.1, "voice_is_anchor": "no"}
    assert set(options) == set(VIDEO_OPTIONS)
    body = {"text": "Hello.", "options": options, "speaking": {"speed": 1.25, "pause_ms": 100}}
    job = client.post("/api/videos", json=body).json()
    spec = service.jobs.find(job["number"]).spec
    assert spec["options"] == job["settings"]["options"] == options
    assert spec["speaking"] == {"text_format": "auto", "speed": 1.25, "pause_ms": 100}


def test_the_speed_is_heard(client: TestClient) -> None:
    lengths = [
        len(client.post("/api/speech", json={"text": "Good evening.", "speaking": {"speed": speed}}).content)
        for speed in (0.5, 1, 2)
    ]
    assert lengths[0] > lengths[1] > lengths[2]
    assert lengths[0] > 1.5 * lengths[2]


def checked(client: TestClient, clip: DrawnClip, name: str) -> tuple[str, Any]:
    key = client.post("/api/uploads/clips", content=clip.path.read_bytes(), headers={"x-file-name": name}).json()["key"]
    return key, client.get(f"/api/uploads/clips/{key}/check")


def test_a_clip_is_checked_once(client: TestClient, service: Service, clip: DrawnClip) -> None:
    key, answer = checked(client, clip, "me.mp4")
    assert answer.json()["state"] == "remark"
    assert answer.json()["findings"][1] == {
        "name": "mouth opens",
        "state": "remark",
        "value": "lips part by 0.1 cm",
        "advice": "take a clip in which the person speaks",
    }
    service.clip_checks = ClipChecks(("false",))
    chinese = client.get(f"/api/uploads/clips/{key}/check?language=zh").json()["findings"][1]
    assert (chinese["name"], chinese["state"], chinese["value"]) == ("张嘴", "remark", "嘴唇张开 0.1 厘米")
    for language in ("en", "../zh", "xx", "zh" * 99):
        assert client.get(f"/api/uploads/clips/{key}/check?language={language}").json() == answer.json()
    assert client.get(f"/api/uploads/clips/{key}/check").json() == answer.json()
    assert client.get("/api/uploads/clips/0123456789abcdef/check").status_code == 404
    assert client.post("/api/trainings", json=training(key)).status_code == 202


def test_a_clip_with_problems_is_trained_on_only_if_so_wished(
    client: TestClient, service: Service, clip: DrawnClip
) -> None:
    key, answer = checked(client, clip, "still.mp4")
    assert answer.json()["state"] == "problem"
    refused = client.post("/api/trainings", json=training(key))
    assert refused.status_code == 422
    assert "mouth opens: lips part by 0.1 cm; take a clip in which the person speaks." in refused.json()["error"]
    job = client.post("/api/trainings", json=training(key, despite_problems=True)).json()
    assert service.jobs.find(job["number"]).spec["despite_problems"] is True


def test_a_clip_that_cannot_be_checked_says_why(client: TestClient, service: Service, clip: DrawnClip) -> None:
    key, answer = checked(client, clip, "broken.mp4")
    assert answer.status_code == 422
    assert answer.json()["error"] == "The clip cannot be checked: the clip cannot be decoded."
    service.clip_checks = ClipChecks(("true",))
    assert "cannot be checked" in client.get(f"/api/uploads/clips/{key}/check").json()["error"]


def test_the_pictures_of_jobs(client: TestClient, service: Service, clip_key: str) -> None:
    job = client.post("/api/trainings", json=training(clip_key)).json()
    hidden = service.anchors.folder / ".Anna.anchor.training" / "training.png"
    hidden.parent.mkdir(parents=True)
    assert (job["has_picture"], job["picture_at"]) == (False, None)
    hidden.write_bytes(b"first")
    shown = client.get(f"/api/jobs/{job['number']}").json()
    assert shown["has_picture"]
    answer = client.get(f"/api/jobs/{job['number']}/picture")
    assert (answer.content, answer.headers["content-type"]) == (b"first", "image/png")
    os.utime(hidden, (2e9, 2e9))
    assert client.get(f"/api/jobs/{job['number']}").json()["picture_at"] == 2_000_000_000_000


def test_a_video_shows_its_newest_picture_while_it_is_made(client: TestClient, service: Service) -> None:
    number = client.post("/api/videos", json={"text": "wait"}).json()["number"]
    wait_for(service.jobs, number, lambda job: job.state == "running" and bool(job.progress))
    (service.config.folder / "jobs" / number / "picture.jpg").write_bytes(b"a picture")
    assert client.get(f"/api/jobs/{number}").json()["has_picture"]
    answer = client.get(f"/api/jobs/{number}/picture")
    assert (answer.content, answer.headers["content-type"]) == (b"a picture", "image/jpeg")
    client.post(f"/api/jobs/{number}/stop")
    wait_for(service.jobs, number, is_over)
    assert client.get(f"/api/jobs/{number}/picture").status_code == 404


def picture() -> bytes:
    return bytes(np.asarray(cv2.imencode(".png", np.full((24, 32, 3), 90, np.uint8))[1]).tobytes())


def test_a_video_has_the_background_that_is_asked_for(client: TestClient, service: Service) -> None:
    key = client.post("/api/uploads/backgrounds", content=picture()).json()["key"]
    asked = {"text": "Good evening."}
    numbers = [
        client.post("/api/videos", json={**asked, **behind}).json()["number"]
        for behind in ({"background_file": key}, {"background": "#00b140"}, {"background": "Transparent"}, {})
    ]
    specs = [service.jobs.find(number).spec for number in numbers]
    path = Path(specs[0]["options"]["background"])
    assert path.read_bytes() == picture() and path.is_relative_to(service.config.folder.absolute())
    assert [spec["options"].get("background") for spec in specs[1:]] == ["#00b140", "transparent", None]
    assert [Path(spec["output"]).name for spec in specs] == ["video.mp4", "video.mp4", "video.webm", "video.mp4"]
    for number in numbers:
        wait_for(service.jobs, number, is_over)
        shown = client.get(f"/api/jobs/{number}").json()
        assert shown["has_video"] and "/" not in str(shown["settings"]["options"].get("background", ""))
    video = client.get(f"/api/jobs/{numbers[2]}/video?download")
    assert video.headers["content-type"] == "video/webm"
    assert video.headers["content-disposition"].endswith(".webm")


@pytest.mark.parametrize(
    "behind",
    [
        {"background": "/etc/hostname"},
        {"background": "office.png"},
        {"background": "#12345"},
        {"background_file": "../../etc"},
        {"background_file": "0123456789abcdef"},
        {"options": {"background": "#00b140"}},
    ],
)
def test_a_background_names_no_file_of_the_server(behind: dict[str, Any], client: TestClient) -> None:
    answer = client.post("/api/videos", json={"text": "Good evening.", **behind})
    assert 400 <= answer.status_code < 500 and answer.json()["error"]


def test_a_background_that_is_no_picture_leaves_nothing(client: TestClient, service: Service) -> None:
    assert client.post("/api/uploads/backgrounds", content=b"no picture").status_code == 422
    assert not list((service.config.folder / "backgrounds").iterdir())


def test_a_table_names_no_background(client: TestClient) -> None:
    table = "id,anchor,text,background\n1,presenter,Good evening.,/etc/hostname\n"
    assert client.post("/api/batches", json={"table": table, "recordings": {}}).status_code == 422
