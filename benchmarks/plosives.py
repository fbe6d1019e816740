"""When lips part at p and b, against the bursts in the audio: an absolute clock for clips and for the predictor.

    python benchmarks/plosives.py                              # text-to-speech through the predictor
    python benchmarks/plosives.py --data FOLDER [--clips LIST] # true lips of clips too; needs the package hama

Text-to-speech: every voice speaks texts that nothing was trained on and gives the time of each phone. The mouth is
the predictor's before the lips are closed for p, b, m and before pauses ("predicted"), and the one that `generate`
would drive ANCHOR with ("delivered"), from the audio alone and from audio and phones ("from text"). All are sampled at
25 frames a second, in four phases.

Clips: where their p and b are roughly is found by a phoneme recognizer. In each row: how many it found, how many were
timed, the median of lips - burst and its standard error (1.25 x spread / sqrt(n), where the spread is that of a normal
distribution with the same interquartile range, but at least 15 ms), and the lag at which the predicted opening fits the
tracked one best. Clips with too few to tell are timed within 60 ms of that lag. The last lines pool all clips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from speech_voices import ENGLISH, voices_here

from talkinghead import metrics
from talkinghead.anchor import Anchor, load_anchor
from talkinghead.errors import NoFaceError
from talkinghead.face.face_model import PersonFace
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.tracking import track_file
from talkinghead.generation.driving import calibration_for, expression_from_speech, load_speech_model
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.articulation import KnownPhones
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.phone_times import PLOSIVES, plain
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech import Phone, Script, join, speak
from talkinghead.training.speech.clips import ClipEntry, read_clip_list
from talkinghead.training.speech.phoneme_recognizer import HOP, PhonemeRecognizer
from talkinghead.weights.bundled import anchor_folder

Values = NDArray[np.float64]

CLIPS = Path(__file__).with_name("speech_clips.tsv")
FULL_OF_PLOSIVES = (
    "Pepper and paprika improve a potato soup. A big brown bear picked up a pink balloon by the pond. Perhaps Bob "
    "might buy a pair of boots. People put paper into the bin. The pilot spoke about a bumpy approach. Baby birds "
    "beg before breakfast. My best pupil paints purple boats. Nobody expected a party on the balcony."
)
STEP_S = 0.01
"""Time step of predicted curves, seconds; they are piecewise linear with one of 20 ms."""
FRAME_RATE = 25
PHASES = 4
HEARD = 0.35
"""Probability from which the recognizer is taken to have heard a p or b."""
BEFORE_S = 0.1
"""The burst lies in this time up to the recognizer's peak, seconds."""
LEAST_SPREAD_MS = 15.0
"""No fewer is believed for the spread of single plosives, of which frames alone make 9 ms."""


@dataclass(frozen=True)
class Timed:
    """One recording: what was timed, and what it is compared with."""

    name: str
    plosives: int
    """p and b in it."""
    lips_ms: Values
    """Offsets of the true lips; empty for text-to-speech."""
    predicted_ms: Values
    """Offsets of the predicted lips."""
    delivered_ms: Values
    """Offsets of the lips as generated from the audio alone."""
    from_text_ms: Values
    """Offsets of the lips as generated from audio and phones; empty where those are not known."""
    burst_ms: float = math.nan
    """Median of burst - end of phone, where phone times are known."""
    lag_ms: float = math.nan
    """Lag of the clip by the predictor."""
    r: float = math.nan
    """Correlation of opening at that lag."""


@dataclass(frozen=True)
class Mouths:
    """The predictor for one anchor."""

    anchor: Anchor
    model: SpeechModel

    def offsets(self, audio: Audio, bursts_s: Values, phones: Sequence[Phone] | None = None) -> list[Values]:
        """Offsets of the lips as predicted, delivered and delivered from text, ms; each plosive in up to `PHASES`.

        Args:
            audio: at 16 kHz.
            bursts_s: (P,) in it.
            phones: of it; without them the last are empty.
        """
        times_s = np.arange(0, audio.duration_s, STEP_S)
        calibration = calibration_for(self.anchor, self.model)
        driven = [
            calibration.apply(self.model.predict(audio, times_s).values),
            expression_from_speech(self.anchor, self.model, audio, times_s),
        ]
        if phones is not None:
            known = KnownPhones(tuple(phones), is_synthetic=True)
            driven.append(expression_from_speech(self.anchor, self.model, audio, times_s, phones=known))
        found = [self._offsets(expression, times_s, bursts_s) for expression in driven]
        return found if phones is not None else [*found, np.zeros(0)]

    def _offsets(self, expression: FloatArray, times_s: Values, bursts_s: Values) -> Values:
        """Offsets of lips, the expression (S, K) of which is known at times (S,)."""
        opening = self.anchor.face.opening(expression).astype(np.float64)
        found = []
        for phase in range(PHASES):
            frames_s = np.arange(phase / PHASES / FRAME_RATE, times_s[-1], 1 / FRAME_RATE)
            partings_s = metrics.lip_partings(np.interp(frames_s, times_s, opening), frames_s)
            found.append(metrics.plosive_offset(bursts_s, partings_s, 0.0).offsets_ms)
        return np.concatenate(found)


def time_voice(mouths: Mouths, voice: str, text: str) -> Timed:
    """One voice through the predictor."""
    spoken = join(list(speak(Script(text, voice))))
    assert spoken.phones is not None
    samples = torch.from_numpy(spoken.audio.samples)
    audio = Audio(torchaudio.functional.resample(samples, spoken.audio.rate_hz, RATE_HZ).numpy(), RATE_HZ)
    plosives_s = np.array([(p.start_s, p.end_s) for p in spoken.phones if plain(p.symbol) in PLOSIVES]).reshape(-1, 2)
    bursts_s = metrics.find_bursts(audio, plosives_s)
    burst_ms = 1000 * float(np.nanmedian(bursts_s - plosives_s[:, 1]))
    predicted_ms, delivered_ms, from_text_ms = mouths.offsets(audio, bursts_s, spoken.phones)
    return Timed(voice, len(plosives_s), np.zeros(0), predicted_ms, delivered_ms, from_text_ms, burst_ms)


def recognized_plosives(recognizer: PhonemeRecognizer, audio: Audio) -> Values:
    """(P, 2) where each p and b is, roughly, seconds."""
    tokens = [number for number, token in enumerate(recognizer.tokens) if token and plain(token) in {*PLOSIVES, "p͈"}]
    heard = recognizer.log_posteriors(torch.from_numpy(audio.samples)).exp()[:, tokens].sum(1).numpy()
    edges = np.flatnonzero(np.diff(np.pad((heard > HEARD).astype(int), 1)))
    peaks = [begin + int(np.argmax(heard[begin:end])) for begin, end in edges.reshape(-1, 2)]
    ends_s = np.array(peaks, np.float64) * HOP / RATE_HZ
    return np.stack([np.maximum(ends_s - BEFORE_S, 0), ends_s], 1)


def time_clip(mouths: Mouths, recognizer: PhonemeRecognizer, entry: ClipEntry, folder: Path) -> Timed:
    """True lips of one clip, and the predictor on its audio."""
    track = track_file(entry.clip)
    if not track.valid.any():
        raise NoFaceError(f"{entry.clip} shows no face.")
    read = read_audio(entry.audio)
    samples = torchaudio.functional.resample(torch.from_numpy(read.samples), read.rate_hz, RATE_HZ).numpy()
    audio = Audio(samples[: int(min(entry.end_s, read.duration_s) * RATE_HZ)], RATE_HZ)

    # The lag of the predictor: the normalized prediction with the clip's own mean and deviation, against the clip.
    reconstruction = reconstruct(track, mouths.anchor.model)
    used = reconstruction.valid & (track.times_s < entry.end_s)
    face = PersonFace(mouths.anchor.model, reconstruction.identity)
    own, times_s = reconstruction.expression[used], np.arange(0, audio.duration_s, STEP_S)
    predicted = mouths.model.predict(audio, times_s).values * own.std(0) + own.mean(0)
    predicted_gap = face.opening(predicted.astype(np.float32)).astype(np.float64)
    lag = metrics.best_lag(face.opening(own).astype(np.float64), track.times_s[used], predicted_gap, times_s)

    plosives_s = recognized_plosives(recognizer, audio)
    bursts_s = metrics.find_bursts(audio, plosives_s)
    partings_s = metrics.lip_partings(metrics.opening(track), track.times_s)
    lips = metrics.plosive_offset(bursts_s, partings_s)
    if not lips.is_enough:
        lips = metrics.plosive_offset(bursts_s, partings_s, lag.lag_ms / 1000)
    name = str(entry.clip.relative_to(folder))
    predicted_ms, delivered_ms, from_text_ms = mouths.offsets(audio, bursts_s)
    offsets = (lips.offsets_ms, predicted_ms, delivered_ms, from_text_ms)
    return Timed(name, len(plosives_s), *offsets, lag_ms=lag.lag_ms, r=lag.r)


def spread_ms(values: Values) -> float:
    """Interquartile range."""
    return float(np.subtract(*np.quantile(values, [0.75, 0.25])))


def error_ms(values: Values) -> float:
    """Standard error of the median of values that are distributed normally."""
    return 1.2533 * max(spread_ms(values) / 1.349, LEAST_SPREAD_MS) / math.sqrt(len(values))


def median_text(values: Values) -> str:
    """Median with its sign."""
    return f"{np.median(values):+.0f}" if len(values) else "-"


def by_clip_error_ms(differences: Sequence[Values]) -> float:
    """Standard error of the median of all, by the bootstrap over clips."""
    random = np.random.default_rng(0)
    draws = random.integers(0, len(differences), (2000, len(differences)))
    drawn = [np.concatenate([differences[number] for number in draw]) for draw in draws]
    return float(np.std([np.median(values) for values in drawn if len(values)]))


def print_voices(rows: Sequence[Timed]) -> None:
    """The table of text-to-speech, and all voices together; a plosive counts once, whatever its phases."""
    print(
        "| voice | p, b | burst - phone's end, ms | predicted lips - burst, ms | IQR | delivered, ms | IQR "
        "| from text, ms | IQR |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    kinds = ("predicted_ms", "delivered_ms", "from_text_ms")
    predicted_ms, delivered_ms, from_text_ms = (np.concatenate([getattr(row, kind) for row in rows]) for kind in kinds)
    total = sum(row.plosives for row in rows)
    burst_ms = float(np.mean([row.burst_ms for row in rows]))
    for row in (*rows, Timed("all", total, np.zeros(0), predicted_ms, delivered_ms, from_text_ms, burst_ms)):
        cells = [f"{row.burst_ms:+.0f}"]
        for values in (row.predicted_ms, row.delivered_ms, row.from_text_ms):
            cells += [median_text(values), f"{spread_ms(values):.0f}"]
        print("| " + " | ".join([row.name, str(row.plosives), *cells]) + " |", flush=True)


def print_clips(rows: Sequence[Timed]) -> None:
    """The table of clips, and what they say together."""
    print("\n| clip | p, b | timed | lips - burst, ms | IQR | standard error | lag by the predictor | r |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        lips = row.lips_ms
        cells = [str(len(lips)), median_text(lips)]
        cells += [f"{spread_ms(lips):.0f}", f"{error_ms(lips):.0f}"] if len(lips) else ["-", "-"]
        cells += [f"{row.lag_ms:+.0f}", f"{row.r:.2f}"]
        print("| " + " | ".join([row.name, str(row.plosives), *cells]) + " |")
    differences = [row.lips_ms - row.lag_ms for row in rows if len(row.lips_ms)]
    every = np.concatenate(differences)
    print(
        f"\nTrue lips - burst - lag by the predictor: {np.median(every):+.0f} ms, {len(every)} plosives of "
        f"{len(differences)} clips, IQR {spread_ms(every):.0f}, standard error over clips "
        f"{by_clip_error_ms(differences):.0f} ms."
    )
    for name in ("predicted", "delivered"):
        values = np.concatenate([getattr(row, f"{name}_ms") for row in rows])
        print(f"{name.capitalize()} lips on the clips' audio - burst: {np.median(values):+.0f} ms.")


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the clips in the list.")
@click.option("--clips", type=click.Path(path_type=Path), default=CLIPS, help="Another list.")
@click.option("--anchor", "folder", type=click.Path(path_type=Path), default="presenter", show_default=True)
@click.option("--voices/--no-voices", default=True, help="Whether to measure text-to-speech.")
@click.option("--voice", "chosen", multiple=True, help="These voices alone.")
def main(data: Path | None, clips: Path, folder: Path, voices: bool, chosen: tuple[str, ...]) -> None:
    """Print the tables as Markdown."""
    anchor = load_anchor(anchor_folder(folder))
    mouths = Mouths(anchor, load_speech_model(anchor, None, torch.device("cpu")))
    if voices:
        here = voices_here(chosen).items()
        texts = [*here, *((voice, FULL_OF_PLOSIVES) for voice, text in here if text is ENGLISH)]
        print_voices([time_voice(mouths, voice, text) for voice, text in texts])
    if data is not None:
        recognizer = PhonemeRecognizer()
        print_clips([time_clip(mouths, recognizer, entry, data) for entry in read_clip_list(clips, data)])


if __name__ == "__main__":
    main()
