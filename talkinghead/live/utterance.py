"""One utterance of a live session: audio and expression that arrive at one end while they are used at the other."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from talkinghead.live.ticks import AUDIO_RATE_HZ
from talkinghead.structures import FloatArray

KEPT_S = 2.0
"""What is kept of audio and expression after it was used, seconds: utterances may go on for hours."""


class LiveUtterance:
    """Filled by one thread, read by another. Times are seconds from the beginning of the utterance."""

    def __init__(self, number: int, expressions: int) -> None:
        """Make an empty one.

        Args:
            number: of the utterance in its session.
            expressions: K.
        """
        self.number = number
        self._lock = threading.Lock()
        self._audio = np.zeros(0, np.float32)
        self._audio_first = 0
        """Sample of the utterance that `_audio` begins with."""
        self._times_s = np.zeros(0)
        self._values = np.zeros((0, expressions), np.float32)
        self._complete = False
        self._error = ""
        self._room = threading.Condition(self._lock)
        self._used_s = 0.0

    def add_audio(self, samples: FloatArray) -> None:
        """Append audio, (N,) at `AUDIO_RATE_HZ`."""
        with self._lock:
            self._audio = np.concatenate([self._audio, samples])

    def add_expression(self, times_s: NDArray[np.float64], values: FloatArray) -> None:
        """Append expression (T, K) at (T,) times, later than all before."""
        with self._lock:
            self._times_s = np.concatenate([self._times_s, times_s])
            self._values = np.concatenate([self._values, values])

    def complete(self, error: str = "") -> None:
        """Nothing more will come; with an error, because it cannot be made."""
        with self._lock:
            self._complete, self._error = True, error
            self._room.notify_all()

    @property
    def error(self) -> str:
        """Why the utterance could not be made to its end; empty where it was."""
        with self._lock:
            return self._error if self._complete else ""

    @property
    def duration_s(self) -> float:
        """Of the audio so far, seconds."""
        with self._lock:
            return self._end_s()

    def _end_s(self) -> float:
        return (self._audio_first + len(self._audio)) / AUDIO_RATE_HZ

    def is_ready(self, end_s: float) -> bool:
        """Whether audio and expression are there up to a time, or to the end of the utterance."""
        with self._lock:
            if self._complete:
                return True
            known_s = float(self._times_s[-1]) if len(self._times_s) else -1.0
            return min(known_s, self._end_s()) >= end_s

    def is_over(self, position_s: float) -> bool:
        """Whether nothing is left from a position on."""
        with self._lock:
            return self._complete and position_s >= self._end_s() - 0.5 / AUDIO_RATE_HZ

    def audio(self, first: int, count: int) -> FloatArray:
        """(count,) samples from number `first` on, zeros beyond the end."""
        with self._lock:
            begin = first - self._audio_first
            found = self._audio[max(0, begin) : max(0, begin + count)]
            return np.pad(found, (0, count - len(found))).astype(np.float32)

    def expression(self, time_s: float) -> FloatArray | None:
        """(K,) at a time; before the first and after the last that is known, those; None where none is known."""
        with self._lock:
            if not len(self._times_s):
                return None
            after = int(np.searchsorted(self._times_s, time_s))
            if after in (0, len(self._times_s)):
                return self._values[min(after, len(self._times_s) - 1)]
            before_s, after_s = self._times_s[after - 1], self._times_s[after]
            share = np.float32((time_s - before_s) / (after_s - before_s))
            return np.asarray((1 - share) * self._values[after - 1] + share * self._values[after], np.float32)

    def used(self, position_s: float) -> None:
        """Forget what lies `KEPT_S` before a position."""
        with self._lock:
            self._used_s = position_s
            forgotten = max(0, round((position_s - KEPT_S) * AUDIO_RATE_HZ) - self._audio_first)
            if forgotten >= AUDIO_RATE_HZ:
                self._audio, self._audio_first = self._audio[forgotten:], self._audio_first + forgotten
                first = max(0, int(np.searchsorted(self._times_s, position_s - KEPT_S)) - 1)
                self._times_s, self._values = self._times_s[first:], self._values[first:]
            self._room.notify_all()

    def wait_for_room(self, ahead_s: float, timeout_s: float) -> bool:
        """Wait until less than `ahead_s` of audio is unused, at most `timeout_s`; whether that is so."""
        with self._lock:
            return self._room.wait_for(lambda: self._end_s() - self._used_s < ahead_s, timeout_s)
