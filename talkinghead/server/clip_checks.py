"""The check of clips that were uploaded: what `talkinghead check` finds, before minutes are spent on a training."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from talkinghead.errors import BusyError, MediaError
from talkinghead.files import write_json
from talkinghead.processes.children import own_session

COMMAND = (sys.executable, "-m", "talkinghead", "check", "--json")
"""Gets the clip's path; ends with 1 where there are problems. A process of its own: tracking takes all of a core."""
RESULT_FILE = "check.json"
"""Beside the clip."""
MOST_WAITING = 4
"""Checks that wait for the one that runs."""
FIT_CODES = (0, 1)
"""Exit codes with findings."""


class ClipChecks:
    """Checks clips one after the other, and keeps what was found. Its methods may be called from any thread."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        """Args: what checks a clip."""
        self._command = command
        self._running = threading.Lock()
        self._room = threading.BoundedSemaphore(MOST_WAITING + 1)
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def known(self, clip: Path) -> dict[str, Any] | None:
        """State and findings of a clip that was checked; None of another."""
        try:
            found = json.loads((clip.parent / RESULT_FILE).read_text("utf-8"))
            return {"state": str(found["state"]), "findings": list(found["findings"])}
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def check(self, clip: Path) -> dict[str, Any]:
        """Check a clip: seconds, up to a minute for a long one.

        Returns:
            state (ok, remark, problem: the worst one) and findings (name, state, value, advice).

        Raises:
            MediaError: the clip cannot be checked.
            BusyError: too many clips wait.
        """
        if (found := self.known(clip)) is not None:
            return found
        if not self._room.acquire(blocking=False):
            raise BusyError(f"{MOST_WAITING} clips wait to be checked; ask again in a minute.")
        try:
            with self._running:
                found = self.known(clip) or self._run(clip)
                if clip.exists():  # it may have been removed meanwhile
                    write_json(clip.parent / RESULT_FILE, found)
                return found
        finally:
            self._room.release()

    def close(self) -> None:
        """End what runs."""
        self._closed = True
        if (process := self._process) is not None:
            process.kill()

    def _run(self, clip: Path) -> dict[str, Any]:
        if self._closed:
            raise BusyError("The server ends.")
        self._process = subprocess.Popen(
            [*self._command, str(clip.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            **own_session(),
        )
        output, errors = self._process.communicate()
        code, self._process = self._process.returncode, None
        try:
            if code not in FIT_CODES:
                raise ValueError
            found = json.loads(output)
            return {"state": str(found["state"]), "findings": list(found["findings"])}
        except (ValueError, KeyError, TypeError) as error:
            told = errors.strip().splitlines()[-1:] or ["its process ended without a word"]
            reason = told[0].replace(str(clip.absolute()), "the clip").removeprefix("Error: ")
            raise MediaError(f"The clip cannot be checked: {reason}") from error


def problems_of(findings: Sequence[dict[str, str]]) -> str:
    """What makes a clip unfit, in sentences; empty where nothing does."""
    told = [finding for finding in findings if finding["state"] == "problem"]
    return " ".join(f"{one['name']}: {one['value']}; {one['advice']}.".replace("; .", ".") for one in told)
