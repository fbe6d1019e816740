"""Starting and ending child processes where platforms differ: Windows knows no sessions and no SIGTERM from outside.

A child that has something to save watches its standard input, which ends with its parent, and then calls
`end_this_process`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

_NEW_PROCESS_GROUP = 0x200
"""CREATE_NEW_PROCESS_GROUP of the Windows API, which `subprocess` names on Windows alone."""


def own_session() -> dict[str, Any]:
    """Arguments of `subprocess.Popen` for a child that Ctrl-C in the terminal does not reach: it is for the parent."""
    return {"creationflags": _NEW_PROCESS_GROUP} if sys.platform == "win32" else {"start_new_session": True}


def ask_to_end(process: subprocess.Popen[str]) -> None:
    """Let a child that watches its standard input save what it has, and end.

    SIGTERM does that at once. On Windows `terminate` would end it without a word, so its standard input is closed.
    """
    if sys.platform != "win32":
        process.terminate()
    elif process.stdin is not None:
        with suppress(OSError):  # what it did not take cannot be flushed
            process.stdin.close()


def end_this_process() -> None:
    """End as by SIGTERM, from any thread: its handler runs in the main thread.

    On Windows `os.kill` would end the process without running the handler.
    """
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGTERM)
    else:
        os.kill(os.getpid(), signal.SIGTERM)
