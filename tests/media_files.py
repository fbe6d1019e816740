"""Media files for the tests: frames that carry their own number, and a chirp whose value is known at any time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import soundfile
from av.video.stream import VideoStream
from numpy.typing import NDArray

from talkinghead.media.video_reader import VideoReader
from talkinghead.media.video_writer import EncoderSettings, VideoWriter
from talkinghead.structures import ByteArray, Frame

WIDTH, HEIGHT = 96, 64
"""Pixels of the frames."""


def numbered_image(number: int, width: int = WIDTH, height: int = HEIGHT) -> ByteArray:
    """A ramp that moves with the number, which stands in it as eight black or white blocks along the top."""
    y, x = np.mgrid[:height, :width]
    image = (np.stack([x + 4 * number, x + y, 2 * y], -1) % 256).astype(np.uint8)
    for bit in range(8):
        image[: height // 4, bit * width // 8 : (bit + 1) * width // 8] = 255 * (number >> bit & 1)
    return image


def number_of(image: ByteArray) -> int:
    """The number in an image that `numbered_image` made."""
    height, width, _ = image.shape
    return sum(int(image[height // 8, (2 * bit + 1) * width // 16].mean() > 128) << bit for bit in range(8))


def write_clip(
    path: Path,
    times: Sequence[float],
    rate: Fraction,
    audio_from: Path | None = None,
    encoder: EncoderSettings | None = None,
) -> Path:
    """Numbered frames at the times given, in seconds, written by the project's own writer."""
    with VideoWriter(path, WIDTH, HEIGHT, frame_rate=rate, audio_from=audio_from, encoder=encoder) as writer:
        for number, time_s in enumerate(times):
            writer.write(Frame(numbered_image(number), time_s))
    return path


def steady_times(count: int, rate: Fraction) -> list[float]:
    """Times of frames at a constant rate, seconds."""
    return [float(number / rate) for number in range(count)]


def read_frames(path: Path) -> list[Frame]:
    """All frames of a video, by the project's own reader."""
    with VideoReader(path) as reader:
        return list(reader)


def chirp(count: int, rate_hz: int, start_s: float = 0.0) -> NDArray[np.float64]:
    """(count,) A sine from 100 to about 3000 Hz over two seconds, so that a lag of one sample shows."""
    time = np.arange(count) / rate_hz + start_s
    return 0.3 * np.sin(2 * np.pi * (100 * time + 725 * time**2))


def write_chirp(path: Path, rate_hz: int, channels: int, subtype: str, seconds: float = 1.5) -> Path:
    """An audio file whose channels all hold the chirp."""
    samples = np.repeat(chirp(round(seconds * rate_hz), rate_hz)[:, None], channels, axis=1)
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return path


def audio_frames(rate_hz: int, seconds: float, layout: str, first_pts: int) -> Iterator[av.AudioFrame]:
    """The chirp as frames of 1024 samples, the first at `first_pts` (samples)."""
    samples = chirp(round(rate_hz * seconds), rate_hz).astype(np.float32)
    for start in range(0, len(samples), 1024):
        block = samples[start : start + 1024]
        channels = av.AudioLayout(layout).nb_channels
        frame = av.AudioFrame.from_ndarray(np.repeat(block[None], channels, axis=0), "fltp", layout)
        frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), first_pts + start
        yield frame


def write_with_av(
    path: Path,
    images: Sequence[ByteArray],
    *,
    video_start_s: float = 0.0,
    audio_start_s: float | None = None,
    rotation: int = 0,
    mirrored: bool = False,
    codec: str = "libx264",
    container_options: dict[str, str] | None = None,
) -> Path:
    """A clip at 25 fps such as the project's own writer never makes; `rotation` in degrees."""
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=25))
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        if rotation or mirrored:
            stream.set_display_rotation(rotation, hflip=mirrored)
        audio = container.add_stream("aac", rate=48000) if audio_start_s is not None else None
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = number + round(25 * video_start_s), Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None and audio_start_s is not None:
            for block in audio_frames(48000, 1.5, "stereo", round(48000 * audio_start_s)):
                container.mux(audio.encode(block))
            container.mux(audio.encode())
    return path


def assert_chirp(samples: NDArray[np.float32], rate_hz: int, start_s: float = 0.0, tolerance: float = 2e-3) -> None:
    """Check that `samples` are the chirp from `start_s` on, but for the edges, where filters and codecs ring."""
    expected = chirp(len(samples), rate_hz, start_s)
    edge = rate_hz // 10
    assert np.abs(samples - expected)[edge:-edge].max() < tolerance


def lag_samples(samples: NDArray[np.float32], reference: NDArray[np.float64]) -> int:
    """By how many samples a recording is later than a reference: the peak of their cross-correlation."""
    size = 2 * max(len(samples), len(reference))
    product = np.fft.rfft(samples, size) * np.fft.rfft(reference, size).conj()
    peak = int(np.fft.irfft(product, size).argmax())
    return peak if peak < size // 2 else peak - size
