"""Recordings of live sessions, HLS, and pushes to an RTMP server: what was shown and heard arrives, together."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from drawn_performer import BigPerformer
from served import BASE, drawn_service
from starlette.testclient import TestClient

from talkinghead.errors import OptionError
from talkinghead.media.containers import read_tags
from talkinghead.provenance.metadata import read_source_type
from talkinghead.provenance.origin import DIGITAL_SOURCE_TYPE
from talkinghead.server import broadcasts, session_recordings
from talkinghead.server.app import make_app
from talkinghead.server.config import ServerConfig
from talkinghead.server.service import Service
from talkinghead.server.taps import encode

SPEECH_S = 1.0
KEY_OF_OPERATOR = "s3cret-stream-key"


@pytest.fixture
def rtmp_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def service(tmp_path: Path, rtmp_port: int) -> Service:
    push_file = tmp_path / "push"
    push_file.write_text(f"rtmp://127.0.0.1:{rtmp_port}/live/{KEY_OF_OPERATOR}\n")
    return drawn_service(ServerConfig(folder=tmp_path / "studio", push_file=push_file), BigPerformer())


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(make_app(service.config, service), base_url=BASE) as client:
        yield client


@pytest.fixture
def session(client: TestClient) -> str:
    return f"/api/sessions/{client.post('/api/sessions', json={}).json()['session']}"


def until(is_so: Callable[[], Any], most_s: float = 30) -> Any:
    end_s = time.monotonic() + most_s
    while not (found := is_so()):
        assert time.monotonic() < end_s
        time.sleep(0.05)
    return found


def speak(client: TestClient, session: str) -> None:
    """Play a second of a tone, and wait until it is over; the drawn mouth is wide open meanwhile."""
    file, times_s = io.BytesIO(), np.arange(SPEECH_S * 16_000) / 16_000
    soundfile.write(file, (0.4 * np.sign(np.sin(2 * np.pi * 220 * times_s + 0.1))), 16_000, format="WAV")
    assert client.post(f"{session}/audio", content=file.getvalue()).status_code == 202
    until(lambda: client.get(session).json()["is_speaking"])
    until(lambda: client.get(session).json()["is_speaking"] is False)
    time.sleep(0.3)


@dataclass
class Seen:
    """Times in seconds."""

    bright: list[float] = field(default_factory=list)
    """Of pictures with an open mouth."""
    loud: list[float] = field(default_factory=list)
    """Of frames of audio in which something is heard."""
    pictures: list[float] = field(default_factory=list)
    """Of all pictures."""


def watch(container: Any) -> Seen:
    seen = Seen()
    with contextlib.suppress(av.error.OSError):  # how RTMP ends
        for frame in container.decode(container.streams.video[0], container.streams.audio[0]):
            if isinstance(frame, av.VideoFrame):
                seen.pictures.append(frame.time)
                if frame.to_ndarray(format="gray").mean() > 130:
                    seen.bright.append(frame.time)
            elif np.abs(frame.to_ndarray()).max() > 0.2:
                seen.loud.append(frame.time)
    return seen


def assert_together(seen: Seen) -> None:
    """The mouth is open while something is heard, and only then."""
    for times_s in (seen.bright, seen.loud):
        assert times_s[-1] - times_s[0] == pytest.approx(SPEECH_S, abs=0.15)
    assert seen.bright[0] == pytest.approx(seen.loud[0], abs=0.08)
    assert seen.bright[-1] == pytest.approx(seen.loud[-1], abs=0.08)


def test_a_session_is_recorded_and_labeled(client: TestClient, service: Service, session: str) -> None:
    started = client.post(f"{session}/record")
    assert started.status_code == 201
    assert client.post(f"{session}/record").status_code == 409
    speak(client, session)
    recorded = client.post(f"{session}/record/stop").json()
    assert recorded["key"] == started.json()["recording"]
    assert (recorded["anchor"], recorded["missed_frames"]) == ("henrik", 0)
    assert client.post(f"{session}/record/stop").status_code == 404
    assert client.get("/api/recorded").json() == {"recordings": [recorded]}
    path = service.config.folder / "recorded" / recorded["key"] / "video.mp4"
    assert client.get(f"/api/recorded/{recorded['key']}/video").content == path.read_bytes()
    download = client.get(f"/api/recorded/{recorded['key']}/video?download").headers["content-disposition"]
    assert "attachment" in download and "henrik" in download
    assert read_source_type(path) == DIGITAL_SOURCE_TYPE
    assert "AI-generated" in read_tags(path)["comment"]
    with av.open(str(path)) as container:
        seen = watch(container)
    assert_together(seen)
    assert seen.pictures == pytest.approx(np.arange(len(seen.pictures)) / 25, abs=1e-4)
    assert len(seen.pictures) / 25 == pytest.approx(recorded["duration_s"])
    assert client.delete(f"/api/recorded/{recorded['key']}").status_code == 204
    assert client.get(f"/api/recorded/{recorded['key']}/video").status_code == 404


def test_audio_stays_with_the_pictures_where_some_are_lost(
    client: TestClient, service: Service, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode_some(target: Any, served: Any, ticks: Any) -> int:
        return encode(target, served, (tick for tick in ticks if tick.number % 10 not in (4, 5)))

    monkeypatch.setattr(session_recordings, "encode", encode_some)
    client.post(f"{session}/record")
    speak(client, session)
    recorded = client.post(f"{session}/record/stop").json()
    with av.open(str(service.config.folder / "recorded" / recorded["key"] / "video.mp4")) as container:
        seen = watch(container)
    assert np.diff(seen.pictures).max() == pytest.approx(3 / 25, abs=0.001)
    # Where there are pictures, the mouth is open while something is heard, to the end.
    for time_s in seen.pictures:
        if seen.loud[0] + 0.08 < time_s < seen.loud[-1] - 0.08 and time_s not in seen.bright:
            raise AssertionError(f"At {time_s} s something is heard, and the mouth is closed.")
    assert seen.bright[-1] == pytest.approx(seen.loud[-1], abs=0.15)


def test_the_end_of_a_session_completes_its_recording(client: TestClient, session: str) -> None:
    client.post(f"{session}/record")
    time.sleep(0.5)
    client.delete(session)
    (recorded,) = until(lambda: client.get("/api/recorded").json()["recordings"])
    assert recorded["duration_s"] > 0.3


def test_a_recording_that_nobody_stops_ends(client: TestClient, session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_recordings, "LONGEST_S", 0.4)
    client.post(f"{session}/record")
    (recorded,) = until(lambda: client.get("/api/recorded").json()["recordings"])
    assert recorded["duration_s"] == pytest.approx(0.4)
    assert client.post(f"{session}/record").status_code == 201


def test_a_recording_that_cannot_be_written_says_so(client: TestClient, service: Service, session: str) -> None:
    key = client.post(f"{session}/record").json()["recording"]
    client.post(f"{session}/record/stop")
    folder = service.config.folder / "recorded"
    assert not (folder / key).exists() or (folder / key / "about.json").exists()
    for one in folder.iterdir():
        one.rename(folder.parent / "elsewhere")
    folder.rmdir()
    folder.write_text("a file where a folder should be")
    answer = client.post(f"{session}/record")
    assert answer.status_code == 422
    assert str(service.config.folder) not in answer.json()["error"]


@pytest.mark.parametrize("key", ["0123456789abcdef", "..", "%2e%2e%2fjobs", "x"])
def test_other_files_are_no_recordings(key: str, client: TestClient) -> None:
    assert client.get(f"/api/recorded/{key}/video").status_code == 404
    assert client.delete(f"/api/recorded/{key}").status_code in (404, 405)


def test_livetalking_records(client: TestClient, session: str) -> None:
    number = int(session.rsplit("/", 1)[1])
    assert client.post("/record", json={"sessionid": number, "type": "start_record"}).json()["code"] == 0
    time.sleep(0.3)
    ended = client.post("/record", json={"sessionid": number, "type": "end_record"}).json()
    assert (ended["code"], ended["msg"]) == (0, "ok")
    assert client.get(f"/api/recorded/{ended['data']['recording']}/video").status_code == 200
    for body in ({"type": "end_record"}, {"type": "pause"}, {}):
        assert client.post("/record", json={"sessionid": number, **body}).json()["code"] == -1


def test_hls_is_encoded_once_for_all_viewers(client: TestClient, service: Service, session: str) -> None:
    playlist = client.get(f"{session}/hls/live.m3u8")
    assert playlist.headers["content-type"] == "application/vnd.apple.mpegurl"
    speak(client, session)
    names = until(
        lambda: len(found := re.findall(r"segment\d+\.m4s", client.get(f"{session}/hls/live.m3u8").text)) > 1 and found
    )
    assert 'URI="init.mp4"' in playlist.text
    whole = b"".join(client.get(f"{session}/hls/{name}").content for name in ("init.mp4", *names))
    path = service.config.folder / "whole.mp4"
    path.write_bytes(whole)
    with av.open(str(path)) as container:
        assert "AI-generated" in str(container.metadata)
        seen = watch(container)
    assert_together(seen)
    assert len(seen.pictures) >= 90
    hls = [thread for thread in threading.enumerate() if thread.name == "talkinghead-hls"]
    assert len(hls) == 1
    for name in ("../../jobs", "..%2f..%2fwhole.mp4", "segment999.m4s", "live.m3u8.tmp"):
        assert client.get(f"{session}/hls/{name}").status_code == 404


def test_hls_ends_when_nobody_asks(
    client: TestClient, service: Service, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get(f"{session}/hls/live.m3u8").status_code == 200
    monkeypatch.setattr(broadcasts, "UNUSED_S", 0.1)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "talkinghead-hls"])
    assert not list(service.temporary().glob("hls-*"))
    assert client.get(session).status_code == 200
    assert client.get(f"{session}/hls/segment0.m4s").status_code == 404


def test_a_session_is_pushed_to_the_operators_server(client: TestClient, session: str, rtmp_port: int) -> None:
    received: list[Seen] = []

    def receive() -> None:
        with av.open(f"rtmp://127.0.0.1:{rtmp_port}/live/{KEY_OF_OPERATOR}", options={"listen": "1"}) as container:
            received.append(watch(container))

    server = threading.Thread(target=receive)
    server.start()
    time.sleep(0.3)
    assert client.post(f"{session}/push").status_code == 202
    assert client.post(f"{session}/push").status_code == 409
    time.sleep(0.5)
    speak(client, session)
    assert client.get(f"{session}/push").json() == {"is_pushed": True, "failure": ""}
    assert client.post(f"{session}/push/stop").json() == {"is_pushed": False}
    server.join(20)
    assert_together(received[0])
    assert client.post(f"{session}/push/stop").status_code == 404


def test_a_push_that_fails_does_not_tell_the_key(client: TestClient, session: str) -> None:
    assert client.post(f"{session}/push", json={"address": "rtmp://evil.example.org/x"}).status_code == 202
    state = until(lambda: (found := client.get(f"{session}/push").json())["failure"] and found)
    assert not state["is_pushed"]
    assert "RTMP" in state["failure"] and KEY_OF_OPERATOR not in state["failure"]
    stopped = client.post(f"{session}/push/stop")
    assert stopped.status_code == 422 and KEY_OF_OPERATOR not in stopped.text


def test_clients_do_not_choose_where_a_session_is_pushed(tmp_path: Path) -> None:
    service = drawn_service(ServerConfig(folder=tmp_path / "studio"), BigPerformer())
    with TestClient(make_app(service.config, service), base_url=BASE) as client:
        number = client.post("/api/sessions", json={}).json()["session"]
        answer = client.post(f"/api/sessions/{number}/push", json={"address": "rtmp://127.0.0.1/a/b"})
        assert answer.status_code == 422
        assert "--push-file" in answer.json()["error"]


@pytest.mark.parametrize("line", ["", "http://example.org/a", "rtmp://example.org", "/etc/passwd", "file:/etc/passwd"])
def test_what_is_no_rtmp_address_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "push").write_text(f"{line}\n")
    with pytest.raises(OptionError, match="no address"):
        ServerConfig(push_file=tmp_path / "push").push_address()
    with pytest.raises(OptionError, match="cannot be read"):
        ServerConfig(push_file=tmp_path / "missing").push_address()
