"""A server whose anchor is drawn and whose jobs are done at once."""

from __future__ import annotations

import sys
from pathlib import Path

from drawn_performer import DrawnPerformer

from talkinghead.errors import MissingFileError
from talkinghead.server.broadcasts import Broadcasts
from talkinghead.server.config import ServerConfig
from talkinghead.server.service import Service
from talkinghead.server.session_recordings import SessionRecordings
from talkinghead.server.sessions import Sessions
from talkinghead.weights.bundled import DEFAULT_ANCHOR

BASE = "http://127.0.0.1:8473"
WS = "ws://127.0.0.1:8473"
"""The test client would address a socket by another name."""
TOKEN = "a token of many characters"
STUB = (sys.executable, str(Path(__file__).parent / "job_stub.py"))
"""Command that does jobs."""
CHECK_STUB = (sys.executable, str(Path(__file__).parent / "check_stub.py"))
"""Command that checks clips."""


def drawn_service(config: ServerConfig, performer: DrawnPerformer) -> Service:
    """A service of which every session has this performer."""
    service = Service(config)

    def performer_of(name: str) -> DrawnPerformer:
        if name not in ("presenter", DEFAULT_ANCHOR):
            raise MissingFileError(f"There is no anchor {name!r}.")
        return performer

    service.sessions = Sessions(performer_of, config.worker)
    service.recordings = SessionRecordings(config.folder / "recorded", service.sessions)
    service.broadcasts = Broadcasts(service.sessions, service.temporary, config.push_address())
    return service
