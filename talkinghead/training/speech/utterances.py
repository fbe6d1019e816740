"""Utterances of text-to-speech engines, whose phones are known, prepared for training an expression predictor."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.structures import Audio
from talkinghead.text_to_speech import PAUSE, Phone, Script, Utterance
from talkinghead.training.speech.clips import SPEEDS, articulation_at
from talkinghead.training.speech.feature_extractors import FeatureExtractor
from talkinghead.training.speech.phone_openness import openness_of

CLOSED_PHONES = "pbm"
"""First letters of the phones that are articulated with closed lips."""


@dataclass(frozen=True)
class Utterances:
    """Features of utterances, each at every one of `SPEEDS`, and what their phones say of the lips."""

    features: list[Tensor]
    """(S, layers, D) float16 each."""
    closed: list[Tensor]
    """(S,) each: 1 where p, b or m is spoken, else 0."""
    openness: list[Tensor]
    """(S,) each: how far open the mouth is for the phones, in [0, 1]; see `phone_openness`."""
    spoken: list[Tensor]
    """(S,) each: 1 where a phone is spoken, else 0."""
    articulation: list[Tensor]
    """(S, A) each, of the phones; zeros where an engine does not tell them."""


def read_scripts(path: Path) -> list[Script]:
    """Read a tab-separated list of texts to speak, with the columns voice and text.

    Raises:
        MissingFileError: there is no such list.
        CheckpointError: it lacks a column, or a row is incomplete.
    """
    if not path.is_file():
        raise MissingFileError(f"There is no list of texts {path}.")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if not rows or not all(row.get("voice") and row.get("text") for row in rows):
        raise CheckpointError(f"{path} is not a list of texts; it needs the tab-separated columns voice and text.")
    return [Script(row["text"], row["voice"]) for row in rows]


def prepare_utterances(
    utterances: Sequence[Utterance], extractor: FeatureExtractor, layers: tuple[int, ...]
) -> Utterances:
    """Extract features of utterances, once for each of `SPEEDS`.

    Args:
        utterances: with their phones; those of an engine that does not tell phones count as silence.
        extractor: what makes the features.
        layers: of the extractor.
    """
    prepared = Utterances([], [], [], [], [])
    for utterance in utterances:
        phones = [phone for phone in utterance.phones or () if phone.symbol != PAUSE]
        closures = [phone for phone in phones if phone.symbol[0] in CLOSED_PHONES]
        for speed in SPEEDS:
            perturbed = Audio(utterance.audio.samples, round(utterance.audio.rate_hz * speed))
            features = extractor.encode(perturbed, layers)
            times_s = features.times_s * speed  # in the utterance as it was spoken
            openness = openness_of(phones, times_s) if phones else np.zeros(len(times_s))
            prepared.features.append(torch.from_numpy(features.values).half())
            prepared.closed.append(_is_inside(closures, times_s))
            prepared.openness.append(torch.from_numpy(openness.astype(np.float32)))
            prepared.spoken.append(_is_inside(phones, times_s))
            prepared.articulation.append(articulation_at(utterance.phones, times_s))
    return prepared


def _is_inside(phones: Sequence[Phone], times_s: NDArray[np.float64]) -> Tensor:
    """(S,) 1 where one of these phones is spoken, else 0."""
    inside = np.zeros(len(times_s), np.float32)
    for phone in phones:
        inside[(times_s >= phone.start_s) & (times_s < phone.end_s)] = 1
    return torch.from_numpy(inside)
