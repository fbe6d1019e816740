"""What a man's voice could be: pitch, formants and intelligibility of every try, beside those of real men.

    python tools/presenter/voice_study.py --speech FOLDER

FOLDER has recordings of people. In each row: the median of the fundamental frequency and its interquartile range in
semitones; medians of the first three formants in voiced speech; the share of phones that a phoneme recognizer gets
wrong (package hama==1.7.0; of the tries alone, whose phones are known), and the share of words that pocketsphinx gets
wrong with its own language model. Both recognizers were made by others and know none of the voices.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from pocketsphinx import Decoder
from scipy.signal import resample_poly

from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech import PAUSE, HibariEngine, find_voice
from talkinghead.text_to_speech.hibari import Timbre
from talkinghead.training.speech.phoneme_recognizer import PhonemeRecognizer

SENTENCES = (
    "The mayor opened the bridge in bright sunshine this morning.",
    "Opponents of the plan remained behind the barrier.",
    "From Monday, buses will be free for pupils and pensioners.",
    "A spokesman promised that both bypasses would be complete by November.",
    "More about that after the weather: mild in most parts, with a bit of fog by the river.",
    "Farmers in the valley hope for showers, which should move in from the west by Thursday.",
    "The boy who found a puppy on the beach may keep it.",
    "Five new trains will run every hour between the harbor and the airport.",
)
RATE_HZ = 16_000
LONGEST_S = 25.0
"""So much of a recording is measured."""
LEVEL = 0.1
"""Root mean square to which everything is brought."""
SAME = (
    *(("ː", ""), ("ɚ", "əɹ"), ("ɝ", "əɹ"), ("ɐ", "ə"), ("ʌ", "ə"), ("ɜ", "ə"), ("ᵊ", "ə"), ("ɾ", "t"), ("ʔ", "t")),
    *(("ɡ", "g"), ("r", "ɹ"), ("ɫ", "l"), ("o", "ɔ"), ("ɑ", "ɔ"), ("a", "ɔ"), ("e", "ɛ"), ("i", "ɪ"), ("ʊ", "u")),
)
"""Symbols that the voices' alphabet and the recognizer's write differently, or that accents merge."""


@dataclass(frozen=True)
class Sound:
    """What is measured of a voice."""

    pitch_hz: float
    range_semitones: float
    formants_hz: NDArray[np.float64]
    """(3,)"""


def measure(samples: FloatArray) -> Sound:
    """Of (N,) samples at `RATE_HZ`; formants by linear prediction at 10 kHz (Markel and Gray 1976)."""
    pitch, voiced, _ = librosa.pyin(samples, fmin=60, fmax=400, sr=RATE_HZ, frame_length=1024, hop_length=160)
    heard = pitch[voiced & np.isfinite(pitch)]
    low = librosa.resample(samples, orig_sr=RATE_HZ, target_sr=10_000)
    low = np.append(low[0], low[1:] - 0.97 * low[:-1])
    found = []
    for frame in np.flatnonzero(voiced):
        piece = low[max(0, frame * 100 - 128) : frame * 100 + 128]
        if len(piece) < 256 or np.square(piece).mean() < 1e-6:
            continue
        roots = np.roots(librosa.lpc((piece * np.hamming(256)).astype(np.float64), order=11))
        roots = roots[roots.imag > 0]
        frequency, width = np.angle(roots) * 10_000 / 2 / np.pi, -np.log(np.abs(roots)) * 10_000 / np.pi
        formants = np.sort(frequency[(width < 400) & (frequency > 150)])
        if len(formants) >= 3:
            found.append(formants[:3])
    spread = 12 * np.log2(np.quantile(heard, 0.75) / np.quantile(heard, 0.25))
    return Sound(float(np.median(heard)), float(spread), np.median(found, 0))


def errors(heard: Sequence[str], said: Sequence[str]) -> int:
    """Insertions, deletions and substitutions (Levenshtein)."""
    row = np.arange(len(heard) + 1)
    for index, one in enumerate(said):
        before, row[0] = row.copy(), index + 1
        for place, other in enumerate(heard):
            row[place + 1] = min(before[place] + (one != other), before[place + 1] + 1, row[place] + 1)
    return int(row[-1])


def plain(symbols: Sequence[str]) -> list[str]:
    """Phones in the letters that both alphabets have."""
    text = "".join(symbols)
    for one, other in SAME:
        text = text.replace(one, other)
    return [letter for letter in text if letter.isalpha()]


def words_heard(samples: FloatArray) -> list[str]:
    """Words that pocketsphinx recognizes."""
    decoder = Decoder(samprate=RATE_HZ, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw((32767 * np.clip(samples, -1, 1)).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    return decoder.hyp().hypstr.split() if decoder.hyp() else []


def at_rate(audio: Audio) -> FloatArray:
    """Samples at `RATE_HZ`, of one level."""
    samples = librosa.resample(audio.samples.astype(np.float32), orig_sr=audio.rate_hz, target_sr=RATE_HZ)
    return np.asarray(samples * LEVEL / max(float(np.sqrt(np.square(samples).mean())), 1e-6), np.float32)


Speaker = Callable[[str], tuple[Audio, list[str]]]
"""Speaks a sentence; gives its phones' symbols too."""


def of_voice(name: str, sentence: str) -> tuple[Audio, list[str]]:
    """A voice as it is."""
    engine, voice = find_voice(name)
    spoken = engine.speak(sentence, voice.name)
    return spoken.audio, [phone.symbol for phone in spoken.phones or () if phone.symbol != PAUSE]


def of_timbre(timbre: Timbre, sentence: str) -> tuple[Audio, list[str]]:
    """hibari with another timbre."""
    spoken = HibariEngine(timbres={"try": timbre}).speak(sentence, "try")
    return spoken.audio, [phone.symbol for phone in spoken.phones or () if phone.symbol != PAUSE]


def resampled(ratio: tuple[int, int], sentence: str) -> tuple[Audio, list[str]]:
    """hibari played slower."""
    audio, symbols = of_voice("hibari", sentence)
    return Audio(resample_poly(audio.samples, *ratio).astype(np.float32), audio.rate_hz), symbols


TRIES: dict[str, Speaker] = {
    **{name: partial(of_voice, name) for name in ("hibari", "hibari-man")},
    "hibari played slower, 6/5": partial(resampled, (6, 5)),
    "kokoro-kumo-en": partial(of_voice, "kokoro-kumo-en"),
    **{
        f"hibari, pitch {pitch:.2f}, formants {formants:.2f}": partial(of_timbre, Timbre(pitch, formants))
        for pitch, formants in (
            (0.60, 1.0),
            (0.60, 0.91),
            (0.60, 0.88),
            (0.60, 0.85),
            (0.64, 0.84),
            (0.64, 0.80),
            (0.66, 0.88),
            (0.55, 0.88),
        )
    },
}


def row(name: str, sound: Sound, *rates: float) -> str:
    """A line of the table."""
    formants = " / ".join(f"{value:.0f}" for value in sound.formants_hz)
    shares = " | ".join(f"{100 * rate:.1f}" if np.isfinite(rate) else "-" for rate in rates)
    return f"| {name} | {sound.pitch_hz:.0f} | {sound.range_semitones:.1f} | {formants} | {shares} |"


def study(speaker: Speaker, recognizer: PhonemeRecognizer) -> tuple[Sound, float, float]:
    """Sound, phone error rate and word error rate of a try."""
    pieces, wrong, total = [], np.zeros(2), np.zeros(2)
    for sentence in SENTENCES:
        audio, symbols = speaker(sentence)
        samples = at_rate(audio)
        pieces.append(samples)
        padded = np.pad(samples, RATE_HZ // 5)
        said = plain(symbols)
        words = re.findall(r"[a-z']+", sentence.lower())
        heard = plain([phone.symbol for phone in recognizer.phones(torch.from_numpy(padded))])
        wrong += errors(heard, said), errors(words_heard(padded), words)
        total += len(said), len(words)
    return measure(np.concatenate(pieces)), *(wrong / total).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--only", default="", help="tries whose name has this in it")
    options = parser.parse_args()
    print("| voice | pitch, Hz | its range, semitones | formants, Hz | phones wrong, % | words wrong, % |")
    print("|---|---:|---:|---|---:|---:|")
    recognizer = PhonemeRecognizer()
    for name, speaker in ((name, speaker) for name, speaker in TRIES.items() if options.only in name):
        print(row(name, *study(speaker, recognizer)), flush=True)
    for path in sorted(options.speech.iterdir()) if options.speech else ():
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        sound = measure(at_rate(Audio(samples.mean(1)[: int(LONGEST_S * rate)], rate)))
        print(row(f"recorded: {path.stem}", sound, np.nan, np.nan), flush=True)


if __name__ == "__main__":
    main()
