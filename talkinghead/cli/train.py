"""`talkinghead train`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from talkinghead.cli.check import check_before_training
from talkinghead.cli.consent import remind_of_missing_consent
from talkinghead.cli.options import config_options, shared_options
from talkinghead.cli.output import echo, echo_pictures, print_json
from talkinghead.cli.training_progress import training_display
from talkinghead.errors import TrainingInterruptedError
from talkinghead.training.face_update.config import TrainingConfig
from talkinghead.training.face_update.verdict import limits, needs_more_training, verdict


@click.command()
@click.argument("clip", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="ANCHOR folder to make.")
@click.option(
    "--continue",
    "continued",
    type=click.Path(path_type=Path),
    metavar="ANCHOR",
    help="Train a finished ANCHOR further, on the clip in it, in place of CLIP; without -o it is replaced.",
)
@click.option("--despite-problems", is_flag=True, help="Train although `talkinghead check` finds problems in CLIP.")
@config_options(TrainingConfig)
@shared_options("overwrite", "quiet", "json")
def train(
    clip: Path | None,
    output: Path | None,
    continued: Path | None,
    despite_problems: bool,
    config: TrainingConfig,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make an ANCHOR of the person in CLIP: check, track, reconstruct, train.

    Half a minute of one person talking to the camera is enough; two minutes are better.
    """
    if (clip is None) == (continued is None):
        raise click.UsageError("Give either CLIP or --continue ANCHOR.")
    if clip is not None and output is None:
        raise click.UsageError("Missing option '-o' / '--output'.")
    from talkinghead.training.face_update.train import continue_training
    from talkinghead.training.face_update.train import train as train_anchor

    made = output or continued or Path()
    findings: list[dict[str, str]] = []
    try:
        with training_display(quiet or as_json) as show:

            def inspect(inspected: Path) -> None:
                from talkinghead.training.face_update.trainer import TrainingProgress

                findings.extend(
                    check_before_training(
                        inspected,
                        config.face,
                        despite_problems=despite_problems,
                        quiet=quiet or as_json,
                        progress=lambda frames: show(TrainingProgress("tracking", 0.0, frames)),
                    )
                )

            if clip is not None:
                description = train_anchor(clip, made, overwrite=overwrite, config=config, report=show, inspect=inspect)
            else:
                description = continue_training(
                    continued or made, output, overwrite=overwrite, config=config, report=show
                )
    except TrainingInterruptedError as error:
        raise TrainingInterruptedError(f"{error} Go on with: {_command_to_resume()}") from error
    remind_of_missing_consent(config.consent or description.get("consent"), made, quiet)
    if as_json:
        print_json({"anchor": str(made), **description, **({"findings": findings} if findings else {})})
    elif not quiet:
        _echo_description(description, made)


def _command_to_resume() -> str:
    """The command that was given, as it goes on with the training."""
    given = [argument for argument in sys.argv[1:] if argument not in ("--overwrite", "--resume")]
    return shlex.join(["talkinghead", *given, "--resume"])


def _echo_description(description: dict[str, Any], output: Path) -> None:
    """Print for people what has been made, what limits it, and what to do next."""
    echo(f"{output} is {verdict(description)}.")
    if found := limits(description):
        echo(f"What limits it: {'; '.join(found)}.")
    if description["clip"]["pictures"]:
        echo_pictures({"clip": description["clip"]["pictures"]})
    adaptation = description["speech_adaptation"]
    if adaptation is not None:
        before, after = adaptation["calibrated_r"], adaptation["held_out_r"]
        echo(f"The speech predictor was adapted to the clip: opening r {before:.2f} -> {after:.2f} on held-out parts.")
    elif description["audio"]["lag_ms"] is not None:  # else the lack of speech has been said
        echo("The speech predictor was not adapted to this clip: too little speech in it, or nothing to gain.")
    echo(f"Look at {output / 'training.png'}. Next:\n    {shlex.join(_next_command(description, output))}")


def _next_command(description: dict[str, Any], output: Path) -> list[str]:
    """More training where that is what is missing, else a first video."""
    folder = f"./{output}" if str(output).startswith("-") else str(output)
    if needs_more_training(description):
        return ["talkinghead", "train", "--continue", folder, "--minutes", "10"]
    return ["talkinghead", "generate", folder, "--text", "Good evening.", "-o", f"{Path(folder).with_suffix('.mp4')}"]
