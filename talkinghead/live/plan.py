"""What a session does next: pure functions of its state, so that ticks can be planned ahead and taken back."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np

from talkinghead.live.ticks import AUDIO_RATE_HZ, Event, samples_before
from talkinghead.live.utterance import LiveUtterance
from talkinghead.structures import FloatArray

EASE_S = 0.16
"""Time in which the mouth goes over from what it did to what it does next, seconds."""
QUICK_EASE_S = 0.08
"""Time in which it comes to rest after an interrupt, seconds; up to `EASE_S` where a frame of it would go further than
usual in speech."""
FADE_S = 0.02
"""Time in which the audio of an interrupted utterance fades out, seconds."""
STILL = 0.02
"""A mouth that is this near to the pause mouth, in standard deviations, is the pause mouth."""


@dataclass(frozen=True)
class SessionState:
    """All that the next tick depends on, besides the utterances."""

    number: int
    """Of the next tick."""
    expression: FloatArray
    """(K,) that was shown last."""
    offset: FloatArray
    """(K,) from what is asked for to what was shown, when that last changed; it is eased to 0."""
    eased_s: float = EASE_S
    """Time since then, seconds ..."""
    ease_s: float = EASE_S
    """... and in which it is eased."""
    utterance: LiveUtterance | None = None
    """That is spoken."""
    used: int = 0
    """Samples of it that are in the ticks so far."""
    is_starved: bool = False
    """Whether the last tick had to do without it, since it had not arrived."""
    fading: LiveUtterance | None = None
    """That was interrupted, and fades out in the next tick."""
    events: tuple[Event, ...] = ()
    """That the next tick tells."""

    @classmethod
    def at_rest(cls, pause: FloatArray) -> SessionState:
        """Of a new session; `pause` is the mouth at rest, (K,)."""
        return cls(0, pause, np.zeros_like(pause))

    @property
    def utterance_number(self) -> int:
        return 0 if self.utterance is None else self.utterance.number

    @property
    def is_easing(self) -> bool:
        """Whether the mouth is on its way to what is asked for."""
        return self.eased_s < self.ease_s

    @property
    def position_s(self) -> float:
        """How much of the utterance is in the ticks so far, seconds."""
        return self.used / AUDIO_RATE_HZ

    def interrupted(self) -> SessionState:
        """The state in which the utterance is dropped."""
        if self.utterance is None:
            return self
        event = Event("silence", self.utterance.number)
        return replace(
            self, utterance=None, fading=self.utterance, is_starved=False, events=(*self.events, event), eased_s=0.0
        )


@dataclass(frozen=True)
class Planned:
    """A tick before it is rendered."""

    number: int
    expression: FloatArray | None
    """(K,); None is the mouth at rest."""
    audio: FloatArray
    """(N,) at `AUDIO_RATE_HZ`."""
    events: tuple[Event, ...]
    after: SessionState
    """The state when it has been shown."""


def plan_tick(
    state: SessionState, waiting: deque[LiveUtterance], pause: FloatArray, usual_step: float, frame_rate: Fraction
) -> Planned:
    """The next tick.

    Args:
        state: after the tick before.
        waiting: utterances still to be spoken; those that this tick begins are taken out.
        pause: (K,) the mouth at rest.
        usual_step: see `Performer.usual_step`.
        frame_rate: ticks per second.
    """
    count = samples_before(state.number + 1, frame_rate) - samples_before(state.number, frame_rate)
    utterance, used, events = _current(state, waiting, count)
    is_starved = utterance is not None and not utterance.is_ready((used + count) / AUDIO_RATE_HZ)
    target, audio = pause, np.zeros(count, np.float32)
    if utterance is not None and not is_starved:
        row = utterance.expression(used / AUDIO_RATE_HZ)
        target, audio = pause if row is None else row, utterance.audio(used, count)
        used += count
    elif state.fading is not None:
        audio = _faded(state.fading, state.used, count)
    changed = utterance is not state.utterance or is_starved != state.is_starved or state.eased_s == 0.0
    offset, ease_s = (state.expression - target, EASE_S) if changed else (state.offset, state.ease_s)
    if state.fading is not None and utterance is None:
        ease_s = quick_ease_s(float(np.linalg.norm(offset)), usual_step, frame_rate)
    eased_s = (0.0 if changed else state.eased_s) + float(1 / frame_rate)
    shown = np.asarray(target + offset * _rest_of_ease(eased_s / ease_s), np.float32)
    is_still = target is pause and bool(np.abs(shown - pause).max() < STILL)
    after = SessionState(state.number + 1, shown, offset, max(eased_s, 1e-9), ease_s, utterance, used, is_starved)
    return Planned(state.number, None if is_still else shown, audio, events, after)


def waits_for_audio(state: SessionState, frame_rate: Fraction) -> bool:
    """Whether the utterance that is spoken has not arrived for the next tick."""
    if state.utterance is None or state.utterance.is_over(state.position_s):
        return False
    return not state.utterance.is_ready(state.position_s + float(1 / frame_rate))


def _current(
    state: SessionState, waiting: deque[LiveUtterance], count: int
) -> tuple[LiveUtterance | None, int, tuple[Event, ...]]:
    """The utterance of the next tick, how much of it is used, and what has happened."""
    utterance, used, events = state.utterance, state.used, state.events
    while True:
        if utterance is not None:
            if not utterance.is_over(used / AUDIO_RATE_HZ):
                return utterance, used, events
            events = (*events, _ending(utterance))
            utterance, used = None, 0
        if not waiting or not waiting[0].is_ready(count / AUDIO_RATE_HZ):
            return utterance, used, events
        utterance, used = waiting.popleft(), 0
        events = (*events, Event("speaking", utterance.number)) if utterance.duration_s else events


def _ending(utterance: LiveUtterance) -> Event:
    error = utterance.error
    return Event("error", utterance.number, error) if error else Event("silence", utterance.number)


def _faded(utterance: LiveUtterance, first: int, count: int) -> FloatArray:
    """(count,) samples from number `first` on, which fade out within `FADE_S`."""
    ramp = np.clip(1 - np.arange(count) / (FADE_S * AUDIO_RATE_HZ), 0, 1)
    return np.asarray(utterance.audio(first, count) * ramp, np.float32)


def quick_ease_s(length: float, usual_step: float, frame_rate: Fraction) -> float:
    """Shortest time in whole frames, from `QUICK_EASE_S` to `EASE_S`, in which the mouth comes to rest without going
    further in one of them than it usually does.

    Args:
        length: of the way.
        usual_step: see `Performer.usual_step`.
        frame_rate: frames per second.
    """
    least, most = (max(1, math.ceil(ease_s * frame_rate - 1e-6)) for ease_s in (QUICK_EASE_S, EASE_S))
    for frames in range(least, most):
        left = [_rest_of_ease(frame / frames) for frame in range(frames + 1)]
        if length * max(before - after for before, after in pairwise(left)) <= usual_step:
            return float(frames / frame_rate)
    return EASE_S


def _rest_of_ease(share: float) -> float:
    """Share of the offset that is left after a share of the time, from 1 to 0 without a corner."""
    done = min(1.0, share)
    return 1 - done * done * (3 - 2 * done)
