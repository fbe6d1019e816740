"""Oracles: pictures that carry their own number, colours by the formula of the standard, a chirp known at any time."""

from __future__ import annotations

import itertools
import resource
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
import soundfile
from av.video.stream import VideoStream
from numpy.typing import NDArray

from talkinghead.errors import MediaError, MissingFileError, NoAudioError, NoVideoError, OutputError, OutputExistsError
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.media.video_writer import VideoWriter
from talkinghead.structures import ByteArray, Frame

WIDTH, HEIGHT = 96, 64
RATES = [
    Fraction(24000, 1001),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60000, 1001),
    Fraction(1350, 61),
]
VARIABLE_TIMES = [0.0, 0.033, 0.07, 0.1, 0.25, 0.2667, 0.3, 0.5001, 0.9, 0.91]


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> ByteArray:
    """A moving ramp with the number in it: eight black or white blocks along the top."""
    y, x = np.mgrid[:height, :width]
    image = (np.stack([x + 4 * number, x + y, 2 * y], -1) % 256).astype(np.uint8)
    for bit in range(8):
        image[: height // 4, bit * width // 8 : (bit + 1) * width // 8] = 255 * (number >> bit & 1)
    return image


def number_of(image: ByteArray) -> int:
    height, width, _ = image.shape
    return sum(int(image[height // 8, (2 * bit + 1) * width // 16].mean() > 128) << bit for bit in range(8))


def write_clip(path: Path, times: Sequence[float], rate: Fraction, audio_from: Path | None = None) -> Path:
    with VideoWriter(path, WIDTH, HEIGHT, frame_rate=rate, audio_from=audio_from) as writer:
        for number, time_s in enumerate(times):
            writer.write(Frame(numbered(number), time_s))
    return path


def steady(count: int, rate: Fraction) -> list[float]:
    return [float(number / rate) for number in range(count)]


def read(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader)


def chirp(count: int, rate_hz: int, start_s: float = 0.0) -> NDArray[np.float64]:
    """100 to about 3000 Hz over two seconds, so that a lag of one sample shows."""
    time = np.arange(count) / rate_hz + start_s
    return 0.3 * np.sin(2 * np.pi * (100 * time + 725 * time**2))


def write_chirp(path: Path, rate_hz: int, channels: int, subtype: str, seconds: float = 1.5) -> Path:
    samples = np.repeat(chirp(round(seconds * rate_hz), rate_hz)[:, None], channels, axis=1)
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return path


def audio_frames(rate_hz: int, seconds: float, layout: str, first_pts: int) -> Iterator[av.AudioFrame]:
    samples = chirp(round(rate_hz * seconds), rate_hz).astype(np.float32)
    for start in range(0, len(samples), 1024):
        block = samples[start : start + 1024]
        channels = av.AudioLayout(layout).nb_channels
        frame = av.AudioFrame.from_ndarray(np.repeat(block[None], channels, axis=0), "fltp", layout)
        frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), first_pts + start
        yield frame


def write_with_av(
    path: Path,
    images: Sequence[ByteArray],
    *,
    video_start_s: float = 0.0,
    sound_start_s: float | None = None,
    turned: int = 0,
    mirrored: bool = False,
    codec: str = "libx264",
    container_options: dict[str, str] | None = None,
) -> Path:
    """A clip at 25 fps that our own writer would not make."""
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=25))
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        if turned or mirrored:
            stream.set_display_rotation(turned, hflip=mirrored)
        audio = container.add_stream("aac", rate=48000) if sound_start_s is not None else None
        for number, image in enumerate(images):
            picture = av.VideoFrame.from_ndarray(image, "rgb24")
            picture.pts, picture.time_base = number + round(25 * video_start_s), Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
        if audio is not None and sound_start_s is not None:
            for frame in audio_frames(48000, 1.5, "stereo", round(48000 * sound_start_s)):
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


def assert_chirp(samples: NDArray[np.float32], rate_hz: int, start_s: float = 0.0, tolerance: float = 2e-3) -> None:
    """`samples` are the chirp from `start_s` on; the edges, where filters and codecs ring, are left out."""
    expected = chirp(len(samples), rate_hz, start_s)
    edge = rate_hz // 10
    assert np.abs(samples - expected)[edge:-edge].max() < tolerance


def lag(samples: NDArray[np.float32], reference: NDArray[np.float64]) -> int:
    size = 2 * max(len(samples), len(reference))
    product = np.fft.rfft(samples, size) * np.fft.rfft(reference, size).conj()
    peak = int(np.fft.irfft(product, size).argmax())
    return peak if peak < size // 2 else peak - size


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_constant_rates_are_kept_exactly(tmp_path: Path, rate: Fraction) -> None:
    clip = write_clip(tmp_path / "clip.mp4", steady(40, rate), rate)
    frames = read(clip)
    assert [number_of(frame.image) for frame in frames] == list(range(40))
    assert [frame.time_s for frame in frames] == pytest.approx(steady(40, rate), abs=1e-9)
    info = read_video_info(clip)
    assert info.frame_rate == rate
    assert info.duration_s == pytest.approx(float(40 / rate), abs=1e-5)
    assert (info.width, info.height, info.has_audio) == (WIDTH, HEIGHT, False)


def test_variable_times_are_kept(tmp_path: Path) -> None:
    frames = read(write_clip(tmp_path / "clip.mp4", VARIABLE_TIMES, Fraction(25)))
    assert [number_of(frame.image) for frame in frames] == list(range(len(VARIABLE_TIMES)))
    assert [frame.time_s for frame in frames] == pytest.approx(VARIABLE_TIMES, abs=6e-6)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mov", "libx264"), ("a.mp4", "libx265"), ("a.webm", "libvpx"), ("a.mpg", "mpeg1video")]
)
def test_other_containers_and_codecs(tmp_path: Path, name: str, codec: str) -> None:
    clip = write_with_av(tmp_path / name, [numbered(number) for number in range(30)], codec=codec)
    frames = read(clip)
    assert [number_of(frame.image) for frame in frames] == list(range(30))
    assert [frame.time_s for frame in frames] == pytest.approx(steady(30, Fraction(25)), abs=1e-3)
    assert read_video_info(clip).frame_rate == 25


def test_time_starts_at_the_first_picture(tmp_path: Path) -> None:
    clip = write_with_av(tmp_path / "clip.mkv", [numbered(number) for number in range(10)], video_start_s=3.0)
    assert [frame.time_s for frame in read(clip)] == pytest.approx(steady(10, Fraction(25)), abs=1e-3)


def test_missing_timestamps_follow_the_frame_rate(tmp_path: Path) -> None:
    clip = write_with_av(tmp_path / "clip.h264", [numbered(number) for number in range(10)])
    assert [frame.time_s for frame in read(clip)] == pytest.approx(steady(10, Fraction(25)))


def test_clock_and_size_that_change_midway(tmp_path: Path) -> None:
    first = write_with_av(tmp_path / "1.ts", [numbered(number) for number in range(10)])
    second = write_with_av(tmp_path / "2.ts", [numbered(number, 2 * WIDTH, 2 * HEIGHT) for number in range(10, 20)])
    clip = tmp_path / "clip.ts"
    clip.write_bytes(first.read_bytes() + second.read_bytes())
    frames = read(clip)
    assert {frame.image.shape for frame in frames} == {(HEIGHT, WIDTH, 3)}
    assert [number_of(frame.image) for frame in frames] == list(range(20))
    times = [frame.time_s for frame in frames]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_pictures_are_upright(tmp_path: Path, turned: int, mirrored: bool) -> None:
    stored = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    stored[: HEIGHT // 2, : WIDTH // 2] = (200, 30, 30)
    stored[HEIGHT // 2 :, : WIDTH // 2] = (30, 200, 30)
    stored[: HEIGHT // 2, WIDTH // 2 :] = (30, 30, 200)
    clip = write_with_av(tmp_path / "clip.mp4", [stored] * 5, turned=turned, mirrored=mirrored)
    expected = np.rot90(stored, turned // 90)
    if mirrored:
        expected = expected[:, ::-1]
    frame = read(clip)[0]
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
def test_colours_by_the_streams_own_matrix_and_range(
    tmp_path: Path, tagged: int, height: int, full: bool, red_weight: float, blue_weight: float
) -> None:
    luma, blue_difference, red_difference = 150, 105, 155
    picture = av.VideoFrame(64, height, "yuv420p")
    for plane, value in zip(picture.planes, (luma, blue_difference, red_difference), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    clip = tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv420p"
        stream.colorspace, stream.color_range = tagged, 2 if full else 0 if tagged == 2 else 1
        picture.colorspace, picture.color_range = stream.colorspace, stream.color_range
        container.mux(stream.encode(picture))
        container.mux(stream.encode())

    offset, luma_span, chroma_span = (0, 255, 255) if full else (16, 219, 224)
    y = (luma - offset) / luma_span
    red = y + 2 * (1 - red_weight) * (red_difference - 128) / chroma_span
    blue = y + 2 * (1 - blue_weight) * (blue_difference - 128) / chroma_span
    green = (y - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
    expected = 255 * np.array([red, green, blue])
    assert np.abs(read(clip)[0].image[height // 2, 32] - expected).max() <= 1


@pytest.mark.parametrize(("crf", "difference", "bias"), [(1, 0.6, 0.2), (18, 1.0, 1.0)])
def test_colours_survive_the_round_trip(tmp_path: Path, crf: int, difference: float, bias: float) -> None:
    y, x = np.mgrid[0:128, 0:192] / 192
    image = (255 * np.stack([x, 1.4 * y, 0.5 + 0.5 * np.sin(6 * x * y)], -1)).round().astype(np.uint8)
    with VideoWriter(tmp_path / "clip.mp4", 192, 128, frame_rate=Fraction(25), crf=crf) as writer:
        for time_s in steady(3, Fraction(25)):
            writer.write(Frame(image, time_s))
    for frame in read(tmp_path / "clip.mp4"):
        change = frame.image.astype(int) - image
        assert np.abs(change).mean() < difference
        assert np.abs(change.mean((0, 1))).max() < bias
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.colorspace, stream.color_range, stream.pix_fmt) == (1, 1, "yuv420p")
        assert stream.codec_context.name == "h264"


def test_odd_sizes_grow_by_a_copy_of_the_edge(tmp_path: Path) -> None:
    image = np.full((63, 95, 3), 40, np.uint8)
    image[:, 60:] = 200
    with VideoWriter(tmp_path / "clip.mp4", 95, 63, frame_rate=Fraction(25)) as writer:
        writer.write(Frame(image, 0.0))
    (frame,) = read(tmp_path / "clip.mp4")
    assert frame.image.shape == (64, 96, 3)
    assert np.abs(frame.image.astype(int) - np.pad(image, ((0, 1), (0, 1), (0, 0)), mode="edge")).max() < 12


def test_metadata_is_written(tmp_path: Path) -> None:
    for name, metadata in (("a.mp4", {"comment": "made by a machine"}), ("b.mp4", {"comment": "c", "made.by": "d"})):
        with VideoWriter(tmp_path / name, WIDTH, HEIGHT, frame_rate=Fraction(25), metadata=metadata) as writer:
            writer.write(Frame(numbered(0), 0.0))
        with av.open(str(tmp_path / name)) as container:
            assert metadata.items() <= container.metadata.items()


def test_the_index_comes_first(tmp_path: Path) -> None:
    written = write_clip(tmp_path / "clip.mp4", steady(5, Fraction(25)), Fraction(25)).read_bytes()
    assert written.index(b"moov") < written.index(b"mdat")


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
def test_sound_is_read_at_16_khz(tmp_path: Path, name: str, rate_hz: int, channels: int, subtype: str) -> None:
    audio = read_audio(write_chirp(tmp_path / name, rate_hz, channels, subtype))
    assert audio.rate_hz == 16000
    assert audio.samples.dtype == np.float32
    assert len(audio.samples) == 24000
    if channels == 6:  # no low-frequency channel in the mix, and the weights are the mixer's own
        assert lag(audio.samples, chirp(24000, 16000)) == 0
    else:
        assert_chirp(audio.samples, 16000)


@pytest.mark.parametrize(("video_start_s", "sound_start_s"), [(0.0, 0.0), (0.0, 0.25), (0.2, 0.0), (1.0, 1.5)], ids=str)
def test_sound_lies_on_the_time_of_the_pictures(tmp_path: Path, video_start_s: float, sound_start_s: float) -> None:
    clip = write_with_av(
        tmp_path / "clip.mkv",
        [numbered(number) for number in range(30)],
        video_start_s=video_start_s,
        sound_start_s=sound_start_s,
    )
    samples = read_audio(clip).samples
    late = sound_start_s - video_start_s
    start = round(16000 * max(0.0, late))
    assert np.abs(samples[: max(0, start - 100)]).max(initial=0.0) < 1e-3
    reference = np.concatenate([np.zeros(start), chirp(24000, 16000)[max(0, round(-16000 * late)) :]])
    assert abs(lag(samples, reference)) <= 8  # Matroska counts in milliseconds, and priming is no whole number of them
    assert abs(len(samples) - len(reference)) <= 1024


def test_gaps_in_the_sound_are_silence(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
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
    assert lag(samples[cut + 8000 :], chirp(24000, 16000)[cut:]) == pytest.approx(0, abs=16)


@pytest.mark.parametrize(
    ("rate_hz", "channels", "written_hz", "written_channels"),
    [(8000, 1, 8000, 1), (16000, 1, 16000, 1), (44100, 2, 44100, 2), (48000, 6, 48000, 2), (37800, 1, 48000, 1)],
)
def test_sound_is_written_with_its_start_and_length(
    tmp_path: Path, rate_hz: int, channels: int, written_hz: int, written_channels: int
) -> None:
    source = write_chirp(tmp_path / "source.wav", rate_hz, channels, "PCM_16")
    clip = write_clip(tmp_path / "clip.mp4", steady(38, Fraction(25)), Fraction(25), audio_from=source)
    with av.open(str(clip)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate, stream.channels) == ("aac", written_hz, written_channels)
        assert stream.duration is not None and stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(3, 2)
    audio = read_audio(clip, written_hz)
    assert len(audio.samples) == 1.5 * written_hz
    assert lag(audio.samples, chirp(round(1.5 * written_hz), written_hz)) == 0
    assert len(read(clip)) == 38
    assert read_video_info(clip).duration_s == pytest.approx(38 / 25, abs=1e-6)


@pytest.mark.parametrize("frame_count", [5, 60])
def test_the_whole_sound_is_written_beside_any_number_of_frames(tmp_path: Path, frame_count: int) -> None:
    source = write_chirp(tmp_path / "source.wav", 48000, 1, "PCM_16")
    clip = write_clip(tmp_path / "clip.mp4", steady(frame_count, Fraction(30)), Fraction(30), audio_from=source)
    assert len(read_audio(clip, 48000).samples) == 72000
    assert len(read(clip)) == frame_count


def test_stereo_stays_stereo(tmp_path: Path) -> None:
    left = chirp(48000, 48000)
    soundfile.write(tmp_path / "source.wav", np.stack([left, 0 * left], -1), 48000)
    clip = write_clip(tmp_path / "clip.mp4", [0.0], Fraction(25), audio_from=tmp_path / "source.wav")
    with av.open(str(clip)) as container:
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert np.abs(samples[0]).max() > 0.25
    assert np.abs(samples[1]).max() < 0.01


def test_writing_in_a_thread(tmp_path: Path) -> None:
    times = steady(20, Fraction(25))
    threads = [
        threading.Thread(target=write_clip, args=(tmp_path / f"{number}.mp4", times, Fraction(25)))
        for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(read(tmp_path / f"{number}.mp4")) for number in range(3)] == [20, 20, 20]


def test_sound_only_is_no_clip_and_a_silent_video_no_speech(tmp_path: Path) -> None:
    with pytest.raises(NoVideoError):
        VideoReader(write_chirp(tmp_path / "sound.wav", 16000, 1, "PCM_16"))
    clip = write_clip(tmp_path / "clip.mp4", steady(5, Fraction(25)), Fraction(25))
    with pytest.raises(NoAudioError):
        read_audio(clip)
    with pytest.raises(NoAudioError), VideoWriter(tmp_path / "b.mp4", 64, 64, frame_rate=Fraction(25), audio_from=clip):
        pass
    assert not (tmp_path / "b.mp4").exists()


def test_a_sound_stream_without_samples(tmp_path: Path) -> None:
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
    images = [numbered(number) for number in range(50)]
    index_last = write_with_av(tmp_path / "last.mp4", images).read_bytes()
    (tmp_path / "last.mp4").write_bytes(index_last[: len(index_last) // 2])
    with pytest.raises(MediaError):
        VideoReader(tmp_path / "last.mp4")

    index_first = write_with_av(
        tmp_path / "first.mp4", images, sound_start_s=0.0, container_options={"movflags": "+faststart"}
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


def test_a_corrupt_packet_is_skipped(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", steady(60, Fraction(25)), Fraction(25))
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    damaged = bytearray(clip.read_bytes())
    assert packets[30].pos is not None
    damaged[packets[30].pos : packets[30].pos + packets[30].size] = b"\xff" * packets[30].size
    clip.write_bytes(damaged)
    frames = read(clip)
    assert len(frames) == 59
    assert frames[-1].time_s == pytest.approx(59 / 25)
    assert number_of(frames[-1].image) == 59


def test_an_exception_leaves_nothing_behind(tmp_path: Path) -> None:
    source = write_chirp(tmp_path / "source.wav", 48000, 1, "PCM_16")
    folder = tmp_path / "out"
    folder.mkdir()
    writer = VideoWriter(folder / "clip.mp4", WIDTH, HEIGHT, frame_rate=Fraction(25), audio_from=source)
    with pytest.raises(KeyboardInterrupt), writer:
        writer.write(Frame(numbered(0), 0.0))
        assert [path.name.startswith(".") for path in folder.iterdir()] == [True]
        raise KeyboardInterrupt
    assert list(folder.iterdir()) == []


def test_no_frame_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="no frame"),
        VideoWriter(tmp_path / "clip.mp4", WIDTH, HEIGHT, frame_rate=Fraction(25)),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_frames_that_do_not_fit(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "clip.mp4", WIDTH, HEIGHT, frame_rate=Fraction(25)) as writer:
        writer.write(Frame(numbered(0), 0.04))
        with pytest.raises(ValueError, match="increase"):
            writer.write(Frame(numbered(1), 0.04))
        with pytest.raises(ValueError, match="wanted"):
            writer.write(Frame(numbered(1)[:-1], 0.08))


def test_an_output_is_kept_unless_overwriting_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExistsError), VideoWriter(path, WIDTH, HEIGHT, frame_rate=Fraction(25)):
        pass
    assert path.read_bytes() == b"mine"
    overwriting = VideoWriter(path, WIDTH, HEIGHT, frame_rate=Fraction(25), overwrite=True)
    with pytest.raises(RuntimeError), overwriting:
        raise RuntimeError
    assert path.read_bytes() == b"mine"
    with VideoWriter(path, WIDTH, HEIGHT, frame_rate=Fraction(25), overwrite=True) as writer:
        writer.write(Frame(numbered(3), 0.0))
    assert number_of(read(path)[0].image) == 3
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["missing/clip.mp4", "clip.avi", "file/clip.mp4", "folder.mp4"])
def test_outputs_that_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError), VideoWriter(tmp_path / name, WIDTH, HEIGHT, frame_rate=Fraction(25)):
        pass


def test_a_full_disk(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with (
            pytest.raises(OutputError, match="cannot write"),
            VideoWriter(tmp_path / "clip.mp4", WIDTH, HEIGHT, frame_rate=Fraction(25), crf=1) as writer,
        ):
            for number in range(100):
                writer.write(Frame(np.roll(noise, 7 * number, 0), number / 25))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "clip.mp4"
    with pytest.raises(OutputExistsError), VideoWriter(output, 64, 48, frame_rate=Fraction(25)) as writer:
        writer.write(Frame(np.zeros((48, 64, 3), np.uint8), 0.0))
        output.write_text("another one's", "utf-8")
    assert output.read_text("utf-8") == "another one's"
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("missing", ["libx264", "aac"])
def test_a_build_without_an_encoder(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What FFmpeg builds without GPL parts lack; the error is PyAV's own, as it is for a name that no build knows."""

    class Poor:
        def __init__(self, container: object) -> None:
            self._container = container

        def add_stream(self, name: str, **options: Any) -> Any:
            return self._container.add_stream("no_" + name if name == missing else name, **options)  # type: ignore[attr-defined]

        def __getattr__(self, name: str) -> Any:
            return getattr(self._container, name)

    audio = tmp_path / "sound.wav"
    soundfile.write(audio, np.zeros(16000), 16000)
    true_open = av.open
    monkeypatch.setattr(
        "talkinghead.media.video_writer.av.open",
        lambda file, mode="r", **options: (Poor if mode == "w" else lambda x: x)(true_open(file, mode, **options)),
    )
    with (
        pytest.raises(OutputError, match=f"has no encoder no_{missing}$"),
        VideoWriter(tmp_path / "video.mp4", 64, 64, frame_rate=Fraction(25), audio_from=audio),
    ):
        pytest.fail("it was opened")
    assert [path.name for path in tmp_path.iterdir()] == ["sound.wav"]
