"""`talkinghead train`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import Progress, TaskID

from talkinghead.cli.options import config_options, shared_options
from talkinghead.cli.output import echo_pictures, print_json, progress_bar, warn_of_missing_consent
from talkinghead.errors import TrainingInterruptedError
from talkinghead.training.face_update.config import TrainingConfig

if TYPE_CHECKING:
    from talkinghead.training.face_update.trainer import TrainingProgress

FEW_STEPS = 250
"""Below so many steps the command remarks that the mouth will be blurred."""
VISIBLE_LAG_MS = 60
"""Above this lag between a clip's audio and its mouth, which viewers notice, the command remarks on it."""

_STAGES = {"tracking": "Tracking the face", "cropping": "Reading the clip", "training": "Training", "done": "Done"}


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
@config_options(TrainingConfig)
@shared_options("overwrite", "quiet", "json")
def train(
    clip: Path | None,
    output: Path | None,
    continued: Path | None,
    config: TrainingConfig,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make an ANCHOR of the person in CLIP: track, reconstruct, train.

    Half a minute of one person talking to the camera is enough; two minutes are better.
    """
    if (clip is None) == (continued is None):
        raise click.UsageError("Give either CLIP or --continue ANCHOR.")
    if clip is not None and output is None:
        raise click.UsageError("Missing option '-o' / '--output'.")
    from talkinghead.training.face_update.train import continue_training
    from talkinghead.training.face_update.train import train as train_anchor

    made = output or continued or Path()
    try:
        with progress_bar(quiet or as_json) as bar:
            task = bar.add_task("", total=None, note="")

            def show(progress: TrainingProgress) -> None:
                _show(bar, task, progress)

            if clip is not None:
                description = train_anchor(clip, made, overwrite=overwrite, config=config, report=show)
            else:
                description = continue_training(
                    continued or made, output, overwrite=overwrite, config=config, report=show
                )
    except TrainingInterruptedError as error:
        raise TrainingInterruptedError(f"{error} Go on with: {_command_to_resume()}") from error
    warn_of_missing_consent(config.consent or description.get("consent"), made, quiet)
    if as_json:
        print_json({"anchor": str(made), **description})
    elif not quiet:
        _echo_description(description, made)


def _command_to_resume() -> str:
    """The command that was given, as it goes on with the training."""
    given = [argument for argument in sys.argv[1:] if argument not in ("--overwrite", "--resume")]
    return shlex.join(["talkinghead", *given, "--resume"])


def _show(bar: Progress, task: TaskID, progress: TrainingProgress) -> None:
    """Draw the progress of a training."""
    note = f"{progress.step} frames" if progress.stage == "tracking" else ""
    if progress.stage == "training":
        note = f"step {progress.step}"
        if progress.held_out_psnr_db is not None:
            note += f", held-out frames {progress.held_out_psnr_db:.1f} dB"
    total = 1.0 if progress.stage in ("training", "done") else None
    bar.update(task, description=_STAGES[progress.stage], total=total, completed=progress.done, note=note)


def _echo_description(description: dict[str, Any], output: Path) -> None:
    """Print for people what anchor.json records."""
    steps = description["training"]["steps"]
    click.echo(f"{output}: trained for {steps} step{'s' if steps != 1 else ''}. Look at {output / 'training.png'}")
    if steps < FEW_STEPS:
        click.echo(
            f"Below about {FEW_STEPS} steps the mouth is blurred; `talkinghead train --continue {output}` goes on."
        )
    if description["clip"]["pictures"]:
        echo_pictures({"clip": description["clip"]["pictures"]})
    adaptation = description["speech_adaptation"]
    if adaptation is None:
        click.echo("The speech predictor was not adapted to this clip: too little speech in it, or nothing to gain.")
    else:
        before, after = adaptation["calibrated_r"], adaptation["held_out_r"]
        click.echo(
            f"The speech predictor was adapted to the clip: opening r {before:.2f} -> {after:.2f} on held-out parts."
        )
    lag_ms = description["audio"]["lag_ms"]
    if lag_ms is not None and abs(lag_ms) > VISIBLE_LAG_MS:
        click.echo(
            f"The clip's audio is {abs(lag_ms)} ms {'behind' if lag_ms > 0 else 'ahead of'} its mouth; "
            "generating from speech corrects this."
        )
