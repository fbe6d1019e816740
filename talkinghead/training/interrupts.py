"""Ending a long computation by Ctrl-C or `kill` at a moment that suits it, so that nothing is lost."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Context in which SIGINT and SIGTERM raise KeyboardInterrupt or, while `deferred`, are noted in `requested`.

    A second signal raises at once. Outside the main thread, where Python handles no signals, nothing changes.
    """

    def __init__(self, message: str = "") -> None:
        """Args: of the KeyboardInterrupt."""
        self.message = message
        self.deferred = False
        """Set by whoever looks at `requested` often enough."""
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested or not self.deferred:
            raise KeyboardInterrupt(self.message)
        self.requested = True
