"""What becomes of a prediction on its way to the mouth: one row a stage, for speakers whom the predictor never saw.

    python -m talkinghead.training.speech predictor benchmarks/speech_clips.tsv --data CLIPS ... --left-out FOLDER
    python benchmarks/speech_delivered.py --data CLIPS --left-out FOLDER [--speaker NAME]

Each clip of at least 10 s is driven by the predictor that was trained without its speaker. All that `train` learns of a
person is learned from the first three quarters of the clip; measured is the last quarter, whose audio is the person's
own voice. Stages without adaptation:

- predictor: normalized expression, with the mean and deviation of the person's first part;
- calibrated, closed (p, b and m), unadapted (with pauses too: what `generate` would use if there were no adaptation);

and with it: adapted, closed, delivered (what `generate --voice-is-anchor yes` uses), and half (the default for other
voices). r, CCC and std ratio are of the opening, at the lag that the clip's list gives; best r is that at the best lag.
Closures are stretches of speech in which the gap is below 15 % of the person's range: precision is the share of the
driven ones that meet a measured one, within a frame, recall that of the measured ones. The last table is of 3 s of
silence, noise and music between two halves of the test part's sound: standard deviation of the delivered opening in
them, without their first and last 0.6 s, over that in speech.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from harness import markdown_table
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.anchor import Anchor, load_anchor
from talkinghead.face.face_model import FaceModel, load_face_model
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.topology import LEFT_CORNER, RIGHT_CORNER
from talkinghead.face.tracking import track_file
from talkinghead.generation.driving import expression_from_speech
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.adaptation import OWN_VOICE
from talkinghead.speech.calibration import calibrate
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.lip_closure import close_lips
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.predictor import ExpressionPredictor
from talkinghead.speech.voice_activity import VoiceActivityConfig, gate, speech_stretches
from talkinghead.structures import Audio, BoolArray, FloatArray
from talkinghead.training.speech.adaptation import adapt
from talkinghead.training.speech.clips import ClipEntry, closed_below, read_clip_list
from talkinghead.weights.bundled import anchor_folder, checkpoint_path

CLIPS = Path(__file__).with_name("speech_clips.tsv")
SHORTEST_S = 10.0
LEARNED = 0.75
"""Share of a clip that a person's anchor is made of."""
INSERTED_S, EDGE_S = 3.0, 0.6
HEADINGS = (
    "speaker",
    "stage",
    "r",
    "best r",
    "its lag ms",
    "width r",
    "CCC",
    "std ratio",
    "closures: precision",
    "recall",
)


@dataclass(frozen=True)
class Subject:
    """A clip of a speaker left out: what is learned from, and what is measured on."""

    name: str
    anchor: Anchor
    """With the face and the first part of the clip; calibrated and, if that helped, adapted."""
    speech_model: SpeechModel
    audio: Audio
    """At 16 kHz."""
    truth: FloatArray
    """(T, K) measured in the test part."""
    times_s: NDArray[np.float64]
    """(T,) times of these frames in the audio, with the lag removed."""
    is_speech: BoolArray
    """(T,) True where somebody speaks."""


def subjects(
    entries: Sequence[ClipEntry], left_out: Path, model: FaceModel, encoder: SpeechEncoder
) -> Iterator[Subject]:
    """Every clip that is long enough, one after the other."""
    built_in = load_anchor(anchor_folder(Path("presenter")))
    for entry in entries:
        reconstruction = reconstruct(track_file(entry.clip), model)
        times_s = reconstruction.times_s
        if times_s[-1] < SHORTEST_S:
            continue
        predictor = ExpressionPredictor.load(left_out / f"{entry.speaker}.safetensors")
        speech_model = SpeechModel(encoder, predictor)
        is_early = times_s < LEARNED * times_s[-1]
        early = dataclasses.replace(reconstruction, valid=reconstruction.valid & is_early)
        face = model.of(reconstruction.identity)
        calibration = calibrate(entry.audio, face, early, speech_model)
        adaptation = adapt(entry.audio, face, early, speech_model, calibration)
        audio = read_audio(entry.audio)
        tested = reconstruction.valid & ~is_early
        tested_s = np.maximum(times_s[tested] - entry.lag_s, 0)
        config = VoiceActivityConfig()
        yield Subject(
            entry.clip.stem,
            dataclasses.replace(
                built_in, face=face, reconstruction=early, calibration=calibration, adaptation=adaptation
            ),
            speech_model,
            audio,
            reconstruction.expression[tested],
            tested_s,
            gate(speech_stretches(audio, config), tested_s, config) > 0.5,
        )


def stages(subject: Subject) -> Iterator[tuple[str, FloatArray]]:
    """Name and expression (T, K), in the person's own range, of every stage."""
    anchor, times_s, base = subject.anchor, subject.times_s, subject.speech_model
    calibration, adaptation = anchor.calibration, anchor.adaptation
    assert calibration is not None
    own = anchor.reconstruction.expression[anchor.reconstruction.valid]
    predicted = base.predict(subject.audio, times_s)
    yield "predictor", predicted.values * own.std(0) + own.mean(0)
    calibrated = calibration.apply(predicted.values)
    yield "calibrated", calibrated
    yield "closed", close_lips(calibrated, predicted.closure, anchor.face, own, calibration.closing)
    unadapted = dataclasses.replace(anchor, adaptation=None)
    yield "unadapted", expression_from_speech(unadapted, base, subject.audio, times_s, own_voice=True)
    if adaptation is None:
        return
    adapted = adaptation.apply(adaptation.applied(base, OWN_VOICE).predict(subject.audio, times_s).values)
    yield "adapted", adapted
    yield "adapted, closed", close_lips(adapted, predicted.closure, anchor.face, own, adaptation.closing)
    yield "delivered", expression_from_speech(anchor, base, subject.audio, times_s, own_voice=True)
    yield "half", expression_from_speech(anchor, base, subject.audio, times_s, own_voice=False)


def score(subject: Subject, expression: FloatArray) -> list[str]:
    """The numbers of a row."""
    face, times_s = subject.anchor.face, subject.times_s
    own = subject.anchor.reconstruction.expression[subject.anchor.reconstruction.valid]
    ours, true = (face.opening(one).astype(float) for one in (expression, subject.truth))
    basis = face.model.expression_basis
    width = basis[:, LEFT_CORNER, 0] - basis[:, RIGHT_CORNER, 0]
    lag = metrics.best_lag(ours, times_s, true, times_s)
    threshold = closed_below(face.opening(own).astype(float))
    driven, measured = (_closures((one < threshold) & subject.is_speech) for one in (ours, true))
    precision, recall = _share_met(driven, measured), _share_met(measured, driven)
    values = (metrics.pearson_r(ours, true), lag.r)
    others = (
        metrics.pearson_r(expression @ width, subject.truth @ width),
        metrics.concordance(ours, true),
        metrics.std_ratio(ours, true),
        precision,
        recall,
    )
    return [*(f"{value:.3f}" for value in values), f"{lag.lag_ms:+.0f}", *(f"{value:.2f}" for value in others)]


def _closures(closed: BoolArray) -> NDArray[np.int64]:
    """(C, 2) first frame, and frame after the last, of each stretch of closed lips."""
    return np.flatnonzero(np.diff(closed.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)


def _share_met(stretches: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Share of stretches that overlap one of the others, or come within a frame of it; NaN without any."""
    met = [bool(np.any((others[:, 0] <= end) & (others[:, 1] >= first))) for first, end in stretches]
    return float(np.mean(met)) if met else float("nan")


def still(subject: Subject) -> list[str]:
    """Movement of the delivered opening in inserted silence, noise and music, over that in speech."""
    half = int(np.mean(subject.times_s[[0, -1]]) * RATE_HZ)
    first = max(int(subject.times_s[0] * RATE_HZ), half - 4 * RATE_HZ)
    before, after = subject.audio.samples[first:half], subject.audio.samples[half : half + 4 * RATE_HZ]
    draw, moments_s = np.random.default_rng(0), np.arange(int(INSERTED_S * RATE_HZ)) / RATE_HZ
    tones_hz = 220 * 2 ** (np.floor(2 * moments_s)[:, None] % 4 * 3 / 12 + np.array([0, 4, 7, 12]) / 12)
    level = float(before.std())
    inserted = {
        "silence": np.zeros(len(moments_s)),
        "noise": 0.3 * level * draw.standard_normal(len(moments_s)),
        "music": 0.3 * level * np.sin(2 * np.pi * np.cumsum(tones_hz, 0) / RATE_HZ).sum(1),
    }
    shares = []
    for sound in inserted.values():
        audio = Audio(np.concatenate([before, sound.astype(np.float32), after]), RATE_HZ)
        times_s = np.arange(0, audio.duration_s, 0.04)
        driven = expression_from_speech(subject.anchor, subject.speech_model, audio, times_s, own_voice=True)
        opening = subject.anchor.face.opening(driven)
        since_s = times_s - len(before) / RATE_HZ
        inside = (since_s > EDGE_S) & (since_s < INSERTED_S - EDGE_S)
        outside = (since_s < 0) | (since_s > INSERTED_S)
        shares.append(f"{opening[inside].std() / max(opening[outside].std(), 1e-9):.3f}")
    return [subject.name, *shares]


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the clips.")
@click.option("--clips", type=click.Path(path_type=Path), default=CLIPS, help="Another list.")
@click.option("--left-out", type=click.Path(path_type=Path), required=True, help="Predictors by speaker left out.")
@click.option("--speaker", help="This speaker alone.")
def main(data: Path, clips: Path, left_out: Path, speaker: str | None) -> None:
    """Print the tables as Markdown, a row as soon as it is known."""
    model = load_face_model(checkpoint_path("face_model.safetensors"))
    encoder = SpeechEncoder.load(checkpoint_path("speech_encoder"))
    entries = [entry for entry in read_clip_list(clips, data) if speaker in (None, entry.speaker)]
    print(markdown_table(HEADINGS, []))
    stillness = []
    for subject in subjects(entries, left_out, model, encoder):
        for name, expression in stages(subject):
            print("| " + " | ".join([subject.name, name, *score(subject, expression)]) + " |", flush=True)
        stillness.append(still(subject))
    print()
    print(markdown_table(("speaker", "silence", "noise", "music"), stillness))


if __name__ == "__main__":
    main()
