"""Live sessions over HTTP and WebSockets."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
import soundfile
from drawn_performer import DrawnPerformer
from served import WS
from starlette.testclient import TestClient, WebSocketTestSession

from talkinghead.server.service import Service


def opened(client: TestClient) -> dict[str, Any]:
    answer = client.post("/api/sessions", json={"anchor": "presenter"})
    assert answer.status_code == 201
    return dict(answer.json())


def wait_for(socket: WebSocketTestSession, kind: str) -> dict[str, Any]:
    for _ in range(200):
        message = dict(socket.receive_json())
        if message["type"] == kind:
            return message
    raise AssertionError(f"No message of type {kind}.")


def wav(duration_s: float = 0.6, rate_hz: int = 16_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(round(duration_s * rate_hz), 0.4, np.float32), rate_hz, format="WAV")
    return file.getvalue()


def test_a_session_is_opened_shown_and_closed(client: TestClient) -> None:
    session = opened(client)
    assert session["frame_rate"] == 25
    path = f"/api/sessions/{session['session']}"
    assert client.get(path).json()["is_speaking"] is False
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert "no live session" in client.get("/api/sessions/x").json()["error"]


def test_more_sessions_than_fit_are_refused(client: TestClient, performer: DrawnPerformer) -> None:
    first = [opened(client) for _ in range(performer.most)]
    refused = client.post("/api/sessions", json={})
    assert refused.status_code == 429
    client.delete(f"/api/sessions/{first[0]['session']}")
    opened(client)


def test_what_nobody_watches_is_closed(client: TestClient, service: Service) -> None:
    session = opened(client)
    service.sessions.find(session["session"]).unused_since_s -= 61
    service.sessions.close_unused()
    assert client.get(f"/api/sessions/{session['session']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"anchor": "nobody"}, 404),
        ({"anchor": 7}, 400),
        ({"anchor": "../../etc"}, 404),
        ([], 400),
    ],
)
def test_a_session_of_nobody_is_refused(body: object, status: int, client: TestClient) -> None:
    answer = client.post("/api/sessions", json=body)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    ("background", "reason"),
    [
        ("transparent", "cannot be transparent"),
        ("#12345", "is no color"),
        ("/etc/hostname", "is a color, such as"),
        (3, ""),
    ],
)
def test_a_client_may_name_a_color_and_nothing_else(background: object, reason: str, client: TestClient) -> None:
    answer = client.post("/api/sessions", json={"background": background})
    assert 400 <= answer.status_code < 500 and reason in answer.json()["error"]


def test_a_body_that_is_no_json_or_too_large_is_refused(client: TestClient) -> None:
    assert client.post("/api/sessions", content=b"{").status_code == 400
    assert client.post("/api/sessions", content=b"[" * 100_000).status_code == 400
    assert client.post("/api/sessions", content=b" " * 1_100_000).status_code == 413


def test_a_text_is_spoken_and_its_events_come(client: TestClient) -> None:
    session = opened(client)
    path = f"/api/sessions/{session['session']}"
    with client.websocket_connect(f"{WS}{path}/socket") as socket:
        assert client.post(f"{path}/say", json={"text": "Good evening."}).json() == {"utterance": 1}
        assert wait_for(socket, "speaking")["utterance"] == 1
        assert client.get(path).json()["is_speaking"] is True
        position = wait_for(socket, "position")
        assert position["utterance"] == 1
        assert wait_for(socket, "silence")["utterance"] == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "text"),
        ({"text": 1}, "text"),
        ({"text": "Hello.", "voice": "nobody"}, "no voice"),
        ({"text": "a" * 30_000}, "parts"),
    ],
)
def test_a_text_that_cannot_be_said_is_refused(body: dict[str, Any], message: str, client: TestClient) -> None:
    path = f"/api/sessions/{opened(client)['session']}/say"
    answer = client.post(path, json=body)
    assert 400 <= answer.status_code < 500
    assert message in answer.json()["error"]


def test_a_file_is_spoken_and_removed(client: TestClient, service: Service) -> None:
    path = f"/api/sessions/{opened(client)['session']}"
    with client.websocket_connect(f"{WS}{path}/socket") as socket:
        assert client.post(f"{path}/audio", content=wav()).json() == {"utterance": 1}
        wait_for(socket, "silence")
    assert not list(service.temporary().iterdir())


def test_a_file_that_is_no_audio_is_told(client: TestClient) -> None:
    path = f"/api/sessions/{opened(client)['session']}"
    with client.websocket_connect(f"{WS}{path}/socket") as socket:
        assert client.post(f"{path}/audio", content=b"not audio" * 99).status_code == 202
        assert wait_for(socket, "error")["utterance"] == 1
    assert client.post(f"{path}/audio", content=b"").status_code == 400


def test_pcm_is_spoken_and_interrupted(client: TestClient) -> None:
    path = f"/api/sessions/{opened(client)['session']}"
    block = np.full(2400, 8000, "<i2").tobytes()
    with client.websocket_connect(f"{WS}{path}/socket") as socket:
        socket.send_json({"type": "audio", "rate": 24_000})
        for _ in range(20):
            socket.send_bytes(block)
        assert wait_for(socket, "speaking")["utterance"] == 1
        wait_for(socket, "position")
        socket.send_json({"type": "interrupt"})
        played = wait_for(socket, "interrupted")
        assert played["utterance"] == 1
        assert 0 < played["position_s"] <= 2
        assert wait_for(socket, "silence")["utterance"] == 1
        assert client.get(path).json()["is_speaking"] is False
        socket.send_bytes(block)
        socket.send_json({"type": "end"})
        assert wait_for(socket, "speaking")["utterance"] == 2


@pytest.mark.parametrize(
    "message",
    ["", "{", "[]", '{"type": 3}', '{"type": "fly"}', '{"type": "say"}', '{"type": "audio", "rate": "x"}'],
)
def test_a_message_that_means_nothing_is_answered_with_an_error(message: str, client: TestClient) -> None:
    path = f"/api/sessions/{opened(client)['session']}"
    with client.websocket_connect(f"{WS}{path}/socket") as socket:
        socket.send_text(message)
        assert wait_for(socket, "error")["message"]
        socket.send_bytes(b"odd")
        assert "whole number" in wait_for(socket, "error")["message"]


def test_a_voice_agent_is_told_what_was_heard(client: TestClient) -> None:
    path = f"/api/sessions/{opened(client)['session']}"
    delta = base64.b64encode(np.full(24_000, 8000, "<i2").tobytes()).decode()
    with (
        client.websocket_connect(f"{WS}{path}/realtime") as agent,
        client.websocket_connect(f"{WS}{path}/socket") as watcher,
    ):
        event = {"type": "response.output_audio.delta", "item_id": "item_1", "content_index": 2, "delta": delta}
        agent.send_json({"type": "session.created"})
        agent.send_json(event)
        agent.send_json({"type": "response.output_audio.done"})
        wait_for(watcher, "position")
        agent.send_json({"type": "input_audio_buffer.speech_started"})
        answer = agent.receive_json()
        assert {**answer, "audio_end_ms": 0} == {
            "type": "conversation.item.truncate",
            "item_id": "item_1",
            "content_index": 2,
            "audio_end_ms": 0,
        }
        assert 0 < answer["audio_end_ms"] <= 1000
        wait_for(watcher, "silence")
        agent.send_json({"type": "response.output_audio.delta", "delta": "no base64"})
        assert agent.receive_json()["type"] == "error"
        agent.send_text("{")
        assert agent.receive_json()["type"] == "error"


def test_the_interface_of_livetalking(client: TestClient) -> None:
    number = int(opened(client)["session"])
    assert client.post("/is_speaking", json={"sessionid": number}).json() == {"code": 0, "msg": "ok", "data": False}
    text = {"sessionid": number, "type": "echo", "interrupt": True, "text": "Good evening, and welcome."}
    assert client.post("/human", json=text).json() == {"code": 0, "msg": "ok"}
    assert client.post("/is_speaking", json={"sessionid": number}).json()["data"] is True
    assert client.post("/interrupt_talk", json={"sessionid": number}).json() == {"code": 0, "msg": "ok"}
    assert client.post("/is_speaking", json={"sessionid": number}).json()["data"] is False
    answer = client.post("/humanaudio", data={"sessionid": number}, files={"file": ("../../a.wav", wav())})
    assert answer.json() == {"code": 0, "msg": "ok"}
    for path, body in (
        ("/human", {"sessionid": number, "type": "chat", "text": "Hello"}),
        ("/human", {"sessionid": 1, "type": "echo", "text": "Hello"}),
        ("/offer", {"sdp": "none", "type": "offer"}),
        ("/interrupt_talk", {"sessionid": "x"}),
    ):
        failed = client.post(path, json=body)
        assert failed.status_code == 200
        assert failed.json()["code"] == -1
        assert failed.json()["msg"]
    assert client.get(f"/api/sessions/{number}").status_code == 200
