"""Batches of the studio: a table of videos, of which each row becomes a job.

The table is the job file of `talkinghead batch` (CSV), and its rows are checked by the same rules. Names in it are
those of the studio: an anchor is one of its list, a speech the name of a recording that was uploaded for it. No path in
it is opened, and of the options those that `POST /api/videos` takes are columns.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from talkinghead.batch.jobs import OWN_COLUMNS, Job, job_of
from talkinghead.errors import JobFileError, TalkingHeadError
from talkinghead.server.answers import field, read_json
from talkinghead.server.job_views import describe
from talkinghead.server.jobs import MOST_WAITING
from talkinghead.server.making import VIDEO_OPTIONS, WantedSpeech, check_length, video_spec
from talkinghead.server.texts import LONGEST_TEXT
from talkinghead.server.uploads import shown_name, uploaded
from talkinghead.tables import read_rows

if TYPE_CHECKING:
    from talkinghead.server.service import Service

MOST_ROWS = MOST_WAITING
"""Rows of a batch: as many as jobs can wait."""
COLUMNS = (*OWN_COLUMNS, *VIDEO_OPTIONS)


def routes(service: Service) -> list[BaseRoute]:
    """The route that starts a batch."""

    async def start(request: Request) -> Response:
        body = await read_json(request)
        table, recordings = field(body, "table", str), field(body, "recordings", dict, {})
        rows = await run_in_threadpool(read_batch, service, table, recordings)
        batch = {"key": secrets.token_hex(8), "name": shown_name(field(body, "name", str, "batch"))}
        made = service.jobs.add_all("speak", [(title, spec | {"batch": batch}) for title, spec in rows])
        return JSONResponse({"batch": batch, "jobs": [describe(service.jobs, job) for job in made]}, 202)

    return [Route("/api/batches", start, methods=["POST"])]


def read_batch(service: Service, table: str, recordings: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Title and spec of the job of each row.

    Args:
        service: the server's state.
        table: text of the file.
        recordings: key of each recording that was uploaded, by the name that the table has for it.

    Raises:
        JobFileError: it cannot be used; `problems` lists everything that is wrong, each with its line.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    problems: list[str] = []
    ids: dict[str, int] = {}
    for line, row in read_rows(table, COLUMNS, ("id", "anchor"), problems):
        wrong: list[str] = []
        made = _row(service, dict(row), recordings, wrong)
        if made is not None:
            if ids.setdefault(made[0], line) != line:
                wrong.append(f"id {made[0]!r} is already used in line {ids[made[0]]}")
            found.append(made)
        problems += [f"line {line}: {problem}" for problem in wrong]
        if len(found) > MOST_ROWS or len(problems) > MOST_ROWS:
            break
    if len(found) > MOST_ROWS:
        problems.append(f"the file has more than {MOST_ROWS} jobs; split it")
    if not found and not problems:
        problems.append("the file has no jobs")
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        raise JobFileError(f"The table has {len(problems)} {noun}; no job was started.", tuple(problems))
    return found


def _row(
    service: Service, row: dict[str, str], recordings: dict[str, Any], problems: list[str]
) -> tuple[str, dict[str, Any]] | None:
    """Title and spec of a row's job; None where something is wrong with it, which is added to the problems."""
    name, speech = row.get("anchor", ""), row.get("speech")
    options = {column: value for column, value in row.items() if column in VIDEO_OPTIONS}
    before = len(problems)
    try:
        if name:
            row["anchor"] = str(service.anchors.path(name).absolute()) if not _is_built_in(service, name) else name
        if speech is not None:
            row["speech"] = str(_recording(service, speech, recordings).absolute())
        if len(row.get("text", "")) > LONGEST_TEXT:
            raise ValueError(f"a text has at most {LONGEST_TEXT} characters")
    except (TalkingHeadError, ValueError) as error:
        problems.append(str(error))
        return None
    job = job_of(row, service.anchors.folder, problems)
    if job is None or len(problems) > before:
        here = f"{service.config.folder.absolute()}/"  # clients name nothing by its path, and are told none
        problems[before:] = [problem.replace(here, "") for problem in problems[before:]]
        return None
    wanted = WantedSpeech(script=None if job.speech else _script(job), recording=job.speech)
    return job.id, video_spec(service, name, wanted, {column: _plain(job, column) for column in options})


def _is_built_in(service: Service, name: str) -> bool:
    return service.anchors.path(name) == Path(name)


def _recording(service: Service, name: str, recordings: dict[str, Any]) -> Path:
    """The recording that a table calls by its name.

    Raises:
        ValueError, MissingFileError: it was not uploaded, or it is too long.
        MediaError: it cannot be read.
    """
    key = recordings.get(shown_name(name))
    if not isinstance(key, str):
        raise ValueError(f"there is no recording {shown_name(name)!r} with the table; choose both together")
    path = uploaded(service.config.folder, "recordings", key)
    check_length(service, path)
    return path


def _script(job: Job) -> Any:
    source = job.source
    assert not isinstance(source, Path)
    return source


def _plain(job: Job, column: str) -> Any:
    """An option's value for JSON."""
    return job.as_json()[column]
