"""The command line. Heavy modules are imported inside the commands, so that --help and --version answer at once."""

from __future__ import annotations

import os

import click

from talkinghead import __version__
from talkinghead.cli.batch import batch
from talkinghead.cli.check import check
from talkinghead.cli.consent import consent
from talkinghead.cli.dialogue import dialogue
from talkinghead.cli.evaluate import convert, evaluate
from talkinghead.cli.generate import generate, speak
from talkinghead.cli.info import doctor, info, licenses, models, verify, voices
from talkinghead.cli.serve import serve
from talkinghead.cli.train import train
from talkinghead.options.command_group import CommandGroup

# OpenMP's threads wait for each other by spinning, which halves the speed as soon as anything else runs on the machine.
# It is read when torch is loaded, which this module does not do.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="talkinghead")
def main() -> None:
    """Make the person in a video clip say any recording or text."""


for command in (
    *(check, train, generate, speak, dialogue, batch, evaluate, serve),
    *(info, consent, verify, voices, licenses, models, convert, doctor),
):
    main.add_command(command)
