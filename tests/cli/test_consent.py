"""`talkinghead consent`, and the reminder where an ANCHOR records none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from talkinghead.anchor import LONGEST_CONSENT, read_description
from talkinghead.cli.consent import remind_of_missing_consent
from talkinghead.cli.main import main
from talkinghead.errors import MissingFileError, OptionError, OutputError, OutputExistsError

TEXT = "Jo [Doe], in writing, 1 May 2026"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ANCHOR that records no consent, as far as its description goes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = tmp_path / "my anchor"
    made.mkdir()
    description = {
        "format": "talkinghead/anchor/2",
        "consent": None,
        "clip": {"file": "clip.mp4", "sha256": "0" * 64},
        "sha256": {"network.safetensors": "1" * 64},
    }
    (made / "anchor.json").write_text(json.dumps(description), "utf-8")
    return made


def test_a_consent_is_recorded_and_nothing_else_is_changed(folder: Path) -> None:
    before = read_description(folder)
    assert CliRunner().invoke(main, ["consent", str(folder)]).stdout == f"{folder}: no consent is recorded\n"
    result = CliRunner().invoke(main, ["consent", str(folder), f" {TEXT} "])
    assert result.exit_code == 0 and result.stdout == f"{folder}: {TEXT}\n"
    assert read_description(folder) == {**before, "consent": TEXT}
    assert [path.name for path in folder.iterdir()] == ["anchor.json"]
    answer = json.loads(CliRunner().invoke(main, ["consent", str(folder), "--json"]).stdout)
    assert answer == {"anchor": str(folder), "consent": TEXT}


def test_another_consent_is_not_replaced_by_accident(folder: Path) -> None:
    for arguments, exit_code in (
        ([TEXT], 0),
        ([TEXT], 0),
        (["Somebody else"], OutputExistsError.exit_code),
        (["Somebody else", "--overwrite"], 0),
    ):
        assert CliRunner().invoke(main, ["consent", str(folder), *arguments]).exit_code == exit_code
    assert read_description(folder)["consent"] == "Somebody else"


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "\x1b[2J", "x" * (LONGEST_CONSENT + 1)])
def test_what_is_no_consent(text: str, folder: Path) -> None:
    assert CliRunner().invoke(main, ["consent", str(folder), text]).exit_code == OptionError.exit_code
    assert read_description(folder)["consent"] is None


def test_anchors_that_take_none(tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["consent", "presenter", TEXT]).exit_code == OutputError.exit_code
    assert CliRunner().invoke(main, ["consent", str(tmp_path / "no"), TEXT]).exit_code == MissingFileError.exit_code


def test_the_reminder_comes_once_for_each_anchor(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(consent: str | None = None, quiet: bool = False) -> str:
        remind_of_missing_consent(consent, folder, quiet)
        return capsys.readouterr().err

    assert told(TEXT) == told(quiet=True) == ""
    assert told() == (
        f"{folder} records no consent: animate only people who have agreed to it, and record who, how and when: "
        f"talkinghead consent '{folder}' \"...\"\n"
    )
    assert told() == ""
    (folder / "anchor.json").write_text((folder / "anchor.json").read_text("utf-8") + "\n", "utf-8")  # trained anew
    assert told() != "" and told() == ""
