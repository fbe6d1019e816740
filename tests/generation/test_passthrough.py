"""Frames that cannot be given a new lower face are found and passed through: drawn heads, turned, covered, blinking."""

from __future__ import annotations

import dataclasses
import json
import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from drawn_face import EYES, draw_frames, face_model, perform, performance, person, write_frames
from scipy.spatial.transform import Rotation

from talkinghead.anchor import APPEARANCE_FILE, Anchor, load_anchor
from talkinghead.cli.main import main
from talkinghead.errors import OtherPersonError
from talkinghead.face.appearance import Appearance
from talkinghead.face.reconstruction import project
from talkinghead.face.region_removal import crop_frame, place_crops, region_masks
from talkinghead.generation.outcome import MOSTLY_PASSED_THROUGH
from talkinghead.generation.passthrough import (
    FADE_S,
    PassthroughCount,
    Reason,
    UpdatedFrame,
    blend_weights,
    reject_reasons,
    turned_deg,
)
from talkinghead.generation.pipeline import generate
from talkinghead.generation.timeline import plan
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import ByteArray, Reconstruction

pytestmark = pytest.mark.usefixtures("own_caches")

FRAMES = 50
RATE = Fraction(25)
HAND = (205, 150, 120)


@pytest.fixture(scope="module")
def seen() -> Reconstruction:
    """The anchor's person in other speech."""
    return perform(person(0), performance(FRAMES / 25, 5), np.arange(FRAMES) / 25)


@pytest.fixture(scope="module")
def images(seen: Reconstruction) -> list[ByteArray]:
    return list(draw_frames(person(0), seen))


def with_hand(images: list[ByteArray], seen: Reconstruction, frames: range) -> list[ByteArray]:
    """A hand before the mouth in some of the frames."""
    covered = [image.copy() for image in images]
    for frame in frames:
        x, y = seen.translation[frame].astype(int)
        cv2.ellipse(covered[frame], (int(x) + 8, int(y) + 52), (36, 44), 20, 0, 360, HAND, -1)
    return covered


def turned(seen: Reconstruction, degrees: np.ndarray, axis: tuple[int, int, int]) -> Reconstruction:
    by = Rotation.from_rotvec(np.radians(degrees)[:, None] * axis)
    rotation = (by * Rotation.from_rotvec(seen.rotation)).as_rotvec()
    return dataclasses.replace(seen, rotation=rotation.astype(np.float32))


def generated(anchor_folder: Path, images: list[ByteArray], expression_file: Path, folder: Path, speech: Path) -> dict:
    clip = write_frames(folder / "clip.mp4", iter(images), np.arange(len(images)) / 25, RATE)
    return generate(anchor_folder, speech, folder / "output.mp4", clip=clip, expression=expression_file, device="cpu")


def changes(folder: Path) -> np.ndarray:
    """Mean absolute difference of 255 between the mouths of the clip and of the output, frame by frame."""
    with VideoReader(folder / "clip.mp4") as clip, VideoReader(folder / "output.mp4") as output:
        pairs = zip(clip, output, strict=False)  # the speech is shorter than the clip
        return np.array([np.abs(a.image.astype(int) - b.image)[130:200, 90:170].mean() for a, b in pairs])


def test_turning_counts_from_what_was_trained_and_in_depth_only(seen: Reconstruction) -> None:
    degrees = np.full(FRAMES, 20.0)
    np.testing.assert_allclose(turned_deg(seen, seen), 0, atol=0.6)
    np.testing.assert_allclose(turned_deg(seen, turned(seen, degrees, (0, 0, 1))), 0, atol=3)
    for axis in ((0, 1, 0), (1, 0, 0)):
        assert turned_deg(seen, turned(seen, degrees, axis)).min() > 10
    np.testing.assert_allclose(
        turned_deg(turned(seen, degrees, (0, 1, 0)), turned(seen, degrees, (0, 1, 0))), 0, atol=0.6
    )


def test_each_cause_has_its_reason(seen: Reconstruction) -> None:
    trained = dataclasses.replace(seen, misfit_cm=np.full(FRAMES, 0.03))
    valid = np.ones(FRAMES, np.bool_)
    valid[10] = False
    misfit_cm = np.full(FRAMES, 0.03)
    misfit_cm[20] = 0.5
    degrees = np.where(np.arange(FRAMES) == 30, 40.0, 0.0)
    strange = dataclasses.replace(turned(seen, degrees, (0, 1, 0)), valid=valid)
    found = reject_reasons(dataclasses.replace(strange, misfit_cm=misfit_cm), trained)
    expected = {10: Reason.NO_FACE, 20: Reason.MISFIT, 30: Reason.TURNED}
    assert {frame: reason for frame, reason in enumerate(found) if reason} == expected
    # Another camera distorts every face in another way.
    assert not any(reject_reasons(dataclasses.replace(seen, misfit_cm=np.full(FRAMES, 0.2)), trained))


def test_blend_weights_ease_to_zero_and_back() -> None:
    times_s = np.arange(60) / 60
    accepted = np.ones(60, np.bool_)
    accepted[28:31] = False
    weight = blend_weights(accepted, times_s)
    np.testing.assert_array_equal(weight == 0, ~accepted)
    np.testing.assert_array_equal(weight < 1, np.abs(times_s - times_s[29]) < FADE_S + 1 / 60 - 1e-6)
    assert np.abs(np.diff(weight)).max() < 0.13
    assert (blend_weights(np.ones(9, np.bool_), times_s[:9]) == 1).all()


def test_frames_are_counted_by_what_became_of_them() -> None:
    """A frame with a reason counts as passed through whatever its weight; one of weight 0 or 1 is no blend."""
    count = PassthroughCount()
    image = np.zeros((2, 2, 3), np.uint8)
    assert count.report().passed_through == count.report().blended == 0
    cases = [(None, 1.0), (None, 0.3), (Reason.COVERED, 0.0), (Reason.NO_FACE, 0.0), (Reason.COVERED, 0.0), (None, 0.0)]
    for number, (reason, weight) in enumerate(cases):
        count.add(UpdatedFrame(image, number / 25, None, reason, weight))
    early = count.report()
    assert early.reasons == {Reason.COVERED: 2, Reason.NO_FACE: 1}
    assert (early.passed_through, early.blended) == (3, 1)
    count.add(UpdatedFrame(image, 1.0, None, Reason.TURNED, 0.0))
    assert early.passed_through == 3 and count.report().passed_through == 4


def test_a_hand_is_detected_and_light_and_speech_are_not(
    anchor: Anchor, images: list[ByteArray], seen: Reconstruction
) -> None:
    crops = place_crops(anchor.region, seen, anchor.network.config.size_px)

    def cut(frames: list[ByteArray]) -> np.ndarray:
        return np.stack([crop_frame(p, m, crops.size_px) for p, m in zip(frames, crops.to_frame, strict=True)])

    own = cut(images)
    _, feathers = region_masks(anchor.region, seen, crops)
    appearance = Appearance.of(own[::2], np.round(feathers[::2] * 255).astype(np.uint8))
    darker = [(image * 0.85).astype(np.uint8) for image in images]
    assert not any(appearance.is_covered(crop) for crop in own)
    assert not any(appearance.is_covered(crop) for crop in cut(darker))
    assert all(appearance.is_covered(crop) for crop in cut(with_hand(images, seen, range(FRAMES))))


def test_frames_with_a_hand_pass_through(
    anchor_folder: Path,
    expression_file: Path,
    images: list[ByteArray],
    seen: Reconstruction,
    tmp_path: Path,
    speech: Path,
) -> None:
    hidden = range(12, 18)
    made = generated(anchor_folder, with_hand(images, seen, hidden), expression_file, tmp_path, speech)
    changed = changes(tmp_path)
    assert set(made["passed_through"]) <= {str(Reason.COVERED), str(Reason.MISFIT)}
    assert len(hidden) <= made["frames_passed_through"] <= len(hidden) + 6
    assert 2 <= made["frames_blended"] <= 16
    assert changed[list(hidden)].max() < 0.5 * changed[25:].min()  # what encoding changes
    assert np.abs(np.diff(changed)).max() < 0.6 * (changed.max() - changed.min())  # no jump


def test_another_person_is_refused_before_any_frame_is_made(
    anchor_folder: Path, expression_file: Path, tmp_path: Path, speech: Path
) -> None:
    other = perform(person(1), performance(3.0, 5), np.arange(FRAMES) / 25)
    with pytest.raises(OtherPersonError, match="another person"):
        generated(anchor_folder, list(draw_frames(person(1), other)), expression_file, tmp_path, speech)
    assert not (tmp_path / "output.mp4").exists()


def test_the_command_says_that_most_frames_have_their_old_mouth(
    anchor_folder: Path,
    expression_file: Path,
    images: list[ByteArray],
    seen: Reconstruction,
    tmp_path: Path,
    speech: Path,
) -> None:
    clip = write_frames(
        tmp_path / "clip.mp4", iter(with_hand(images, seen, range(6, FRAMES))), np.arange(FRAMES) / 25, RATE
    )
    files = [str(anchor_folder), str(speech), "-o", str(tmp_path / "out.mp4")]
    options = ["--clip", str(clip), "--expression", str(expression_file), "--device", "cpu"]
    result = CliRunner().invoke(main, ["generate", *files, *options])
    assert result.exit_code == MOSTLY_PASSED_THROUGH and (tmp_path / "out.mp4").is_file()
    assert "most of the video has its old mouth" in result.stderr


def test_a_head_turned_beyond_the_clip_passes_through(
    anchor_folder: Path, anchor: Anchor, expression_file: Path, seen: Reconstruction, tmp_path: Path, speech: Path
) -> None:
    degrees = 45 * np.clip((np.arange(FRAMES) - 8) / 16, 0, 1)
    images = list(draw_frames(person(0), turned(seen, degrees, (0, 1, 0))))
    made = generated(anchor_folder, images, expression_file, tmp_path, speech)
    assert made["passed_through"].get(str(Reason.TURNED), 0) > 5
    timeline = plan(anchor, tmp_path / "clip.mp4", FRAMES / 25)
    assert timeline.reject_reasons[0] is None and timeline.reject_reasons[-1] is Reason.TURNED


def test_blinking_frames_are_updated(
    anchor_folder: Path,
    expression_file: Path,
    images: list[ByteArray],
    seen: Reconstruction,
    tmp_path: Path,
    speech: Path,
) -> None:
    blinking = [image.copy() for image in images]
    model = face_model()
    shape = (model.neutral + np.tensordot(seen.identity, model.identity_basis, 1))[None].astype(np.float32)
    for frame in (10, 11, 12, 25, 26):
        points = project(shape, seen.select(np.array([frame])), slice(None))[0, :, :2]
        for eye in EYES:
            color = tuple(int(value) for value in person(0).skin * 0.85)
            cv2.fillPoly(blinking[frame], [np.round(points[list(eye)]).astype(np.int32)], color)
    made = generated(anchor_folder, blinking, expression_file, tmp_path, speech)
    assert made["passed_through"] == {} and made["frames_blended"] == 0


def test_an_anchor_without_appearance_still_works(
    anchor_folder: Path,
    expression_file: Path,
    images: list[ByteArray],
    seen: Reconstruction,
    tmp_path: Path,
    speech: Path,
) -> None:
    old = shutil.copytree(anchor_folder, tmp_path / "old")
    description = json.loads((old / "anchor.json").read_text())
    del description["sha256"][APPEARANCE_FILE]
    (old / "anchor.json").write_text(json.dumps(description))
    (old / APPEARANCE_FILE).unlink()
    assert load_anchor(old).appearance is None
    made = generated(old, images, expression_file, tmp_path, speech)
    assert made["frames_passed_through"] == 0
