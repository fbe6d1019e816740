"""The interface of LiveTalking, so that its clients work unchanged.

`/offer`, `/human`, `/humanaudio`, `/interrupt_talk`, `/is_speaking`, `/record`, with its requests and
answers: JSON with `code` 0 where all is well, -1 with a `msg` where not. There is no language model here: a text of
type "chat" is refused.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from talkinghead.anchor import anchor_voice
from talkinghead.errors import TalkingHeadError
from talkinghead.server.answers import field, read_json
from talkinghead.server.texts import script_of
from talkinghead.server.uploads import MEGABYTE
from talkinghead.weights.bundled import DEFAULT_ANCHOR

if TYPE_CHECKING:
    from talkinghead.server.service import Service

Endpoint = Callable[[Request], Awaitable[dict[str, Any]]]


def routes(service: Service) -> list[BaseRoute]:
    """The routes, at the top of the server."""

    async def offer(request: Request) -> dict[str, Any]:
        body = await read_json(request)
        sdp = field(body, "sdp", str)
        anchor = field(body, "avatar", str, DEFAULT_ANCHOR)
        served = await run_in_threadpool(service.sessions.open, anchor, service.behind())
        try:
            answer = await service.connect(served, sdp, "VP8")
        except BaseException:
            await run_in_threadpool(service.sessions.close, served)
            raise
        return {"sdp": answer, "type": "answer", "sessionid": served.number}

    async def human(request: Request) -> dict[str, Any]:
        body = await read_json(request)
        served = service.sessions.find(_number(body))
        if field(body, "type", str, "echo") != "echo":
            raise ValueError("There is no language model here; send what it says with type echo.")
        script = script_of(body, "", voice=anchor_voice(service.anchors.path(served.anchor)))
        await run_in_threadpool(script.describe)
        if body.get("interrupt"):
            served.session.interrupt()
        if script.text.strip():
            served.session.say(script)
        return {"msg": "ok"}

    async def human_audio(request: Request) -> dict[str, Any]:
        most = service.config.most_upload_mb * MEGABYTE
        if int(request.headers.get("content-length", "0") or 0) > most:
            raise HTTPException(413, f"A file has at most {service.config.most_upload_mb} MB.")
        async with request.form(max_files=1, max_fields=8) as form:
            served = service.sessions.find(str(form.get("sessionid", "0")))
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise ValueError("The field 'file' is missing.")
            folder = Path(tempfile.mkdtemp(prefix="speech-", dir=service.temporary()))
            await run_in_threadpool(_write, file, folder / "speech", most)
        served.session.play(folder / "speech", then=lambda: shutil.rmtree(folder, ignore_errors=True))
        return {"msg": "ok"}

    async def interrupt_talk(request: Request) -> dict[str, Any]:
        service.sessions.find(_number(await read_json(request))).session.interrupt()
        return {"msg": "ok"}

    async def is_speaking(request: Request) -> dict[str, Any]:
        served = service.sessions.find(_number(await read_json(request)))
        return {"msg": "ok", "data": served.session.is_speaking}

    endpoints = {
        "/offer": offer,
        "/human": human,
        "/humanaudio": human_audio,
        "/interrupt_talk": interrupt_talk,
        "/is_speaking": is_speaking,
        "/record": _record(service),
    }
    return [Route(path, _answered(endpoint), methods=["POST"]) for path, endpoint in endpoints.items()]


def _record(service: Service) -> Endpoint:
    async def record(request: Request) -> dict[str, Any]:
        body = await read_json(request)
        served, kind = service.sessions.find(_number(body)), field(body, "type", str)
        if kind == "start_record":
            return {"msg": "ok", "data": {"recording": await run_in_threadpool(service.recordings.start, served)}}
        if kind != "end_record":
            raise ValueError("The type is start_record or end_record.")
        recorded = await run_in_threadpool(service.recordings.stop, served)
        return {"msg": "ok", "data": {"recording": recorded.key, "duration_s": recorded.duration_s}}

    return record


def _number(body: dict[str, Any]) -> str:
    return str(body.get("sessionid", "0"))


def _write(file: UploadFile, path: Path, most: int) -> None:
    size = 0
    with path.open("xb") as written:
        while block := file.file.read(1 << 20):
            size += len(block)
            if size > most:
                raise ValueError(f"A file has at most {most // MEGABYTE} MB.")
            written.write(block)


def _answered(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint whose failures are told as LiveTalking tells them: with status 200."""

    async def answer(request: Request) -> Response:
        try:
            return JSONResponse({"code": 0, **await endpoint(request)})
        except HTTPException as error:
            return JSONResponse({"code": -1, "msg": error.detail})
        except (TalkingHeadError, ValueError) as error:
            return JSONResponse({"code": -1, "msg": str(error)})

    return answer
