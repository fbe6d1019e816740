"""What the encoder is given: outside the lower face, the samples that the decoder gave, bit for bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from drawn_face import DrawnClip
from numpy.typing import NDArray
from plane_clips import CODINGS, arrays_of, coded, decoded_planes, write_planes

from talkinghead.anchor import Anchor
from talkinghead.face.region_removal import Crops, paste_back, place_crops, region_masks
from talkinghead.generation.pipeline import generate
from talkinghead.generation.timeline import plan
from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.media.video_writer import VideoWriter
from talkinghead.structures import BoolArray, ByteArray, Frame, Loop

pytestmark = pytest.mark.usefixtures("own_caches")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[list[NDArray[Any]]]:
    """The planes of every frame that an encoder is given."""
    given: list[list[NDArray[Any]]] = []
    made = VideoWriter._timed

    def recorded(self: VideoWriter, frame: Frame, tick: int) -> Any:
        timed = made(self, frame, tick)
        given.append(arrays_of(timed))
        return timed

    monkeypatch.setattr(VideoWriter, "_timed", recorded)
    return given


@pytest.fixture(scope="module")
def images(clip: DrawnClip) -> list[ByteArray]:
    with VideoReader(clip.path) as reader:
        return [frame.image for frame in reader]


def outside(anchor: Anchor, number: int, shape: tuple[int, ...]) -> BoolArray:
    """Pixels well beyond the feather in one frame."""
    crops = place_crops(anchor.region, anchor.reconstruction, anchor.network.config.size_px)
    one = np.array([number])
    _, feathers = region_masks(
        anchor.region, anchor.reconstruction.select(one), Crops(crops.to_frame[one], crops.size_px)
    )
    white = np.ones((*crops.size_px, 3), np.float32)
    touched = paste_back(np.zeros(shape, np.uint8), white, np.ceil(feathers[0]), crops.to_frame[number]).any(-1)
    return ~cv2.dilate(touched.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)


@pytest.mark.parametrize(("pixels", "full", "matrix"), CODINGS)
def test_outside_the_region_the_encoder_gets_what_the_decoder_gave(
    pixels: str,
    full: bool,
    matrix: int,
    anchor: Anchor,
    images: list[ByteArray],
    speech: Path,
    expression_file: Path,
    encoded: list[list[NDArray[Any]]],
    tmp_path: Path,
) -> None:
    stored = [coded(image, pixels, full, matrix) for image in images]
    source = write_planes(tmp_path / "clip.mp4", stored, pixels, full, matrix)
    assert all((a == b).all() for a, b in zip(decoded_planes(source)[3], stored[3], strict=True))
    made = generate(
        dataclasses.replace(anchor, clip=source), speech, tmp_path / "out.mp4", expression=expression_file,
        quality="high", device="cpu",
    )  # fmt: skip
    assert made["frames"] == len(encoded) > 30 and made["frames_passed_through"] == 0
    coding = read_video_info(tmp_path / "out.mp4").coding
    assert coding is not None and (coding.pixels, coding.is_full_range) == (pixels, full)
    rows, columns = coding.step
    for number in range(0, len(encoded), 9):
        mask = outside(anchor, number, images[0].shape)
        assert 0.5 < mask.mean() < 0.95
        masks = mask, mask[::rows, ::columns], mask[::rows, ::columns]
        for found, given, kept in zip(encoded[number], stored[number], masks, strict=True):
            np.testing.assert_array_equal(found[kept], given[kept])
            assert (found[~kept] != given[~kept]).mean() > 0.1


def test_the_mouth_is_the_same_in_planes_as_in_rgb(
    anchor: Anchor, speech: Path, expression_file: Path, encoded: list[list[NDArray[Any]]], tmp_path: Path
) -> None:
    """Planes that are written, against the RGB of the same frames."""
    generate(anchor, speech, tmp_path / "out.mp4", expression=expression_file, device="cpu")
    coding = read_video_info(anchor.clip).coding
    assert coding is not None
    with generate(anchor, speech, expression=expression_file, device="cpu") as stream:
        for found, frame in zip(encoded, stream, strict=True):
            wanted = coded(frame.image, coding.pixels, coding.is_full_range, coding.matrix)
            for one, other in zip(found, wanted, strict=True):
                assert np.abs(one.astype(int) - other).mean() < 0.5


def test_frames_that_have_to_be_rgb_stand_between_the_others(
    anchor: Anchor,
) -> None:
    """A crossing is blended in RGB; the frames around it are those of the clip."""
    looping = dataclasses.replace(anchor, loops=(Loop(leave=20, enter=2, frames=7),), clip_range=None)
    stored = decoded_planes(anchor.clip)
    timeline = plan(looping, None, 9.0)
    assert timeline.crossing is not None
    pictures = [frame.picture for frame in dataclasses.replace(timeline, frames=timeline.frames[:40]).read()]
    for number, picture in zip(timeline.frames[:40].tolist(), pictures, strict=True):
        planes = picture.planes
        if number >= timeline.crossing.first:
            assert planes is None and picture.image.shape == (256, 256, 3)
        else:
            assert planes is not None
            np.testing.assert_array_equal(planes.luma, stored[number][0])


@pytest.mark.parametrize("options", [{"aspect": "9:16"}, {"size": "128"}])
def test_cut_planes_stay_planes(
    options: dict[str, str],
    anchor: Anchor,
    speech: Path,
    expression_file: Path,
    encoded: list[list[NDArray[Any]]],
    tmp_path: Path,
) -> None:
    """Cut, frames keep their samples; scaled, they are made of RGB."""
    made = generate(anchor, speech, tmp_path / "out.mp4", expression=expression_file, device="cpu", **options)  # type: ignore[call-overload]
    stored = decoded_planes(anchor.clip)[3][0]
    shown = encoded[3][0]
    assert shown.shape == (made["height"], made["width"])
    rows = [bytes(row) for row in stored[:8]]
    is_kept = any(bytes(shown[0]) in row for row in rows)
    assert is_kept == ("aspect" in options)
