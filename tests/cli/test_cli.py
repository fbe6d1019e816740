import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from talkinghead import __version__, errors
from talkinghead.cli import doctor
from talkinghead.cli.errors import CommandGroup
from talkinghead.cli.main import main
from talkinghead.cli.options import shared_options
from talkinghead.speech.voice_activity import VoiceActivityConfig
from talkinghead.weights import registry as weights


@pytest.fixture(autouse=True)
def empty_models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test looks into the user's cache or fetches anything."""
    monkeypatch.setenv(weights.MODELS_VARIABLE, str(tmp_path))
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
    assert result.stdout == "" and result.stderr == "Error: the cause: do this\n"


def test_an_interrupt_ends_with_the_shells_code() -> None:
    result = CliRunner().invoke(group_that_raises(KeyboardInterrupt()), ["fail"])
    assert result.exit_code == 130 and result.stderr == "Interrupted.\n"


def test_a_mistake_of_ours_is_not_hidden() -> None:
    result = CliRunner().invoke(group_that_raises(ZeroDivisionError()), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_shared_options_are_given_by_name() -> None:
    seen = {}

    @click.command()
    @shared_options("device", "overwrite", "quiet", "json")
    def command(**values: object) -> None:
        seen.update(values)

    assert CliRunner().invoke(command, ["--json", "--device", "cpu"]).exit_code == 0
    assert seen == {"device": "cpu", "overwrite": False, "quiet": False, "as_json": True}


def test_models_lists_every_weight() -> None:
    result = CliRunner().invoke(main, ["models"])
    assert result.exit_code == 0
    for weight in weights.WEIGHTS.values():
        assert weight.file_name in result.stdout and weight.license in result.stdout
        assert weight.sha256 in "".join(result.stdout.split())


def test_models_as_json(empty_models_folder: Path) -> None:
    answer = json.loads(CliRunner().invoke(main, ["models", "--json"]).stdout)
    assert answer["folder"] == str(empty_models_folder)
    assert [(row["name"], row["path"]) for row in answer["models"]] == [(name, None) for name in weights.WEIGHTS]


def test_models_cannot_fetch_into_a_named_folder(empty_models_folder: Path) -> None:
    result = CliRunner().invoke(main, ["models", "--fetch"])
    assert result.exit_code == errors.ModelUnavailableError.exit_code
    assert str(empty_models_folder) in result.stderr and result.stderr.count("\n") == 1


def test_doctor_reports_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    ill = [doctor.Finding("one", doctor.State.OK, "1.0"), doctor.Finding("two", doctor.State.MISSING, "gone", "get it")]
    monkeypatch.setattr(doctor, "examine", lambda: ill)
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1 and "get it" in result.stdout
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert json.loads(result.stdout)["findings"][1] == {
        "subject": "two",
        "state": "missing",
        "detail": "gone",
        "remedy": "get it",
    }


def test_doctor_is_content_with_a_whole_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(weights.MODELS_VARIABLE)
    result = CliRunner().invoke(main, ["doctor", "--json"])
    findings = {finding["subject"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert [finding for finding in findings.values() if finding["state"] == "missing"] == []
    assert {"CPU", "CUDA", "encoder libx264", "encoder aac", "rasterizer numba", "voice activity"} <= findings.keys()


def test_doctor_names_a_package_that_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_REQUIRED", {"no-such-thing": "no_such_thing"})
    finding = next(finding for finding in doctor.examine() if finding.subject == "no-such-thing")
    assert finding.state == doctor.State.MISSING and finding.remedy == "pip install no-such-thing"


@pytest.mark.parametrize(("lag_ms", "said"), [(260, "260 ms late"), (-80, "80 ms early"), (40, None), (None, None)])
def test_train_tells_how_late_a_clips_sound_is(
    monkeypatch: pytest.MonkeyPatch, lag_ms: int | None, said: str | None
) -> None:
    made = {"sound": {"lag_ms": lag_ms, "r": None}, "training": {"steps": 5000}}
    monkeypatch.setattr("talkinghead.training.face_update.train.train", lambda *_, **__: made)
    result = CliRunner().invoke(main, ["train", "clip.mp4", "-o", "me.anchor"])
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert len(lines) == 1 + (said is not None)
    assert said is None or (said in lines[1] and "taken out" in lines[1])
    as_json = CliRunner().invoke(main, ["train", "clip.mp4", "-o", "me.anchor", "--json"])
    assert json.loads(as_json.stdout)["sound"]["lag_ms"] == lag_ms


def test_generate_is_told_how_fast_the_mouth_comes_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[VoiceActivityConfig] = []

    def generate(*_: object, pauses: VoiceActivityConfig, **__: object) -> dict[str, object]:
        asked.append(pauses)
        return {"consent": None}

    monkeypatch.setattr("talkinghead.generation.pipeline.generate", generate)
    for options in ([], ["--attack-ms", "90", "--release-ms", "250.5"]):
        result = CliRunner().invoke(main, ["generate", "me.anchor", "a.wav", "-o", "b.mp4", "--json", *options])
        assert result.exit_code == 0
    assert asked == [VoiceActivityConfig(), VoiceActivityConfig(attack_ms=90, release_ms=250.5)]
    assert (asked[0].attack_ms, asked[0].release_ms) == (140, 180)  # what the help says
