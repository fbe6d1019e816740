"""The frame loop: frames of the clip in order, updated in batches, blended around frames that are passed through."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from talkinghead.generation.face_updater import FaceUpdater, Prepared
from talkinghead.generation.passthrough import FADE_S, Reason, UpdatedFrame, blend_weights
from talkinghead.generation.stream import prefetch
from talkinghead.generation.timeline import Timeline
from talkinghead.structures import FloatArray

BATCH = 8
"""Frames that pass through the network at once."""


def updated_frames(
    updater: FaceUpdater, timeline: Timeline, expression: Iterable[FloatArray], *, passthrough: bool = True
) -> Iterator[UpdatedFrame]:
    """Frames of the output, in order.

    Decoding, preparing and rendering each run in a thread of their own, pasting in the caller's.

    Args:
        updater: of the timeline's clip.
        timeline: T frames.
        expression: T rows (K,), taken as they are needed; an array (T, K) is such rows.
        passthrough: whether frames that cannot be given a new face are passed through; False updates every frame that
            shows a face.
    """
    batches = _prepared(updater, timeline, expression)
    prepared = prefetch(_blended(batches, timeline) if passthrough else batches, 1)
    rendered = prefetch(map(updater.render, prepared), 1)
    times_s = iter(timeline.times_s.tolist())
    for batch, updated in rendered:
        weights = batch.frame_weights()
        for picture, reason, weight in zip(updater.paste(batch, updated), batch.reject_reasons, weights, strict=True):
            yield UpdatedFrame(picture, next(times_s), reject_reason=reason, blend_weight=weight)


def _prepared(updater: FaceUpdater, timeline: Timeline, expression: Iterable[FloatArray]) -> Iterator[Prepared]:
    """The timeline in batches that are ready for the network."""
    source = prefetch(timeline.read(), BATCH)
    rows = iter(expression)

    def batch(start: int) -> Prepared:
        frames = timeline.frames[start : start + BATCH]
        pictures = [frame.picture for frame in itertools.islice(source, len(frames))]
        cut = updater.cut(pictures, frames)  # while the first words are still encoded
        return updater.driven(cut, np.stack(list(itertools.islice(rows, len(frames)))))

    return map(batch, range(0, len(timeline), BATCH))


def _blended(batches: Iterable[Prepared], timeline: Timeline) -> Iterator[Prepared]:
    """The batches with the reason to reject each frame, and the blend weights that follow.

    Each batch is held back until the frames within `FADE_S` after it are known.
    """
    times_s = timeline.times_s
    waiting: deque[tuple[int, Prepared]] = deque()
    reasons: list[Reason | None] = []
    for batch in batches:
        start = len(reasons)
        waiting.append((start, batch))
        own = [timeline.reject_reasons[frame] for frame in timeline.frames[start : start + len(batch.pictures)]]
        for number in batch.usable[batch.covered]:
            own[number] = own[number] or Reason.COVERED
        reasons += own
        known_until_s = times_s[len(reasons) - 1] if len(reasons) < len(timeline) else math.inf
        while waiting and times_s[waiting[0][0] + len(waiting[0][1].pictures) - 1] + FADE_S < known_until_s:
            yield _with_blend_weights(*waiting.popleft(), reasons, times_s)


def _with_blend_weights(
    start: int, batch: Prepared, reasons: Sequence[Reason | None], times_s: NDArray[np.float64]
) -> Prepared:
    """A batch, whose first frame has number `start`, with its reasons and the weights that they and their neighbors
    give it."""
    end = start + len(batch.pictures)
    first = int(np.searchsorted(times_s, times_s[start] - FADE_S))
    last = min(len(reasons), int(np.searchsorted(times_s, times_s[end - 1] + FADE_S)) + 1)
    accepted = np.array([reason is None for reason in reasons[first:last]])
    own = blend_weights(accepted, times_s[first:last])[start - first : end - first]
    return dataclasses.replace(batch, blend_weights=own[batch.usable], reject_reasons=reasons[start:end])
