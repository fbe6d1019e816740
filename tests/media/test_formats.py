"""Containers and codecs of written videos, read back by FFmpeg; lossless audio sample by sample."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from media_files import read_frames, steady_times

from talkinghead.errors import OutputError
from talkinghead.media.audio_writer import AudioExcerpt
from talkinghead.media.formats import FORMATS, choose_codecs
from talkinghead.media.text_track import TextTrack, TimedText
from talkinghead.media.video_writer import QUALITIES, ContainerMetadata, EncoderSettings, VideoWriter
from talkinghead.provenance.metadata import append_xmp, container_tags
from talkinghead.provenance.origin import Origin
from talkinghead.provenance.reader import read_provenance
from talkinghead.structures import Frame

RATE_HZ = 22050
LEAD_S = 0.3
COUNT = 12
Y, X = np.mgrid[0:64, 0:96] / 96
IMAGE = (255 * np.stack([X, 1.4 * Y, 0.5 + 0.5 * np.sin(6 * X * Y)], -1)).round().astype(np.uint8)


def noise(path: Path, subtype: str, rate_hz: int = RATE_HZ) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Stereo noise, written; its samples as they are in the file."""
    soundfile.write(path, np.random.default_rng(5).normal(scale=0.1, size=(rate_hz // 4, 2)), rate_hz, subtype=subtype)
    samples, _ = soundfile.read(path)
    return np.asarray(samples, np.float64)


def write(path: Path, audio: Path | None, encoder: EncoderSettings, track: TextTrack | None = None) -> Path:
    excerpt = None if audio is None else AudioExcerpt(audio, -LEAD_S)
    metadata = ContainerMetadata(container_tags(Origin("0" * 64, "1" * 64)), append_xmp, track)
    with VideoWriter(
        path, 96, 64, frame_rate=Fraction(25), audio_from=excerpt, metadata=metadata, encoder=encoder
    ) as writer:
        for time_s in steady_times(COUNT, Fraction(25)):
            writer.write(Frame(IMAGE, time_s))
    return path


def read_audio_exactly(path: Path) -> tuple[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Codec and samples (N, 2), as FFmpeg decodes them."""
    blocks = []
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        for frame in container.decode(stream):
            block = frame.to_ndarray()
            if not frame.format.is_planar:
                block = block.reshape(-1, 2).T
            scale = {"int16": 1 << 15, "int32": 1 << 31}.get(str(block.dtype), 1)
            blocks.append(block.T.astype(np.float64) / scale)
        return stream.codec_context.name, np.concatenate(blocks)


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "alac"), (".m4v", "alac"), (".mov", "alac"), (".mp4", "flac"), (".mov", "pcm")]
)
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_lossless_audio_is_kept_bit_for_bit_after_the_lead_in(
    tmp_path: Path, suffix: str, codec: Any, subtype: str
) -> None:
    """22.05 kHz, and a lead-in of a whole number of samples before it."""
    samples = noise(tmp_path / "noise.wav", subtype)
    path = write(tmp_path / f"out{suffix}", tmp_path / "noise.wav", EncoderSettings(audio_codec=codec))
    name, found = read_audio_exactly(path)
    assert name.startswith(codec)
    lead = round(LEAD_S * RATE_HZ)
    assert not found[:lead].any()
    np.testing.assert_array_equal(found[lead : lead + len(samples)], samples)


def test_pcm_keeps_floats(tmp_path: Path) -> None:
    samples = noise(tmp_path / "noise.wav", "FLOAT")
    path = write(tmp_path / "out.mov", tmp_path / "noise.wav", EncoderSettings(audio_codec="pcm"))
    lead = round(LEAD_S * RATE_HZ)
    np.testing.assert_array_equal(read_audio_exactly(path)[1][lead : lead + len(samples)], samples)


@pytest.mark.parametrize(
    ("suffix", "video", "name"),
    [(".mp4", "hevc", "hevc"), (".mov", "hevc", "hevc"), (".webm", "auto", "vp9"), (".mov", "auto", "h264")],
)
@pytest.mark.parametrize("quality", ["draft", "high"])
def test_every_codec_keeps_frames_times_and_colors(
    tmp_path: Path, suffix: str, video: Any, name: str, quality: Any
) -> None:
    settings = QUALITIES[quality]
    encoder = EncoderSettings(settings.crf, settings.preset, video_codec=video)
    path = write(tmp_path / f"out{suffix}", None, encoder)
    with av.open(str(path)) as container:
        decoder = container.streams.video[0].codec_context
        assert decoder.name in (name, f"libvpx-{name}")
        assert (decoder.pix_fmt, decoder.colorspace, decoder.color_range) == ("yuv420p", 1, 1)
        if name == "hevc":
            assert decoder.codec_tag == "hvc1"
    frames = list(read_frames(path))
    assert [round(frame.time_s, 4) for frame in frames] == [round(0.04 * number, 4) for number in range(COUNT)]
    difference = np.abs(frames[5].image.astype(int) - IMAGE)
    assert difference.mean() < (6 if quality == "draft" else 2)


def test_webm_has_opus_subtitles_and_the_label(tmp_path: Path) -> None:
    noise(tmp_path / "noise.wav", "PCM_16", 44100)
    track = TextTrack((TimedText(0.1, 0.3, "Salt & <pepper>\nagain"),), "zh-CN")
    path = write(tmp_path / "out.webm", tmp_path / "noise.wav", EncoderSettings(), track)
    with av.open(str(path)) as container:
        audio, text = container.streams.audio[0], container.streams.subtitles[0]
        assert audio.codec_context.name in ("opus", "libopus") and audio.rate == 48000
        (packet,) = (packet for packet in container.demux(text) if packet.size)
        assert bytes(packet).decode() == "Salt &amp; &lt;pepper&gt;\nagain" and text.metadata["language"] == "zho"
        assert packet.pts is not None and packet.time_base is not None
        assert float(packet.pts * packet.time_base) == 0.1
    _, found = read_audio_exactly(path)
    onset = np.flatnonzero(np.abs(found).max(1) > 0.05)[0] / 48000
    assert abs(onset - LEAD_S) < 0.01 or abs(onset - LEAD_S - 312 / 48000) < 0.01
    provenance = read_provenance(path)
    assert provenance.ai_generated and provenance.digital_source_type is not None


@pytest.mark.parametrize(
    ("name", "video", "audio", "message"),
    [
        ("a.webm", "h264", "auto", r"\.webm holds video in vp9, not h264, which \.mp4, \.m4v, \.mov holds"),
        ("a.mp4", "auto", "pcm", r"\.mp4 holds audio in aac, alac, flac, opus, not pcm, which \.mov holds"),
    ],
)
def test_codecs_that_the_container_does_not_hold_are_refused(name: str, video: Any, audio: Any, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        choose_codecs(Path(name), video, audio)


def test_the_usual_codecs_are_the_first() -> None:
    assert choose_codecs(Path("a.MP4"), "auto", "auto") == ("h264", "aac")
    assert choose_codecs(Path("a.webm"), "auto", "auto") == ("vp9", "opus")
    assert all(choose_codecs(Path(f"a{suffix}"), *(("auto",) * 2)) for suffix in FORMATS)
