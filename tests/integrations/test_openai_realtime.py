"""The example for OpenAI's Realtime API, between a stub of the model and a real server with a drawn anchor."""

from __future__ import annotations

import argparse
import asyncio
import base64
import importlib.util
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aiortc", reason="needs talkinghead[serve]")

import uvicorn
from drawn_performer import DrawnPerformer
from served import TOKEN, drawn_service
from websockets.asyncio.server import ServerConnection, serve

from talkinghead.server.app import make_app
from talkinghead.server.config import ServerConfig

EXAMPLE = Path(__file__).parents[2] / "integrations" / "openai_realtime.py"
SPOKEN_S = 1.0


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("openai_realtime", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of a running server that asks for a token."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    config = ServerConfig(folder=tmp_path / "studio", token_file=tmp_path / "token")
    service = drawn_service(config, DrawnPerformer(most=3))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        running = uvicorn.Server(uvicorn.Config(make_app(config, service), log_level="error", ws="websockets-sansio"))
        thread = threading.Thread(target=running.run, args=([listening],))
        thread.start()
        yield address
        running.should_exit = True
        thread.join()


class Model:
    """A stub of the Realtime API: it says a second of a tone, and hears that it was interrupted."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []

    async def __call__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.headers = dict(connection.request.headers.raw_items())
        await self._say(connection, {"type": "session.created", "session": {}})
        await self._until(connection, lambda: self._heard_s() >= SPOKEN_S)
        tone = np.full(int(SPOKEN_S * 24_000), 8000, "<i2").tobytes()
        for begin in range(0, len(tone), 9600):
            delta = base64.b64encode(tone[begin : begin + 9600]).decode()
            item = {"response_id": "r", "item_id": "item_1", "output_index": 0, "content_index": 0}
            await self._say(connection, {"type": "response.output_audio.delta", "delta": delta, **item})
        await asyncio.sleep(0.6)  # so that some of it has been heard
        await self._say(connection, {"type": "error", "error": {"message": "just so"}})
        await self._say(connection, {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "u"})
        await self._until(connection, lambda: self.events[-1]["type"] == "conversation.item.truncate")

    async def _say(self, connection: ServerConnection, event: dict[str, Any]) -> None:
        await connection.send(json.dumps({"event_id": "e", **event}))

    async def _until(self, connection: ServerConnection, is_met: Callable[[], bool]) -> None:
        while not (self.events and is_met()):
            self.events.append(json.loads(await connection.recv()))

    def heard(self) -> bytes:
        audio = [event["audio"] for event in self.events if event["type"] == "input_audio_buffer.append"]
        return b"".join(base64.b64decode(part, validate=True) for part in audio)

    def _heard_s(self) -> float:
        return len(self.heard()) / 48_000


@pytest.fixture
def conversation(example: ModuleType, server: str, tmp_path: Path) -> tuple[Model, bytes]:
    """What the model was sent in a conversation, and what was said into the microphone."""
    model, said = Model(), np.random.default_rng(0).bytes(int(SPOKEN_S * 48_000) + 1)

    async def converse() -> None:
        async with serve(model, "127.0.0.1", 0) as listening:
            port = next(iter(listening.sockets)).getsockname()[1]
            options = argparse.Namespace(
                anchor="presenter",
                server=server,
                token_file=tmp_path / "token",
                model=f"ws://127.0.0.1:{port}/v1/realtime?model=gpt-realtime",
                instructions="Be brief.",
            )
            await asyncio.wait_for(example.converse(options, "a key", io.BytesIO(said)), 60)

    asyncio.run(converse())
    return model, said


def test_the_model_hears_the_microphone_and_what_of_its_answer_was_heard(
    conversation: tuple[Model, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    model, said = conversation
    assert model.headers["Authorization"] == "Bearer a key"
    assert model.events[0]["type"] == "session.update"
    assert model.events[0]["session"]["instructions"] == "Be brief."
    assert model.heard() == said[:-1]
    truncate = model.events[-1]
    assert truncate["item_id"] == "item_1" and truncate["content_index"] == 0
    assert 0 < truncate["audio_end_ms"] < SPOKEN_S * 1000
    assert {event["type"] for event in model.events} == {
        "session.update",
        "input_audio_buffer.append",
        "conversation.item.truncate",
    }


def test_events_are_those_of_the_openai_package(conversation: tuple[Model, bytes]) -> None:
    realtime = pytest.importorskip("openai.types.realtime", reason="the package openai is not installed")
    from pydantic import TypeAdapter

    for event in conversation[0].events:
        parsed = TypeAdapter(realtime.RealtimeClientEvent).validate_python(event)
        dumped = parsed.model_dump(exclude_unset=True)
        assert dumped == event and not parsed.model_extra


def test_without_a_key_it_says_where_to_put_it(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(SystemExit):
        example.main([])
    assert "environment variable OPENAI_API_KEY" in capsys.readouterr().err
