"""Another background behind a drawn anchor, whose matte is known: transparent, a color, a picture, a video."""

from __future__ import annotations

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from media_files import read_frames

from talkinghead.anchor import MATTE_FILE, Anchor, load_anchor, read_description, write_description
from talkinghead.batch.jobs import read_jobs
from talkinghead.errors import (
    CheckpointError,
    JobFileError,
    MediaError,
    MissingFileError,
    OptionError,
    OutputError,
)
from talkinghead.generation.config import GenerationConfig
from talkinghead.generation.output_options import parse_background
from talkinghead.generation.pipeline import generate, stream_frames
from talkinghead.matting.backgrounds import VideoBackground, cover, open_background
from talkinghead.matting.clip_matte import ClipMatte, load_matte, save_matte
from talkinghead.media.video_writer import EncoderSettings, VideoWriter
from talkinghead.provenance.c2pa import Signer
from talkinghead.provenance.reader import read_provenance
from talkinghead.structures import ByteArray, Frame

pytestmark = pytest.mark.usefixtures("own_caches")

GREEN = (0, 177, 64)


def moving_disc(number: int, height: int, width: int) -> ByteArray:
    """Matte of a disc that goes to the right and back, with a soft edge."""
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    x = width * (0.5 + 0.1 * np.sin(number / 10))
    inside = 0.3 * width - np.hypot(columns - x, rows - height / 2)
    return np.round(255 * np.clip(inside / 4 + 0.5, 0, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def cut_anchor(anchor_folder: Path, anchor: Anchor, tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    """The drawn anchor, with a matte in its folder."""
    folder = tmp_path_factory.mktemp("cut") / "person"
    shutil.copytree(anchor_folder, folder)
    clip = read_description(folder)["clip"]
    packed = [
        np.asarray(cv2.imencode(".png", moving_disc(number, clip["height"], clip["width"]))[1]).ravel()
        for number in range(clip["frames"])
    ]
    ends = np.cumsum([len(one) for one in packed]).astype(np.int64)
    save_matte(folder / MATTE_FILE, ClipMatte(np.concatenate(packed), ends, clip["width"], clip["height"]))
    description = read_description(folder)
    write_description(folder, {name: value for name, value in description.items() if name not in ("format", "sha256")})
    return load_anchor(folder)


def made(anchor: Anchor, speech: Path, output: Path, expression: Path, **options: Any) -> dict[str, Any]:
    return generate(anchor, speech, output, expression=expression, device="cpu", **options)


def decoded_alpha(path: Path) -> list[ByteArray]:
    """The alpha channel of every frame; of WebM libvpx alone decodes it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if path.suffix == ".webm":
            decoder = av.codec.CodecContext.create("libvpx-vp9", "r")
            frames = [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]
        else:
            frames = list(container.decode(stream))
        return [frame.reformat(format="rgba").to_ndarray()[..., 3] for frame in frames]


@pytest.mark.parametrize(("suffix", "codec", "audio"), [(".webm", "vp9", "opus"), (".mov", "prores", "aac")])
def test_a_transparent_background_is_the_matte(
    suffix: str, codec: str, audio: str, cut_anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    path, sheet = tmp_path / f"out{suffix}", tmp_path / "sheet.png"
    report = made(cut_anchor, speech, path, expression_file, background="transparent", contact_sheet=sheet)
    alphas = decoded_alpha(path)
    assert len(alphas) == report["frames"]
    for number, alpha in enumerate(alphas):
        truth = moving_disc(number, *alpha.shape)
        assert np.abs(alpha.astype(float) - truth).mean() < 1
    with av.open(str(path)) as container:
        assert [stream.codec_context.name for stream in container.streams] == [codec, audio]
    stated = read_provenance(path)
    assert stated.ai_generated and set(stated.tags) == {"comment", "DigitalSourceType", "AIGC"}
    assert sheet.is_file()


def test_a_color_stands_around_the_same_person(
    cut_anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    config = GenerationConfig(expression=expression_file, device="cpu")
    plain = list(stream_frames(cut_anchor, speech, config))
    before = list(stream_frames(cut_anchor, speech, replace(config, background="#00b140")))
    assert len(plain) == len(before)
    for number, (old, new) in enumerate(zip(plain, before, strict=True)):
        matte = moving_disc(number, *old.image.shape[:2])
        assert new.alpha is None
        assert (new.image[matte == 0] == GREEN).all()
        deep = cv2.erode(matte, np.ones((25, 25), np.uint8)) == 255
        assert (new.image[deep] == old.image[deep]).all()
    made(cut_anchor, speech, tmp_path / "out.mp4", expression_file, background="#00b140")
    first = read_frames(tmp_path / "out.mp4")[0].image
    assert np.abs(first[:20, :20].astype(int) - GREEN).max() < 6


def test_frames_in_python_have_alpha(cut_anchor: Anchor, speech: Path, expression_file: Path) -> None:
    config = GenerationConfig(expression=expression_file, device="cpu", background="transparent", aspect="9:16")
    with stream_frames(cut_anchor, speech, config) as stream:
        assert stream.has_alpha
        frame = next(iter(stream))
    assert frame.alpha is not None and frame.alpha.shape == frame.image.shape[:2] == (stream.height, stream.width)
    assert not frame.image[frame.alpha == 0][-50:].all() and (frame.alpha == 255).any()


def test_the_visible_label_is_seen_where_all_is_transparent(
    cut_anchor: Anchor, speech: Path, expression_file: Path
) -> None:
    config = GenerationConfig(expression=expression_file, device="cpu", background="transparent", visible_label="AI")
    frame = next(iter(stream_frames(cut_anchor, speech, config)))
    assert frame.alpha is not None
    corner = frame.alpha[-12:, -12:]
    assert corner.min() > 150, "the box darkens whatever is behind it"
    white = (frame.image[-40:, -60:] > 250).all(-1) & (frame.alpha[-40:, -60:] > 250)
    assert white.any(), "letters are opaque"


def test_what_cannot_hold_it_is_refused_before_anything_is_made(
    cut_anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match=r"\.mp4 cannot hold a transparent background; end the name in \.mov"):
        made(cut_anchor, speech, tmp_path / "out.mp4", expression_file, background="transparent")
    signer = Signer("certificate", "key", "es256")
    with pytest.raises(OutputError, match="C2PA has no manifests in WebM"):
        made(cut_anchor, speech, tmp_path / "out.webm", expression_file, signer=signer)
    with pytest.raises(MissingFileError, match="nowhere.png"):
        made(cut_anchor, speech, tmp_path / "out.mp4", expression_file, background="nowhere.png")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(MediaError):
        made(cut_anchor, speech, tmp_path / "out.mp4", expression_file, background=str(tmp_path / "notes.txt"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]


def test_a_matte_of_another_clip_is_refused(cut_anchor: Anchor, speech: Path, expression_file: Path) -> None:
    assert cut_anchor.matte is not None
    matte = load_matte(cut_anchor.matte)
    shorter = ClipMatte(matte.packed[: int(matte.ends[-2])], matte.ends[:-1], matte.width, matte.height)
    content = cut_anchor.matte.read_bytes()
    try:
        save_matte(cut_anchor.matte, shorter)
        config = GenerationConfig(expression=expression_file, device="cpu", background="white")
        with pytest.raises(CheckpointError, match="The matte has .* frames"):
            stream_frames(cut_anchor, speech, config)
        with pytest.raises(CheckpointError, match="damaged"):
            load_anchor(cut_anchor.folder)
    finally:
        cut_anchor.matte.write_bytes(content)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("transparent", "transparent"),
        ("#00b140", GREEN),
        (" White ", (255, 255, 255)),
        ("rgb(0, 177, 64)", GREEN),
        ("studio.png", Path("studio.png")),
        ("./white", Path("white")),
    ],
)
def test_what_a_background_is_called(text: str, named: object) -> None:
    assert parse_background(text) == named


@pytest.mark.parametrize("text", ["", "  ", "#12345", "#00b14080", "rgba(1, 2, 3, 4)"])
def test_what_names_no_background(text: str) -> None:
    with pytest.raises(OptionError, match="background") as refused:
        GenerationConfig(background=text)
    assert "\n" not in str(refused.value)


def test_a_picture_covers_the_frame_and_keeps_its_middle(tmp_path: Path) -> None:
    picture = np.zeros((40, 100, 3), np.uint8)
    picture[:, 20:80] = (10, 200, 30)
    cv2.imwrite(str(tmp_path / "wide.png"), picture[..., ::-1])
    image = open_background(tmp_path / "wide.png", 60, 60).at(0)
    assert image.shape == (60, 60, 3) and (image == (10, 200, 30)).all()
    assert cover(picture, 100, 40) is not None and (cover(picture, 100, 40) == picture).all()


def gray_levels(path: Path, levels: list[int], rate: int = 10) -> Path:
    with VideoWriter(path, 64, 48, frame_rate=Fraction(rate), encoder=EncoderSettings(1)) as writer:
        for number, level in enumerate(levels):
            writer.write(Frame(np.full((48, 64, 3), level, np.uint8), number / rate))
    return path


def test_a_video_keeps_its_own_time_and_begins_anew(tmp_path: Path) -> None:
    levels = [30, 90, 150, 210]
    background = VideoBackground(gray_levels(tmp_path / "behind.mp4", levels), 32, 32)
    times = np.arange(30) / 25
    shown = [int(background.at(time_s)[16, 16, 0]) for time_s in times]
    background.close()
    expected = [levels[int(time_s * 10 + 1e-6) % 4] for time_s in times]
    assert np.abs(np.array(shown) - expected).max() < 4


def test_a_single_frame_is_a_video_too(tmp_path: Path) -> None:
    background = VideoBackground(gray_levels(tmp_path / "one.mp4", [120]), 64, 48)
    assert [abs(int(background.at(time_s)[0, 0, 0]) - 120) < 4 for time_s in (0, 0.5, 3)] == [True] * 3


def test_a_preview_has_the_background_of_its_time(
    cut_anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    behind = gray_levels(tmp_path / "behind.mp4", [20, 60, 100, 140, 180, 220, 240, 250], rate=5)
    options: dict[str, Any] = {"expression": expression_file, "device": "cpu", "background": str(behind)}
    whole = [frame.image[0, 0, 0] for frame in stream_frames(cut_anchor, speech, GenerationConfig(**options))]
    part = list(stream_frames(cut_anchor, speech, GenerationConfig(**options, preview="0.4-0.8")))
    assert [frame.image[0, 0, 0] for frame in part] == whole[10 : 10 + len(part)] and len(set(whole)) > 3


def test_a_job_file_is_checked_for_it(anchor_folder: Path, speech: Path, tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    cv2.imwrite(str(tmp_path / "studio.png"), np.zeros((8, 8, 3), np.uint8))
    path.write_text(f"id,anchor,speech,output,background\na,{anchor_folder},{speech},a.mp4,studio.png\n")
    assert read_jobs(path)[0].options.background == str(tmp_path / "studio.png")
    path.write_text(
        f"id,anchor,speech,output,background\na,{anchor_folder},{speech},a.mp4,transparent\n"
        f"b,{anchor_folder},{speech},b.mp4,nowhere.png\n"
    )
    with pytest.raises(JobFileError) as refused:
        read_jobs(path)
    assert len(refused.value.problems) == 2
    assert "line 2: a transparent background needs an output that ends in .mov or .webm" in refused.value.problems[0]
    assert "(background)" in refused.value.problems[1]
