"""`talkinghead coefficients`."""

from __future__ import annotations

from pathlib import Path

import click

from talkinghead.cli.options import config_options, shared_options
from talkinghead.cli.output import print_json
from talkinghead.generation.coefficients_config import CoefficientsConfig

_ORIGINS = {"speech": "predicted from the audio", "video": "measured in the pictures", "table": "converted"}


@click.command()
@click.argument("anchor", type=click.Path(path_type=Path))
@click.argument("source", metavar="SPEECH|VIDEO|TABLE", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="File to write (.safetensors, .csv, .json)."
)
@config_options(CoefficientsConfig)
@shared_options("overwrite", "quiet", "json")
def coefficients(
    anchor: Path, source: Path, output: Path, config: CoefficientsConfig, overwrite: bool, quiet: bool, as_json: bool
) -> None:
    """Write what drives ANCHOR when it says SPEECH, does what VIDEO shows, or follows a TABLE of another program.

    `talkinghead generate --expression` reads every file that this writes, and those of the programs whose formats
    they are: Live Link Face, Audio2Face-3D and LAM.
    """
    from talkinghead.generation.coefficients import write_driving

    report = write_driving(anchor, source, output, config, overwrite=overwrite)
    if as_json:
        print_json(report)
    elif not quiet:
        what = "expression coefficients" if report["format"] == "expression" else f"ARKit weights ({report['format']})"
        click.echo(
            f"{output}: {report['duration_s']:.1f} s of {what} in {report['rows']} rows, {_ORIGINS[report['read_as']]}"
        )
