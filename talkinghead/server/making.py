"""What the studio makes: trainings, videos of texts and recordings, and a text as it would sound."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from talkinghead.anchor import anchor_voice
from talkinghead.errors import OutputExistsError, UnfitClipError
from talkinghead.generation.config import GenerationConfig
from talkinghead.generation.output_options import TRANSPARENT, parse_background
from talkinghead.media.audio_reader import AudioFile
from talkinghead.server.anchors import NAME, SUFFIX
from talkinghead.server.answers import field, read_json
from talkinghead.server.clip_checks import problems_of
from talkinghead.server.job_views import describe
from talkinghead.server.jobs import TRANSPARENT_FILE, VIDEO_FILE
from talkinghead.server.texts import allowed, script_of
from talkinghead.server.uploads import shown_name, uploaded
from talkinghead.text_to_speech import Script
from talkinghead.text_to_speech.speaking import speak
from talkinghead.weights.bundled import DEFAULT_ANCHOR

if TYPE_CHECKING:
    from talkinghead.server.service import Service

LEAST_CONSENT_CHARACTERS = 8
"""Shorter answers to who agreed are no answers."""
LONGEST_TRAINING_MINUTES = 600.0
LONGEST_PREVIEW_CHARACTERS = 600
LONGEST_TITLE = 60
"""Characters of a text that are its title."""
VIDEO_OPTIONS = (
    "intensity",
    "voice_is_anchor",
    "visible_label",
    "lead_in",
    "lead_out",
    "aspect",
    "size",
    "quality",
    "clip_range",
)
"""Options of `generate` that a client may set: none that names a file or a folder."""


def shortened(text: str) -> str:
    """The beginning of a text, for a title."""
    words = " ".join(text.split())
    return words if len(words) <= LONGEST_TITLE else f"{words[:LONGEST_TITLE].rsplit(' ', 1)[0]}…"


@dataclass(frozen=True)
class WantedSpeech:
    """What a video is to say: a script, or else a recording."""

    script: Script | None = None
    recording: Path | None = None


def routes(service: Service) -> list[BaseRoute]:
    """The routes that start something."""

    async def train(request: Request) -> Response:
        name, spec = _training(service, await read_json(request))
        return JSONResponse(describe(service.jobs, service.jobs.add("train", name, spec)), 202)

    async def make_video(request: Request) -> Response:
        body = await read_json(request)
        name = field(body, "anchor", str, DEFAULT_ANCHOR)
        speech = await _speech_of(service, name, body)
        text = "" if speech.script is None else speech.script.text
        title = field(body, "title", str, "").strip() or (shortened(text) if text else name)
        options = checked_options(field(body, "options", dict, {}))
        spec = video_spec(service, name, speech, options | _background(service, body))
        return JSONResponse(describe(service.jobs, service.jobs.add("speak", shown_name(title), spec)), 202)

    async def preview(request: Request) -> Response:
        body = await read_json(request)
        script = script_of({**body, "text": field(body, "text", str)[:LONGEST_PREVIEW_CHARACTERS]})
        return Response(await run_in_threadpool(_spoken, script), media_type="audio/wav")

    return [
        Route("/api/trainings", train, methods=["POST"]),
        Route("/api/videos", make_video, methods=["POST"]),
        Route("/api/speech", preview, methods=["POST"]),
    ]


def _training(service: Service, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name of the anchor and spec of a training that is asked for.

    Raises:
        ValueError, MissingFileError, OutputExistsError, UnfitClipError, HTTPException: it cannot be done.
    """
    clip = uploaded(service.config.folder, "clips", field(body, "clip", str))
    name, consent = field(body, "name", str).strip(), field(body, "consent", str).strip()
    minutes = body.get("minutes", 15)
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 < minutes <= LONGEST_TRAINING_MINUTES:
        raise ValueError(f"Minutes are a number up to {LONGEST_TRAINING_MINUTES:.0f}.")
    if NAME.fullmatch(name) is None:
        raise ValueError("A name has letters, digits, blanks, dots and dashes, and at most 64 of them.")
    if len(consent) < LEAST_CONSENT_CHARACTERS:
        raise ValueError("Say who agreed to be animated, when and where; it is kept in the anchor.")
    steps, despite_problems = field(body, "steps", int, None), field(body, "despite_problems", bool, False)
    output = service.anchors.folder / f"{name}{SUFFIX}"
    taken = {job.spec["output"] for job in service.jobs.all() if job.kind == "train" and job.state != "done"}
    if name in service.anchors.names() or str(output.absolute()) in taken:
        raise OutputExistsError(f"There is an anchor {name} already, or one is being made; choose another name.")
    checked = service.clip_checks.known(clip)
    what = "" if checked is None else problems_of(checked["findings"])
    if what and not despite_problems:
        raise UnfitClipError(f"The clip is not fit to be trained on. {what} To train all the same, say so.")
    output.parent.mkdir(parents=True, exist_ok=True)
    spec = {"name": name, "clip": str(clip.absolute()), "output": str(output.absolute()), "minutes": float(minutes)}
    spec |= {"steps": steps, "consent": consent, "device": service.config.device}
    # A clip that was not checked before is checked when the training begins.
    return name, spec | {"despite_problems": despite_problems, "is_checked": checked is not None}


def video_spec(service: Service, name: str, speech: WantedSpeech, options: dict[str, Any]) -> dict[str, Any]:
    """The spec of a video.

    Args:
        service: the server's state.
        name: of the anchor.
        speech: what it says.
        options: of `generate`, checked.

    Raises:
        MissingFileError: there is no such anchor.
    """
    anchor, script = service.anchors.path(name), speech.script
    spec: dict[str, Any] = {"anchor": str(anchor if anchor == Path(name) else anchor.absolute()), "anchor_name": name}
    spec |= {"text": script.text if script else "", "voice": script.voice if script else ""}
    spec |= {"recording": str(speech.recording.absolute()) if speech.recording else "", "options": options}
    config = None if script is None else script.config
    speaking = {} if config is None else {"text_format": config.text_format, "speed": config.speed}
    speaking |= {} if config is None else {"pause_ms": config.pause_ms}
    file = TRANSPARENT_FILE if options.get("background") == TRANSPARENT else VIDEO_FILE
    return spec | {"speaking": speaking, "output": f"{{folder}}/{file}", "device": service.config.device}


def _background(service: Service, body: dict[str, Any]) -> dict[str, str]:
    """The option of `generate` for what a video is to have behind the anchor: a color, nothing, or an upload.

    Raises:
        ValueError, OptionError, MissingFileError: it is none of them; a client names no files.
    """
    if "background_file" in body:
        key = field(body, "background_file", str)
        return {"background": str(uploaded(service.config.folder, "backgrounds", key).absolute())}
    text = field(body, "background", str, "").strip()
    if not text:
        return {}
    named = parse_background(text)
    if isinstance(named, Path):
        raise ValueError(
            "The background of a video is transparent, a color such as #00b140, or a file that was uploaded."
        )
    return {"background": TRANSPARENT if named == TRANSPARENT else text}


def checked_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options of `generate` in a request, as they are.

    Raises:
        ValueError: one of them may not be set.
        TalkingHeadError: a value is out of its range.
    """
    GenerationConfig(**allowed(options, VIDEO_OPTIONS))
    return dict(options)


async def _speech_of(service: Service, name: str, body: dict[str, Any]) -> WantedSpeech:
    """What a video of the anchor `name` is to say: a recording, or a text and a voice.

    Raises:
        ValueError, MissingFileError, VoiceUnavailableError, HTTPException: they cannot be used.
    """
    if "recording" in body:
        recording = uploaded(service.config.folder, "recordings", field(body, "recording", str))
        await run_in_threadpool(check_length, service, recording)
        return WantedSpeech(recording=recording)
    script = script_of(body, voice=anchor_voice(service.anchors.path(name)))
    if not script.text.strip():
        raise ValueError("Give a text to speak, or a recording.")
    await run_in_threadpool(script.describe)  # an unknown voice is refused now
    return WantedSpeech(script=script)


def check_length(service: Service, recording: Path) -> None:
    """Raise ValueError where a recording is longer than the server renders."""
    if AudioFile(recording).duration_s > service.config.most_speech_s:
        raise ValueError(f"A speech lasts at most {service.config.most_speech_s} s here.")


def _spoken(script: Script) -> bytes:
    """A text as a WAV file."""
    utterances = list(speak(script))
    file = io.BytesIO()
    samples = np.concatenate([one.audio.samples for one in utterances])
    soundfile.write(file, samples, utterances[0].audio.rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue()
