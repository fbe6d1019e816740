"""The live sessions of the server, by their numbers."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from talkinghead.errors import MissingFileError
from talkinghead.live.performer import Performer
from talkinghead.live.session import LiveSession
from talkinghead.server.config import WORKERS
from talkinghead.server.player import Player

UNUSED_S = 60.0
"""A session that nobody is connected to is closed after this time, seconds."""
LARGEST_NUMBER = 2**53
"""Session numbers are below: JavaScript has no larger whole numbers."""


@dataclass
class ServedSession:
    """A session and who is connected to it."""

    number: int
    """What clients name it by; it cannot be guessed."""
    anchor: str
    """Name."""
    player: Player
    connections: int = 0
    unused_since_s: float = field(default_factory=time.monotonic)

    @property
    def session(self) -> LiveSession:
        return self.player.session


class Sessions:
    """Opens, finds and closes sessions. Its methods may be called from any thread."""

    def __init__(self, performer_of: Callable[[str], Performer], worker: int | None = None) -> None:
        """Args: gives the anchor of a name, loaded; see `ServerConfig.worker`."""
        self._performer_of, self._worker = performer_of, worker
        self._lock = threading.Lock()
        self._sessions: dict[int, ServedSession] = {}

    def open(self, anchor: str, behind: Callable[[Performer], Performer] | None = None) -> ServedSession:
        """Begin a session of an anchor; loading it may take seconds, cutting it out for the first time minutes.

        Args:
            anchor: its name.
            behind: puts another background behind it; None leaves its own.

        Raises:
            MissingFileError: there is no such anchor.
            BusyError: the machine would not keep up.
            CheckpointError, ModelUnavailableError: the anchor cannot be loaded, or not cut out.
            MediaError: the background cannot be read.
        """
        self.close_unused()
        performer = self._performer_of(anchor)
        player = Player(LiveSession(performer if behind is None else behind(performer)))
        served = ServedSession(self._new_number(), anchor, player)
        with self._lock:
            self._sessions[served.number] = served
        player.start()
        return served

    def _new_number(self) -> int:
        if self._worker is None:
            return secrets.randbelow(LARGEST_NUMBER - 1) + 1
        return (secrets.randbelow(LARGEST_NUMBER // WORKERS - 1) + 1) * WORKERS + self._worker

    def find(self, number: int | str) -> ServedSession:
        """The open session of a number.

        Raises:
            MissingFileError: there is none.
        """
        try:
            key = int(number)
        except ValueError:
            key = 0
        with self._lock:
            served = self._sessions.get(key)
        if served is None or served.player.is_closed:
            raise MissingFileError("There is no live session of that number; it may have been closed.")
        return served

    def connect(self, served: ServedSession) -> None:
        """Count a connection in: as long as there is one, the session stays open."""
        with self._lock:
            served.connections += 1

    def disconnect(self, served: ServedSession) -> None:
        """Count a connection out."""
        with self._lock:
            served.connections -= 1
            served.unused_since_s = time.monotonic()

    def close(self, served: ServedSession) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(served.number, None)
        served.player.close()

    def close_unused(self) -> None:
        """End the sessions that nobody has been connected to for `UNUSED_S`, and forget those that have ended."""
        before_s = time.monotonic() - UNUSED_S
        with self._lock:
            over = [
                served
                for served in self._sessions.values()
                if served.player.is_closed or (served.connections == 0 and served.unused_since_s < before_s)
            ]
        for served in over:
            self.close(served)

    def close_all(self) -> None:
        """End every session."""
        with self._lock:
            open_ = list(self._sessions.values())
        for served in open_:
            self.close(served)

    def __len__(self) -> int:
        with self._lock:
            return len(self._sessions)
