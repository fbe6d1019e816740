"""Teaches the expression predictor: speech features of any encoder to the expression coefficients of tracked clips.

A list of clips says where picture and sound lie and how late the sound is. Each clip's coefficients are normalised by
its own mean and standard deviation, so that what is learned is how a mouth moves and not whose mouth it is. Beside
each recording as it is, the same recording is learned played slower and faster: another pitch, other formants,
another tempo, and the same mouth shapes.

Leave-one-speaker-out training measures what an unseen speaker gets, and gives the one factor by which the output is
stretched: the least-squares answer to uncertainty is to move too little.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from talkinghead import metrics
from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.face_model import INNER_LIP_LOWER, INNER_LIP_UPPER, FaceModel
from talkinghead.media import read_sound
from talkinghead.reconstruction import reconstruct
from talkinghead.speech import ExpressionPredictor, PredictorConfig, SpeechEncoder
from talkinghead.structures import BoolArray, FloatArray, Sound
from talkinghead.tracking import track_file

SPEEDS = (1.0, 0.88, 1.12)
"""How fast each recording is played; the first is measured on."""
UPPER_LIP, LOWER_LIP = 13, 14
MOST_LAYERS = 4
"""Of an encoder with more layers, so many are taken, evenly spread to the last."""


@dataclass(frozen=True)
class ClipEntry:
    """One row of the list of clips."""

    clip: Path
    sound: Path
    lag_s: float
    """How much later the sound's mouth shapes are seen in the picture than heard; negative = the mouth comes first."""
    speaker: str
    end_s: float
    """The clip is used up to here."""


@dataclass(frozen=True)
class PredictorTrainingConfig:
    steps: int = 400
    batch: int = 16
    frames: int = 100
    """Feature frames of an example: 2 s."""
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    feature_dropout: float = 0.2
    velocity_weight: float = 0.5
    opening_weight: float = 0.5
    largest_stretch: float = 2.0
    seed: int = 0


@dataclass(frozen=True)
class Example:
    """Features of a recording and the normalised expression seen with them, frame for frame."""

    features: Tensor
    """(S, layers, D) float16."""
    expression: Tensor
    """(S, K) normalised."""
    opening: Tensor
    """(S,) normalised gap between the lips, linear in `expression`."""
    to_opening: Tensor
    """(K,) that linear map."""
    to_lips: Tensor
    """(K, K) metric: e M e is the mean squared motion of the lips' vertices against what the clip shows."""
    seen: Tensor
    """(S,) True where the face was found, within the clip."""


@dataclass(frozen=True)
class Clip:
    """A clip ready for training and measuring."""

    entry: ClipEntry
    examples: list[Example]
    """One for each of `SPEEDS`."""
    times_s: NDArray[np.float64]
    """(T,) when each picture's mouth shape is heard."""
    opening: NDArray[np.float64]
    """(T,) gap between the inner lips over face width, as tracked."""
    valid: BoolArray
    """(T,)"""


@dataclass(frozen=True)
class Score:
    """How well the opening of a speaker's mouth was predicted."""

    speaker: str
    r: float
    concordance: float
    std_ratio: float
    lag_ms: float
    coefficient_r: float
    """Mean r of the coefficients, each weighted by how much it moves the lips."""
    seconds: float


def read_clip_list(path: Path, folder: Path | None = None) -> list[ClipEntry]:
    """Read a tab-separated list: clip, sound (empty = the clip's own), lag_ms, speaker, end_s (empty = all).

    Files are named relative to `folder`, or else to where the list lies.

    Raises:
        MissingFileError: the list, or a file it names, is not there.
        CheckpointError: the list lacks a column or holds no number where one is due.
    """
    if not path.is_file():
        raise MissingFileError(f"There is no list of clips {path}.")
    folder = folder or path.parent
    entries = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            try:
                clip = folder / row["clip"]
                sound = folder / row["sound"] if row["sound"] else clip
                entry = ClipEntry(
                    clip, sound, float(row["lag_ms"]) / 1000, row["speaker"], float(row["end_s"] or np.inf)
                )
            except (KeyError, TypeError, ValueError) as error:
                raise CheckpointError(
                    f"{path} is no list of clips: columns clip, sound, lag_ms, speaker, end_s."
                ) from error
            entries.append(entry)
    for entry in entries:
        for named in (entry.clip, entry.sound):
            if not named.is_file():
                raise MissingFileError(f"{path} names {named}, which is not there.")
    return entries


def chosen_layers(encoder: SpeechEncoder) -> tuple[int, ...]:
    """All layers of a small encoder, an even choice of a large one's."""
    count = encoder.layer_count
    take = min(MOST_LAYERS, count)
    return tuple(round((n + 1) * count / take) for n in range(take))


def prepare_clip(entry: ClipEntry, encoder: SpeechEncoder, model: FaceModel) -> Clip:
    """Track, reconstruct and encode one clip."""
    track = track_file(entry.clip)
    solved = reconstruct(track, model)
    used = solved.valid & (track.times_s < entry.end_s)
    sound = read_sound(entry.sound)
    sound = Sound(sound.samples[: int(min(entry.end_s, sound.duration_s) * sound.rate_hz)], sound.rate_hz)

    seen = solved.expression[used]
    std = np.maximum(seen.std(0), 1e-3)
    normalised = (solved.expression - seen.mean(0)) / std
    to_opening, to_lips = _lip_maps(model, std)
    gap = normalised[used] @ to_opening
    to_opening = to_opening / max(float(gap.std()), 1e-6)
    to_lips = to_lips / max(float(np.mean(np.einsum("tk,kl,tl->t", normalised[used], to_lips, normalised[used]))), 1e-9)

    heard_s = track.times_s - entry.lag_s
    examples = []
    for speed in SPEEDS:
        played = Sound(sound.samples, round(sound.rate_hz * speed))
        features = encoder.encode(played, chosen_layers(encoder))
        at_s = features.times_s * speed
        expression = np.stack([np.interp(at_s, heard_s, curve) for curve in normalised.T], 1).astype(np.float32)
        inside = (np.interp(at_s, heard_s, used.astype(float)) > 0.99) & (at_s >= heard_s[0]) & (at_s <= heard_s[-1])
        examples.append(
            Example(
                torch.from_numpy(features.values).half(),
                torch.from_numpy(expression),
                torch.from_numpy(expression @ to_opening.astype(np.float32)),
                torch.from_numpy(to_opening.astype(np.float32)),
                torch.from_numpy(to_lips.astype(np.float32)),
                torch.from_numpy(inside),
            )
        )
    return Clip(
        entry,
        examples,
        heard_s,
        metrics.opening(track),
        used,
    )


def _lip_maps(model: FaceModel, std: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From normalised coefficients to the gap between the lips, (K,), and the metric of lip motion, (K, K), in cm."""
    basis = model.expression_basis.astype(np.float64) * std[:, None, None]
    lips = sorted(set(INNER_LIP_UPPER + INNER_LIP_LOWER))
    moves = basis[:, lips].reshape(len(basis), -1)
    return basis[:, UPPER_LIP, 1] - basis[:, LOWER_LIP, 1], moves @ moves.T / len(lips)


def train_predictor(
    clips: Sequence[Clip], config: PredictorConfig, training: PredictorTrainingConfig
) -> ExpressionPredictor:
    """Train a predictor on all the clips given."""
    torch.manual_seed(training.seed)
    draw = np.random.default_rng(training.seed)
    predictor = ExpressionPredictor(config)
    heard = torch.cat([example.features.float() for clip in clips for example in clip.examples])
    predictor.feature_mean.copy_(heard.mean(0))
    predictor.feature_std.copy_(heard.std(0) + 1e-3)
    optimizer = torch.optim.AdamW(predictor.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.learning_rate, total_steps=training.steps)
    weight = np.array([float(clip.examples[0].seen.sum()) ** 0.7 for clip in clips])
    predictor.train()
    for _ in range(training.steps):
        loss = _loss(predictor, _draw_batch(clips, weight / weight.sum(), training, draw), training)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(predictor.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return predictor.eval()


def _draw_batch(
    clips: Sequence[Clip], weight: NDArray[np.float64], training: PredictorTrainingConfig, draw: np.random.Generator
) -> Example:
    """Stretches of `frames` feature frames as one Example whose every field has a batch axis in front."""
    drawn = []
    for number in draw.choice(len(clips), training.batch, p=weight):
        examples = clips[number].examples
        example = examples[draw.integers(len(examples))]
        start = int(draw.integers(0, max(len(example.seen) - training.frames, 0) + 1))
        stretch = slice(start, start + training.frames)
        missing = max(0, training.frames - len(example.seen))
        drawn.append(
            Example(
                functional.pad(example.features[stretch].float(), (0, 0, 0, 0, 0, missing)),
                functional.pad(example.expression[stretch], (0, 0, 0, missing)),
                functional.pad(example.opening[stretch], (0, missing)),
                example.to_opening,
                example.to_lips,
                functional.pad(example.seen[stretch], (0, missing)),
            )
        )
    return Example(*(torch.stack(column) for column in zip(*(vars(one).values() for one in drawn), strict=True)))


def _loss(predictor: ExpressionPredictor, batch: Example, training: PredictorTrainingConfig) -> Tensor:
    """Motion of the lips' vertices, every coefficient, their velocity, and the gap between the lips."""
    kept = torch.rand(batch.features.shape[0], 1, 1, batch.features.shape[3]) > training.feature_dropout
    # A dropped feature takes its mean, which the predictor turns into zero.
    predicted = predictor(torch.where(kept, batch.features, predictor.feature_mean))
    seen = batch.seen.float()
    miss = predicted - batch.expression
    lips = torch.einsum("bsk,bkl,bsl->bs", miss, batch.to_lips, miss)
    every = functional.smooth_l1_loss(predicted, batch.expression, reduction="none").mean(2)
    opening = torch.einsum("bsk,bk->bs", predicted, batch.to_opening)
    gap = functional.smooth_l1_loss(opening, batch.opening, reduction="none")
    both = seen[:, 1:] * seen[:, :-1]
    speed = functional.smooth_l1_loss(opening.diff(dim=1), batch.opening.diff(dim=1), reduction="none")
    still = ((0.5 * lips + every + training.opening_weight * gap) * seen).sum() / seen.sum().clamp(min=1)
    moving = (speed * both).sum() / both.sum().clamp(min=1)
    return still + training.velocity_weight * moving


@torch.inference_mode()
def predicted_opening(predictor: ExpressionPredictor, clip: Clip) -> NDArray[np.float64]:
    """(S,) gap between the lips, normalised by the clip's own, at the feature frames."""
    example = clip.examples[0]
    expression = predictor(example.features.float()[None])[0]
    return np.asarray((expression @ example.to_opening).numpy(), np.float64)


@torch.inference_mode()
def measure(predictor: ExpressionPredictor, clips: Sequence[Clip], encoder: SpeechEncoder) -> Score:
    """Score of one speaker's clips, each weighted by its length; openings are compared with the tracked ones."""
    rows, weights = [], []
    for clip in clips:
        features_s = encoder.first_s + np.arange(len(clip.examples[0].seen)) / encoder.rate_hz
        normalised = np.interp(clip.times_s, features_s, predicted_opening(predictor, clip))
        inside = clip.valid & (clip.times_s >= 0) & (clip.times_s <= features_s[-1])
        true = clip.opening[inside]
        own = clip.opening[clip.valid]
        guess = own.mean() + own.std() * normalised[inside]
        # The opening cannot be negative: lips that meet are closed.
        guess = np.maximum(guess, 0)
        lag = metrics.best_lag(guess, clip.times_s[inside], true, clip.times_s[inside])
        rows.append(
            [
                metrics.pearson_r(guess, true),
                metrics.concordance(guess, true),
                metrics.std_ratio(guess, true),
                lag.lag_ms,
                _coefficient_r(predictor, clip.examples[0]),
            ]
        )
        weights.append(float(inside.sum()))
    seconds = sum(float(clip.examples[0].seen.sum()) for clip in clips) / encoder.rate_hz
    r, concordance, ratio, lag_ms, coefficient_r = (float(value) for value in np.average(rows, 0, weights))
    return Score(clips[0].entry.speaker, r, concordance, ratio, lag_ms, coefficient_r, seconds)


def _coefficient_r(predictor: ExpressionPredictor, example: Example) -> float:
    predicted = predictor(example.features.float()[None])[0][example.seen].numpy()
    true = example.expression[example.seen].numpy()
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, true.T, strict=True)]
    return float(np.average(r, weights=example.to_lips.diagonal().numpy()))


def leave_one_out(
    clips: Sequence[Clip], config: PredictorConfig, training: PredictorTrainingConfig, encoder: SpeechEncoder
) -> tuple[list[Score], float]:
    """Score every speaker by a predictor that was taught on the others, and the stretch that unseen speakers need.

    Scores are with that stretch applied; it is the ratio of true to predicted standard deviation of the gap between
    the lips, in the middle over the speakers.
    """
    speakers = sorted({clip.entry.speaker for clip in clips})
    held_out = {name: [clip for clip in clips if clip.entry.speaker == name] for name in speakers}
    taught = {
        name: train_predictor([clip for clip in clips if clip.entry.speaker != name], config, training)
        for name in speakers
    }
    needed = [_needed_stretch(taught[name], held_out[name]) for name in speakers]
    stretch = float(np.clip(np.median(needed), 1.0, training.largest_stretch))
    for predictor in taught.values():
        predictor.output_scale.fill_(stretch)
    return [measure(taught[name], held_out[name], encoder) for name in speakers], stretch


def _needed_stretch(predictor: ExpressionPredictor, clips: Sequence[Clip]) -> float:
    predicted = np.concatenate([predicted_opening(predictor, clip)[clip.examples[0].seen.numpy()] for clip in clips])
    true = np.concatenate([clip.examples[0].opening[clip.examples[0].seen].numpy() for clip in clips])
    return float(true.std() / max(predicted.std(), 1e-6))
