"""Writing audio: WAV files, and the audio track of a video."""

from __future__ import annotations

import itertools
import os
import secrets
import wave
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer

from talkinghead.errors import OutputError
from talkinghead.files import check_output_path
from talkinghead.media.audio_reader import AudioSource
from talkinghead.structures import Audio, FloatArray

AAC_RATES_HZ = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""ISO/IEC 14496-3, table of sampling frequencies."""
OTHER_RATE_HZ = 48000
"""Sampling rate of the sound written where AAC does not know the source's."""
AUDIO_SUFFIXES = (".wav",)


def write_audio(path: Path, waveforms: Iterable[Audio], *, overwrite: bool = False) -> float:
    """Write sounds of one rate, one after the other as they come, as a 16-bit mono WAV file; its length in seconds.

    Samples beyond full scale are clipped. The file appears under its name only when it is complete.

    Raises OutputExistsError, OutputError, ValueError (no sounds, or of several rates), and what `waveforms` raises.
    """
    check_output_path(path, overwrite=overwrite, suffixes=AUDIO_SUFFIXES)
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    remaining = iter(waveforms)
    first = next(remaining, None)
    if first is None:
        raise ValueError("There are no sounds to write.")
    try:
        with wave.open(str(partial), "wb") as file:
            file.setparams((1, 2, first.rate_hz, 0, "NONE", ""))
            for audio in itertools.chain([first], remaining):
                if audio.rate_hz != first.rate_hz:
                    raise ValueError(f"A sound of {audio.rate_hz} Hz among those of {first.rate_hz} Hz.")
                file.writeframes((audio.samples.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
            duration_s = file.tell() / first.rate_hz
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return duration_s


class AudioTrack:
    """The sound of a file on its way into another one."""

    def __init__(self, path: Path) -> None:
        self._source = AudioSource(path)
        self.rate_hz = self._source.rate_hz if self._source.rate_hz in AAC_RATES_HZ else OTHER_RATE_HZ
        self._layout = "mono" if self._source.channels == 1 else "stereo"
        self._blocks = self._source.blocks(self.rate_hz, self._layout)
        self._taken = 0

    def add_to(self, container: OutputContainer) -> None:
        self._stream = container.add_stream("aac", rate=self.rate_hz)
        self._stream.layout = self._layout
        # 96 kbit/s a channel is beyond hearing; AAC allows at most 6144 bits a frame of 1024 samples.
        self._stream.bit_rate = min(96_000, 6 * self.rate_hz) * self._stream.channels

    def mux_until(self, container: OutputContainer, time_s: float) -> None:
        """Keep the sound level with the frames, so that the muxer has little to hold back."""
        while self._taken <= time_s * self.rate_hz:
            block = next(self._blocks, None)
            if block is None:
                return
            container.mux(self._stream.encode(self._frame(block)))

    def mux_rest(self, container: OutputContainer) -> None:
        self.mux_until(container, float("inf"))
        container.mux(self._stream.encode())

    def close(self) -> None:
        self._source.close()

    def _frame(self, block: FloatArray) -> av.AudioFrame:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", self._layout)
        frame.sample_rate = self.rate_hz
        frame.time_base = Fraction(1, self.rate_hz)
        frame.pts = self._taken
        self._taken += frame.samples
        return frame
