"""Dialogues: who speaks when, what is heard, and who is seen."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from media_files import read_frames

from talkinghead.anchor import Anchor
from talkinghead.cli.main import main
from talkinghead.errors import OptionError, TextError
from talkinghead.generation import dialogue as dialogue_module
from talkinghead.generation import pipeline
from talkinghead.generation.config import GenerationConfig
from talkinghead.generation.dialogue import Speaker, write_dialogue
from talkinghead.generation.dialogue_audio import known_of, length_s, speak_turns, words_of, write_tracks
from talkinghead.generation.dialogue_config import DialogueConfig
from talkinghead.generation.dialogue_script import Turn, read_script
from talkinghead.generation.known_speech import Captions, FoundSpeech, KnownSpeech
from talkinghead.generation.passthrough import UpdatedFrame
from talkinghead.generation.pipeline import VideoOutput
from talkinghead.media.audio_reader import read_audio
from talkinghead.provenance.visible_label import VisibleLabel
from talkinghead.structures import Audio
from talkinghead.text_to_speech.breaks import Break
from talkinghead.text_to_speech.config import SpeakingConfig

pytestmark = pytest.mark.usefixtures("own_caches")

CAST = ("anna", "ben")


def is_speaker(name: str) -> bool:
    return name in CAST


class TestScript:
    def test_lines_begin_turns_and_indented_ones_go_on(self) -> None:
        text = "anna: Good evening: all.\n  And now\n\n  the news.\nben：好。\n"
        assert read_script(text, is_speaker) == [
            Turn("anna", "Good evening: all.\nAnd now\n\nthe news."),
            Turn("ben", "好。"),
        ]

    def test_json_lines_have_texts_and_recordings(self) -> None:
        rows: list[dict[str, Any]] = [
            {"anchor": "anna", "text": "Good evening.", "voice": "hibari"},
            {"anchor": "ben", "speech": "ben.wav"},
        ]
        text = "\n".join(map(json.dumps, rows)) + "\n"
        assert read_script(text, is_speaker, Path("folder")) == [
            Turn("anna", "Good evening.", voice="hibari"),
            Turn("ben", speech=Path("folder/ben.wav")),
        ]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("anna: Hello\nRemember: this", "Line 2 .* no ANCHOR 'Remember'; .*--cast Remember=ANCHOR, or indent"),
            ("anna: Hello\nthis", "Line 2 .* not of the form NAME: text"),
            ("  anna: Hello", "Line 1 .* indented"),
            ("anna:\nben: Hello", "turn of anna .* no text"),
            ("", "no turns"),
            ('{"anchor": "anna"}', "Line 1 .* one of text and speech"),
            ('{"anchor": "anna", "text": "a", "speech": "b"}', "one of text and speech"),
            ('{"anchor": "anna", "txt": "a"}', "unknown field 'txt'"),
            ('{"anchor": "anna", "text": 3}', "object of texts"),
            ('{"anchor": ', "Line 1 .* not JSON"),
        ],
    )
    def test_what_is_not_a_script_is_refused_with_its_line(self, text: str, message: str) -> None:
        with pytest.raises(TextError, match=message):
            read_script(text, is_speaker)


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """A second of a tone at 16 kHz, other than the voices' rate."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.2 * np.sin(np.arange(16000) * 0.3), 16000)
    return path


TEXTS = [Turn("anna", "Bob met me."), Turn("ben", "So he did."), Turn("anna", "May be.")]


class TestAudio:
    def test_turns_follow_each_other_after_the_gap_and_all_is_heard_once(self, tmp_path: Path, tone: Path) -> None:
        turns = [*TEXTS, Turn("ben", speech=tone)]
        spoken = speak_turns(turns, dict.fromkeys(CAST, "hibari"), SpeakingConfig(), 0.25, tmp_path)
        for before, after in itertools.pairwise(spoken):
            assert after.begins_s - before.ends_s == pytest.approx(0.25)
        mix_path, paths = write_tracks(spoken, tmp_path)
        mix, tracks = read_audio(mix_path), {name: read_audio(path) for name, path in paths.items()}
        assert mix.duration_s == pytest.approx(length_s(spoken), abs=0.001)
        together = sum(track.samples for track in tracks.values())
        np.testing.assert_allclose(mix.samples, together, atol=2e-4)
        for turn in spoken:
            begin, end = (round(time_s * mix.rate_hz) for time_s in (turn.begins_s, turn.ends_s))
            other = "ben" if turn.speaker == "anna" else "anna"
            assert np.abs(tracks[turn.speaker].samples[begin:end]).max() > 0.05
            assert np.abs(tracks[other].samples[begin:end]).max() == 0
            assert not list(tmp_path.glob("turn-*"))

    def test_phones_and_words_lie_where_they_are_heard(self, tmp_path: Path) -> None:
        spoken = speak_turns(TEXTS, dict.fromkeys(CAST, "hibari"), SpeakingConfig(), 0.4, tmp_path)
        words = words_of(spoken)
        assert words is not None
        assert [word.text for word in words] == ["Bob", "met", "me.", "So", "he", "did.", "May", "be."]
        assert [word.ends == Break.PARAGRAPH for word in words] == [word.text[-1] == "." for word in words]
        of_anna = known_of("anna", spoken).phones
        assert of_anna is not None and "".join(phone.symbol for phone in of_anna)[:3] == "bɑb"
        starts = [phone.start_s for phone in of_anna]
        assert starts == sorted(starts) and spoken[2].begins_s in starts

    def test_a_recording_has_no_phones_and_no_words(self, tmp_path: Path, tone: Path) -> None:
        turns = [TEXTS[0], Turn("ben", speech=tone)]
        spoken = speak_turns(turns, {"anna": "hibari"}, SpeakingConfig(), 0.4, tmp_path)
        assert words_of(spoken) is None and known_of("ben", spoken).phones is None
        assert known_of("anna", spoken).phones is not None


@pytest.fixture
def still_prediction(monkeypatch: pytest.MonkeyPatch, anchor: Anchor) -> None:
    """In place of the speech model, which takes long to load: the anchor's rest, at every time."""
    rest = anchor.rest_expression()
    monkeypatch.setattr("talkinghead.generation.pipeline.SpeechModel.load", lambda *_: None)
    monkeypatch.setattr("talkinghead.generation.pipeline.fitting_model", lambda *_: None)
    monkeypatch.setattr("talkinghead.generation.pipeline.adaptation_used", lambda *_: "none")
    monkeypatch.setattr(
        "talkinghead.generation.pipeline.expression_parts",
        lambda *arguments: iter([np.tile(rest, (len(arguments[3]), 1))]),
    )


@pytest.mark.usefixtures("still_prediction")
@pytest.mark.parametrize("layout", ["cut", "side"])
def test_whoever_speaks_is_seen_and_the_audio_has_no_gap(
    anchor: Anchor, tmp_path: Path, layout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames of each speaker are painted in a color of their own."""
    colors = {"anna": (250, 20, 20), "ben": (20, 20, 250)}
    prepare = pipeline.prepare

    def painted(anchor: Anchor, recording: Path, *rest: Any) -> Any:
        performance = prepare(anchor, recording, *rest)
        color = colors["anna" if recording.name == "track-0.wav" else "ben"]

        class Paint:
            def drawn_on(self, image: Any) -> Any:
                return np.broadcast_to(np.array(color, np.uint8), image.shape).copy()

        return dataclasses.replace(performance, label=Paint())

    monkeypatch.setattr(dialogue_module, "prepare", painted)
    cast = {name: Speaker(anchor, "hibari") for name in CAST}
    output = VideoOutput(tmp_path / "out.mp4", subtitles=tmp_path / "out.srt")
    config = GenerationConfig(device="cpu")
    report = write_dialogue(TEXTS, cast, output, config, DialogueConfig(layout), SpeakingConfig())
    frames = list(read_frames(output.path))
    assert len(frames) == report["frames"] == round(report["duration_s"] * report["fps"] + 0.499)
    np.testing.assert_allclose(np.diff([frame.time_s for frame in frames]), 1 / report["fps"], atol=1e-5)
    if layout == "side":
        half = report["width"] // 2
        for frame in frames:
            assert frame.image[:, : half - 4, 0].min() > 200 and frame.image[:, half + 4 :, 2].min() > 200
    else:
        for turn in report["turns"]:
            channel = 0 if turn["speaker"] == "anna" else 2
            seen = [frame for frame in frames if turn["begin_s"] <= frame.time_s < turn["end_s"]]
            assert seen and all(frame.image[..., channel].mean() > 200 for frame in seen)
    audio: Audio = read_audio(output.path)
    assert audio.duration_s == pytest.approx(report["duration_s"], abs=0.03)
    assert [turn["speaker"] for turn in report["turns"]] == ["anna", "ben", "anna"]
    begins = [turn["begin_s"] for turn in report["turns"]]
    srt = (tmp_path / "out.srt").read_text("utf-8")
    assert srt.count("-->") == 3 and f"0,{round(begins[0] * 1000)}" in srt


def test_what_a_dialogue_cannot_do_is_refused(anchor: Anchor, tmp_path: Path) -> None:
    cast = {name: Speaker(anchor, "hibari") for name in CAST}
    output = VideoOutput(tmp_path / "out.mp4")
    for config, turns, message in (
        (GenerationConfig(preview="0-1"), TEXTS, "preview is for a video of one anchor"),
        (GenerationConfig(), [Turn(str(number), "a") for number in range(5)], "5 speakers; the layout side shows 4"),
    ):
        with pytest.raises(OptionError, match=message):
            write_dialogue(turns, cast, output, config, DialogueConfig("side"), SpeakingConfig())
    with pytest.raises(OptionError, match="contact sheet"):
        with_sheet = VideoOutput(tmp_path / "out.mp4", tmp_path / "out.png")
        write_dialogue(TEXTS, cast, with_sheet, GenerationConfig(), DialogueConfig(), SpeakingConfig())
    assert not list(tmp_path.iterdir())


def test_the_command_names_the_line_of_an_unknown_speaker(tmp_path: Path) -> None:
    script = tmp_path / "script.txt"
    script.write_text("presenter: Good evening.\nNobody: Hello.\n")
    result = CliRunner().invoke(main, ["dialogue", str(script), "-o", str(tmp_path / "out.mp4")])
    assert result.exit_code == 65 and "Line 2 of the script: there is no ANCHOR 'Nobody'" in result.output
    twice = CliRunner().invoke(
        main, ["dialogue", str(script), "-o", str(tmp_path / "out.mp4"), "--cast", "a=b", "--cast", "a=c"]
    )
    assert twice.exit_code == 2 and "given twice for a" in twice.output


def test_the_alpha_of_all_speakers_stands_side_by_side() -> None:
    def speaker(level: int, offset_s: float) -> list[UpdatedFrame]:
        image, alpha = np.full((2, 3, 3), level, np.uint8), np.full((2, 3), level, np.uint8)
        return [UpdatedFrame(image, offset_s + number / 25, alpha) for number in range(3)]

    joined = list(dialogue_module._joined([iter(speaker(10, 0)), iter(speaker(200, 0))]))
    assert len(joined) == 3
    for frame in joined:
        assert frame.alpha is not None
        np.testing.assert_array_equal(frame.alpha, [[10] * 3 + [200] * 3] * 2)
        np.testing.assert_array_equal(frame.alpha, frame.image[..., 0])
    opaque = [[dataclasses.replace(frame, alpha=None) for frame in speaker(10, 0)] for _ in range(2)]
    assert all(frame.alpha is None for frame in dialogue_module._joined([iter(one) for one in opaque]))


def test_a_label_is_seen_on_a_transparent_dialogue() -> None:
    """Where nothing is behind, the letters are what makes the corner visible."""
    label = VisibleLabel("AI-generated", 320, 320)
    scene = dialogue_module._Scene({}, [], "cut", label, None, Captions(FoundSpeech(KnownSpeech(None)), 0, 1))
    clear = np.zeros((320, 320), np.uint8)
    drawn = scene._drawn(UpdatedFrame(np.full((320, 320, 3), 90, np.uint8), 0.0, clear))
    assert drawn.alpha is not None and drawn.alpha.max() == 255 and not clear.any()
    letters = drawn.image[drawn.alpha > 250]
    assert letters.min() > 240
    opaque = scene._drawn(UpdatedFrame(np.full((320, 320, 3), 90, np.uint8), 0.0))
    assert opaque.alpha is None and (opaque.image != 90).any()
