"""In which order the frames of a live anchor's clip come, and that they are decoded once."""

from __future__ import annotations

import numpy as np
import pytest

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.generation.frame_order import forward_loop, read_in_order
from talkinghead.live import shared_clip
from talkinghead.live.frame_source import FrameSource
from talkinghead.live.shared_clip import SharedClip, crossing_of
from talkinghead.live.stored_images import ImageStore, StoredImage, pixels


@pytest.fixture(scope="module")
def presenter() -> Anchor:
    return load_anchor("presenter")


def numbers_of(source: FrameSource, count: int) -> list[int]:
    return [source.next()[0] for _ in range(count)]


def test_it_goes_round_the_loop_that_files_go_round(presenter: Anchor, monkeypatch: pytest.MonkeyPatch) -> None:
    crossing = crossing_of(presenter)
    assert crossing is not None
    decoded: list[int] = []

    def noted(*arguments: object) -> object:
        decoded.append(len(arguments[1]))  # type: ignore[arg-type]
        return read_in_order(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(shared_clip, "read_in_order", noted)
    loop, frames = crossing.loop, len(presenter.reconstruction)
    store = ImageStore(10**9)
    clip = SharedClip(presenter, store, crossing)
    source, beside = FrameSource(clip), FrameSource(clip)
    count = 2 * loop.leave + 40
    for _ in range(20):
        assert beside.next()[0] == source.next()[0]
    assert numbers_of(source, count - 20) == forward_loop(count, 0, frames, loop).tolist()[20:]
    source.close()
    beside.close()
    # The first round is decoded once, by whoever is foremost; later ones and other sessions take it from memory.
    assert decoded == [loop.leave + loop.frames]
    other = FrameSource(clip)
    number, image = other.next()
    other.close()
    assert (number, isinstance(image, StoredImage)) == (0, True)


def test_no_step_of_the_loop_is_seen(presenter: Anchor) -> None:
    """The blended frames change no more than frames of the clip itself do."""
    crossing = crossing_of(presenter)
    assert crossing is not None
    loop, times_s = crossing.loop, presenter.reconstruction.times_s
    order = [*range(loop.leave - 8, loop.leave), *range(crossing.first, crossing.first + loop.frames)]
    order += range(loop.enter + loop.frames, loop.enter + loop.frames + 8)
    images = [
        frame.image[:200].astype(float)
        for frame in read_in_order(presenter.clip, order, times_s, presenter.tracks, crossing)
    ]
    change = np.array([np.abs(after - before).mean() for before, after in zip(images[:-1], images[1:], strict=True)])
    own = np.concatenate([change[:7], change[-7:]])
    assert change[7:-7].max() < 1.5 * own.max()


def test_what_does_not_fit_in_memory_is_decoded_again(presenter: Anchor) -> None:
    store = ImageStore(300_000)
    clip = SharedClip(presenter, store, crossing_of(presenter))
    source, other = FrameSource(clip), FrameSource(clip)
    images = [source.next() for _ in range(12)]
    again = [other.next() for _ in range(12)]
    source.close()
    other.close()
    assert clip.is_over and not clip.is_whole
    assert [number for number, _ in again] == [number for number, _ in images] == list(range(12))
    assert all((pixels(one) == pixels(same)).all() for (_, one), (_, same) in zip(images[2:], again[2:], strict=True))
    kept = [number for number in range(12) if store.get(number) is not None]
    assert 0 < len(kept) < 12
    found = store.get(0)
    assert found is not None
    assert np.abs(found.pixels().astype(int) - pixels(images[0][1])).mean() < 1


def test_a_clip_without_a_loop_turns(presenter: Anchor) -> None:
    source = FrameSource(SharedClip(presenter, ImageStore(10**9)))
    numbers = np.array(numbers_of(source, 1200))
    source.close()
    steps = np.diff(numbers)
    assert set(np.abs(steps)) == {1} and steps.min() == -1
