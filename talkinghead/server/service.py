"""What the routes of the server share."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from talkinghead.errors import TalkingHeadError
from talkinghead.generation.output_options import Color
from talkinghead.live.before_background import before_background
from talkinghead.live.performer import Performer
from talkinghead.live.resident import ResidentAnchor
from talkinghead.processes.heaps import give_back_memory
from talkinghead.server.anchors import Anchors
from talkinghead.server.broadcasts import Broadcasts
from talkinghead.server.clip_checks import ClipChecks
from talkinghead.server.config import ServerConfig
from talkinghead.server.jobs import Jobs
from talkinghead.server.session_recordings import SessionRecordings
from talkinghead.server.sessions import ServedSession, Sessions
from talkinghead.server.webrtc import Connection
from talkinghead.text_to_speech import Script
from talkinghead.text_to_speech.speaking import speak
from talkinghead.weights.bundled import DEFAULT_ANCHOR

MOST_CONNECTIONS = 50
"""Peers at once, of all sessions."""
TIDY_EVERY_S = 5.0
"""How often the server looks for what nobody uses any more, seconds."""


class Service:
    """The server's state; made once, closed with the server."""

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.anchors = Anchors(config.folder / "anchors", config.device, config.idle_sessions)
        self.sessions = Sessions(self.performer, config.worker)
        self.recordings = SessionRecordings(config.folder / "recorded", self.sessions)
        self.broadcasts = Broadcasts(self.sessions, self.temporary, config.push_address())
        self.jobs = Jobs(config.folder / "jobs")
        self.clip_checks = ClipChecks()
        self._connections: set[Connection] = set()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def performer(self, name: str) -> Performer:
        """An anchor in memory."""
        return self.anchors.resident(name)

    def behind(self, color: Color | None = None) -> Callable[[Performer], Performer] | None:
        """What puts a background behind a session's anchor: that color, or the server's; None where it has none."""
        named = color or self.config.named_background
        if named is None:
            return None

        def dressed(performer: Performer) -> Performer:
            if not isinstance(performer, ResidentAnchor):
                raise TypeError("only an anchor can be cut out")
            return before_background(performer, named)

        return dressed

    def warm(self, name: str = DEFAULT_ANCHOR) -> None:
        """Load an anchor and a voice before anybody asks for them, in a thread of its own."""

        def work() -> None:
            # Whoever asks for them later is told what is wrong with them.
            with contextlib.suppress(TalkingHeadError):
                self.anchors.resident(name)
                next(speak(Script("Hello.")))

        threading.Thread(target=work, daemon=True, name="talkinghead-warm").start()

    def temporary(self) -> Path:
        """A folder that is removed with the server, on the disk of its folder: the system's is often in memory."""
        if self._temporary is None:
            self.config.folder.mkdir(parents=True, exist_ok=True)
            self._temporary = tempfile.TemporaryDirectory(prefix=".temporary-", dir=self.config.folder)
        return Path(self._temporary.name)

    async def connect(self, served: ServedSession, sdp: str, codec: str) -> str:
        """The answer to the offer of a peer that wants to see a session.

        Raises:
            ValueError: the offer cannot be answered, or there are too many peers.
        """
        self._forget_closed()
        if len(self._connections) >= MOST_CONNECTIONS:
            raise ValueError(f"{MOST_CONNECTIONS} peers are connected; there is no room for more.")
        connection = Connection(self.sessions, served, self.config.ice_servers())
        self._connections.add(connection)
        return await connection.answer(sdp, codec)

    async def keep_tidy(self) -> None:
        """Until it is cancelled: end sessions that nobody is connected to, and give freed memory back."""
        while True:
            await asyncio.sleep(TIDY_EVERY_S)
            sessions = len(self.sessions)
            await run_in_threadpool(self.sessions.close_unused)
            if self._forget_closed() or len(self.sessions) < sessions:
                await run_in_threadpool(give_back_memory)

    def _forget_closed(self) -> bool:
        """Forget connections that are over; whether there were any."""
        open_ = {connection for connection in self._connections if not connection.is_closed}
        had_closed = len(open_) < len(self._connections)
        self._connections = open_
        return had_closed

    async def close(self) -> None:
        """End all sessions and connections."""
        for connection in list(self._connections):
            await connection.close()
        self.clip_checks.close()
        for close in (self.broadcasts.close, self.recordings.close, self.sessions.close_all, self.anchors.close):
            await run_in_threadpool(close)
        await run_in_threadpool(self.jobs.close)
        if self._temporary is not None:
            self._temporary.cleanup()
