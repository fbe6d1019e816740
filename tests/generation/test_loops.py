"""Forward loops of clips whose motion is known because it was made here."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_face import face_model, write_frames
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError, OptionError
from talkinghead.face.region_removal import local_region
from talkinghead.generation import loops
from talkinghead.generation.loops import cached_loops, check_range, crossing_frames, find_loop, frames_in
from talkinghead.generation.timeline import playback
from talkinghead.structures import ByteArray, ClipRange, Loop, Reconstruction

pytestmark = pytest.mark.usefixtures("own_caches")

RATE = 25
SIZE = 128
SCALE = 4.0
REGION = local_region(face_model().of(np.zeros(face_model().identities, np.float32)))
TIMES_S = np.arange(100) / RATE
Array = NDArray[np.float64]


def clip_of(path: Path, places: Array) -> tuple[Path, Reconstruction]:
    """A clip in which a head, a disk of noise, is at these places (T, 2), px, before a background of noise."""
    draw = np.random.default_rng(4)
    back, head = (
        cv2.GaussianBlur(draw.integers(0, 255, (SIZE, SIZE, 3)).astype(np.float32), (0, 0), 2) * 3 - 250
        for _ in range(2)
    )
    disk = np.hypot(*(np.mgrid[0:SIZE, 0:SIZE] - SIZE / 2)) < 40

    def image(place: Array) -> ByteArray:
        move = np.array([[1, 0, place[0] - SIZE / 2], [0, 1, place[1] - SIZE / 2]], np.float64)
        moved, mask = (cv2.warpAffine(x.astype(np.float32), move, (SIZE, SIZE)) for x in (head, disk))
        return np.clip(back + mask[..., None] * (moved - back), 0, 255).astype(np.uint8)

    count = len(places)
    write_frames(path, (image(place) for place in places), np.arange(count) / RATE, Fraction(RATE))
    return path, Reconstruction(
        identity=np.zeros(face_model().identities, np.float32),
        expression=np.zeros((count, face_model().expressions), np.float32),
        rotation=np.zeros((count, 3), np.float32),
        translation=places.astype(np.float32),
        scale=np.full(count, SCALE, np.float32),
        valid=np.ones(count, np.bool_),
        times_s=np.arange(count) / RATE,
        misfit_cm=np.zeros(count),
    )


@pytest.fixture(scope="module")
def swaying(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reconstruction]:
    """Four seconds of a head that goes round once a second."""
    angle = 2 * np.pi * TIMES_S
    places = SIZE / 2 + np.stack([8 * np.sin(angle), 5 * np.cos(angle)], 1)
    return clip_of(tmp_path_factory.mktemp("loops") / "swaying.mp4", places)


@pytest.fixture(scope="module")
def leaving(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reconstruction]:
    """Four seconds of a head that moves to the right, and never comes back."""
    places = SIZE / 2 + np.stack([-20 + 0.4 * np.arange(len(TIMES_S)), np.sin(9 * TIMES_S)], 1)
    return clip_of(tmp_path_factory.mktemp("loops") / "leaving.mp4", places)


def everywhere(reconstruction: Reconstruction) -> NDArray[np.bool_]:
    return np.ones(len(reconstruction), np.bool_)


def test_a_clip_that_repeats_itself_loops_forward_in_phase(swaying: tuple[Path, Reconstruction]) -> None:
    path, reconstruction = swaying
    found = find_loop(path, REGION, reconstruction, everywhere(reconstruction), 0, 99)
    assert found is not None
    assert (found.leave - found.enter) % RATE == 0
    assert found.frames == 7 and found.fits(100)

    order, crossing = playback(400, path, REGION, reconstruction, everywhere(reconstruction), (0, 99))
    assert crossing is not None and crossing.loop == found and len(order) == 400
    assert (np.diff(order) != 0).all()
    steps = np.diff(order[order < 100])
    assert set(steps.tolist()) == {1, found.enter + found.frames - found.leave + 1}
    # The pose goes on as if nothing had happened: it turns by the same angle in every frame.
    places = crossing.extended.translation[order] - SIZE / 2
    angles = np.unwrap(np.arctan2(places[:, 0] / 8, places[:, 1] / 5))
    np.testing.assert_allclose(np.diff(angles), 2 * np.pi / RATE, atol=1e-3)


def test_a_clip_without_two_moments_alike_turns(leaving: tuple[Path, Reconstruction]) -> None:
    path, reconstruction = leaving
    assert find_loop(path, REGION, reconstruction, everywhere(reconstruction), 0, 99) is None
    order, crossing = playback(400, path, REGION, reconstruction, everywhere(reconstruction), (0, 99))
    assert crossing is None
    assert (np.abs(np.diff(order)) == 1).all() and order.min() == 0 and order.max() <= 99


def test_poses_alone_do_not_make_a_loop(tmp_path: Path, swaying: tuple[Path, Reconstruction]) -> None:
    """The head sways as before, but all of the picture grows brighter and brighter."""
    images = (np.full((SIZE, SIZE, 3), 20 + 2 * number, np.uint8) for number in range(100))
    path = write_frames(tmp_path / "brighter.mp4", images, TIMES_S, Fraction(RATE))
    assert find_loop(path, REGION, swaying[1], everywhere(swaying[1]), 0, 99) is None


@pytest.mark.parametrize("which", ["swaying", "leaving"])
def test_a_range_is_never_left(which: str, request: pytest.FixtureRequest) -> None:
    path, reconstruction = request.getfixturevalue(which)
    first, last = frames_in(ClipRange(0.8, 3.6), reconstruction.times_s, path)
    assert (first, last) == (20, 89)
    order, crossing = playback(500, path, REGION, reconstruction, everywhere(reconstruction), (first, last))
    assert (crossing is None) == (which == "leaving")
    shown = order[order < len(reconstruction)]
    assert order[0] == first and shown.min() >= first and shown.max() <= last
    if crossing is not None:
        loop = crossing.loop
        assert loop.enter >= first and loop.leave + loop.frames - 1 <= last
        assert order.max() == len(reconstruction) + loop.frames - 1


def test_a_crossing_keeps_clear_of_frames_that_cannot_be_used(swaying: tuple[Path, Reconstruction]) -> None:
    path, reconstruction = swaying
    free = find_loop(path, REGION, reconstruction, everywhere(reconstruction), 0, 99)
    assert free is not None
    usable = everywhere(reconstruction)
    usable[[free.leave + 3, free.enter + 3]] = False
    found = find_loop(path, REGION, reconstruction, usable, 0, 99)
    assert found is not None
    for start in (found.leave, found.enter):
        assert usable[start : start + found.frames].all()
    assert find_loop(path, REGION, reconstruction, ~everywhere(reconstruction), 0, 99) is None


def test_clips_that_are_too_short_have_no_loop(swaying: tuple[Path, Reconstruction]) -> None:
    path, reconstruction = swaying
    for last in (0, 1, 6, 13):
        assert find_loop(path, REGION, reconstruction, everywhere(reconstruction), 0, last) is None


def test_no_loop_is_sought_in_clips_of_any_length(
    swaying: tuple[Path, Reconstruction], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reconstruction = swaying
    monkeypatch.setattr(loops, "MOST_FRAMES", 99)
    assert find_loop(path, REGION, reconstruction, everywhere(reconstruction), 0, 99) is None
    assert find_loop(path, REGION, reconstruction, everywhere(reconstruction), 0, 98) is not None


@pytest.mark.parametrize(("rate", "frames"), [(25.0, 7), (29.97, 8), (30.0, 9), (50.0, 15), (60.0, 18), (5.0, 1)])
def test_a_crossing_lasts_at_most_0_3_s(rate: float, frames: int, swaying: tuple[Path, Reconstruction]) -> None:
    reconstruction = swaying[1].select(np.arange(100))
    object.__setattr__(reconstruction, "times_s", np.arange(100) / rate)
    assert crossing_frames(reconstruction) == frames


def test_loops_are_sought_once(swaying: tuple[Path, Reconstruction], monkeypatch: pytest.MonkeyPatch) -> None:
    path, reconstruction = swaying
    sought = []

    def find(*arguments: object) -> Loop | None:
        sought.append(arguments)
        return Loop(80, 5, 7) if len(sought) == 1 else None

    monkeypatch.setattr(loops, "find_loop", find)
    usable = everywhere(reconstruction)
    usable[0] = False  # no other test asks for this one
    for _ in range(2):
        assert cached_loops(path, REGION, reconstruction, usable, 0, 99) == (Loop(80, 5, 7),)
    assert len(sought) == 1
    for _ in range(2):
        assert cached_loops(path, REGION, reconstruction, usable, 0, 90) == ()
    assert len(sought) == 2


def test_a_damaged_file_of_loops_is_refused(tmp_path: Path) -> None:
    loops._save(tmp_path / "loops.safetensors", (Loop(80, 5, 7),))
    assert loops._load(tmp_path / "loops.safetensors", 86) == (Loop(80, 5, 7),)
    with pytest.raises(CheckpointError):
        loops._load(tmp_path / "loops.safetensors", 85)


@pytest.mark.parametrize("text", ["3-17s", "0-4.5s", "5-7s"])
def test_a_range_beyond_the_end_is_refused(text: str, swaying: tuple[Path, Reconstruction]) -> None:
    path, reconstruction = swaying
    with pytest.raises(
        OptionError, match=f"clip_range {text} goes beyond the end of .*swaying.mp4, which lasts 4.00 s"
    ):
        frames_in(ClipRange.parse(text), reconstruction.times_s, path)
    with pytest.raises(OptionError, match="goes beyond the end"):
        check_range(ClipRange.parse(text), path)


def test_a_range_may_end_with_the_clip(swaying: tuple[Path, Reconstruction]) -> None:
    path, reconstruction = swaying
    assert frames_in(None, reconstruction.times_s, path) == (0, 99)
    assert frames_in(ClipRange.parse("0-4s"), reconstruction.times_s, path) == (0, 99)
    assert frames_in(ClipRange.parse("2.92 - 4.05"), reconstruction.times_s, path) == (73, 99)
    check_range(ClipRange.parse("0-4s"), path)
