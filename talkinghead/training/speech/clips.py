"""Tracked clips prepared for training and measuring an expression predictor."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkinghead import metrics
from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.face.face_model import FaceModel
from talkinghead.face.reconstruction import reconstruct
from talkinghead.face.topology import LEFT_CORNER, LOWER_LIP, RIGHT_CORNER, UPPER_LIP
from talkinghead.face.tracking import track_file
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.articulation import FEATURES, articulate
from talkinghead.speech.audio_window import samples_at_encoder_rate
from talkinghead.structures import Audio, BoolArray, FloatArray
from talkinghead.text_to_speech import Phone
from talkinghead.training.speech.feature_extractors import FeatureExtractor
from talkinghead.training.speech.phoneme_recognizer import PhonemeRecognizer

SPEEDS = (1.0, 0.88, 1.12)
"""Factors of speed perturbation that each recording is used at; predictors are measured at the first one."""
CLOSED_SHARE = 0.15
"""Lips are closed below this share of the range of their opening."""
RANGE = (0.02, 0.98)
"""Quantiles of the opening that its range lies between."""
MOSTLY_VALID = 0.99
"""A feature frame is valid if the frames of the clip around it are, interpolated to its time, to this share."""


@dataclass(frozen=True)
class ClipEntry:
    """One row of a list of clips."""

    clip: Path
    audio: Path
    """File with the clip's audio: the clip itself, or another."""
    lag_s: float
    """How much later a mouth shape is seen in the video than heard in the audio; negative: the video is early."""
    speaker: str
    end_s: float
    """The clip is used up to here."""


@dataclass(frozen=True)
class Example:
    """Features of a recording and the normalized expression at the same times."""

    features: Tensor
    """(S, layers, D) float16."""
    expression: Tensor
    """(S, K) normalized to mean 0 and standard deviation 1."""
    shape_map: Tensor
    """(K, 2) linear map to the normalized opening and width of the mouth."""
    valid: Tensor
    """(S,) True where the expression is known."""
    articulation: Tensor
    """(S, len(articulation.FEATURES)) of the phones; zeros where they are not known."""
    closed: Tensor
    """(S,) 1 where the lips are closed, else 0."""


@dataclass(frozen=True)
class Clip:
    """A clip ready for training and measuring."""

    entry: ClipEntry
    examples: list[Example]
    """One for each of `SPEEDS`."""
    times_s: NDArray[np.float64]
    """(T,) time in the audio of each frame's mouth shape."""
    opening: NDArray[np.float64]
    """(T,) gap between the inner lips over face width, as tracked."""
    width: NDArray[np.float64]
    """(T,) width of the mouth over face width, as tracked."""
    valid: BoolArray
    """(T,) True where the face was found, before the clip's end."""


def read_clip_list(path: Path, folder: Path | None = None) -> list[ClipEntry]:
    """Read a tab-separated list with the columns clip, sound (empty: the clip's own), lag_ms, speaker, end_s (empty:
    all of it).

    Files are named relative to `folder`, or else to where the list lies.

    Raises:
        MissingFileError: the list, or a file that it names, does not exist.
        CheckpointError: the list lacks a column or has no number where one is due.
    """
    if not path.is_file():
        raise MissingFileError(f"There is no list of clips {path}.")
    folder = folder or path.parent
    entries = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            try:
                clip = folder / row["clip"]
                audio = folder / row["sound"] if row["sound"] else clip
                entry = ClipEntry(
                    clip, audio, float(row["lag_ms"]) / 1000, row["speaker"], float(row["end_s"] or np.inf)
                )
            except (KeyError, TypeError, ValueError) as error:
                raise CheckpointError(
                    f"{path} is not a list of clips; it needs the tab-separated columns clip, sound, lag_ms, speaker, "
                    "end_s, with numbers in lag_ms and end_s."
                ) from error
            entries.append(entry)
    for entry in entries:
        for named in (entry.clip, entry.audio):
            if not named.is_file():
                raise MissingFileError(f"{path} names {named}, which does not exist.")
    return entries


def prepare_clip(
    entry: ClipEntry,
    extractor: FeatureExtractor,
    model: FaceModel,
    layers: tuple[int, ...],
    recognizer: PhonemeRecognizer | None = None,
) -> Clip:
    """Track and reconstruct one clip, and extract the features of its audio.

    Args:
        entry: the clip.
        extractor: what makes the features.
        model: the face model.
        layers: of the extractor.
        recognizer: hears the phones; None leaves them unknown.

    Raises:
        MediaError, NoFaceError: the clip cannot be used.
    """
    track = track_file(entry.clip)
    reconstruction = reconstruct(track, model)
    used = reconstruction.valid & (track.times_s < entry.end_s)
    audio = read_audio(entry.audio)
    audio = Audio(audio.samples[: int(min(entry.end_s, audio.duration_s) * audio.rate_hz)], audio.rate_hz)

    # Mean and standard deviation of a clip are its speaker's; without them, coefficients say how a mouth moves.
    own = reconstruction.expression[used]
    std = np.maximum(own.std(0), 1e-3)
    normalized = (reconstruction.expression - own.mean(0)) / std
    to_shape = shape_map(model, std)
    to_shape = to_shape / np.maximum((normalized[used] @ to_shape).std(0), 1e-6)

    audio_times_s = track.times_s - entry.lag_s
    opening = metrics.opening(track)
    is_closed = (opening < closed_below(opening[used])).astype(float)
    phones = None if recognizer is None else recognizer.phones(samples_at_encoder_rate(audio))
    examples = []
    for speed in SPEEDS:
        # Samples taken at another rate than they were recorded at sound quicker or slower, as another speaker would.
        perturbed = Audio(audio.samples, round(audio.rate_hz * speed))
        features = extractor.encode(perturbed, layers)
        times_s = features.times_s * speed  # in the audio as it was recorded
        expression = np.stack([np.interp(times_s, audio_times_s, curve) for curve in normalized.T], 1)
        valid = np.interp(times_s, audio_times_s, used.astype(float)) > MOSTLY_VALID
        valid &= (times_s >= audio_times_s[0]) & (times_s <= audio_times_s[-1])
        examples.append(
            Example(
                torch.from_numpy(features.values).half(),
                torch.from_numpy(expression.astype(np.float32)),
                torch.from_numpy(to_shape.astype(np.float32)),
                torch.from_numpy(valid),
                articulation_at(phones, times_s),
                torch.from_numpy(np.interp(times_s, audio_times_s, is_closed).astype(np.float32)),
            )
        )
    return Clip(entry, examples, audio_times_s, opening, metrics.mouth_width(track), used)


def closed_below(opening: NDArray[np.float64]) -> float:
    """The opening below which lips count as closed: `CLOSED_SHARE` of the range of an opening (T,)."""
    low, high = np.quantile(opening, RANGE)
    return float(low + CLOSED_SHARE * (high - low))


def articulation_at(phones: Sequence[Phone] | None, times_s: NDArray[np.float64]) -> Tensor:
    """(T, len(articulation.FEATURES)) of phones at given times (T,); zeros where they are not known."""
    if phones is None:
        return torch.zeros(len(times_s), len(FEATURES))
    return torch.from_numpy(articulate(phones, times_s))


def shape_map(model: FaceModel, std: FloatArray) -> NDArray[np.float64]:
    """The linear map from normalized coefficients to the mouth's opening and width in cm: (K, 2).

    `std` (K,) are the standard deviations that the coefficients were divided by.
    """
    basis = model.expression_basis.astype(np.float64) * std[:, None, None]
    gap = basis[:, UPPER_LIP, 1] - basis[:, LOWER_LIP, 1]
    side = np.sign(model.neutral[RIGHT_CORNER, 0] - model.neutral[LEFT_CORNER, 0])
    return np.stack([gap, side * (basis[:, RIGHT_CORNER, 0] - basis[:, LEFT_CORNER, 0])], 1)
