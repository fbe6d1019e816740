"""The programming interface of recordings of live sessions."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

if TYPE_CHECKING:
    from talkinghead.server.service import Service


def routes(service: Service) -> list[BaseRoute]:
    """The routes of recordings."""
    recordings = service.recordings

    async def start(request: Request) -> Response:
        served = service.sessions.find(request.path_params["number"])
        return JSONResponse({"recording": await run_in_threadpool(recordings.start, served)}, 201)

    async def stop(request: Request) -> Response:
        served = service.sessions.find(request.path_params["number"])
        return JSONResponse(asdict(await run_in_threadpool(recordings.stop, served)))

    async def list_all(request: Request) -> Response:
        return JSONResponse({"recordings": [asdict(one) for one in await run_in_threadpool(recordings.all)]})

    async def video(request: Request) -> Response:
        path = recordings.path(recording := recordings.find(request.path_params["key"]))
        if not path.is_file():
            raise HTTPException(404, "The video of the recording is gone.")
        name = f"{recording.anchor} {time.strftime('%Y-%m-%d %H.%M.%S', time.localtime(recording.created_s))}.mp4"
        kind = "attachment" if "download" in request.query_params else "inline"
        return FileResponse(path, media_type="video/mp4", filename=name, content_disposition_type=kind)

    async def remove(request: Request) -> Response:
        await run_in_threadpool(recordings.remove, recordings.find(request.path_params["key"]))
        return Response(status_code=204)

    return [
        Route("/api/sessions/{number}/record", start, methods=["POST"]),
        Route("/api/sessions/{number}/record/stop", stop, methods=["POST"]),
        Route("/api/recorded", list_all, methods=["GET"]),
        Route("/api/recorded/{key}", remove, methods=["DELETE"]),
        Route("/api/recorded/{key}/video", video, methods=["GET"]),
    ]
