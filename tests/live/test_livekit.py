"""An anchor as LiveKit's VideoGenerator: against the real package and a room that is a stub, else against what was
recorded of its interface."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drawn_performer import DrawnPerformer, expression_in

from talkinghead.errors import ModelUnavailableError
from talkinghead.live.livekit import AnchorVideo
from talkinghead.live.session import LiveSession
from talkinghead.live.ticks import AUDIO_RATE_HZ

SIGNATURES = {"push_audio": ["self", "frame"], "clear_buffer": ["self"], "__aiter__": ["self"]}
"""Abstract methods of livekit-agents 1.8.9's VideoGenerator, and their parameters."""
OPTIONS = {"video_width", "video_height", "video_fps", "audio_sample_rate", "audio_channels"}
"""Fields of its AvatarOptions."""
RATE_HZ = 24_000
IS_INSTALLED = importlib.util.find_spec("livekit") is not None
needs_livekit = pytest.mark.skipif(not IS_INSTALLED, reason="needs talkinghead[livekit]")


@dataclass
class RecordedAudioFrame:
    data: bytes
    sample_rate: int
    num_channels: int
    samples_per_channel: int


@dataclass
class RecordedVideoFrame:
    width: int
    height: int
    type: Enum
    data: bytes


class RecordedGenerator:
    @classmethod
    def register(cls, other: type) -> None:
        assert all(hasattr(other, name) for name in SIGNATURES)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The parts of the package that an anchor uses, as they were recorded."""
    rtc, avatar = ModuleType("livekit.rtc"), ModuleType("livekit.agents.voice.avatar")
    rtc.__dict__.update(
        AudioFrame=RecordedAudioFrame, VideoFrame=RecordedVideoFrame, VideoBufferType=Enum("VideoBufferType", "RGB24")
    )
    avatar.__dict__.update(VideoGenerator=RecordedGenerator, AudioSegmentEnd=type("AudioSegmentEnd", (), {}))
    voice, agents, livekit = ModuleType("livekit.agents.voice"), ModuleType("livekit.agents"), ModuleType("livekit")
    livekit.__dict__.update(rtc=rtc, agents=agents)
    agents.__dict__.update(voice=voice)
    voice.__dict__.update(avatar=avatar)
    for module in (livekit, rtc, agents, voice, avatar):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return SimpleNamespace(rtc=rtc, avatar=avatar)


@pytest.fixture
def session() -> Iterator[LiveSession]:
    session = LiveSession(DrawnPerformer())
    yield session
    session.close()


def frames(samples: np.ndarray, package: Any, channels: int = 1) -> list[Any]:
    """Audio frames of 20 ms."""
    whole = np.repeat((samples * 32767).astype(np.int16)[:, None], channels, 1)
    blocks = np.split(whole, range(RATE_HZ // 50, len(whole), RATE_HZ // 50))
    return [package.rtc.AudioFrame(block.tobytes(), RATE_HZ, channels, len(block)) for block in blocks]


def test_it_has_the_recorded_signatures() -> None:
    for name, parameters in SIGNATURES.items():
        assert list(inspect.signature(getattr(AnchorVideo, name)).parameters) == parameters


def test_without_the_package_it_says_what_to_install(session: LiveSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "livekit", None)
    with pytest.raises(ModelUnavailableError, match=r"talkinghead\[livekit\]"):
        AnchorVideo(session)


@pytest.mark.parametrize("channels", [1, 2])
def test_audio_comes_back_with_pictures_and_an_end(channels: int, session: LiveSession, package: Any) -> None:
    video = AnchorVideo(session)

    async def run() -> list[Any]:
        for frame in frames(np.full(RATE_HZ, 0.5, np.float32), package, channels):
            await video.push_audio(frame)
        await video.push_audio(package.avatar.AudioSegmentEnd())
        got: list[Any] = []
        async for one in video:
            got.append(one)
            if isinstance(one, package.avatar.AudioSegmentEnd) or len(got) > 500:
                break
        async for one in video:
            got.append(one)
            if sum(isinstance(each, RecordedVideoFrame) for each in got) > 60:
                break
        await video.aclose()
        return got

    got = asyncio.run(run())
    assert set(video.options()) == OPTIONS
    ends = [place for place, one in enumerate(got) if isinstance(one, package.avatar.AudioSegmentEnd)]
    assert len(ends) == 1
    sounds = [one for one in got if isinstance(one, RecordedAudioFrame)]
    assert all(one.sample_rate == AUDIO_RATE_HZ and one.num_channels == 1 for one in sounds)
    audio = np.concatenate([np.frombuffer(one.data, np.int16) for one in sounds]) / 32767
    assert np.count_nonzero(np.abs(audio - 0.5) < 0.02) == pytest.approx(AUDIO_RATE_HZ, abs=200)
    # While nobody speaks there is video only.
    assert all(isinstance(one, RecordedVideoFrame) for one in got[ends[0] + 1 :])
    for place, one in enumerate(got):
        if isinstance(one, RecordedAudioFrame):
            picture = np.frombuffer(got[place - 1].data, np.uint8).reshape(4, 4, 3)
            assert expression_in(picture) == pytest.approx(0.5, abs=0.5)
    assert session.is_closed


def test_an_interrupt_ends_no_later_utterance(session: LiveSession, package: Any) -> None:
    video = AnchorVideo(session)

    async def run() -> tuple[int, float, int]:
        source = aiter(video)

        async def until_sound() -> None:
            while not isinstance(await anext(source), RecordedAudioFrame):
                pass

        for frame in frames(np.full(4 * RATE_HZ, 0.5, np.float32), package):
            await video.push_audio(frame)
        await until_sound()
        video.clear_buffer()
        for frame in frames(np.full(RATE_HZ // 2, 0.25, np.float32), package):
            await video.push_audio(frame)
        await video.push_audio(package.avatar.AudioSegmentEnd())
        ended, loudest, sounds = 0, 0.0, 0
        for _ in range(200):
            one = await anext(source)
            if isinstance(one, package.avatar.AudioSegmentEnd):
                assert sounds > 5, "the end is that of what was interrupted"
                ended += 1
            if isinstance(one, RecordedAudioFrame):
                sounds += 1
                loudest = max(loudest, float(np.abs(np.frombuffer(one.data, np.int16)).max()) / 32767)
        await source.aclose()  # type: ignore[attr-defined]
        return ended, loudest, sounds

    ended, loudest, sounds = asyncio.run(run())
    assert (ended, sounds) == (1, pytest.approx(13, abs=1))
    assert loudest == pytest.approx(0.25, abs=0.01)


@needs_livekit
def test_the_package_has_what_was_recorded() -> None:
    from livekit.agents.voice import avatar

    for name, parameters in SIGNATURES.items():
        assert list(inspect.signature(getattr(avatar.VideoGenerator, name)).parameters) == parameters
    assert avatar.VideoGenerator.__abstractmethods__ == set(SIGNATURES)
    assert set(inspect.signature(avatar.AvatarOptions).parameters) == OPTIONS


class StubRoom:
    """A room that is connected to nothing, and takes tracks."""

    def __init__(self) -> None:
        self.published: list[Any] = []
        self.local_participant = self

    def isconnected(self) -> bool:
        return True

    def on(self, *_: Any) -> None:
        pass

    off = on

    async def publish_track(self, track: Any, options: Any) -> Any:
        self.published.append(track)
        return self

    async def wait_for_subscription(self) -> None:
        pass


@needs_livekit
def test_a_runner_plays_it_into_a_stub_room(session: LiveSession) -> None:
    from livekit import rtc
    from livekit.agents.voice.avatar import AvatarOptions, AvatarRunner, QueueAudioOutput, VideoGenerator

    async def run() -> tuple[list[Any], list[Any], int]:
        video, room = AnchorVideo(session), StubRoom()
        assert isinstance(video, VideoGenerator)
        audio = QueueAudioOutput(sample_rate=RATE_HZ, wait_playback_start=True)
        finished: list[Any] = []
        audio.on("playback_finished", finished.append)
        runner = AvatarRunner(room, audio_recv=audio, video_gen=video, options=AvatarOptions(**video.options()))  # type: ignore[arg-type]
        await runner.start()
        package = SimpleNamespace(rtc=rtc)
        for frame in frames(np.full(RATE_HZ, 0.5, np.float32), package):
            await audio.capture_frame(frame)
        audio.flush()
        async with asyncio.timeout(20):
            while not finished:
                await asyncio.sleep(0.02)
        for frame in frames(np.full(5 * RATE_HZ, 0.5, np.float32), package):
            await audio.capture_frame(frame)
        audio.flush()
        await asyncio.sleep(1.5)
        audio.clear_buffer()
        async with asyncio.timeout(20):
            while len(finished) < 2:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        await runner.aclose()
        await video.aclose()
        return finished, room.published, len(finished)

    finished, published, count = asyncio.run(run())
    assert len(published) == 2 and count == 2
    assert not finished[0].interrupted and finished[0].playback_position == pytest.approx(1.0, abs=0.05)
    assert finished[1].interrupted and 0.3 < finished[1].playback_position < 2.5
