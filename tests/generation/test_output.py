"""Lead-in and lead-out, previews, framing and quality of an output, from end to end with a drawn anchor."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from drawn_face import RATE_HZ, SIZE, audio_of, performance

from talkinghead.anchor import Anchor
from talkinghead.cli.main import main
from talkinghead.errors import OptionError
from talkinghead.face.reconstruction import project
from talkinghead.generation.driving import (
    FIRST_ROWS,
    SpeechDriving,
    expression_parts,
    load_speech_model,
    pause_expression,
)
from talkinghead.generation.expression_files import save_expression
from talkinghead.generation.leads import LEAD_S, Leads
from talkinghead.generation.output_options import TimeRange
from talkinghead.generation.output_times import preview, whole_output
from talkinghead.generation.pipeline import generate
from talkinghead.generation.timeline import Timeline
from talkinghead.media.audio_reader import AudioFile, read_audio
from talkinghead.media.video_reader import VideoReader
from talkinghead.speech.analysis import analyze
from talkinghead.speech.articulation import KnownPhones
from talkinghead.speech.voice_activity import VoiceActivityConfig
from talkinghead.structures import FloatArray, Frame
from talkinghead.text_to_speech.engine import Phone
from talkinghead.weights.bundled import checkpoint_folder

pytestmark = pytest.mark.usefixtures("own_caches")

CPU = torch.device("cpu")
needs_speech_model = pytest.mark.skipif(
    not (checkpoint_folder() / "expression_predictor.safetensors").exists(), reason="no speech model is bundled"
)


def read(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader)


def timeline_of(times_s: np.ndarray[Any, np.dtype[np.float64]], anchor: Anchor) -> Timeline:
    count = len(times_s)
    return Timeline(
        anchor.clip,
        anchor.reconstruction,
        np.arange(count),
        times_s,
        Fraction(25),
        SIZE,
        SIZE,
        [None] * count,
        (0, count - 1),
    )


def lag(found: FloatArray, given: FloatArray) -> int:
    """Samples by which `given` begins later in `found`, by the peak of their cross-correlation."""
    size = 1 << (len(found) + len(given)).bit_length()
    product = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(given, size)))
    best = int(np.argmax(product))
    return best if best < size // 2 else best - size


@needs_speech_model
def test_speech_comes_after_the_lead_in_sample_for_sample(anchor: Anchor, speech: Path, tmp_path: Path) -> None:
    given = read_audio(speech).samples
    lengths = {}
    for name, options, before_s, after_s in (
        ("default", {}, LEAD_S, LEAD_S),
        ("given", {"lead_in": 0.5, "lead_out": 1.0}, 0.5, 1.0),
        ("none", {"lead_in": 0, "lead_out": 0}, 0.0, 0.0),
    ):
        output = tmp_path / f"{name}.mp4"
        made = generate(anchor, speech, output, device="cpu", **options)  # type: ignore[call-overload]
        found = read_audio(output).samples
        before, after = round(before_s * RATE_HZ), round(after_s * RATE_HZ)
        assert len(found) == before + len(given) + after
        assert lag(found, given) == before
        assert np.abs(found[: max(0, before - 600)]).max(initial=0) < 0.01  # AAC rings a little before a sound
        frames = -(-(before_s + len(given) / RATE_HZ + after_s) * 25 // 1)
        assert len(read(output)) == made["frames"] == frames
        assert made["duration_s"] == pytest.approx(before_s + len(given) / RATE_HZ + after_s, abs=1e-5)
        assert (made["speech_start_s"], made["preview"]) == (before_s, None)
        lengths[name] = made["frames"]
    assert lengths["none"] < lengths["default"] < lengths["given"]


@needs_speech_model
def test_the_mouth_is_at_rest_in_the_leads_and_speaks_as_without_them(anchor: Anchor) -> None:
    speech_model = load_speech_model(anchor, None, CPU)
    audio, pauses = audio_of(performance(1.3, 7), 1.3), VoiceActivityConfig()
    analysis = analyze(audio, pauses)
    inside_s = np.arange(0, 1.3, 0.04)
    times_s = np.concatenate([np.arange(-1.0, -0.01, 0.04), inside_s, np.arange(1.32, 2.3, 0.04)])

    def driven(times: np.ndarray[Any, Any], leads: Leads) -> FloatArray:
        driving = SpeechDriving(audio, analysis, pauses, own_voice=True, leads=leads)
        return np.concatenate(list(expression_parts(anchor, speech_model, driving, times)))

    alone, within = driven(inside_s, Leads()), driven(times_s, Leads(1.0, 1.0))
    at_rest = (times_s < -0.41) | (times_s > 1.75)
    np.testing.assert_allclose(within[at_rest], np.tile(pause_expression(anchor), (at_rest.sum(), 1)), atol=1e-5)
    spoken = within[(times_s > -0.01) & (times_s < 1.3)]
    assert np.abs(alone - spoken).mean() < 0.25 * alone.std()
    assert np.abs(np.diff(within, axis=0)).max() < 1.2 * max(1.0, np.abs(np.diff(alone, axis=0)).max())


@needs_speech_model
def test_a_stretch_is_predicted_as_in_the_whole(anchor: Anchor) -> None:
    """The speech is long enough for the stretch's context not to be all of it."""
    speech_model = load_speech_model(anchor, None, CPU)
    audio, pauses = audio_of(performance(20.0, 3), 20.0), VoiceActivityConfig()
    phones = KnownPhones(tuple(Phone("ma"[n % 2], 0.2 * n, 0.2 * n + 0.2) for n in range(100)), is_synthetic=False)
    read_blocks: list[int] = []

    class Counted:
        rate_hz, duration_s = RATE_HZ, audio.duration_s

        def blocks(self) -> Any:
            for block in audio.blocks():
                read_blocks.append(len(block))
                yield block

    driving = SpeechDriving(Counted(), analyze(audio, pauses), pauses, True, phones, Leads(0.3, 0.3))
    times_s = np.arange(-0.3, 20.3, 0.04)
    parts = list(expression_parts(anchor, speech_model, driving, times_s))
    whole = np.concatenate(parts)
    assert len(parts[0]) == FIRST_ROWS and len(parts[1]) < 2 * FIRST_ROWS and len(whole) == len(times_s)
    read_blocks.clear()
    shown = (times_s > 9) & (times_s < 9.5)
    part = np.concatenate(list(expression_parts(anchor, speech_model, driving, times_s[shown])))
    assert sum(read_blocks) < 19 * RATE_HZ
    np.testing.assert_allclose(part, whole[shown], atol=0.02 * whole.std())


@needs_speech_model
def test_a_preview_shows_frames_of_the_whole_and_their_sound(anchor: Anchor, speech: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.mp4"
    with generate(anchor, speech, device="cpu") as stream:
        frames = list(stream)
        assert stream.recording_start_s == LEAD_S
    with generate(anchor, speech, device="cpu", preview="0.5-1s") as stream:
        shown = list(stream)
        assert stream.recording_start_s == pytest.approx(LEAD_S - 0.52)
    # Frames at 0.52 s, the first at or after 0.5, to before 1 s.
    assert [frame.time_s for frame in shown] == pytest.approx(np.arange(12) / 25)
    for one, other in zip(shown, frames[13:25], strict=True):
        np.testing.assert_array_equal(one.image, other.image)
    made = generate(anchor, speech, part, device="cpu", preview="0.5-1s")
    assert made["preview"] == [0.52, 1.0] and made["frames"] == len(read(part)) == 12
    assert made["speech_start_s"] == pytest.approx(LEAD_S - 0.52)
    found, given = read_audio(part).samples, read_audio(speech).samples
    assert len(found) == round(0.48 * RATE_HZ)
    first = round((0.52 - LEAD_S) * RATE_HZ)
    assert np.corrcoef(found, given[first : first + len(found)])[0, 1] > 0.98


def test_previews_at_the_edges_of_an_output(anchor: Anchor) -> None:
    output = whole_output(timeline_of(np.arange(50) / 25, anchor), Leads(0.3, 0.3), AudioFile(Path("a.wav")), 1.4)
    assert (output.first_row, output.audio.begin_s, output.audio.end_s) == (-8, -0.3, None)
    for begin_s, end_s, frames, stretch, heard in (
        (0, 9, (0, 50), (0.0, 2.0), (-0.3, None)),
        (0.02, 0.03, (1, 2), (0.04, 0.08), (-0.26, -0.22)),
        (1.5, 9, (38, 50), (1.52, 2.0), (1.22, None)),
        (1.98, 9, (49, 50), (1.96, 2.0), (1.66, None)),
    ):
        part = preview(output, TimeRange(begin_s, end_s))
        np.testing.assert_array_equal(part.timeline.frames, np.arange(*frames))
        np.testing.assert_allclose(part.timeline.times_s, np.arange(frames[1] - frames[0]) / 25, atol=1e-9)
        np.testing.assert_allclose(part.speech_times_s, np.arange(*frames) / 25 - 0.3, atol=1e-9)
        assert (part.stretch.begin_s, part.stretch.end_s) == pytest.approx(stretch)
        assert part.audio.begin_s == pytest.approx(heard[0])
        assert part.audio.end_s == (None if heard[1] is None else pytest.approx(heard[1]))
        assert part.first_row == frames[0] - 8
    with pytest.raises(OptionError, match=r"preview begins at 2 s, and the video ends at 2\.00 s; give an earlier"):
        preview(output, TimeRange(2.0, 3.0))


def test_a_preview_of_variable_frame_times_begins_at_one_of_them(anchor: Anchor) -> None:
    times_s = np.cumsum([0, 0.02, 0.1, 0.04, 0.04, 0.1])
    output = whole_output(timeline_of(times_s, anchor), Leads(), AudioFile(Path("a.wav")), 0.4)
    part = preview(output, TimeRange(0.05, 0.25))
    np.testing.assert_allclose(part.timeline.times_s, times_s[2:5] - times_s[2])
    assert (part.audio.begin_s, part.audio.end_s) == (times_s[2], times_s[5])


def test_a_file_of_expressions_begins_with_the_speech(anchor: Anchor, speech: Path, tmp_path: Path) -> None:
    """Without leads unless asked; then its rows, with times or without, are those of the frames of the speech."""
    rows = anchor.reconstruction.expression[20:60].astype(np.float32)
    timed, plain = tmp_path / "timed.safetensors", tmp_path / "plain.csv"
    save_expression(timed, rows, np.arange(40) / 25)
    header = ",".join(f"e{number}" for number in range(rows.shape[1]))
    np.savetxt(plain, rows, delimiter=",", header=header, comments="", fmt="%.9g")
    whole = {}
    for source in (timed, plain):
        made = generate(anchor, speech, tmp_path / "none.mp4", expression=source, device="cpu", overwrite=True)
        assert made["speech_start_s"] == 0
        with generate(anchor, speech, expression=source, device="cpu", lead_in=0.4, lead_out=0.2) as stream:
            whole[source] = list(stream)
            assert (stream.recording_start_s, stream.duration_s) == (0.4, pytest.approx(1.3101, abs=1e-4))
        assert len(whole[source]) == made["frames"] + 15
    for one, other in zip(*whole.values(), strict=True):
        np.testing.assert_array_equal(one.image, other.image)
    with generate(anchor, speech, expression=plain, device="cpu", lead_in=0.4, preview="0.6-0.8") as stream:
        for number, frame in enumerate(stream, 15):
            np.testing.assert_array_equal(frame.image, whole[plain][number].image)


@pytest.mark.parametrize(("aspect", "shape"), [("9:16", (284, 160)), ("1:1", (160, 160))])
def test_the_picture_is_cropped_around_the_face_and_scaled(
    aspect: Any, shape: tuple[int, int], anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"expression": expression_file, "device": "cpu", "preview": "0.4"}
    plain = list(generate(anchor, speech, **options))
    output, sheet = tmp_path / "out.mp4", tmp_path / "out.png"
    made = generate(
        anchor, speech, output, aspect=aspect, size=f"{shape[1]}", contact_sheet=sheet, visible_label="AI", **options
    )
    assert (made["height"], made["width"]) == shape and {frame.image.shape[:2] for frame in read(output)} == {shape}
    assert made["enlargement"] is None or made["enlargement"] > 1
    assert sheet.is_file()
    assert {frame.image.shape[:2] for frame in plain} == {(SIZE, SIZE)}


def test_an_aspect_that_would_cut_the_face_is_refused(anchor: Anchor, speech: Path, expression_file: Path) -> None:
    with pytest.raises(OptionError, match=f"16:9 of a picture of {SIZE}x{SIZE} leaves 256x144, and the face takes"):
        generate(anchor, speech, expression=expression_file, device="cpu", aspect="16:9")


@pytest.mark.parametrize("aspect", ["9:16", "1:1"])
def test_every_landmark_of_the_face_is_in_the_crop(
    aspect: Any, anchor: Anchor, speech: Path, expression_file: Path
) -> None:
    """The crop is found in the whole frame, where it has to be the same in all frames and around the face."""
    options: dict[str, Any] = {"expression": expression_file, "device": "cpu"}
    plain = list(generate(anchor, speech, **options))
    cropped = list(generate(anchor, speech, aspect=aspect, **options))
    height, width = cropped[0].image.shape[:2]
    places = [
        (top, left)
        for top in range(SIZE - height + 1)
        for left in range(SIZE - width + 1)
        if all(
            (frame.image == whole.image[top : top + height, left : left + width]).all()
            for frame, whole in zip(cropped[::10], plain[::10], strict=True)
        )
    ]
    assert len(places) == 1
    model, poses = anchor.model, anchor.reconstruction
    points = project(np.broadcast_to(model.neutral, (len(poses), *model.neutral.shape)), poses, slice(None))[..., :2]
    used = points[: len(plain)][poses.valid[: len(plain)]].reshape(-1, 2) - places[0][::-1]
    assert (used > 0).all() and (used < (width, height)).all()


def test_what_the_command_says_of_a_preview_and_an_enlarged_picture(
    anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    command = ["generate", str(anchor_folder), str(speech), "-o", str(output), "--expression", str(expression_file)]
    command += ["--device", "cpu", "--quality", "draft", "--size", f"{2 * SIZE}", "--preview"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert f"1.3 s as a PREVIEW of 0.0 to 1.3 s of the video, {2 * SIZE}x{2 * SIZE}, 33 frames" in result.stdout
    assert "The picture is enlarged 2 times, which adds no detail" in result.stderr
    taken = CliRunner().invoke(main, ["generate", "--preview", str(anchor_folder), str(speech), "-o", str(output)])
    assert taken.exit_code == 2 and "the option comes last" in taken.stderr


def test_a_preview_beyond_the_end_is_refused_before_anything_is_written(
    anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="give an earlier range"):
        generate(anchor, speech, tmp_path / "out.mp4", expression=expression_file, preview="10-13", device="cpu")
    assert not list(tmp_path.iterdir())
