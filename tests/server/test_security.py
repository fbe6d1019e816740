"""Who may ask for what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from served import BASE, TOKEN, WS
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from talkinghead.errors import OptionError
from talkinghead.server.config import ServerConfig, is_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("127.0.0.1", "::1", "[::1]", "localhost", "127.8.9.1")),
        *((host, False) for host in ("0.0.0.0", "::", "192.168.1.5", "example.org", "")),
    ],
)
def test_loopback_is_known(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_other_addresses_need_a_token(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--token-file"):
        ServerConfig(host="0.0.0.0")
    (tmp_path / "token").write_text("a token of many characters")
    assert ServerConfig(host="0.0.0.0", token_file=tmp_path / "token").token() == "a token of many characters"


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 40, "ж" * 40, b"with\x00control characters"])
def test_a_bad_token_file_is_refused(content: bytes | str, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(OptionError, match="token"):
        ServerConfig(token_file=tmp_path / "token").token()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"url": "x"}', '{"urls": 1}', '{"urls": "stun:x", "more": 1}', "[" * 9999]
)
def test_a_bad_ice_server_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--ice-server"):
        ServerConfig(ice_server=text)


def test_no_server_elsewhere_is_asked_unless_one_is_named() -> None:
    assert ServerConfig().ice_servers() == []
    named = ServerConfig(ice_server='{"urls": "turn:turn.example.org", "username": "u", "credential": "c"}')
    assert named.ice_servers() == [{"urls": "turn:turn.example.org", "username": "u", "credential": "c"}]


@pytest.mark.parametrize("path", ["/api/anchors", "/api/voices", "/api/sessions/1", "/offer", "/docs"])
def test_without_the_token_nothing_is_answered(path: str, guarded: Callable[[], TestClient]) -> None:
    client = guarded()
    for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": "talkinghead_token=wrong"}):
        assert client.get(path, headers=headers).status_code == 401
        assert client.post(path, headers=headers, json={}).status_code == 401
    assert client.get(f"{path}?token={TOKEN}").status_code == 401


def test_the_token_opens_in_a_header_or_by_the_page(guarded: Callable[[], TestClient]) -> None:
    client = guarded()
    assert client.get("/api/anchors", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    page = client.get("/", headers={"accept": "text/html"}, follow_redirects=False)
    assert (page.status_code, page.headers["location"]) == (303, "/login")
    assert "<form" in client.get("/login").text
    assert client.post("/login", data={"token": "wrong"}).status_code == 401
    entered = client.post("/login", data={"token": TOKEN}, follow_redirects=False)
    assert entered.status_code == 303
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/api/anchors").status_code == 200


def test_a_socket_needs_the_token(guarded: Callable[[], TestClient]) -> None:
    client = guarded()
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"{WS}/api/sessions/1/socket"):
        pass


@pytest.mark.parametrize("host", ["evil.example.org", "127.0.0.1.example.org", "", "[", "localhost.evil.org:8473"])
def test_other_names_of_the_server_are_refused(host: str, client: TestClient) -> None:
    assert client.get("/api/anchors", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8473", "127.0.0.1", "LOCALHOST", "[::1]:8473"])
def test_its_own_names_are_answered(host: str, client: TestClient) -> None:
    assert client.get("/api/anchors", headers={"host": host}).status_code == 200


def test_the_name_of_a_proxy_is_answered(guarded: Callable[[], TestClient]) -> None:
    headers = {"host": "studio.example.org", "authorization": f"Bearer {TOKEN}"}
    assert guarded().get("/api/anchors", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example.org"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    ],
)
def test_pages_of_other_origins_are_refused(headers: dict[str, str], client: TestClient) -> None:
    assert client.post("/api/sessions", json={"anchor": "presenter"}, headers=headers).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"{WS}/api/sessions/1/socket", headers=headers):
        pass


def test_the_own_page_and_a_link_from_elsewhere_are_answered(client: TestClient) -> None:
    own = {"origin": BASE, "sec-fetch-site": "same-origin"}
    assert client.get("/api/anchors", headers=own).status_code == 200
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/health", headers=link).status_code == 200


def test_nothing_may_be_loaded_from_elsewhere(client: TestClient) -> None:
    policy = client.get("/health").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
