"""Recordings of live sessions: MP4 files labeled as AI-generated, from one moment of a session to another."""

from __future__ import annotations

import json
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from talkinghead.errors import MissingFileError, OutputError, OutputExistsError
from talkinghead.files import replacing, write_json
from talkinghead.live.ticks import Tick
from talkinghead.media.live_encoder import LiveTarget
from talkinghead.provenance.metadata import append_xmp, container_tags
from talkinghead.provenance.origin import Origin
from talkinghead.server.sessions import ServedSession, Sessions
from talkinghead.server.taps import SessionTap, encode
from talkinghead.server.uploads import KEY

LONGEST_S = 4 * 3600
"""A recording that nobody stops ends after this time, seconds."""
VIDEO_FILE, ABOUT_FILE = "video.mp4", "about.json"
SETTINGS = {"crf": "20", "preset": "veryfast"}


@dataclass(frozen=True)
class SessionRecording:
    """A recording that is complete."""

    key: str
    """What clients name it by; it cannot be guessed."""
    anchor: str
    """Name."""
    created_s: float
    """When it began, seconds since 1970."""
    duration_s: float
    missed_frames: int
    """That could not be written in time: the one before each was shown longer, in silence."""


class SessionRecordings:
    """Records sessions, and keeps what was recorded. Its methods may be called from any thread."""

    def __init__(self, folder: Path, sessions: Sessions) -> None:
        """Args: the folder of recordings, made when there is one; the sessions."""
        self.folder, self._sessions = folder, sessions
        self._lock = threading.Lock()
        self._running: dict[int, tuple[str, SessionTap]] = {}

    def start(self, served: ServedSession) -> str:
        """Record a session from now on; gives the key of the recording.

        Raises:
            OutputExistsError: it is being recorded already.
            OutputError: the folder cannot be written.
        """
        with self._lock:
            running = self._running.get(served.number)
            if running is not None and not running[1].is_over:
                raise OutputExistsError("The session is being recorded already; stop that first.")
            key, created_s = secrets.token_hex(8), time.time()
            try:
                (self.folder / key).mkdir(parents=True)
            except OSError as error:
                raise OutputError(f"The recording cannot be written: {error.strerror}.") from error

            def work(ticks: Iterator[Tick]) -> None:
                most = round(LONGEST_S * served.session.frame_rate)
                try:
                    self._write(key, served, tap, islice(ticks, most), created_s)
                except BaseException:
                    shutil.rmtree(self.folder / key, ignore_errors=True)
                    raise

            tap = SessionTap(self._sessions, served, work, "recording")
            self._running[served.number] = (key, tap)
            tap.start()
            return key

    def stop(self, served: ServedSession) -> SessionRecording:
        """Complete the recording of a session.

        Raises:
            MissingFileError: it is not being recorded.
            OutputError: the recording could not be written.
        """
        with self._lock:
            running = self._running.pop(served.number, None)
        if running is None:
            raise MissingFileError("The session is not being recorded.")
        key, tap = running
        tap.stop()
        if tap.failure:
            raise OutputError(tap.failure)
        return self.find(key)

    def is_running(self, served: ServedSession) -> bool:
        """Whether a session is being recorded."""
        with self._lock:
            running = self._running.get(served.number)
        return running is not None and not running[1].is_over

    def all(self) -> list[SessionRecording]:
        """Every complete recording, the newest first."""
        found = [_read(path) for path in self.folder.glob(f"*/{ABOUT_FILE}")]
        return sorted((one for one in found if one is not None), key=lambda one: one.created_s, reverse=True)

    def find(self, key: str) -> SessionRecording:
        """The complete recording of a key.

        Raises:
            MissingFileError: there is none.
        """
        found = _read(self.folder / key / ABOUT_FILE) if KEY.fullmatch(key) else None
        if found is None:
            raise MissingFileError("There is no such recording, or it is not complete yet.")
        return found

    def path(self, recording: SessionRecording) -> Path:
        """The video of a recording."""
        return self.folder / recording.key / VIDEO_FILE

    def remove(self, recording: SessionRecording) -> None:
        """Forget a recording, with its video."""
        shutil.rmtree(self.folder / recording.key, ignore_errors=True)

    def close(self) -> None:
        """Complete what is being recorded."""
        with self._lock:
            running = list(self._running.values())
            self._running.clear()
        for _, tap in running:
            tap.stop()

    def _write(self, key: str, served: ServedSession, tap: SessionTap, ticks: Iterator[Tick], created_s: float) -> None:
        """Write the ticks of a session to the file of a recording."""
        # What is said is not known before it is over: each recording has an identifier of its own.
        origin = Origin(served.session.anchor_sha256, secrets.token_hex(32))
        with replacing(self.folder / key / VIDEO_FILE) as partial:
            flags = {"movflags": "+faststart+use_metadata_tags"}
            target = LiveTarget(f"file:{partial}", "mp4", "The recording", SETTINGS, flags, container_tags(origin))
            frames = encode(target, served, ticks)
            append_xmp(partial)
        duration_s = round(float((frames + tap.dropped) / served.session.frame_rate), 3)
        about = SessionRecording(key, served.anchor, created_s, duration_s, tap.dropped)
        write_json(self.folder / key / ABOUT_FILE, asdict(about))


def _read(path: Path) -> SessionRecording | None:
    """A recording from its file; None where that cannot be read."""
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        recording = SessionRecording(**values)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return recording if recording.key == path.parent.name else None
