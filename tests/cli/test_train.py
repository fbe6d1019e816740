"""What `talkinghead train` says: while it trains, on a terminal and without one, and when it has ended."""

from __future__ import annotations

import io
import json
import shlex
import threading
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from talkinghead.cli import output
from talkinghead.cli.main import main
from talkinghead.cli.training_progress import PlainLines, training_display
from talkinghead.training.face_update.quality import HeldOutQuality
from talkinghead.training.face_update.trainer import TrainingProgress
from talkinghead.training.face_update.verdict import limits, needs_more_training, verdict

TRAIN = "talkinghead.training.face_update.train.train"
FIRST_PICTURE = "Look at the mouth so far, renewed about every minute: work/training.png\n"


def made(
    steps: int = 1500,
    quality: str = "good",
    stood_still: bool = False,
    seconds_with_face: float = 70.0,
    opening: float = 0.06,
    lag_ms: int | None = 0,
) -> dict[str, Any]:
    """What `train` returns, as far as the command looks at it."""
    return {
        "consent": "Jo",
        "clip": {"seconds_with_face": seconds_with_face, "opening": opening, "pictures": {}},
        "audio": {"lag_ms": lag_ms, "r": None},
        "speech_adaptation": {"held_out_r": 0.81, "calibrated_r": 0.72},
        "training": {
            "steps": steps,
            "seconds": 541.0,
            "held_out_mouth_psnr_db": 32.44,
            "quality": quality,
            "stood_still": stood_still,
        },
    }


def trained(description: dict[str, Any], *arguments: str, anchor: str = "me.anchor") -> Result:
    """The command's output, for a training that returns at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TRAIN, lambda *_, **__: description)
        result = CliRunner().invoke(main, ["train", "clip.mp4", "-o", anchor, *arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize(
    ("lag_ms", "message"),
    [
        (260, "260 ms behind"),
        (-80, "80 ms ahead of"),
        (40, None),
        (0, None),
        (None, "no speech that its mouth follows"),
    ],
)
def test_it_says_how_late_a_clips_audio_is(lag_ms: int | None, message: str | None) -> None:
    said = trained(made(lag_ms=lag_ms)).stdout
    assert ("What limits it" in said) == (message is not None)
    assert message is None or message in said
    assert "opening r 0.72 -> 0.81" in said
    as_json = json.loads(trained(made(lag_ms=lag_ms), "--json").stdout)
    assert as_json == {"anchor": "me.anchor", **made(lag_ms=lag_ms)}


@pytest.mark.parametrize(("lag_ms", "is_said"), [(0, True), (None, False)])
def test_that_speech_was_not_adapted_is_said_unless_there_is_none(lag_ms: int | None, is_said: bool) -> None:
    said = trained({**made(lag_ms=lag_ms), "speech_adaptation": None}).stdout
    assert ("was not adapted" in said) == is_said and "opening r" not in said


def test_it_ends_with_a_verdict_and_a_command_that_can_be_copied() -> None:
    lines = trained(made(), anchor="my anchors/Jo's.anchor").stdout.splitlines()
    assert lines[0] == (
        "my anchors/Jo's.anchor is good: 32.4 dB at the mouth on frames that training did not use, "
        "after 1500 steps in 9 min."
    )
    assert shlex.split(lines[-1]) == [
        *("talkinghead", "generate", "my anchors/Jo's.anchor"),
        *("--text", "Good evening.", "-o", "my anchors/Jo's.mp4"),
    ]
    command, arguments = main.commands["generate"], shlex.split(lines[-1])[2:]
    command.make_context("generate", arguments)  # there are such options


@pytest.mark.parametrize(
    ("description", "goes_on"),
    [
        (made(steps=100, quality="usable"), True),
        (made(steps=1500, quality="rough"), True),
        (made(steps=1500, quality="usable"), False),
        (made(steps=100, quality="good"), False),  # the clip of the anchor that every training starts from
        (made(steps=1500, quality="rough", stood_still=True), False),  # more of the same does not help
    ],
)
def test_more_training_is_advised_where_it_is_missing(description: dict[str, Any], goes_on: bool) -> None:
    assert needs_more_training(description) == goes_on
    command = shlex.split(trained(description, anchor="-a b").stdout.splitlines()[-1])
    assert command[:2] == ["talkinghead", "train" if goes_on else "generate"]
    assert "./-a b" in command
    main.commands[command[1]].make_context(command[1], command[2:])


@pytest.mark.parametrize(
    ("changed", "limit"),
    [
        ({"seconds_with_face": 12.3}, "the face for 12 s"),
        ({"opening": 0.012}, "hardly opens"),
        ({"steps": 100, "quality": "usable"}, "blurred"),
        ({"quality": "rough"}, "still improving"),
    ],
)
def test_it_says_what_limits_the_result(changed: dict[str, Any], limit: str) -> None:
    assert limits(made()) == []
    (found,) = limits(made(**changed))
    assert limit in found


def test_the_verdict_says_that_it_no_longer_improved_and_counts_one_step() -> None:
    assert verdict(made(stood_still=True)).endswith("after 1500 steps in 9 min, when it no longer improved")
    assert "after 1 step in" in verdict(made(steps=1))
    diverged = made(quality="rough")
    diverged["training"]["held_out_mouth_psnr_db"] = None
    assert "not finite" in verdict(diverged)


def progress(stage: str = "training", done: float = 0.25, step: int = 300, **details: Any) -> TrainingProgress:
    return TrainingProgress(stage, done, step, **details)


COURSE = [
    progress("tracking", 0.0, 1),
    progress("speech", 0.0, 0),
    progress("training", 0.0, 1),
    progress(
        seconds_left=420.0,
        quality=HeldOutQuality(29.5, 30.86, 0.06),
        sheet=Path("work/training.png"),
    ),
    progress(
        done=0.5,
        step=600,
        seconds_left=61.0,
        quality=HeldOutQuality(33.0, 34.0, 0.04),
        stands_still=True,
        sheet=Path("work/training.png"),
    ),
    progress("done", 1.0, 900),
]


def test_without_a_terminal_there_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainLines()
    lines.print_latest()  # nothing to say yet
    for one in COURSE:
        lines.show(one)
        lines.print_latest()
    captured = capsys.readouterr()
    assert captured.out == ""
    said = captured.err.splitlines(keepends=True)
    assert said == [
        *["Tracking the face\n"] * 2,
        *["Fitting the speech model\n"] * 2,
        *["Training: 0 %, step 1\n"] * 2,
        FIRST_PICTURE,
        "Training: 25 %, 7 min left, step 300, unseen frames usable (mouth 30.9 dB)\n",
        "Held-out frames no longer improve; only teeth and lips are being sharpened now.\n",
        "Training: 50 %, 61 s left, step 600, unseen frames good, no longer improving (mouth 34.0 dB)\n",
    ]


def test_a_line_comes_also_while_nothing_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    printed, twice = [], threading.Event()

    def echo(line: str, err: bool) -> None:
        assert err
        printed.append(line)
        if len(printed) == 3:
            twice.set()

    monkeypatch.setattr(click, "echo", echo)
    with PlainLines(every_s=0.001) as lines:
        lines.show(progress("speech", 0.0, 0))
        assert twice.wait(60)
    assert all(line.startswith("Fitting the speech model") for line in printed)
    assert not lines._thread.is_alive()


def test_the_command_prints_lines_but_not_when_it_is_to_be_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: object, report: Any, **__: object) -> dict[str, Any]:
        for one in COURSE:
            report(one)
        return made()

    monkeypatch.setattr(TRAIN, train)
    command = ["train", "clip.mp4", "-o", "me.anchor"]
    said = CliRunner().invoke(main, command)
    assert FIRST_PICTURE in said.stderr and "Training" not in said.stdout
    for option in ("--quiet", "--json"):
        result = CliRunner().invoke(main, [*command, option])
        assert result.exit_code == 0 and result.stderr == ""
        assert option == "--json" or result.stdout == ""


def test_on_a_terminal_there_is_a_bar_and_each_remark_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = io.StringIO()
    monkeypatch.setattr(output, "Console", lambda **_: Console(file=drawn, force_terminal=True, width=200))
    with training_display(hidden=False) as show:
        for one in [*COURSE[:-1], *COURSE[3:-1]]:
            show(one)
    said = drawn.getvalue()
    assert said.count(FIRST_PICTURE.strip()) == 1 and said.count("Held-out frames no longer improve") == 1
    assert "unseen frames good, no longer improving (mouth 34.0 dB)" in said
