"""A WebSocket for voice agents that speak the events of OpenAI's Realtime API.

An agent forwards the events of its model: `response.output_audio.delta` (PCM of 24 kHz in base64) is spoken,
`response.output_audio.done` ends the utterance, `input_audio_buffer.speech_started` interrupts it. To an interrupt the
answer is `conversation.item.truncate`, with the time in `audio_end_ms` up to which the item was heard, which the agent
hands back to its model.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from talkinghead.errors import TalkingHeadError
from talkinghead.server.sessions import ServedSession
from talkinghead.server.websocket import accepted, pcm

if TYPE_CHECKING:
    from talkinghead.server.service import Service

RATE_HZ = 24_000
"""Of the audio in these events."""
KEPT_ITEMS = 128
"""Items that are remembered, more than can wait to be spoken."""


def routes(service: Service) -> list[BaseRoute]:
    """The WebSocket of a session."""

    async def connect(socket: WebSocket) -> None:
        served = await accepted(service, socket)
        if served is None:
            return
        service.sessions.connect(served)
        agent = Agent(served)
        try:
            while True:
                answer = agent.take(await socket.receive_text())
                if answer is not None:
                    await socket.send_json(answer)
        except (WebSocketDisconnect, KeyError):  # it is over, or sends what is no text
            pass
        finally:
            served.session.end()
            service.sessions.disconnect(served)

    return [WebSocketRoute("/api/sessions/{number}/realtime", connect)]


class Agent:
    """What is known of an agent's items: which of them an utterance is."""

    def __init__(self, served: ServedSession) -> None:
        self._session = served.session
        self._items: dict[int, tuple[str, int]] = {}

    def take(self, message: str) -> dict[str, Any] | None:
        """Take an event, as JSON, and give what is answered; events of other types are passed over."""
        try:
            event = json.loads(message)
            kind = event["type"]
            if kind == "response.output_audio.delta":
                self._speak(event)
            elif kind == "response.output_audio.done":
                self._session.end()
            elif kind == "input_audio_buffer.speech_started":
                return self._truncate()
        except (TalkingHeadError, ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
            return {"type": "error", "error": {"type": "invalid_request_error", "message": str(error)[:300]}}
        return None

    def _speak(self, event: dict[str, Any]) -> None:
        samples = pcm(base64.b64decode(event["delta"], validate=True))
        utterance = self._session.push(samples, RATE_HZ)
        self._items.setdefault(utterance, (str(event.get("item_id", "")), int(event.get("content_index", 0))))
        while len(self._items) > KEPT_ITEMS:
            del self._items[min(self._items)]

    def _truncate(self) -> dict[str, Any] | None:
        """Interrupt; what the model has to know, where something was heard."""
        played = self._session.interrupt()
        item = self._items.get(played.utterance)
        self._items.clear()
        if item is None:
            return None
        end_ms = round(played.position_s * 1000)
        return {
            "type": "conversation.item.truncate",
            "item_id": item[0],
            "content_index": item[1],
            "audio_end_ms": end_ms,
        }
