"""`talkinghead evaluate` and `talkinghead convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from talkinghead.cli.options import path_option, shared_options
from talkinghead.cli.output import print_json, print_table, progress_bar
from talkinghead.errors import MissingFileError

if TYPE_CHECKING:
    from talkinghead.evaluation.results import Evaluation


@click.command()
@click.argument("outputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@path_option(
    "--reference",
    "Ground-truth video: one for all, one for each output, or a folder of videos with the outputs' names.",
)
@path_option("--driving", "Audio that drives the outputs, given likewise; by default the reference's own.")
@path_option("--phones", "Phone times in that audio (begin, end, phone on each line), given likewise.")
@path_option("--transcript", "Text of that audio, in English, from which phone times are aligned, given likewise.")
@path_option("--against", "Output of another system to compare with, or a folder of them with the outputs' names.")
@click.option(
    "--anchor", type=click.Path(path_type=Path), help="ANCHOR of that person, to measure the renderer ceiling too."
)
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Also write the scores as CSV.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Also write a report as one HTML page.")
@shared_options("overwrite", "quiet", "json")
def evaluate(
    outputs: tuple[Path, ...],
    reference: tuple[Path, ...],
    driving: tuple[Path, ...],
    phones: tuple[Path, ...],
    transcript: tuple[Path, ...],
    against: tuple[Path, ...],
    anchor: Path | None,
    csv_file: Path | None,
    html_file: Path | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure OUTPUTS against ground-truth videos of the same speech; docs/evaluation.md defines each score.

    OUTPUTS are videos, folders of them, or a CSV of pairs with the headings output, reference, driving, phones,
    transcript, ceiling, twin, system. Without a reference, only scores of mouth and audio are measured.
    """
    from talkinghead.evaluation import tables
    from talkinghead.evaluation.evaluate import evaluate as evaluate_pairs
    from talkinghead.evaluation.pairs import find_pairs
    from talkinghead.files import check_output_path, write_text

    for path, suffix in ((csv_file, ".csv"), (html_file, ".html")):
        if path is not None:
            check_output_path(path, overwrite=overwrite, suffixes=(suffix,))
    matched = find_pairs(outputs, reference, driving, phones, against, transcript)
    if not matched.pairs:
        raise MissingFileError(f"Nothing to compare: {matched.left_out[0].output}: {matched.left_out[0].reason}.")
    with progress_bar(quiet or as_json) as bar:
        task = bar.add_task("Scoring", total=len(matched.pairs), note="")
        evaluation = evaluate_pairs(
            matched.pairs,
            anchor=anchor,
            left_out=matched.left_out,
            progress=lambda done, count: bar.update(task, completed=done, note=f"{done} of {count}"),
        )
    if csv_file is not None:
        write_text(csv_file, tables.as_csv(evaluation))
    if html_file is not None:
        from talkinghead.evaluation.report import report

        write_text(html_file, report(evaluation))
    if as_json:
        print_json(tables.as_json(evaluation))
    else:
        _print(evaluation, quiet)
    if evaluation.left_out:
        raise click.exceptions.Exit(evaluation.left_out[0].exit_code)


def _print(evaluation: Evaluation, quiet: bool) -> None:
    """Print what the scores mean, the tables, and what has to be known beside them."""
    from talkinghead.evaluation import tables
    from talkinghead.evaluation.summary import scale_line, summary

    above = [] if quiet else [*summary(evaluation), scale_line(evaluation)]
    for line in filter(None, above):
        click.echo(line)
    if tables.headline(evaluation):
        print_table(tables.headline_table(evaluation))
    print_table(tables.scores_table(evaluation))
    if len(evaluation.pairs) > 1:
        print_table(tables.intervals_table(evaluation))
        print_table(tables.pairs_table(evaluation))
    if len(evaluation.systems) > 1:
        print_table(tables.differences_table(evaluation))
    below = [] if quiet else tables.remarks(evaluation)
    for line in below:
        click.echo(line)
    if not quiet and evaluation.empty:
        click.echo(f"{tables.not_measured_line(evaluation)} (--json and --html say why)")


@click.command()
@click.argument("name", type=click.Choice(["syncnet_v2", "lpips_alex", "fid_inception"]))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File to write; by default where `evaluate` looks for it."
)
def convert(name: str, files: tuple[Path, ...], output: Path | None) -> None:
    """Convert the published weights NAME from FILES of PyTorch to safetensors.

    No code in the files is run. docs/evaluation.md says where to get them.
    """
    from talkinghead.metrics.networks import METRIC_NETWORKS
    from talkinghead.metrics.networks import convert as convert_weights

    click.echo(f"{convert_weights(METRIC_NETWORKS[name], files, output)}: ready for `talkinghead evaluate`")
