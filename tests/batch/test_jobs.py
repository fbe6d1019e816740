"""Job files: good ones are read, and all problems of bad ones are listed with their lines."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from talkinghead.batch import jobs as batch_jobs
from talkinghead.batch.jobs import Job, read_jobs
from talkinghead.errors import JobFileError, MissingFileError
from talkinghead.generation.config import GenerationConfig
from talkinghead.options.fields import option, options_of
from talkinghead.structures import ClipRange
from talkinghead.text_to_speech import Script
from talkinghead.text_to_speech.config import SpeakingConfig

PRESENTER = "presenter"
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "batch.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("speech.wav", "clip.mp4"):
        (tmp_path / name).write_bytes(b"whatever")
    (tmp_path / "empty.wav").touch()
    return tmp_path


def json_lines(folder: Path, *rows: object) -> Path:
    path = folder / "jobs.jsonl"
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(JobFileError) as caught:
        read_jobs(path)
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)
    return list(caught.value.problems)


def a_job(**changes: Any) -> dict[str, Any]:
    row = {"id": "one", "anchor": PRESENTER, "speech": "speech.wav", **changes}
    return {name: value for name, value in row.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"preview": "13-10"}, "preview '13-10' has to end after it begins."),
        ({"size": "641"}, "size has to be a width"),
        ({"aspect": "4:3"}, "aspect has to be one of 9:16, 1:1, 16:9"),
        ({"quality": "best"}, "quality has to be one of draft, standard, high"),
        ({"lead_in": "-1"}, "lead_in has to be a number from 0 to 60 s"),
        ({"transcript": "speech.wav", "phones": "speech.wav"}, "Give either a transcript or a table of phones"),
    ],
)
def test_options_of_the_output_that_cannot_be_are_problems_of_their_line(
    folder: Path, changes: dict[str, str], problem: str
) -> None:
    (found,) = problems_of(json_lines(folder, a_job(**changes)))
    assert found.startswith(f"line 1: {problem}")


def test_options_of_the_output_are_columns(folder: Path) -> None:
    given = {"lead_in": "0.5", "lead_out": 1, "preview": "10-13", "aspect": "9:16", "size": "720p", "quality": "draft"}
    (job,) = read_jobs(json_lines(folder, a_job(**given)))
    assert job.options == GenerationConfig(
        lead_in=0.5, lead_out=1, preview="10-13", aspect="9:16", size="720p", quality="draft"
    )
    assert Job.from_json(json.loads(json.dumps(job.as_json()))) == job


def test_json_lines(folder: Path) -> None:
    rows = (
        a_job(),
        "\n",
        {"id": "二", "anchor": PRESENTER, "text": "Good evening.", "output": "two.mov", "face": 1},
        a_job(
            id="three",
            intensity=0.5,
            attack_ms=90,
            clip="clip.mp4",
            face="left",
            clip_range="3-17s",
            visible_label="AI",
        ),
    )
    assert read_jobs(json_lines(folder, *rows)) == [
        Job("one", PRESENTER, "one.mp4", speech=folder / "speech.wav"),
        Job("二", PRESENTER, "two.mov", text="Good evening.", options=GenerationConfig(face=1)),
        Job(
            "three",
            PRESENTER,
            "three.mp4",
            speech=folder / "speech.wav",
            options=GenerationConfig(
                intensity=0.5,
                attack_ms=90.0,
                clip=folder / "clip.mp4",
                face="left",
                clip_range=ClipRange(3, 17),
                visible_label="AI",
            ),
        ),
    ]


def test_csv_gives_the_same(folder: Path) -> None:
    path = folder / "jobs.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:  # as spreadsheets write it
        writer = csv.writer(file)
        writer.writerows(
            [
                ["id", "anchor", "speech", "text", "intensity", "face"],
                ["one", PRESENTER, "speech.wav", "", "", ""],
                ["", "", "", "", "", ""],
                ["two", PRESENTER, "", "Good evening.\n\nHere, the news.", "1.5", "2"],
            ]
        )
    assert read_jobs(path) == [
        Job("one", PRESENTER, "one.mp4", speech=folder / "speech.wav"),
        Job(
            "two",
            PRESENTER,
            "two.mp4",
            text="Good evening.\n\nHere, the news.",
            options=GenerationConfig(intensity=1.5, face=2),
        ),
    ]


@pytest.mark.parametrize("name", ["jobs.json", "jobs.jsonl", "jobs.txt"])
def test_a_json_list_gives_the_same(name: str, folder: Path) -> None:
    rows = [a_job(), a_job(id="two", intensity=0.5)]
    expected = read_jobs(json_lines(folder, *rows))
    for text in (json.dumps(rows), "\n " + json.dumps(rows, indent=2) + "\n", "[" + json.dumps(rows)[1:-1] + ",]"):
        (folder / name).write_text(text, "utf-8")
        assert read_jobs(folder / name) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[\n {"id": "a"},\n {"id": "b" "x"}\n]', "line 3: this is not JSON: Expecting ',' delimiter"),
        ('[{"id": "a"} {"id": "b"}]', "line 1: this is not JSON: a comma is expected after this object"),
        ('[\n{"id": "a"}\n', "line 2: this is not JSON: a comma is expected after this object, or ] after the last"),
        ("[]\n[]", "something follows the list"),
        ("[1,\n\n2]", "line 3: a JSON object is expected"),
        ("[]", "the file has no jobs"),
        ('{\n"id": "a"\n}\n', "line 1: this is not JSON: Expecting property name"),
        ('{\n"id": "a"\n}\n', "write each job on one line, or all jobs in one list"),
        ("id,anchor\n", "line 1: this is not JSON: Expecting value, column 1"),
    ],
)
def test_json_that_cannot_be_read(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_text(text, "utf-8")
    assert any(problem in found for found in problems_of(tmp_path / "jobs.json"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_in_the_encodings_of_spreadsheets(encoding: str, folder: Path) -> None:
    (folder / "jobs.txt").write_bytes("Id\tAnchor\tText\t\r\n一\tpresenter\t大家好\t\r\n".encode(encoding))
    assert read_jobs(folder / "jobs.txt") == [Job("一", PRESENTER, "一.mp4", text="大家好")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("jobs.csv", "id,anchor,text\n一,presenter,大家好\n".encode("gbk"), "perhaps in GBK; save it as UTF-8"),
        ("jobs.csv", "id,anchor\na,b\n".encode("utf-16-le"), "zero bytes, as UTF-16 without a mark"),
        ("jobs.xlsx", b"PK\x03\x04", "is a workbook, which is not read; save its sheet as CSV"),
    ],
)
def test_what_is_not_read_is_named_with_the_remedy(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(JobFileError, match=message):
        read_jobs(tmp_path / name)


def test_an_anchor_by_its_folder(folder: Path, anchor_folder: Path) -> None:
    (folder / "me").symlink_to(anchor_folder)
    (job,) = read_jobs(json_lines(folder, a_job(anchor="me")))
    assert job.anchor == str(folder / "me")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": None}, "id is missing"),
        ({"id": "../up"}, "id has to be"),
        ({"id": ".hidden"}, "id has to be"),
        ({"id": "a/b"}, "id has to be"),
        ({"id": "x" * 101}, "id has to be"),
        ({"id": 7}, "id has to be a text"),
        ({"anchor": None}, "anchor is missing"),
        ({"anchor": "nobody"}, "There is no ANCHOR folder"),
        ({"anchor": "speech.wav"}, "is a file, and an ANCHOR is a folder"),
        ({"speech": None}, "give one of speech and text; neither is given"),
        ({"text": "both"}, "give one of speech and text; both are given"),
        ({"speech": "none.wav"}, "there is no file"),
        ({"speech": "x" * 5000}, "there is no file"),
        ({"speech": "empty.wav"}, "empty.wav is empty (speech)"),
        ({"clip": "empty.wav"}, "empty.wav is empty (clip)"),
        ({"speech": "a\0b"}, "speech has to be a text"),
        ({"voice": "hibari"}, "voice can only be given with text"),
        ({"speech": None, "text": "Hi.", "voice": "nobody's"}, "nobody's"),
        ({"output": "../up.mp4"}, "bare file name"),
        ({"output": "/tmp/up.mp4"}, "bare file name"),
        ({"output": "..\\up.mp4"}, "bare file name"),
        ({"output": ".batch"}, "bare file name"),
        ({"output": "a\n.mp4"}, "bare file name"),
        ({"output": "..", "id": "two"}, "bare file name"),
        ({"output": "video.txt"}, "has to end in"),
        ({"output": "x" * 250 + ".mp4"}, "too long"),
        ({"intensity": 4}, "intensity has to be a number"),
        ({"intensity": float("nan")}, "intensity has to be a number"),
        ({"intensity": True}, "intensity has to be a number"),
        ({"attack_ms": "quick"}, "attack_ms has to be a number"),
        ({"face": "middle"}, "face has to be"),
        ({"face": -1}, "face has to be"),
        ({"clip_range": "3"}, "clip_range has to be START-ENDs in seconds, such as 3-17s, of at least 1 s, not '3'"),
        ({"clip_range": "3-3.5s"}, "clip_range has to be START-ENDs in seconds"),
        ({"clip_range": 5}, "clip_range has to be START-ENDs in seconds"),
        ({"clip": "none.mp4"}, "there is no file"),
        ({"clip": 3}, "clip has to be a path"),
        ({"clip": "a\0b"}, "clip has to be a path"),
        ({"visible_label": " "}, "visible_label has to be a text"),
        ({"release_ms": 0}, "release_ms has to be a number from 1 to 100000 ms"),
        ({"device": "cpu"}, "no column 'device'"),
        ({"colour": "red"}, "no column 'colour'"),
    ],
)
def test_what_is_wrong_with_a_job(changes: dict[str, Any], message: str, folder: Path) -> None:
    problems = problems_of(json_lines(folder, a_job(id="first"), a_job(**changes)))
    assert problems and all(problem.startswith("line 2: ") for problem in problems)
    assert any(message in problem for problem in problems)


def test_every_problem_is_listed_with_its_line(folder: Path) -> None:
    rows = (a_job(), "{\n", "[]\n", a_job(), a_job(id="ONE", output="One.mp4"), a_job(id="b", face="no", intensity=9))
    assert [problem.split(":")[0] for problem in problems_of(json_lines(folder, *rows))] == [
        "line 2",
        "line 3",
        "line 4",  # the same id
        "line 4",  # the same output
        "line 5",  # the same output where case does not matter
        "line 6",
        "line 6",
    ]


@pytest.mark.parametrize("content", ["", "\n\n", "id,anchor\n", '"', "id,id\n1,2\n", "id\na,b,c\n", 'id\n"a\n'])
def test_tables_without_jobs(content: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(content, "utf-8")
    assert problems_of(path)


def test_files_that_are_not_job_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingFileError):
        read_jobs(tmp_path / "none.csv")
    path = tmp_path / "jobs.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(JobFileError, match="UTF-8"):
        read_jobs(path)
    path.write_text("[" * 100_000, "utf-8")
    assert problems_of(path)
    monkeypatch.setattr(batch_jobs, "LARGEST_BYTES", 10)
    with pytest.raises(JobFileError, match="larger"):
        read_jobs(path)


@dataclass(frozen=True)
class LargerConfig(GenerationConfig):
    """The options of `generate` and one more."""

    brightness: float = option(1.0, help="A factor on the light.", low=0, high=2)


def test_an_option_of_generate_is_a_column(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    larger = {found.name: found for found in options_of(LargerConfig) if found.name != "device"}
    assert larger.keys() - {"brightness"} == batch_jobs.OPTIONS.keys()
    monkeypatch.setattr(batch_jobs, "GenerationConfig", LargerConfig)
    monkeypatch.setattr(batch_jobs, "OPTIONS", larger)
    (job,) = read_jobs(json_lines(folder, a_job(brightness=0.5)))
    assert job.options == LargerConfig(brightness=0.5)
    assert job.as_json()["brightness"] == 0.5 and Job.from_json(job.as_json()) == job
    assert "brightness has to be a number" in problems_of(json_lines(folder, a_job(brightness=3)))[0]


def test_how_a_text_is_spoken_has_columns(folder: Path) -> None:
    (folder / "words.txt").write_text("SQL = sequel\n")
    columns = {"text_format": "plain", "speed": "1.2", "pause_ms": 300, "pronunciation": "words.txt"}
    (job,) = read_jobs(json_lines(folder, {"id": "a", "anchor": PRESENTER, "text": "Hi.", **columns}))
    speaking = SpeakingConfig("plain", 1.2, 300.0, (folder / "words.txt").absolute())
    assert job.source == Script("Hi.", config=speaking)
    assert Job.from_json(json.loads(json.dumps(job.as_json()))) == job
    spoken = {"id": "a", "anchor": PRESENTER, "text": "Hi."}
    assert "speed has to be a number" in problems_of(json_lines(folder, {**spoken, "speed": 9}))[0]
    assert "(pronunciation)" in problems_of(json_lines(folder, {**spoken, "pronunciation": "none.txt"}))[0]
    assert "only be given with text" in problems_of(json_lines(folder, a_job(speed=1.2)))[0]


def test_the_documentation_has_every_column() -> None:
    rows = [line for line in DOCUMENTATION.read_text("utf-8").splitlines() if line.startswith("| `")]
    columns = {line.split("`")[1]: line for line in rows}
    assert [*columns] == [*batch_jobs.columns()]
    for name, found in {**batch_jobs.OPTIONS, **batch_jobs.SPEAKING_OPTIONS}.items():
        assert columns[name] == f"| `{name}` | {found.description} |"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from([*batch_jobs.columns(), "other"]), JSON_VALUES),
        max_size=3,
    )
)
def test_whatever_is_in_a_row_no_output_leaves_the_folder(rows: list[dict[str, Any]], folder: Path) -> None:
    complete = [{"id": f"row-{number}", "anchor": PRESENTER, "text": "Hi.", **row} for number, row in enumerate(rows)]
    try:
        jobs = read_jobs(json_lines(folder, *complete))
    except JobFileError:
        return
    assert len(jobs) == len(rows)
    for job in jobs:
        assert Path(os.path.normpath(folder / "out" / job.output)).parent == folder / "out"
        assert 0 <= job.options.intensity <= 3


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=40) | st.sampled_from(["..", "../a.mp4", "/a.mp4", "a/../../b.mp4", "a\\..\\b.mp4"]))
def test_whatever_an_output_is_called_it_stays_in_the_folder(name: str, folder: Path) -> None:
    try:
        (job,) = read_jobs(json_lines(folder, a_job(output=name), "\n"))
    except JobFileError:
        return
    assert job.output == name and not set(name) & set("/\\\0\n") and not name.startswith(".")


def test_ten_thousand_jobs(folder: Path) -> None:
    jobs = read_jobs(json_lines(folder, *(a_job(id=f"job-{number}") for number in range(10_000))))
    assert len(jobs) == 10_000 and jobs[-1].output == "job-9999.mp4"
