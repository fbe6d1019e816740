"""Recordings of tones and numbered frames in many containers, joined byte by byte as `cat` joins them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from media_files import numbered_image
from numpy.typing import NDArray

FORMATS = {
    ".ts": "mpegts",
    ".mkv": "matroska",
    ".webm": "webm",
    ".flv": "flv",
    ".opus": "ogg",
    ".flac": "flac",
    ".wav": "wav",
}
CODECS = {".ts": "aac", ".mkv": "pcm_s16le", ".webm": "libopus", ".flv": "aac", ".opus": "libopus", ".flac": "flac"}
CODECS |= {".wav": "pcm_s16le", ".mp4": "aac"}
VIDEO_CODECS = {".webm": "libvpx"}


@dataclass(frozen=True)
class Recording:
    """A tone, and where the suffix allows it frames whose numbers go on from `first_image`."""

    tone_hz: float
    seconds: float
    rate_hz: int = 48000
    start_s: float = 0.0
    """On the container's clock."""
    first_image: int | None = None
    """None makes no video."""


def tone(hz: float, seconds: float, rate_hz: int) -> NDArray[np.float32]:
    """A sine of amplitude 0.3."""
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def write_joined(path: Path, recordings: Sequence[Recording]) -> Path:
    """Write each recording to a file of its own, and all of them one after the other to `path`."""
    written = []
    for number, recording in enumerate(recordings):
        part = path.with_name(f"{number}-{path.name}")
        write_recording(part, recording)
        written.append(part.read_bytes())
    path.write_bytes(b"".join(written))
    return path


def write_recording(path: Path, recording: Recording) -> None:
    """Write one recording."""
    with av.open(str(path), "w", format=FORMATS.get(path.suffix)) as container:
        video = None
        if recording.first_image is not None:
            video = cast(VideoStream, container.add_stream(VIDEO_CODECS.get(path.suffix, "libx264"), rate=25))
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
            video.codec_context.time_base = Fraction(1, 25)
        audio = cast(AudioStream, container.add_stream(CODECS[path.suffix], rate=recording.rate_hz))
        audio.layout = "mono"
        if video is not None and recording.first_image is not None:
            for number in range(round(25 * recording.seconds)):
                image = av.VideoFrame.from_ndarray(numbered_image(recording.first_image + number), "rgb24")
                image.pts, image.time_base = number + round(25 * recording.start_s), Fraction(1, 25)
                container.mux(video.encode(image))
            container.mux(video.encode())
        samples = tone(recording.tone_hz, recording.seconds, recording.rate_hz)
        encode_audio(container, audio, samples, recording.start_s)


def encode_audio(
    container: av.container.OutputContainer, stream: AudioStream, samples: NDArray[np.float32], start_s: float
) -> None:
    """Encode mono samples that begin at `start_s`."""
    rate_hz = stream.rate
    size = stream.codec_context.frame_size or 1024
    first = round(start_s * rate_hz)
    converter = av.AudioResampler(stream.codec_context.format, "mono", rate_hz)
    for start in range(0, len(samples), size):
        block = av.AudioFrame.from_ndarray(samples[None, start : start + size], "fltp", "mono")
        block.sample_rate, block.time_base, block.pts = rate_hz, Fraction(1, rate_hz), first + start
        for converted in converter.resample(block):
            converted.time_base, converted.pts = Fraction(1, rate_hz), first + start
            container.mux(stream.encode(converted))
    container.mux(stream.encode())


def loudest_hz(samples: NDArray[np.float32], rate_hz: int) -> float:
    """Frequency of the tone in a stretch of audio."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples)))
    return float(spectrum.argmax() * rate_hz / (8 * len(samples)))
