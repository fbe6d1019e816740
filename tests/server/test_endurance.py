"""Peers that come and go, that vanish, that interrupt, many clients at once: in small; benchmarks/live.py has it at
length, with the memory that it takes."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from aiortc import RTCPeerConnection
from drawn_performer import BigPerformer
from live_endurance import lip_offsets
from live_peers import LOUD, Watcher
from served import drawn_service
from serving import request

from talkinghead.server import service as service_module
from talkinghead.server import webrtc
from talkinghead.server.app import make_app
from talkinghead.server.config import ServerConfig
from talkinghead.server.service import Service
from talkinghead.server.webrtc import Connection


@pytest.fixture(autouse=True)
def tidy_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "TIDY_EVERY_S", 0.2)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return drawn_service(ServerConfig(folder=tmp_path / "studio"), BigPerformer())


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    """Of a server in a thread."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        app = make_app(service.config, service)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="websockets-sansio"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def until_none(wanted: weakref.WeakSet[Connection] | None, service: Service, most_s: float = 20.0) -> None:
    """Wait until nobody is connected, and no connection is in memory."""
    end_s = time.monotonic() + most_s
    while time.monotonic() < end_s:
        gc.collect()
        service._forget_closed()
        if not service._connections and not wanted:
            return
        time.sleep(0.05)
    raise AssertionError(f"{len(service._connections)} connections are left, {len(wanted or ())} in memory.")


def test_nothing_is_left_of_peers_that_come_and_go(
    address: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: weakref.WeakSet[Connection] = weakref.WeakSet()
    peers: weakref.WeakSet[RTCPeerConnection] = weakref.WeakSet()
    begin = Connection.__init__

    def noted(self: Connection, *arguments: object) -> None:
        begin(self, *arguments)  # type: ignore[arg-type]
        made.add(self)
        peers.add(self._peer)

    monkeypatch.setattr(Connection, "__init__", noted)

    async def run() -> None:
        for number in range(6):
            session = (await asyncio.to_thread(request, f"{address}/api/sessions", {})).json()["session"]
            watcher = Watcher(address, session)
            await watcher.connect()
            await watcher.first_picture()
            if number % 2:  # either side may be the first to go
                await watcher.close()
            await asyncio.to_thread(request, f"{address}/api/sessions/{session}", None, "DELETE")
            await watcher.close()

    threads = threading.active_count()
    asyncio.run(run())
    until_none(made, service)
    assert not peers
    assert len(service.sessions) == 0
    assert not [one.name for one in threading.enumerate() if one.name.startswith("talkinghead-live")]
    assert threading.active_count() < threads + 40  # those that a pool keeps


def test_offers_that_nobody_goes_on_with_are_given_up(
    address: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webrtc, "GONE_S", 1.0)

    async def offer() -> str:
        session = str((await asyncio.to_thread(request, f"{address}/api/sessions", {})).json()["session"])
        for _ in range(3):
            watcher = Watcher(address, session)
            assert (await watcher.connect()).status == 200
            await watcher.close()
        return session

    session = asyncio.run(offer())
    until_none(None, service)
    end_s = time.monotonic() + 20
    while request(f"{address}/api/sessions/{session}").json()["connections"]:
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_requests_that_break_off_are_no_fault(address: str, caplog: pytest.LogCaptureFixture) -> None:
    port = int(address.rpartition(":")[2])
    with caplog.at_level(logging.ERROR):
        for path in ("/api/sessions", "/api/uploads/recordings", "/human"):
            with socket.create_connection(("127.0.0.1", port)) as broken:
                head = (
                    f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-file-name: a.wav\r\ncontent-length: 100\r\n"
                )
                broken.sendall(f"{head}\r\n{{".encode())
                assert request(f"{address}/health").status == 200
        time.sleep(0.3)
        assert request(f"{address}/health").status == 200
    assert not caplog.records


def test_a_session_that_nobody_is_connected_to_ends_by_itself(address: str, service: Service) -> None:
    session = request(f"{address}/api/sessions", {}).json()["session"]
    service.sessions.find(session).unused_since_s -= 61
    end_s = time.monotonic() + 20
    while request(f"{address}/api/sessions/{session}").status == 200:
        assert time.monotonic() < end_s
        time.sleep(0.1)


def test_many_clients_at_once_are_answered(address: str) -> None:
    session = request(f"{address}/api/sessions", {}).json()["session"]
    paths = ["/", "/health", "/api/anchors", f"/api/sessions/{session}", "/api/jobs", "/openapi.json"]

    def work(number: int) -> list[int]:
        asked = [request(address + paths[(number + place) % len(paths)]).status for place in range(4)]
        return [*asked, request(f"{address}/api/sessions", {}).status]

    with ThreadPoolExecutor(50) as pool:
        statuses = Counter(status for some in pool.map(work, range(50)) for status in some)
    assert statuses == {200: 200, 201: 1, 429: 49}


def test_interrupts_over_webrtc_leave_nothing_behind(address: str) -> None:
    async def run() -> tuple[int, float]:
        session = (await asyncio.to_thread(request, f"{address}/api/sessions", {})).json()["session"]
        path = f"{address}/api/sessions/{session}"
        watcher = Watcher(address, session, keep=True)
        await watcher.connect()
        await watcher.first_picture()
        heard = 0
        for _ in range(4):
            await asyncio.to_thread(request, f"{path}/say", {"text": "Good evening. " * 12})
            await watcher.until_sound(lambda level: level > LOUD)
            played = (await asyncio.to_thread(request, f"{path}/interrupt", None, "POST")).json()
            heard += played["utterance"] > 0
            await watcher.until_sound(lambda level: level < LOUD)
        await asyncio.sleep(1)
        begin_s = time.monotonic()
        await asyncio.sleep(0.5)
        await watcher.close()
        return heard, max(level for at_s, _, level in watcher.sounds if at_s > begin_s)

    heard, after = asyncio.run(run())
    assert heard == 4
    assert after < LOUD


def test_lips_stay_with_the_audio() -> None:
    found = lip_offsets(0.01, 6)
    assert len(found.offset_ms) > 10 and found.without_lips == 0
    # A frame lasts 40 ms and shows the mouth of its beginning.
    assert found.offset_ms.min() >= 0 and found.offset_ms.max() <= 40
    assert abs(np.mean(found.offset_ms[:5]) - np.mean(found.offset_ms[-5:])) < 1
    assert abs(found.clock_ms) < 0.1
