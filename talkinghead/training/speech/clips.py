"""Clips and utterances prepared for training and measuring an expression predictor."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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
from talkinghead.speech.encoder import SpeechFeatures
from talkinghead.structures import Audio, BoolArray, FloatArray
from talkinghead.text_to_speech import PAUSE, Phone, Script, Utterance
from talkinghead.training.speech.phone_openness import openness_of

CLOSED_PHONES = "pbm"
"""First letters of the phones that are made with closed lips."""
SPEEDS = (1.0, 0.88, 1.12)
"""How fast each recording is played; the first is measured on."""
FIRST_GOOD_LAYER = 3
"""What lies below hears sounds rather than speech."""


@dataclass(frozen=True)
class ClipEntry:
    """One row of the list of clips."""

    clip: Path
    audio: Path
    lag_s: float
    """How much later the sound's mouth shapes are seen in the picture than heard; negative = the mouth comes first."""
    speaker: str
    end_s: float
    """The clip is used up to here."""


@dataclass(frozen=True)
class Example:
    """Features of a recording and the normalised expression seen with them, frame for frame."""

    features: Tensor
    """(S, layers, D) float16."""
    expression: Tensor
    """(S, K) normalised."""
    to_shape: Tensor
    """(K, 2) linear map to the normalised gap between the lips and width of the mouth."""
    seen: Tensor
    """(S,) True where the face was found, within the clip."""


@dataclass(frozen=True)
class Utterances:
    """Speech whose phones are known, because a text-to-speech engine spoke it."""

    features: list[Tensor]
    """(S, layers, D) float16 each."""
    closed: list[Tensor]
    """(S,) each: 1 where p, b or m is said, else 0."""
    asked: list[Tensor]
    """(S,) each: how far open the phones want the mouth (`phone_openness`)."""
    spoken: list[Tensor]
    """(S,) each: 1 where a phone is said, else 0."""


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
    width: NDArray[np.float64]
    """(T,) width of the mouth over face width, as tracked."""
    valid: BoolArray
    """(T,)"""


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
                audio = folder / row["sound"] if row["sound"] else clip
                entry = ClipEntry(
                    clip, audio, float(row["lag_ms"]) / 1000, row["speaker"], float(row["end_s"] or np.inf)
                )
            except (KeyError, TypeError, ValueError) as error:
                raise CheckpointError(
                    f"{path} is no list of clips: columns clip, sound, lag_ms, speaker, end_s."
                ) from error
            entries.append(entry)
    for entry in entries:
        for named in (entry.clip, entry.audio):
            if not named.is_file():
                raise MissingFileError(f"{path} names {named}, which is not there.")
    return entries


class Features(Protocol):
    """What a predictor can be taught on: an encoder, or anything in its place."""

    @property
    def layer_count(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def rate_hz(self) -> float: ...

    @property
    def first_s(self) -> float: ...

    def encode(self, audio: Audio, layers: tuple[int, ...]) -> SpeechFeatures: ...


def chosen_layers(last: int) -> tuple[int, ...]:
    """Of so many layers the last, and the one half way up or the third."""
    return tuple(sorted({min(last, max(FIRST_GOOD_LAYER, last // 2)), last}))


def prepare_clip(entry: ClipEntry, encoder: Features, model: FaceModel, layers: tuple[int, ...]) -> Clip:
    """Track, reconstruct and encode one clip."""
    track = track_file(entry.clip)
    solved = reconstruct(track, model)
    used = solved.valid & (track.times_s < entry.end_s)
    audio = read_audio(entry.audio)
    audio = Audio(audio.samples[: int(min(entry.end_s, audio.duration_s) * audio.rate_hz)], audio.rate_hz)

    seen = solved.expression[used]
    std = np.maximum(seen.std(0), 1e-3)
    normalized = (solved.expression - seen.mean(0)) / std
    to_shape = _shape_map(model, std)
    to_shape = to_shape / np.maximum((normalized[used] @ to_shape).std(0), 1e-6)

    heard_s = track.times_s - entry.lag_s
    examples = []
    for speed in SPEEDS:
        played = Audio(audio.samples, round(audio.rate_hz * speed))
        features = encoder.encode(played, layers)
        at_s = features.times_s * speed
        expression = np.stack([np.interp(at_s, heard_s, curve) for curve in normalized.T], 1).astype(np.float32)
        inside = (np.interp(at_s, heard_s, used.astype(float)) > 0.99) & (at_s >= heard_s[0]) & (at_s <= heard_s[-1])
        examples.append(
            Example(
                torch.from_numpy(features.values).half(),
                torch.from_numpy(expression),
                torch.from_numpy(to_shape.astype(np.float32)),
                torch.from_numpy(inside),
            )
        )
    return Clip(
        entry,
        examples,
        heard_s,
        metrics.opening(track),
        metrics.mouth_width(track),
        used,
    )


def read_scripts(path: Path) -> list[Script]:
    """Read a tab-separated list of what is to be spoken: voice, text.

    Raises:
        MissingFileError: there is no such list.
        CheckpointError: it lacks a column.
    """
    if not path.is_file():
        raise MissingFileError(f"There is no list of texts {path}.")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if not rows or not all(row.get("voice") and row.get("text") for row in rows):
        raise CheckpointError(f"{path} is no list of texts: columns voice, text.")
    return [Script(row["text"], row["voice"]) for row in rows]


def prepare_utterances(spoken: Sequence[Utterance], encoder: Features, layers: tuple[int, ...]) -> Utterances:
    """Encode what was spoken, once for each of `SPEEDS`."""
    prepared = Utterances([], [], [], [])
    for utterance in spoken:
        phones = [phone for phone in utterance.phones or () if phone.symbol != PAUSE]
        closures = [phone for phone in phones if phone.symbol[0] in CLOSED_PHONES]
        for speed in SPEEDS:
            played = Audio(utterance.audio.samples, round(utterance.audio.rate_hz * speed))
            features = encoder.encode(played, layers)
            at_s = features.times_s * speed
            asked = openness_of(phones, at_s) if phones else np.zeros(len(at_s))
            prepared.features.append(torch.from_numpy(features.values).half())
            prepared.closed.append(_inside(closures, at_s))
            prepared.asked.append(torch.from_numpy(asked.astype(np.float32)))
            prepared.spoken.append(_inside(phones, at_s))
    return prepared


def _inside(phones: Sequence[Phone], times_s: NDArray[np.float64]) -> Tensor:
    """(T,) 1 where one of these phones is said, else 0."""
    inside = np.zeros(len(times_s), np.float32)
    for phone in phones:
        inside[(times_s >= phone.start_s) & (times_s < phone.end_s)] = 1
    return torch.from_numpy(inside)


def _shape_map(model: FaceModel, std: FloatArray) -> NDArray[np.float64]:
    """From normalised coefficients to the gap between the lips and the width of the mouth, in cm: (K, 2)."""
    basis = model.expression_basis.astype(np.float64) * std[:, None, None]
    gap = basis[:, UPPER_LIP, 1] - basis[:, LOWER_LIP, 1]
    side = np.sign(model.neutral[RIGHT_CORNER, 0] - model.neutral[LEFT_CORNER, 0])
    return np.stack([gap, side * (basis[:, RIGHT_CORNER, 0] - basis[:, LEFT_CORNER, 0])], 1)
