"""The application of `talkinghead serve`, as an ASGI app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from talkinghead import __version__
from talkinghead.errors import TalkingHeadError
from talkinghead.server import (
    broadcast_routes,
    live,
    livetalking,
    login,
    openapi,
    realtime,
    recording_routes,
    studio,
    websocket,
)
from talkinghead.server.answers import answer_error, answer_http_error, answer_nobody
from talkinghead.server.config import ServerConfig
from talkinghead.server.security import Gate
from talkinghead.server.service import Service
from talkinghead.text_to_speech.registry import DEFAULT_VOICE, all_voices


def make_app(config: ServerConfig, service: Service | None = None) -> Starlette:
    """The application.

    Args:
        config: how it is reached.
        service: its state; None makes it.

    Raises:
        OptionError: the token file cannot be used.
    """
    shared = service or Service(config)
    if service is None:
        shared.warm()
    token = config.token()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tidying = asyncio.create_task(shared.keep_tidy())
        try:
            yield
        finally:
            tidying.cancel()
            await shared.close()

    return Starlette(
        routes=[
            *_common(shared),
            *login.routes(token),
            *live.routes(shared),
            *recording_routes.routes(shared),
            *broadcast_routes.routes(shared),
            *websocket.routes(shared),
            *realtime.routes(shared),
            *livetalking.routes(shared),
            *studio.routes(shared),
            *openapi.routes(),
        ],
        middleware=[Middleware(Gate, token=token, hosts=config.hosts())],
        exception_handlers={
            TalkingHeadError: answer_error,
            ValueError: answer_error,
            HTTPException: answer_http_error,
            ClientDisconnect: answer_nobody,
        },
        lifespan=lifespan,
    )


def _common(service: Service) -> list[BaseRoute]:
    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": __version__})

    async def anchors(request: Request) -> Response:
        return JSONResponse({"anchors": await run_in_threadpool(service.anchors.describe)})

    async def voices(request: Request) -> Response:
        return JSONResponse({"default": DEFAULT_VOICE, "voices": await run_in_threadpool(_voices)})

    async def ice_servers(request: Request) -> Response:
        return JSONResponse({"ice_servers": service.config.ice_servers()})

    return [
        Route("/health", health),
        Route("/api/anchors", anchors),
        Route("/api/voices", voices),
        Route("/api/ice-servers", ice_servers),
    ]


def _voices() -> list[dict[str, str]]:
    return [
        {"name": voice.name, "engine": engine.name, "language": voice.language, "description": voice.description}
        for engine, voice in all_voices()
    ]
