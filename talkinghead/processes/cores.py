"""How many cores this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Number of logical cores that this process may use, at least 1.

    Linux knows to which ones a process is bound, as in containers; elsewhere all of them count.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
