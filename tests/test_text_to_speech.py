"""Text to speech: phones against the sound they are in."""

import itertools

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from talkinghead.errors import NothingToSpeakError
from talkinghead.text_to_speech import PAUSE, HibariEngine, Phone, Utterance

SENTENCES = (
    "Peter Piper picked a big map, but Bob kept it.",
    "Please call the police if you see anything suspicious in the area.",
    "She bought a pair of boots, a black coat, and a cup of coffee.",
    "My mother made maple pancakes for breakfast every Monday morning.",
    "Above all, we must keep people safe, healthy, and properly informed.",
    "Both parties promise cheaper housing, better schools, and shorter queues.",
)


@pytest.fixture(scope="module")
def hibari() -> HibariEngine:
    return HibariEngine()


@pytest.fixture(scope="module")
def utterances(hibari: HibariEngine) -> list[Utterance]:
    return [hibari.speak(sentence, "hibari") for sentence in SENTENCES]


def level_db(samples: np.ndarray) -> np.ndarray:
    """Loudness in every 5 ms."""
    blocks = samples[: len(samples) // 120 * 120].reshape(-1, 120)
    return 20 * np.log10(np.sqrt((blocks.astype(np.float64) ** 2).mean(1)) + 1e-5)


def levels(utterances: list[Utterance], symbols: str, band: list[int] | int, kind: str, lag_s: float = 0) -> float:
    """Mean loudness (dB) in a band over all phones of some symbols, read `lag_s` later than they are placed."""
    found = []
    for utterance in utterances:
        loudness = level_db(sosfiltfilt(butter(4, band, kind, fs=24000, output="sos"), utterance.sound.samples))
        for phone in utterance.phones or ():
            if phone.symbol in symbols:
                start, stop = (round((at_s + lag_s) * 200) for at_s in (phone.start_s, phone.end_s))
                found.append(loudness[max(start, 0) : stop])
    return float(np.concatenate(found).mean())


def phones_of(utterance: Utterance) -> tuple[Phone, ...]:
    assert utterance.phones is not None
    return utterance.phones


def test_hibari_phones_fill_the_sound(utterances: list[Utterance]) -> None:
    for utterance in utterances:
        phones = phones_of(utterance)
        assert phones[0].start_s == 0
        assert phones[-1].end_s == pytest.approx(utterance.sound.duration_s, abs=1e-6)
        assert all(a.end_s == b.start_s for a, b in itertools.pairwise(phones))
        assert min(phone.duration_s for phone in phones) > 0


def test_hibari_phones_are_those_of_the_words(hibari: HibariEngine) -> None:
    phones = phones_of(hibari.speak("Big map, high voice.", "hibari"))
    said = [phone.symbol for phone in phones]
    assert said == [PAUSE, *"bɪɡmæp", PAUSE, "h", "aɪ", "v", "ɔɪ", "s", PAUSE]
    assert [phone.stress for phone in phones if phone.symbol in ("ɪ", "aɪ", "p")] == [2, 0, 2]


@pytest.mark.parametrize("closing", ["p", "b", "k"])
def test_plosives_close_where_they_are_placed(utterances: list[Utterance], closing: str) -> None:
    quietest = []
    for utterance in utterances:
        loudness = level_db(utterance.sound.samples)
        for phone in phones_of(utterance):
            if phone.symbol == closing:
                quietest.append(loudness[round(phone.start_s * 200) : round(phone.end_s * 200)].min())
    vowels = levels(utterances, "iɪɛæɑʌəaɪeɪoʊ", 50, "high")
    assert np.median(quietest) < vowels - 15


@pytest.mark.parametrize(
    ("symbols", "band", "kind", "sign"),
    [
        ("sʃ", 3500, "high", 1),
        ("mn", 3500, "high", -1),
        ("pbktɡ", [80, 900], "band", -1),
        ("iɪɛæɑʌ", [80, 900], "band", 1),
    ],
)
def test_phones_lie_where_their_sound_is(
    utterances: list[Utterance], symbols: str, band: list[int] | int, kind: str, sign: int
) -> None:
    """Hiss is strongest in s, weakest in m; the voice is strongest in vowels: any shift by 50 ms fits less well."""
    placed, early, late = (sign * levels(utterances, symbols, band, kind, lag_s) for lag_s in (0, -0.05, 0.05))
    assert placed > early + 1
    assert placed > late + 1


def test_pauses_are_silent(utterances: list[Utterance]) -> None:
    for utterance in utterances:
        loudness = level_db(utterance.sound.samples)
        for phone in phones_of(utterance):
            if phone.symbol == PAUSE:
                inside = loudness[round(phone.start_s * 200) : round(phone.end_s * 200)]
                assert np.median(inside) < loudness.max() - 35


def test_hibari_says_the_same_every_time(hibari: HibariEngine) -> None:
    first, second = (hibari.speak("The same again.", "hibari") for _ in range(2))
    np.testing.assert_array_equal(first.sound.samples, second.sound.samples)
    assert first.phones == second.phones


@pytest.mark.parametrize("text", ["…", "🎬", "你好", '"!"'])
def test_hibari_says_when_there_is_nothing_to_say(hibari: HibariEngine, text: str) -> None:
    with pytest.raises(NothingToSpeakError, match="English"):
        hibari.speak(text, "hibari")
