"""Mattes against known ones: a drawn disc, and the presenter, whose true mattes were rendered."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from talkinghead.errors import CheckpointError, MissingFileError, ModelUnavailableError
from talkinghead.matting.clip_matte import ClipMatte, load_matte, matte_clip, mattes, save_matte
from talkinghead.matting.foreground import composed, foreground
from talkinghead.matting.refinement import GuidedFilter, refined
from talkinghead.matting.segmenter import PersonSegmenter
from talkinghead.media.video_reader import VideoReader
from talkinghead.media.video_writer import EncoderSettings, VideoWriter
from talkinghead.structures import ByteArray, FloatArray, Frame
from talkinghead.weights import registry

SIZE = 256
CELL = 4
"""Pixels of a cell of the drawn segmentation."""
BAND_PX = 4
"""Half the width of the band around the outline in which errors are judged apart."""
PRESENTER = Path(__file__).parents[2] / "data" / "presenter" / "presenter.mp4"
TRUTH = sorted((Path(__file__).parent / "presenter").glob("*.png"))
RED, BLUE = np.array([200, 60, 50]), np.array([20, 60, 200])


def disc(x: float, y: float = SIZE / 2, radius: float = 70.0) -> ByteArray:
    """The true matte of a disc, its edge two pixels wide."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    inside = radius - np.hypot(columns - x, rows - y)
    return np.round(255 * np.clip(inside / 2 + 0.5, 0, 1)).astype(np.uint8)


def painted(alpha: ByteArray, seed: int = 0, noise: float = 3.0) -> ByteArray:
    """A red disc before blue, as a camera with noise sees it."""
    share = alpha[..., None] / 255
    clean = share * RED + (1 - share) * BLUE
    return (clean + np.random.default_rng(seed).normal(0, noise, clean.shape)).clip(0, 255).round().astype(np.uint8)


class CoarseDisc:
    """A segmentation as networks give it: on a coarse grid, and a cell too large."""

    def __init__(self, alphas: list[ByteArray], jitter: float = 0.0) -> None:
        self._waiting, self._random, self._jitter = list(alphas), np.random.default_rng(0), jitter

    def probability(self, image: ByteArray) -> FloatArray:
        grown = cv2.dilate(self._waiting.pop(0), np.ones((2 * CELL + 1, 2 * CELL + 1), np.uint8))
        coarse = cv2.resize(grown, (SIZE // CELL, SIZE // CELL), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        return np.clip(coarse + self._jitter * self._random.normal(size=coarse.shape), 0, 1).astype(np.float32)


def outside_band(truth: ByteArray) -> np.ndarray:
    """Where a pixel is further than `BAND_PX` from the outline."""
    edge = ((truth > 0) & (truth < 255)).astype(np.uint8)
    edge |= cv2.morphologyEx((truth > 127).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    near = cv2.dilate(edge, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND_PX + 1, 2 * BAND_PX + 1)))
    return np.asarray(near == 0)


def error(found: ByteArray, truth: ByteArray) -> np.ndarray:
    return np.abs(found.astype(float) - truth)


def test_a_coarse_segmentation_gets_the_outline_of_the_image() -> None:
    truth = disc(130.3)
    coarse = CoarseDisc([truth]).probability(truth)
    matte = refined(painted(truth), coarse)
    near = ~outside_band(truth)
    rough = np.asarray(cv2.resize(255 * coarse, (SIZE, SIZE)))
    assert error(matte, truth)[~near].mean() < 0.1
    assert error(matte, truth)[near].mean() < 15 < 60 < error(rough.astype(np.uint8), truth)[near].mean()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_where_there_is_no_outline_nothing_is_drawn(value: float) -> None:
    matte = refined(painted(disc(128)), np.full((64, 64), value, np.float32))
    assert (matte == 255 * value).all()


def test_a_person_cut_by_the_lower_edge_has_no_outline_there() -> None:
    truth = disc(128, y=SIZE - 20)
    matte = refined(painted(truth), CoarseDisc([truth]).probability(truth))
    assert (matte[-3:, 100:156] == 255).all()


def test_the_guided_filter_averages_plain_areas_and_keeps_edges() -> None:
    values = np.random.default_rng(1).random((64, 64)).astype(np.float32)
    plain = GuidedFilter(np.full((64, 64, 3), 0.5, np.float32), 3.0, 1e-3)(values)
    twice = cv2.blur(cv2.blur(values, (7, 7), borderType=cv2.BORDER_REFLECT), (7, 7), borderType=cv2.BORDER_REFLECT)
    assert np.allclose(plain, twice, atol=1e-4)
    guide = np.zeros((64, 64, 3), np.float32)
    guide[:, 32:] = 1
    moved = np.zeros((64, 64), np.float32)
    moved[:, 34:] = 1  # two pixels from the edge of the guide
    kept = GuidedFilter(guide, 4.0, 1e-4)(moved)
    assert kept[:, 31].max() < 0.05 and kept[:, 32].min() > 0.4, "the step lies where the guide has it"


def test_the_background_does_not_shine_through() -> None:
    alpha = disc(128)
    image = painted(alpha, noise=0)
    person = foreground(image, alpha)
    assert np.abs(person[alpha >= 64].astype(int) - RED).mean() < 3
    mixed = (alpha > 40) & (alpha < 215)
    assert np.abs(image[mixed].astype(int) - RED).mean() > 30
    assert not person[alpha == 0][np.hypot(*(np.argwhere(alpha == 0) - 128).T) > 120].any(), "black far from it"
    green = np.full_like(image, (0, 255, 0))
    expected = alpha[..., None] / 255 * RED + (1 - alpha[..., None] / 255) * (0, 255, 0)
    assert np.abs(composed(person, alpha, green) - expected)[mixed].mean() < 3


def test_what_is_inside_stays_as_it_is() -> None:
    alpha = disc(128)
    image = np.random.default_rng(2).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)
    far_inside = disc(128, radius=55) == 255
    assert (foreground(image, alpha)[far_inside] == image[far_inside]).all()
    opaque = np.full((SIZE, SIZE), 255, np.uint8)
    assert (foreground(image, opaque) == image).all() and not foreground(image, 0 * opaque).any()
    assert (composed(image, opaque, image[::-1].copy()) == image).all()


def test_a_matte_is_steady_where_the_picture_stands_still() -> None:
    truth = disc(128)
    images = [painted(truth, seed, noise=4) for seed in range(8)]
    segmenter = CoarseDisc([truth] * 8, jitter=0.15)
    alone = [refined(image, segmenter.probability(image)).astype(float) for image in images]
    together = [alpha.astype(float) for alpha in mattes(images, CoarseDisc([truth] * 8, jitter=0.15))]
    assert len(together) == 8
    flicker_alone, flicker = (
        np.mean([np.abs(b - a).mean() for a, b in itertools.pairwise(m)]) for m in (alone, together)
    )
    assert flicker < 0.5 * flicker_alone


def test_a_matte_follows_what_moves() -> None:
    truths = [disc(100 + 9 * number) for number in range(6)]
    found = list(mattes([painted(truth) for truth in truths], CoarseDisc(truths)))
    for alpha, truth in zip(found, truths, strict=True):
        assert error(alpha, truth)[outside_band(truth)].mean() < 0.5


def test_a_clip_gives_one_matte_for_each_frame_and_files_hold_them(tmp_path: Path) -> None:
    truths = [disc(100 + 5 * number) for number in range(5)]
    clip = tmp_path / "clip.mp4"
    with VideoWriter(clip, SIZE, SIZE, frame_rate=Fraction(25), encoder=EncoderSettings(8)) as writer:
        for number, truth in enumerate(truths):
            writer.write(Frame(painted(truth), number / 25))
    done: list[int] = []
    matte = matte_clip(clip, CoarseDisc(truths), progress=done.append)
    assert done == [1, 2, 3, 4, 5] and len(matte) == 5 and (matte.width, matte.height) == (SIZE, SIZE)
    for number, truth in enumerate(truths):
        assert error(matte.frame(number), truth)[outside_band(truth)].mean() < 0.5
    save_matte(tmp_path / "matte.safetensors", matte)
    loaded = load_matte(tmp_path / "matte.safetensors")
    assert all((loaded.frame(number) == matte.frame(number)).all() for number in range(5))


def drawn_matte() -> ClipMatte:
    packed = [np.asarray(cv2.imencode(".png", disc(x))[1]).ravel() for x in (100, 120)]
    ends = np.cumsum([len(one) for one in packed]).astype(np.int64)
    return ClipMatte(np.concatenate(packed), ends, SIZE, SIZE)


@pytest.mark.parametrize(
    "change",
    [
        {"ends": np.array([5, 3], np.int64)},
        {"ends": np.array([5, 1 << 40], np.int64)},
        {"ends": np.zeros(0, np.int64)},
        {"width": 0},
        {"width": 1 << 20},
    ],
    ids=["falling", "too far", "none", "no width", "too wide"],
)
def test_a_damaged_file_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "matte.safetensors"
    save_matte(path, replace(drawn_matte(), **change))  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="no matte, or damaged"):
        load_matte(path)


def test_a_damaged_frame_is_refused() -> None:
    matte = drawn_matte()
    garbled = matte.packed.copy()
    garbled[:20] = 0
    with pytest.raises(CheckpointError, match="Frame 0 of a matte"):
        replace(matte, packed=garbled).frame(0)
    with pytest.raises(CheckpointError, match="Frame 1 of a matte"):
        replace(matte, width=SIZE - 1).frame(1)


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="does not load"):
        PersonSegmenter(b"nothing of the kind")
    with pytest.raises(MissingFileError):
        PersonSegmenter.load(tmp_path / "nowhere.tflite")


@pytest.fixture(scope="module")
def segmenter() -> PersonSegmenter:
    try:
        return PersonSegmenter.load()
    except ModelUnavailableError as unavailable:
        pytest.skip(str(unavailable))


def test_another_network_is_refused(models_folder: Path) -> None:
    content = (models_folder / registry.FACE_LANDMARKER.file_name).read_bytes()
    with pytest.raises(ModelUnavailableError):
        PersonSegmenter(content)


def test_the_presenter_is_cut_out_as_rendered(segmenter: PersonSegmenter) -> None:
    """Mean error of at most 2 of 255 beyond 4 pixels of the outline, and between two frames no more change than that
    of the truth by 1 of 255."""
    numbers = [int(path.stem) for path in TRUTH]
    assert numbers[:2] == [0, 1]
    with VideoReader(PRESENTER) as reader:
        images = {number: frame.image for number, frame in enumerate(reader) if number in numbers}
    truth = {
        number: np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        for number, path in zip(numbers, TRUTH, strict=True)
    }
    found = {number: refined(image, segmenter.probability(image)) for number, image in images.items()}
    for number in numbers:
        wrong = error(found[number], truth[number])
        away = outside_band(truth[number])
        assert wrong[away].mean() < 0.1, "measured: 0.005"
        assert wrong[~away].mean() < 20, "measured: 14"
    change = (found[1].astype(float) - found[0]) - (truth[1].astype(float) - truth[0])
    assert np.abs(change).mean() < 1
