"""`talkinghead check`, and the same check before a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

from talkinghead.cli.options import face_option, shared_options
from talkinghead.cli.output import TextTable, print_json, print_table, progress_bar
from talkinghead.errors import UnfitClipError
from talkinghead.locale.messages import translated
from talkinghead.structures import FaceChoice

HAS_PROBLEMS = 1
"""Exit code of `check` where a training would fail or be worthless."""


@click.command()
@click.argument("clip", type=click.Path(path_type=Path))
@face_option
@shared_options("quiet", "json")
def check(clip: Path, face: FaceChoice, quiet: bool, as_json: bool) -> None:
    """Say whether CLIP is fit to make an ANCHOR of, before `train` spends minutes on it.

    Exit code 0: it is, perhaps with remarks; 1: a training would fail or be worthless.
    """
    from talkinghead.clip_check.findings import State, find, worst
    from talkinghead.clip_check.measurements import measure_clip

    with progress_bar(quiet or as_json) as bar:
        task = bar.add_task(translated("Tracking the face"), total=None, note="")
        measured = measure_clip(
            clip, face=face, progress=lambda done: bar.update(task, note=translated(f"{done} frames"))
        )
    findings = find(measured)
    state = worst(findings)
    if as_json:
        rows = [asdict(finding) for finding in findings]
        print_json({"clip": str(clip), "state": state, "findings": rows, "measured": measured.as_json()})
    elif not quiet:
        colors = {State.OK: "green", State.REMARK: "yellow", State.PROBLEM: "red"}
        table = TextTable("", "", "", translated("what to do"))
        for finding in findings:
            state_shown = Text(translated(finding.state), style=colors[finding.state])
            table.add_row(translated(finding.name), state_shown, translated(finding.value), translated(finding.advice))
        print_table(table)
    if state == State.PROBLEM:
        raise click.exceptions.Exit(HAS_PROBLEMS)


def check_before_training(
    clip: Path, face: FaceChoice, *, despite_problems: bool, quiet: bool, progress: Callable[[int], None]
) -> list[dict[str, str]]:
    """Check a clip of which an ANCHOR is about to be made, and tell on standard error what is to be known of it.

    Args:
        clip: any video file.
        face: which face is trained on.
        despite_problems: go on where there are problems.
        quiet: tell nothing.
        progress: called with the number of frames tracked.

    Returns:
        Every remark and problem, as `check --json` has them.

    Raises:
        UnfitClipError: there are problems.
    """
    from talkinghead.clip_check.findings import Finding, State, find
    from talkinghead.clip_check.measurements import measure_clip

    told = [finding for finding in find(measure_clip(clip, face=face, progress=progress)) if finding.state != State.OK]
    problems = [finding for finding in told if finding.state == State.PROBLEM]
    if problems and not despite_problems:
        what = ". ".join(str(finding) for finding in problems)
        raise UnfitClipError(f"{clip} is not fit to be trained on. {what}. --despite-problems trains all the same.")
    if not quiet:
        for finding in told:
            name, value, advice = map(translated, (finding.name, finding.value, finding.advice))
            click.echo(f"{translated(finding.state)}: {Finding(name, finding.state, value, advice)}", err=True)
    return [asdict(finding) for finding in told]
