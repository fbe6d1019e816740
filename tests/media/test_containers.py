"""Opening media files: what is missing, empty, cut short or of the wrong kind is an error of one line."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from media_files import number_of, numbered_image, steady_times, write_chirp, write_clip, write_with_av

from talkinghead.errors import MediaError, MissingFileError, NoAudioError, NoVideoError
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.media.video_writer import VideoWriter


def test_files_without_video_or_without_audio(tmp_path: Path) -> None:
    with pytest.raises(NoVideoError):
        VideoReader(write_chirp(tmp_path / "audio.wav", 16000, 1, "PCM_16"))
    clip = write_clip(tmp_path / "clip.mp4", steady_times(5, Fraction(25)), Fraction(25))
    with pytest.raises(NoAudioError):
        read_audio(clip)
    with pytest.raises(NoAudioError), VideoWriter(tmp_path / "b.mp4", 64, 64, frame_rate=Fraction(25), audio_from=clip):
        pass
    assert not (tmp_path / "b.mp4").exists()


@pytest.mark.parametrize("content", [b"", b"This is no video.\n" * 40, b"\x00" * 4096], ids=["empty", "text", "zeros"])
def test_files_that_are_no_media(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    for opening in (VideoReader, read_audio, read_video_info):
        with pytest.raises(MediaError) as caught:
            opening(path)
        assert "\n" not in str(caught.value)


def test_files_that_are_missing(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mp4", tmp_path):
        for opening in (VideoReader, read_audio, read_video_info):
            with pytest.raises(MissingFileError):
                opening(path)


def test_truncated_files(tmp_path: Path) -> None:
    images = [numbered_image(number) for number in range(50)]
    index_last = write_with_av(tmp_path / "last.mp4", images).read_bytes()
    (tmp_path / "last.mp4").write_bytes(index_last[: len(index_last) // 2])
    with pytest.raises(MediaError):
        VideoReader(tmp_path / "last.mp4")

    index_first = write_with_av(
        tmp_path / "first.mp4", images, audio_start_s=0.0, container_options={"movflags": "+faststart"}
    )
    whole = index_first.read_bytes()
    index_first.write_bytes(whole[: whole.index(b"mdat") + (len(whole) - whole.index(b"mdat")) // 2])
    numbers = []
    with VideoReader(index_first) as reader, pytest.raises(MediaError, match="truncated: .* of 50 frames"):
        for frame in reader:
            numbers.append(number_of(frame.image))
    assert 0 < len(numbers) < 47
    with pytest.raises(MediaError, match="truncated"):
        read_audio(index_first)
