"""What an idle anchor looks like is rendered once, whoever asks, and before it is needed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from talkinghead.anchor import load_anchor
from talkinghead.errors import MediaError
from talkinghead.live import resident as module
from talkinghead.live.idle_loop import AT_ONCE, IdleLoop, IdleMaker
from talkinghead.live.resident import Capacity, ResidentAnchor
from talkinghead.live.session import LiveSession
from talkinghead.live.stored_images import Image, ImageStore, StoredImage, pixels
from talkinghead.structures import ByteArray

BLANK = np.zeros((16, 16, 3), np.uint8)


class Renderer:
    """Counts what it is asked for, and takes its time."""

    def __init__(self) -> None:
        self.rendered: Counter[int] = Counter()

    def __call__(self, numbers: Sequence[int], images: Sequence[Image]) -> list[ByteArray]:
        self.rendered.update(numbers)
        time.sleep(0.002)  # so that others come while this one is busy
        return [np.full((16, 16, 3), number, np.uint8) for number in numbers]


def test_sessions_that_need_a_picture_at_once_get_the_same_one() -> None:
    renderer = Renderer()
    loop = IdleLoop(ImageStore(10**7), renderer)
    start = threading.Barrier(10)

    def session(_: int) -> list[Image]:
        start.wait()
        return [image for first in range(0, 40, 2) for image in loop.pictures([first, first + 1], [BLANK, BLANK])]

    with ThreadPoolExecutor(10) as pool:
        shown = list(pool.map(session, range(10)))
    assert renderer.rendered == Counter(range(40))
    for number in range(40):
        images = [one[number] for one in shown]
        assert all(isinstance(image, StoredImage) and image.number == number for image in images)
        assert len({id(image.packed) for image in images if isinstance(image, StoredImage)}) == 1
        assert abs(int(pixels(images[0])[0, 0, 0]) - number) <= 1


def test_what_finds_no_room_is_rendered_each_time_and_right() -> None:
    renderer = Renderer()
    store = ImageStore(2000)
    loop = IdleLoop(store, renderer)
    for _ in range(2):
        for number in range(20):
            [image] = loop.pictures([number], [BLANK])
            assert abs(int(pixels(image)[0, 0, 0]) - number) <= 1
    kept = [number for number in range(20) if store.get(number) is not None]
    assert 0 < len(kept) < 20 and store.is_full and store.bytes <= 2000
    assert renderer.rendered == Counter({number: 1 if number in kept else 2 for number in range(20)})


def test_a_maker_waits_until_the_machine_is_free_and_ends_when_all_is_made() -> None:
    made: list[int] = []
    free = threading.Event()

    def make(place: int) -> bool:
        made.append(place)
        return True

    maker = IdleMaker(make, 11, lambda place, worked_s: 0.0 if free.is_set() else None)
    assert not maker.wait(0.1) and not made
    free.set()
    assert maker.wait(20)
    assert made == list(range(0, 11, AT_ONCE))


def test_a_maker_ends_where_there_is_no_room_and_where_the_clip_cannot_be_read() -> None:
    assert IdleMaker(lambda place: False, 10, lambda place, worked_s: 0.0).wait(20)

    def fails(place: int) -> bool:
        raise MediaError("gone")

    assert IdleMaker(fails, 10, lambda place, worked_s: 0.0).wait(20)


def test_a_maker_that_is_closed_stops() -> None:
    made: list[int] = []

    def make(place: int) -> bool:
        made.append(place)
        return True

    maker = IdleMaker(make, 10**9, lambda place, worked_s: 0.001)
    while not made:
        time.sleep(0.001)
    maker.close()
    count = len(made)
    assert maker.wait(0) and len(made) == count
    maker.close()


def test_capacity_knows_whether_anybody_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    for capacity in (Capacity(), Capacity(idle_sessions=3)):
        capacity.enter(0.1, 8)
        assert (capacity.sessions, capacity.is_speaking) == (1, False)
        capacity.begin_to_speak(0.1, 8)
        assert capacity.is_speaking
        capacity.end_to_speak(0.1)
        assert capacity.is_speaking, "an answer may follow"
        with monkeypatch.context() as patch:
            patch.setattr(module, "QUIET_S", 0.0)
            assert not capacity.is_speaking
        capacity.leave(0.1)
        assert capacity.sessions == 0


FRAMES = 12
"""That there is room for, about."""


@pytest.fixture(scope="module")
def rendered() -> Iterator[Counter[int]]:
    """Frames that were rendered with the mouth at rest."""
    counted: Counter[int] = Counter()
    inner = ResidentAnchor._at_rest

    def at_rest(self: ResidentAnchor, numbers: Sequence[int], images: Sequence[Image]) -> Sequence[ByteArray]:
        counted.update(numbers)
        return inner(self, numbers, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResidentAnchor, "_at_rest", at_rest)
        patch.setattr(module, "IDLE_BYTES", FRAMES * 150_000)
        yield counted


def test_sessions_of_an_anchor_show_the_same_pictures_rendered_once(rendered: Counter[int]) -> None:
    resident = ResidentAnchor(load_anchor("presenter"), "cpu", Capacity(idle_sessions=4))
    sessions = [LiveSession(resident) for _ in range(4)]
    try:
        shown = [[session.next_tick(60) for _ in range(6)] for session in sessions]
        # The maker goes on to where memory ends.
        assert resident.make_idle_ahead().wait(60)
        later = [session.next_tick(60) for session in sessions]
    finally:
        for session in sessions:
            session.close()
        resident.close()
    kept = [number for number in range(100) if resident._idle.has(number)]
    assert len(kept) >= 8 and kept == list(range(len(kept)))
    assert all(rendered[number] == 1 for number in kept)
    for ticks in zip(*shown, strict=True):
        images = [tick.shown for tick in ticks if tick is not None]
        assert len(images) == 4 and all(isinstance(image, StoredImage) for image in images)
        assert all((pixels(image) == pixels(images[0])).all() for image in images)
    assert all(tick is not None and tick.shown.number == 6 for tick in later if isinstance(tick.shown, StoredImage))
    # With sessions of others alone, or words, it leaves them the machine.
    assert resident._rest_s(0, 0.1) == 0.0
    resident._capacity.enter(0.1, 8)
    assert resident._rest_s(0, 0.1) is None
    resident.enter()
    assert resident._rest_s(0, 0.1) == 0.0
    resident.begin_to_speak()
    assert resident._rest_s(0, 0.1) is None
    # It is the mouth at rest: what rendering that frame for itself gives.
    first = resident.open_frames()
    number, frame = first.next()
    first.close()
    [expected] = resident._at_rest([number], [frame])
    assert number == 0
    assert np.abs(pixels(shown[0][0].shown).astype(int) - expected).mean() < 1
