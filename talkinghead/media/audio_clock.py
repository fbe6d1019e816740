"""Where decoded audio frames lie in time: by their numbers of samples, corrected by timestamps that can be trusted."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import av

from talkinghead.media.containers import FALLBACK_TIME_BASE
from talkinghead.media.parts import MAX_CLOCK_STEP_S

CLOCK_TOLERANCE_S = Fraction(15, 1000)
"""Seconds. Some containers round audio timestamps; a smaller step is no gap. Shorter than one packet of any codec."""
COUNTED_TOLERANCE_S = Fraction(50, 1000)
"""Seconds. The same where timestamps are not in the file, but counted by its reader from its packets."""
LASTING_FRAMES = 8
"""A step of the timestamps is a gap if so many of the frames that follow have it too."""
SURE_STEP_S = Fraction(100, 1000)
"""Seconds. Near the end, where fewer frames follow, a step has to be this large to be a gap."""
SAME_STEP_S = Fraction(50, 1000)
"""Seconds. Steps of the frames that follow, if they differ by no more, are one step whose timestamps are inexact."""


class AudioClock:
    """Places the frames of an audio stream one after the other.

    A frame is as long as its samples say at its own sampling rate, and begins where the one before it ended. Its
    timestamp changes that only where it and those of the frames that follow agree on a step. A step ahead is a gap. A
    step back, or ahead by more than `MAX_CLOCK_STEP_S`, is a clock that began anew: the audio goes on without a gap,
    and none of it is dropped.
    """

    def __init__(self, first_image_s: Fraction | None, *, whole: bool, counted: bool) -> None:
        """Args:
        first_image_s: when the first video frame is shown, on the container's clock; None without video.
        whole: whether time 0 is the first audio frame where that comes before the first video frame.
        counted: whether timestamps are not in the file, but counted by its reader.
        """
        self._origin_s = first_image_s
        self._has_images = first_image_s is not None
        self._whole = whole
        self._counted = counted
        self._miscounted = False
        self._rate_hz = 0
        self._part = 0
        self._expected_s: Fraction | None = None
        self.missing_s = Fraction(0)
        """Length of all gaps so far, seconds."""
        self.gaps = 0
        """Number of gaps so far."""

    @property
    def parts(self) -> int:
        """Number of files, one after the other, that the frames so far were read from."""
        return self._part + 1

    def place(self, frames: Iterator[tuple[int, av.AudioFrame]]) -> Iterator[tuple[av.AudioFrame, Fraction]]:
        """Give each frame its time.

        Args:
            frames: each with the number of the part of the file that it is from.

        Returns:
            The frames, each with where it begins in seconds from time 0: negative before the first video frame.
        """
        window: deque[tuple[int, av.AudioFrame]] = deque()
        for item in frames:
            window.append(item)
            if len(window) > LASTING_FRAMES:
                yield self._place_first(window)
        while window:
            yield self._place_first(window)

    def _place_first(self, window: deque[tuple[int, av.AudioFrame]]) -> tuple[av.AudioFrame, Fraction]:
        part, frame = window.popleft()
        if self._expected_s is None:
            start_s = self._first_start(_time_s(frame))
            self._rate_hz = frame.sample_rate
        else:
            start_s = self._expected_s + self._gap_before(part, frame, window)
        self._part = part
        self._expected_s = start_s + _length_s(frame)
        return frame, start_s

    def _first_start(self, time_s: Fraction | None) -> Fraction:
        if time_s is None:
            return Fraction(0)
        if self._origin_s is None or (self._whole and time_s < self._origin_s):
            self._origin_s = time_s
        return time_s - self._origin_s

    def _gap_before(self, part: int, frame: av.AudioFrame, following: deque[tuple[int, av.AudioFrame]]) -> Fraction:
        """Seconds of audio that are missing before a frame; sets the clock where it began anew."""
        # The reader counted by the first sampling rate: from another one on, its timestamps are wrong for good.
        self._miscounted |= self._counted and frame.sample_rate != self._rate_hz
        time_s = _time_s(frame)
        if time_s is None or self._expected_s is None or self._miscounted:
            return Fraction(0)
        if self._origin_s is None:
            self._origin_s = time_s - self._expected_s
        if part != self._part and not self._has_images:  # nothing that the audio has to stay together with
            self._origin_s = time_s - self._expected_s
        step_s = self._lasting_step(part, [(part, frame), *following])
        if step_s < 0 or step_s > MAX_CLOCK_STEP_S:
            self._origin_s += step_s
            return Fraction(0)
        if step_s and (part == self._part or step_s >= SURE_STEP_S):  # where parts meet, a moment is nobody's loss
            self.missing_s += step_s
            self.gaps += 1
        return step_s

    def _lasting_step(self, part: int, frames: list[tuple[int, av.AudioFrame]]) -> Fraction:
        """By how much the timestamps of the frames are ahead of where their samples would put them; 0 if inexact."""
        assert self._expected_s is not None and self._origin_s is not None
        tolerance_s = COUNTED_TOLERANCE_S if self._counted else CLOCK_TOLERANCE_S
        end_s, steps = self._expected_s, []
        for number, frame in frames:
            time_s = _time_s(frame)
            if number != part:
                break
            if time_s is not None:
                steps.append(time_s - self._origin_s - end_s)
                if abs(steps[-1]) <= tolerance_s or (steps[-1] > 0) != (steps[0] > 0):
                    return Fraction(0)
            end_s += _length_s(frame)
        least_s = min(map(abs, steps))
        alike = sorted(step for step in steps if abs(step) - least_s <= SAME_STEP_S)
        step_s = alike[len(alike) // 2]
        return step_s if len(steps) > LASTING_FRAMES or abs(step_s) >= SURE_STEP_S else Fraction(0)


def _time_s(frame: av.AudioFrame) -> Fraction | None:
    """A frame's timestamp in seconds."""
    return None if frame.pts is None else frame.pts * (frame.time_base or FALLBACK_TIME_BASE)


def _length_s(frame: av.AudioFrame) -> Fraction:
    """Seconds."""
    return Fraction(frame.samples, frame.sample_rate)
