"""The clock of a live session: it asks for ticks when they are due and hands them to whoever shows them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from talkinghead.live.session import LiveSession
from talkinghead.live.ticks import Event, Tick

LATE_S = 0.5
"""A session whose tick comes later than this has stopped keeping up; the clock begins anew from there."""
BUFFERED_TICKS = 8
"""Ticks that wait for a slow subscriber; older ones are dropped."""


@dataclass
class Subscription:
    """Ticks on their way into an event loop."""

    loop: asyncio.AbstractEventLoop
    ticks: asyncio.Queue[Tick | None] = field(default_factory=lambda: asyncio.Queue(BUFFERED_TICKS))
    dropped: int = 0

    def offer(self, tick: Tick | None) -> None:
        """Called from any thread; None is the end."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody listens
            self.loop.call_soon_threadsafe(self._put, tick)

    def _put(self, tick: Tick | None) -> None:
        if self.ticks.full():
            self.ticks.get_nowait()
            self.dropped += 1
        self.ticks.put_nowait(tick)


class Listener(Protocol):
    """Who takes the ticks of a session."""

    def offer(self, tick: Tick | None) -> None:
        """Take a tick, at once: it is called from the player's thread. None is the end."""
        ...


class Player:
    """Plays a session in real time, from `start` to `close`. Its methods may be called from any thread."""

    def __init__(self, session: LiveSession, ended: Callable[[], None] = lambda: None) -> None:
        """Args: the session, which is closed with the player; called after that."""
        self.session = session
        self._ended = ended
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._is_over = False
        self._thread = threading.Thread(target=self._play, daemon=True, name="talkinghead-player")
        self._is_closing = threading.Event()
        self.last_event: Event | None = None
        self.position_s = 0.0
        """Of the utterance that is heard; 0 where none is."""
        self.utterance = 0
        """Number of the utterance that is heard; 0 where none is."""
        self.late_ticks = 0
        """Ticks that were not there when they were due."""
        self.failure = ""

    def start(self) -> None:
        """Begin to play."""
        self._thread.start()

    def subscribe(self) -> Subscription:
        """Ticks from now on, for the running event loop."""
        subscription = Subscription(asyncio.get_running_loop())
        self.listen(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Not wanted any more."""
        self.unlisten(subscription)

    def listen(self, listener: Listener) -> None:
        """Offer a listener ticks from now on; only the end, where that has come."""
        with self._lock:
            self._listeners.append(listener)
            is_over = self._is_over
        if is_over:
            listener.offer(None)

    def unlisten(self, listener: Listener) -> None:
        """Offer it none any more."""
        with self._lock:
            self._listeners = [one for one in self._listeners if one is not listener]

    def close(self) -> None:
        """Stop, and close the session; may be called twice."""
        self._is_closing.set()
        self.session.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    @property
    def is_closed(self) -> bool:
        return self.session.is_closed

    def _play(self) -> None:
        period_s = float(1 / self.session.frame_rate)
        due_s = float("nan")
        try:
            while not self._is_closing.is_set():
                tick = self.session.next_tick()
                if tick is None:
                    break
                if math.isnan(due_s):  # the clock begins with the first tick
                    due_s = time.monotonic()
                late_s = time.monotonic() - due_s
                if late_s > period_s:
                    self.late_ticks += 1
                if late_s > LATE_S:  # what was missed is not made up for by haste
                    due_s += late_s
                self._hand_out(tick)
                due_s += period_s
                self._is_closing.wait(max(0.0, due_s - time.monotonic()))
        except Exception as error:  # a clip that cannot be read any more ends the session
            self.failure = str(error)
            self.session.close()
        finally:
            with self._lock:
                self._is_over = True
                listeners = list(self._listeners)
            for listener in listeners:
                listener.offer(None)
            self._ended()

    def _hand_out(self, tick: Tick) -> None:
        self.utterance, self.position_s = tick.utterance, tick.position_s
        for event in tick.events:
            self.last_event = event
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.offer(tick)
