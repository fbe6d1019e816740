"""An idle anchor's pictures are encoded once, and decoders do not notice."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc.codecs import get_encoder, vpx
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from talkinghead.live.stored_images import ImageStore
from talkinghead.server.idle_groups import RATE_MARGIN, RATES_BIT_S, GroupKey, IdleGroups
from talkinghead.server.vp8 import GROUP, IdleEncoder, stored_picture
from talkinghead.structures import ByteArray

SIZE = 64
TICK = 3600


def drawn(number: int) -> ByteArray:
    """A picture that shows its number: a bright field that goes over it."""
    image = np.full((SIZE, SIZE, 3), 60, np.uint8)
    left = number % 48
    image[16:32, left : left + 16] = 200
    return image


@pytest.fixture
def store() -> ImageStore:
    store = ImageStore(10**8)
    for number in range(2 * GROUP + 1):
        store.keep(number, drawn(number))
    return store


class Stream:
    """An encoder and the decoder at the other end."""

    def __init__(self) -> None:
        self.encoder, self.decoder, self.pts = IdleEncoder(), av.CodecContext.create("libvpx", "r"), 0
        self.keys: list[bool] = []
        self.sent: list[bytes] = []
        self.encoded = 0
        inner = vpx.Vp8Encoder.encode

        def counted(encoder: IdleEncoder, frame: av.VideoFrame, force_keyframe: bool = False) -> object:
            self.encoded += 1
            return inner(encoder, frame, force_keyframe)

        self.counted = counted

    def show(self, frame: av.VideoFrame) -> ByteArray:
        frame.pts, frame.time_base = self.pts, Fraction(1, 90_000)
        self.pts += TICK
        payloads, timestamp = self.encoder.encode(frame)
        assert timestamp == frame.pts
        data = b"".join(map(vpx.vp8_depayload, payloads))
        self.keys.append(not data[0] & 1)
        self.sent.append(data)
        [picture] = self.decoder.decode(av.Packet(data))
        return picture.to_ndarray(format="rgb24")

    def idle(self, store: ImageStore, numbers: Iterable[int]) -> None:
        for number in numbers:
            image = store.get(number)
            assert image is not None
            shown = self.show(stored_picture(image))
            assert np.abs(shown.astype(int) - drawn(number)).mean() < 6, f"frame {number}"

    def speak(self, level: int) -> None:
        picture = np.full((SIZE, SIZE, 3), level, np.uint8)
        shown = self.show(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        assert np.abs(shown.astype(int) - picture).mean() < 6


ROUND = [*range(2 * GROUP), *range(2 * GROUP, 0, -1)]
"""There and back."""


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    stream = Stream()
    monkeypatch.setattr(vpx.Vp8Encoder, "encode", stream.counted)
    return stream


def test_aiortc_makes_this_encoder() -> None:
    made = get_encoder(RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90_000, payloadType=96))
    assert isinstance(made, IdleEncoder)


def test_what_comes_again_is_not_encoded_again(stream: Stream, store: ImageStore) -> None:
    stream.idle(store, ROUND)
    stream.idle(store, ROUND)
    first = stream.encoded
    stream.idle(store, ROUND)
    stream.idle(store, ROUND)
    assert stream.encoded == first
    other = Stream()  # another connection, from another frame on
    stream.encoded = 0
    other.idle(store, ROUND[7:])
    other.idle(store, ROUND)
    assert stream.encoded == GROUP - 7
    assert other.keys.count(True) == 1 + (len(ROUND) - GROUP) // GROUP + len(ROUND) // GROUP


def test_groups_with_a_gap_are_not_kept(stream: Stream, store: ImageStore) -> None:
    stream.idle(store, range(GROUP - 3, GROUP + 5))
    stream.pts += TICK  # a frame was dropped
    stream.idle(store, range(GROUP + 6, 2 * GROUP + 1))
    assert not IdleGroups.of(store).whole
    stream.speak(100)
    stream.idle(store, range(GROUP - 3, 2 * GROUP + 1))
    [(key, group)] = IdleGroups.of(store).whole.items()
    assert key == GroupKey(GROUP, 1, RATES_BIT_S[0])
    assert group.numbers == list(range(GROUP, 2 * GROUP))


def test_however_many_show_a_group_it_is_encoded_once_while_it_goes_on(stream: Stream, store: ImageStore) -> None:
    others = [Stream() for _ in range(9)]
    order = [GROUP - 1, *range(GROUP, 2 * GROUP + 1)]
    # They are up to nine frames apart: the foremost encodes, whoever that is.
    for step in range(len(order) + len(others)):
        for behind, one in enumerate([stream, *others]):
            if 0 <= step - behind < len(order):
                one.idle(store, [order[step - behind]])
    # The frame before the group is of each one's own; the last begins the next group.
    assert stream.encoded == 10 + GROUP + 1
    assert all(one.sent[1:] == stream.sent[1:] for one in others)


def test_a_group_goes_on_without_the_one_that_began_it(stream: Stream, store: ImageStore) -> None:
    other = Stream()
    stream.idle(store, range(GROUP - 1, GROUP + 10))
    other.idle(store, range(GROUP - 1, GROUP + 5))
    assert stream.encoded == 1 + 10 + 1
    stream.speak(100)
    other.idle(store, range(GROUP + 5, 2 * GROUP + 1))
    assert stream.encoded == 12 + 1 + GROUP - 10 + 1
    assert list(IdleGroups.of(store).whole) == [GroupKey(GROUP, 1, RATES_BIT_S[0])]


def test_a_group_that_nobody_shows_any_more_leaves_nothing_behind(stream: Stream, store: ImageStore) -> None:
    for _ in range(3):
        stream.idle(store, range(GROUP - 1, GROUP + 5))
        stream.speak(100)
    groups = IdleGroups.of(store)
    assert not groups.whole and not len(groups._growing)


def test_connections_of_several_threads_share_what_is_encoded(stream: Stream, store: ImageStore) -> None:
    others = [Stream() for _ in range(6)]
    with ThreadPoolExecutor(len(others)) as pool:
        list(pool.map(lambda one: one.idle(store, [GROUP - 1, *range(GROUP, 2 * GROUP)]), others))
    assert stream.encoded == len(others) + GROUP
    assert len({tuple(one.sent[1:]) for one in others}) == 1


def test_speech_begins_and_ends_anywhere(stream: Stream, store: ImageStore) -> None:
    stream.idle(store, ROUND * 2)
    rng = np.random.default_rng(1)
    place = 0
    for _ in range(12):
        length = int(rng.integers(1, 2 * GROUP))
        stream.idle(store, [ROUND[(place + step) % len(ROUND)] for step in range(length)])
        place += length
        for _ in range(int(rng.integers(1, 6))):
            stream.speak(int(rng.integers(40, 220)))
            place += 1


def test_a_peer_that_asks_for_a_key_frame_gets_one(stream: Stream, store: ImageStore) -> None:
    stream.idle(store, ROUND * 3)
    encode = stream.encoder.encode
    stream.encoder.encode = lambda frame: encode(frame, True)  # type: ignore[method-assign, misc, assignment]
    stream.idle(store, [3])
    assert stream.keys[-1]
    stream.encoder.encode = encode  # type: ignore[method-assign]
    stream.idle(store, [4, 5, 6])


def test_a_slow_connection_is_not_sent_more_than_it_takes(stream: Stream, store: ImageStore) -> None:
    stream.idle(store, ROUND * 2)
    groups = IdleGroups.of(store)
    assert {key.rate_bit_s for key in groups.whole} == {RATES_BIT_S[0]}
    stream.encoder.target_bitrate = 600_000
    stream.idle(store, ROUND * 2)
    assert {key.rate_bit_s for key in groups.whole} == set(RATES_BIT_S)
    encoded = stream.encoded
    stream.idle(store, ROUND)
    assert stream.encoded == encoded
    for group in groups.whole.values():
        group.packets[0] = group.packets[0] + bytes(10**6)
    stream.idle(store, ROUND)
    assert stream.encoded == encoded + len(ROUND)
    assert not any(len(data) > 10**5 for data in stream.sent)


def test_a_very_slow_connection_is_encoded_for_alone(stream: Stream, store: ImageStore) -> None:
    stream.encoder.target_bitrate = int(RATES_BIT_S[-1] / RATE_MARGIN) - 1
    stream.idle(store, ROUND * 2)
    assert stream.encoded == 2 * len(ROUND)
    assert not IdleGroups.of(store).whole
