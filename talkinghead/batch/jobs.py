"""Job files of a batch: tables or JSON, read and checked as a whole before any job starts.

The columns are those of `Job` and the options of `GenerationConfig`, but for the device, which a batch sets for all of
its jobs. Paths are relative to the job file. An output is a bare file name, so nothing is ever written outside the
batch's folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from talkinghead.anchor import anchor_voice, read_description
from talkinghead.errors import JobFileError, TalkingHeadError
from talkinghead.files import VIDEO_SUFFIXES, read_text
from talkinghead.generation.config import GenerationConfig
from talkinghead.media.formats import ALPHA_SUFFIXES
from talkinghead.options.fields import Option, options_of, parse_face
from talkinghead.structures import ClipRange, FaceChoice
from talkinghead.tables import read_rows, unknown_column
from talkinghead.text_to_speech import DEFAULT_VOICE, Script, find_voice
from talkinghead.text_to_speech.config import SpeakingConfig
from talkinghead.weights.bundled import anchor_folder

LARGEST_BYTES = 64 << 20
"""Size up to which a job file is read."""
LARGEST_JOBS = 100_000
"""Number of jobs that a file may have."""
LONGEST_NAME_BYTES = 200
"""Length of an output's name in UTF-8; file systems allow 255, and a temporary file has a longer name."""
MOST_PROBLEMS = 1000
"""Reading stops after about so many problems."""

OPTIONS = {option.name: option for option in options_of(GenerationConfig) if option.name != "device"}
"""The options of `GenerationConfig` that are columns of a job file, by name."""
SPEAKING_OPTIONS = {option.name: option for option in options_of(SpeakingConfig)}
"""The options of `SpeakingConfig`, which are columns too, for jobs with a text."""

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
"""Files of these names are JSON; others where they begin with { or [, and tables where they do not."""
WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
"""Files of spreadsheet programs, which have to be exported."""

_ID = re.compile(r"\w[\w.-]{0,99}")
_BLANKS = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True)
class Job:
    """One video to make."""

    id: str
    """Letters, digits, _, - and .; different for every job of a batch."""
    anchor: str
    """Absolute path of an ANCHOR folder, or the bare name of a built-in one."""
    output: str
    """Bare name of the video file."""
    speech: Path | None = None
    """Absolute path of an audio or video file; None where there is a text."""
    text: str | None = None
    """Text to speak; None where there is a speech file."""
    voice: str | None = None
    """Voice that speaks the text; None is the anchor's own or, where it has none, the default voice."""
    options: GenerationConfig = field(default_factory=GenerationConfig)
    """How the anchor is driven, with absolute paths."""
    speaking: SpeakingConfig = field(default_factory=SpeakingConfig)
    """How a text is read and spoken, with absolute paths."""

    @property
    def source(self) -> Path | Script:
        """The speech as `generate` takes it."""
        if self.speech is not None:
            return self.speech
        return Script(self.text or "", self.speaker, self.speaking)

    @property
    def speaker(self) -> str:
        """Name of the voice that speaks a text."""
        return self.voice or anchor_voice(self.anchor) or DEFAULT_VOICE

    def as_json(self) -> dict[str, Any]:
        """The job as one flat JSON object, with a value or null for every column."""
        values = {name: getattr(self, name) for name in OWN_COLUMNS}
        values |= {name: getattr(self.options, name) for name in OPTIONS}
        values |= {name: getattr(self.speaking, name) for name in SPEAKING_OPTIONS}
        return {name: str(value) if isinstance(value, Path | ClipRange) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Job:
        """The job that `as_json` gave; what is null or missing has its default.

        Raises:
            TypeError, TalkingHeadError: there is no such column, or its value is not allowed.
        """
        given = {name: value for name, value in dict(values).items() if value is not None}
        options, speaking = (
            {name: _converted(known[name], given.pop(name)) for name in known if name in given}
            for known in (OPTIONS, SPEAKING_OPTIONS)
        )
        if "speech" in given:
            given["speech"] = Path(given["speech"])
        return cls(**given, options=GenerationConfig(**options), speaking=SpeakingConfig(**speaking))


OWN_COLUMNS = tuple(column.name for column in fields(Job) if column.name not in ("options", "speaking"))
"""The columns of a job file that are not options; all hold texts."""


def columns() -> tuple[str, ...]:
    """The names of all columns of a job file."""
    return (*OWN_COLUMNS, *OPTIONS, *SPEAKING_OPTIONS)


def read_jobs(path: Path) -> list[Job]:
    """Read a job file (a table with a line of headings, JSON Lines, or one JSON list) and check every job in it.

    Raises:
        MissingFileError: there is no such file.
        JobFileError: it cannot be used; `problems` lists everything that is wrong, each with its line.
    """
    jobs: list[Job] = []
    problems: list[str] = []
    ids: dict[str, int] = {}
    outputs: dict[str, int] = {}
    if path.suffix.lower() in WORKBOOK_SUFFIXES and path.is_file():
        raise JobFileError(f"{path} is a workbook, which is not read; save its sheet as CSV, in Excel as 'CSV UTF-8'.")
    for line, row in _rows(path, read_text(path, error=JobFileError, largest_bytes=LARGEST_BYTES), problems):
        found: list[str] = []
        job = job_of(row, path.parent, found)
        if job is not None:
            for kind, name, seen in (("id", job.id, ids), ("output", job.output.casefold(), outputs)):
                if seen.setdefault(name, line) != line:
                    found.append(f"{kind} {name!r} is already used in line {seen[name]}")
            jobs.append(job)
        problems += [f"line {line}: {problem}" for problem in found]
        if len(problems) > MOST_PROBLEMS or len(jobs) > LARGEST_JOBS:
            break
    if len(jobs) > LARGEST_JOBS:
        problems.append(f"the file has more than {LARGEST_JOBS} jobs; split it")
    if not jobs and not problems:
        problems.append("the file has no jobs")
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        raise JobFileError(f"{path} has {len(problems)} {noun}; no job was started.", tuple(problems))
    return jobs


def _rows(path: Path, text: str, problems: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with the number of its line; what cannot be read is added to the problems."""
    begin = text.lstrip()[:1]
    if begin == "[":
        return _json_list_rows(text, problems)
    if begin == "{" or path.suffix.lower() in JSON_SUFFIXES:
        return _json_line_rows(text, problems)
    return read_rows(text, columns(), ("id", "anchor"), problems)


def _json_line_rows(text: str, problems: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of JSON Lines."""
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            hint = "" if problems else "; write each job on one line, or all jobs in one list, [{...}, {...}]"
            problems.append(f"line {line}: {_not_json(error)}{hint}")
            continue
        if isinstance(row, dict):
            yield line, row
        else:
            problems.append(f"line {line}: a JSON object is expected")


def _json_list_rows(text: str, problems: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of one JSON list, each with the number of the line on which it begins."""
    decoder, line, counted = json.JSONDecoder(), 1, 0
    position = _after_blanks(text, text.index("[") + 1)
    try:
        while text[position : position + 1] != "]":
            line, counted = line + text.count("\n", counted, position), position
            row, position = decoder.raw_decode(text, position)
            if isinstance(row, dict):
                yield line, row
            else:
                problems.append(f"line {line}: a JSON object is expected")
            position = _after_blanks(text, position)
            following = text[position : position + 1]
            if following == ",":
                position = _after_blanks(text, position + 1)
            elif following != "]":
                raise ValueError("a comma is expected after this object, or ] after the last")
        if text[position + 1 :].strip():
            raise ValueError("something follows the list of jobs")
    except (ValueError, RecursionError) as error:
        problems.append(f"line {line}: {_not_json(error)}")


def _after_blanks(text: str, position: int) -> int:
    found = _BLANKS.match(text, position)
    return position if found is None else found.end()


def _not_json(error: ValueError | RecursionError) -> str:
    what = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
    return f"this is not JSON: {what[:100]}"


def job_of(row: dict[str, Any], folder: Path, problems: list[str]) -> Job | None:
    """The job that a row describes; None where there is not enough for a job.

    Args:
        row: values by the name of their column.
        folder: that paths are relative to.
        problems: what is wrong with the row is added here.
    """
    unknown = [name for name in row if name not in columns()]
    problems += [unknown_column(name, columns()) for name in unknown]
    given = {name: value for name, value in row.items() if name not in unknown and value is not None}
    values = {name: value for name, value in given.items() if name in OWN_COLUMNS}
    wrong = [f"{name} has to be a text" for name, value in values.items() if not _is_text(value)]
    options, speaking = (_options(known, given, folder, wrong) for known in (OPTIONS, SPEAKING_OPTIONS))
    wrong += [f"{name} is missing" for name in ("id", "anchor") if name not in values]
    if wrong:
        problems += wrong
        return None
    named = folder / values["anchor"]
    if os.path.exists(named) or values["anchor"] != Path(values["anchor"]).name:
        values["anchor"] = str(named.absolute())
    if "speech" in values:
        values["speech"] = (folder / values["speech"]).absolute()
    values.setdefault("output", f"{values['id']}.mp4")
    try:
        job = Job(**values, options=GenerationConfig(**options), speaking=SpeakingConfig(**speaking))
    except TalkingHeadError as error:  # options that are allowed one by one, and not together
        problems.append(str(error))
        return None
    problems += _problems_of(job)
    return job


def _options(known: dict[str, Option], given: dict[str, Any], folder: Path, wrong: list[str]) -> dict[str, Any]:
    """The values that a row gives to known options; what is wrong with one is added to `wrong`."""
    options: dict[str, Any] = {}
    for name, value in given.items():
        if name in known:
            try:
                options[name] = _option(known[name], value, folder)
            except TalkingHeadError as error:
                wrong.append(str(error))
    return options


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value


def _option(option: Option, value: object, folder: Path) -> Any:
    """An option's value from a cell or from JSON, checked; paths are taken relative to a folder and made absolute.

    Raises:
        TalkingHeadError: the value is not allowed.
    """
    if isinstance(value, str) and not _is_text(value):
        raise option.error(f"{option.name} has to be {option.expected}")
    found = _converted(option, value)
    option.check(found)
    if isinstance(found, Path):
        return (folder / found).absolute()
    if option.may_be_folder and os.path.exists(folder / found):
        return str((folder / found).absolute())
    return found


def _converted(option: Option, value: Any) -> Any:
    """A cell of CSV or a JSON value as the option's type; returned as it is where it cannot be converted."""
    try:
        if option.kind == FaceChoice:
            return parse_face(str(value))
        if option.kind in (float, int) and not isinstance(value, bool):
            return option.kind(value)
        if option.kind is Path and isinstance(value, str):
            return Path(value)
        if option.kind is ClipRange and isinstance(value, str):
            return ClipRange.parse(value)
        if option.kind is bool and isinstance(value, str):
            return {"true": True, "false": False}.get(value.strip().lower(), value)
    except (TypeError, ValueError, OverflowError):
        pass
    return value


def _problems_of(job: Job) -> Iterator[str]:
    """What is wrong with a job whose values are of the right types."""
    if not _ID.fullmatch(job.id):
        yield "id has to be 1 to 100 letters, digits, _, - or ., of which - and . cannot come first"
    yield from _output_problems(job.output)
    if (job.speech is None) == (job.text is None):
        yield f"give one of speech and text; {'neither is' if job.text is None else 'both are'} given"
    if job.voice is not None and job.text is None:
        yield "voice can only be given with text"
    if job.speaking != SpeakingConfig() and job.text is None:
        yield f"{', '.join(SPEAKING_OPTIONS)} can only be given with text"
    if job.text is not None:
        yield from _complaint(_check_voice, job.speaker)
    yield from _complaint(_check_anchor, job.anchor)
    named = job.options.named_background
    if job.options.has_alpha and Path(job.output).suffix.lower() not in ALPHA_SUFFIXES:
        yield f"a transparent background needs an output that ends in {' or '.join(ALPHA_SUFFIXES)}"
    if isinstance(named, Path):
        yield from (f"{problem} (background)" for problem in _complaint(_check_file, str(named)))
    of_options = ((name, getattr(job.options, name)) for name in OPTIONS)
    for name, path in (("speech", job.speech), ("pronunciation", job.speaking.pronunciation), *of_options):
        if isinstance(path, Path):
            yield from (f"{problem} ({name})" for problem in _complaint(_check_file, str(path)))


def _output_problems(name: str) -> Iterator[str]:
    if name != Path(name).name or "\\" in name or name.startswith(".") or not name.isprintable():
        yield f"output {name[:60]!r} has to be a bare file name"
    elif len(name.encode("utf-8", "replace")) > LONGEST_NAME_BYTES:
        yield "the name of the output is too long"
    elif Path(name).suffix.lower() not in VIDEO_SUFFIXES:
        yield f"output has to end in {', '.join(VIDEO_SUFFIXES)}"


def _complaint(check: Callable[[str], str], value: str) -> Iterator[str]:
    complaint = check(value)
    if complaint:
        yield complaint


@lru_cache(maxsize=4096)
def _check_voice(name: str) -> str:
    """Why a voice cannot be used; empty where it can."""
    try:
        find_voice(name)
    except TalkingHeadError as error:
        return str(error)
    return ""


@lru_cache(maxsize=4096)
def _check_anchor(anchor: str) -> str:
    """Why an anchor cannot be used; empty where its description can be read."""
    try:
        read_description(anchor_folder(Path(anchor)))
    except (TalkingHeadError, OSError) as error:
        return str(error)
    return ""


@lru_cache(maxsize=4096)
def _check_file(path: str) -> str:
    """Why a file cannot be used; empty where it is there and has content."""
    if not os.path.isfile(path):  # unlike Path's, it is False for a name that cannot be
        return f"there is no file {path}"
    return "" if os.path.getsize(path) else f"the file {path} is empty"
