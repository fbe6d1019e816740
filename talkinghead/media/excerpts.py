"""Excerpts of recordings: a stretch of the samples, continued with silence where it reaches beyond either end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from talkinghead.structures import FloatArray, Recording

LONGEST_SILENCE = 48_000
"""Most samples of silence in one block."""


def excerpt(
    blocks: Iterable[FloatArray], first: int, end: int | None, *, after: int = 0, fill: float = 0.0
) -> Iterator[FloatArray]:
    """The samples from number `first` to before number `end` of a recording, unchanged.

    Args:
        blocks: of the recording, from its sample 0 on: at least one, (..., N) each, which follow each other.
        first: number of the first sample; a negative number begins with as many samples of silence.
        end: number of the sample after the last one, which may be beyond the recording's; None is its end, with `after`
            samples of silence.
        after: see there.
        fill: value of silence.

    Yields:
        Blocks (..., N), none of them empty. Those after `end` are not asked for.
    """
    position, block = 0, np.zeros(0, np.float32)
    for number, block in enumerate(blocks):
        if number == 0:
            yield from _silence(block, min(0, end or 0) - first, fill)
        if end is not None and position >= end:
            return
        kept = block[..., max(0, first - position) : None if end is None else end - position]
        position += block.shape[-1]
        if kept.shape[-1]:
            yield kept
    yield from _silence(block, after if end is None else end - max(position, first), fill)


def _silence(like: FloatArray, count: int, fill: float) -> Iterator[FloatArray]:
    """`count` samples of silence for as many channels as a block has; none where the count is not above 0."""
    while count > 0:
        part = min(count, LONGEST_SILENCE)
        yield np.full((*like.shape[:-1], part), fill, np.float32)
        count -= part


@dataclass(frozen=True)
class RecordingExcerpt:
    """An excerpt of a recording as a recording of its own."""

    recording: Recording
    first: int
    """Number of its first sample in the recording; negative where it begins with silence."""
    end: int
    """Number of the sample after its last one; beyond the recording's where it ends with silence."""
    fill: float = 0.0
    """Value of silence."""

    @property
    def rate_hz(self) -> int:
        """Samples per second."""
        return self.recording.rate_hz

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return (self.end - self.first) / self.rate_hz

    def blocks(self) -> Iterator[FloatArray]:
        """Read the samples from its beginning: blocks (N,) float32 without gaps between them."""
        return excerpt(self.recording.blocks(), self.first, self.end, fill=self.fill)
