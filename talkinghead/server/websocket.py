"""Live sessions over a WebSocket: commands and PCM in, events out.

In, as JSON: {"type": "say", "text": ..., "voice": ...}; {"type": "audio", "rate": 24000}, then PCM as binary messages
(16 bit, little-endian, mono), then {"type": "end"}; {"type": "interrupt"}.
Out, as JSON: {"type": "speaking" | "silence" | "error", "utterance": N, ...}; {"type": "position", "utterance": N,
"position_s": S} while somebody speaks; {"type": "interrupted", "utterance": N, "position_s": S}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio
import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from talkinghead.errors import TalkingHeadError
from talkinghead.live.ticks import Tick
from talkinghead.server.answers import field
from talkinghead.server.player import Subscription
from talkinghead.server.sessions import ServedSession
from talkinghead.server.texts import script_of
from talkinghead.structures import FloatArray

if TYPE_CHECKING:
    from talkinghead.server.service import Service

POSITION_S = 0.2
"""How often the position is told, seconds."""
DEFAULT_RATE_HZ = 24_000

Handler = Callable[[dict[str, Any]], Awaitable[None]]


def routes(service: Service) -> list[BaseRoute]:
    """The WebSocket of a session."""

    async def connect(socket: WebSocket) -> None:
        served = await accepted(service, socket)
        if served is not None:
            await SocketPeer(service, served, socket).run()

    return [WebSocketRoute("/api/sessions/{number}/socket", connect)]


async def accepted(service: Service, socket: WebSocket) -> ServedSession | None:
    """The session that a client asks for, which is let in; None where there is none, and it is turned away."""
    try:
        served = service.sessions.find(socket.path_params["number"])
    except TalkingHeadError:
        await socket.close(4404, "There is no such session.")
        return None
    await socket.accept()
    return served


def pcm(message: bytes) -> FloatArray:
    """Samples of a binary message, (N,) float32 in [-1, 1].

    Raises:
        ValueError: it is no whole number of samples.
    """
    if len(message) % 2:
        raise ValueError("PCM is 16 bit: a message has a whole number of samples.")
    return np.frombuffer(message, "<i2").astype(np.float32) / np.float32(32768)


class SocketPeer:
    """One client of a session, until either goes away."""

    def __init__(self, service: Service, served: ServedSession, socket: WebSocket) -> None:
        self._service, self._served, self._socket = service, served, socket
        self._rate_hz = DEFAULT_RATE_HZ
        self._handlers: dict[str, Handler] = {
            "say": self._say,
            "audio": self._audio,
            "end": self._end,
            "interrupt": self._interrupt,
        }

    async def run(self) -> None:
        """Serve the client."""
        self._service.sessions.connect(self._served)
        subscription = self._served.player.subscribe()
        try:
            async with anyio.create_task_group() as group:

                async def until_over(work: Awaitable[None]) -> None:
                    # The client may go away while something is sent to it.
                    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                        await work
                    group.cancel_scope.cancel()

                group.start_soon(until_over, self._tell(subscription))
                await until_over(self._listen())
        finally:
            self._served.player.unsubscribe(subscription)
            self._served.session.end()
            self._service.sessions.disconnect(self._served)

    async def _tell(self, subscription: Subscription) -> None:
        told_s = 0.0
        while (tick := await subscription.ticks.get()) is not None:
            for message in messages(tick):
                await self._socket.send_json(message)
            now_s = asyncio.get_running_loop().time()
            if tick.is_speaking and now_s - told_s >= POSITION_S:
                told_s = now_s
                await self._socket.send_json(_position("position", tick.utterance, tick.position_s))
        await self._socket.close(1001, "The session has ended.")

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                if (data := message.get("bytes")) is not None:
                    self._served.session.push(pcm(data), self._rate_hz)
                else:
                    await self._command(message.get("text") or "")
            except HTTPException as error:
                await self._socket.send_json({"type": "error", "utterance": 0, "message": error.detail})
            except (TalkingHeadError, ValueError) as error:
                await self._socket.send_json({"type": "error", "utterance": 0, "message": str(error)})

    async def _command(self, text: str) -> None:
        try:
            body = json.loads(text)
            handler = self._handlers[body["type"]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"A message is JSON with a type of {', '.join(self._handlers)}, or PCM.") from error
        await handler(body)

    async def _say(self, body: dict[str, Any]) -> None:
        script = script_of(body)
        await run_in_threadpool(script.describe)  # an unknown voice is refused now
        self._served.session.say(script)

    async def _audio(self, body: dict[str, Any]) -> None:
        self._served.session.end()
        self._rate_hz = field(body, "rate", int, DEFAULT_RATE_HZ)

    async def _end(self, body: dict[str, Any]) -> None:
        self._served.session.end()

    async def _interrupt(self, body: dict[str, Any]) -> None:
        played = self._served.session.interrupt()
        await self._socket.send_json(_position("interrupted", played.utterance, played.position_s))


def messages(tick: Tick) -> list[dict[str, Any]]:
    """What a client is told with a tick."""
    return [
        {"type": event.kind, "utterance": event.utterance, **({"message": event.message} if event.message else {})}
        for event in tick.events
    ]


def _position(kind: str, utterance: int, position_s: float) -> dict[str, Any]:
    return {"type": kind, "utterance": utterance, "position_s": round(position_s, 4)}
