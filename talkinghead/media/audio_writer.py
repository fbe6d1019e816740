"""Writing audio: WAV files, and the audio track of a video."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import soundfile
from av.audio.stream import AudioStream
from av.container import OutputContainer

from talkinghead.errors import OutputError
from talkinghead.files import check_output_path, replacing
from talkinghead.media.audio_reader import AudioFile, AudioSource
from talkinghead.media.excerpts import excerpt
from talkinghead.structures import DEFAULT_TRACKS, Audio, FloatArray, Tracks

AUDIO_SUFFIXES = (".wav",)
"""What the name of a written audio file may end in."""
AAC_RATES_HZ = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Sampling rates of AAC, ISO/IEC 14496-3."""
FALLBACK_RATE_HZ = 48000
"""Sampling rate of the audio track where AAC does not have the source's."""


def write_audio(path: Path, recordings: Iterable[Audio], *, overwrite: bool = False) -> float:
    """Write recordings one after the other, as they come, to one 16-bit mono WAV file.

    Samples beyond [-1, 1] are clipped. The file appears under its name only when it is complete.

    Args:
        path: ends in .wav.
        recordings: at least one; all have the same sampling rate.
        overwrite: replace an existing file.

    Returns:
        The file's length in seconds.

    Raises:
        OutputExistsError, OutputError: the file exists, or it cannot be written.
        ValueError: there are no recordings, or their rates differ; also whatever `recordings` raises.
    """
    check_output_path(path, overwrite=overwrite, suffixes=AUDIO_SUFFIXES)
    remaining = iter(recordings)
    first = next(remaining, None)
    if first is None:
        raise ValueError("There is no audio to write.")
    with replacing(path) as partial:
        try:
            with soundfile.SoundFile(partial, "w", first.rate_hz, channels=1, subtype="PCM_16", format="WAV") as file:
                for audio in itertools.chain([first], remaining):
                    if audio.rate_hz != first.rate_hz:
                        raise ValueError(f"All audio has to be of {first.rate_hz} Hz, not {audio.rate_hz} Hz.")
                    # libsndfile truncates when it converts to integers itself; rounding halves the error.
                    file.write((audio.samples.clip(-1, 1) * 32767).round().astype(np.int16))
                duration_s = float(file.frames / first.rate_hz)
        except soundfile.LibsndfileError as error:
            raise OutputError(f"Cannot write {path}: {error.error_string} Is the disk full?") from error
    return duration_s


@dataclass(frozen=True)
class AudioExcerpt:
    """A stretch of a file's audio, with silence where it reaches beyond the beginning or the end."""

    path: Path
    """Media file."""
    begin_s: float = 0.0
    """Where it begins, on the clock of the file; a negative number is that much silence before the file's audio."""
    end_s: float | None = None
    """Where it ends, on the same clock; None is the end of the file's audio."""
    silence_after_s: float = 0.0
    """Silence after the end of the file's audio; without effect where `end_s` is given."""
    tracks: Tracks = DEFAULT_TRACKS
    """Which of the file's audio tracks."""

    @classmethod
    def of(cls, audio: Path | AudioFile | AudioExcerpt) -> AudioExcerpt:
        """All the audio of a file; an excerpt as it is."""
        if isinstance(audio, AudioFile):
            return cls(audio.path, tracks=audio.tracks)
        return audio if isinstance(audio, AudioExcerpt) else cls(audio)


class AudioTrack:
    """Copies the audio of one file into a video that is being written, encoded as AAC or Opus, block by block.

    The sampling rate is the source's where AAC has it, and 48 kHz for Opus, which has no other. Mono stays mono; two
    and more channels become stereo.
    """

    def __init__(self, audio: Path | AudioFile | AudioExcerpt, encoder: str = "aac") -> None:
        """Open the source: all the audio of a file, or an excerpt of it; `encoder` is "aac" or "libopus".

        Raises:
            MissingFileError, MediaError, NoAudioError: it cannot be read, or has no audio.
        """
        cut = AudioExcerpt.of(audio)
        self._source = AudioSource(cut.path, whole=True, tracks=cut.tracks)
        self._encoder = encoder
        keeps_rate = encoder == "aac" and self._source.rate_hz in AAC_RATES_HZ
        self.rate_hz = self._source.rate_hz if keeps_rate else FALLBACK_RATE_HZ
        self._layout = "mono" if self._source.channels == 1 else "stereo"
        first, after = round(cut.begin_s * self.rate_hz), round(cut.silence_after_s * self.rate_hz)
        end = None if cut.end_s is None else round(cut.end_s * self.rate_hz)
        self._blocks = excerpt(self._source.blocks(self.rate_hz, self._layout), first, end, after=after)
        self._position = 0
        """Samples that were encoded."""

    def add_to(self, container: OutputContainer) -> None:
        """Add the stream to a container, before its header is written."""
        self._stream = cast(AudioStream, container.add_stream(self._encoder, rate=self.rate_hz))
        self._stream.layout = self._layout
        # 96 kbit/s a channel is transparent; AAC allows at most 6144 bits a frame of 1024 samples.
        self._stream.bit_rate = min(96_000, 6 * self.rate_hz) * self._stream.channels

    def mux_until(self, container: OutputContainer, time_s: float) -> None:
        """Encode up to `time_s` or a little more, so that audio and frames lie side by side in the file.

        Raises:
            MediaError, NoAudioError: the source is damaged or empty.
        """
        while self._position <= time_s * self.rate_hz:
            block = next(self._blocks, None)
            if block is None:
                return
            container.mux(self._stream.encode(self._to_frame(block)))

    def mux_rest(self, container: OutputContainer) -> None:
        """Encode all that is left. Raises what `mux_until` raises."""
        self.mux_until(container, float("inf"))
        container.mux(self._stream.encode())

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _to_frame(self, block: FloatArray) -> av.AudioFrame:
        """(C, N) float32 as the frame that follows those encoded."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", self._layout)
        frame.sample_rate = self.rate_hz
        frame.time_base = Fraction(1, self.rate_hz)
        frame.pts = self._position
        self._position += frame.samples
        return frame
