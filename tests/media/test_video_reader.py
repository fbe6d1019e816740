"""Reading video: frames in order at their times, upright, in the colors that the standards' formulas give."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import HEIGHT, WIDTH, number_of, numbered_image, read_frames, steady_times, write_clip, write_with_av

from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.media.video_writer import EncoderSettings

RATES = [
    Fraction(24000, 1001),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60000, 1001),
    Fraction(1350, 61),
]
VARIABLE_TIMES = [0.0, 0.033, 0.07, 0.1, 0.15, 0.1667, 0.2, 0.2501, 0.29, 0.3]


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_constant_rates_are_kept_exactly(tmp_path: Path, rate: Fraction) -> None:
    clip = write_clip(tmp_path / "clip.mp4", steady_times(40, rate), rate)
    frames = read_frames(clip)
    assert [number_of(frame.image) for frame in frames] == list(range(40))
    assert [frame.time_s for frame in frames] == pytest.approx(steady_times(40, rate), abs=1e-9)
    info = read_video_info(clip)
    assert info.frame_rate == rate
    assert info.duration_s == pytest.approx(float(40 / rate), abs=1e-5)
    assert (info.width, info.height, info.has_audio) == (WIDTH, HEIGHT, False)


def test_variable_times_are_kept(tmp_path: Path) -> None:
    frames = read_frames(write_clip(tmp_path / "clip.mp4", VARIABLE_TIMES, Fraction(25)))
    assert [number_of(frame.image) for frame in frames] == list(range(len(VARIABLE_TIMES)))
    assert [frame.time_s for frame in frames] == pytest.approx(VARIABLE_TIMES, abs=6e-6)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mov", "libx264"), ("a.mp4", "libx265"), ("a.webm", "libvpx"), ("a.mpg", "mpeg1video")]
)
def test_other_containers_and_codecs(tmp_path: Path, name: str, codec: str) -> None:
    clip = write_with_av(tmp_path / name, [numbered_image(number) for number in range(30)], codec=codec)
    frames = read_frames(clip)
    assert [number_of(frame.image) for frame in frames] == list(range(30))
    assert [frame.time_s for frame in frames] == pytest.approx(steady_times(30, Fraction(25)), abs=1e-3)
    assert read_video_info(clip).frame_rate == 25


def test_time_starts_at_the_first_frame(tmp_path: Path) -> None:
    clip = write_with_av(tmp_path / "clip.mkv", [numbered_image(number) for number in range(10)], video_start_s=3.0)
    assert [frame.time_s for frame in read_frames(clip)] == pytest.approx(steady_times(10, Fraction(25)), abs=1e-3)


def test_missing_timestamps_follow_the_frame_rate(tmp_path: Path) -> None:
    clip = write_with_av(tmp_path / "clip.h264", [numbered_image(number) for number in range(10)])
    assert [frame.time_s for frame in read_frames(clip)] == pytest.approx(steady_times(10, Fraction(25)))


def test_clock_and_size_that_change_midway(tmp_path: Path) -> None:
    first = write_with_av(tmp_path / "1.ts", [numbered_image(number) for number in range(10)])
    second = write_with_av(
        tmp_path / "2.ts", [numbered_image(number, 2 * WIDTH, 2 * HEIGHT) for number in range(10, 20)]
    )
    clip = tmp_path / "clip.ts"
    clip.write_bytes(first.read_bytes() + second.read_bytes())
    frames = read_frames(clip)
    assert {frame.image.shape for frame in frames} == {(HEIGHT, WIDTH, 3)}
    assert [number_of(frame.image) for frame in frames] == list(range(20))
    times = [frame.time_s for frame in frames]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_frames_are_upright(tmp_path: Path, rotation: int, mirrored: bool) -> None:
    stored = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    stored[: HEIGHT // 2, : WIDTH // 2] = (200, 30, 30)
    stored[HEIGHT // 2 :, : WIDTH // 2] = (30, 200, 30)
    stored[: HEIGHT // 2, WIDTH // 2 :] = (30, 30, 200)
    clip = write_with_av(tmp_path / "clip.mp4", [stored] * 5, rotation=rotation, mirrored=mirrored)
    expected = np.rot90(stored, rotation // 90)
    if mirrored:
        expected = expected[:, ::-1]
    frame = read_frames(clip)[0]
    assert frame.image.flags.c_contiguous
    assert frame.image.shape == expected.shape
    assert np.abs(frame.image.astype(int) - expected).mean() < 6
    info = read_video_info(clip)
    assert (info.height, info.width) == expected.shape[:2]


@pytest.mark.parametrize(
    ("tagged", "height", "full", "red_weight", "blue_weight"),
    [
        (1, 64, False, 0.2126, 0.0722),
        (5, 720, False, 0.299, 0.114),
        (6, 64, True, 0.299, 0.114),
        (9, 64, False, 0.2627, 0.0593),
        (2, 720, False, 0.2126, 0.0722),
        (2, 576, False, 0.299, 0.114),
    ],
)
def test_colors_by_the_streams_own_matrix_and_range(
    tmp_path: Path, tagged: int, height: int, full: bool, red_weight: float, blue_weight: float
) -> None:
    luma, blue_difference, red_difference = 150, 105, 155
    frame = av.VideoFrame(64, height, "yuv420p")
    for plane, value in zip(frame.planes, (luma, blue_difference, red_difference), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    clip = tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv420p"
        stream.colorspace, stream.color_range = tagged, 2 if full else 0 if tagged == 2 else 1
        frame.colorspace, frame.color_range = stream.colorspace, stream.color_range
        container.mux(stream.encode(frame))
        container.mux(stream.encode())

    offset, luma_span, chroma_span = (0, 255, 255) if full else (16, 219, 224)
    y = (luma - offset) / luma_span
    red = y + 2 * (1 - red_weight) * (red_difference - 128) / chroma_span
    blue = y + 2 * (1 - blue_weight) * (blue_difference - 128) / chroma_span
    green = (y - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
    expected = 255 * np.array([red, green, blue])
    assert np.abs(read_frames(clip)[0].image[height // 2, 32] - expected).max() <= 1


def test_a_corrupt_packet_is_skipped_and_its_gap_filled(tmp_path: Path) -> None:
    # By this preset packet 30 is of a frame that no other one refers to.
    encoder = EncoderSettings(preset="veryfast")
    clip = write_clip(tmp_path / "clip.mp4", steady_times(60, Fraction(25)), Fraction(25), encoder=encoder)
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    damaged = bytearray(clip.read_bytes())
    assert packets[30].pos is not None
    damaged[packets[30].pos : packets[30].pos + packets[30].size] = b"\xff" * packets[30].size
    clip.write_bytes(damaged)
    assert packets[30].pts is not None and packets[30].time_base is not None
    lost = round(packets[30].pts * packets[30].time_base * 25)
    frames = read_frames(clip)
    assert [number_of(frame.image) for frame in frames] == [*range(lost), lost - 1, *range(lost + 1, 60)]
    assert [frame.time_s for frame in frames] == pytest.approx(steady_times(60, Fraction(25)))


@pytest.mark.parametrize("first", [0, 1, 299, 300, 555])
def test_reading_from_a_time_begins_with_the_frame_shown_then(tmp_path: Path, first: int) -> None:
    rate = Fraction(30000, 1001)
    times = steady_times(560, rate)
    clip = write_clip(tmp_path / "clip.mp4", times, rate)
    with VideoReader(clip) as reader:
        frames = list(itertools.islice(reader.frames_from(times[first]), 5))
    assert [frame.time_s for frame in frames] == pytest.approx(times[first : first + 5], abs=1e-9)
    assert [number_of(frame.image) for frame in frames] == [number % 256 for number in range(first, first + 5)]
