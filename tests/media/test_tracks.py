"""Choosing among tracks, and mono out of channels that would cancel each other."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
import soundfile
from av.audio.stream import AudioStream
from av.stream import Disposition
from av.video.stream import VideoStream
from joined_files import encode_audio, loudest_hz, tone
from media_files import chirp, lag_samples

from talkinghead.errors import NoAudioError, NoVideoError
from talkinghead.media.audio_reader import AudioFile, read_audio
from talkinghead.media.remarks import audio_remarks, video_remarks
from talkinghead.media.tracks import audio_tracks
from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.structures import Tracks

RATE_HZ = 48000


def write_tracks(path: Path, tracks: Sequence[tuple[float, float, bool]]) -> Path:
    """A file with an audio track for each (tone in Hz, gain, is default)."""
    with av.open(str(path), "w") as container:
        streams = []
        for number, (_, _, is_default) in enumerate(tracks):
            stream = cast(AudioStream, container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono"))
            stream.disposition = Disposition.default if is_default else Disposition(0)
            stream.metadata["title"] = f"Track \x1b[1m{number + 1}"
            streams.append(stream)
        for stream, (hz, gain, _) in zip(streams, tracks, strict=True):
            encode_audio(container, stream, gain * tone(hz, 0.6, RATE_HZ), 0.0)
    return path


@pytest.mark.parametrize(
    ("tracks", "used"),
    [
        (((440, 0.0, False), (880, 1.0, True)), 2),
        (((440, 1.0, False), (880, 0.1, True)), 2),
        (((440, 1.0, True), (880, 1.0, False)), 1),
        (((440, 0.1, False), (880, 1.0, False), (660, 0.5, False)), 2),
        (((440, 0.5, True), (880, 0.1, True)), 1),
        (((440, 0.0, True), (880, 0.3, False)), 2),
    ],
    ids=["default", "quiet default", "first", "loudest", "loudest default", "silent default"],
)
def test_the_default_audio_track_or_the_loudest(
    tmp_path: Path, tracks: tuple[tuple[float, float, bool], ...], used: int
) -> None:
    path = write_tracks(tmp_path / "tracks.mkv", tracks)
    assert loudest_hz(read_audio(path).samples, 16000) == pytest.approx(tracks[used - 1][0], abs=5)
    (remark,) = audio_remarks(AudioFile(path))
    assert f"{len(tracks)} audio tracks" in remark and f"Number {used} is used" in remark and "\x1b" not in remark


def test_an_audio_track_by_its_number(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "tracks.mkv", [(440, 1.0, True), (880, 0.5, False), (660, 0.0, False)])
    assert [track.number for track in audio_tracks(path)] == [1, 2, 3]
    chosen = AudioFile(path, tracks=Tracks(audio=2))
    assert loudest_hz(np.concatenate(list(chosen.blocks())), 16000) == pytest.approx(880, abs=5)
    assert "Number 2 is used" in audio_remarks(chosen)[0] and "silent" in audio_remarks(chosen)[0]
    with pytest.raises(NoAudioError, match="no audio track 4"):
        read_audio(path, tracks=Tracks(audio=4))


def test_the_default_video_track_or_the_largest(tmp_path: Path) -> None:
    def write(name: str, default: int | None) -> Path:
        with av.open(str(tmp_path / name), "w") as container:
            streams = []
            for number, size in enumerate((64, 128, 96), 1):
                stream = cast(VideoStream, container.add_stream("libx264", rate=25))
                stream.width = stream.height = size
                stream.pix_fmt = "yuv420p"
                stream.disposition = Disposition.default if number == default else Disposition(0)
                streams.append(stream)
            for stream in streams:
                for count in range(5):
                    frame = av.VideoFrame.from_ndarray(np.full((stream.height, stream.width, 3), 99, np.uint8), "rgb24")
                    frame.pts, frame.time_base = count, Fraction(1, 25)
                    container.mux(stream.encode(frame))
                container.mux(stream.encode())
        return tmp_path / name

    largest, marked = write("largest.mkv", None), write("marked.mkv", 3)
    assert read_video_info(largest).width == 128 and read_video_info(marked).width == 96
    assert read_video_info(marked, Tracks(video=1)).width == 64
    (remark,) = video_remarks(marked)
    assert "3 video tracks: 1 (64 x 64); 2 (128 x 128); 3 (96 x 96). Number 3 is used" in remark
    with pytest.raises(NoVideoError, match="no video track 4"):
        VideoReader(marked, Tracks(video=4))


@pytest.mark.parametrize(
    "right", ["opposite", "opposite and quieter", "opposite in the second half", "opposite and hum"]
)
def test_channels_that_cancel_give_the_louder_one(tmp_path: Path, right: str) -> None:
    voice = np.random.default_rng(3).normal(0, 0.1, 2 * RATE_HZ)
    hum = 0.3 * np.sin(2 * np.pi * 50 * np.arange(len(voice)) / RATE_HZ) * (right == "opposite and hum")
    sign = np.where(np.arange(len(voice)) < len(voice) // 2, 1, -1) if "half" in right else -1
    gain = 0.8 if "quieter" in right else 1
    channels = np.stack([voice + hum, sign * gain * voice + hum], -1)
    soundfile.write(tmp_path / "stereo.wav", channels, RATE_HZ, subtype="FLOAT")
    audio = AudioFile(tmp_path / "stereo.wav", RATE_HZ)
    found = np.concatenate(list(audio.blocks()))
    np.testing.assert_allclose(found, channels[:, 0], atol=1e-6)
    assert audio.survey.channel == 0
    assert "cancel" in audio_remarks(audio)[0]


@pytest.mark.parametrize("right", ["same", "dead", "another voice", "later"])
def test_channels_that_do_not_cancel_give_their_mean(tmp_path: Path, right: str) -> None:
    draw = np.random.default_rng(4)
    voice, other = draw.normal(0, 0.1, (2, 2 * RATE_HZ))
    second = {"same": voice, "dead": 0 * voice, "another voice": other, "later": np.roll(voice, 48)}[right]
    soundfile.write(tmp_path / "stereo.wav", np.stack([voice, second], -1), RATE_HZ, subtype="FLOAT")
    audio = AudioFile(tmp_path / "stereo.wav", RATE_HZ)
    np.testing.assert_allclose(np.concatenate(list(audio.blocks())), (voice + second) / 2, atol=1e-6)
    assert audio_remarks(audio) == []


def test_canceled_speech_is_heard_at_16_khz(tmp_path: Path) -> None:
    left = chirp(RATE_HZ, RATE_HZ)
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, -left], -1), RATE_HZ)
    samples = read_audio(tmp_path / "stereo.wav").samples
    assert lag_samples(samples, chirp(16000, 16000)) == 0 and samples.std() == pytest.approx(0.3 / 2**0.5, rel=0.02)
    soundfile.write(tmp_path / "right.wav", np.stack([-0.9 * left, left], -1), RATE_HZ)
    assert AudioFile(tmp_path / "right.wav").survey.channel == 1
