"""Messages in other languages: the catalogs are those of the source, and what they say keeps every value."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import talkinghead
from talkinghead.cli.main import main
from talkinghead.clip_check.findings import find
from talkinghead.clip_check.measurements import ClipMeasurements, StreamMeasurements
from talkinghead.errors import MissingFileError
from talkinghead.locale.compile import compiled, read_po
from talkinghead.locale.messages import FOLDER, PLACEHOLDER, PLURAL, Catalog, read_mo, translated
from talkinghead.options.command_group import CommandGroup

PACKAGE = Path(talkinghead.__file__).parent
CATALOGS = sorted(FOLDER.rglob("*.po"))
VALUE = "\0"


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")


def skeletons() -> Iterator[str]:
    """Every text of the source, with one sign for each value in it."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(str(one.value) if isinstance(one, ast.Constant) else VALUE for one in node.values)


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_the_compiled_catalog_is_that_of_its_source(path: Path) -> None:
    messages = read_po(path)
    assert path.with_suffix(".mo").read_bytes() == compiled(messages), "run python -m talkinghead.locale.compile"
    assert read_mo(path.with_suffix(".mo")) == {message: text for message, text in messages.items() if message}


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_every_value_is_kept(path: Path) -> None:
    for message, text in read_po(path).items():
        names = [found[1] for found in PLACEHOLDER.finditer(message)]
        kept = [name for name in names if name != PLURAL]
        assert sorted(kept) == sorted(found[1] for found in PLACEHOLDER.finditer(text)), message
        assert len(set(names)) == len(names), message
        assert "}{" not in message, "where one value ends and the next begins cannot be seen"
        assert text.strip(), message
        assert re.findall(r"--[a-z-]+|`[^`]+`", message) == [
            word for word in re.findall(r"--[a-z-]+|`[^`]+`", text) if word in message
        ], "options and commands are those of the message, in its order"


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_every_message_is_one_of_the_source(path: Path) -> None:
    source = set(skeletons())
    missing = [message for message in read_po(path) if PLACEHOLDER.sub(VALUE, message) not in source and message]
    assert not missing, "the source has changed: change the catalog with it"


def test_english_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for language in ("", "C", "C.UTF-8", "en_US.UTF-8", "fr_FR.UTF-8"):
        for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("LANG", language)
        assert translated("Preparing") == "Preparing"


@pytest.mark.usefixtures("chinese")
def test_values_come_into_the_other_sentence() -> None:
    assert translated("There is no file /a b/c.mp4.") == "没有文件 /a b/c.mp4。"
    assert translated("Nobody knows this.") == "Nobody knows this."
    assert translated("It is a riddle.") == "It is a riddle.", "it is not that of '{output} is {verdict}.'"
    verdict = "a.anchor is good: 32.4 dB at the mouth on frames that training did not use, after 1 step in 9 min."
    assert translated(verdict) == "a.anchor:良好:在训练未用的帧上嘴部 32.4 dB,1 步,用时 9 min。"
    assert translated(verdict.replace("min.", "min, when it no longer improved.")).endswith("min,因不再提高而结束。")
    passed = "3 of 9 frames were passed through unchanged, they have their old mouth (turned: 3)."
    assert translated(passed) == "9 帧中有 3 帧原样保留,这些帧仍是原来的嘴(turned: 3)。"
    assert translated("What limits it: it was still improving; below about 250 steps the mouth is blurred.") == (
        "限制因素:仍在提高中;少于约 250 步时嘴部模糊。"
    )


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize(
    ("what", "expected"),
    [("s of video", "秒视频"), ("s as a PREVIEW of 0.0 to 0.4 s of the video", "秒(视频第 0.0 到 0.4 秒的预览)")],
)
def test_the_report_of_a_video(what: str, expected: str) -> None:
    report = f"/tmp/a.mp4: 0.4 {what}, 512x512, 10 frames at 25 fps, made in 11.0 s (0.9 frames per second)"
    assert translated(report) == f"/tmp/a.mp4:0.4 {expected},512x512,10 帧,每秒 25 帧,用时 11.0 秒(每秒生成 0.9 帧)"


@pytest.mark.usefixtures("chinese")
def test_half_a_translation_is_none() -> None:
    for text in ("none, of a kind, in 3 s", "/a.mp4: 7 of it, 5x5, 10 frames at 25 fps, made in 11.0 s (1 frames)"):
        assert translated(text) == text
    known, unknown = "it was still improving", "the moon was full"
    assert translated(f"What limits it: {known}; {unknown}.") == f"What limits it: {known}; {unknown}."


@pytest.mark.usefixtures("chinese")
def test_names_are_not_translated() -> None:
    assert translated("There is no file good.") == "没有文件 good。"
    assert translated("{path}") == "{path}"
    assert translated("There is no file {reason}.") == "没有文件 {reason}。"


def test_the_entry_that_says_more_is_taken() -> None:
    catalog = Catalog({"{a} is here.": "A {a}", "{a} is not here.": "B {a}"})
    assert catalog.translate("Anna is not here.") == "B Anna"
    assert catalog.translate("Anna is here.") == "A Anna"
    assert catalog.translate("." * 3000 + " is here") == "." * 3000 + " is here"


@pytest.mark.usefixtures("chinese")
def test_a_command_speaks_chinese_and_its_json_does_not(tmp_path: Path) -> None:
    failed = CliRunner().invoke(main, ["check", str(tmp_path / "no.mp4")])
    assert failed.stderr == f"错误:{tmp_path / 'no.mp4'}:没有这个文件\n"
    assert failed.exit_code == MissingFileError.exit_code


@pytest.mark.usefixtures("chinese")
def test_findings_are_english_in_json_and_chinese_in_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stream = StreamMeasurements("", "", 0)
    nothing = ClipMeasurements(75, 0, 3.0, 25.0, 0.0, 0, 0.0, 0, stream, None, None, None)
    monkeypatch.setattr("talkinghead.clip_check.measurements.measure_clip", lambda *_, **__: nothing)
    table = CliRunner().invoke(main, ["check", "a.mp4"])
    assert table.exit_code == 1
    assert re.search(r"脸部 +问题 +75 帧中有 0 帧找到 +请换一段", table.stdout)
    answer = json.loads(CliRunner().invoke(main, ["check", "a.mp4", "--json"]).stdout)
    assert answer["findings"][0]["value"] == "found in 0 of 75 frames" == find(nothing)[0].value


@pytest.mark.usefixtures("chinese")
def test_an_error_without_a_translation_is_shown_in_english() -> None:
    @click.group(cls=CommandGroup)
    def group() -> None: ...

    @group.command()
    def fail() -> None:
        raise MissingFileError("Nothing like this was said before.")

    assert CliRunner().invoke(group, ["fail"]).stderr == "错误:Nothing like this was said before.\n"


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_no_entry_is_taken_for_another(path: Path) -> None:
    messages = {message: text for message, text in read_po(path).items() if message}
    catalog = Catalog(messages)
    for message, text in messages.items():
        turned = {found[1] for found in PLACEHOLDER.finditer(text) if found[2]}
        names = [found[1] for found in PLACEHOLDER.finditer(message)]
        english = {name: "" if name == PLURAL else "rough" if name in turned else "7" for name in names}
        other = {name: messages["rough"] if name in turned else value for name, value in english.items()}
        given = PLACEHOLDER.sub(lambda found, values=english: values[found[1]], message)  # type: ignore[misc]
        expected = PLACEHOLDER.sub(lambda found, values=other: values[found[1]], text)  # type: ignore[misc]
        assert catalog.translate(given) == expected
