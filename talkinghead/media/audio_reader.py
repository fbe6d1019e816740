"""Audio of any media file as mono or stereo samples at a chosen rate, block by block, on the clock of its video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import numpy as np
from av.audio.resampler import AudioResampler

from talkinghead.errors import MediaError, NoAudioError
from talkinghead.media.audio_clock import AudioClock
from talkinghead.media.channels import ChannelComparison
from talkinghead.media.containers import (
    FALLBACK_FRAME_RATE,
    TRUNCATED_FRAMES,
    decode_parts,
    first_frame_time_s,
    is_truncated,
    open_input,
    usable_audio_streams,
    usable_video_streams,
)
from talkinghead.media.tracks import find_audio_track
from talkinghead.structures import DEFAULT_TRACKS, Audio, FloatArray, Tracks

MAX_SILENCE_S = 3600.0
"""Seconds. A longer gap, or audio that starts so long after the video, means that the clock is damaged."""
_COUNTED_FORMATS = frozenset(
    {"aac", "ac3", "aiff", "amr", "ape", "au", "eac3", "flac", "mp3", "mpc", "tta", "wav", "wv"}
)
"""Formats, by FFmpeg's names, without timestamps: those that it gives are counted from the packets."""
_RESAMPLER_OPTIONS = {"filter_size": "64", "rematrix_maxval": "1.0"}
"""Options of swresample: a sharper filter than the default (-1 dB instead of -3 at 7.5 kHz when resampling to 16 kHz),
and mixing to fewer channels as a weighted mean, which cannot clip."""


@dataclass(frozen=True)
class AudioSurvey:
    """What one reading of an audio stream finds out."""

    duration_s: float
    """Length in seconds."""
    missing_s: float
    """Length in seconds of all gaps, which are filled with silence."""
    gaps: int
    """Number of gaps."""
    parts: int
    """Number of recordings that the file holds, one after the other."""
    channel: int | None
    """The channel of stereo, 0 or 1, that is used for speech because the mean of both would cancel it; else None."""
    tracks: int
    """Number of audio tracks of the file that can be decoded."""


@dataclass(frozen=True)
class AudioFile:
    """The audio of a media file, mixed to mono and resampled, decoded anew each time it is asked for.

    Memory does not grow with the length of the file. Sample 0 is where `read_audio` has it.
    """

    path: Path
    rate_hz: int = 16000
    """Sampling rate of the blocks, whatever the file's is."""
    whole: bool = False
    """See `read_audio`."""
    longest_s: float | None = None
    """Seconds of it that are read; None for all."""
    tracks: Tracks = DEFAULT_TRACKS
    """See `read_audio`."""

    @property
    def duration_s(self) -> float:
        """Length in seconds; decodes the whole file where `blocks` has not. Raises what `blocks` raises."""
        return self.survey.duration_s

    @cached_property
    def survey(self) -> AudioSurvey:
        """What a reading of the whole file finds out. Raises what `blocks` raises."""
        count = 0
        with AudioSource(self.path, whole=self.whole, tracks=self.tracks) as source:
            comparison = ChannelComparison(self.rate_hz) if source.channels == 2 else None
            for block in self._limited(source.blocks(self.rate_hz, "mono" if comparison is None else "stereo")):
                count += block.shape[1]
                if comparison is not None:
                    comparison.push(block)
            return self._surveyed(source, count, None if comparison is None else comparison.channel())

    def _surveyed(self, source: AudioSource, count: int, channel: int | None) -> AudioSurvey:
        """The survey of a source that has been read: `count` samples, and the channel of stereo that is used."""
        clock = source.clock
        length_s = count / self.rate_hz
        return AudioSurvey(length_s, float(clock.missing_s), clock.gaps, clock.parts, channel, source.tracks)

    def blocks(self) -> Iterator[FloatArray]:
        """Decode the file into blocks, (N,) float32 in [-1, 1], which follow each other without a gap.

        Raises:
            MissingFileError, NoAudioError: there is no such file, or it has no audio.
            MediaError: it is damaged, truncated or not supported, or its samples are not finite.
        """
        count = 0
        with AudioSource(self.path, whole=self.whole, tracks=self.tracks) as source:
            channel = self.survey.channel if source.channels == 2 else None
            for block in self._limited(source.blocks(self.rate_hz, "mono" if channel is None else "stereo")):
                count += block.shape[1]
                yield block[channel or 0]
            # Whoever reads to the end has read all that the survey would read again.
            self.__dict__.setdefault("survey", self._surveyed(source, count, channel))

    def _limited(self, blocks: Iterator[FloatArray]) -> Iterator[FloatArray]:
        """Blocks up to the length that is read."""
        left = None if self.longest_s is None else round(self.longest_s * self.rate_hz)
        for block in blocks:
            yield block[:, :left]
            if left is not None:
                left -= block.shape[1]
                if left <= 0:
                    return


def read_audio(
    path: Path,
    rate_hz: int = 16000,
    *,
    longest_s: float | None = None,
    whole: bool = False,
    tracks: Tracks = DEFAULT_TRACKS,
) -> Audio:
    """The audio of a media file, mixed to mono and resampled to `rate_hz`; at most its first `longest_s` seconds.

    Sample 0 is at the time of the first video frame if the file has video (silence is put before late audio, early
    audio is cut), else it is the first sample. Gaps in the recording are filled with silence; where a file is several
    recordings one after the other, they follow each other. The mean of the channels is taken, or the louder of two
    whose mean would cancel. libswresample mixes, resamples and streams in one step, adds no delay, and with the filter
    used here aliases below -90 dB one kilohertz past the band's edge.

    Args:
        path: any audio or video file.
        rate_hz: sampling rate wanted.
        longest_s: seconds; None reads all.
        whole: keep audio that comes before the first video frame, and let it begin at sample 0: as speech, where the
            pictures of the file do not matter.
        tracks: which audio track is read, and which video track sets time 0; see `tracks.find_audio_track`.

    Raises:
        MissingFileError, NoAudioError: there is no such file, or it has no audio.
        MediaError: it is damaged, truncated or not supported, or its samples are not finite.
    """
    collected = bytearray()  # grows in place: at its peak, memory holds the samples once
    for block in AudioFile(path, rate_hz, whole, longest_s, tracks).blocks():
        collected += block.tobytes()
    return Audio(samples=np.frombuffer(collected, dtype=np.float32), rate_hz=rate_hz)


def audio_lead_s(path: Path, tracks: Tracks = DEFAULT_TRACKS) -> float:
    """By how many seconds the audio of a video begins before its first frame; 0 where it does not.

    Raises:
        MissingFileError, NoAudioError, MediaError: as `AudioSource`.
    """
    with AudioSource(path, tracks=tracks) as source:
        _, start_s = next(source.frames(), (None, Fraction(0)))
    return float(max(Fraction(0), -start_s))


class AudioSource:
    """The open audio stream of a media file, decoded once from time 0 on, in mono or stereo."""

    def __init__(self, path: Path, *, whole: bool = False, tracks: Tracks = DEFAULT_TRACKS) -> None:
        """Open the file.

        Args:
            path: any audio or video file.
            whole, tracks: see `read_audio`.

        Raises:
            MissingFileError, MediaError, NoAudioError: there is no such file, it is damaged or not supported, or it
                has no audio.
        """
        self._path = Path(path)
        self._container = open_input(self._path)
        try:
            # Opening takes FFmpeg up to 15 ms: a file without video is opened once.
            has_video = bool(usable_video_streams(self._container))
            first_image_s = first_frame_time_s(self._path, tracks.video) if has_video else None
            self._stream = find_audio_track(self._container, self._path, tracks.audio)
            self.tracks = len(usable_audio_streams(self._container, self._path))
            """Number of audio tracks that can be decoded."""
        except BaseException:
            self._container.close()
            raise
        self.rate_hz = self._stream.rate
        self.channels = self._stream.channels
        self.sample_format = self._stream.format.name.removesuffix("p")
        """Of the decoded samples, FFmpeg's name: s16, s32, flt."""
        counted = self._container.format.name in _COUNTED_FORMATS
        self.clock = AudioClock(first_image_s, whole=whole, counted=counted)
        """Knows, once the blocks have been read, how much is missing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing can be read after it."""
        self._container.close()

    def blocks(self, rate_hz: int, layout: str) -> Iterator[FloatArray]:
        """Decode into blocks, (C, N) float32, which follow each other without a gap.

        Args:
            rate_hz: sampling rate of the blocks.
            layout: "mono" (C = 1) or "stereo" (C = 2).

        Raises:
            MediaError: the stream is damaged, truncated or not supported, or its samples are not finite.
            NoAudioError: the stream holds no samples.
        """
        count = 0
        for block in self._translate_errors(self._placed_blocks(rate_hz, layout)):
            if not np.isfinite(block).all():
                raise MediaError(f"{self._path}: the audio has samples that are not finite; export it again")
            count += block.shape[1]
            if block.size:
                yield block
        if count == 0:
            raise NoAudioError(f"{self._path}: the audio stream is empty; give a file with audio")

    def _translate_errors(self, blocks: Iterator[FloatArray]) -> Iterator[FloatArray]:
        try:
            yield from blocks
        except av.FFmpegError as error:  # the resampler's: a channel layout or a rate that it does not know
            raise MediaError(f"{self._path}: the audio cannot be used ({error.strerror}); export it again") from error

    def _placed_blocks(self, rate_hz: int, layout: str) -> Iterator[FloatArray]:
        """Blocks of each segment in turn, and of silence where there is a gap between two."""
        segment, first_s = None, Fraction(0)
        for frame, start_s in self.frames():
            if segment is None or not segment.is_continued_by(frame, start_s):
                if segment:
                    yield segment.finish()
                else:
                    first_s = start_s
                segment = _Segment(frame, start_s, rate_hz, layout, segment.position if segment else 0)
                yield from self._silence_before(segment)
            yield segment.push(frame)
        if segment:
            yield segment.finish()
            self._check_complete(segment.end_s - first_s, segment.end_s)

    def _silence_before(self, segment: _Segment) -> Iterator[FloatArray]:
        """Zeros that fill the gap before a segment, at most a second at a time."""
        gap_s = segment.gap / segment.rate_hz
        if gap_s > MAX_SILENCE_S:
            raise MediaError(
                f"{self._path}: the audio has a gap of {gap_s:.0f} s: its clock is damaged; export it again"
            )
        while segment.gap:
            yield segment.fill_gap()

    def frames(self) -> Iterator[tuple[av.AudioFrame, Fraction]]:
        """Decoded frames, each with where it begins, in seconds from time 0.

        Raises:
            MediaError: the file cannot be read any further.
        """
        decoded = decode_parts(self._container, self._stream)
        return self.clock.place(cast(Iterator[tuple[int, av.AudioFrame]], decoded))

    def _check_complete(self, length_s: Fraction, end_s: Fraction) -> None:
        if is_truncated(self._stream, length_s, tolerance_s=Fraction(TRUNCATED_FRAMES) / FALLBACK_FRAME_RATE):
            raise MediaError(
                f"{self._path}: truncated: the audio stops after {float(end_s):.1f} s; copy the file again"
            )


class _Segment:
    """A stretch of audio without a gap, in mono or stereo, resampled, and cut to start where the one before it ends.

    Two counters of output samples from time 0 on: `_cursor`, where the resampler stands, and `position`, up to where
    samples were handed out. The cursor is behind where this segment overlaps the one before it (those samples are
    dropped), and ahead where there is a gap.
    """

    def __init__(self, frame: av.AudioFrame, start_s: Fraction, rate_hz: int, layout: str, position: int) -> None:
        """Begin a segment with a frame (not pushed yet) at `start_s`, seconds from time 0."""
        self.rate_hz = rate_hz
        self.position = position
        self._format = _format_of(frame)
        self._start_s = start_s
        self._channels = 1 if layout == "mono" else 2
        self._resampler = AudioResampler("fltp", layout, rate_hz, options=_RESAMPLER_OPTIONS)
        self._cursor = round(start_s * rate_hz)
        self._samples_in = 0
        """At the source's sampling rate."""

    @property
    def end_s(self) -> Fraction:
        """Seconds from time 0."""
        return self._start_s + Fraction(self._samples_in, self._format[2])

    def is_continued_by(self, frame: av.AudioFrame, start_s: Fraction) -> bool:
        """Whether a frame has this segment's format and starts where it ends."""
        return _format_of(frame) == self._format and start_s == self.end_s

    @property
    def gap(self) -> int:
        """Output samples that are missing between the segment before and this one."""
        return max(0, self._cursor - self.position)

    def fill_gap(self) -> FloatArray:
        """(C, N) zeros, at most a second."""
        count = min(self.gap, self.rate_hz)
        self.position += count
        return np.zeros((self._channels, count), np.float32)

    def push(self, frame: av.AudioFrame) -> FloatArray:
        """Resample a frame: (C, N) float32, which lags behind by what the filter holds back."""
        self._samples_in += frame.samples
        return self._drop_overlap(self._resample(frame))

    def finish(self) -> FloatArray:
        """(C, N) float32, what the filter holds back; afterwards the segment has exactly its nominal length."""
        rest = self._resample(None)
        # Resamplers may add a sample or leave one out: the rest is cut, or padded with zeros.
        missing = max(0, round(self._start_s * self.rate_hz) + self._nominal_length - self._cursor)
        exact = np.zeros((self._channels, missing), np.float32)
        exact[:, : rest.shape[1]] = rest[:, :missing]
        return self._drop_overlap(exact)

    @property
    def _nominal_length(self) -> int:
        """Output samples that correspond to the samples pushed."""
        return round(Fraction(self._samples_in * self.rate_hz, self._format[2]))

    def _resample(self, frame: av.AudioFrame | None) -> FloatArray:
        """(C, N) float32; None flushes the filter."""
        blocks = [np.zeros((self._channels, 0), np.float32)]
        blocks += [cast(FloatArray, block.to_ndarray()) for block in self._resampler.resample(frame) if block]
        return np.concatenate(blocks, axis=1)

    def _drop_overlap(self, block: FloatArray) -> FloatArray:
        """Advance both counters over a block, less the samples that the segment before handed out already."""
        kept = block[:, max(0, self.position - self._cursor) :]
        self._cursor += block.shape[1]
        self.position += kept.shape[1]
        return kept


def _format_of(frame: av.AudioFrame) -> tuple[str, str, int]:
    """Sample format, channel layout, sampling rate in Hz."""
    return frame.format.name, frame.layout.name, frame.sample_rate
