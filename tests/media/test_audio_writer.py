"""Writing audio: WAV files sample by sample, and the audio track of a video with its start and length."""

from __future__ import annotations

import os
import resource
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from media_files import (
    HEIGHT,
    WIDTH,
    chirp,
    lag_samples,
    numbered_image,
    read_frames,
    steady_times,
    write_chirp,
    write_clip,
)

from talkinghead.errors import OutputError, OutputExistsError
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.audio_writer import AudioExcerpt, write_audio
from talkinghead.media.video_reader import read_video_info
from talkinghead.media.video_writer import VideoWriter
from talkinghead.structures import Audio, Frame


def test_recordings_are_joined_in_one_wav_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    recordings = [Audio(np.array([0, 0.5, 2], np.float32), 8000), Audio(np.array([-2, -0.5], np.float32), 8000)]
    assert write_audio(path, recordings) == pytest.approx(5 / 8000)
    samples, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == 8000
    assert samples.tolist() == [0, 16384, 32767, -32767, -16384]  # 0.5 * 32767 rounds to even
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_samples_are_rounded_to_the_nearest_step(tmp_path: Path) -> None:
    steps = np.linspace(-32767, 32767, 65535 * 4 - 3)
    write_audio(tmp_path / "a.wav", [Audio((steps / 32767).astype(np.float32), 16000)])
    samples, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert np.abs(samples - steps).max() <= 0.5 + 0.005  # float32 has 24 bits: its own error is up to 0.002 steps


def test_a_wav_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    recording = Audio(np.zeros(8, np.float32), 8000)
    path.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        write_audio(path, [recording])
    for wrong in ([], [recording, Audio(recording.samples, 16000)]):
        with pytest.raises(ValueError, match="audio"):
            write_audio(tmp_path / "b.wav", wrong)
    with pytest.raises(OutputError, match=r"\.wav"):
        write_audio(tmp_path / "b.mp3", [recording])
    assert [found.name for found in tmp_path.iterdir()] == ["a.wav"] and path.read_bytes() == b"mine"
    assert write_audio(path, [recording], overwrite=True) == pytest.approx(0.001)


def test_a_full_disk(tmp_path: Path) -> None:
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError, match="Cannot write"):
            write_audio(tmp_path / "a.wav", [Audio(np.zeros(80_000, np.float32), 16000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rate_hz", "channels", "written_hz", "written_channels"),
    [(8000, 1, 8000, 1), (16000, 1, 16000, 1), (44100, 2, 44100, 2), (48000, 6, 48000, 2), (37800, 1, 48000, 1)],
)
def test_a_track_keeps_the_start_and_length_of_its_source(
    tmp_path: Path, rate_hz: int, channels: int, written_hz: int, written_channels: int
) -> None:
    source = write_chirp(tmp_path / "source.wav", rate_hz, channels, "PCM_16")
    clip = write_clip(tmp_path / "clip.mp4", steady_times(38, Fraction(25)), Fraction(25), audio_from=source)
    with av.open(str(clip)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate, stream.channels) == ("aac", written_hz, written_channels)
        assert stream.duration is not None and stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(3, 2)
    audio = read_audio(clip, written_hz)
    assert len(audio.samples) == 1.5 * written_hz
    assert lag_samples(audio.samples, chirp(round(1.5 * written_hz), written_hz)) == 0
    assert len(read_frames(clip)) == 38
    assert read_video_info(clip).duration_s == pytest.approx(38 / 25, abs=1e-6)


@pytest.mark.parametrize("frame_count", [5, 60])
def test_the_whole_track_is_written_beside_any_number_of_frames(tmp_path: Path, frame_count: int) -> None:
    source = write_chirp(tmp_path / "source.wav", 48000, 1, "PCM_16")
    clip = write_clip(tmp_path / "clip.mp4", steady_times(frame_count, Fraction(30)), Fraction(30), audio_from=source)
    assert len(read_audio(clip, 48000).samples) == 72000
    assert len(read_frames(clip)) == frame_count


@pytest.mark.parametrize("rate_hz", [16000, 44100, 37800])
@pytest.mark.parametrize(
    ("begin_s", "end_s", "after_s", "seconds"),
    [(-0.3, None, 0.5, 2.3), (0.4, 1.2, 9.0, 0.8), (-0.25, 0.75, 0.0, 1.0), (1.0, 2.0, 0.0, 1.0)],
)
def test_an_excerpt_is_written_sample_for_sample(
    tmp_path: Path, rate_hz: int, begin_s: float, end_s: float | None, after_s: float, seconds: float
) -> None:
    source = write_chirp(tmp_path / "source.wav", rate_hz, 1, "PCM_16")
    path = tmp_path / "clip.mp4"
    audio = AudioExcerpt(source, begin_s, end_s, after_s)
    with VideoWriter(path, WIDTH, HEIGHT, frame_rate=Fraction(25), audio_from=audio) as writer:
        writer.write(Frame(numbered_image(0), 0.0))
    written_hz = 48000 if rate_hz == 37800 else rate_hz
    found = read_audio(path, written_hz).samples
    given = np.pad(read_audio(source, written_hz).samples, 2 * written_hz)
    first = round(begin_s * written_hz) + 2 * written_hz
    expected = given[first : first + round(seconds * written_hz)]
    assert len(found) == len(expected)
    assert lag_samples(found, expected.astype(np.float64)) == 0
    assert np.corrcoef(found, expected)[0, 1] > 0.99


def test_stereo_stays_stereo(tmp_path: Path) -> None:
    left = chirp(48000, 48000)
    soundfile.write(tmp_path / "source.wav", np.stack([left, 0 * left], -1), 48000)
    clip = write_clip(tmp_path / "clip.mp4", [0.0], Fraction(25), audio_from=tmp_path / "source.wav")
    with av.open(str(clip)) as container:
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert np.abs(samples[0]).max() > 0.25
    assert np.abs(samples[1]).max() < 0.01
