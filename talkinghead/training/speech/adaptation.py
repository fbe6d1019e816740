"""Adapting the expression predictor to one person: its networks are fine-tuned on the anchor's own clip.

A minute of a person's own speech and mouth tells what the predictor's training on others cannot. What is used is the
mean of the adapted networks and the calibrated predictor. How long to train is found on held-out contiguous blocks of
the clip; where that mean does not predict these better than the calibrated predictor alone, there is no adaptation.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.face.face_model import PersonFace
from talkinghead.face.topology import LEFT_CORNER, LOWER_LIP, RIGHT_CORNER, UPPER_LIP
from talkinghead.media.audio_reader import read_audio
from talkinghead.metrics import pearson_r
from talkinghead.speech.adaptation import SpeechAdaptation
from talkinghead.speech.calibration import LARGEST_GAIN, SpeechCalibration, choose_ridge, ridge
from talkinghead.speech.lip_closure import choose_levels
from talkinghead.speech.model import SpeechModel
from talkinghead.structures import DEFAULT_TRACKS, BoolArray, FloatArray, Reconstruction, Tracks


@dataclass(frozen=True)
class AdaptationConfig:
    """Settings of the fine-tuning."""

    longest_s: float = 180.0
    """Audio that is used, from the clip's start."""
    shortest_s: float = 8.0
    """Speech with a face in view that an adaptation needs."""
    folds: int = 3
    """Contiguous blocks that are held out in turn."""
    most_steps: int = 60
    """Longest fine-tuning that is tried."""
    tolerance: float = 0.01
    """Correlation on held-out blocks that the longest fine-tuning may lie below the best."""
    score_every: int = 20
    """Steps between two measurements on a held-out block."""
    batch: int = 8
    frames: int = 100
    """Feature frames of a window: 2 s."""
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    component_dropout: float = 0.2
    """Share of the inputs' channels that are dropped, for whole windows."""
    opening_weight: float = 0.5
    width_weight: float = 0.25
    least_share: float = 0.8
    """Share of a window's frames that must have a target."""
    seed: int = 0


@dataclass(frozen=True)
class _Sequence:
    """A clip at the encoder's feature frames."""

    inputs: Tensor
    """(S, C) what the networks take: principal components of the features, no phones."""
    base: Tensor
    """(S, K) normalized expression, as the predictor gives it before its adaptation."""
    targets: Tensor
    """(S, K) normalized expression at the same times, the lag of the audio removed."""
    closure: Tensor
    """(S,) probability of p, b or m."""
    has_target: Tensor
    """(S,) bool."""
    to_shape: Tensor
    """(K, 2) from normalized expression to opening and width of the mouth, each of deviation 1."""


def adapt(
    clip: Path,
    face: PersonFace,
    reconstruction: Reconstruction,
    speech_model: SpeechModel,
    calibration: SpeechCalibration,
    config: AdaptationConfig | None = None,
    tracks: Tracks = DEFAULT_TRACKS,
) -> SpeechAdaptation | None:
    """Fine-tune the predictor's networks on a clip.

    Args:
        clip: video with the person's speech.
        face: of the person.
        reconstruction: of the clip's frames.
        speech_model: whose predictor is adapted; it stays as it is.
        calibration: of the speech model to this clip, which knows the lag of its audio.
        config: settings; None for the default.
        tracks: which of the clip's tracks.

    Returns:
        The adaptation; None where the clip's audio does not belong to its mouth, there is too little of it, or held-out
        blocks are not predicted better than by the calibrated predictor.

    Raises:
        MediaError: the clip's audio cannot be read.
    """
    config = config or AdaptationConfig()
    if calibration.lag_s is None:
        return None
    own = reconstruction.expression[reconstruction.valid]
    mean, std = own.mean(0), np.maximum(own.std(0), 1e-3)
    statistics = (mean, std, calibration.lag_s)
    sequence = _sequence(clip, face, reconstruction, speech_model, statistics, config, tracks)
    if float(sequence.has_target.sum()) / speech_model.encoder.rate_hz < config.shortest_s:
        return None
    trial = _cross_validate(speech_model, sequence, config)
    if not trial.held_out_r > trial.calibrated_r:
        return None
    *_, (_, networks) = _fine_tune(speech_model, sequence, sequence.has_target.numpy(), config, trial.steps)
    matrix, offset, closing = _mapping(sequence, face, trial.expected, (mean, std))
    return SpeechAdaptation(
        changes=_changes(speech_model.predictor.networks, networks),
        matrix=matrix,
        offset=offset,
        held_out_r=trial.held_out_r,
        calibrated_r=trial.calibrated_r,
        encoder_sha256=speech_model.encoder.sha256,
        predictor_sha256=speech_model.predictor.sha256(),
        closing=closing,
    )


@dataclass(frozen=True)
class _Trial:
    """What held-out blocks of the clip say of a fine-tuning."""

    steps: int
    """Length of the fine-tuning."""
    held_out_r: float
    calibrated_r: float
    expected: FloatArray
    """(S, K) normalized, predicted for each block without having seen it: so it errs as on new sentences."""


def _cross_validate(speech_model: SpeechModel, sequence: _Sequence, config: AdaptationConfig) -> _Trial:
    """Fine-tune without each block in turn, and predict it."""
    blocks = _blocks(sequence, config)
    held_out, calibrated = [], []
    for block in blocks:
        rest = sequence.has_target.numpy() & ~block
        base = _calibrated(sequence, rest)
        course = _fine_tune(speech_model, sequence, rest, config)
        held_out.append([np.float32(0.5) * (tuned + base) for tuned, _ in course])
        calibrated.append(_opening_r(base, sequence, block))
    curves = [
        [_opening_r(predicted, sequence, block) for predicted in course]
        for course, block in zip(held_out, blocks, strict=True)
    ]
    curve = np.nanmean(curves, 0)
    # Longer fine-tuning carries over better to sentences that are unlike the clip's, as long as it costs little here.
    best = int(np.flatnonzero(curve >= np.nanmax(curve) - config.tolerance)[-1])
    expected = np.select([block[:, None] for block in blocks], [course[best] for course in held_out])
    steps = (best + 1) * config.score_every
    return _Trial(steps, float(curve[best]), float(np.nanmean(calibrated)), expected.astype(np.float32))


def _mapping(
    sequence: _Sequence, face: PersonFace, expected: FloatArray, statistics: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray, tuple[float, float] | None]:
    """Matrix (2 K, K), offset (K,) and levels of closing of an adaptation.

    Args:
        sequence: the clip.
        face: of the person.
        expected: see `_Trial`.
        statistics: mean and deviation of the clip's expression.
    """
    mean, std = statistics
    used = sequence.has_target.numpy()
    measured = sequence.targets.numpy()[used] * std + mean
    center = expected[used].mean(0)
    to_person = enlargement(face, measured, expected[used] * std + mean) * std[:, None]
    to_base, base_offset = _base_map(sequence, used)
    matrix = np.concatenate([to_person, to_base @ to_person]) / 2
    offset = (base_offset / 2 - center) @ to_person + center * std + mean
    larger = ((expected[used] - center) @ to_person + center * std + mean).astype(np.float32)
    closing = choose_levels(larger, sequence.closure.numpy()[used], face, measured.astype(np.float32))
    return matrix.astype(np.float32), offset.astype(np.float32), closing


def enlargement(face: PersonFace, measured: FloatArray, driven: FloatArray) -> NDArray[np.float64]:
    """Matrix (K, K) that gives predictions the deviations of the measured expression.

    A mean of predictions moves less than the mouth. Each coefficient is enlarged to the clip's deviation. That alone
    would mix less certain coefficients into the opening of the mouth, so the opening is corrected to what was
    predicted, enlarged as a whole: it agrees with the mouth as well as before.

    Args:
        face: of the person.
        measured: (N, K) expression in the clip.
        driven: (N, K) what is predicted for the same times.
    """
    one_each = np.eye(measured.shape[1], dtype=np.float32)
    to_gap = (face.lip_gap(one_each) - face.lip_gap(0 * one_each)).astype(float)
    gains = _gain(measured.std(0), driven.std(0))
    gap_gain = _gain(face.opening(measured).std(), face.opening(driven).std())
    # The correction moves the coefficients as they move with the opening.
    centered = driven - driven.mean(0)
    along = centered.T @ (centered @ to_gap)
    along /= max(float(along @ to_gap), 1e-12)
    return np.diag(gains) + np.outer((gap_gain - gains) * to_gap, along)


def _gain(measured: FloatArray, driven: FloatArray) -> NDArray[np.float64]:
    """Factor that brings one deviation to another, within limits."""
    return np.clip(measured / np.maximum(driven, 1e-6), 1.0, LARGEST_GAIN).astype(float)


@torch.no_grad()
def _sequence(
    clip: Path,
    face: PersonFace,
    reconstruction: Reconstruction,
    speech_model: SpeechModel,
    statistics: tuple[FloatArray, FloatArray, float],
    config: AdaptationConfig,
    tracks: Tracks,
) -> _Sequence:
    """Features and targets of a clip; `statistics` are mean and deviation of its expression, and its audio's lag."""
    mean, std, lag_s = statistics
    predictor = speech_model.predictor
    features = speech_model.encoder.encode(
        read_audio(clip, longest_s=config.longest_s, tracks=tracks), predictor.config.layers
    )
    components = predictor.components(torch.from_numpy(features.values).to(predictor.projection.device)[None])
    inputs, base, closure = (
        part[0].cpu()
        for part in (predictor.joined(components), predictor.expression(components), predictor.closure(components))
    )
    # A feature at t shows in the frame at t - lag. Between two frames targets are interpolated, but not across frames
    # without a face.
    frame_s, times_s = features.times_s - lag_s, reconstruction.times_s
    normalized = (reconstruction.expression - mean) / std
    targets = np.stack([np.interp(frame_s, times_s, curve) for curve in normalized.T], 1).astype(np.float32)
    valid = np.interp(frame_s, times_s, reconstruction.valid.astype(float)) > 0.99
    valid &= (frame_s >= times_s[0]) & (frame_s <= times_s[-1])
    basis = face.model.expression_basis * std[:, None, None]
    gap = basis[:, UPPER_LIP, 1] - basis[:, LOWER_LIP, 1]
    width = basis[:, LEFT_CORNER, 0] - basis[:, RIGHT_CORNER, 0]
    to_shape = np.stack([gap, width], 1)
    to_shape = to_shape / np.maximum((targets[valid] @ to_shape).std(0), 1e-6) if valid.any() else to_shape
    to_shape = to_shape.astype(np.float32)
    return _Sequence(inputs, base, torch.from_numpy(targets), closure, *map(torch.from_numpy, (valid, to_shape)))


def _blocks(sequence: _Sequence, config: AdaptationConfig) -> list[BoolArray]:
    """(S,) each: contiguous blocks of the frames with a target, together all of them."""
    position = np.cumsum(sequence.has_target.numpy())
    number = np.ceil(position / max(position[-1], 1) * config.folds)
    return [sequence.has_target.numpy() & (number == block + 1) for block in range(config.folds)]


def _fine_tune(
    speech_model: SpeechModel,
    sequence: _Sequence,
    used: NDArray[np.bool_],
    config: AdaptationConfig,
    steps: int | None = None,
) -> Iterator[tuple[FloatArray, nn.ModuleList]]:
    """Fine-tune on the frames that are used: after every `score_every` steps what is predicted, (S, K), and by what."""
    draw = np.random.default_rng(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    networks = copy.deepcopy(speech_model.predictor.networks).cpu().train()
    optimizer = torch.optim.AdamW(networks.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    usable = torch.from_numpy(used)
    share = np.convolve(used.astype(float), np.ones(config.frames) / config.frames, "valid")
    starts = np.flatnonzero(share >= config.least_share)
    if not len(starts):
        starts = np.array([max(0, int(np.argmax(share)))])
    for step in range(1, (steps or config.most_steps) + 1):
        chosen = [slice(start, start + config.frames) for start in draw.choice(starts, config.batch).tolist()]
        inputs, targets, weight = (
            torch.stack([part[window] for window in chosen])
            for part in (sequence.inputs, sequence.targets, usable.float())
        )
        losses = []
        for network in networks:
            kept = torch.rand(len(inputs), 1, inputs.shape[2], generator=generator) > config.component_dropout
            losses.append(_loss(network(inputs * kept), targets, weight, sequence.to_shape, config))
        optimizer.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()
        torch.nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
        optimizer.step()
        if step % config.score_every == 0:
            yield _predict(networks, sequence), networks


def _loss(predicted: Tensor, targets: Tensor, weight: Tensor, to_shape: Tensor, config: AdaptationConfig) -> Tensor:
    """Smooth L1 on every coefficient, and on opening and width of the mouth: (B, S, K) x 2, (B, S) -> scalar."""
    every = functional.smooth_l1_loss(predicted, targets, reduction="none").mean(2)
    shape = functional.smooth_l1_loss(predicted @ to_shape, targets @ to_shape, reduction="none")
    shape_weights = shape.new_tensor([config.opening_weight, config.width_weight])
    return ((every + shape @ shape_weights) * weight).sum() / weight.sum().clamp(min=1)


@torch.no_grad()
def _predict(networks: nn.ModuleList, sequence: _Sequence) -> FloatArray:
    """(S, K) normalized expression."""
    networks.eval()
    predicted = torch.stack([network(sequence.inputs[None])[0] for network in networks]).mean(0)
    networks.train()
    return np.asarray(predicted.numpy(), np.float32)


def _calibrated(sequence: _Sequence, used: BoolArray) -> FloatArray:
    """(S, K) what the predictor gives, calibrated on the frames that are used."""
    matrix, offset = _base_map(sequence, used)
    return np.asarray(sequence.base.numpy() @ matrix + offset, np.float32)


def _base_map(sequence: _Sequence, used: BoolArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix (K, K) and offset (K,) that calibrate the predictor on the frames that are used."""
    base, targets = sequence.base.numpy()[used], sequence.targets.numpy()[used]
    prior, to_gap = np.eye(base.shape[1]), sequence.to_shape[:, 0].numpy()
    penalty = choose_ridge(base, targets, prior, lambda expression: expression @ to_gap)
    return ridge(base, targets, prior, penalty)


def _opening_r(predicted: FloatArray, sequence: _Sequence, block: BoolArray) -> float:
    to_gap = sequence.to_shape[:, 0].numpy()
    return pearson_r(
        (predicted[block] @ to_gap).astype(float), (sequence.targets.numpy()[block] @ to_gap).astype(float)
    )


def _changes(base: nn.Module, adapted: nn.Module) -> dict[str, NDArray[np.float16]]:
    before = {name: value.detach().cpu() for name, value in base.named_parameters()}
    return {
        name: (value.detach().cpu() - before[name]).numpy().astype(np.float16)
        for name, value in adapted.named_parameters()
    }
