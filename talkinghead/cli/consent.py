"""`talkinghead consent`, and the reminder where an ANCHOR records none."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

import click

from talkinghead.cli.options import shared_options
from talkinghead.cli.output import echo, escaped, print_json


@click.command()
@click.argument("anchor", type=click.Path(path_type=Path))
@click.argument("text", required=False)
@shared_options("overwrite", "json")
def consent(anchor: Path, text: str | None, overwrite: bool, as_json: bool) -> None:
    """Record in ANCHOR who agreed to be animated, how and when (TEXT); without TEXT, show what is recorded."""
    from talkinghead.anchor import read_description, record_consent
    from talkinghead.weights.bundled import anchor_folder

    if text is None:
        recorded = read_description(anchor_folder(anchor))["consent"]
    else:
        recorded = record_consent(anchor, text, overwrite=overwrite)
    if as_json:
        print_json({"anchor": str(anchor), "consent": recorded})
    else:
        click.echo(f"{anchor}: {escaped(recorded or 'no consent is recorded')}")


def remind_of_missing_consent(consent: str | None, anchor: Path, quiet: bool) -> None:
    """Tell on standard error that an ANCHOR records no consent: once for each, as the user's cache remembers."""
    if consent is not None or quiet:
        return
    from talkinghead.anchor import DESCRIPTION_FILE
    from talkinghead.weights.bundled import anchor_folder

    if _has_been_told(anchor_folder(anchor) / DESCRIPTION_FILE):
        return
    echo(
        f"{anchor} records no consent: animate only people who have agreed to it, and record who, how and when: "
        f'talkinghead consent {shlex.quote(str(anchor))} "..."',
        err=True,
    )


def _has_been_told(description: Path) -> bool:
    """Whether this was asked before for an ANCHOR, by the content of its anchor.json; it counts as told from now on."""
    import platformdirs

    from talkinghead.errors import MissingFileError
    from talkinghead.files import sha256_of

    try:
        told = platformdirs.user_cache_path("talkinghead") / "consent_reminders" / sha256_of(description)[:32]
    except MissingFileError:
        return False
    if told.exists():
        return True
    with contextlib.suppress(OSError):  # without a cache it is told each time
        told.parent.mkdir(parents=True, exist_ok=True)
        told.touch()
    return False
