"""`talkinghead train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from talkinghead.cli.options import face_option, shared_options
from talkinghead.cli.output import print_json, progress_bar, warn_of_missing_consent

if TYPE_CHECKING:
    from talkinghead.structures import FaceChoice

FEW_STEPS = 250
"""A shorter training is remarked on: what it makes is not fit to be shown."""
REMARKABLE_LAG_MS = 60
"""A lag of a clip's sound that the eye can see is remarked on."""


@click.command()
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The ANCHOR folder to make.")
@click.option("--minutes", type=click.FloatRange(min=0.01), help="Length of the training loop.  [default: 15]")
@click.option("--steps", type=click.IntRange(min=1), help="Length of the training loop in steps.")
@click.option("--resume", is_flag=True, help="Go on with a training of this clip that was interrupted.")
@face_option
@click.option("--consent", help="Who agreed to be animated, when and where; kept in the ANCHOR.")
@shared_options("device", "overwrite", "quiet", "json")
def train(
    clip: Path,
    output: Path,
    minutes: float | None,
    steps: int | None,
    resume: bool,
    face: FaceChoice,
    consent: str | None,
    device: str,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make an ANCHOR of the person in CLIP: track, reconstruct, train.

    Half a minute of one person talking to the camera is enough; two minutes are better.
    """
    from talkinghead.training.face_update.train import train as train_anchor
    from talkinghead.training.face_update.trainer import TrainingProgress

    names = {"tracking": "Tracking the face", "cropping": "Reading the clip", "training": "Training", "done": "Done"}
    with progress_bar(quiet or as_json) as bar:
        task = bar.add_task("", total=None, note="")

        def report(progress: TrainingProgress) -> None:
            note = f"{progress.step} frames" if progress.stage == "tracking" else ""
            if progress.stage == "training":
                note = f"step {progress.step}"
                if progress.held_out_psnr_db is not None:
                    note += f", unseen frames {progress.held_out_psnr_db:.1f} dB"
            total = 1.0 if progress.stage in ("training", "done") else None
            bar.update(task, description=names[progress.stage], total=total, completed=progress.done, note=note)

        made = train_anchor(
            clip,
            output,
            minutes=minutes,
            steps=steps,
            resume=resume,
            overwrite=overwrite,
            face=face,
            consent=consent,
            device=device,
            report=report,
        )
    warn_of_missing_consent(consent, output, quiet)
    if as_json:
        print_json({"anchor": str(output), **made})
    elif not quiet:
        steps_made = made["training"]["steps"]
        click.echo(f"{output}: trained {steps_made} steps. Look at {output / 'training.png'}")
        if steps_made < FEW_STEPS:
            click.echo(f"That is little: below about {FEW_STEPS} steps the mouth is a blur. Give it more --minutes.")
        lag_ms = made["audio"]["lag_ms"]
        if lag_ms is not None and abs(lag_ms) > REMARKABLE_LAG_MS:
            click.echo(
                f"The clip's sound is {abs(lag_ms)} ms {'late' if lag_ms > 0 else 'early'} against its mouth; "
                "that is taken out when speech drives the anchor."
            )
