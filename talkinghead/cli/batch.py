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

from talkinghead.errors import JobFileError

if TYPE_CHECKING:
    from talkinghead.batch.engine import Engine


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
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Jobs at the same time.")
@click.option("--retries", type=click.IntRange(0), default=1, show_default=True, help="Further tries of a failed job.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Leave alone what is done already.")
@click.option("--time-limit", type=click.FloatRange(0.01), help="Minutes after which an attempt is given up.")
@click.option(
    "--sign", nargs=2, type=click.Path(path_type=Path), metavar="CERT KEY", help="Sign every video (C2PA, PEM files)."
)
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--address", help="Of a Ray cluster; without it Ray runs on this machine.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Of a job, with --engine ray.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there and are not this batch's.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Write each event as a line of JSON on standard output.")
def run(
    jobs: Path,
    output: Path,
    workers: int,
    retries: int,
    resume: bool,
    time_limit: float | None,
    sign: tuple[Path, Path] | None,
    engine: str,
    address: str | None,
    threads: int,
    device: str,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make the videos that JOBS asks for: CSV with a header line, or JSON Lines.

    A job has an id, an anchor, a speech or a text, and what else `generate` takes; docs/batch.md tells all of it.
    Exit code 0: all are done; 3: some failed; 2: JOBS is not in order, and nothing was started.
    """
    from talkinghead.batch.jobs import read_jobs
    from talkinghead.batch.runner import run_batch

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended like this, a batch is left in order too
    try:
        chosen = _engine(engine, workers, threads, address, device, sign, retries, time_limit)
        found = read_jobs(jobs)
        # Events alone go to standard output: Ray writes there too.
        with _Display(len(found), quiet, as_json) as display, contextlib.redirect_stdout(sys.stderr):
            summary = run_batch(
                found, output, chosen, resume=resume, retries=retries, overwrite=overwrite, report=display.report
            )
    except JobFileError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        raise
    if not quiet and not as_json:
        _echo_counts(summary.counts)
        for row in summary.rows:
            if row.reason and row.state == "failed":
                click.echo(f"{row.job.id}: {row.reason}")
    sys.exit(summary.exit_code)


@batch.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object on standard output.")
def status(folder: Path, as_json: bool) -> None:
    """Tell how far the batch in DIR is."""
    from talkinghead.batch.state import BatchState

    with BatchState(folder, must_exist=True) as state:
        rows, counts = state.rows(), state.counts()
    if as_json:
        click.echo(json.dumps({"counts": counts, "jobs": [row.as_json() for row in rows]}, indent=2))
        return
    _echo_counts(counts)
    for row in rows:
        if row.state in ("running", "failed"):
            click.echo(f"{row.job.id}: {row.state}" + (f", {row.reason}" if row.reason else ""))


def _engine(
    name: str,
    workers: int,
    threads: int,
    address: str | None,
    device: str,
    sign: tuple[Path, Path] | None,
    retries: int,
    time_limit: float | None,
) -> Engine:
    if name == "ray":
        from talkinghead.batch.ray_engine import RayEngine

        return RayEngine(address, threads=threads, device=device, sign=sign, retries=retries)
    from talkinghead.batch.local_engine import LocalEngine

    return LocalEngine(workers, device=device, sign=sign, time_limit_s=time_limit and time_limit * 60)


def _echo_counts(counts: dict[str, int]) -> None:
    click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))


class _Display:
    """Progress bars for people, or events for machines."""

    def __init__(self, jobs: int, quiet: bool, as_json: bool) -> None:
        self._as_json = as_json
        self._events = sys.stdout
        self._tells_failures = not quiet and not as_json
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
            if kind != "done" and self._tells_failures:
                self._bars.print(Text(f"{job_id}: {event['reason']}"))
        elif kind == "summary":
            self._bars.update(self._whole, completed=sum(event["counts"].values()))
