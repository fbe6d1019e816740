"""Where the clock of a container begins anew, found from its packets without decoding them."""

from __future__ import annotations

import contextlib
from fractions import Fraction

import av
from av.container import InputContainer

from talkinghead.media.parts import MAX_CLOCK_STEP_S


def clock_begins(container: InputContainer) -> list[int]:
    """Positions in bytes, rising, from which on all streams follow another clock than before.

    A clock begins anew where the decoding times of a stream fall, or jump ahead by more than `MAX_CLOCK_STEP_S`, and
    stay so for two packets: a single wrong timestamp is none. Streams lie interleaved, so each says only between which
    two of its packets that is; jumps whose stretches overlap are one.
    """
    stretches: list[tuple[int, int]] = []
    clocks = {
        stream.index: _StreamClock(stretches) for stream in container.streams if stream.type in ("audio", "video")
    }
    with contextlib.suppress(av.FFmpegError):  # what is damaged is found out where it is decoded
        for packet in container.demux():
            ticks = packet.dts if packet.dts is not None else packet.pts
            if packet.size and ticks is not None and packet.pos is not None and packet.stream.index in clocks:
                clocks[packet.stream.index].push(ticks * packet.time_base, packet.pos)
    begins: list[int] = []
    for last_old, first_new in sorted(stretches, key=lambda stretch: stretch[1]):
        if not begins or last_old >= begins[-1]:
            begins.append(first_new)
    return begins


class _StreamClock:
    """Times of one stream's packets."""

    def __init__(self, stretches: list[tuple[int, int]]) -> None:
        """Args: stretches: where to add the last position of an old clock and the first one of a new clock."""
        self._stretches = stretches
        self._last: tuple[Fraction, int] | None = None
        self._suspect: tuple[Fraction, int] | None = None

    def push(self, time_s: Fraction, position: int) -> None:
        """Take in the next packet."""
        if self._last is None or self._follows(time_s, self._last[0]):
            self._last, self._suspect = (time_s, position), None
        elif self._suspect is not None and self._follows(time_s, self._suspect[0]):
            self._stretches.append((self._last[1], self._suspect[1]))
            self._last, self._suspect = (time_s, position), None
        else:
            self._suspect = (time_s, position)

    @staticmethod
    def _follows(time_s: Fraction, earlier_s: Fraction) -> bool:
        return 0 < time_s - earlier_s <= MAX_CLOCK_STEP_S
