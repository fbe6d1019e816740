"""The programming interface of the studio: clips and recordings that are uploaded, jobs, and the page."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from talkinghead.locale.messages import translated_to
from talkinghead.matting.backgrounds import open_background
from talkinghead.media.audio_reader import AudioFile
from talkinghead.media.video_reader import read_video_info
from talkinghead.server import batches, making
from talkinghead.server.job_views import describe, newest_picture, video_of
from talkinghead.server.jobs import StudioJob
from talkinghead.server.uploads import KINDS, receive_body, shown_name, uploaded

if TYPE_CHECKING:
    from talkinghead.server.service import Service

PAGE = Path(__file__).parent / "page"
"""Files of the page; they load nothing from elsewhere."""
NAME_HEADER = "x-file-name"
"""Percent-encoded name of the uploaded file: for people, never a path."""
VIDEO_TYPES = {".mp4": "video/mp4", ".webm": "video/webm"}
SMALLEST_PX = (16, 16)
"""Width and height to which a background is scaled to see whether it can be read."""
IMAGE_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


def routes(service: Service) -> list[BaseRoute]:
    """The routes of the studio."""
    return [
        *_uploads(service),
        *_jobs(service),
        *making.routes(service),
        *batches.routes(service),
        Route("/", _page, methods=["GET"]),
        Mount("/static", StaticFiles(directory=PAGE)),
    ]


async def _page(request: Request) -> Response:
    return FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})


def _uploads(service: Service) -> list[BaseRoute]:
    async def upload(request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind not in KINDS:
            raise HTTPException(404, "There is no such kind of upload.")
        key = secrets.token_hex(8)
        folder = service.config.folder / kind / key
        folder.mkdir(parents=True)
        name = shown_name(unquote(request.headers.get(NAME_HEADER, "")))
        try:
            path = await receive_body(request, folder / KINDS[kind], service.config.most_upload_mb)
            described = await run_in_threadpool(_described, kind, path)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        (folder / "name.txt").write_text(name, "utf-8")
        return JSONResponse({"key": key, "name": name, **described}, 201)

    async def remove(request: Request) -> Response:
        path = uploaded(service.config.folder, request.path_params["kind"], request.path_params["key"])
        await run_in_threadpool(shutil.rmtree, path.parent, True)
        return Response(status_code=204)

    async def check(request: Request) -> Response:
        clip = uploaded(service.config.folder, "clips", request.path_params["key"])
        found = await run_in_threadpool(service.clip_checks.check, clip)
        language = request.query_params.get("language", "")
        for finding in found["findings"]:
            shown = ("name", "value", "advice")
            finding |= {part: translated_to(language, finding[part]) for part in shown if part in finding}
        return JSONResponse(found)

    return [
        Route("/api/uploads/{kind}", upload, methods=["POST"]),
        Route("/api/uploads/clips/{key}/check", check, methods=["GET"]),
        Route("/api/uploads/{kind}/{key}", remove, methods=["DELETE"]),
    ]


def _described(kind: str, path: Path) -> dict[str, Any]:
    """What is known of an upload at once. Raises MediaError where it cannot be used at all."""
    if kind == "backgrounds":
        open_background(path, *SMALLEST_PX).close()
        return {}
    if kind == "recordings":
        return {"duration_s": round(AudioFile(path).duration_s, 3)}
    info = read_video_info(path)
    return {
        "width": info.width,
        "height": info.height,
        "frame_rate": float(info.frame_rate),
        "duration_s": info.duration_s,
        "has_audio": info.has_audio,
        "pictures": info.treatment.as_dict(),
    }


def _jobs(service: Service) -> list[BaseRoute]:
    def found(request: Request) -> StudioJob:
        return service.jobs.find(request.path_params["number"])

    async def list_jobs(request: Request) -> Response:
        language = request.query_params.get("language", "")
        return JSONResponse({"jobs": [describe(service.jobs, job, language) for job in service.jobs.all()]})

    async def show(request: Request) -> Response:
        return JSONResponse(describe(service.jobs, found(request), request.query_params.get("language", "")))

    async def stop(request: Request) -> Response:
        return JSONResponse(describe(service.jobs, service.jobs.stop(found(request).number)))

    async def resume(request: Request) -> Response:
        return JSONResponse(describe(service.jobs, service.jobs.resume(found(request).number)))

    async def remove(request: Request) -> Response:
        service.jobs.remove(found(request).number)
        return Response(status_code=204)

    async def video(request: Request) -> Response:
        job = found(request)
        path = video_of(service.jobs, job)
        if not path.is_file():
            raise HTTPException(404, "The video is not there yet.")
        name = f"{job.title[:60] or 'video'}{path.suffix}" if "download" in request.query_params else None
        kind = "attachment" if name else "inline"
        return FileResponse(path, media_type=VIDEO_TYPES[path.suffix], filename=name, content_disposition_type=kind)

    async def picture(request: Request) -> Response:
        path = newest_picture(service.jobs, found(request))
        if path is None:
            raise HTTPException(404, "There is no picture yet.")
        return FileResponse(path, media_type=IMAGE_TYPES[path.suffix], headers={"cache-control": "no-store"})

    one = "/api/jobs/{number}"
    return [
        Route("/api/jobs", list_jobs, methods=["GET"]),
        Route(one, show, methods=["GET"]),
        Route(one, remove, methods=["DELETE"]),
        Route(f"{one}/stop", stop, methods=["POST"]),
        Route(f"{one}/resume", resume, methods=["POST"]),
        Route(f"{one}/video", video, methods=["GET"]),
        Route(f"{one}/picture", picture, methods=["GET"]),
    ]
