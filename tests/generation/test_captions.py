"""Subtitles and visemes of a video: in its time, after the lead-in, in files, as a track and in the frames."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from media_files import read_frames

from talkinghead.anchor import Anchor
from talkinghead.captions.visemes import VisemeFile
from talkinghead.cli.main import main
from talkinghead.errors import OptionError
from talkinghead.generation.config import GenerationConfig, GenerationOptions
from talkinghead.generation.known_speech import Captions, KnownSpeech, LazySpeech, known_speech
from talkinghead.generation.leads import LEAD_S
from talkinghead.generation.pipeline import VideoOutput, generate
from talkinghead.media.audio_reader import AudioFile, read_audio
from talkinghead.speech.articulation import KnownPhones
from talkinghead.speech.phone_alignment import align_transcript
from talkinghead.text_to_speech import Phone, Script
from talkinghead.text_to_speech.engine import Word
from talkinghead.text_to_speech.formats.subtitles import read_subtitles
from talkinghead.text_to_speech.speech_file import SpokenFile, write_speech
from talkinghead.weights.bundled import anchor_folder

pytestmark = pytest.mark.usefixtures("own_caches")

TEXT = "Bob met me."


def test_subtitles_follow_the_lead_in_in_every_form(anchor: Anchor, expression_file: Path, tmp_path: Path) -> None:
    """The video is made twice, with subtitles in the frames and without: only frames of the cue's time differ."""
    spoken = write_speech(Script(TEXT), tmp_path / "speech.wav")
    begins_s, ends_s = LEAD_S + spoken.words[0].start_s, LEAD_S + spoken.words[-1].end_s
    output = VideoOutput(
        tmp_path / "out.mp4", subtitles=tmp_path / "out.srt", visemes=VisemeFile(tmp_path / "out.json")
    )
    options: GenerationOptions = {"expression": expression_file, "lead_in": LEAD_S, "lead_out": LEAD_S, "device": "cpu"}
    generate(anchor, Script(TEXT), output, subtitle_stream=True, burn_subtitles=True, **options)
    generate(anchor, Script(TEXT), tmp_path / "plain.mp4", **options)

    (cue,) = read_subtitles((tmp_path / "out.srt").read_text("utf-8")).passages
    assert cue.text == TEXT and cue.start_s == pytest.approx(begins_s, abs=0.001)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.subtitles[0]
        (packet,) = (packet for packet in container.demux(stream) if packet.size > 2)
        assert packet.pts is not None and packet.time_base is not None and packet.duration is not None
        assert bytes(packet)[2:].decode() == TEXT and stream.metadata["language"] == "eng"
        assert float(packet.pts * packet.time_base) == pytest.approx(begins_s, abs=0.001)
        shown_until_s = float((packet.pts + packet.duration) * packet.time_base)
    assert shown_until_s >= ends_s - 0.001
    pairs = zip(read_frames(tmp_path / "out.mp4"), read_frames(tmp_path / "plain.mp4"), strict=True)
    for burned, plain in pairs:
        changed = np.abs(burned.image.astype(int) - plain.image).mean() > 1
        assert changed == (begins_s <= burned.time_s < shown_until_s)
    cues = json.loads((tmp_path / "out.json").read_text("utf-8"))["mouthCues"]
    first_b = next(cue for cue in cues if cue["value"] == "A")
    assert first_b["start"] == pytest.approx(begins_s, abs=0.01)


def captions(words: tuple[Word, ...] | None, phones: tuple[Phone, ...] | None, shift_s: float) -> Captions:
    lazy = LazySpeech(AudioFile(Path("speech.wav")), SpokenFile({"language": "zh-CN"}, phones), GenerationConfig(), 9.0)
    known = KnownSpeech(None if phones is None else KnownPhones(phones, is_synthetic=True), words, "zh-CN")
    lazy.__dict__["found"] = known
    return Captions(lazy, shift_s, 5.0)


def test_a_preview_shows_what_is_said_in_it() -> None:
    found = captions((Word("a", 0.5, 0.9), Word("b", 3.0, 3.5)), (Phone("b", 0.5, 0.9), Phone("a", 3.0, 3.5)), -2.0)
    assert [(cue.text, cue.start_s) for cue in found.cues] == [("b", 1.0)]
    assert [(phone.symbol, phone.start_s) for phone in found.phones] == [("a", 1.0)]
    assert found.text_track.language == "zh-CN"


def test_what_is_not_known_is_refused_with_what_to_do() -> None:
    unknown = captions(None, None, 0.0)
    with pytest.raises(OptionError, match="--transcript, or have a text"):
        _ = unknown.cues
    with pytest.raises(OptionError, match="--phones or --transcript"):
        _ = unknown.phones
    with pytest.raises(OptionError, match="ask for burn_subtitles too"):
        GenerationConfig(subtitle_font=Path("font.ttf"))


def test_subtitles_of_an_unknown_speech_are_refused_before_any_work(
    anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    outputs: tuple[tuple[VideoOutput, GenerationOptions], ...] = (
        (VideoOutput(tmp_path / "out.mp4", subtitles=tmp_path / "out.srt"), {}),
        (VideoOutput(tmp_path / "out.mp4"), {"burn_subtitles": True}),
        (VideoOutput(tmp_path / "out.mp4"), {"subtitle_stream": True}),
    )
    for output, options in outputs:
        with pytest.raises(OptionError, match="Subtitles need the words"):
            generate(anchor, speech, output, expression=expression_file, device="cpu", **options)
    assert not list(tmp_path.iterdir())


SAID = """Good evening, and welcome. Five new bridges will open along the river before the end of May, the mayor
announced today. Farmers in the valley hope for showers, which should move in from the west by Thursday. Stay with us
for the weather and the markets. And the boy who found a puppy on the beach? He may keep it."""


def test_words_of_a_transcript_are_those_that_are_heard(tmp_path: Path) -> None:
    """Every word has the times of its own phones, and the words fill the transcript."""
    pytest.importorskip("pocketsphinx")
    transcript = tmp_path / "said.txt"
    transcript.write_text(SAID)
    clip = anchor_folder(Path("presenter")) / "clip.mp4"
    aligned = align_transcript(transcript, read_audio(clip))
    assert " ".join(word.text for word in aligned.words) == " ".join(SAID.split())
    edges = {round(float(edge), 3) for edge in aligned.phones.times_s.ravel()}
    assert all({round(word.start_s, 3), round(word.end_s, 3)} <= edges for word in aligned.words)
    bridges = next(word for word in aligned.words if word.text == "bridges")
    phones = {round(phone.start_s, 3): phone.symbol for phone in aligned.phones.spoken}
    assert phones[round(bridges.start_s, 3)] == "B"
    config = GenerationConfig(transcript=transcript)
    assert known_speech(AudioFile(clip), None, config, 20.0).language == "en"


def test_the_command_speak_writes_subtitles_visemes_and_phones(tmp_path: Path) -> None:
    files = {name: str(tmp_path / f"speech{name}") for name in (".wav", ".srt", ".xml", ".tsv")}
    arguments = ["speak", TEXT, "-o", files[".wav"], "--subtitles", files[".srt"], "--visemes", files[".xml"]]
    result = CliRunner().invoke(main, [*arguments, "--phones", files[".tsv"]])
    assert result.exit_code == 0, result.output
    assert all(Path(file).stat().st_size for file in files.values())
    wrong = CliRunner().invoke(main, ["speak", TEXT, "-o", str(tmp_path / "b.wav"), "--subtitles", "b.txt"])
    assert wrong.exit_code == 73 and "must end in .srt, .vtt" in wrong.output
    assert not (tmp_path / "b.wav").exists()
