"""The truth of a clip: what is visible, where it is, and in which shapes it is written."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from talkinghead.files import load_arrays, save_arrays
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.audio_writer import write_audio
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import Audio

assemble = import_module("assemble")
head = import_module("head")
looks = import_module("looks")
surface = import_module("surface")
tongue = import_module("tongue")

pytestmark = pytest.mark.skipif(
    not head.ict_path().exists(), reason="no head model: TALKINGHEAD_ICT names where ict_facekit.npz is"
)
SIZE_PX = 128
FRAMES = 3


@pytest.fixture(scope="module")
def look() -> str:
    return str(sorted(looks.LOOKS)[0])


@pytest.fixture(scope="module")
def seen(look: str) -> Any:
    return surface.Surface(head.load_head(looks.LOOKS[look].identity()))


def weights(model: Any, **named: float) -> np.ndarray:
    values = np.zeros(len(model.expression_names))
    for name, value in named.items():
        values[model.expression_names.index(name)] = value
    return values


def frame(model: Any, tip: float = 0.0, **named: float) -> dict[str, np.ndarray]:
    still = {
        "rotation_rad": np.zeros(3),
        "translation_cm": np.zeros(3),
        "tongue": np.array([tip, 0.0, tongue.RESTING_BACK]),
    }
    return {"expression": weights(model, **named), **still}


def test_a_closed_mouth_shows_nothing_and_an_open_one_teeth_tongue_and_a_hollow(seen: Any) -> None:
    opened = seen.visible_in_mouth(seen.vertices(frame(seen.head, jawOpen=0.45)), 2 * SIZE_PX)
    resting = seen.head.landmarks68
    gap = seen.head.neutral[resting[62], 1] - seen.head.neutral[resting[66], 1]
    reach = seen.head.expressions[seen.head.expression_names.index("mouthClose")][resting[[62, 66]], 1]
    closed_at = (gap + 0.1) / (reach[1] - reach[0])
    closed = seen.visible_in_mouth(seen.vertices(frame(seen.head, mouthClose=closed_at)), 2 * SIZE_PX)
    parts = dict(zip(surface.PARTS, opened.tolist(), strict=True))
    assert closed.sum() <= 4
    assert parts["lower_teeth"] >= 4 and parts["tongue_and_gums"] > 50
    bared = frame(seen.head, mouthUpperUp_L=0.6, mouthUpperUp_R=0.6)
    assert seen.visible_in_mouth(seen.vertices(bared), 2 * SIZE_PX)[0] > 30


def test_pixels_grow_with_the_square_of_the_image(seen: Any) -> None:
    vertices = seen.vertices(frame(seen.head, jawOpen=0.4))
    small, large = (seen.visible_in_mouth(vertices, size).sum() for size in (SIZE_PX, 4 * SIZE_PX))
    assert large / small == pytest.approx(16, rel=0.1)


def test_the_tip_of_the_tongue_reaches_the_ridge_and_all_else_stays(seen: Any) -> None:
    for jaw in (0.05, 0.25):
        rest = seen.head.deformed(weights(seen.head, jawOpen=jaw))
        moved = seen.tongue.moved(rest, np.array([1.0, 0.0, tongue.RESTING_BACK]), jaw)
        change = np.linalg.norm(moved - rest, axis=1)
        assert change[tongue.MOUTH_FLOOR].max() > 0.9
        change[tongue.MOUTH_FLOOR] = 0
        assert change.max() == 0
        tip = moved[tongue.MOUTH_FLOOR][seen.tongue.part[:, 0] > 0.95]
        gums = rest[tongue.MOUTH_FLOOR][seen.tongue.part.max(1) == 0]
        ridge = gums[(np.abs(gums[:, 0]) < 0.3) & (gums[:, 1] > tip[:, 1].min())]
        assert np.min(np.linalg.norm(tip[:, None] - ridge[None], axis=2)) < 0.6  # of the person with the shortest reach
    # What is above the tongue at rest is palate and upper gums, which no movement takes along.
    highest = seen.head.generic[tongue.MOUTH_FLOOR][seen.tongue.part.max(1) > 0.01, 1].max()
    assert highest < -2.6


def test_clip_mattes_and_truth_are_assembled(look: str, seen: Any, tmp_path: Path) -> None:
    """Of three frames that are gray images with a white square, and of half a second of a tone."""
    images, mattes, performed = tmp_path / "frames", tmp_path / "mattes", tmp_path / "performance"
    for folder in (images, mattes, performed):
        folder.mkdir()
    square = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    square[32:96, 32:96] = 255
    for index in range(FRAMES):
        cv2.imwrite(str(images / f"{index:05d}.png"), np.full((SIZE_PX, SIZE_PX, 3), 90 + index, np.uint8))
        cv2.imwrite(str(mattes / f"{index:05d}.png"), square)
    tone = np.sin(np.arange(24000 * FRAMES // 25) * 0.1).astype(np.float32) * 0.1
    write_audio(performed / "speech.wav", [Audio(tone, 24000)])
    jaws = (0.0, 0.2, 0.4)
    arrays = {
        "expression": np.stack([weights(seen.head, jawOpen=jaw) for jaw in jaws]),
        **{name: np.zeros((FRAMES, 3)) for name in ("rotation_rad", "translation_cm", "tongue")},
        **{name: np.zeros((FRAMES, 3)) for name in ("torso_rotation_rad", "torso_translation_cm")},
        **{name: np.zeros(FRAMES) for name in ("breath", "blink")},
        "gaze_rad": np.zeros((FRAMES, 2)),
        "phone_times_s": np.array([[0.0, 0.05], [0.05, 0.12]]),
        "release_s": np.array([np.nan, 0.1]),
    }
    about = {"frame_rate": 25, "expression_names": seen.head.expression_names, "phones": ["ɑ", "b"], "stress": [2, 0]}
    save_arrays(performed / "performance.safetensors", arrays, {"performance": json.dumps(about)})
    output = tmp_path / "out"
    arguments = [look, str(images), str(performed), "-o", str(output), "--mattes", str(mattes)]
    run = CliRunner().invoke(assemble.main, arguments, catch_exceptions=False)
    assert run.exit_code == 0, run.output

    truth, metadata = load_arrays(output / f"{look}.safetensors")
    shapes = {
        "expression": (FRAMES, len(seen.head.expression_names)), "rotation_rad": (FRAMES, 3),
        "landmarks_cm": (FRAMES, 68, 3), "landmarks_px": (FRAMES, 68, 2), "lips_cm": (FRAMES, 20, 3),
        "opening_cm": (FRAMES,), "visible_px": (FRAMES, 4), "tongue": (FRAMES, 3), "breath": (FRAMES,),
        "phone_times_s": (2, 2), "release_s": (2,), "camera_intrinsics": (3, 3), "camera_cm": (3,),
    }  # fmt: skip
    assert {name: truth[name].shape for name in shapes} == shapes
    assert json.loads(metadata["about"])["visible_px"] == list(surface.PARTS)
    # Nothing rotates: the lips in the head's own axes are those in space. The jaw opens the mouth and shows more of it.
    np.testing.assert_allclose(truth["lips_cm"], truth["landmarks_cm"][:, 48:], atol=1e-5)
    assert np.all(np.diff(truth["opening_cm"]) > 0.3) and np.all(np.diff(truth["visible_px"].sum(1)) > 0)
    with VideoReader(output / f"{look}_matte.mp4") as reader:
        read = [frame.image for frame in reader]
    assert len(read) == FRAMES
    assert max(np.abs(image.astype(int) - square[..., None]).mean() for image in read) < 1.5
    assert read_audio(output / f"{look}.mp4").duration_s == pytest.approx(FRAMES / 25, abs=0.05)


def test_missing_images_are_counted(tmp_path: Path) -> None:
    with pytest.raises(assemble.click.ClickException, match=r"4 of 4 images in .* run render.py on"):
        assemble.images_of(tmp_path, 4, "render.py")


def test_a_clip_is_encoded_as_well_as_its_size_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{index:05d}.png" for index in range(4)]
    for path in paths:
        cv2.imwrite(str(path), random.integers(0, 255, (64, 64, 3), np.uint8))
    write_audio(tmp_path / "speech.wav", [Audio(np.zeros(24000 * 4 // 25, np.float32), 24000)])
    sizes = {}
    for crf in assemble.CRFS:
        assemble.encode(paths, tmp_path / "all.mp4", assemble.Fraction(25), tmp_path / "speech.wav", "", crf)
        sizes[crf] = (tmp_path / "all.mp4").stat().st_size
    monkeypatch.setattr(assemble, "MOST_BYTES", sizes[17])
    found = assemble.encode_small(paths, tmp_path / "clip.mp4", assemble.Fraction(25), tmp_path / "speech.wav", "")
    assert (tmp_path / "clip.mp4").stat().st_size == sizes[found] <= sizes[17] < sizes[found - 1]
    monkeypatch.setattr(assemble, "MOST_BYTES", 10)
    with pytest.raises(assemble.click.ClickException, match="MB even at a CRF"):
        assemble.encode_small(paths, tmp_path / "clip.mp4", assemble.Fraction(25), tmp_path / "speech.wav", "")
