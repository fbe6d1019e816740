"""The program: errors and exit codes, and the commands that show what there is."""

import json
from fractions import Fraction
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from talkinghead import __version__, errors
from talkinghead.cli import doctor
from talkinghead.cli.main import main
from talkinghead.options.command_group import CommandGroup
from talkinghead.structures import PictureTreatment
from talkinghead.weights import registry


@pytest.fixture(autouse=True)
def empty_models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test looks into the user's cache or fetches anything."""
    monkeypatch.setenv(registry.MODELS_VARIABLE, str(tmp_path))
    return tmp_path


def all_errors() -> list[type[errors.TalkingHeadError]]:
    found = [errors.TalkingHeadError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return found


def group_that_raises(error: BaseException) -> click.Group:
    @click.group(cls=CommandGroup)
    def group() -> None:
        pass

    @group.command()
    def fail() -> None:
        raise error

    return group


def test_version() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.exit_code == 0 and __version__ in result.stdout


def test_every_command_has_help() -> None:
    for name in main.commands:
        result = CliRunner().invoke(main, [name, "--help"])
        assert result.exit_code == 0 and main.commands[name].help, name


@pytest.mark.parametrize("kind", all_errors())
def test_an_error_is_one_line_on_standard_error_and_its_exit_code(kind: type[errors.TalkingHeadError]) -> None:
    result = CliRunner().invoke(group_that_raises(kind("the cause: do this")), ["fail"])
    assert result.exit_code == kind.exit_code != 0
    said = "" if kind is errors.TrainingInterruptedError else "Error: "  # nothing went wrong there
    assert result.stdout == "" and result.stderr == f"{said}the cause: do this\n"


def test_an_interrupt_ends_with_exit_code_130() -> None:
    result = CliRunner().invoke(group_that_raises(KeyboardInterrupt()), ["fail"])
    assert result.exit_code == 130 and result.stderr == "Interrupted.\n"


def test_an_interrupted_training_prints_the_command_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise errors.TrainingInterruptedError("Interrupted after 7 steps, which are kept.")

    monkeypatch.setattr("talkinghead.training.face_update.train.train", interrupted)
    command = ["train", "my clip.mp4", "-o", "me", "--minutes", "3", "--overwrite"]
    monkeypatch.setattr("sys.argv", ["talkinghead", *command])
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 130
    said = "Interrupted after 7 steps, which are kept. Go on with: "
    assert result.stderr == said + "talkinghead train 'my clip.mp4' -o me --minutes 3 --resume\n"


def test_an_unexpected_error_is_not_hidden() -> None:
    result = CliRunner().invoke(group_that_raises(ZeroDivisionError()), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_models_lists_every_weight() -> None:
    result = CliRunner().invoke(main, ["models"])
    assert result.exit_code == 0
    for weight in registry.WEIGHTS.values():
        assert weight.file_name in result.stdout and weight.license in result.stdout
        assert weight.sha256 in "".join(result.stdout.split())


def test_models_as_json(empty_models_folder: Path) -> None:
    answer = json.loads(CliRunner().invoke(main, ["models", "--json"]).stdout)
    assert answer["folder"] == str(empty_models_folder)
    assert [(row["name"], row["path"]) for row in answer["models"]] == [(name, None) for name in registry.WEIGHTS]


def test_models_cannot_fetch_into_a_named_folder(empty_models_folder: Path) -> None:
    result = CliRunner().invoke(main, ["models", "--fetch"])
    assert result.exit_code == errors.ModelUnavailableError.exit_code
    assert str(empty_models_folder) in result.stderr and result.stderr.count("\n") == 1


def test_doctor_reports_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [
        doctor.Finding("one", doctor.State.OK, "1.0"),
        doctor.Finding("two", doctor.State.MISSING, "gone", "get it"),
    ]
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1 and "get it" in result.stdout
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert json.loads(result.stdout)["findings"][1] == {
        "subject": "two",
        "state": "missing",
        "detail": "gone",
        "remedy": "get it",
    }


def test_doctor_finds_nothing_missing_in_a_complete_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(registry.MODELS_VARIABLE)
    result = CliRunner().invoke(main, ["doctor", "--json"])
    findings = {finding["subject"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert [finding for finding in findings.values() if finding["state"] == "missing"] == []
    assert {"CPU", "CUDA", "encoder libx264", "encoder aac", "rasterizer numba", "voice activity"} <= findings.keys()


def test_doctor_names_a_package_that_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_REQUIRED", {"no-such-thing": "no_such_thing"})
    finding = next(finding for finding in doctor.examine() if finding.subject == "no-such-thing")
    assert finding.state == doctor.State.MISSING and finding.remedy == "pip install no-such-thing"


def test_doctor_prints_brackets_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = doctor.Finding("[bold]subject[/]", doctor.State.NOTE, "[a] detail", "pip install 'talkinghead[kokoro]'")
    monkeypatch.setattr(doctor, "examine", lambda: [finding])
    result = CliRunner().invoke(main, ["doctor"])
    assert all(text in result.stdout for text in (finding.subject, finding.detail, finding.remedy))


@pytest.mark.parametrize("arguments", [[], ["a.mp4"], ["a.mp4", "-o", "b", "--continue", "c"]])
def test_training_takes_a_clip_or_an_anchor(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, ["train", *arguments]).exit_code == 2


def test_what_reading_did_to_pictures_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    treatment = PictureTreatment(Fraction(4, 3), "HLG BT.2020", "interlaced, top field first", 25, Fraction(25))
    report = {
        "output": "b.mp4",
        "consent": "Jo",
        "speech_adaptation": "half",
        "frames": 100,
        "fps": 25.0,
        "duration_s": 4.0,
        "seconds": 1.0,
        "frames_per_second": 100.0,
        "frames_passed_through": 0,
        "preview": None,
        "enlargement": None,
        "width": 512,
        "height": 512,
        "pictures": {"clip": treatment.as_dict()},
    }
    monkeypatch.setattr("talkinghead.generation.pipeline.write_video", lambda *_: report)
    result = CliRunner().invoke(main, ["generate", "me.anchor", "a.wav", "-o", "b.mp4"])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "Pictures of the clip: pixels of 4:3 made square; HLG BT.2020 converted to BT.709; deinterlaced (interlaced, "
        "top field first); 25 fps by its time stamps; 25 frames repeated in gaps."
    )
    as_json = json.loads(CliRunner().invoke(main, ["generate", "me.anchor", "a.wav", "-o", "b.mp4", "--json"]).stdout)
    assert as_json["pictures"]["clip"]["filled_frames"] == 25
