"""Excerpts of recordings: samples are unchanged, and silence lies where there are none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from talkinghead.media.excerpts import RecordingExcerpt, excerpt
from talkinghead.structures import Audio, FloatArray

RATE_HZ = 100
SAMPLES = np.arange(1, 351, dtype=np.float32)


def stereo_blocks(sizes: tuple[int, ...] = (100, 1, 0, 149, 100)) -> list[FloatArray]:
    edges = np.cumsum((0, *sizes))
    both = np.stack([SAMPLES, -SAMPLES])
    return [both[:, a:b] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize("first", [-70_000, -30, 0, 1, 99, 100, 340, 350, 400])
@pytest.mark.parametrize("end", [1, 100, 101, 349, 350, 351, 900, 100_000])
def test_an_excerpt_is_a_slice_of_the_recording_within_endless_silence(first: int, end: int) -> None:
    if end <= first:
        return
    padded = np.zeros((2, 70_000 + 100_000), np.float32)
    padded[:, 70_000 : 70_000 + 350] = SAMPLES, -SAMPLES
    found = list(excerpt(stereo_blocks(), first, end))
    np.testing.assert_array_equal(np.concatenate(found, 1), padded[:, 70_000 + first : 70_000 + end])
    assert all(block.size and block.dtype == np.float32 for block in found)


@pytest.mark.parametrize(("first", "after"), [(0, 0), (-30, 0), (0, 20), (-30, 20), (200, 5)])
def test_without_an_end_it_goes_on_to_that_of_the_recording_and_after(first: int, after: int) -> None:
    found = np.concatenate(list(excerpt(stereo_blocks(), first, None, after=after)), 1)
    silence = np.zeros(max(0, -first), np.float32), np.zeros(after, np.float32)
    np.testing.assert_array_equal(found[0], np.concatenate([silence[0], SAMPLES[max(0, first) :], silence[1]]))


def test_nothing_after_the_end_is_read() -> None:
    read: list[int] = []

    def blocks() -> itertools.chain[FloatArray]:
        return itertools.chain.from_iterable(
            [block] for number, block in enumerate(np.split(SAMPLES, 7)) if read.append(number) is None
        )

    assert sum(map(len, excerpt(blocks(), 10, 60))) == 50
    assert read == [0, 1, 2]


def test_an_excerpt_of_a_recording_can_be_read_again() -> None:
    cut = RecordingExcerpt(Audio(SAMPLES, RATE_HZ), -50, 400, fill=7.0)
    expected = np.concatenate([np.full(50, 7), SAMPLES, np.full(50, 7)])
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(list(cut.blocks())), expected)
    assert (cut.rate_hz, cut.duration_s) == (RATE_HZ, 4.5)
