"""Encoding pictures and audio as they arrive, to a file, an HLS playlist, or an RTMP server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import Literal, Self

import av
import numpy as np
from av.codec.codec import UnknownCodecError

from talkinghead.errors import OutputError
from talkinghead.media.video_writer import add_video_stream, ticks_hz_for, to_video_frame
from talkinghead.structures import ByteArray, FloatArray

AUDIO_BITS_PER_S = 96_000
"""Of mono AAC; transparent."""
LONGEST_SILENCE_S = 1.0
"""Silence is encoded in blocks of at most this length."""


@dataclass(frozen=True)
class LiveTarget:
    """Where a stream goes, and how it is encoded."""

    address: str
    """Path or address; a path begins with "file:"."""
    container: Literal["mp4", "hls", "flv"]
    """Format of the container."""
    what: str
    """What it is called in messages, which never show the address: one of RTMP holds a key."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of libx264, by name."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Of the container, by name."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Of the container: what it says about itself."""
    timeout_s: float | None = None
    """A network that does not answer for this time is gone; None waits."""


@dataclass(frozen=True)
class LiveFormat:
    """Of the pictures and the audio."""

    width: int
    height: int
    frame_rate: Fraction
    audio_rate_hz: int


class LiveEncoder:
    """Context manager that encodes pictures with their audio: H.264, and AAC in mono.

    Pictures have numbers; one that is left out lasts longer in the one before, and its audio is silence. So the audio
    stays with the pictures whatever is lost.
    """

    def __init__(self, target: LiveTarget, stream: LiveFormat) -> None:
        """Nothing is opened before the `with` block.

        Args:
            target: where it goes.
            stream: what it is.

        Raises (on entering the `with` block, while writing, and on leaving it):
            OutputError: it cannot be written.
        """
        self._target, self._format = target, stream
        self._ticks_hz = ticks_hz_for(stream.frame_rate)
        self._first: int | None = None
        self._samples = 0
        """Of audio that were encoded."""
        self.frames = 0
        """Pictures that were encoded."""

    def __enter__(self) -> Self:
        with self._output_errors():
            self._container = av.open(
                self._target.address,
                "w",
                format=self._target.container,
                container_options=dict(self._target.options),
                timeout=self._target.timeout_s,
            )
            try:
                self._start()
            except BaseException:
                self._close_quietly()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not self.frames:
            self._close_quietly()
            if error is None:
                raise OutputError(f"{self._target.what}: no picture came.")
            return
        try:
            with self._output_errors():
                self._container.mux(self._video.encode())
                self._container.mux(self._audio.encode())
                self._container.close()
        finally:
            self._close_quietly()

    def write(self, number: int, image: ByteArray, audio: FloatArray, samples_before: int) -> None:
        """Append a picture and its audio.

        Args:
            number: of the picture, above that of the one before; the first one is at time 0.
            image: (height, width, 3) uint8 RGB.
            audio: (N,) float32 in [-1, 1].
            samples_before: number of samples of audio between the first picture and this one.

        Raises:
            OutputError: it cannot be written.
        """
        self._first = number if self._first is None else self._first
        tick = round((number - self._first) * self._ticks_hz / self._format.frame_rate)
        with self._output_errors():
            frame = to_video_frame(image, tick, self._ticks_hz, self._format.frame_rate)
            self._container.mux(self._video.encode(frame))
            self._fill(samples_before)
            self._encode(audio)
        self.frames += 1

    def _start(self) -> None:
        self._container.metadata.update(self._target.tags)
        size = (self._format.width, self._format.height)
        self._video = add_video_stream(
            self._container, "libx264", size, self._format.frame_rate, self._ticks_hz, self._target.settings
        )
        self._audio = self._container.add_stream("aac", rate=self._format.audio_rate_hz)
        self._audio.layout = "mono"
        self._audio.bit_rate = AUDIO_BITS_PER_S
        self._container.start_encoding()

    def _fill(self, samples: int) -> None:
        """Silence up to a number of samples."""
        longest = round(LONGEST_SILENCE_S * self._format.audio_rate_hz)
        while (missing := samples - self._samples) > 0:
            self._encode(np.zeros(min(missing, longest), np.float32))

    def _encode(self, audio: FloatArray) -> None:
        if not len(audio):
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio.clip(-1, 1)[None], np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = self._format.audio_rate_hz, self._samples
        frame.time_base = Fraction(1, self._format.audio_rate_hz)
        self._samples += len(audio)
        self._container.mux(self._audio.encode(frame))

    def _close_quietly(self) -> None:
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()

    @contextlib.contextmanager
    def _output_errors(self) -> Iterator[None]:
        try:
            yield
        except UnknownCodecError as error:
            raise OutputError(f"{self._target.what}: this build of PyAV has no encoder {error}.") from error
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"{self._target.what} cannot be written: {error.strerror}.") from None
