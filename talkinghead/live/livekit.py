"""A live anchor as LiveKit's `VideoGenerator`, for an `AvatarRunner` of livekit-agents (extra `livekit`).

    from livekit.agents.voice.avatar import AvatarOptions, AvatarRunner, QueueAudioOutput
    from talkinghead.live.livekit import AnchorVideo

    video = AnchorVideo(LiveSession(resident))
    runner = AvatarRunner(room, audio_recv=audio, video_gen=video, options=AvatarOptions(**video.options()))

The room's synchronizer is the clock: it takes a frame when it has room for one. While nobody speaks there is video
only: the runner counts every audio frame as played, silent ones too, and would report a wrong position.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import numpy as np

from talkinghead.errors import ModelUnavailableError
from talkinghead.live.session import LiveSession
from talkinghead.live.ticks import AUDIO_RATE_HZ, Tick

if TYPE_CHECKING:
    from talkinghead.structures import ByteArray, FloatArray

POLL_S = 0.5
"""How often a session without a tick is asked whether it has been closed, seconds."""


def _livekit() -> tuple[Any, Any]:
    """The modules `livekit.rtc` and `livekit.agents.voice.avatar`.

    Raises:
        ModelUnavailableError: they are not installed.
    """
    try:
        from livekit import rtc
        from livekit.agents.voice import avatar
    except ImportError as error:
        raise ModelUnavailableError("livekit-agents is not installed: pip install 'talkinghead[livekit]'.") from error
    return rtc, avatar


class AnchorVideo:
    """Audio of an agent in, pictures and audio in step out. An instance is a `VideoGenerator`."""

    def __init__(self, session: LiveSession) -> None:
        """Args: the session, which nobody else asks for ticks; `aclose` closes it.

        Raises:
            ModelUnavailableError: livekit-agents is not installed.
        """
        self._rtc, self._avatar = _livekit()
        # It cannot be a base: the module would need the package to be imported.
        self._avatar.VideoGenerator.register(AnchorVideo)
        self._session = session
        self._dropped: set[int] = set()
        """Utterances that were interrupted, and whose end has not come yet."""

    def options(self) -> dict[str, float]:
        """Fields of LiveKit's `AvatarOptions` that fit the session."""
        return {
            "video_width": self._session.width,
            "video_height": self._session.height,
            "video_fps": float(self._session.frame_rate),
            "audio_sample_rate": AUDIO_RATE_HZ,
            "audio_channels": 1,
        }

    async def push_audio(self, frame: Any) -> None:
        """Take an `AudioFrame` of any rate and number of channels, or an `AudioSegmentEnd`, after which the next frame
        begins another utterance.

        Raises:
            ValueError: its rate cannot be used, or is another than that of the frames before.
        """
        if isinstance(frame, self._avatar.AudioSegmentEnd):
            self._session.end()
            return
        samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
        mono = samples.astype(np.float32).mean(1) / np.float32(32768)
        self._session.push(mono, frame.sample_rate)

    def clear_buffer(self) -> None:
        """Fall silent, and drop what waits. The runner tells the agent how far it was heard, by the audio frames that
        it got; no `AudioSegmentEnd` follows, which would end what the agent says next."""
        played = self._session.interrupt()
        if played.utterance:
            self._dropped.add(played.utterance)

    async def __aiter__(self) -> AsyncIterator[Any]:
        """`VideoFrame` of every tick, `AudioFrame` of those that are heard, `AudioSegmentEnd` after an utterance, until
        the session is closed."""
        while not self._session.is_closed:
            tick = await asyncio.to_thread(self._session.next_tick, POLL_S)
            if tick is None:
                continue
            if self._ends(tick):
                yield self._avatar.AudioSegmentEnd()
            yield self._picture(tick.image)
            if tick.is_speaking:
                yield self._sound(tick.audio)

    def _ends(self, tick: Tick) -> bool:
        """Whether an utterance was heard to its end before a tick, or could not be made."""
        over = {event.utterance for event in tick.events if event.kind in ("silence", "error")}
        whole = over - self._dropped
        self._dropped -= over
        return bool(whole)

    async def aclose(self) -> None:
        """Close the session."""
        await asyncio.to_thread(self._session.close)

    def _picture(self, image: ByteArray) -> Any:
        height, width = image.shape[:2]
        return self._rtc.VideoFrame(width, height, self._rtc.VideoBufferType.RGB24, image.tobytes())

    def _sound(self, audio: FloatArray) -> Any:
        samples = (np.clip(audio, -1, 1) * 32767).astype(np.int16)
        return self._rtc.AudioFrame(samples.tobytes(), AUDIO_RATE_HZ, 1, len(samples))
