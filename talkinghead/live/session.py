"""A live session: an anchor that idles, speaks, and can be interrupted.

Whoever shows the session asks for its ticks, one after the other, at the pace of a clock. A thread renders at most
`AHEAD` of them before they are asked for. An interrupt drops those: their frames of the clip are shown again with
another mouth, so that the head goes on as it was going.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from talkinghead.live.performer import Performer
from talkinghead.live.plan import Planned, SessionState, plan_tick, waits_for_audio
from talkinghead.live.speaking import Cancelled, PushedAudio, message_of, play_file, speak_text
from talkinghead.live.stored_images import Image
from talkinghead.live.ticks import Tick
from talkinghead.live.utterance import LiveUtterance
from talkinghead.structures import FloatArray
from talkinghead.text_to_speech.speaking import Script

BATCH = 2
"""Ticks that are rendered at once: more are quicker in all, and later each."""
AHEAD = 4
"""Most ticks of speech that are rendered before they are asked for."""
IDLE_AHEAD = 2
"""The same while the anchor idles: what is said next has to wait for them."""
POLL_S = 0.005
"""How often a session looks whether audio has arrived, seconds."""
MOST_WAITING = 64
"""Most utterances that wait to be spoken."""


@dataclass(frozen=True)
class Played:
    """How far an utterance was heard."""

    utterance: int
    """0 where nobody spoke."""
    position_s: float


@dataclass(frozen=True)
class _Rendered:
    """A tick that waits to be asked for, and what it takes to go back before it."""

    tick: Tick
    source: tuple[int, Image]
    """Frame of the clip."""
    after: SessionState
    """When it has been shown."""


@dataclass(frozen=True)
class _Job:
    """An utterance that is to be made."""

    utterance: LiveUtterance
    generation: int
    fill: Callable[[LiveUtterance, Cancelled], None]
    then: Callable[[], None]


class LiveSession:
    """A live anchor. All methods but `next_tick` may be called from any thread at any time."""

    def __init__(self, performer: Performer) -> None:
        """Begin a session.

        Raises:
            BusyError: the machine would not keep up with it.
        """
        performer.enter()
        self._performer = performer
        self.frame_rate, self.width, self.height = (
            performer.frame_rate,
            performer.width,
            performer.height,
        )
        self.anchor_sha256 = performer.sha256
        self._source = performer.open_frames()
        self._pushing = threading.Lock()
        self._changed = threading.Condition()
        # Guarded by `_changed`:
        self._generation = 0
        """Raised by an interrupt: what is of an older one is dropped wherever it is."""
        self._ready: deque[_Rendered] = deque()
        self._renders_speech = False
        """Whether the ticks that are being rendered are of speech."""
        self._dropped: list[tuple[int, Image]] = []
        """Frames of the clip whose ticks were dropped."""
        self._waiting: deque[LiveUtterance] = deque()
        self._closed = False
        self._may_speak = False
        """Whether the performer was asked, see `Performer.begin_to_speak`."""
        self._failure: Exception | None = None
        self._utterances = 0
        self._pushed: tuple[int, PushedAudio] | None = None
        self._delivered = self._planned = SessionState.at_rest(performer.pause)
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=work, daemon=True, name=f"talkinghead-live-{work.__name__}")
            for work in (self._render, self._prepare)
        ]
        for thread in self._threads:
            thread.start()

    def say(self, script: Script) -> int:
        """Speak a text after all that waits; gives the number of the utterance.

        Raises:
            ValueError: too many utterances wait, or the session is closed.
            BusyError: too many other sessions speak.
        """
        return self._start(lambda utterance, cancelled: speak_text(self._performer, utterance, script, cancelled))

    def play(self, path: Path, *, own_voice: bool = False, then: Callable[[], None] = lambda: None) -> int:
        """Speak a recording after all that waits; gives the number of the utterance.

        Args:
            path: any audio or video file.
            own_voice: whether the anchor is heard.
            then: called when the file is not needed any more.

        Raises:
            ValueError, BusyError: as `say`.
        """
        return self._start(lambda utterance, _: play_file(self._performer, utterance, path, own_voice), then)

    def push(self, samples: FloatArray, rate_hz: int, *, own_voice: bool = False) -> int:
        """Speak audio that arrives in blocks, until `end`; gives the number of the utterance.

        Args:
            samples: (N,) float32 in [-1, 1], of any length.
            rate_hz: 8000 to 192000, the same for all blocks of an utterance.
            own_voice: whether the anchor is heard.

        Raises:
            ValueError: the block or its rate cannot be used; or as `say`.
            BusyError: as `say`.
        """
        if not 8000 <= rate_hz <= 192_000:
            raise ValueError(f"Audio of {rate_hz} Hz cannot be used; give 8000 to 192000.")
        with self._pushing:
            with self._changed:
                opened = self._pushed
            if opened is not None and opened[1].rate_hz != rate_hz:
                raise ValueError(f"The utterance began with {opened[1].rate_hz} Hz; end it first.")
            if opened is not None:
                opened[1].push(samples)
                return opened[0]
            pushed = PushedAudio(rate_hz)
            pushed.push(samples)
            number = self._start(
                lambda utterance, cancelled: pushed.fill(self._performer, utterance, own_voice, cancelled)
            )
            with self._changed:
                self._pushed = (number, pushed)
            return number

    def end(self) -> None:
        """The audio that was pushed is complete."""
        with self._changed:
            pushed, self._pushed = self._pushed, None
        if pushed is not None:
            pushed[1].end()

    def interrupt(self) -> Played:
        """Fall silent: what is spoken and all that waits is dropped. Gives how far the utterance was heard."""
        with self._changed:
            heard = self._delivered
            played = Played(heard.utterance_number, heard.position_s if heard.utterance_number else 0.0)
            self._generation += 1
            self._dropped += [rendered.source for rendered in self._ready]
            self._ready.clear()
            self._waiting.clear()
            self._renders_speech = False
            self._pushed = None
            self._delivered = self._planned = heard.interrupted()
            self._rest_if_silent()
            self._changed.notify_all()
            return played

    @property
    def is_speaking(self) -> bool:
        """Whether something is heard, or waits to be."""
        with self._changed:
            return self._is_speaking()

    def _is_speaking(self) -> bool:
        # From waiting to being heard, an utterance is rendered and lies ready: it is not over then.
        states = [self._delivered, *(one.after for one in self._ready)]
        return bool(self._waiting) or self._renders_speech or any(one.utterance_number > 0 for one in states)

    def _rest_if_silent(self) -> None:
        """Let others speak, where nothing is left to be said here."""
        if self._may_speak and not self._is_speaking():
            self._may_speak = False
            self._performer.end_to_speak()

    def next_tick(self, timeout_s: float | None = None) -> Tick | None:
        """The next tick; None when none was ready in time, or the session is closed.

        Raises:
            MediaError: the clip cannot be decoded.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._ready or self._closed or self._failure, timeout_s):
                return None
            if self._failure is not None:
                raise self._failure
            if self._closed:
                return None
            rendered = self._ready.popleft()
            self._delivered = rendered.after
            if rendered.after.utterance is not None:
                rendered.after.utterance.used(rendered.after.position_s)
            self._rest_if_silent()
            self._changed.notify_all()
            return rendered.tick

    @property
    def is_closed(self) -> bool:
        with self._changed:
            return self._closed

    def close(self) -> None:
        """End the session; may be called twice."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._generation += 1
            self._changed.notify_all()
        self._jobs.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self._source.close()
        if self._may_speak:
            self._performer.end_to_speak()
        self._performer.leave()

    def _start(self, fill: Callable[[LiveUtterance, Cancelled], None], then: Callable[[], None] = lambda: None) -> int:
        """Let an utterance wait to be spoken, and begin to make it."""
        with self._changed:
            if self._closed:
                raise ValueError("The session is closed.")
            if len(self._waiting) >= MOST_WAITING:
                raise ValueError(f"{MOST_WAITING} utterances wait already; interrupt, or let some be spoken first.")
            if not self._may_speak:
                self._performer.begin_to_speak()
                self._may_speak = True
            self._utterances += 1
            utterance = LiveUtterance(self._utterances, len(self._performer.pause))
            self._waiting.append(utterance)
            self._jobs.put(_Job(utterance, self._generation, fill, then))
            return utterance.number

    def _prepare(self) -> None:
        """Make utterances, one after the other."""
        while (job := self._jobs.get()) is not None:

            def cancelled(generation: int = job.generation) -> bool:
                return self._generation != generation or self._closed

            error = ""
            if not cancelled():
                try:
                    job.fill(job.utterance, cancelled)
                except Exception as failure:  # an engine of another package may raise anything
                    error = message_of(failure)
            job.utterance.complete(error)
            job.then()

    def _render(self) -> None:
        """Render ticks until the session is closed."""
        try:
            while self._render_batch():
                pass
        except Exception as failure:  # told to whoever asks for the next tick
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    def _render_batch(self) -> bool:
        """Plan and render the next ticks; whether the session goes on."""
        with self._changed:
            while not self._has_room():
                # Nobody tells when audio arrives; all else that makes room is told.
                self._changed.wait(POLL_S if waits_for_audio(self._planned, self.frame_rate) else None)
            if self._closed:
                return False
            generation = self._generation
            self._source.give_back(self._dropped)
            self._dropped = []
            planned: list[Planned] = []
            state, performer = self._planned, self._performer
            # After an interrupt nothing is ready: the next tick may be due before two are rendered.
            for _ in range(BATCH if self._ready or state.fading is None else 1):
                if planned and waits_for_audio(state, self.frame_rate):
                    break
                planned.append(plan_tick(state, self._waiting, performer.pause, performer.usual_step, self.frame_rate))
                state = planned[-1].after
            self._renders_speech = any(one.after.utterance_number > 0 for one in planned)
        sources = [self._source.next() for _ in planned]
        images = self._performer.render(
            [number for number, _ in sources], [image for _, image in sources], [one.expression for one in planned]
        )
        with self._changed:
            if self._generation != generation:
                self._dropped += sources
            else:
                self._planned, self._renders_speech = state, False
                for one, source, image in zip(planned, sources, images, strict=True):
                    self._ready.append(_Rendered(_tick(one, image), source, one.after))
                self._changed.notify_all()
            return not self._closed

    def _has_room(self) -> bool:
        """Whether the next ticks are to be rendered now."""
        if self._closed:
            return True
        if waits_for_audio(self._planned, self.frame_rate):  # it may still come in time
            return len(self._ready) < 1
        if self._planned.utterance is not None:
            return len(self._ready) <= AHEAD - BATCH
        # A mouth that eases to rest has to be rendered, and comes one tick at a time at first.
        return not self._ready or (self._planned.is_easing and len(self._ready) < IDLE_AHEAD)


def _tick(planned: Planned, image: Image) -> Tick:
    after = planned.after
    heard = after.utterance_number if not after.is_starved else 0
    return Tick(planned.number, image, planned.audio, heard, after.position_s if heard else 0.0, planned.events)
