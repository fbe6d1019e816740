"""The server's programming interface: an OpenAPI document, and a page of it that loads nothing from elsewhere."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from talkinghead import __version__
from talkinghead.server.making import VIDEO_OPTIONS
from talkinghead.server.texts import SPEAKING_OPTIONS


@dataclass(frozen=True)
class Operation:
    """One thing that a client can ask for."""

    method: str
    path: str
    summary: str
    takes: dict[str, Any] | str | None = None
    """Example of a JSON body, or the media type of another one; None where there is none."""
    gives: dict[str, Any] | str | None = None
    """Example of the answer, in the same way."""
    status: int = 200


SESSION = {
    "session": "1234567890123456", "anchor": "presenter", "width": 512, "height": 512, "frame_rate": 25.0,
    "is_speaking": False, "utterance": 0, "position_s": 0.0, "late_ticks": 0, "connections": 0,
    "is_recording": False, "can_push": False,
}  # fmt: skip
RECORDING = {
    "key": "0123456789abcdef", "anchor": "presenter", "created_s": 1773500966.0, "duration_s": 12.4, "missed_frames": 0,
}  # fmt: skip
JOB = {
    "number": "20260314T150926-0a1b2c3d", "kind": "speak", "title": "Good evening.", "state": "running",
    "progress": {"share": 0.4, "done": 40, "count": 100}, "result": None, "message": "", "seconds": 1.2,
    "created_s": 1773500966.0, "anchor": "presenter", "has_video": False, "has_picture": True,
    "picture_at": 1773500967123, "settings": {"text": "Good evening.", "voice": "hibari", "options": {}},
}  # fmt: skip
ONE_SESSION, ONE_JOB = "/api/sessions/{number}", "/api/jobs/{number}"
OPERATIONS = (
    Operation("get", "/health", "Whether the server runs; needs no token.", None, {"status": "ok", "version": "0"}),
    Operation("get", "/api/anchors", "All anchors.", None, {"anchors": [{"name": "presenter", "built_in": True}]}),
    Operation("get", "/api/voices", "All voices that can be used.", None, {"default": "hibari", "voices": []}),
    Operation("get", "/api/ice-servers", "STUN and TURN servers for the browser.", None, {"ice_servers": []}),
    Operation("post", "/api/sessions", "Open a live session; 429 where the machine would not keep up.",
              {"anchor": "presenter", "background": "#00b140"}, SESSION, 201),
    Operation("get", ONE_SESSION, "What a session does.", None, SESSION),
    Operation("delete", ONE_SESSION, "End a session.", None, None, 204),
    Operation("post", f"{ONE_SESSION}/offer", "Answer a WebRTC offer for one video and one audio track.",
              {"sdp": "v=0...", "codec": "VP8"}, {"sdp": "v=0...", "type": "answer"}),
    Operation("post", f"{ONE_SESSION}/say", "Speak a text after all that waits, or at once.",
              {"text": "Good evening.", "voice": "hibari", "interrupt": False}, {"utterance": 1}, 202),
    Operation("post", f"{ONE_SESSION}/audio", "Speak an audio or video file.", "application/octet-stream",
              {"utterance": 2}, 202),
    Operation("post", f"{ONE_SESSION}/interrupt", "Fall silent; how far the utterance was heard.", None,
              {"utterance": 2, "position_s": 1.36}),
    Operation("post", f"{ONE_SESSION}/record", "Record the session from now on; 409 where it is already.", None,
              {"recording": "0123456789abcdef"}, 201),
    Operation("post", f"{ONE_SESSION}/record/stop", "Complete the recording.", None, RECORDING),
    Operation("get", "/api/recorded", "Complete recordings of sessions, the newest first.", None,
              {"recordings": [RECORDING]}),
    Operation("get", "/api/recorded/{key}/video", "A recording, labeled as AI-generated; `?download` to save it.", None,
              "video/mp4"),
    Operation("delete", "/api/recorded/{key}", "Remove a recording.", None, None, 204),
    Operation("get", f"{ONE_SESSION}/hls/{{file}}", "The session as HLS, for any number of viewers: live.m3u8, and "
              "what it names. It is encoded once, from the first request until half a minute after the last.", None,
              "application/vnd.apple.mpegurl"),
    Operation("post", f"{ONE_SESSION}/push", "Push the session to the RTMP server that the operator named.", None,
              {"is_pushed": True}, 202),
    Operation("get", f"{ONE_SESSION}/push", "Whether it is pushed, and why that failed.", None,
              {"is_pushed": True, "failure": ""}),
    Operation("post", f"{ONE_SESSION}/push/stop", "End that.", None, {"is_pushed": False}),
    Operation("post", "/api/uploads/{kind}", "Upload a file; kind is clips, recordings or backgrounds, the header "
              "X-File-Name its percent-encoded name.", "application/octet-stream",
              {"key": "0123456789abcdef", "name": "me.mp4"}, 201),
    Operation("delete", "/api/uploads/{kind}/{key}", "Remove an upload.", None, None, 204),
    Operation("get", "/api/uploads/clips/{key}/check", "Whether a clip is fit to make an anchor of, as `talkinghead "
              "check` finds it: takes seconds, up to a minute for a long one. The state is ok, remark, problem; "
              "`?language=zh` for findings in that.", None,
              {"state": "remark", "findings": [{"name": "length", "state": "remark", "value": "12.0 s with the face",
               "advice": "half a minute works, two minutes are better"}]}),
    Operation("post", "/api/trainings", "Make an anchor of a clip that was uploaded; 422 where its check finds "
              "problems, unless `despite_problems` is true.",
              {"clip": "0123456789abcdef", "name": "Anna", "consent": "Anna, in writing, 3 March 2026", "minutes": 15,
               "despite_problems": False}, {**JOB, "kind": "train"}, 202),
    Operation("post", "/api/videos", "Make a video of a text, or of a recording that was uploaded (its key as "
              f"`recording`). Options: {', '.join(VIDEO_OPTIONS)}; of the speech: {', '.join(SPEAKING_OPTIONS)}. The "
              "background is transparent (gives WebM), a color, or the key of an upload as `background_file`.",
              {"anchor": "presenter", "text": "Good evening.", "voice": "hibari", "background": "#00b140",
               "options": {"intensity": 1.0, "aspect": "9:16", "lead_in": 0.5}, "speaking": {"speed": 1.1}}, JOB, 202),
    Operation("post", "/api/batches", "Make a video of each row of a table (CSV, the job file of `talkinghead batch`): "
              "columns id, anchor, and speech (the name of a recording, whose key is given) or text, voice; the "
              "options of a video. 422 with all `problems` where anything is wrong with it; nothing is started then.",
              {"name": "news.csv", "table": "id,anchor,text,speech\n1,presenter,Good evening.,\n2,presenter,,b.wav",
               "recordings": {"b.wav": "0123456789abcdef"}},
              {"batch": {"key": "0123456789abcdef", "name": "news.csv"}, "jobs": [JOB]}, 202),
    Operation("post", "/api/speech", "The beginning of a text as it would sound.",
              {"text": "Good evening.", "voice": "hibari", "speaking": {"speed": 1.1}}, "audio/wav"),
    Operation("get", "/api/jobs", "Trainings and videos, the newest first; `?language=zh` for messages in it.",
              None, {"jobs": [JOB]}),
    Operation("get", ONE_JOB, "One of them.", None, JOB),
    Operation("post", f"{ONE_JOB}/stop", "Stop it; a training is saved.", None, JOB),
    Operation("post", f"{ONE_JOB}/resume", "Go on with what was interrupted or failed.", None, JOB),
    Operation("delete", ONE_JOB, "Forget it, and remove its video.", None, None, 204),
    Operation("get", f"{ONE_JOB}/video", "The video that was made; `?download` to save it.", None, "video/mp4"),
    Operation("get", f"{ONE_JOB}/picture", "The newest picture of a training (PNG), or of a video that is "
              "being made (JPEG); `picture_at` of the job changes with it.", None, "image/*"),
    Operation("post", "/offer", "LiveTalking: open a session and answer its WebRTC offer.",
              {"sdp": "v=0...", "type": "offer"},
              {"code": 0, "sdp": "v=0...", "type": "answer", "sessionid": 1234567890123456}),
    Operation("post", "/human", "LiveTalking: speak a text.",
              {"sessionid": 1234567890123456, "type": "echo", "text": "Good evening.", "interrupt": True},
              {"code": 0, "msg": "ok"}),
    Operation("post", "/humanaudio", "LiveTalking: speak a file, in the fields sessionid and file.",
              "multipart/form-data", {"code": 0, "msg": "ok"}),
    Operation("post", "/interrupt_talk", "LiveTalking: fall silent.", {"sessionid": 1234567890123456},
              {"code": 0, "msg": "ok"}),
    Operation("post", "/is_speaking", "LiveTalking: whether something is heard or waits.",
              {"sessionid": 1234567890123456}, {"code": 0, "msg": "ok", "data": False}),
    Operation("post", "/record", "LiveTalking: start_record, end_record.",
              {"sessionid": 1234567890123456, "type": "start_record"},
              {"code": 0, "msg": "ok", "data": {"recording": "0123456789abcdef"}}),
)  # fmt: skip
"""Everything but the WebSockets, which OpenAPI has no words for; docs/live.md describes them."""


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    paths: dict[str, Any] = {}
    for one in OPERATIONS:
        entry: dict[str, Any] = {"summary": one.summary, "responses": {str(one.status): _content(one.gives, "OK")}}
        entry["responses"]["4XX"] = _content({"error": "What is wrong."}, "Refused")
        if one.takes is not None:
            entry["requestBody"] = {key: value for key, value in _content(one.takes, "").items() if key == "content"}
        names = [part.strip("{}") for part in one.path.split("/") if part.startswith("{")]
        if names:
            entry["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
            ]
        paths.setdefault(one.path, {})[one.method] = entry
    return {
        "openapi": "3.1.0",
        "info": {"title": "talkinghead", "version": __version__},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}, {}],
        "paths": paths,
    }


def _content(example: dict[str, Any] | str | None, description: str) -> dict[str, Any]:
    """A body, by its example or its media type."""
    if example is None:
        return {"description": description}
    if isinstance(example, str):
        return {"description": description, "content": {example: {}}}
    schema = {"type": "object"}
    return {"description": description, "content": {"application/json": {"schema": schema, "example": example}}}


def routes() -> list[BaseRoute]:
    """The document, and the page of it."""

    async def show(request: Request) -> Response:
        return JSONResponse(document())

    async def read(request: Request) -> Response:
        return HTMLResponse(page())

    return [Route("/openapi.json", show), Route("/docs", read)]


def page() -> str:
    """The document for people."""
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        '<title>talkinghead: programming interface</title><link rel="stylesheet" href="/static/style.css">'
        '<main><h1>Programming interface</h1><p>As a document: <a href="/openapi.json">openapi.json</a>. '
        "Errors are answered with a status of 400 to 499 and <code>{&quot;error&quot;: ...}</code>.</p>"
    ]
    for one in OPERATIONS:
        parts.append(
            f"<h2><code>{one.method.upper()} {html.escape(one.path)}</code></h2><p>{html.escape(one.summary)}</p>"
        )
        for word, example in (("Takes", one.takes), ("Gives", one.gives)):
            if example is not None:
                shown = example if isinstance(example, str) else json.dumps(example)
                parts.append(f"<p>{word} <code>{html.escape(shown)}</code></p>")
    return "".join([*parts, "</main></html>"])
