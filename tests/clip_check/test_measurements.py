"""What is measured of drawn clips, of which everything is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_face import DrawnClip, draw_frames, face_model, perform, performance, person, write_frames
from numpy.typing import NDArray

from talkinghead.clip_check.measurements import (
    StreamMeasurements,
    measure_clip,
    measure_looks,
    stream_measurements,
)
from talkinghead.face.reconstruction import project
from talkinghead.face.rotations import rotation_matrices
from talkinghead.media.video_reader import read_video_info
from talkinghead.structures import ByteArray

pytestmark = pytest.mark.usefixtures("own_caches")

FRAMES = 24
RATE = Fraction(25)


@pytest.fixture(scope="module")
def look() -> tuple[ByteArray, NDArray[np.float64]]:
    """One drawn face and where its landmarks are."""
    seen = perform(person(0), performance(1.0, 0), np.zeros(1))
    model = face_model()
    shape = model.neutral + np.tensordot(seen.identity, model.identity_basis, 1)
    shape = shape + np.tensordot(seen.expression[0], model.expression_basis, 1)
    points = project(shape[None].astype(np.float32), seen, slice(None))[0, :, :2]
    return next(draw_frames(person(0), seen)), points.astype(np.float64)


def test_a_drawn_clip_is_measured_as_it_was_drawn(clip: DrawnClip) -> None:
    measured = measure_clip(clip.path)
    count = len(clip.times_s)
    assert (measured.frames, measured.faces, measured.gaps, measured.cuts) == (count, count, 0, 0)
    assert measured.duration_s == pytest.approx(4.0) and measured.frame_rate == pytest.approx(25)
    assert measured.varying_share == 0 and measured.longest_gap_s == pytest.approx(0.04)
    face, truth = measured.face, clip.truth
    assert face is not None and not face.others
    turned_deg = np.degrees(np.arccos(rotation_matrices(truth.rotation)[:, 2, 2]))
    assert face.turned_deg == pytest.approx(float(np.median(turned_deg)), abs=4)
    # The face oval is 15.4 cm wide in the model; landmarks lie within a tenth of it.
    model = face_model()
    width_cm = np.linalg.norm(model.neutral[234] - model.neutral[454])
    assert face.width_px == pytest.approx(float(np.median(truth.scale)) * width_cm, rel=0.1)
    gap_cm = model.of(truth.identity).lip_gap(truth.expression)
    low, high = np.quantile(gap_cm, [0.05, 0.95])
    assert face.opened_gap_cm - face.closed_gap_cm == pytest.approx(high - low, rel=0.3)
    assert measured.audio is not None and measured.audio.lag_s is None  # too short to compare
    assert json.loads(json.dumps(measured.as_json()))["face"]["width_px"] == face.width_px


def small_clip(path: Path, change: Callable[[int, ByteArray], ByteArray], times_s: NDArray[np.float64]) -> Path:
    seen = perform(person(0), performance(2.0, 0), np.arange(FRAMES) / 25)

    def images() -> Iterator[ByteArray]:
        for number, image in enumerate(draw_frames(person(0), seen)):
            yield change(number, image)

    return write_frames(path, images(), times_s, RATE)


def test_times_and_frames_without_a_face(tmp_path: Path) -> None:
    """The last eight frames are black, and come a second late: the frame before them is repeated until then."""
    times_s = np.arange(FRAMES) / 25 + np.where(np.arange(FRAMES) >= 16, 1.0, 0.0)
    measured = measure_clip(small_clip(tmp_path / "a.mp4", lambda n, image: image * np.uint8(n < 16), times_s))
    assert (measured.frames, measured.faces, measured.stream.filled_frames) == (FRAMES + 25, 16 + 25, 25)
    assert (measured.gaps, measured.frame_rate) == (0, pytest.approx(25))
    assert measured.audio is None and measured.audio_error == ""


def test_a_clip_without_a_face(tmp_path: Path) -> None:
    measured = measure_clip(
        small_clip(tmp_path / "a.mp4", lambda n, image: np.zeros_like(image), np.arange(FRAMES) / 25)
    )
    assert (measured.frames, measured.faces, measured.face, measured.look) == (FRAMES, 0, None, None)


def test_light_is_that_of_the_face(look: tuple[ByteArray, NDArray[np.float64]]) -> None:
    image, points = look
    plain = measure_looks([(image, points)])
    dark = measure_looks([((image // 4).astype(np.uint8), points)])
    assert plain is not None and dark is not None
    assert dark.luma == pytest.approx(plain.luma / 4, abs=1) and plain.white_share < 0.02
    burnt = np.where(np.arange(image.shape[0])[:, None, None] < points[168, 1], 255, image).astype(np.uint8)
    half = measure_looks([(burnt, points)])
    assert half is not None and 0.2 < half.white_share < 0.6
    # The background does not count.
    x, y = points.T
    masked = np.zeros_like(image)
    box = np.s_[int(y.min()) : int(y.max()) + 1, int(x.min()) : int(x.max()) + 1]
    masked[box] = image[box]
    assert measure_looks([(masked, points)]) == plain


def test_a_shadow_on_one_side_is_measured_in_stops(look: tuple[ByteArray, NDArray[np.float64]]) -> None:
    image, points = look
    gray = np.full_like(image, 160)
    gray[:, : int(points[168, 0])] = 80  # a quarter of the light, at a gamma of 2
    found = measure_looks([(gray, points)])
    assert found is not None and found.side_stops == pytest.approx(2.0, abs=0.05)
    even = measure_looks([(np.full_like(image, 160), points)])
    assert even is not None and even.side_stops == 0


def test_sharpness_falls_with_blur_and_does_not_depend_on_the_size(
    look: tuple[ByteArray, NDArray[np.float64]],
) -> None:
    image, points = look

    def detail(image: ByteArray, scale: float = 1.0) -> float:
        found = measure_looks([(image, points * scale)])
        assert found is not None
        return found.detail

    face_px = np.ptp(points[:, 0])
    blurred = [
        detail(np.asarray(cv2.GaussianBlur(image, (0, 0), face_px / 128 * sigma), np.uint8)) for sigma in (0.5, 1, 2, 4)
    ]
    assert detail(image) > blurred[0] > blurred[1] > blurred[2] > blurred[3]
    twice = np.asarray(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    assert detail(twice, 2.0) == pytest.approx(detail(image), rel=0.15)
    assert detail(np.asarray(image // 2, np.uint8)) == pytest.approx(detail(image), rel=0.05)


def test_a_face_out_of_the_image_is_not_measured(look: tuple[ByteArray, NDArray[np.float64]]) -> None:
    image, points = look
    assert measure_looks([]) is None and measure_looks([(image, points + 1000)]) is None


def test_a_stream_that_says_nothing_of_itself(clip: DrawnClip) -> None:
    assert stream_measurements(read_video_info(clip.path)) == StreamMeasurements()
