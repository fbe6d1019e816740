"""Several servers behind one proxy: new sessions go where there is room, what belongs to a session to its server."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import uvicorn
from drawn_performer import BigPerformer
from live_peers import Watcher
from served import drawn_service
from serving import request
from sticky_proxy import StickyProxy
from websockets.sync.client import connect

from talkinghead.errors import OptionError
from talkinghead.server.app import make_app
from talkinghead.server.config import ServerConfig


@contextmanager
def running(config: ServerConfig) -> Iterator[int]:
    """A server in a thread, two sessions of which fit; gives its port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        app = make_app(config, drawn_service(config, BigPerformer()))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="websockets-sansio"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a proxy before two servers."""
    with ExitStack() as stack:
        configs = [ServerConfig(folder=tmp_path / f"{number}", worker=number) for number in (0, 1)]
        proxy = StickyProxy([stack.enter_context(running(config)) for config in configs])
        stack.callback(proxy.close)
        yield f"http://127.0.0.1:{proxy.port}"


def test_sessions_are_spread_and_found_again(address: str) -> None:
    answers = [request(f"{address}/api/sessions", {}) for _ in range(5)]
    assert Counter(answer.status for answer in answers) == {201: 4, 429: 1}
    opened = [answer.json()["session"] for answer in answers if answer.status == 201]
    assert Counter(number[-2:] for number in opened) == {"00": 2, "01": 2}
    for number in opened:
        assert request(f"{address}/api/sessions/{number}").json()["session"] == number
    for number in opened:
        with connect(f"{address.replace('http', 'ws')}/api/sessions/{number}/socket") as events:
            assert request(f"{address}/api/sessions/{number}/say", {"text": "Good evening."}).status == 202
            while json.loads(events.recv(20))["type"] != "silence":
                pass
    # Where one has ended, there is room again, whichever worker's turn it is.
    request(f"{address}/api/sessions/{opened[1]}", method="DELETE")
    assert request(f"{address}/api/sessions", {}).json()["session"][-2:] == opened[1][-2:]
    assert request(f"{address}/api/sessions", {}).status == 429
    assert request(f"{address}/health").status == 200


def test_pictures_come_past_the_proxy(address: str) -> None:
    async def watch() -> None:
        for _ in range(2):
            session = (await asyncio.to_thread(request, f"{address}/api/sessions", {})).json()["session"]
            watcher = Watcher(address, session)
            assert (await watcher.connect()).status == 200
            await watcher.first_picture()
            await watcher.close()

    asyncio.run(watch())


@pytest.mark.parametrize("worker", [-1, 100])
def test_a_worker_has_two_digits(worker: int) -> None:
    with pytest.raises(OptionError, match="worker"):
        ServerConfig(worker=worker)
