"""Speed, pauses, times of subtitles, pronunciations, and what is left out: in the speech and in the commands."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from talkinghead.cli.main import main
from talkinghead.errors import MissingFileError, NothingToSpeakError, OptionError, TextError, VoiceUnavailableError
from talkinghead.structures import Audio
from talkinghead.text_to_speech import PAUSE, Phone, Script, SpeakingConfig, Utterance, Voice, join, registry, speak
from talkinghead.text_to_speech.chinese import characters_without_reading, chinese_phonemes
from talkinghead.text_to_speech.english import english_phonemes
from talkinghead.text_to_speech.espeak import EspeakEngine
from talkinghead.text_to_speech.phones import PhonedWord, PhonedWords, split_marks, to_espeak, to_kokoro
from talkinghead.text_to_speech.pronunciation import read_pronunciations
from talkinghead.text_to_speech.sentences import split_text

needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")


@dataclass
class Recorder:
    """An engine that keeps the sentences it gets, and speaks each as a tone of 0.1 s a word."""

    name: str = "recorder"
    version: str = "1"
    language: str = "en-US"
    reads_phones: bool = True
    sentences: list[str] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)

    def voices(self) -> Sequence[Voice]:
        return [Voice("recorder", self.language, "a tone")]

    def missing(self) -> str:
        return ""

    def speak(self, sentence: str, voice: str, speed: float = 1.0) -> Utterance:
        if not any(map(str.isalpha, sentence)):
            raise NothingToSpeakError("No letters.")
        self.sentences.append(sentence)
        self.speeds.append(speed)
        length = round(800 * len(sentence.split()) / speed)
        samples = np.pad(np.full(length, 0.1), (2400, 2400)).astype(np.float32)
        start_s, end_s = 0.3, 0.3 + length / 8000
        phones = (Phone(PAUSE, 0, start_s), Phone("a", start_s, end_s), Phone(PAUSE, end_s, end_s + 0.3))
        return Utterance(Audio(samples, 8000), phones)


class OneSpeed(Recorder):
    """An engine as they were before speeds and phones."""

    def speak(self, sentence: str, voice: str) -> Utterance:  # type: ignore[override]
        return super().speak(sentence, voice)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    engine = Recorder()
    monkeypatch.setattr(registry, "_engines", {"recorder": engine})
    return engine


def starts(text: str, **options: object) -> list[float]:
    """When each sentence is heard, in seconds."""
    spoken = join(list(speak(Script(text, "recorder", SpeakingConfig(**options)))))  # type: ignore[arg-type]
    assert spoken.phones is not None
    return [round(phone.start_s, 3) for phone in spoken.phones if phone.symbol != PAUSE]


def test_engines_get_words(recorder: Recorder) -> None:
    skipped: list[str] = []
    list(speak(Script("It costs 5€ 🎬. Then 2!\n\n***", "recorder"), skipped=skipped.append))
    assert recorder.sentences == ["It costs five euros.", "Then two!"] and skipped == ["🎬", "***"]


def test_a_text_of_signs_alone_is_refused(recorder: Recorder) -> None:
    skipped: list[str] = []
    with pytest.raises(NothingToSpeakError):
        list(speak(Script("🎬", "recorder"), skipped=skipped.append))
    assert skipped == ["🎬"] and recorder.sentences == []


def test_pauses(recorder: Recorder) -> None:
    assert starts("Yes. No.\n\nYes.") == [0.3, 1.0, 2.1]
    assert starts("Yes. No.\n\nYes.", pause_ms=300.0) == [0.3, 0.7, 1.3]
    assert starts("Yes. No.\n\nYes.", pause_ms=0.0) == [0.3, 0.4, 0.5]


def test_speed(recorder: Recorder) -> None:
    starts("One two.", speed=1.5)
    assert recorder.speeds == [1.5]
    with pytest.raises(OptionError, match="from 0.5 to 2"):
        SpeakingConfig(speed=5)


def test_breaks_and_rates_of_ssml(recorder: Recorder) -> None:
    text = '<speak>A <break time="1s"/> B <prosody rate="200%">C</prosody><break time="1s"/></speak>'
    assert starts(text) == [0.3, 1.4, 1.6]
    assert recorder.speeds == [1, 1, 2]
    assert starts(text, speed=1.5) and recorder.speeds[3:] == [1.5, 1.5, 3]
    with pytest.raises(TextError, match="from 0.5 to 3"):
        starts(text, speed=2.0)
    tails = [list(speak(Script(each, "recorder")))[-1].audio.duration_s for each in (text, "<speak>A</speak>")]
    assert tails[0] - tails[1] == pytest.approx(1.0)


def cues(*times: tuple[str, str, str]) -> str:
    return "\n\n".join(f"{n}\n{start} --> {end}\n{text}" for n, (start, end, text) in enumerate(times, 1))


def test_subtitles_start_at_their_times(recorder: Recorder) -> None:
    text = cues(
        ("00:00:00,000", "00:00:01,000", "Yes."),
        ("00:00:00,700", "00:00:02,000", "No. Yes."),
        ("00:01:00,250", "00:01:02,000", "D"),
    )
    assert starts(text) == [0.0, 0.7, 1.4, 60.25]


def test_subtitles_that_do_not_fit_say_why(recorder: Recorder) -> None:
    text = cues(("00:00:01,000", "00:00:02,000", "a b c d e f g h i j k l"), ("00:00:01,800", "00:00:03,000", "B"))
    with pytest.raises(
        TextError, match=r"Cue 2 \(00:00:01.800\) cannot start .* takes 1\.\d\d s .* has 0.80 s.*--speed 1\.\d\d"
    ):
        starts(text)
    assert starts(text, speed=1.6) == pytest.approx([1.0, 1.8], abs=0.06)


def test_a_cue_without_words_does_not_move_the_others(recorder: Recorder) -> None:
    text = cues(("00:00:01,000", "00:00:02,000", "🎬"), ("00:00:03,000", "00:00:04,000", "🎬 ... B"))
    assert starts(text, text_format="srt") == [3.0]


def test_pronunciations(recorder: Recorder, tmp_path: Path) -> None:
    table = tmp_path / "words.txt"
    table.write_text("# names\nNguyen = win\nnew york\t/nuː ˈjɔɹk/\nUS = /juːˈɛs/\n行 = xing\n", "utf-8")
    starts("Nguyen, nguyen, New  York and the US: us, Nguyens 行", pronunciation=table)
    parts = list(split_marks(recorder.sentences[0]))
    assert parts == [
        "win, nguyen, ",
        PhonedWord("New York", "nuː ˈjɔɹk"),
        " and the ",
        PhonedWord("US", "juːˈɛs"),
        ": us, Nguyens xing",
    ]


def test_engines_without_phones_or_speeds_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = OneSpeed(reads_phones=False)
    monkeypatch.setattr(registry, "_engines", {"recorder": engine})
    without_effect: list[str] = []
    text = '<speak><phoneme ph="a">Word</phoneme> <prosody rate="fast">here</prosody></speak>'
    list(speak(Script(text, "recorder"), without_effect=without_effect.append))
    assert engine.sentences == ["Word", "here"] and without_effect == ["SSML prosody rate", "phones of words"]
    with pytest.raises(VoiceUnavailableError, match="one speed"):
        starts("Hello", speed=1.5)


@pytest.mark.parametrize(
    ("content", "message"),
    [("word", "line 1: an entry"), ("# a\n= x", "line 2"), ("a = b\na = c", "line 2: a has another")],
)
def test_pronunciations_that_cannot_be_read(tmp_path: Path, content: str, message: str) -> None:
    table = tmp_path / "words.txt"
    table.write_text(content, "utf-8")
    with pytest.raises(TextError, match=message):
        read_pronunciations(table)
    with pytest.raises(MissingFileError):
        read_pronunciations(tmp_path / "none.txt")


def test_phones_in_the_alphabets_of_engines() -> None:
    word = PhonedWord("judge", "ˈdʒʌdʒ eɪ")
    assert to_kokoro(word) == "ˈʤʌʤA" and to_espeak(word) == "'dZVdZeI"
    for translate in (to_kokoro, to_espeak):
        with pytest.raises(TextError, match="'!'.*judge"):
            translate(PhonedWord("judge", "a!"))


def test_phones_pass_through_hibari_and_pinyin() -> None:
    words = PhonedWords()
    mark = words.add("Nguyen", "wɪn")
    assert words.add("Nguyen", "wɪn") == mark
    sentence = words.expanded(f"{mark} 5", with_phones=True)
    assert english_phonemes(sentence).startswith("wɪn ")
    assert english_phonemes("[a](/wɪn/)") != "wɪn"
    pytest.importorskip("pypinyin", reason="the extra kokoro is not installed")
    given = words.expanded(words.add("银行", "hang2 xing2 lü4"), with_phones=True)
    assert chinese_phonemes(given, str) == chinese_phonemes("航行绿", str)
    with pytest.raises(TextError, match="bza1"):
        chinese_phonemes(words.expanded(words.add("银", "bza1"), with_phones=True), str)


def test_a_letter_in_chinese_has_its_name() -> None:
    pytest.importorskip("pypinyin", reason="the extra kokoro is not installed")
    assert chinese_phonemes("A", english_phonemes) == "A"  # Kokoro's A is the diphthong eɪ
    assert english_phonemes("A") == "ɐ"


def test_characters_without_a_reading_are_reported() -> None:
    pytest.importorskip("pypinyin", reason="the extra kokoro is not installed")
    assert characters_without_reading("你\U0003fffd好") == ["\U0003fffd"]


PROGRAM = """#!{python}
import sys, wave
arguments = sys.argv[1:]
text = sys.stdin.read()
open({log!r}, "a", encoding="utf-8").write(" ".join(arguments) + "|" + text + "\\n")
if "-x" in arguments:
    print("" if "≥" in text else "m'aIn@s f'aIv" if "−" in text else "f'aIv")
elif "--voices" in arguments:
    print("Pty Language Age/Gender VoiceName File Other")
    print(" 5 fr M French roa/fr")
else:
    with wave.open(sys.stdout.buffer, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(b"\\0\\x10" * 4000)
"""


def test_espeak_gets_escaped_text_its_speed_and_phones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, log = tmp_path / "espeak-ng", tmp_path / "log"
    program.write_text(PROGRAM.format(python=sys.executable, log=str(log)), "utf-8")
    program.chmod(0o700)
    engine = EspeakEngine(program=str(program), library=False)
    monkeypatch.setattr(registry, "_engines", {"espeak": engine})
    words = PhonedWords()
    engine.speak(words.expanded(f"[[Main Page]] {words.add('x', 'aɪ')}", with_phones=True), "espeak-fr", speed=2)
    arguments, _, text = log.read_text("utf-8").strip().partition("|")
    assert "[[" not in text.replace("[[aI]]", "") and "Main Page" in text and "[[aI]]" in text
    assert "-s 350" in arguments
    skipped: list[str] = []
    list(speak(Script("[[Main Page]] ≥ ５ € x", "espeak-fr"), skipped=skipped.append))
    assert skipped == ["≥"]
    assert log.read_text("utf-8").count("((Main Page)) ≥ 5 € x") == 1
    list(speak(Script("A-1 is -7", "espeak-fr")))
    assert "|A-1 is −7\n" in log.read_text("utf-8")  # the program says the hyphen of -5 not, but the sign of −5


@needs_espeak
def test_espeak_speaks_what_is_in_double_brackets() -> None:
    def length_s(text: str) -> float:
        return join(list(speak(Script(text, "espeak-en-us")))).audio.duration_s

    assert length_s("[[Main Page]] now") > length_s("now") + 0.4


def test_speed_changes_the_length_and_keeps_the_phones() -> None:
    def spoken(speed: float) -> Utterance:
        return join(list(speak(Script("Peter picked a big map.", config=SpeakingConfig(speed=speed)))))

    usual, fast = spoken(1.0), spoken(1.6)
    assert usual.phones is not None and fast.phones is not None
    symbols = [
        [phone.symbol for phone in each.phones if phone.symbol != PAUSE] for each in (usual, fast) if each.phones
    ]
    assert symbols[0] == symbols[1]
    speech = [each[-1].start_s - each[0].end_s for each in (usual.phones, fast.phones)]
    assert speech[0] / speech[1] == pytest.approx(1.6, abs=0.25)


def test_long_numbers_are_cut_after_they_became_words() -> None:
    chunks = [chunk.text for chunk in split_text("12 " * 50, lambda sentence: sentence.replace("12", "twelve"))]
    assert " ".join(chunks).split() == ["twelve"] * 50 and len(chunks) > 1
    assert list(split_text("12. 13.", lambda sentence: "")) == []


def test_speak_command_tells_the_format_and_what_is_left_out(tmp_path: Path) -> None:
    text = "<speak>Good 🎬 <emphasis>evening</emphasis>.</speak>"
    command = ["speak", text, "-o", str(tmp_path / "a.wav"), "--overwrite"]
    shown = CliRunner().invoke(main, command).stdout.splitlines()
    assert "SSML" in shown[1] and "SSML emphasis" in shown[2] and shown[3].endswith(": 🎬")
    made = json.loads(CliRunner().invoke(main, [*command, "--json", "--speed", "1.25"]).stdout)
    assert (made["text_format"], made["speed"], made["skipped"]) == ("ssml", 1.25, 1)
    assert made["without_effect"] == ["SSML emphasis"]


@pytest.mark.parametrize("option", [["--speed", "2"], ["--text-format", "srt"], ["--pause-ms", "3"]])
def test_options_of_speech_go_with_a_text(option: list[str]) -> None:
    result = CliRunner().invoke(main, ["generate", "an.anchor", "a.wav", *option, "-o", "o.mp4"])
    assert result.exit_code == 2 and f"{option[0]} goes with --text" in result.stderr
