"""Taps of live sessions: threads that take every tick of a session and write it somewhere."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator

from talkinghead.errors import TalkingHeadError
from talkinghead.live.ticks import AUDIO_RATE_HZ, Tick, samples_before
from talkinghead.media.live_encoder import LiveEncoder, LiveFormat, LiveTarget
from talkinghead.server.sessions import ServedSession, Sessions

BUFFERED_S = 1.0
"""How far a tap may fall behind before ticks are dropped, seconds."""

Work = Callable[[Iterator[Tick]], None]


class SessionTap:
    """Hands the ticks of a session to a function in a thread of its own, until it is stopped or the session ends.

    A tap counts as a connection: a session that is tapped stays open.
    """

    def __init__(self, sessions: Sessions, served: ServedSession, work: Work, name: str) -> None:
        """Args:
        sessions, served: the session.
        work: takes the ticks; when it returns, the tap is over.
        name: of the thread.
        """
        self.served, self._sessions, self._work = served, sessions, work
        self._ticks: queue.SimpleQueue[Tick | None] = queue.SimpleQueue()
        self._most = max(2, round(BUFFERED_S * served.session.frame_rate))
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"talkinghead-{name}")
        self.dropped = 0
        """Ticks that were lost because they could not be written in time."""
        self.failure = ""
        """Why it ended, where that was no wish."""

    def start(self) -> None:
        """Take ticks from now on."""
        self._sessions.connect(self.served)
        self.served.player.listen(self)
        self._thread.start()

    def offer(self, tick: Tick | None) -> None:
        """A tick of the player; None is the end."""
        if tick is not None and self._ticks.qsize() >= self._most:
            self.dropped += 1
            return
        self._ticks.put(tick)

    def stop(self) -> None:
        """Write what has come, and end; may be called twice."""
        self._ticks.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join()

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work(self._arriving())
        except TalkingHeadError as error:
            self.failure = str(error)
        except Exception:
            logging.getLogger(__name__).exception("A tap of a session failed.")
            self.failure = "It failed; the server's log may tell why."
        finally:
            self.served.player.unlisten(self)
            self._sessions.disconnect(self.served)

    def _arriving(self) -> Iterator[Tick]:
        while (tick := self._ticks.get()) is not None:
            yield tick


def encode(target: LiveTarget, served: ServedSession, ticks: Iterator[Tick]) -> int:
    """Encode the ticks of a session; gives their number.

    Raises:
        OutputError: they cannot be written, or there are none.
    """
    session = served.session
    stream = LiveFormat(session.width, session.height, session.frame_rate, AUDIO_RATE_HZ)
    with LiveEncoder(target, stream) as encoder:
        first: int | None = None
        for tick in ticks:
            first = tick.number if first is None else first
            before = samples_before(tick.number, session.frame_rate) - samples_before(first, session.frame_rate)
            encoder.write(tick.number, tick.image, tick.audio, before)
    return encoder.frames
