"""What is no audio or video file is called what it is, and the message says what to do."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from media_files import numbered_image, write_chirp

from talkinghead.errors import MediaError, MissingFileError
from talkinghead.files import sha256_of
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.video_reader import VideoReader, read_video_info


def photo(path: Path) -> Path:
    cv2.imwrite(str(path), numbered_image(5))
    return path


@pytest.mark.parametrize(
    ("name", "kind"), [("a.jpg", "JPEG"), ("a.png", "PNG"), ("a.bmp", "BMP"), ("a.tiff", "TIFF"), ("a.webp", "WebP")]
)
def test_photos(tmp_path: Path, name: str, kind: str) -> None:
    path = photo(tmp_path / name)
    renamed = path.rename(tmp_path / "clip.mp4")
    for opening in (VideoReader, read_audio, read_video_info):
        with pytest.raises(MediaError, match=rf"photo \({kind}\).*video of the person"):
            opening(renamed)


def test_photos_of_phones(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(400))
    with pytest.raises(MediaError, match=r"photo \(HEIC\)"):
        VideoReader(tmp_path / "a.heic")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Good evening. This is the news.\n", r"is a text: .*--text-file"),
        ("晚上好。".encode() * 2000, r"is a text: .*--text-file"),
        ("Guten Abend".encode("utf-16"), r"is a text: .*--text-file"),
        (b"<!DOCTYPE html><html><body>video</body></html>", "is a web page, not the video on it"),
        (b"\xef\xbb\xbf\n<HTML lang=en>", "is a web page"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", "is a playlist"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is a PDF document"),
        (b"PK\x03\x04\x14\x00\x06\x00" + bytes(50), "office document"),
    ],
    ids=["english", "chinese", "utf-16", "web page", "web page with mark", "playlist", "pdf", "docx"],
)
def test_texts_and_documents(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(content)
    for opening in (VideoReader, read_audio):
        with pytest.raises(MediaError, match=message) as caught:
            opening(path)
        assert "\n" not in str(caught.value) and str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    "address", ["https://example.org/watch?v=1", "http://example.org/a.mp4", "RTMP://example.org/a"]
)
def test_web_addresses(address: str) -> None:
    for opening in (VideoReader, read_audio, sha256_of):
        with pytest.raises(MissingFileError, match="is a web address, and nothing is downloaded") as caught:
            opening(Path(address))
        assert str(caught.value).startswith(address)
    for name in ("c:/clip.mp4", "none.mp4", "a/b.mp4"):
        with pytest.raises(MissingFileError, match="no such file"):
            sha256_of(Path(name))


def test_videos_that_look_like_something_else(tmp_path: Path) -> None:
    """Motion JPEG begins as a photo, YUV4MPEG as a text, and both are videos."""
    image = numbered_image(3)
    for name, codec, layout in (("a.mjpeg", "mjpeg", "yuvj420p"), ("a.y4m", "rawvideo", "yuv420p")):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = image.shape[1], image.shape[0], layout
            for _ in range(3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full_like(image, 65), "rgb24")))
            container.mux(stream.encode())
        with VideoReader(tmp_path / name) as reader:
            assert len(list(reader)) == 3
    assert len(read_audio(write_chirp(tmp_path / "a.wav", 16000, 1, "PCM_16")).samples) == 24000
