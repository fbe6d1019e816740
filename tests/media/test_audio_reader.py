"""Reading audio: a chirp of any format arrives at 16 kHz, in time with the video, with silence in its gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from media_files import assert_chirp, audio_frames, chirp, lag_samples, numbered_image, write_chirp, write_with_av

from talkinghead.errors import MediaError, NoAudioError
from talkinghead.media.audio_reader import AudioFile, read_audio
from talkinghead.media.remarks import audio_remarks


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels", "subtype"),
    [
        ("telephone.wav", 8000, 1, "PCM_16"),
        ("stereo.wav", 44100, 2, "PCM_16"),
        ("surround.wav", 48000, 6, "PCM_16"),
        ("fine.wav", 48000, 2, "PCM_24"),
        ("float.wav", 96000, 1, "FLOAT"),
        ("double.wav", 22050, 2, "DOUBLE"),
        ("packed.flac", 44100, 2, "PCM_24"),
        ("speech.wav", 16000, 1, "PCM_16"),
    ],
)
def test_audio_is_read_at_16_khz(tmp_path: Path, name: str, rate_hz: int, channels: int, subtype: str) -> None:
    audio = read_audio(write_chirp(tmp_path / name, rate_hz, channels, subtype))
    assert audio.rate_hz == 16000
    assert audio.samples.dtype == np.float32
    assert len(audio.samples) == 24000
    if channels == 6:  # no low-frequency channel in the mix, and the weights are the mixer's own
        assert lag_samples(audio.samples, chirp(24000, 16000)) == 0
    else:
        assert_chirp(audio.samples, 16000)


@pytest.mark.parametrize(("video_start_s", "audio_start_s"), [(0.0, 0.0), (0.0, 0.25), (0.2, 0.0), (1.0, 1.5)], ids=str)
def test_audio_is_timed_from_the_first_frame(tmp_path: Path, video_start_s: float, audio_start_s: float) -> None:
    clip = write_with_av(
        tmp_path / "clip.mkv",
        [numbered_image(number) for number in range(30)],
        video_start_s=video_start_s,
        audio_start_s=audio_start_s,
    )
    samples = read_audio(clip).samples
    late = audio_start_s - video_start_s
    start = round(16000 * max(0.0, late))
    assert np.abs(samples[: max(0, start - 100)]).max(initial=0.0) < 1e-3
    reference = np.concatenate([np.zeros(start), chirp(24000, 16000)[max(0, round(-16000 * late)) :]])
    assert (
        abs(lag_samples(samples, reference)) <= 8
    )  # Matroska counts in milliseconds, and priming is no whole number of them
    assert abs(len(samples) - len(reference)) <= 1024


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that FFmpeg opens."""
    names: list[str] = []
    open_file = av.open

    def noted(file: str, *arguments: Any, **options: Any) -> Any:
        names.append(Path(file.removeprefix("file:")).name)
        return open_file(file, *arguments, **options)

    monkeypatch.setattr("talkinghead.media.containers.av.open", noted)
    return names


@pytest.mark.parametrize(
    ("name", "channels", "openings"), [("mono.wav", 1, 1), ("mono.flac", 1, 1), ("stereo.wav", 2, 2)]
)
def test_audio_that_was_read_needs_no_survey(
    tmp_path: Path, name: str, channels: int, openings: int, opened: list[str]
) -> None:
    """Which channels of stereo are used has to be known before."""
    path = write_chirp(tmp_path / name, 48000, channels, "PCM_16")
    surveyed = AudioFile(path).survey
    assert surveyed.duration_s == pytest.approx(1.5) and surveyed.tracks == 1
    opened.clear()
    audio = AudioFile(path)
    assert sum(map(len, audio.blocks())) == 24000
    assert audio.survey == surveyed and audio_remarks(audio) == []
    assert opened == [name] * openings


def test_audio_that_was_read_in_part_is_surveyed_whole(tmp_path: Path, opened: list[str]) -> None:
    audio = AudioFile(write_chirp(tmp_path / "mono.wav", 48000, 1, "PCM_16"))
    next(audio.blocks())
    assert audio.survey.duration_s == pytest.approx(1.5) and len(opened) == 2
    limited = AudioFile(audio.path, longest_s=0.5)
    assert sum(map(len, limited.blocks())) == 8000 and limited.survey.duration_s == 0.5


def test_gaps_in_the_audio_are_silence(tmp_path: Path) -> None:
    path = tmp_path / "audio.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=48000)
        stream.layout = "mono"
        for frame in audio_frames(48000, 1.5, "mono", 0):
            assert frame.pts is not None
            frame.pts += 24000 if frame.pts >= 48 * 1024 else 0
            for packet in stream.encode(frame):
                packet.pts = packet.dts = frame.pts
                container.mux(packet)
    samples = read_audio(path).samples
    cut = 48 * 1024 // 3
    assert len(samples) == pytest.approx(32000, abs=16)
    assert_chirp(samples[:cut], 16000)
    assert np.abs(samples[cut + 50 : cut + 7900]).max() == 0
    assert lag_samples(samples[cut + 8000 :], chirp(24000, 16000)[cut:]) == pytest.approx(0, abs=16)


def test_an_audio_stream_without_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16000)
    with pytest.raises(NoAudioError):
        read_audio(tmp_path / "none.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite(tmp_path: Path, value: float) -> None:
    samples = chirp(16000, 16000)
    samples[8000] = value
    soundfile.write(tmp_path / "bad.wav", samples, 16000, subtype="FLOAT")
    with pytest.raises(MediaError, match="not finite"):
        read_audio(tmp_path / "bad.wav")
