"""The audio clock: which steps of timestamps are gaps, which are inexact, and which are a clock that begins anew."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from joined_files import tone
from media_files import chirp, lag_samples, numbered_image, write_with_av

from talkinghead.media.audio_clock import AudioClock
from talkinghead.media.audio_reader import AudioFile, audio_lead_s, read_audio
from talkinghead.media.audio_writer import AudioTrack
from talkinghead.media.remarks import audio_remarks

PACKET = 960
RATE_HZ = 48000


def placed(
    stamps_s: Iterable[float | None], *, rates_hz: Iterable[int] | None = None, counted: bool = False
) -> tuple[list[float], AudioClock]:
    """Where frames of 20 ms at 48 kHz with these timestamps are placed, without video."""
    stamps = list(stamps_s)
    frames = []
    for stamp_s, rate_hz in zip(stamps, rates_hz or [RATE_HZ] * len(stamps), strict=True):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, PACKET), np.float32), "fltp", "mono")
        frame.sample_rate, frame.time_base = rate_hz, Fraction(1, 1000)
        frame.pts = None if stamp_s is None else round(1000 * stamp_s)
        frames.append((0, frame))
    clock = AudioClock(None, whole=True, counted=counted)
    return [float(start_s) for _, start_s in clock.place(iter(frames))], clock


def test_inexact_timestamps_move_nothing() -> None:
    wobble = np.random.default_rng(0).integers(-21, 22, 500) / 1000
    steady = np.arange(500) * 0.02
    starts_s, clock = placed(5 + steady + wobble * (np.arange(500) > 0))
    np.testing.assert_allclose(starts_s, steady, atol=1e-9)
    assert clock.gaps == 0


@pytest.mark.parametrize("wobble_ms", [0, 21])
@pytest.mark.parametrize("gap_s", [0.1, 1.5, 59.0])
def test_a_step_that_stays_is_a_gap(wobble_ms: int, gap_s: float) -> None:
    number = np.arange(300)
    wobble = np.random.default_rng(1).integers(-wobble_ms, wobble_ms + 1, 300) / 1000 * (number > 0)
    starts_s, clock = placed(number * 0.02 + gap_s * (number >= 100) + wobble)
    expected = number * 0.02 + gap_s * (number >= 100)
    assert clock.gaps == 1
    assert float(clock.missing_s) == pytest.approx(gap_s, abs=2 * wobble_ms / 1000 + 1e-9)
    np.testing.assert_allclose(starts_s, expected, atol=2 * wobble_ms / 1000 + 1e-9)


@pytest.mark.parametrize("step_s", [-0.1, -1.0, -3600.0, 61.0, 36_000.0])
def test_a_clock_that_begins_anew_leaves_no_gap_and_drops_nothing(step_s: float) -> None:
    number = np.arange(300)
    starts_s, clock = placed(50 + number * 0.02 + step_s * (number >= 100) + 0.3 * (number >= 200))
    np.testing.assert_allclose(starts_s, number * 0.02 + 0.3 * (number >= 200), atol=1e-9)
    assert clock.gaps == 1 and float(clock.missing_s) == pytest.approx(0.3)


def test_one_wrong_timestamp_or_none_is_no_step() -> None:
    stamps: list[float | None] = list(np.arange(60) * 0.02)
    stamps[30], stamps[40:50] = 4000.0, [None] * 10
    starts_s, clock = placed(stamps)
    np.testing.assert_allclose(starts_s, np.arange(60) * 0.02, atol=1e-9)
    assert clock.gaps == 0


def test_frames_are_as_long_as_their_samples_say() -> None:
    """A reader that counts by the first sampling rate is wrong from where it changes."""
    rates_hz = [24000] * 50 + [48000] * 50 + [24000] * 50
    lengths_s = [PACKET / rate_hz for rate_hz in rates_hz]
    starts_s, clock = placed(np.arange(150) * 0.04, rates_hz=rates_hz, counted=True)
    np.testing.assert_allclose(starts_s, np.cumsum([0, *lengths_s[:-1]]), atol=1e-9)
    assert clock.gaps == 0


@pytest.mark.parametrize("gap_s", [0.0, 0.7])
def test_samples_under_inexact_timestamps_are_untouched(tmp_path: Path, gap_s: float) -> None:
    """PCM in Matroska: sample for sample what was written, but for a gap that is there."""
    samples = np.round(tone(440, 2.0, RATE_HZ) * 32767).astype(np.int16)
    draw = np.random.default_rng(2)
    path = tmp_path / "wobble.mkv"
    with av.open(str(path), "w") as container:
        stream = cast(AudioStream, container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono"))
        last = 0
        for start in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], "s16", "mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), start
            for packet in stream.encode(frame):
                stamp = start + int(draw.integers(-1000, 1001)) * bool(start) + round(gap_s * RATE_HZ) * (start > 40000)
                packet.pts = packet.dts = last = max(last, stamp)
                container.mux(packet)
    audio = AudioFile(path, RATE_HZ)
    found = np.round(np.concatenate(list(audio.blocks())) * 32768).astype(int)
    if not gap_s:
        np.testing.assert_array_equal(found, samples)
        assert audio.survey.gaps == 0 and audio_remarks(audio) == []
        return
    cut = 40 * 1024
    np.testing.assert_array_equal(found[:cut], samples[:cut])
    np.testing.assert_array_equal(found[cut - len(samples) :], samples[cut:])
    missing = len(found) - len(samples)
    assert missing / RATE_HZ == pytest.approx(gap_s, abs=0.045) and not found[cut : cut + missing].any()
    assert audio.survey.missing_s == pytest.approx(missing / RATE_HZ, abs=1e-4)
    assert "in one place" in audio_remarks(audio)[0]


@pytest.mark.parametrize("late_s", [0.16, 1.0])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_audio_before_the_first_frame(tmp_path: Path, suffix: str, late_s: float) -> None:
    """As speech all of it counts; as the audio of a clip, what belongs to its frames."""
    images = [numbered_image(number) for number in range(20)]
    path = write_with_av(tmp_path / f"late{suffix}", images, video_start_s=late_s, audio_start_s=0.0)
    assert audio_lead_s(path) == pytest.approx(late_s, abs=0.03)
    speech, own = read_audio(path, RATE_HZ, whole=True).samples, read_audio(path, RATE_HZ).samples
    assert len(speech) >= 1.5 * RATE_HZ
    reference = chirp(round(1.5 * RATE_HZ), RATE_HZ)
    assert abs(lag_samples(speech, reference)) <= 1100  # Matroska does not tell the delay of AAC, one packet
    assert len(own) == pytest.approx(len(speech) - late_s * RATE_HZ, abs=0.03 * RATE_HZ)
    np.testing.assert_array_equal(own, speech[len(speech) - len(own) :])
    track = AudioTrack(path)
    assert sum(block.shape[1] for block in track._blocks) == len(speech)
    track.close()


def test_late_audio_is_late_as_speech_too(tmp_path: Path) -> None:
    images = [numbered_image(number) for number in range(20)]
    path = write_with_av(tmp_path / "late.mkv", images, audio_start_s=0.5)
    assert audio_lead_s(path) == 0
    np.testing.assert_array_equal(read_audio(path, whole=True).samples, read_audio(path).samples)
