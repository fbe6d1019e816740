"""`talkinghead train`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import Progress, TaskID

from talkinghead.cli.options import config_options, shared_options
from talkinghead.cli.output import print_json, progress_bar, warn_of_missing_consent
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
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="ANCHOR folder to make.")
@config_options(TrainingConfig)
@shared_options("overwrite", "quiet", "json")
def train(clip: Path, output: Path, config: TrainingConfig, overwrite: bool, quiet: bool, as_json: bool) -> None:
    """Make an ANCHOR of the person in CLIP: track, reconstruct, train.

    Half a minute of one person talking to the camera is enough; two minutes are better.
    """
    from talkinghead.training.face_update.train import train as train_anchor

    try:
        with progress_bar(quiet or as_json) as bar:
            task = bar.add_task("", total=None, note="")
            description = train_anchor(
                clip, output, overwrite=overwrite, config=config, report=lambda progress: _show(bar, task, progress)
            )
    except TrainingInterruptedError as error:
        raise TrainingInterruptedError(f"{error} Go on with: {_command_to_resume()}") from error
    warn_of_missing_consent(config.consent, output, quiet)
    if as_json:
        print_json({"anchor": str(output), **description})
    elif not quiet:
        _echo_description(description, output)


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
        click.echo(f"Below about {FEW_STEPS} steps the mouth is blurred; train for more --minutes.")
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
