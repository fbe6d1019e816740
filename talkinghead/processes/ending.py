"""Ending a process without unloading its libraries."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from typing import Any

FAILED = 1
"""Exit code of a process that an exception ends."""
UNWRITTEN = 120
"""Exit code of a process whose last output could not be written, as Python has it."""


def run_alone(command: Callable[[], Any]) -> None:
    """Run a command as all that this process is for, and end the process once Python has cleaned up.

    The C library would run the destructors of every shared library before. Those of torch and LLVM, and of CUDA where
    torch is a build for it, read 130 MB of their files within 0.3 s, to give back what the system takes back at once.

    Args:
        command: whose result is ignored; its SystemExit gives the exit code, as without this function.
    """
    code = FAILED

    def end() -> None:
        ended_as = code
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (AttributeError, ValueError):  # there is none, or it has been closed
                continue
            except OSError:
                ended_as = UNWRITTEN
        os._exit(ended_as)

    # Functions that were registered earlier are called later: what is imported by the command comes before this.
    atexit.register(end)
    try:
        command()
        code = 0
    except SystemExit as ending:
        code = _exit_code(ending)
        raise


def _exit_code(ending: SystemExit) -> int:
    """What Python makes of the value of SystemExit: a number, 0 for None, 1 for a text that it prints."""
    if ending.code is None:
        return 0
    return ending.code & 0xFF if isinstance(ending.code, int) else FAILED
