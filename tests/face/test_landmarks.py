"""Landmarks of faces in drawn and real images."""

import zipfile
from pathlib import Path

import av
import numpy as np
import pytest

from talkinghead.errors import MissingFileError, ModelUnavailableError
from talkinghead.face.landmarks import (
    BLENDSHAPE_NAMES,
    FaceLandmarker,
    FaceRegion,
    _crop,
    _detector_anchors,
    _suppress,
)
from talkinghead.face.tracking import FaceTracker, track_clip
from talkinghead.structures import BLENDSHAPES, ByteArray, Frame, Track
from talkinghead.weights import registry

SHARED = Path(__file__).parents[3] / "shared"
CLIP = SHARED / "data" / "clips" / "newsroom.mp4"
SHIFT_PX = 20
MOUTH_CORNERS, EYE_CORNERS, CHIN = [61, 291], [33, 263], 152


@pytest.fixture(scope="module")
def task() -> Path:
    beside = SHARED / "models" / registry.FACE_LANDMARKER.file_name
    try:
        return beside if registry.is_intact(beside, registry.FACE_LANDMARKER) else registry.locate("face_landmarker")
    except ModelUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def landmarker(task: Path) -> FaceLandmarker:
    return FaceLandmarker.load(task)


@pytest.fixture(scope="module")
def images() -> list[ByteArray]:
    """The first ten images of a real clip, which stays outside the repository."""
    if not CLIP.exists():
        pytest.skip("the development clips are not here")
    with av.open(str(CLIP)) as container:
        decoded = (frame for frame, _ in zip(container.decode(video=0), range(10), strict=False))
        return [frame.to_ndarray(format="rgb24") for frame in decoded]


def clip_of(images: list[ByteArray], frames_per_second: float = 25.0) -> list[Frame]:
    return [Frame(image, index / frames_per_second) for index, image in enumerate(images)]


def track(images: list[ByteArray], landmarker: FaceLandmarker, **options) -> Track:
    height, width = images[0].shape[:2]
    return track_clip(clip_of(images), landmarker, width, height, **options)


def blank(height: int = 240, width: int = 320) -> ByteArray:
    return np.full((height, width, 3), 128, np.uint8)


def shifted(image: ByteArray) -> ByteArray:
    """The image moved right and down; its old first row and column fill the gap."""
    return np.pad(image, ((SHIFT_PX, 0), (SHIFT_PX, 0), (0, 0)), mode="edge")[:-SHIFT_PX, :-SHIFT_PX]


def beside_each_other(left: ByteArray, right: ByteArray) -> ByteArray:
    return np.concatenate((left, right), axis=1)


def test_names_of_the_blendshapes() -> None:
    assert len(BLENDSHAPE_NAMES) == len(set(BLENDSHAPE_NAMES)) == BLENDSHAPES
    # Sorted but for the first is how the network's makers list them: a slip of one would show here.
    assert list(BLENDSHAPE_NAMES[1:]) == sorted(BLENDSHAPE_NAMES[1:])


def test_anchors_are_the_cell_centers_of_both_grids() -> None:
    anchors = _detector_anchors()
    assert anchors.shape == (896, 2)
    assert np.allclose(anchors[0], 0.5 / 16) and np.allclose(anchors[2], (1.5 / 16, 0.5 / 16))
    assert np.allclose(anchors[512], 0.5 / 8) and np.allclose(anchors[-1], 7.5 / 8)


def test_suppression_blends_what_overlaps_and_keeps_what_does_not() -> None:
    def detection(x: float) -> list[list[float]]:
        return [[x, 0.5], [0.2, 0.2]] + [[x, 0.5]] * 6

    found = _suppress(np.array([detection(x) for x in (0.20, 0.24, 0.8)], np.float32), np.array([0.9, 0.6, 0.7]))
    assert len(found) == 2
    assert found[0][0, 0] == pytest.approx((0.9 * 0.20 + 0.6 * 0.24) / 1.5)
    assert found[1][0, 0] == pytest.approx(0.8)


def test_region_maps_the_crop_onto_the_turned_square() -> None:
    matrix = FaceRegion(100.0, 50.0, 64.0, np.pi / 2).to_image(256)
    corners = np.array([[128, 128, 1], [0, 0, 1], [256, 0, 1]]) @ matrix.T
    # A quarter turn clockwise: the crop's top-left corner is the square's top-right one.
    assert np.allclose(corners, [[100, 50], [132, 18], [132, 82]])


@pytest.mark.parametrize(("x", "y", "size_px"), [(500, 400, 300), (500, 400, 700), (30, 770, 700), (5000, 5000, 700)])
def test_a_crop_shows_the_region(x: float, y: float, size_px: float) -> None:
    # Red is the column and green the row of the image: a crop's middle must show where it was cut.
    rows, columns = np.mgrid[:800, :1000] // 4
    image = np.stack((columns, rows, np.full_like(rows, 255)), -1).astype(np.uint8)
    region = FaceRegion(x, y, size_px, 0.4)
    crop = _crop(image, region, 128).astype(float)
    inside = np.argwhere(crop[..., 2] == 255)[:, ::-1]
    where = np.column_stack((inside + 0.5, np.ones(len(inside)))) @ region.to_image(128).T
    shown = crop[inside[:, 1], inside[:, 0], :2] * 4 + 2
    assert np.abs(shown - where).max(initial=0) < 5
    assert len(inside) == 0 if x == 5000 else len(inside) > 128 * 128 / 5


def test_missing_and_wrong_files_are_typed_errors(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        FaceLandmarker.load(tmp_path / "nothing.task")
    text = tmp_path / "text.task"
    text.write_text("not a zip")
    with pytest.raises(ModelUnavailableError):
        FaceLandmarker.load(text)
    hollow = tmp_path / "hollow.task"
    with zipfile.ZipFile(hollow, "w") as archive:
        for name in ("face_detector", "face_landmarks_detector", "face_blendshapes"):
            archive.writestr(f"{name}.tflite", b"no network")
    with pytest.raises(ModelUnavailableError):
        FaceLandmarker.load(hollow)


def test_an_image_without_a_face(landmarker: FaceLandmarker) -> None:
    assert landmarker.detect(blank()) == []
    result = track([blank()] * 3, landmarker)
    assert len(result) == 3 and not result.valid.any()
    assert not result.landmarks.any() and result.blendshapes is None
    assert result.times_s.tolist() == [0.0, 0.04, 0.08]


def test_an_empty_clip_gives_an_empty_track(landmarker: FaceLandmarker) -> None:
    result = track_clip([], landmarker, 320, 240)
    assert len(result) == 0 and result.landmarks.shape == (0, 478, 3)


def test_a_real_clip(landmarker: FaceLandmarker, images: list[ByteArray]) -> None:
    done: list[int] = []
    result = track(images, landmarker, progress=done.append)
    assert done == list(range(1, 11)) and result.valid.all()
    height, width = images[0].shape[:2]
    assert (result.landmarks[..., :2] > 0).all() and (result.landmarks[..., :2] < (width, height)).all()
    eyes_y, mouth_y, chin_y = (result.landmarks[:, part, 1].mean() for part in (EYE_CORNERS, MOUTH_CORNERS, [CHIN]))
    assert eyes_y < mouth_y < chin_y
    assert (result.landmarks[:, 33, 0] < result.landmarks[:, 263, 0]).all(), "the right eye is on the left"
    assert result.landmarks[:, 1, 2].mean() < result.landmarks[:, 234, 2].mean(), "the nose is nearer than the ear"


def test_points_move_with_the_image(landmarker: FaceLandmarker, images: list[ByteArray]) -> None:
    there = track(images[:3], landmarker).landmarks
    moved = track([shifted(image) for image in images[:3]], landmarker).landmarks
    assert np.abs(moved[..., :2] - SHIFT_PX - there[..., :2]).max() < 1.0


def test_points_are_mirrored_with_the_image(landmarker: FaceLandmarker, images: list[ByteArray]) -> None:
    width = images[0].shape[1]
    there = track(images[:3], landmarker).landmarks
    mirrored = track([np.ascontiguousarray(image[:, ::-1]) for image in images[:3]], landmarker).landmarks
    right, left = [33, 133, 70, 61, 78, 234, 172, 50], [263, 362, 300, 291, 308, 454, 397, 280]
    # Pixel centers at +0.5: x becomes width - x. With centers at whole numbers the sum would be width - 1.
    assert (there[:, right, 0] + mirrored[:, left, 0]).mean() == pytest.approx(width, abs=0.5)


def test_following_agrees_with_searching_every_frame(landmarker: FaceLandmarker, images: list[ByteArray]) -> None:
    followed = track(images, landmarker).landmarks
    searched = [FaceTracker(landmarker).update(frame) for frame in clip_of(images)]
    assert np.abs(followed - np.array([face.landmarks for face in searched]))[..., :2].mean() < 1.5


def test_choice_among_two_faces(landmarker: FaceLandmarker, images: list[ByteArray]) -> None:
    width = images[0].shape[1]
    alone = track(images[:2], landmarker).landmarks
    pair = [beside_each_other(image, image) for image in images[:2]]
    for choice, offset in (("left", 0), (0, 0), ("right", width), (1, width)):
        result = track(pair, landmarker, face=choice)
        assert np.abs(result.landmarks[..., :2] - alone[..., :2] - (offset, 0)).mean() < 1.0
    assert not track(pair, landmarker, face=2).valid.any()


def test_the_largest_face_by_default(landmarker: FaceLandmarker, images: list[ByteArray]) -> None:
    image = images[0]
    height, width = image.shape[:2]
    small = blank(height, width)
    small[: height // 2, : width // 2] = image[::2, ::2]
    assert track([beside_each_other(small, image)], landmarker).landmarks[0, :, 0].mean() > width
    assert track([beside_each_other(image, small)], landmarker).landmarks[0, :, 0].mean() < width


def test_a_lost_face_is_found_again_and_never_confused(landmarker: FaceLandmarker, images: list[ByteArray]) -> None:
    image = images[0]
    width = image.shape[1]
    both = beside_each_other(image, image)
    only_right = beside_each_other(blank(*image.shape[:2]), image)
    result = track([both, both, only_right, only_right, both], landmarker, face="left")
    assert result.valid.tolist() == [True, True, False, False, True]
    assert (result.landmarks[result.valid, :, 0] < width).all()


def test_another_face_is_taken_after_waiting(landmarker: FaceLandmarker, images: list[ByteArray]) -> None:
    image = images[0]
    away = beside_each_other(blank(*image.shape[:2]), image)
    frames = [Frame(beside_each_other(image, image), 0.0), Frame(away, 0.2), Frame(away, 0.8)]
    result = track_clip(frames, landmarker, away.shape[1], away.shape[0], face="left")
    assert result.valid.tolist() == [True, False, True]


def test_a_jump_is_followed_by_searching(landmarker: FaceLandmarker, images: list[ByteArray]) -> None:
    image = images[0]
    jumped = np.pad(image, ((0, 0), (90, 0), (0, 0)), mode="edge")[:, :-90]
    alone = track([image], landmarker).landmarks
    result = track([image, jumped], landmarker)
    assert np.abs(result.landmarks[1, :, :2] - (90, 0) - alone[0, :, :2]).mean() < 1.0


def test_output_that_is_not_finite_is_no_face(landmarker: FaceLandmarker, monkeypatch: pytest.MonkeyPatch) -> None:
    unusable = [np.full((1, 1, 1, 1434), np.nan, np.float32), np.full((1, 1, 1, 1), 9, np.float32)]
    monkeypatch.setattr(landmarker, "_landmarks", lambda _: unusable)
    assert landmarker.landmarks_in(blank(), FaceRegion(160, 120, 100, 0)) is None
