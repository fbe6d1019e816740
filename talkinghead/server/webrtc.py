"""Live video over WebRTC, by aiortc: picture and audio of a session in two tracks of one clock."""

from __future__ import annotations

import asyncio
import fractions
import re
import time
from typing import Any

import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from talkinghead.live.stored_images import StoredImage
from talkinghead.live.ticks import Tick, samples_before
from talkinghead.server.opus import SoundBlocks
from talkinghead.server.player import Subscription
from talkinghead.server.sessions import ServedSession, Sessions
from talkinghead.server.vp8 import stored_picture

VIDEO_CLOCK_HZ = 90_000
CODECS = ("VP8", "H264")
LARGEST_SDP_CHARACTERS = 100_000
GONE_S = 30.0
"""A connection that does not come about, or breaks off, for this time is over, seconds."""

MOST_WAITING_PICTURES = 3
"""Pictures that wait for an encoder which does not keep up; older ones are dropped, so that nothing comes later and
later."""

PACE_S = 0.016
"""Least time between two packets of audio, seconds: somewhat less than they last, so that what was late is made up for.
"""
MOST_PACED_BLOCKS = 4
"""Where more wait, they are sent at once."""


class _Track(MediaStreamTrack):
    """What is put in comes out as frames."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: asyncio.Queue[Any] = asyncio.Queue()

    async def recv(self) -> Any:
        frame = None if self.readyState != "live" else await self.frames.get()
        if frame is None:
            self.stop()
            raise MediaStreamError
        return frame


class _Video(_Track):
    kind = "video"


class _Audio(_Track):
    """A tick has several packets of audio. Sent at once they would look like jitter, against which browsers hold audio
    back, and with it the pictures."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._sent_s = 0.0

    async def recv(self) -> Any:
        block = await super().recv()
        if self.frames.qsize() < MOST_PACED_BLOCKS:
            await asyncio.sleep(max(0.0, self._sent_s + PACE_S - time.monotonic()))
        self._sent_s = time.monotonic()
        return block


class Connection:
    """One peer of a session."""

    def __init__(self, sessions: Sessions, served: ServedSession, ice_servers: list[dict[str, Any]]) -> None:
        """Args:
        sessions, served: the session.
        ice_servers: as in `ServerConfig.ice_servers`.
        """
        # Without a list of its own, aiortc asks a server of Google's.
        servers = [RTCIceServer(**server) for server in ice_servers]
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._sessions, self._served = sessions, served
        self._video, self._audio = _Video(), _Audio()
        self._subscription: Subscription | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False
        self._takes_stored = False
        """Whether its encoder takes pictures that are still packed."""
        self._blocks = SoundBlocks()
        self._first: int | None = None
        """Number of the first tick that was handed to the tracks."""
        self._newest: Tick | None = None
        """What the peer will see first: the newest tick before it is connected."""

    async def answer(self, sdp: str, codec: str = "VP8") -> str:
        """The answer to an offer.

        Args:
            sdp: of the offer.
            codec: one of `CODECS`, which is used where the peer knows it.

        Raises:
            ValueError: the offer cannot be read, or there is no such codec.
        """
        if codec not in CODECS or len(sdp) > LARGEST_SDP_CHARACTERS:
            raise ValueError(f"The codec is one of {', '.join(CODECS)}, and an offer is shorter than that.")
        self._sessions.connect(self._served)
        try:
            for track in (self._audio, self._video):
                self._peer.addTrack(track)
            # Before the offer is set: afterwards it has no effect.
            _prefer(self._peer, codec)
            await self._peer.setRemoteDescription(RTCSessionDescription(without_mdns(sdp), "offer"))
            await self._peer.setLocalDescription(await self._peer.createAnswer())
        except Exception as error:  # aiortc raises what it happens upon
            await self.close()
            raise ValueError("The offer cannot be answered: it is no SDP of audio and video.") from error
        self._peer.on("connectionstatechange", self._on_state)
        self._subscription = self._served.player.subscribe()
        self._tasks = [asyncio.create_task(self._pump(self._subscription)), asyncio.create_task(self._give_up())]
        answer = str(self._peer.localDescription.sdp)
        self._takes_stored = video_codec(answer) == "VP8"
        return answer

    async def close(self) -> None:
        """End the connection; may be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._subscription is not None:
            self._served.player.unsubscribe(self._subscription)
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        for track in (self._audio, self._video):
            track.stop()
        await self._peer.close()
        self._sessions.disconnect(self._served)

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    async def _on_state(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            await self.close()
        elif self._peer.connectionState == "connected" and self._newest is not None:
            self._hand_over(self._newest)  # not only when the next is due
            self._newest = None

    async def _give_up(self) -> None:
        """Close a connection that is not there."""
        missing_s = 0.0
        while missing_s < GONE_S:
            await asyncio.sleep(1)
            missing_s = 0.0 if self._peer.connectionState == "connected" else missing_s + 1
        await self.close()

    async def _pump(self, subscription: Subscription) -> None:
        """Hand the ticks of the session to the tracks."""
        while (tick := await subscription.ticks.get()) is not None:
            if self._peer.connectionState != "connected":
                self._newest = tick  # older ones, which nobody can see yet, would be late when somebody can
                continue
            self._newest = None
            self._hand_over(tick)
        await self.close()

    def _hand_over(self, tick: Tick) -> None:
        """Hand a tick to the tracks."""
        self._first = tick.number if self._first is None else self._first
        while self._video.frames.qsize() >= MOST_WAITING_PICTURES:
            self._video.frames.get_nowait()
        self._video.frames.put_nowait(self._picture(tick, self._first))
        rate = self._served.session.frame_rate
        start = samples_before(tick.number, rate) - samples_before(self._first, rate)
        for block in self._blocks.add(start, tick.audio):
            self._audio.frames.put_nowait(block)

    def _picture(self, tick: Tick, first: int) -> av.VideoFrame:
        frame: av.VideoFrame
        if self._takes_stored and isinstance(tick.shown, StoredImage):
            frame = stored_picture(tick.shown)
        else:
            frame = av.VideoFrame.from_ndarray(tick.image, format="rgb24")
        frame.pts = round((tick.number - first) * VIDEO_CLOCK_HZ / self._served.session.frame_rate)
        frame.time_base = fractions.Fraction(1, VIDEO_CLOCK_HZ)
        return frame


def _prefer(peer: RTCPeerConnection, codec: str) -> None:
    """Let a codec come first."""
    known = RTCRtpSender.getCapabilities("video").codecs
    first = [one for one in known if one.mimeType == f"video/{codec}"]
    rest = [one for one in known if one not in first]
    for transceiver in peer.getTransceivers():
        if transceiver.kind == "video":
            transceiver.setCodecPreferences([*first, *rest])


def video_codec(sdp: str) -> str:
    """Name of the codec that comes first in the video part of an SDP; empty where there is none."""
    found = re.search(r"^m=video \d+ \S+ (\d+)", sdp, re.MULTILINE)
    named = found and re.search(rf"^a=rtpmap:{found[1]} (\w+)/", sdp, re.MULTILINE)
    return named[1] if named else ""


def without_mdns(sdp: str) -> str:
    """An SDP without candidates under `.local` names: looking each up takes a second, and finds nothing in most
    networks; the peer's packets tell its address."""
    lines = sdp.splitlines(keepends=True)
    return "".join(line for line in lines if not (line.startswith("a=candidate:") and ".local " in line))
