"""The programming interface of live sessions: opening, speaking, interrupting, and watching them by WebRTC."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from talkinghead.anchor import anchor_voice
from talkinghead.generation.output_options import Color
from talkinghead.server.answers import field, read_json
from talkinghead.server.config import opaque_background
from talkinghead.server.sessions import ServedSession
from talkinghead.server.texts import script_of
from talkinghead.server.uploads import receive_body
from talkinghead.weights.bundled import DEFAULT_ANCHOR

if TYPE_CHECKING:
    from talkinghead.server.service import Service


def routes(service: Service) -> list[BaseRoute]:
    """The routes below /api/sessions."""

    def found(request: Request) -> ServedSession:
        return service.sessions.find(request.path_params["number"])

    async def open_session(request: Request) -> Response:
        body = await read_json(request)
        anchor = field(body, "anchor", str, DEFAULT_ANCHOR)
        served = await run_in_threadpool(service.sessions.open, anchor, service.behind(_color(body)))
        return JSONResponse(describe(service, served), 201)

    async def show(request: Request) -> Response:
        return JSONResponse(describe(service, found(request)))

    async def say(request: Request) -> Response:
        served, body = found(request), await read_json(request)
        script = script_of(body, voice=anchor_voice(service.anchors.path(served.anchor)))
        await run_in_threadpool(script.describe)  # an unknown voice is refused now
        if field(body, "interrupt", bool, False):
            served.session.interrupt()
        return JSONResponse({"utterance": served.session.say(script)}, 202)

    async def play(request: Request) -> Response:
        served = found(request)
        folder = Path(tempfile.mkdtemp(prefix="speech-", dir=service.temporary()))
        path = await receive_body(request, folder / "speech", service.config.most_upload_mb)
        number = served.session.play(path, then=lambda: shutil.rmtree(folder, ignore_errors=True))
        return JSONResponse({"utterance": number}, 202)

    async def interrupt(request: Request) -> Response:
        played = found(request).session.interrupt()
        return JSONResponse({"utterance": played.utterance, "position_s": round(played.position_s, 4)})

    async def close(request: Request) -> Response:
        await run_in_threadpool(service.sessions.close, found(request))
        return Response(status_code=204)

    async def offer(request: Request) -> Response:
        served, body = found(request), await read_json(request)
        sdp = await service.connect(served, field(body, "sdp", str), field(body, "codec", str, "VP8"))
        return JSONResponse({"sdp": sdp, "type": "answer"})

    one = "/api/sessions/{number}"
    return [
        Route("/api/sessions", open_session, methods=["POST"]),
        Route(one, show, methods=["GET"]),
        Route(one, close, methods=["DELETE"]),
        Route(f"{one}/close", close, methods=["POST"]),  # a page that is left can only post
        Route(f"{one}/say", say, methods=["POST"]),
        Route(f"{one}/audio", play, methods=["POST"]),
        Route(f"{one}/interrupt", interrupt, methods=["POST"]),
        Route(f"{one}/offer", offer, methods=["POST"]),
    ]


def _color(body: dict[str, Any]) -> Color | None:
    """The color that a client wants behind the anchor; None where it names none.

    Raises:
        ValueError, OptionError: it is none; a client names no files.
    """
    text = field(body, "background", str, "")
    if not text:
        return None
    named = opaque_background(text)
    if not isinstance(named, tuple):
        raise ValueError("The background of a session is a color, such as #00b140.")
    return named


def describe(service: Service, served: ServedSession) -> dict[str, object]:
    """A session, for clients."""
    session, player = served.session, served.player
    return {
        "session": str(served.number),
        "anchor": served.anchor,
        "width": session.width,
        "height": session.height,
        "frame_rate": float(session.frame_rate),
        "is_speaking": session.is_speaking,
        "utterance": player.utterance,
        "position_s": round(player.position_s, 4),
        "late_ticks": player.late_ticks,
        "connections": served.connections,
        "is_recording": service.recordings.is_running(served),
        "can_push": service.config.push_file is not None,
    }
