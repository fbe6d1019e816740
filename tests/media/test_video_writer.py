"""Writing video: colors and metadata survive, and a file is complete under its name or not there at all."""

from __future__ import annotations

import resource
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from media_files import HEIGHT, WIDTH, number_of, numbered_image, read_frames, steady_times, write_chirp, write_clip

from talkinghead.errors import OutputError, OutputExistsError
from talkinghead.media.video_writer import QUALITIES, ContainerMetadata, EncoderSettings, VideoWriter
from talkinghead.structures import Frame


@pytest.mark.parametrize(("crf", "difference", "bias"), [(1, 0.6, 0.2), (18, 1.0, 1.0)])
def test_colors_survive_the_round_trip(tmp_path: Path, crf: int, difference: float, bias: float) -> None:
    y, x = np.mgrid[0:128, 0:192] / 192
    image = (255 * np.stack([x, 1.4 * y, 0.5 + 0.5 * np.sin(6 * x * y)], -1)).round().astype(np.uint8)
    with VideoWriter(tmp_path / "clip.mp4", 192, 128, frame_rate=Fraction(25), encoder=EncoderSettings(crf)) as writer:
        for time_s in steady_times(3, Fraction(25)):
            writer.write(Frame(image, time_s))
    for frame in read_frames(tmp_path / "clip.mp4"):
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
    (frame,) = read_frames(tmp_path / "clip.mp4")
    assert frame.image.shape == (64, 96, 3)
    assert np.abs(frame.image.astype(int) - np.pad(image, ((0, 1), (0, 1), (0, 0)), mode="edge")).max() < 12


def test_tags_are_written(tmp_path: Path) -> None:
    for name, tags in (("a.mp4", {"comment": "made by a machine"}), ("b.mp4", {"comment": "c", "made.by": "d"})):
        metadata = ContainerMetadata(tags)
        with VideoWriter(tmp_path / name, WIDTH, HEIGHT, frame_rate=Fraction(25), metadata=metadata) as writer:
            writer.write(Frame(numbered_image(0), 0.0))
        with av.open(str(tmp_path / name)) as container:
            assert tags.items() <= container.metadata.items()


@pytest.mark.parametrize(("name", "brand"), [("a.mp4", b"isom"), ("a.m4v", b"M4V "), ("a.MOV", b"qt  ")])
def test_the_suffix_decides_the_format(tmp_path: Path, name: str, brand: bytes) -> None:
    """The major brand is in the file type box, ISO/IEC 14496-12, 4.3."""
    clip = write_clip(tmp_path / name, steady_times(3, Fraction(25)), Fraction(25))
    assert clip.read_bytes()[4:12] == b"ftyp" + brand
    assert [number_of(frame.image) for frame in read_frames(clip)] == [0, 1, 2]


def test_the_index_comes_first(tmp_path: Path) -> None:
    written = write_clip(tmp_path / "clip.mp4", steady_times(5, Fraction(25)), Fraction(25)).read_bytes()
    assert written.index(b"moov") < written.index(b"mdat")


def test_writing_in_a_thread(tmp_path: Path) -> None:
    times = steady_times(20, Fraction(25))
    threads = [
        threading.Thread(target=write_clip, args=(tmp_path / f"{number}.mp4", times, Fraction(25)))
        for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(read_frames(tmp_path / f"{number}.mp4")) for number in range(3)] == [20, 20, 20]


def test_an_exception_leaves_nothing_behind(tmp_path: Path) -> None:
    source = write_chirp(tmp_path / "source.wav", 48000, 1, "PCM_16")
    folder = tmp_path / "out"
    folder.mkdir()
    writer = VideoWriter(folder / "clip.mp4", WIDTH, HEIGHT, frame_rate=Fraction(25), audio_from=source)
    with pytest.raises(KeyboardInterrupt), writer:
        writer.write(Frame(numbered_image(0), 0.0))
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
        writer.write(Frame(numbered_image(0), 0.04))
        with pytest.raises(ValueError, match="increase"):
            writer.write(Frame(numbered_image(1), 0.04))
        with pytest.raises(ValueError, match="has to be"):
            writer.write(Frame(numbered_image(1)[:-1], 0.08))


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
        writer.write(Frame(numbered_image(3), 0.0))
    assert number_of(read_frames(path)[0].image) == 3
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
            pytest.raises(OutputError, match="Cannot write"),
            VideoWriter(
                tmp_path / "clip.mp4", WIDTH, HEIGHT, frame_rate=Fraction(25), encoder=EncoderSettings(crf=1)
            ) as writer,
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
    """FFmpeg builds without GPL parts have no libx264; the error is PyAV's own, as for a name that no build knows."""

    class WithoutEncoder:
        def __init__(self, container: object) -> None:
            self._container = container

        def add_stream(self, name: str, **options: Any) -> Any:
            return self._container.add_stream("no_" + name if name == missing else name, **options)  # type: ignore[attr-defined]

        def __getattr__(self, name: str) -> Any:
            return getattr(self._container, name)

    audio = tmp_path / "audio.wav"
    soundfile.write(audio, np.zeros(16000), 16000)
    true_open = av.open
    monkeypatch.setattr(
        "talkinghead.media.video_writer.av.open",
        lambda file, mode="r", **options: (WithoutEncoder if mode == "w" else lambda x: x)(
            true_open(file, mode, **options)
        ),
    )
    with (
        pytest.raises(OutputError, match=f"has no encoder no_{missing}\\.$"),
        VideoWriter(tmp_path / "video.mp4", 64, 64, frame_rate=Fraction(25), audio_from=audio),
    ):
        pytest.fail("the writer opened")
    assert [path.name for path in tmp_path.iterdir()] == ["audio.wav"]


def test_quality_costs_bytes_and_buys_likeness(tmp_path: Path) -> None:
    """Moving noise, smoothed a little: each quality is larger, and nearer to what was written, than the one before."""
    coarse = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3), dtype=np.uint8)
    images = [np.kron(image, np.ones((2, 2, 1), np.uint8)) for image in coarse]
    sizes, errors = [], []
    for quality in ("draft", "standard", "high"):
        path = tmp_path / f"{quality}.mp4"
        with VideoWriter(path, 128, 96, frame_rate=Fraction(25), encoder=QUALITIES[quality]) as writer:
            for number, image in enumerate(images):
                writer.write(Frame(image, number / 25))
        shown = np.stack([frame.image for frame in read_frames(path)]).astype(float)
        sizes.append(path.stat().st_size)
        errors.append(np.abs(shown.mean(-1) - np.mean(images, -1)).mean())
    assert sizes[0] < 0.8 * sizes[1] and sizes[1] < 0.85 * sizes[2]
    assert errors[0] > errors[1] > errors[2]
    assert QUALITIES["standard"] == EncoderSettings()
