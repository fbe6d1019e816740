"""VP8 for live anchors: what an idle anchor looks like is encoded once, for all who watch it.

The idle frames of a clip come again and again. They are encoded in groups that begin with a key frame, wherever the
number of a frame is a multiple of `GROUP`; a group that was shown whole is kept beside the images it was made of, and
when the same frames come again, to whomever, its packets are sent as they are. From packets to pictures and back it
goes by key frames, so that no decoder notices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import aiortc.codecs
import av
from aiortc.codecs import vpx
from aiortc.mediastreams import VIDEO_TIME_BASE

from talkinghead.live.stored_images import ImageStore, StoredImage

GROUP = 25
"""Frames of a group, but for turns of the clip, where one may have up to twice as many."""
LEAST_KEPT_BIT_S = 1_200_000
"""Groups that were encoded for a connection of less are not kept: all would look as bad."""
RATE_MARGIN = 1.3
"""A group is sent where its rate is at most so many times what the connection takes."""

# aiortc has no setting for them. Its own are for video calls; a face at 512 x 512 needs more from the first frame on.
vpx.DEFAULT_BITRATE = 1_500_000
vpx.MAX_BITRATE = 3_000_000


def stored_picture(image: StoredImage) -> av.VideoFrame:
    """A frame without pixels of its own, for `IdleEncoder` and no other: they are in an image that is still packed. Its
    time is in units of `VIDEO_TIME_BASE`."""
    picture = av.VideoFrame(2, 2, "yuv420p")
    picture.opaque = image
    return picture


@dataclass(frozen=True)
class _Group:
    """Packets of successive frames, of which the first is a key frame."""

    numbers: list[int] = field(default_factory=list)
    packets: list[bytes] = field(default_factory=list)

    def bit_s(self, frame_s: float) -> float:
        """Bits per second."""
        return 8 * sum(map(len, self.packets)) / max(1, len(self.packets)) / frame_s


class IdleEncoder(vpx.Vp8Encoder):
    """aiortc's encoder, which also takes a `stored_picture`."""

    def __init__(self) -> None:
        super().__init__()
        self._before: StoredImage | None = None
        """The idle frame that was sent last; None where it was another picture."""
        self._before_pts = 0
        self._step_pts: int | None = None
        """Shortest time between two of them."""
        self._recorded: tuple[ImageStore, tuple[int, int], _Group] | None = None
        """Where a group is kept that is being encoded, and it."""
        self._playing: Iterator[tuple[int, bytes]] | None = None
        """Rest of the group whose packets are being sent."""

    def encode(self, frame: Any, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """Packets of a frame, see `vpx.Vp8Encoder`."""
        image = frame.opaque
        if not isinstance(image, StoredImage):
            # The decoder has seen packets that this encoder knows nothing of.
            force_keyframe = force_keyframe or self._playing is not None
            self._before = self._recorded = self._playing = None
            return super().encode(frame, force_keyframe)
        pts = frame.pts or 0
        if self._before is not None and self._skips(pts - self._before_pts):
            self._recorded = None
        begins = self._begin(image, frame) if image.number % GROUP == 0 else False
        if self._playing is not None and not force_keyframe:
            number, data = next(self._playing, (-1, b""))
            if number == image.number:
                return self._sent(frame, image, data)
        force_keyframe = force_keyframe or begins or self._playing is not None
        self._playing = None
        self._before, self._before_pts = image, pts
        payloads, timestamp = super().encode(_unpacked(frame, image), force_keyframe)
        if self._recorded is not None:
            group = self._recorded[2]
            group.numbers.append(image.number)
            group.packets.append(b"".join(map(vpx.vp8_depayload, payloads)))
        return payloads, timestamp

    def _skips(self, step_pts: int) -> bool:
        """Whether frames are missing between two: a group has none."""
        self._step_pts = min(step_pts, self._step_pts or step_pts)
        return step_pts > 1.5 * self._step_pts

    def _begin(self, image: StoredImage, frame: Any) -> bool:
        """Keep the group that ends, and begin the next: its packets, where they are there. Whether it has to be encoded
        from a key frame on."""
        before, self._playing = self._before, None
        if self._recorded is not None:
            store, key, group = self._recorded
            store.encoded.setdefault(key, group)
            self._recorded = None
        if before is None or before.store is not image.store:
            return False
        # Forwards and backwards the same frame begins different groups.
        key = (image.number, image.number - before.number)
        known = image.store.encoded.get(key)
        frame_s = float((frame.pts - self._before_pts) * VIDEO_TIME_BASE)
        if known is not None:
            if known.bit_s(frame_s) <= RATE_MARGIN * self.target_bitrate:
                self._playing = iter(zip(known.numbers, known.packets, strict=True))
            return False
        if self.target_bitrate < LEAST_KEPT_BIT_S:
            return False
        self._recorded = (image.store, key, _Group())
        return True

    def _sent(self, frame: av.VideoFrame, image: StoredImage, data: bytes) -> tuple[list[bytes], int]:
        self._before, self._before_pts = image, frame.pts or 0
        packet = av.Packet(data)
        packet.pts, packet.time_base = self._before_pts, VIDEO_TIME_BASE
        return self.pack(packet)


def _unpacked(frame: av.VideoFrame, image: StoredImage) -> av.VideoFrame:
    made = av.VideoFrame.from_ndarray(image.pixels(), format="rgb24")
    made.pts, made.time_base = frame.pts, VIDEO_TIME_BASE
    return made


# aiortc makes its encoders by their names.
aiortc.codecs.Vp8Encoder = IdleEncoder  # type: ignore[attr-defined]
