"""Generating from an ANCHOR of a drawn person, whose coefficients, images and audio are known."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import soundfile
import torch
from drawn_face import (
    RATE_HZ,
    SIZE,
    DrawnClip,
    audio_of,
    draw_frames,
    drawn_clip,
    performance,
    person,
    with_expression,
    write_frames,
)
from numpy.typing import NDArray

from talkinghead.anchor import Anchor
from talkinghead.errors import CoefficientError, OutputExistsError
from talkinghead.face.landmarks import FaceLandmarker
from talkinghead.face.reconstruction import project, reconstruct
from talkinghead.face.region_removal import FEATHER_CM, crop_frame, place_crops
from talkinghead.face.tracking import FaceTracker, track_file
from talkinghead.generation.config import GenerationConfig
from talkinghead.generation.driving import (
    calibration_for,
    expression_from_speech,
    load_speech_model,
    measure_expression,
)
from talkinghead.generation.expression_files import save_expression
from talkinghead.generation.face_updater import FaceUpdater
from talkinghead.generation.leads import LEAD_S
from talkinghead.generation.pipeline import generate, is_own_voice
from talkinghead.generation.timeline import _variable_rate_plan
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.images import GAP_PX, SHEET_WIDTH_PX
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import Audio, ByteArray, FloatArray, Frame, Reconstruction
from talkinghead.weights.bundled import anchor_folder as anchor_folder_of
from talkinghead.weights.bundled import checkpoint_folder

pytestmark = pytest.mark.usefixtures("own_caches")

CPU = torch.device("cpu")
RATES = [
    Fraction(24000, 1001),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60000, 1001),
]
SHORT_S = 0.45
LEAK = 1.0
"""Of 255: what may be visible of the old mouth in the new image, on average over the region."""
SPEECH_MODEL = ("speech_encoder", "expression_predictor.safetensors")
needs_speech_model = pytest.mark.skipif(
    not all((checkpoint_folder() / name).exists() for name in SPEECH_MODEL),
    reason=f"not all of {', '.join(SPEECH_MODEL)} are among the checkpoints",
)


@pytest.fixture(scope="module")
def short_speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "short.wav"
    soundfile.write(path, audio_of(performance(1, 7), SHORT_S).samples, RATE_HZ)
    return path


def read(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader)


def inside_region(anchor: Anchor, reconstruction: Reconstruction, frame: int, margin_cm: float) -> NDArray[np.bool_]:
    """(H, W) whether a pixel of the frame lies within so many cm of what is removed."""
    pose = reconstruction.select(np.array([frame]))
    outline = project(anchor.region.outline[None], pose, slice(None))[0, :, :2]
    hole = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(hole, [np.round((outline - 0.5) * 16).astype(np.int32)], 1, shift=4)
    distance = cv2.distanceTransform(1 - hole, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance <= margin_cm * float(pose.scale[0]))


def gaps(images: list[ByteArray], landmarker: FaceLandmarker) -> FloatArray:
    """The gap between the inner lips over the width of the face that the landmark model finds in each image."""
    tracker = FaceTracker(landmarker)
    found = [tracker.update(Frame(image, number / 25)) for number, image in enumerate(images)]
    points = np.array([face.landmarks[:, :2] for face in found if face is not None])
    assert len(points) == len(images)
    return np.linalg.norm(points[:, 13] - points[:, 14], axis=1) / np.linalg.norm(
        points[:, 234] - points[:, 454], axis=1
    )


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{float(rate):.3f}")
def test_frames_and_audio_are_complete_at_any_rate(
    rate: Fraction, anchor_folder: Path, expression_file: Path, short_speech: Path, tmp_path: Path
) -> None:
    source = drawn_clip(tmp_path / "source.mp4", 0.5, rate, spoken=1, with_audio=False)
    output = tmp_path / "output.mp4"
    made = generate(anchor_folder, short_speech, output, clip=source.path, expression=expression_file, device="cpu")
    frames = read(output)
    assert len(frames) == made["frames"] == math.ceil(round(SHORT_S * rate, 6))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(len(frames)) / float(rate), atol=1e-4)
    assert len(read_audio(output).samples) == len(read_audio(short_speech).samples) == round(SHORT_S * RATE_HZ)
    assert made["frames_passed_through"] == 0
    assert made["fps"] == float(rate)


def test_a_variable_rate_keeps_its_own_times(
    anchor_folder: Path, expression_file: Path, short_speech: Path, tmp_path: Path
) -> None:
    steps = np.array([0.033] * 10 + [0.046] * 10)
    times_s = np.concatenate([[0], np.cumsum(steps)[:-1]])
    source = drawn_clip(tmp_path / "source.mp4", 1.5, 20, spoken=1, with_audio=False, times_s=times_s)
    output = tmp_path / "output.mp4"
    generate(anchor_folder, short_speech, output, clip=source.path, expression=expression_file, device="cpu")
    found = [frame.time_s for frame in read(output)]
    np.testing.assert_allclose(found, times_s[times_s < SHORT_S], atol=1e-3)
    assert len(read_audio(output).samples) == round(SHORT_S * RATE_HZ)


def test_a_gap_in_the_clip_is_filled(
    anchor_folder: Path, expression_file: Path, short_speech: Path, tmp_path: Path
) -> None:
    times_s = np.arange(20) / 25 + 0.2 * (np.arange(20) >= 5)
    source = drawn_clip(tmp_path / "source.mp4", 1.5, 20, spoken=1, with_audio=False, times_s=times_s)
    output = tmp_path / "output.mp4"
    made = generate(anchor_folder, short_speech, output, clip=source.path, expression=expression_file, device="cpu")
    count = math.ceil(SHORT_S * 25)
    assert made["frames"] == count and made["fps"] == 25
    assert made["pictures"]["clip"]["filled_frames"] == 5
    np.testing.assert_allclose([frame.time_s for frame in read(output)], np.arange(count) / 25, atol=1e-3)


def test_a_variable_rate_turns_where_it_is_told() -> None:
    intervals_s = np.array([0.03, 0.04, 0.05, 0.04, 0.03])
    frames, times_s = _variable_rate_plan(intervals_s, (1, 3), 0.5)
    assert frames.tolist() == [0, 1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3]
    np.testing.assert_allclose(times_s, np.cumsum([0, *intervals_s[frames[:-1]]]))
    assert times_s[-1] < 0.5 <= times_s[-1] + intervals_s[frames[-1]]


def test_speech_longer_than_the_clip(
    anchor_folder: Path, expression_file: Path, short_speech: Path, tmp_path: Path
) -> None:
    source = drawn_clip(tmp_path / "source.mp4", 0.24, spoken=2, with_audio=False)
    output = tmp_path / "output.mp4"
    made = generate(anchor_folder, short_speech, output, clip=source.path, expression=expression_file, device="cpu")
    assert made["frames"] == len(read(output)) == math.ceil(SHORT_S * 25) > len(source.times_s)


def test_the_driving_audio_is_in_the_output(
    anchor_folder: Path, expression_file: Path, speech: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output.mp4"
    generate(anchor_folder, speech, output, expression=expression_file, device="cpu")
    given, found = read_audio(speech).samples, read_audio(output).samples
    assert len(given) == len(found)
    assert np.corrcoef(given, found)[0, 1] > 0.98


def test_nothing_changes_outside_the_region(anchor: Anchor, clip: DrawnClip) -> None:
    frames = np.arange(0, len(clip.truth), 12)
    images = [frame.image for number, frame in enumerate(read(clip.path)) if number in frames]
    updater = FaceUpdater(anchor, anchor.reconstruction, CPU)
    wide_open = np.tile(anchor.reconstruction.expression[np.argmax(clip.opening)], (len(frames), 1))
    for frame, old, new in zip(frames, images, updater.update(images, frames, wide_open), strict=True):
        changed = (old != new).any(-1)
        # Half a centimetre is a few pixels here: of bilinear sampling and of the crop's own grid.
        assert not changed[~inside_region(anchor, anchor.reconstruction, int(frame), FEATHER_CM + 0.5)].any()
        assert changed[inside_region(anchor, anchor.reconstruction, int(frame), 0.0)].mean() > 0.5


def test_the_mouth_follows_the_coefficients(anchor: Anchor, clip: DrawnClip, landmarker: FaceLandmarker) -> None:
    """Frames of one pose, driven by the clip's own expressions in another order, show the openings in that order."""
    chosen = np.argsort(clip.opening)[:: len(clip.opening) // 20]
    still = int(np.argsort(clip.opening)[len(clip.opening) // 2])
    image = read(clip.path)[still].image
    updater = FaceUpdater(anchor, anchor.reconstruction, CPU)
    driven = anchor.reconstruction.expression[chosen]
    made = updater.update([image] * len(chosen), np.full(len(chosen), still), driven)
    wanted = anchor.face.opening(driven)
    found = gaps(made, landmarker)
    print(f"opening: r {np.corrcoef(found, wanted)[0, 1]:.3f}, ratio {found.std() / wanted.std():.2f}")
    assert np.corrcoef(found, wanted)[0, 1] > 0.7
    assert found[-5:].mean() > found[:5].mean() + 0.01


def test_the_old_mouth_does_not_show_through(anchor: Anchor, clip: DrawnClip, tmp_path: Path) -> None:
    """Two clips that differ in the drawn mouth alone, driven alike, give nearly the same images."""
    frames = np.arange(0, len(clip.truth), 8)
    truth = clip.truth.select(frames)
    shut, wide = (clip.truth.expression[pick] for pick in (np.argmin(clip.opening), np.argmax(clip.opening)))
    cases = [list(draw_frames(person(0), with_expression(truth, mouth))) for mouth in (shut, wide)]
    driven = anchor.reconstruction.expression[frames]
    held = FaceUpdater(anchor, anchor.reconstruction, CPU)
    made = [held.update(images, frames, driven) for images in cases]
    inside = [inside_region(anchor, anchor.reconstruction, int(frame), 0.0) for frame in frames]
    before, after = mean_change(*cases, inside), mean_change(*made, inside)

    reconstructions = []
    for number, images in enumerate(cases):
        path = write_frames(tmp_path / f"{number}.mp4", iter(images), np.arange(len(frames)) / 25, Fraction(25))
        identity = anchor.reconstruction.identity
        reconstructions.append(reconstruct(track_file(path), anchor.model, identity=identity))
    tracked = [
        FaceUpdater(anchor, found, CPU).update(images, np.arange(len(frames)), driven)
        for found, images in zip(reconstructions, cases, strict=True)
    ]
    end_to_end = mean_change(*tracked, inside)
    print(f"leak: {before:.2f} in the clips, {after:.3f} with the pose held, {end_to_end:.3f} from end to end")
    assert before > 3
    assert after <= LEAK
    assert end_to_end < before / 2


def mean_change(one: list[ByteArray], other: list[ByteArray], inside: list[NDArray[np.bool_]]) -> float:
    """Mean absolute difference within the region, of 255."""
    return float(np.mean([np.abs(a[m].astype(int) - b[m]).mean() for a, b, m in zip(one, other, inside, strict=True)]))


def test_frames_without_a_face_pass_through(
    anchor_folder: Path, anchor: Anchor, expression_file: Path, short_speech: Path, tmp_path: Path
) -> None:
    times_s = np.arange(12) / 25
    images = list(draw_frames(person(0), anchor.reconstruction.select(np.arange(12))))
    blank = np.full_like(images[0], 128)
    images[5:8] = [blank] * 3
    source = write_frames(tmp_path / "source.mp4", iter(images), times_s, Fraction(25))
    output = tmp_path / "output.mp4"
    made = generate(anchor_folder, short_speech, output, clip=source, expression=expression_file, device="cpu")
    assert made["frames"] == 12
    assert made["frames_passed_through"] == 3
    for frame in read(output)[5:8]:
        assert np.abs(frame.image.astype(int) - 128).mean() < 3


def test_expression_is_measured_from_a_video_of_the_anchor(anchor: Anchor, clip: DrawnClip) -> None:
    measured, times_s = measure_expression(anchor, clip.path)
    np.testing.assert_allclose(measured, anchor.reconstruction.expression, atol=0.05)
    np.testing.assert_allclose(times_s, clip.times_s, atol=1e-4)


def test_another_persons_expression_is_transferred(anchor: Anchor, tmp_path: Path) -> None:
    other = drawn_clip(tmp_path / "other.mp4", 2.0, seed=1, spoken=5, with_audio=False)
    measured, _ = measure_expression(anchor, other.path)
    opening = anchor.face.opening(measured)
    assert np.corrcoef(opening, other.opening)[0, 1] > 0.8


def test_coefficients_from_a_table_with_a_row_a_frame(
    anchor_folder: Path, anchor: Anchor, short_speech: Path, tmp_path: Path
) -> None:
    """A .csv and a .safetensors file with the same numbers give the same images."""
    rows = anchor.reconstruction.expression[:12].astype(np.float32)
    table, arrays = tmp_path / "rows.csv", tmp_path / "rows.safetensors"
    header = ",".join(f"e{number}" for number in range(rows.shape[1]))
    np.savetxt(table, rows, delimiter=",", header=header, comments="", fmt="%.9g")
    save_expression(arrays, rows, np.arange(12) / 25)
    for source in (table, arrays):
        generate(
            anchor_folder, short_speech, source.with_suffix(f"{source.suffix}.mp4"), expression=source, device="cpu"
        )
    for a, b in zip(read(tmp_path / "rows.csv.mp4"), read(tmp_path / "rows.safetensors.mp4"), strict=True):
        np.testing.assert_array_equal(a.image, b.image)


def test_intensity_scales_the_motion_about_the_anchors_rest(
    anchor: Anchor, anchor_folder: Path, short_speech: Path, tmp_path: Path
) -> None:
    rest = anchor.rest_expression()
    lively = anchor.reconstruction.expression[20:40]
    for name, values in (("lively", lively), ("half", rest + 0.5 * (lively - rest))):
        save_expression(tmp_path / f"{name}.safetensors", values.astype(np.float32), np.arange(20) / 25)
    outputs = []
    for name, intensity in (("lively", 0.5), ("half", 1.0), ("lively", 1.0)):
        output = tmp_path / f"{name} {intensity}.mp4"
        expression = tmp_path / f"{name}.safetensors"
        made = generate(anchor_folder, short_speech, output, expression=expression, intensity=intensity, device="cpu")
        assert made["intensity"] == intensity
        outputs.append(np.stack([frame.image for frame in read(output)]))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert (outputs[0] != outputs[2]).any()


@pytest.mark.parametrize("intensity", [-0.1, 3.5, math.nan])
def test_an_intensity_out_of_range_is_refused(anchor_folder: Path, tmp_path: Path, intensity: float) -> None:
    with pytest.raises(CoefficientError, match="from 0 to 3"):
        generate(anchor_folder, tmp_path / "none.wav", tmp_path / "output.mp4", intensity=intensity)


def test_generating_twice_gives_the_same(
    anchor_folder: Path, expression_file: Path, short_speech: Path, tmp_path: Path
) -> None:
    done: list[tuple[int, int]] = []
    for name in ("a.mp4", "b.mp4"):
        generate(
            anchor_folder,
            short_speech,
            tmp_path / name,
            expression=expression_file,
            device="cpu",
            progress=lambda *counts: done.append(counts),
        )
    for a, b in zip(read(tmp_path / "a.mp4"), read(tmp_path / "b.mp4"), strict=True):
        np.testing.assert_array_equal(a.image, b.image)
    assert done == [(number, 12) for number in range(1, 13)] * 2


def test_the_contact_sheet_shows_the_output(
    anchor: Anchor, anchor_folder: Path, short_speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    """Its twelve frames, which here are all there are, in two rows, and below each row the crops of their mouths."""
    output, sheet = tmp_path / "output.mp4", tmp_path / "sheet.png"
    generate(anchor_folder, short_speech, output, expression=expression_file, device="cpu", contact_sheet=sheet)
    shown = cv2.cvtColor(cv2.imread(str(sheet)), cv2.COLOR_BGR2RGB)
    crops = place_crops(anchor.region, anchor.reconstruction, anchor.network.config.size_px)
    frames = [frame.image for frame in read(output)]
    mouths = [crop_frame(image, crops.to_frame[number], crops.size_px) for number, image in enumerate(frames)]
    top = 0
    for row in (frames[:6], mouths[:6], frames[6:], mouths[6:]):
        height = round(row[0].shape[0] * SHEET_WIDTH_PX / row[0].shape[1])
        for column, image in enumerate(row):
            expected = cv2.resize(image, (SHEET_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
            left = GAP_PX + column * (SHEET_WIDTH_PX + GAP_PX)
            tile = shown[top + GAP_PX : top + GAP_PX + height, left : left + SHEET_WIDTH_PX]
            assert np.abs(tile.astype(int) - expected).mean() < 4  # what the encoder changes
        top += height + 2 * GAP_PX
    assert shown.shape == (top, GAP_PX + 6 * (SHEET_WIDTH_PX + GAP_PX), 3)
    output.unlink()
    with pytest.raises(OutputExistsError, match=r"sheet\.png"):
        generate(anchor_folder, short_speech, output, expression=expression_file, contact_sheet=sheet)
    assert not output.exists()


def test_a_bare_name_means_a_built_in_anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built_in = tmp_path / "checkpoints" / "someone"
    built_in.mkdir(parents=True)
    (built_in / "anchor.json").touch()
    monkeypatch.setattr("talkinghead.weights.bundled._FOLDERS", (built_in.parent,))
    monkeypatch.chdir(tmp_path)
    assert anchor_folder_of(Path("someone")) == built_in
    for other in (Path("nobody"), Path("elsewhere/someone"), tmp_path / "someone"):
        assert anchor_folder_of(other) == other
    (tmp_path / "someone").mkdir()
    assert anchor_folder_of(Path("someone")) == Path("someone")


@needs_speech_model
def test_without_speech_the_mouth_is_at_rest(anchor: Anchor) -> None:
    speech_model = load_speech_model(anchor, None, CPU)
    hum = 0.1 * np.sin(np.arange(2 * RATE_HZ) * 0.05).astype(np.float32)
    times_s = np.arange(50) / 25
    for samples in (np.zeros_like(hum), hum):
        expression = expression_from_speech(anchor, speech_model, Audio(samples, RATE_HZ), times_s)
        calibration = calibration_for(anchor, speech_model)
        pause = anchor.rest_expression() if calibration.pause is None else calibration.pause
        np.testing.assert_allclose(expression, np.tile(pause, (50, 1)), atol=1e-6)


@pytest.mark.parametrize(("choice", "own"), [("auto", {True, False}), ("yes", {True}), ("no", {False})])
def test_only_the_clips_own_file_counts_as_the_anchors_voice_unless_the_user_says_so(
    anchor: Anchor, speech: Path, choice: Literal["auto", "yes", "no"], own: set[bool]
) -> None:
    config = GenerationConfig(voice_is_anchor=choice)
    found = [is_own_voice(anchor, recording, config) for recording in (anchor.clip, speech)]
    assert set(found) == own
    assert choice != "auto" or found == [True, False]


@needs_speech_model
def test_from_speech(anchor_folder: Path, speech: Path, tmp_path: Path) -> None:
    output = tmp_path / "output.mp4"
    made = generate(anchor_folder, speech, output, device="cpu")
    audio = read_audio(speech)
    assert made["frames"] == len(read(output)) == math.ceil(round((audio.duration_s + 2 * LEAD_S) * 25, 4))
    assert len(read_audio(output).samples) == len(audio.samples) + round(2 * LEAD_S * RATE_HZ)
