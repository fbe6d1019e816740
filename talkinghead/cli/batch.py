"""`talkinghead batch JOBS -o DIR` and `talkinghead batch status DIR`."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from talkinghead.batch.config import BatchConfig
from talkinghead.cli.options import config_options, shared_options
from talkinghead.cli.output import print_json
from talkinghead.errors import JobFileError

if TYPE_CHECKING:
    from talkinghead.batch.executor import Executor
    from talkinghead.batch.runner import Summary


MOST_NAMED = 10
"""Failed jobs that the last line names."""


class _RunByDefault(click.Group):
    """`batch JOBS ...` means `batch run JOBS ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_RunByDefault)
def batch() -> None:
    """Make many videos: `batch JOBS -o DIR`, which is short for `batch run`."""


@batch.command()
@click.argument("jobs", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder for the videos.")
@config_options(BatchConfig)
@shared_options("overwrite", "quiet", "json")
def run(jobs: Path, output: Path, config: BatchConfig, overwrite: bool, quiet: bool, as_json: bool) -> None:
    """Make the videos that JOBS lists: CSV with a header line, or JSON Lines.

    A job has an id, an ANCHOR, a speech file or a text, and options of `generate`; docs/batch.md lists the columns.
    With --json, each event is one line of JSON. Exit code 0: all jobs are done; 3: some failed; 4: all are done, but
    more than half of some video has its old mouth; 2: JOBS cannot be used and no job was started.
    """
    from talkinghead.batch.jobs import read_jobs
    from talkinghead.batch.runner import run_batch

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM cleans up as Ctrl-C does
    try:
        executor = _executor(config)
        found = read_jobs(jobs)
        # Standard output is for events alone, and Ray prints to it too.
        with _Display(len(found), quiet, as_json) as display, contextlib.redirect_stdout(sys.stderr):
            summary = run_batch(
                found,
                output,
                executor,
                resume=config.resume,
                retries=config.retries,
                overwrite=overwrite,
                report=display.report,
            )
    except JobFileError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        raise
    if not quiet and not as_json:
        _echo_summary(summary, output)
    sys.exit(summary.exit_code)


@batch.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@shared_options("json")
def status(folder: Path, as_json: bool) -> None:
    """Show how many jobs of the batch in DIR are queued, running, done and failed."""
    from talkinghead.batch.state import BatchState

    with BatchState(folder, must_exist=True) as state:
        rows, counts = state.rows(), state.counts()
    if as_json:
        print_json({"counts": counts, "jobs": [row.as_json() for row in rows]})
        return
    _echo_counts(counts)
    for row in rows:
        if row.state != "queued" and row.remark:
            click.echo(f"{row.job.id}: {row.remark}")


def _executor(config: BatchConfig) -> Executor:
    """What --engine names."""
    if config.engine == "ray":
        from talkinghead.batch.ray_executor import RayExecutor

        return RayExecutor(
            config.address, threads=config.threads, device=config.device, sign=config.sign, retries=config.retries
        )
    from talkinghead.batch.local_executor import LocalExecutor

    time_limit_s = None if config.time_limit is None else config.time_limit * 60
    return LocalExecutor(config.workers, device=config.device, sign=config.sign, time_limit_s=time_limit_s)


def _echo_counts(counts: dict[str, int]) -> None:
    click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))


def _echo_summary(summary: Summary, folder: Path) -> None:
    """Say where the videos are, and what is to be known of them; why jobs failed has been said when they did."""
    from talkinghead.batch.runner import SUMMARY_FILE

    done, count = summary.counts["done"], len(summary.rows)
    failed = [row.job.id for row in summary.rows if row.state == "failed"]
    videos = f"{done} of {count} videos are in {folder}"
    if failed:
        shown = ", ".join(failed[:MOST_NAMED]) + (f" and {len(failed) - MOST_NAMED} more" * (len(failed) > MOST_NAMED))
        videos += f"; failed: {shown}. The same command tries again"
    click.echo(f"{videos}. Every job is in {folder / SUMMARY_FILE}.")
    for row in summary.rows:
        if row.is_mostly_passed_through:
            click.echo(f"{row.job.id}: {row.remark}", err=True)


class _Display:
    """Shows a batch as it runs: progress bars for people, or events as lines of JSON."""

    def __init__(self, jobs: int, quiet: bool, as_json: bool) -> None:
        self._as_json = as_json
        self._events = sys.stdout
        self._prints_failures = not quiet and not as_json
        console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or as_json or not console.is_terminal,
            transient=True,
        )
        self._whole = self._bars.add_task("jobs", total=jobs)
        self._jobs: dict[str, TaskID] = {}

    def __enter__(self) -> _Display:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def report(self, event: dict[str, Any]) -> None:
        """Show an event of the batch, see `runner.Report`."""
        if self._as_json:
            click.echo(json.dumps(event, ensure_ascii=False), file=self._events)
        kind, job_id = event["event"], event.get("id", "")
        if kind == "started":
            self._jobs[job_id] = self._bars.add_task(job_id, total=None)
        elif kind == "progress":
            self._bars.update(self._jobs[job_id], completed=event["frames_done"], total=event["frames"])
        elif kind in ("done", "failed", "retry"):
            self._bars.remove_task(self._jobs.pop(job_id))
            self._bars.advance(self._whole, kind != "retry")
            if kind == "failed" and self._prints_failures:
                self._bars.console.print(Text(f"{job_id} failed: {event['reason']}"), soft_wrap=True)
        elif kind == "summary":
            self._bars.update(self._whole, completed=sum(event["counts"].values()))
