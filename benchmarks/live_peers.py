"""WebRTC clients of a running server, by aiortc, for benchmarks/live.py: connects, vanishing peers, interrupts.

Run as a script, `python benchmarks/live_peers.py ADDRESS SESSION ...`, it watches sessions until it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from serving import Answer, request

LOUD = 0.02
"""Level of audio that counts as sound, of 1."""


@dataclass
class Watcher:
    """One peer, which takes pictures and audio as they come."""

    address: str
    session: str
    keep: bool = False
    """Whether what comes is kept for measurements."""
    pictures: list[tuple[float, float, av.VideoFrame]] = field(default_factory=list)
    """When each came, its time in the stream (seconds), and it."""
    sounds: list[tuple[float, float, float]] = field(default_factory=list)
    """When each block came, its time in the stream (seconds), and its level."""

    def __post_init__(self) -> None:
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._tasks: list[asyncio.Task[None]] = []
        self.seen = asyncio.Event()
        self.count = 0
        """Pictures so far."""

    async def connect(self) -> Answer:
        """Connect; gives the server's answer to the offer."""

        def begin(track: MediaStreamTrack) -> None:
            work = self._look if track.kind == "video" else self._listen
            self._tasks.append(asyncio.ensure_future(work(track)))

        self._peer.on("track", begin)
        self._peer.addTransceiver("video", direction="recvonly")
        self._peer.addTransceiver("audio", direction="recvonly")
        await self._peer.setLocalDescription(await self._peer.createOffer())
        path = f"{self.address}/api/sessions/{self.session}/offer"
        answer = await asyncio.to_thread(request, path, {"sdp": self._peer.localDescription.sdp})
        if answer.status == 200:
            await self._peer.setRemoteDescription(RTCSessionDescription(answer.json()["sdp"], "answer"))
        return answer

    async def first_picture(self, most_s: float = 30.0) -> None:
        async with asyncio.timeout(most_s):
            await self.seen.wait()

    async def close(self) -> None:
        """Say goodbye."""
        for task in self._tasks:
            task.cancel()
        await self._peer.close()

    async def until_sound(self, wanted: Callable[[float], bool], most_s: float = 30.0) -> float:
        """When the first block from now on comes whose level is wanted, on the monotonic clock."""
        place, end_s = len(self.sounds), time.monotonic() + most_s
        while time.monotonic() < end_s:
            while place < len(self.sounds):
                at_s, _, level = self.sounds[place]
                place += 1
                if wanted(level):
                    return at_s
            await asyncio.sleep(0.002)
        raise TimeoutError("No such sound came.")

    async def _look(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.VideoFrame)
                self.count += 1
                self.seen.set()
                if self.keep:
                    self.pictures.append((time.monotonic(), float(frame.time or 0), frame))

    async def _listen(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                if self.keep:
                    level = float(np.abs(frame.to_ndarray()).max()) / 32768
                    self.sounds.append((time.monotonic(), float(frame.time or 0), level))


async def watch_until_killed(address: str, sessions: list[str]) -> None:
    """Watch sessions; says so on standard output once all have given a picture."""
    watchers = [Watcher(address, session) for session in sessions]
    for watcher in watchers:
        await watcher.connect()
    for watcher in watchers:
        await watcher.first_picture()
    print("watching", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(watch_until_killed(sys.argv[1], sys.argv[2:]))
