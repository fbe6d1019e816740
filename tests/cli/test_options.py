"""Options of commands that are made from a dataclass, and those that commands share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from talkinghead.batch.config import BatchConfig
from talkinghead.cli.main import main
from talkinghead.cli.options import config_options, shared_options
from talkinghead.generation.config import GenerationConfig
from talkinghead.generation.pipeline import VideoOutput
from talkinghead.options.fields import option, options_of
from talkinghead.structures import ClipRange
from talkinghead.training.face_update.config import TrainingConfig


@dataclass(frozen=True)
class LargerConfig(GenerationConfig):
    """The options of `generate` and one more."""

    brightness: float = option(1.0, help="A factor on the light.", low=0, high=2)


def command_of(config: type[Any]) -> tuple[click.Command, list[Any]]:
    """A command with the options of a dataclass, and the list to which it adds what it is called with."""
    calls: list[Any] = []

    @click.command()
    @config_options(config)
    def command(config: Any) -> None:
        calls.append(config)

    return command, calls


def test_a_field_of_the_dataclass_is_an_option_of_the_command() -> None:
    command, calls = command_of(LargerConfig)
    shown = " ".join(CliRunner().invoke(command, ["--help"]).stdout.split())
    assert "--brightness FLOAT A factor on the light. [from 0 to 2; default: 1]" in shown
    assert CliRunner().invoke(command, ["--brightness", "0.5", "--face", "1"]).exit_code == 0
    assert calls == [LargerConfig(brightness=0.5, face=1)]


def test_every_type_of_option_is_read() -> None:
    command, calls = command_of(BatchConfig)
    arguments = ["--no-resume", "--workers", "3", "--time-limit", "1.5", "--sign", "a.pem", "b.pem", "--engine", "ray"]
    for given in ([], arguments):
        assert CliRunner().invoke(command, given).exit_code == 0
    sign = Path("a.pem"), Path("b.pem")
    assert calls == [
        BatchConfig(),
        BatchConfig(resume=False, workers=3, time_limit=1.5, sign=sign, engine="ray"),
    ]


@pytest.mark.parametrize("arguments", [["--face", "middle"], ["--intensity", "much"], ["--face", "-1"]])
def test_a_value_that_cannot_be_read_is_a_usage_error(arguments: list[str]) -> None:
    command, calls = command_of(GenerationConfig)
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2 and arguments[0] in result.stderr and calls == []


@pytest.mark.parametrize(
    ("command", "config"),
    [
        (main.commands["generate"], GenerationConfig),
        (main.commands["batch"], BatchConfig),
        (main.commands["train"], TrainingConfig),
    ],
)
def test_the_commands_have_every_option_of_their_dataclass(command: click.Command, config: type[Any]) -> None:
    if isinstance(command, click.Group):
        command = command.commands["run"]
    helps = {parameter.name: getattr(parameter, "help", None) for parameter in command.params}
    for found in options_of(config):
        assert helps[found.name] == found.description


def test_shared_options_are_given_by_name() -> None:
    seen = {}

    @click.command()
    @shared_options("overwrite", "quiet", "json")
    def command(**values: object) -> None:
        seen.update(values)

    assert CliRunner().invoke(command, ["--json"]).exit_code == 0
    assert seen == {"overwrite": False, "quiet": False, "as_json": True}


def test_generate_is_called_with_all_of_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []

    def write_video(*arguments: object) -> dict[str, object]:
        calls.append(arguments[:4])
        return report

    report = {"consent": None, "speech_adaptation": "half", "frames": 9, "frames_passed_through": 0, "pictures": {}}
    monkeypatch.setattr("talkinghead.generation.pipeline.write_video", write_video)
    options = ["--attack-ms", "90", "--release-ms", "250.5", "--clip", "c.mp4", "--face", "2", "--device", "cpu"]
    options += ["--clip-range", "0.5-8", "--visible-label", "AI", "--contact-sheet", "c.png", "--overwrite"]
    for given in ([], options):
        result = CliRunner().invoke(main, ["generate", "me.anchor", "a.wav", "-o", "b.mp4", "--json", *given])
        assert result.exit_code == 0 and json.loads(result.stdout) == report
    inputs = Path("me.anchor"), Path("a.wav")
    config = GenerationConfig(
        attack_ms=90,
        release_ms=250.5,
        clip=Path("c.mp4"),
        clip_range=ClipRange(0.5, 8),
        face=2,
        device="cpu",
        visible_label="AI",
    )
    assert calls == [
        (*inputs, VideoOutput(Path("b.mp4")), GenerationConfig()),
        (*inputs, VideoOutput(Path("b.mp4"), contact_sheet=Path("c.png"), overwrite=True), config),
    ]


def test_train_is_called_with_all_of_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []

    def train(clip: Path, output: Path, **options: Any) -> dict[str, Any]:
        assert (clip, output) == (Path("c.mp4"), Path("me.anchor"))
        calls.append({name: value for name, value in options.items() if name not in ("report", "inspect")})
        return {}

    monkeypatch.setattr("talkinghead.training.face_update.train.train", train)
    options = ["--minutes", "2.5", "--steps", "40", "--resume", "--face", "left", "--consent", "Jo", "--device", "cpu"]
    options += ["--clip-range", "3-17s"]
    for given in ([], [*options, "--overwrite"]):
        assert CliRunner().invoke(main, ["train", "c.mp4", "-o", "me.anchor", "--json", *given]).exit_code == 0
    config = TrainingConfig(
        minutes=2.5, steps=40, resume=True, face="left", clip_range=ClipRange(3, 17), consent="Jo", device="cpu"
    )
    assert calls == [{"config": TrainingConfig(), "overwrite": False}, {"config": config, "overwrite": True}]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--intensity", "4"], 65, "Error: intensity has to be a number from 0 to 3, not 4.\n"),
        (["--attack-ms", "0"], 2, "Error: attack_ms has to be a number from 1 to 100000 ms, not 0.\n"),
        (
            ["--clip-range", "3"],
            2,
            "Error: clip_range: START-ENDs in seconds is expected, such as 3-17s, not '3'.\n",
        ),
        (["--clip-range", "3-3.5s"], 2, "Error: clip_range: 3-3.5s is shorter than 1 s.\n"),
    ],
)
def test_an_option_out_of_its_range_is_one_line_and_its_exit_code(
    arguments: list[str], exit_code: int, message: str
) -> None:
    result = CliRunner().invoke(main, ["generate", "presenter", "a.wav", "-o", "b.mp4", *arguments])
    assert (result.exit_code, result.stderr, result.stdout) == (exit_code, message, "")
