"""The progress of `talkinghead train`: a bar on a terminal, a line every ten seconds anywhere else."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from talkinghead.cli.output import echo, progress_bar
from talkinghead.locale.messages import translated
from talkinghead.training.face_update.verdict import duration

if TYPE_CHECKING:
    from talkinghead.training.face_update.trainer import TrainingProgress

LINE_EVERY_S = 10.0
"""Time between two lines."""

_STAGES = {
    "tracking": "Tracking the face",
    "matting": "Cutting out the person",
    "speech": "Fitting the speech model",
    "cropping": "Reading the clip",
    "training": "Training",
    "done": "Done",
}

Show = Callable[["TrainingProgress"], None]


@contextlib.contextmanager
def training_display(hidden: bool) -> Iterator[Show]:
    """What to call with the progress of a training, which shows it on standard error unless it is hidden."""
    if hidden:
        yield lambda progress: None
        return
    with progress_bar(hidden) as bar:
        if bar.disable:  # there is no terminal
            with PlainLines() as lines:
                yield lines.show
            return
        task = bar.add_task("", total=None, note="")
        picture = Once()

        def show(progress: TrainingProgress) -> None:
            if progress.remark is not None:
                bar.console.print(translated(progress.remark), markup=False, highlight=False, soft_wrap=True)
                return
            total = 1.0 if progress.stage in ("training", "done") else None
            bar.update(
                task,
                description=translated(_STAGES[progress.stage]),
                total=total,
                completed=progress.done,
                note=", ".join(map(translated, _details(progress))),
            )
            for line in picture.lines(progress):
                bar.console.print(translated(line), markup=False, highlight=False, soft_wrap=True)

        yield show


class PlainLines:
    """Prints the latest progress every ten seconds, and at once when a stage begins; a thread of its own does so.

    Some stages report nothing for half a minute, so the lines do not wait for reports.
    """

    def __init__(self, every_s: float = LINE_EVERY_S) -> None:
        """Args: time between two lines."""
        self._every_s = every_s
        self._latest: TrainingProgress | None = None
        self._stage_began_s = 0.0
        self._picture = Once()
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> PlainLines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def show(self, progress: TrainingProgress) -> None:
        """Take note of the progress."""
        with self._lock:
            if progress.remark is not None:
                echo(progress.remark, err=True)
                return
            is_new = self._latest is None or self._latest.stage != progress.stage
            self._latest = progress
            if is_new:
                self._stage_began_s = time.monotonic()
                self._print()
            for line in self._picture.lines(progress):
                echo(line, err=True)

    def print_latest(self) -> None:
        """Print the latest progress, if there is any."""
        with self._lock:
            self._print()

    def _print(self) -> None:
        progress = self._latest
        if progress is not None and progress.stage != "done":
            details = _details(progress)
            if progress.stage == "training":
                details = [f"{100 * progress.done:.0f} %", *_time_left(progress), *details]
            elif (elapsed_s := time.monotonic() - self._stage_began_s) >= 1:
                details.append(f"for {duration(elapsed_s)}")
            said = ", ".join(map(translated, details))
            click.echo(": ".join([translated(_STAGES[progress.stage]), *([said] if said else [])]), err=True)

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            self.print_latest()


class Once:
    """Says once where the picture of held-out frames is, and once that a training no longer improves."""

    def __init__(self) -> None:
        """Nothing is said yet."""
        self._picture_said = self._end_said = False

    def lines(self, progress: TrainingProgress) -> list[str]:
        """What is to be said at this progress and was not said before."""
        found = []
        if progress.stage == "training" and progress.sheet is not None and not self._picture_said:
            self._picture_said = True
            found.append(f"Look at the mouth so far, renewed about every minute: {progress.sheet}")
        if progress.stage == "training" and progress.stands_still and not self._end_said:
            self._end_said = True
            found.append("Held-out frames no longer improve; only teeth and lips are being sharpened now.")
        return found


def _details(progress: TrainingProgress) -> list[str]:
    """What is said of a progress beside its share."""
    if progress.stage == "tracking":
        return [f"{progress.step} frames"] if progress.step > 1 else []
    if progress.stage != "training":
        return []
    details = [f"step {progress.step}"]
    if progress.quality is not None:
        word: str = progress.quality.word
        word = f"{word}, no longer improving" if progress.stands_still else word
        details.append(f"unseen frames {word} (mouth {progress.quality.mouth_psnr_db:.1f} dB)")
    return details


def _time_left(progress: TrainingProgress) -> list[str]:
    return [] if progress.seconds_left is None else [f"{duration(progress.seconds_left)} left"]
