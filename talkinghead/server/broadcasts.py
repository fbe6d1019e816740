"""Broadcasts of live sessions: HLS for any number of viewers, encoded once, and a push to an RTMP server."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from talkinghead.errors import MissingFileError, OptionError, OutputError, OutputExistsError
from talkinghead.live.ticks import Tick
from talkinghead.media.live_encoder import LiveTarget
from talkinghead.provenance.metadata import container_tags
from talkinghead.provenance.origin import Origin
from talkinghead.server.sessions import ServedSession, Sessions
from talkinghead.server.taps import SessionTap, encode

SEGMENT_S = 2
"""Length of an HLS segment: viewers are about three of them behind."""
SEGMENTS = 6
"""Segments in the playlist; older ones are removed."""
UNUSED_S = 30.0
"""HLS that nobody asks for is encoded no more after this time, seconds."""
PLAYLIST = "live.m3u8"
FILE = re.compile(r"live\.m3u8|init\.mp4|segment\d{1,9}\.m4s")
RTMP_TIMEOUT_S = 10.0
"""An RTMP server that does not answer for this time is gone."""


class HlsBroadcast:
    """HLS of one session, in files of a folder of its own."""

    def __init__(self, sessions: Sessions, served: ServedSession, folder: Path) -> None:
        """Args:
        sessions, served: the session.
        folder: an empty one, which is removed at the end.
        """
        self._folder, self._served = folder, served
        self._asked_s = time.monotonic()
        self.tap = SessionTap(sessions, served, self._write, "hls")

    def file(self, name: str) -> Path | None:
        """A file of the broadcast, for a viewer who asks for it; None where it is not there, or no more."""
        self._asked_s = time.monotonic()
        path = self._folder / name
        return path if FILE.fullmatch(name) and path.is_file() else None

    def _write(self, ticks: Iterator[Tick]) -> None:
        rate = self._served.session.frame_rate
        options = {
            "hls_time": str(SEGMENT_S), "hls_list_size": str(SEGMENTS), "hls_segment_type": "fmp4",
            "hls_fmp4_init_filename": "init.mp4", "hls_segment_filename": str(self._folder / "segment%d.m4s"),
            "hls_flags": "delete_segments+independent_segments+temp_file", "hls_delete_threshold": "3",
        }  # fmt: skip
        address = str(self._folder / PLAYLIST)
        tags = container_tags(origin_of(self._served))
        target = LiveTarget(address, "hls", "The broadcast", encoder_settings(rate), options, tags)
        try:
            encode(target, self._served, self._while_asked_for(ticks))
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _while_asked_for(self, ticks: Iterator[Tick]) -> Iterator[Tick]:
        for tick in ticks:
            if time.monotonic() - self._asked_s > UNUSED_S:
                return
            yield tick


class Broadcasts:
    """Begins and ends broadcasts. Its methods may be called from any thread."""

    def __init__(self, sessions: Sessions, folder: Callable[[], Path], push_to: str | None) -> None:
        """Args:
        sessions: of the server.
        folder: gives the one for temporary files.
        push_to: RTMP address of the operator; None where there is none.
        """
        self._sessions, self._folder, self._push_to = sessions, folder, push_to
        self._lock = threading.Lock()
        self._hls: dict[int, HlsBroadcast] = {}
        self._pushed: SessionTap | None = None

    def hls(self, served: ServedSession) -> HlsBroadcast:
        """The HLS of a session, which begins now where there was none."""
        with self._lock:
            self._hls = {number: one for number, one in self._hls.items() if not one.tap.is_over}
            found = self._hls.get(served.number)
            if found is None:
                folder = Path(tempfile.mkdtemp(prefix="hls-", dir=self._folder()))
                found = self._hls[served.number] = HlsBroadcast(self._sessions, served, folder)
                found.tap.start()
            return found

    def push(self, served: ServedSession) -> None:
        """Push a session to the operator's RTMP server from now on.

        Raises:
            OptionError: the operator named none.
            OutputExistsError: one is pushed already.
        """
        if self._push_to is None:
            raise OptionError("The server has no address to push to; see `talkinghead serve --push-file`.")
        address = self._push_to

        def work(ticks: Iterator[Tick]) -> None:
            settings = encoder_settings(served.session.frame_rate)
            target = LiveTarget(
                address,
                "flv",
                "The RTMP stream",
                settings,
                {"flvflags": "no_duration_filesize"},
                container_tags(origin_of(served)),
                RTMP_TIMEOUT_S,
            )
            encode(target, served, ticks)

        with self._lock:
            if self._pushed is not None and not self._pushed.is_over:
                raise OutputExistsError("A session is pushed already; stop that first.")
            self._pushed = SessionTap(self._sessions, served, work, "rtmp")
            self._pushed.start()

    def stop_push(self, served: ServedSession) -> None:
        """End the push of a session.

        Raises:
            MissingFileError: it is not pushed.
            OutputError: the push had failed.
        """
        with self._lock:
            pushed = self._pushed
            if pushed is None or pushed.served is not served:
                raise MissingFileError("The session is not pushed.")
            self._pushed = None
        pushed.stop()
        if pushed.failure:
            raise OutputError(pushed.failure)

    def push_state(self, served: ServedSession) -> tuple[bool, str]:
        """Whether a session is pushed, and why its push has failed."""
        with self._lock:
            pushed = self._pushed
        if pushed is None or pushed.served is not served:
            return False, ""
        return not pushed.is_over, pushed.failure

    def close(self) -> None:
        """End every broadcast."""
        with self._lock:
            taps = [one.tap for one in self._hls.values()] + ([] if self._pushed is None else [self._pushed])
            self._hls, self._pushed = {}, None
        for tap in taps:
            tap.stop()


def encoder_settings(frame_rate: Fraction) -> dict[str, str]:
    """Settings of libx264 for viewers who join at any time: a key frame at each segment, a bounded rate."""
    frames = str(round(SEGMENT_S * frame_rate))
    bounds = {"crf": "23", "maxrate": "4M", "bufsize": "8M", "preset": "veryfast", "tune": "zerolatency"}
    return {**bounds, "g": frames, "keyint_min": frames, "sc_threshold": "0"}


def origin_of(served: ServedSession) -> Origin:
    """What a broadcast is made from; what will be said is not known, so each has an identifier of its own."""
    return Origin(served.session.anchor_sha256, secrets.token_hex(32))
