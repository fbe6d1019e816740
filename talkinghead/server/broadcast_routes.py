"""The programming interface of broadcasts of live sessions."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from talkinghead.server.broadcasts import FILE, PLAYLIST

if TYPE_CHECKING:
    from talkinghead.server.service import Service

FIRST_SEGMENT_S = 20.0
"""How long the first viewer waits for the first segment at most, seconds."""
MEDIA_TYPES = {".m3u8": "application/vnd.apple.mpegurl", ".mp4": "video/mp4", ".m4s": "video/iso.segment"}


def routes(service: Service) -> list[BaseRoute]:
    """The routes of broadcasts."""
    broadcasts = service.broadcasts

    async def hls(request: Request) -> Response:
        served, name = service.sessions.find(request.path_params["number"]), request.path_params["file"]
        if FILE.fullmatch(name) is None:
            raise HTTPException(404, f"There is no such file; begin with {PLAYLIST}.")
        broadcast = await run_in_threadpool(broadcasts.hls, served)
        end_s = time.monotonic() + FIRST_SEGMENT_S
        while (path := broadcast.file(name)) is None and name == PLAYLIST and not broadcast.tap.is_over:
            if time.monotonic() > end_s or await request.is_disconnected():
                break
            await asyncio.sleep(0.1)
        if path is None:
            raise HTTPException(404, broadcast.tap.failure or "The file is not there, or no more.")
        # A segment's name is not used again while its broadcast lasts; the playlist changes with each of them.
        return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers={"cache-control": "no-cache"})

    async def push(request: Request) -> Response:
        served = service.sessions.find(request.path_params["number"])
        await run_in_threadpool(broadcasts.push, served)
        return JSONResponse({"is_pushed": True}, 202)

    async def push_state(request: Request) -> Response:
        is_pushed, failure = broadcasts.push_state(service.sessions.find(request.path_params["number"]))
        return JSONResponse({"is_pushed": is_pushed, "failure": failure})

    async def stop_push(request: Request) -> Response:
        served = service.sessions.find(request.path_params["number"])
        await run_in_threadpool(broadcasts.stop_push, served)
        return JSONResponse({"is_pushed": False})

    one = "/api/sessions/{number}"
    return [
        Route(f"{one}/hls/{{file}}", hls, methods=["GET"]),
        Route(f"{one}/push", push, methods=["POST"]),
        Route(f"{one}/push", push_state, methods=["GET"]),
        Route(f"{one}/push/stop", stop_push, methods=["POST"]),
    ]
