"""Groups of idle pictures as VP8, encoded once for all connections that show them."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass

import av
from aiortc.codecs import vpx
from aiortc.mediastreams import VIDEO_TIME_BASE

from talkinghead.live.stored_images import ImageStore, StoredImage

RATES_BIT_S = (1_500_000, 500_000)
"""What groups are encoded for, bits per second: the first that a connection takes is the one that it is sent."""
RATE_MARGIN = 1.3
"""A group is sent where its rate is at most so many times what the connection takes."""


@dataclass(frozen=True)
class GroupKey:
    """Which pictures follow each other in a group, and at what rate."""

    first: int
    """Number of its first frame."""
    step: int
    """From the frame before: forwards and backwards the same frame begins different groups."""
    rate_bit_s: int


class _GroupEncoder:
    """Encodes one group after the other, on a clock of its own: those who ask for frames have different ones."""

    def __init__(self, rate_bit_s: int) -> None:
        self._encoder, self._pts = vpx.Vp8Encoder(), 0
        self._encoder.target_bitrate = rate_bit_s

    def encode(self, image: StoredImage, frame_pts: int, *, is_key: bool) -> bytes:
        """Packet of the next image, which is shown for so long, in units of `VIDEO_TIME_BASE`."""
        payloads, _ = self._encoder.encode(unpacked(image, self._pts), is_key)
        self._pts += frame_pts
        return b"".join(map(vpx.vp8_depayload, payloads))


class SharedGroup:
    """Packets of successive frames, of which the first is a key frame. Methods may be called from any thread.

    Each is encoded when the foremost connection asks for it; the others are given what it was.
    """

    def __init__(self, encoder: _GroupEncoder) -> None:
        """Args: encodes its frames, and nothing else meanwhile."""
        self.numbers: list[int] = []
        self.packets: list[bytes] = []
        self._encoder: _GroupEncoder | None = encoder
        self._lock = threading.Lock()

    def packet(self, place: int, image: StoredImage, frame_pts: int) -> bytes | None:
        """The packet of a frame; None where the group does not go on with it.

        Args:
            place: of the frame in the group; each that comes before it has been asked for.
            image: what it shows.
            frame_pts: how long it is shown, in units of `VIDEO_TIME_BASE`.
        """
        with self._lock:
            if place == len(self.packets) and self._encoder is not None:
                self.packets.append(self._encoder.encode(image, frame_pts, is_key=place == 0))
                self.numbers.append(image.number)
            is_next = place < len(self.packets) and self.numbers[place] == image.number
            return self.packets[place] if is_next else None

    def finish(self) -> _GroupEncoder | None:
        """The group ends here; gives its encoder, once."""
        with self._lock:
            encoder, self._encoder = self._encoder, None
            return encoder

    def bit_s(self, frame_s: float) -> float:
        """Bits per second, where a frame is shown for so long."""
        with self._lock:
            return 8 * sum(map(len, self.packets)) / max(1, len(self.packets)) / frame_s


class IdleGroups:
    """The groups of one store of images. Methods may be called from any thread.

    Those that were shown whole are kept. One that is not yet complete lives as long as a connection shows it: there are
    never more of them, and of their encoders, than connections.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.whole: dict[GroupKey, SharedGroup] = {}
        self._growing: weakref.WeakValueDictionary[GroupKey, SharedGroup] = weakref.WeakValueDictionary()
        self._spare: dict[int, _GroupEncoder] = {}
        """One for each rate: an encoder that has encoded before begins a group better than a new one."""

    @staticmethod
    def of(store: ImageStore) -> IdleGroups:
        """The groups of a store, which go with it."""
        groups = store.encoded.setdefault(IdleGroups, IdleGroups())
        assert isinstance(groups, IdleGroups)
        return groups

    def begin(self, first: int, step: int, frame_s: float, target_bit_s: int) -> tuple[GroupKey, SharedGroup] | None:
        """The group that begins with a frame; None where the connection takes too little.

        Args:
            first, step: see `GroupKey`.
            frame_s: how long a frame is shown, seconds.
            target_bit_s: what the connection takes, bits per second.
        """
        most_bit_s = RATE_MARGIN * target_bit_s
        with self._lock:
            for rate_bit_s in RATES_BIT_S:
                key = GroupKey(first, step, rate_bit_s)
                known = self.whole.get(key)
                if rate_bit_s > most_bit_s or (known is not None and known.bit_s(frame_s) > most_bit_s):
                    continue
                group = known or self._growing.get(key)
                if group is None:
                    group = SharedGroup(self._encoder(rate_bit_s))
                    self._growing[key] = group
                return key, group
        return None

    def _encoder(self, rate_bit_s: int) -> _GroupEncoder:
        if rate_bit_s in self._spare:
            return self._spare.pop(rate_bit_s)
        return _GroupEncoder(rate_bit_s)

    def complete(self, key: GroupKey, group: SharedGroup, frames: int) -> None:
        """Keep a group that was shown to its end, of so many frames."""
        with self._lock:
            if frames < len(group.packets) or self._growing.get(key) is not group:
                return
            self.whole[key] = group
            del self._growing[key]
            encoder = group.finish()
            if encoder is not None:
                self._spare.setdefault(key.rate_bit_s, encoder)


def unpacked(image: StoredImage, pts: int) -> av.VideoFrame:
    """An image as a frame with pixels, shown at a time in units of `VIDEO_TIME_BASE`."""
    frame = av.VideoFrame.from_ndarray(image.pixels(), format="rgb24")
    frame.pts, frame.time_base = pts, VIDEO_TIME_BASE
    return frame
