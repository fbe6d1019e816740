"""Audio of any media file as mono or stereo samples at a wanted rate, in blocks, on the clock of its pictures."""

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
from talkinghead.media.containers import (
    FALLBACK_FRAME_RATE,
    TRUNCATED_FRAMES,
    declared_end,
    decoded_frames,
    first_picture_time,
    main_audio_stream,
    open_input,
    stops_short,
    time_base_of,
)
from talkinghead.structures import Audio, FloatArray

CLOCK_TOLERANCE_S = 0.015
"""Sound timestamps are rounded by some containers; a smaller step is no gap. Shorter than one packet of any codec."""
MAX_CLOCK_STEP_S = 60.0
"""A larger jump of sound timestamps is a clock that was set anew, not a gap."""
MAX_SILENCE_S = 3600.0
"""A longer gap, or sound that begins so long after the pictures, is a damaged clock."""
_RESAMPLER_OPTIONS = {"filter_size": "64", "rematrix_maxval": "1.0"}
"""A sharper filter than swresample's default (-1 dB instead of -3 at 7.5 kHz when going to 16 kHz), and mixing
to fewer channels as a weighted mean, which cannot clip."""


@dataclass(frozen=True)
class AudioFile:
    """The sound of any sound or video file, mixed to mono and resampled to `rate_hz`, read anew as often as wanted.

    Memory does not grow with the length of the file. On what lies where, see `read_audio`.
    """

    path: Path
    rate_hz: int = 16000

    @cached_property
    def duration_s(self) -> float:
        """Seconds; all of the file is decoded for it, once. Raises what `blocks` raises."""
        return sum(map(len, self.blocks())) / self.rate_hz

    def blocks(self) -> Iterator[FloatArray]:
        """(N,) float32 each, one after the other without a gap.

        Raises MissingFileError, MediaError (unreadable, truncated, samples that are not finite), NoSoundError.
        """
        with AudioSource(self.path) as source:
            for block in source.blocks(self.rate_hz, "mono"):
                yield block[0]


def read_audio(path: Path, rate_hz: int = 16000, *, longest_s: float | None = None) -> Audio:
    """The sound of any sound or video file, mixed to mono and resampled to `rate_hz`; its first `longest_s` at most.

    Sample 0 is at the time of the first picture where there are pictures (late sound is led by silence, early sound
    is cut), else the first sample. Gaps in the recording are silence. libswresample mixes, resamples and streams in
    one step, has no lag, and with the filter used here aliases below -90 dB one kilohertz past the band's edge.

    Raises MissingFileError, MediaError (unreadable, truncated, samples that are not finite), NoSoundError.
    """
    collected = bytearray()  # grows in place: the peak is the samples themselves
    most = None if longest_s is None else round(longest_s * rate_hz)
    for block in AudioFile(path, rate_hz).blocks():
        collected += block.tobytes()
        if most is not None and len(collected) >= most * block.itemsize:
            break
    return Audio(samples=np.frombuffer(collected, dtype=np.float32)[:most], rate_hz=rate_hz)


class AudioSource:
    """The sound of a file, block by block, from time 0 on."""

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self._origin = first_picture_time(self._path)
        self._container = open_input(self._path)
        try:
            self._stream = main_audio_stream(self._container, self._path)
        except BaseException:
            self._container.close()
            raise
        self.rate_hz = self._stream.rate
        self.channels = self._stream.channels

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._container.close()

    def blocks(self, rate_hz: int, layout: str) -> Iterator[FloatArray]:
        """(C, N) float32 each, mixed to `layout` ("mono" or "stereo"); one after the other they have no gap."""
        given = 0
        for block in self._readable(self._placed_blocks(rate_hz, layout)):
            if not np.isfinite(block).all():
                raise MediaError(f"{self._path}: the sound holds samples that are not finite; export it again")
            given += block.shape[1]
            if block.size:
                yield block
        if given == 0:
            raise NoAudioError(f"{self._path}: the sound stream is empty; give a file with sound")

    def _readable(self, blocks: Iterator[FloatArray]) -> Iterator[FloatArray]:
        try:
            yield from blocks
        except av.FFmpegError as error:  # of the resampler: a layout or a rate that there is not
            raise MediaError(f"{self._path}: the sound cannot be used ({error.strerror}); export it again") from error

    def _placed_blocks(self, rate_hz: int, layout: str) -> Iterator[FloatArray]:
        run: _Run | None = None
        for frame in self._frames():
            time = self._time(frame, expected=run.end if run else None)
            if run is None or not run.continues(frame, time):
                if run:
                    yield run.finish()
                previous = run
                run = _Run(frame, time, rate_hz, layout, done=previous.position if previous else 0)
                yield from self._silence_before(run)
            yield run.push(frame)
        if run:
            yield run.finish()
            self._check_complete(run.end)

    def _silence_before(self, run: _Run) -> Iterator[FloatArray]:
        """A gap, second by second."""
        gap_s = run.gap / run.rate_hz
        if gap_s > MAX_SILENCE_S:
            raise MediaError(
                f"{self._path}: the sound has a gap of {gap_s:.0f} s: its clock is damaged; export it again"
            )
        while run.gap:
            yield run.silence()

    def _frames(self) -> Iterator[av.AudioFrame]:
        """Decoders hand out whole blocks; what the last one holds beyond the declared end is padding and is cut."""
        end = declared_end(self._stream)
        for frame in cast(Iterator[av.AudioFrame], decoded_frames(self._container, self._stream)):
            surplus = 0
            if end is not None and frame.pts is not None:
                start = frame.pts * (frame.time_base or time_base_of(self._stream))
                surplus = frame.samples - round((end - start) * frame.sample_rate)
            yield _shortened(frame, frame.samples - surplus) if 0 < surplus < frame.samples else frame

    def _time(self, frame: av.AudioFrame, expected: Fraction | None) -> Fraction:
        """When a frame sounds, in seconds from time 0."""
        if frame.pts is None:
            return expected or Fraction(0)
        time = frame.pts * (frame.time_base or time_base_of(self._stream))
        if self._origin is None:
            self._origin = time
        if expected is not None and abs(time - self._origin - expected) > MAX_CLOCK_STEP_S:
            self._origin = time - expected
        return time - self._origin

    def _check_complete(self, end: Fraction) -> None:
        if stops_short(self._stream, end, tolerance=Fraction(TRUNCATED_FRAMES) / FALLBACK_FRAME_RATE):
            raise MediaError(f"{self._path}: truncated: the sound stops after {float(end):.1f} s; copy the file again")


class _Run:
    """A stretch of sound without a gap, mixed and resampled, cut to where the samples before it end."""

    def __init__(self, frame: av.AudioFrame, start: Fraction, rate_hz: int, layout: str, done: int) -> None:
        self._format = _audio_format(frame)
        self._start = start
        self._taken = 0
        """Samples of the source."""
        self.rate_hz = rate_hz
        self._channels = 1 if layout == "mono" else 2
        self._resampler = AudioResampler("fltp", layout, rate_hz, options=_RESAMPLER_OPTIONS)
        self._cursor = round(start * rate_hz)
        """Output sample that comes next, were nothing cut."""
        self.position = done
        """Output samples handed out, counted from time 0."""

    @property
    def end(self) -> Fraction:
        """Seconds."""
        return self._start + Fraction(self._taken, self._format[2])

    def continues(self, frame: av.AudioFrame, time: Fraction) -> bool:
        return _audio_format(frame) == self._format and abs(time - self.end) <= CLOCK_TOLERANCE_S

    @property
    def gap(self) -> int:
        """Output samples between those before this run and its first."""
        return max(0, self._cursor - self.position)

    def silence(self) -> FloatArray:
        """Up to a second of the gap."""
        samples = min(self.gap, self.rate_hz)
        self.position += samples
        return np.zeros((self._channels, samples), np.float32)

    def push(self, frame: av.AudioFrame) -> FloatArray:
        self._taken += frame.samples
        return self._cut(self._resampled(frame))

    def finish(self) -> FloatArray:
        """The rest, to the very sample: resamplers may add one or leave one out."""
        rest = self._resampled(None)
        missing = max(0, round(self._start * self.rate_hz) + self._length - self._cursor)
        exact = np.zeros((self._channels, missing), np.float32)
        exact[:, : rest.shape[1]] = rest[:, :missing]
        return self._cut(exact)

    @property
    def _length(self) -> int:
        return round(Fraction(self._taken * self.rate_hz, self._format[2]))

    def _resampled(self, frame: av.AudioFrame | None) -> FloatArray:
        blocks = [np.zeros((self._channels, 0), np.float32)]
        blocks += [cast(FloatArray, block.to_ndarray()) for block in self._resampler.resample(frame) if block]
        return np.concatenate(blocks, axis=1)

    def _cut(self, block: FloatArray) -> FloatArray:
        kept = block[:, max(0, self.position - self._cursor) :]
        self._cursor += block.shape[1]
        self.position += kept.shape[1]
        return kept


def _shortened(frame: av.AudioFrame, samples: int) -> av.AudioFrame:
    """The first samples of a frame."""
    values = samples if frame.format.is_planar else samples * len(frame.layout.channels)
    kept = cast(FloatArray, np.ascontiguousarray(frame.to_ndarray()[:, :values]))
    short = av.AudioFrame.from_ndarray(kept, frame.format.name, frame.layout.name)
    short.sample_rate, short.pts, short.time_base = frame.sample_rate, frame.pts, frame.time_base
    return short


def _audio_format(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
