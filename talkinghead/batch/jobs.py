"""Job files of a batch: CSV or JSON Lines, read and checked whole before any job starts.

A job has an `id`, an `anchor`, either `speech` or `text` (with a `voice`), an `output` name (by default the id with
.mp4), and the options of `generate`: clip, face, expression, speech_encoder, intensity, attack_ms, release_ms,
visible_label, label_font. Paths are relative to the job file. An output is a bare file name, so nothing is ever written
outside the batch's folder.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from talkinghead.anchor import read_description
from talkinghead.errors import JobFileError, MissingFileError, TalkingHeadError
from talkinghead.files import VIDEO_SUFFIXES
from talkinghead.generation.config import LARGEST_INTENSITY
from talkinghead.structures import FaceChoice
from talkinghead.text_to_speech import DEFAULT_VOICE, find_voice
from talkinghead.weights.bundled import anchor_folder

LARGEST_BYTES = 64 << 20
LARGEST_JOBS = 100_000
LONGEST_NAME_BYTES = 200
MOST_PROBLEMS = 1000
"""More are not listed."""

_ID = re.compile(r"\w[\w.-]{0,99}")
_PATHS = ("speech", "clip", "expression", "label_font")
_NUMBERS = {"intensity": (0.0, LARGEST_INTENSITY), "attack_ms": (1.0, 1e5), "release_ms": (1.0, 1e5)}


@dataclass(frozen=True)
class Job:
    """One video to make. Paths are absolute, but for the bare name of a built-in anchor or a cached encoder."""

    id: str
    anchor: str
    output: str
    """Bare file name."""
    speech: str | None = None
    text: str | None = None
    voice: str | None = None
    clip: str | None = None
    face: FaceChoice = "largest"
    expression: str | None = None
    speech_encoder: str | None = None
    intensity: float = 1.0
    attack_ms: float | None = None
    release_ms: float | None = None
    visible_label: str | None = None
    label_font: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


COLUMNS = tuple(field.name for field in fields(Job))


def read_jobs(path: Path) -> list[Job]:
    """Read a job file (.csv with a header line, else JSON Lines) and check every job in it.

    Raises:
        MissingFileError: there is no such file.
        JobFileError: something is wrong with it; `problems` names everything that is, with its line.
    """
    jobs: list[Job] = []
    problems: list[str] = []
    ids: dict[str, int] = {}
    outputs: dict[str, int] = {}
    rows = _csv_rows if path.suffix.lower() == ".csv" else _json_rows
    for line, row in rows(_read_text(path), problems):
        found: list[str] = []
        job = _job(row, path.parent, found)
        if job is not None:
            for kind, name, seen in (("id", job.id, ids), ("output", job.output.casefold(), outputs)):
                if seen.setdefault(name, line) != line:
                    found.append(f"{kind} {name!r} is that of line {seen[name]}")
            jobs.append(job)
        problems += [f"line {line}: {problem}" for problem in found]
        if len(problems) > MOST_PROBLEMS or len(jobs) > LARGEST_JOBS:
            break
    if len(jobs) > LARGEST_JOBS:
        problems.append(f"there are more than {LARGEST_JOBS} jobs; make several files")
    if not jobs and not problems:
        problems.append("there are no jobs in it")
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        raise JobFileError(f"{path}: {len(problems)} {noun}; nothing was started", tuple(problems))
    return jobs


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise MissingFileError(f"{path} cannot be read: {error.strerror}.") from error
    if len(raw) > LARGEST_BYTES:
        raise JobFileError(f"{path} is larger than {LARGEST_BYTES >> 20} MB; make several files")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JobFileError(f"{path} is not text in UTF-8 (byte {error.start})") from error


def _json_rows(text: str, problems: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            problems.append(f"line {line}: no JSON: {str(error)[:100]}")
            continue
        if isinstance(row, dict):
            yield line, row
        else:
            problems.append(f"line {line}: a JSON object is wanted")


def _csv_rows(text: str, problems: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if header is None:
                header = [name.strip() for name in cells]
                if len(set(header)) != len(header):
                    problems.append("line 1: a column is there twice")
                    return
            elif len(cells) > len(header):
                problems.append(f"line {line}: {len(cells)} cells for {len(header)} columns")
            elif any(cells):
                yield line, {name: cell for name, cell in zip(header, cells, strict=False) if cell.strip()}
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(f"line {line}: no CSV: {error}")


def _job(row: dict[str, Any], folder: Path, problems: list[str]) -> Job | None:
    """The job that a row describes, its problems added to the list; None where it is not even readable."""
    unknown = [name for name in row if name not in COLUMNS]
    problems += [f"there is no option {name[:60]!r}" for name in unknown]
    values = {name: value for name, value in row.items() if name not in unknown and value is not None}
    if not _are_of_their_kind(values, problems):
        return None
    values.setdefault("output", f"{values.get('id', '')}.mp4")
    missing = [name for name in ("id", "anchor") if name not in values]
    if missing:
        problems += [f"{name} is missing" for name in missing]
        return None
    for name in _PATHS:
        if name in values:
            values[name] = str(_placed(folder, values[name]))
    named = folder / values["anchor"]
    if os.path.exists(named) or values["anchor"] != Path(values["anchor"]).name:
        values["anchor"] = str(named.absolute())
    if os.path.exists(folder / values.get("speech_encoder", "\0")):
        values["speech_encoder"] = str((folder / values["speech_encoder"]).absolute())
    job = Job(**values)
    problems += _problems_of(job)
    return job


def _are_of_their_kind(values: dict[str, Any], problems: list[str]) -> bool:
    """Turn numbers and the face into their types, in place; whether all are of the kind they should be."""
    before = len(problems)
    for name, value in values.items():
        if name in _NUMBERS:
            values[name] = _number(name, value, problems)
        elif name == "face":
            values[name] = _face(value, problems)
        elif not isinstance(value, str) or not value.strip() or "\0" in value:
            problems.append(f"{name} has to be a text")
    return len(problems) == before


def _number(name: str, value: Any, problems: list[str]) -> float:
    low, high = _NUMBERS[name]
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        problems.append(f"{name} has to be a number from {low:g} to {high:g}")
    return number


def _face(value: Any, problems: list[str]) -> FaceChoice:
    if value in ("largest", "left", "right"):
        return str(value)  # type: ignore[return-value]
    if isinstance(value, int | str) and not isinstance(value, bool) and re.fullmatch("[0-9]{1,3}", str(value)):
        return int(value)
    problems.append("face has to be largest, left, right or a number from 0 on")
    return "largest"


def _placed(folder: Path, name: str) -> Path:
    return (folder / name).absolute()


def _problems_of(job: Job) -> Iterator[str]:
    if not _ID.fullmatch(job.id):
        yield "id has to be of letters, digits, _, - and ., 100 at most, and begin with one of the first three"
    yield from _output_problems(job.output)
    if (job.speech is None) == (job.text is None):
        yield "one of speech and text has to be given"
    if job.voice is not None and job.text is None:
        yield "voice goes with text"
    if job.text is not None:
        yield from _complaint(_check_voice, job.voice or DEFAULT_VOICE)
    yield from _complaint(_check_anchor, job.anchor)
    for name in _PATHS:
        path = getattr(job, name)
        if path is not None and not _is_file(path):
            yield f"there is no file {path} ({name})"


def _output_problems(name: str) -> Iterator[str]:
    if name != Path(name).name or "\\" in name or name.startswith(".") or not name.isprintable():
        yield f"output {name[:60]!r} has to be a bare file name"
    elif len(name.encode("utf-8", "replace")) > LONGEST_NAME_BYTES:
        yield "output is too long a name"
    elif Path(name).suffix.lower() not in VIDEO_SUFFIXES:
        yield f"output has to end in {', '.join(VIDEO_SUFFIXES)}"


def _complaint(check: Callable[[str], str], value: str) -> Iterator[str]:
    complaint = check(value)
    if complaint:
        yield complaint


@lru_cache(maxsize=4096)
def _check_voice(name: str) -> str:
    try:
        find_voice(name)
    except TalkingHeadError as error:
        return str(error)
    return ""


@lru_cache(maxsize=4096)
def _check_anchor(anchor: str) -> str:
    try:
        read_description(anchor_folder(Path(anchor)))
    except (TalkingHeadError, OSError) as error:
        return str(error)
    return ""


@lru_cache(maxsize=4096)
def _is_file(path: str) -> bool:
    return os.path.isfile(path)  # unlike Path's, it is False for a name that cannot be
