"""Live video over WebRTC, with aiortc at the other end too."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from drawn_performer import BigPerformer

from talkinghead.server.service import Service
from talkinghead.server.webrtc import without_mdns
from talkinghead.text_to_speech import Script


async def viewer(service: Service, codec: str) -> tuple[RTCPeerConnection, dict[str, MediaStreamTrack], int, str]:
    served = await asyncio.to_thread(service.sessions.open, "presenter")
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    tracks: dict[str, MediaStreamTrack] = {}
    peer.on("track", lambda track: tracks.setdefault(track.kind, track))
    peer.addTransceiver("video", direction="recvonly")
    peer.addTransceiver("audio", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    answer = await service.connect(served, peer.localDescription.sdp, codec)
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return peer, tracks, served.number, answer


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_picture_and_audio_arrive_together(codec: str, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    performer = BigPerformer()
    monkeypatch.setattr(service.sessions, "_performer_of", lambda name: performer)

    async def watch() -> tuple[list[tuple[float, float]], list[tuple[float, float]], str]:
        peer, tracks, number, answer = await viewer(service, codec)
        pictures: list[tuple[float, float]] = []
        sounds: list[tuple[float, float]] = []

        async def look() -> None:
            while True:
                frame = await tracks["video"].recv()
                pictures.append((frame.time, float(frame.to_ndarray(format="gray").mean())))

        async def listen() -> None:
            while True:
                frame = await tracks["audio"].recv()
                sounds.append((frame.time, float(np.abs(frame.to_ndarray()).max()) / 32768))

        tasks = [asyncio.create_task(look()), asyncio.create_task(listen())]
        while not pictures:
            await asyncio.sleep(0.02)
        service.sessions.find(number).session.say(Script("Good evening."))
        for _ in range(1500):
            await asyncio.sleep(0.02)
            if pictures[-1][1] < 60 and max(level for _, level in pictures) > 120:
                break
        await asyncio.sleep(0.3)
        for task in tasks:
            task.cancel()
        await peer.close()
        await service.close()
        return pictures, sounds, answer

    pictures, sounds, answer = asyncio.run(watch())
    video = answer[answer.index("m=video") :]
    payload = video.split()[3]
    assert f"a=rtpmap:{payload} {codec}/90000" in video
    bright = np.array([time_s for time_s, level in pictures if level > 100])
    loud = np.array([time_s for time_s, level in sounds if level > 0.1])
    assert len(bright) > 5
    # Both began with the first tick: the clocks of the two streams agree.
    assert abs(np.median(bright) - np.median(loud)) < 0.15
    assert performer.sessions == 0


def test_names_of_the_local_network_are_not_looked_up() -> None:
    kept = "a=candidate:1 1 udp 2 192.168.1.5 5000 typ host\r\n"
    sdp = f"v=0\r\na=candidate:1 1 udp 2 4b1c-9f.local 5000 typ host\r\n{kept}"
    assert without_mdns(sdp) == f"v=0\r\n{kept}"
