"""VP8 for live anchors: what an idle anchor looks like is encoded once, for all who watch it.

The idle frames of a clip come again and again. They are encoded in groups that begin with a key frame, wherever the
number of a frame is a multiple of `GROUP`. A group is encoded by its foremost connection as it goes on, and its packets
are sent to all who show the same frames, then and later. From packets to pictures and back it goes by key frames, so
that no decoder notices.
"""

from __future__ import annotations

from typing import Any

import aiortc.codecs
import av
from aiortc.codecs import vpx
from aiortc.mediastreams import VIDEO_TIME_BASE

from talkinghead.live.stored_images import StoredImage
from talkinghead.server.idle_groups import GroupKey, IdleGroups, SharedGroup, unpacked

GROUP = 25
"""Frames of a group, but for turns of the clip, where one may have up to twice as many."""

# aiortc has no setting for them. Its own are for video calls; a face at 512 x 512 needs more from the first frame on.
vpx.DEFAULT_BITRATE = 1_500_000
vpx.MAX_BITRATE = 3_000_000


def stored_picture(image: StoredImage) -> av.VideoFrame:
    """A frame without pixels of its own, for `IdleEncoder` and no other: they are in an image that is still packed. Its
    time is in units of `VIDEO_TIME_BASE`."""
    picture = av.VideoFrame(2, 2, "yuv420p")
    picture.opaque = image
    return picture


class IdleEncoder(vpx.Vp8Encoder):
    """aiortc's encoder, which also takes a `stored_picture`."""

    def __init__(self) -> None:
        super().__init__()
        self._before: StoredImage | None = None
        """The idle frame that was sent last; None where it was another picture."""
        self._before_pts = 0
        self._step_pts: int | None = None
        """Shortest time between two of them."""
        self._shown: tuple[IdleGroups, GroupKey, SharedGroup] | None = None
        """The group whose packets are being sent, and whose it is."""
        self._place = 0
        """How many of them were."""
        self._is_behind = False
        """Whether the decoder has seen packets that this encoder knows nothing of."""

    def encode(self, frame: Any, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """Packets of a frame, see `vpx.Vp8Encoder`."""
        image = frame.opaque
        if not isinstance(image, StoredImage):
            self._before = self._shown = None
            return self._encoded(frame, force_keyframe)
        pts = frame.pts or 0
        step_pts = pts - self._before_pts
        if self._before is not None and self._skips(step_pts):
            self._shown = None
        if image.number % GROUP == 0:
            self._end_group()
            self._begin_group(image, step_pts)
        self._before, self._before_pts = image, pts
        if self._shown is not None and not force_keyframe:
            data = self._shown[2].packet(self._place, image, step_pts)
            if data is not None:
                return self._sent(data)
        self._shown = None
        return self._encoded(unpacked(image, pts), force_keyframe)

    def _skips(self, step_pts: int) -> bool:
        """Whether frames are missing between two: a group has none."""
        self._step_pts = min(step_pts, self._step_pts or step_pts)
        return step_pts > 1.5 * self._step_pts

    def _end_group(self) -> None:
        """The group that is shown, if one is, ended with the frame before."""
        if self._shown is not None:
            groups, key, group = self._shown
            groups.complete(key, group, frames=self._place)
            self._shown = None

    def _begin_group(self, image: StoredImage, step_pts: int) -> None:
        """Go on with the packets of a group, if it is known from where the clip comes and the connection takes it."""
        if self._before is None:
            return
        frame_s, step = float(step_pts * VIDEO_TIME_BASE), image.number - self._before.number
        groups = IdleGroups.of(image.store)
        found = groups.begin(image.number, step, frame_s, self.target_bitrate)
        self._shown, self._place = None if found is None else (groups, *found), 0

    def _sent(self, data: bytes) -> tuple[list[bytes], int]:
        """A packet of the group that is shown."""
        self._place += 1
        self._is_behind = True
        packet = av.Packet(data)
        packet.pts, packet.time_base = self._before_pts, VIDEO_TIME_BASE
        return self.pack(packet)

    def _encoded(self, frame: av.VideoFrame, force_keyframe: bool) -> tuple[list[bytes], int]:
        """A frame that is encoded for this connection alone."""
        force_keyframe, self._is_behind = force_keyframe or self._is_behind, False
        return super().encode(frame, force_keyframe)


# aiortc makes its encoders by their names.
aiortc.codecs.Vp8Encoder = IdleEncoder  # type: ignore[attr-defined]
