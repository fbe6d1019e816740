"""Files that are several recordings one after the other: all of each is read, and pictures and audio stay together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from joined_files import Recording, loudest_hz, write_joined
from media_files import number_of, read_frames
from numpy.typing import NDArray

from talkinghead.errors import MediaError
from talkinghead.media.audio_reader import AudioFile, read_audio
from talkinghead.media.containers import parts_of
from talkinghead.media.remarks import audio_remarks
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import Frame

RATE_HZ = 48000
AUDIO_SUFFIXES = (".opus", ".flac", ".wav", ".webm", ".mkv", ".flv", ".ts", ".mp4")
EXACT_SUFFIXES = (".opus", ".flac", ".wav", ".webm", ".mkv")
"""Formats that give exactly the samples that were encoded; those with AAC add its delay and padding to each part."""
VIDEO_SUFFIXES = (".webm", ".mkv", ".flv", ".ts", ".mp4")
SAME_RATES = (Recording(440, 1.0), Recording(880, 1.5), Recording(660, 0.5))
OTHER_RATES = (Recording(440, 1.0), Recording(880, 1.5, rate_hz=24000), Recording(660, 0.5))


def read_alone(path: Path, count: int) -> list[NDArray[np.float32]]:
    """The audio of each of the files that `write_joined` made `path` of."""
    return [read_audio(path.with_name(f"{number}-{path.name}"), RATE_HZ).samples for number in range(count)]


@pytest.mark.parametrize("recordings", [SAME_RATES, OTHER_RATES], ids=["same rates", "other rates"])
@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
def test_joined_audio_is_each_recording_in_turn(tmp_path: Path, suffix: str, recordings: tuple[Recording, ...]) -> None:
    path = write_joined(tmp_path / f"joined{suffix}", recordings)
    joined = AudioFile(path, RATE_HZ)
    samples = np.concatenate(list(joined.blocks()))
    alone = read_alone(path, len(recordings))
    assert len(parts_of(path)) == len(recordings) == joined.survey.parts
    assert len(samples) == sum(map(len, alone))
    if suffix in EXACT_SUFFIXES:
        assert len(samples) == round(sum(recording.seconds for recording in recordings) * RATE_HZ)
    start = 0
    for part, recording in zip(alone, recordings, strict=True):
        found = samples[start : start + len(part)]
        # Part after part is what it is alone, but for the moment where a filter or an encoder begins.
        assert np.abs(found - part)[2000:-2000].max() < 1e-3
        assert loudest_hz(found[4000:20000], RATE_HZ) == pytest.approx(recording.tone_hz, abs=3)
        start += len(part)
    assert joined.survey.missing_s == joined.survey.gaps == 0
    assert any("3 recordings" in remark for remark in audio_remarks(joined))


@pytest.mark.parametrize("suffix", [".opus", ".flac", ".webm", ".flv", ".ts"])
def test_many_short_recordings(tmp_path: Path, suffix: str) -> None:
    """Their errors must not add up to a gap."""
    recordings = [Recording(400 + 100 * number, 0.12 + 0.013 * number) for number in range(9)]
    path = write_joined(tmp_path / f"joined{suffix}", recordings)
    joined = AudioFile(path, RATE_HZ)
    assert len(np.concatenate(list(joined.blocks()))) == sum(map(len, read_alone(path, 9)))
    assert joined.survey.gaps == 0


def tone_begins_s(samples: NDArray[np.float32], tone_hz: float) -> float:
    """When a tone begins that fills the rest, or a stretch, of the audio: to about 5 ms."""
    time_s = np.arange(len(samples)) / RATE_HZ
    window = RATE_HZ // 50
    carried = samples * np.exp(-2j * np.pi * tone_hz * time_s)
    level = np.abs(np.convolve(carried, np.ones(window) / window, "same"))
    return float(np.flatnonzero(level > level.max() / 2)[0] / RATE_HZ)


def same(frame: Frame, other: Frame) -> bool:
    return number_of(frame.image) == number_of(other.image)


@pytest.mark.parametrize(
    ("suffix", "start_s"),
    [*((suffix, 0.0) for suffix in VIDEO_SUFFIXES), (".ts", 36_000.0)],  # the others begin their clocks at 0
)
def test_pictures_and_audio_stay_together(tmp_path: Path, suffix: str, start_s: float) -> None:
    """Tone and frame numbers of each recording begin together, wherever its clock begins."""
    recordings = [
        Recording(440, 1.0, start_s=start_s, first_image=0),
        Recording(880, 1.52, first_image=50),
        Recording(660, 0.6, start_s=start_s / 7, first_image=100),
    ]
    path = write_joined(tmp_path / f"joined{suffix}", recordings)
    samples, frames = read_audio(path, RATE_HZ).samples, read_frames(path)
    # Where the audio of a recording is longer, its last frame is repeated until the next one begins.
    frames = [frame for place, frame in enumerate(frames) if place == 0 or not same(frame, frames[place - 1])]
    numbers = [number_of(frame.image) for frame in frames]
    assert numbers == [*range(25), *range(50, 88), *range(100, 115)]
    times_s = {number: frame.time_s for number, frame in zip(numbers, frames, strict=True)}
    assert np.diff([frame.time_s for frame in frames]).max() < 0.11
    for recording in recordings:
        assert recording.first_image is not None
        # Coding delay of AAC, and what FLV and MPEG-TS make of B-frames: the same in a recording read alone.
        assert tone_begins_s(samples, recording.tone_hz) == pytest.approx(times_s[recording.first_image], abs=0.05)
    assert len(samples) / RATE_HZ == pytest.approx(3.12, abs=0.12)


def test_a_clock_that_falls_by_hours_and_one_that_rises(tmp_path: Path) -> None:
    for name, starts_s in (
        ("falls.ts", (36_000.0, 0.0)),
        ("rises.ts", (0.0, 36_000.0)),
        ("wraps.ts", (90_000.0, 10.0)),
    ):
        recordings = [Recording(440, 1.0, start_s=starts_s[0]), Recording(880, 1.5, start_s=starts_s[1])]
        path = write_joined(tmp_path / name, recordings)
        samples = read_audio(path, RATE_HZ).samples
        assert len(samples) == sum(map(len, read_alone(path, 2)))
        assert loudest_hz(samples[-40000:-20000], RATE_HZ) == pytest.approx(880, abs=3)


def test_frames_of_any_part_can_be_sought(tmp_path: Path) -> None:
    path = write_joined(
        tmp_path / "joined.mkv", [Recording(440, 1.0, first_image=0), Recording(880, 1.0, first_image=50)]
    )
    times_s = [frame.time_s for frame in read_frames(path)]
    for wanted in (3, 30, 49):
        with VideoReader(path) as reader:
            found = next(reader.frames_from(times_s[wanted]))
        assert found.time_s == pytest.approx(times_s[wanted], abs=1e-3)
        assert number_of(found.image) == (wanted if wanted < 25 else wanted + 25)


def test_a_part_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = write_joined(tmp_path / "joined.mkv", [Recording(440, 0.5), Recording(880, 0.5)])
    begin = parts_of(path)[1].ranges[0][0]
    content = path.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: begin + 60])
    with pytest.raises(MediaError, match=r"part 2 of 2"):
        read_audio(tmp_path / "cut.mkv")


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
def test_a_single_recording_has_one_part(tmp_path: Path, suffix: str) -> None:
    path = write_joined(tmp_path / f"single{suffix}", [Recording(440, 0.5)])
    assert len(parts_of(path)) == AudioFile(path).survey.parts == 1
    assert audio_remarks(AudioFile(path)) == []
