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
from av.audio.stream import AudioStream
from av.container import OutputContainer

from talkinghead.errors import OutputError
from talkinghead.files import check_output_path, replacing
from talkinghead.media.audio_reader import AudioFile, AudioSource
from talkinghead.media.excerpts import excerpt
from talkinghead.media.formats import AudioCodec
from talkinghead.structures import DEFAULT_TRACKS, Audio, FloatArray, Tracks

AUDIO_SUFFIXES = (".wav",)
"""What the name of a written audio file may end in."""
AAC_RATES_HZ = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Sampling rates of AAC, ISO/IEC 14496-3."""
OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
"""Sampling rates of Opus, RFC 6716."""
FALLBACK_RATE_HZ = 48000
"""Sampling rate of the audio track where the codec does not have the source's."""


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
    import soundfile  # most commands write no WAV file

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
    """Copies the audio of one file into a video that is being written, encoded block by block.

    The sampling rate is the source's where the codec has it. Mono stays mono; two and more channels become stereo. The
    lossless codecs keep the samples of integers up to 24 bits exactly, pcm those of any format.
    """

    def __init__(self, audio: Path | AudioFile | AudioExcerpt, codec: AudioCodec = "aac") -> None:
        """Open the source: all the audio of a file, or an excerpt of it; `codec` is any but auto.

        Raises:
            MissingFileError, MediaError, NoAudioError: it cannot be read, or has no audio.
        """
        cut = AudioExcerpt.of(audio)
        self._source = AudioSource(cut.path, whole=True, tracks=cut.tracks)
        self._codec = codec
        rates_hz = {"aac": AAC_RATES_HZ, "opus": OPUS_RATES_HZ}.get(codec, (self._source.rate_hz,))
        self.rate_hz = self._source.rate_hz if self._source.rate_hz in rates_hz else FALLBACK_RATE_HZ
        self._layout = "mono" if self._source.channels == 1 else "stereo"
        first, after = round(cut.begin_s * self.rate_hz), round(cut.silence_after_s * self.rate_hz)
        end = None if cut.end_s is None else round(cut.end_s * self.rate_hz)
        self._blocks = excerpt(self._source.blocks(self.rate_hz, self._layout), first, end, after=after)
        self._position = 0
        """Samples that were encoded."""

    def add_to(self, container: OutputContainer) -> None:
        """Add the stream to a container, before its header is written."""
        encoder, sample_format = self._encoder()
        self._stream = cast(AudioStream, container.add_stream(encoder, rate=self.rate_hz))
        self._stream.layout = self._layout
        if sample_format:
            self._stream.format = sample_format
        if self._codec in ("aac", "opus"):
            # 96 kbit/s a channel is transparent; AAC allows at most 6144 bits a frame of 1024 samples.
            self._stream.bit_rate = min(96_000, 6 * self.rate_hz) * self._stream.channels

    def _encoder(self) -> tuple[str, str]:
        """Names of the encoder and of the format of its samples, the narrowest that holds the source's; empty where it
        has but one."""
        held = self._source.sample_format
        if self._codec == "pcm":
            return {"u8": "pcm_s16le", "s16": "pcm_s16le", "s32": "pcm_s32le"}.get(held, "pcm_f32le"), ""
        is_narrow = held in ("u8", "s16")
        lossless = {"alac": ("alac", "s16p" if is_narrow else "s32p"), "flac": ("flac", "s16" if is_narrow else "s32")}
        return lossless.get(self._codec, ({"opus": "libopus"}.get(self._codec, self._codec), ""))

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
