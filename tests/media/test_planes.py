"""Planes of luma and chroma pass from reader to writer as they are, in every sampling, depth, matrix and range."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from plane_clips import CODINGS, arrays_of, coded, decoded_planes, write_planes

from talkinghead.media.planes import STANDARD, chroma_siting, planes_of, to_frame, turned_coding
from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.media.video_writer import EncoderSettings, VideoWriter
from talkinghead.structures import ByteArray, Coding, Frame, Picture

HEIGHT, WIDTH = 48, 80


def scene(number: int = 0) -> ByteArray:
    """Smooth colors that move."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = [np.sin(x / 9 + number), np.cos(y / 7 - number), np.sin((x + y) / 12)]
    return np.rint(127 + 100 * np.stack(waves, -1)).astype(np.uint8)


def clip_of(path: Path, pixels: str, full: bool, matrix: int, **options: object) -> Path:
    frames = [coded(scene(number), pixels, full, matrix) for number in range(4)]
    return write_planes(path, frames, pixels, full, matrix, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("pixels", "full", "matrix"), CODINGS)
def test_a_clip_is_read_as_its_planes_and_written_as_them(pixels: str, full: bool, matrix: int, tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "clip.mp4", pixels, full, matrix)
    coding = read_video_info(clip).coding
    assert coding is not None and (coding.pixels, coding.is_full_range) == (pixels, full)
    encoder = EncoderSettings(crf=0, preset="ultrafast", coding=coding, keeps_sampling=True)
    with (
        VideoReader(clip) as reader,
        VideoWriter(tmp_path / "out.mp4", WIDTH, HEIGHT, frame_rate=Fraction(25), encoder=encoder) as writer,
    ):
        for frame in reader:
            assert np.abs(frame.image.astype(int) - scene(round(25 * frame.time_s))).mean() < 2.5
            writer.write(frame)
    if "10le" not in pixels:  # CRF 0 is without loss at 8 bits alone
        for ours, theirs in zip(decoded_planes(tmp_path / "out.mp4"), decoded_planes(clip), strict=True):
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one, other)
    with av.open(str(clip)) as given, av.open(str(tmp_path / "out.mp4")) as made:
        one, other = (container.streams.video[0].codec_context for container in (given, made))
        assert one.pix_fmt == other.pix_fmt
        assert int(one.color_range) == int(other.color_range)
        assert {int(one.colorspace), int(other.colorspace)} <= ({5, 6} if matrix == 6 else {matrix})


@pytest.mark.parametrize("pixels", ["yuv422p", "yuv444p", "yuv420p10le"])
def test_unless_sampling_is_kept_it_becomes_what_every_player_shows(pixels: str, tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "clip.mp4", pixels, True, 6)
    encoder = EncoderSettings(crf=0, preset="ultrafast", coding=read_video_info(clip).coding)
    with (
        VideoReader(clip) as reader,
        VideoWriter(tmp_path / "out.mp4", WIDTH, HEIGHT, frame_rate=Fraction(25), encoder=encoder) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    info = read_video_info(tmp_path / "out.mp4")
    assert info.coding is not None and info.coding.pixels == "yuv420p" and info.coding.is_full_range
    for ours, theirs in zip(decoded_planes(tmp_path / "out.mp4"), decoded_planes(clip), strict=True):
        if pixels.endswith("10le"):
            assert np.abs(ours[0].astype(int) - theirs[0] / 4).max() <= 2  # dithered
        else:
            np.testing.assert_array_equal(ours[0], theirs[0])
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert np.abs(next(iter(reader)).image.astype(int) - scene(0)).mean() < 2.5


@pytest.mark.parametrize("chroma_at", ["left", "center", "topleft", "top"])
def test_chroma_stays_where_it_was(chroma_at: str, tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "clip.mp4", "yuv420p", False, 1, chroma_at=chroma_at)
    coding = read_video_info(clip).coding
    assert coding is not None and coding.chroma_at == chroma_at
    with (
        VideoReader(clip) as reader,
        VideoWriter(
            tmp_path / "out.mp4", WIDTH, HEIGHT, frame_rate=Fraction(25), encoder=EncoderSettings(coding=coding)
        ) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert chroma_siting(container.streams.video[0]) == chroma_at


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p10le"])
def test_turned_clips(pixels: str, rotation: int, tmp_path: Path) -> None:
    """Planes are turned as RGB is, or there are none."""
    clip = clip_of(tmp_path / "clip.mp4", pixels, False, 1, rotation=rotation)
    with VideoReader(clip) as reader:
        coding, frame = reader.info.coding, next(iter(reader))
    planes = frame.picture.planes
    if pixels == "yuv422p" or (pixels, rotation) == ("yuv420p", 180):  # chroma on the right has no name
        assert coding is planes is None
        return
    assert coding is not None and planes is not None
    stored = decoded_planes(clip)[0]
    for ours, theirs in zip((planes.luma, *planes.chroma), stored, strict=True):
        np.testing.assert_array_equal(ours, np.rot90(theirs, rotation // 90))
    if pixels == "yuv420p":
        assert coding.chroma_at == {90: "bottom", 270: "top"}[rotation]


def test_positions_of_chroma_when_turned() -> None:
    coding = replace(STANDARD, chroma_at="topleft")
    assert turned_coding(coding, transposed=True, steps=(1, 1)) == coding
    assert turned_coding(coding, transposed=False, steps=(-1, 1)) == replace(coding, chroma_at="bottomleft")
    assert turned_coding(coding, transposed=False, steps=(1, -1)) is None
    assert turned_coding(STANDARD, transposed=True, steps=(-1, -1)) == STANDARD


def test_pictures_that_have_to_change_are_rgb_alone(tmp_path: Path) -> None:
    frames = [coded(scene(), "yuv420p", False, 1)]
    wide = write_planes(tmp_path / "hdr.mp4", frames, "yuv420p", False, 1)
    assert read_video_info(wide).coding is not None
    with av.open(str(tmp_path / "hdr.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p10le"
        stream.colorspace, stream.color_trc, stream.color_primaries = 9, 18, 9
        container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(), "rgb24")))
        container.mux(stream.encode())
    with VideoReader(tmp_path / "hdr.mp4") as reader:
        assert reader.info.treatment.tone_mapped == "HLG BT.2020" and reader.info.coding is None
        assert next(iter(reader)).picture.planes is None
    assert Picture.of(scene()).planes is None


def test_a_frame_of_ours_carries_planes_and_nothing_else(tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "clip.mp4", "yuv420p", False, 1)
    with av.open(str(clip)) as container:
        frame = next(container.decode(video=0))
    coding = Coding("yuv420p", 1, False)
    made = to_frame(planes_of(frame, coding))
    assert made is not frame and made.pts is None and not list(made.side_data.keys())
    assert int(made.pict_type) == 0 != int(frame.pict_type)  # else the encoder would take it for an order
    for one, other in zip(arrays_of(made), arrays_of(frame), strict=True):
        np.testing.assert_array_equal(one, other)


def test_rgb_between_planes_is_written_in_their_coding(tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "clip.mp4", "yuv420p", True, 6)
    encoder = EncoderSettings(crf=0, preset="ultrafast", coding=read_video_info(clip).coding)
    with (
        VideoReader(clip) as reader,
        VideoWriter(tmp_path / "out.mp4", WIDTH, HEIGHT, frame_rate=Fraction(25), encoder=encoder) as writer,
    ):
        for number, frame in enumerate(reader):
            writer.write(frame if number % 2 else Frame(frame.image, frame.time_s))
    made, given = decoded_planes(tmp_path / "out.mp4"), decoded_planes(clip)
    for number, (ours, theirs) in enumerate(zip(made, given, strict=True)):
        for one, other in zip(ours, theirs, strict=True):  # chroma of RGB is interpolated, and averaged again
            assert np.abs(one.astype(int) - other).mean() < (1e-9 if number % 2 else 2.5)


def test_planes_of_another_size_are_refused(tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "clip.mp4", "yuv420p", False, 1)
    encoder = EncoderSettings(coding=read_video_info(clip).coding)
    with (
        VideoReader(clip) as reader,
        pytest.raises(ValueError, match="a frame has to be 96x48, not 80x48"),
        VideoWriter(tmp_path / "out.mp4", 96, HEIGHT, frame_rate=Fraction(25), encoder=encoder) as writer,
    ):
        writer.write(next(iter(reader)))
