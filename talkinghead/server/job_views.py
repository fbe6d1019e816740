"""Jobs as clients see them: without the paths of this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from talkinghead.locale.messages import translated_to
from talkinghead.server.jobs import PICTURE_FILE, TRANSPARENT_FILE, VIDEO_FILE, Jobs, StudioJob

SHOWN_SETTINGS = ("text", "voice", "options", "speaking", "minutes", "consent", "batch")


def describe(jobs: Jobs, job: StudioJob, language: str = "") -> dict[str, Any]:
    """A job, for clients.

    Args:
        jobs, job: the job.
        language: of verdict, limits and message, such as "zh"; empty is English.
    """
    shown = asdict(job)
    spec = shown.pop("spec")
    shown["anchor"] = spec.get("name") or spec.get("anchor_name")
    shown["settings"] = {name: spec[name] for name in SHOWN_SETTINGS if name in spec}
    if "/" in str(shown["settings"].get("options", {}).get("background", "")):
        shown["settings"]["options"] = {**shown["settings"]["options"], "background": "file"}
    shown["has_video"] = video_of(jobs, job).is_file()
    picture = newest_picture(jobs, job)
    shown["has_picture"] = picture is not None
    shown["picture_at"] = None if picture is None else _changed_ms(picture)
    shown["message"] = translated_to(language, job.message)
    if shown["result"]:
        result = shown["result"]
        result.pop("output", None)
        if "verdict" in result:
            result["verdict"] = translated_to(language, result["verdict"])
            result["limits"] = [translated_to(language, one) for one in result["limits"]]
    return shown


def video_of(jobs: Jobs, job: StudioJob) -> Path:
    """The video of a job, which may not be there yet."""
    transparent = jobs.path(job, TRANSPARENT_FILE)
    return transparent if transparent.is_file() else jobs.path(job, VIDEO_FILE)


def newest_picture(jobs: Jobs, job: StudioJob) -> Path | None:
    """The newest picture of a training, or of a video that is being made; None where there is none."""
    if job.kind == "speak":
        candidates = [jobs.path(job, PICTURE_FILE)] if job.state == "running" else []
    else:
        output = Path(job.spec["output"])
        # While it runs, or can go on, the training's own folder has the newer one.
        candidates = [output.parent / f".{output.name}.training" / "training.png", output / "training.png"]
    return next((path for path in candidates if path.is_file()), None)


def _changed_ms(path: Path) -> int | None:
    """When a file was written, for clients that want to know whether they have it; None where it is gone."""
    try:
        return path.stat().st_mtime_ns // 1_000_000
    except OSError:
        return None
