"""The options of `talkinghead batch`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from talkinghead.options.fields import check_options, device_option, option


@dataclass(frozen=True)
class BatchConfig:
    """How the jobs of a batch are run; every field is an option of the command.

    Raises:
        OptionError: a field is not of its type or out of its range.
    """

    workers: int = option(1, help="Jobs to render at the same time, with --engine local.", low=1, high=256)
    retries: int = option(1, help="Further attempts at a job that fails.", low=0)
    resume: bool = option(True, help="Leave jobs alone that an earlier run has done.")
    time_limit: float | None = option(
        None, help="Time after which an attempt is stopped, with --engine local.", low=0.01, unit="minutes"
    )
    sign: tuple[Path, Path] | None = option(
        None, help="Sign every video with a C2PA manifest; both files in PEM form.", metavar="CERT KEY"
    )
    engine: Literal["local", "ray"] = option(
        "local", help="Where jobs are rendered: by processes on this machine, or by a Ray cluster."
    )
    address: str | None = option(None, help="Address of the Ray cluster; without it Ray runs on this machine.")
    threads: int = option(2, help="Processor threads of each job, with --engine ray.", low=1)
    device: str = device_option()

    def __post_init__(self) -> None:
        check_options(self)
