"""The programming interface of the studio: clips and recordings that are uploaded, trainings, videos, and the page."""

from __future__ import annotations

import io
import re
import secrets
import shutil
import unicodedata
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import soundfile
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from talkinghead.errors import MissingFileError, OutputExistsError
from talkinghead.generation.config import GenerationConfig
from talkinghead.media.audio_reader import AudioFile
from talkinghead.media.video_reader import read_video_info
from talkinghead.server.anchors import NAME, SUFFIX
from talkinghead.server.answers import field, read_json
from talkinghead.server.jobs import VIDEO_FILE, StudioJob
from talkinghead.server.live import LONGEST_TEXT
from talkinghead.server.uploads import receive_body
from talkinghead.text_to_speech import DEFAULT_VOICE, Script
from talkinghead.text_to_speech.speaking import speak

if TYPE_CHECKING:
    from talkinghead.server.service import Service

PAGE = Path(__file__).parent / "page"
"""Files of the page; they load nothing from elsewhere."""
NAME_HEADER = "x-file-name"
"""Percent-encoded name of the uploaded file: for people, never a path."""
KEY = re.compile(r"[0-9a-f]{16}")
KINDS = {"clips": "clip", "recordings": "recording"}
"""Folders of uploads, and the name of the file in each upload's own folder."""
LEAST_CONSENT_CHARACTERS = 8
"""Shorter answers to who agreed are no answers."""
LONGEST_TRAINING_MINUTES = 600.0
LONGEST_PREVIEW_CHARACTERS = 600
SHOWN_SETTINGS = ("text", "voice", "options", "minutes", "consent")
VIDEO_OPTIONS = {"intensity": float, "voice_is_anchor": str, "visible_label": str}
"""Options of `generate` that a client may set: none that names a file or a folder."""


def routes(service: Service) -> list[BaseRoute]:
    """The routes of the studio."""
    return [
        *_uploads(service),
        *_jobs(service),
        *_making(service),
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
        name = _shown_name(unquote(request.headers.get(NAME_HEADER, "")))
        try:
            path = await receive_body(request, folder / KINDS[kind], service.config.most_upload_mb)
            described = await run_in_threadpool(_described, kind, path)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        (folder / "name.txt").write_text(name, "utf-8")
        return JSONResponse({"key": key, "name": name, **described}, 201)

    async def remove(request: Request) -> Response:
        path = uploaded(service, request.path_params["kind"], request.path_params["key"])
        await run_in_threadpool(shutil.rmtree, path.parent, True)
        return Response(status_code=204)

    return [
        Route("/api/uploads/{kind}", upload, methods=["POST"]),
        Route("/api/uploads/{kind}/{key}", remove, methods=["DELETE"]),
    ]


def uploaded(service: Service, kind: str, key: str) -> Path:
    """The file of an upload.

    Raises:
        MissingFileError: there is none of that key.
    """
    if kind in KINDS and KEY.fullmatch(key) is not None:
        path = service.config.folder / kind / key / KINDS[kind]
        if path.is_file():
            return path
    raise MissingFileError("There is no such upload; it may have been removed.")


def _described(kind: str, path: Path) -> dict[str, Any]:
    """What is known of an upload at once. Raises MediaError where it cannot be used at all."""
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


def _shown_name(name: str) -> str:
    """A name to show to people, without control characters and folders."""
    last = re.split(r"[\\/]", name)[-1]
    kept = "".join(one for one in last if not unicodedata.category(one).startswith("C"))
    return kept[:120] or "upload"


def _jobs(service: Service) -> list[BaseRoute]:
    def found(request: Request) -> StudioJob:
        return service.jobs.find(request.path_params["number"])

    async def list_jobs(request: Request) -> Response:
        return JSONResponse({"jobs": [describe(service, job) for job in service.jobs.all()]})

    async def show(request: Request) -> Response:
        return JSONResponse(describe(service, found(request)))

    async def stop(request: Request) -> Response:
        return JSONResponse(describe(service, service.jobs.stop(found(request).number)))

    async def resume(request: Request) -> Response:
        return JSONResponse(describe(service, service.jobs.resume(found(request).number)))

    async def remove(request: Request) -> Response:
        service.jobs.remove(found(request).number)
        return Response(status_code=204)

    async def video(request: Request) -> Response:
        job = found(request)
        path = service.jobs.path(job, VIDEO_FILE)
        if not path.is_file():
            raise HTTPException(404, "The video is not there yet.")
        name = f"{job.title[:60] or 'video'}.mp4" if "download" in request.query_params else None
        kind = "attachment" if name else "inline"
        return FileResponse(path, media_type="video/mp4", filename=name, content_disposition_type=kind)

    async def picture(request: Request) -> Response:
        path = _picture(service, found(request))
        if path is None:
            raise HTTPException(404, "There is no picture yet.")
        return FileResponse(path, media_type="image/png", headers={"cache-control": "no-store"})

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


def describe(service: Service, job: StudioJob) -> dict[str, Any]:
    """A job, for clients: without the paths of this machine."""
    shown = asdict(job)
    spec = shown.pop("spec")
    shown["anchor"] = spec.get("name") or spec.get("anchor_name")
    shown["settings"] = {
        name: spec[name] for name in ("text", "voice", "options", "minutes", "consent") if name in spec
    }
    shown["has_video"] = service.jobs.path(job, VIDEO_FILE).is_file()
    shown["has_picture"] = _picture(service, job) is not None
    if shown["result"]:
        shown["result"].pop("output", None)
    return shown


def _picture(service: Service, job: StudioJob) -> Path | None:
    """The newest picture of a training, or of a video."""
    candidates = [service.jobs.path(job, "sheet.png")]
    if job.kind == "train":
        output = Path(job.spec["output"])
        candidates = [output / "training.png", output.parent / f".{output.name}.training" / "training.png"]
    return next((path for path in candidates if path.is_file()), None)


def _making(service: Service) -> list[BaseRoute]:
    async def train(request: Request) -> Response:
        body = await read_json(request)
        clip = uploaded(service, "clips", field(body, "clip", str))
        name, consent = field(body, "name", str).strip(), field(body, "consent", str).strip()
        minutes = body.get("minutes", 15)
        if not isinstance(minutes, int | float) or not 0 < minutes <= LONGEST_TRAINING_MINUTES:
            raise ValueError(f"Minutes are a number up to {LONGEST_TRAINING_MINUTES:.0f}.")
        if NAME.fullmatch(name) is None:
            raise ValueError("A name has letters, digits, blanks, dots and dashes, and at most 64 of them.")
        if len(consent) < LEAST_CONSENT_CHARACTERS:
            raise ValueError("Say who agreed to be animated, when and where; it is kept in the anchor.")
        steps = field(body, "steps", int, None)
        output = service.anchors.folder / f"{name}{SUFFIX}"
        taken = {job.spec["output"] for job in service.jobs.all() if job.kind == "train" and job.state != "done"}
        if name in service.anchors.names() or str(output.absolute()) in taken:
            raise OutputExistsError(f"There is an anchor {name} already, or one is being made; choose another name.")
        output.parent.mkdir(parents=True, exist_ok=True)
        spec = {"name": name, "clip": str(clip.absolute()), "output": str(output.absolute()), "minutes": float(minutes)}
        spec |= {"steps": steps, "consent": consent, "device": service.config.device}
        return JSONResponse(describe(service, service.jobs.add("train", name, spec)), 202)

    async def make_video(request: Request) -> Response:
        body = await read_json(request)
        name = field(body, "anchor", str, "presenter")
        anchor = service.anchors.path(name)
        text, voice, recording = await _speech_of(service, body)
        spec = {"anchor": str(anchor if anchor == Path(name) else anchor.absolute()), "anchor_name": name}
        title = field(body, "title", str, "").strip() or (text[:60] if text else name)
        spec |= {"text": text, "voice": voice, "recording": recording, "options": _options(body)}
        spec |= {"output": f"{{folder}}/{VIDEO_FILE}", "device": service.config.device}
        return JSONResponse(describe(service, service.jobs.add("speak", _shown_name(title), spec)), 202)

    async def preview(request: Request) -> Response:
        body = await read_json(request)
        script = Script(field(body, "text", str)[:LONGEST_PREVIEW_CHARACTERS], field(body, "voice", str, DEFAULT_VOICE))
        return Response(await run_in_threadpool(_spoken, script), media_type="audio/wav")

    return [
        Route("/api/trainings", train, methods=["POST"]),
        Route("/api/videos", make_video, methods=["POST"]),
        Route("/api/speech", preview, methods=["POST"]),
    ]


async def _speech_of(service: Service, body: dict[str, Any]) -> tuple[str, str, str]:
    """Text, voice and recording of a video that is asked for: either the first two, or the last one.

    Raises:
        ValueError, MissingFileError, VoiceUnavailableError, HTTPException: they cannot be used.
    """
    if "recording" in body:
        recording = uploaded(service, "recordings", field(body, "recording", str))
        duration_s = await run_in_threadpool(lambda: AudioFile(recording).duration_s)
        if duration_s > service.config.most_speech_s:
            raise ValueError(f"A speech lasts at most {service.config.most_speech_s} s here.")
        return "", "", str(recording.absolute())
    text, voice = field(body, "text", str), field(body, "voice", str, DEFAULT_VOICE)
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise ValueError(f"Give a text of at most {LONGEST_TEXT} characters.")
    await run_in_threadpool(Script(text, voice).describe)  # an unknown voice is refused now
    return text, voice, ""


def _options(body: dict[str, Any]) -> dict[str, Any]:
    """Options of `generate` in a request.

    Raises:
        ValueError: one of them may not be set.
        TalkingHeadError: a value is out of its range.
    """
    options = field(body, "options", dict, {})
    unknown = set(options) - set(VIDEO_OPTIONS)
    if unknown:
        raise ValueError(f"The options are {', '.join(VIDEO_OPTIONS)}; {min(unknown)[:40]!r} is none.")
    GenerationConfig(**options)
    return dict(options)


def _spoken(script: Script) -> bytes:
    """A text as a WAV file."""
    utterances = list(speak(script))
    file = io.BytesIO()
    samples = np.concatenate([one.audio.samples for one in utterances])
    soundfile.write(file, samples, utterances[0].audio.rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue()
