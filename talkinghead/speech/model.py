"""The speech model: an encoder and the predictor that was trained on its features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError
from talkinghead.speech.encoder import Piece, SpeechEncoder
from talkinghead.speech.encoder_files import local_folder
from talkinghead.speech.predictor import ExpressionPredictor
from talkinghead.structures import FloatArray, Recording
from talkinghead.weights.bundled import checkpoint_path

PREDICTOR_FILE = "expression_predictor.safetensors"
"""Looked for in the encoder's folder first, then among the default checkpoints."""


def load_speech_model(
    encoder: str | None = None, device: torch.device | str = "cpu"
) -> tuple[SpeechEncoder, ExpressionPredictor]:
    """An encoder, by folder or cached hub name (None is the project's own), and the predictor taught for it.

    Raises:
        MissingFileError, CheckpointError, ModelUnavailableError: one of them is not there, damaged, or of no use.
    """
    folder = checkpoint_path("speech_encoder") if encoder is None else local_folder(encoder)
    own = folder / PREDICTOR_FILE
    predictor = ExpressionPredictor.load(own if own.is_file() else checkpoint_path(PREDICTOR_FILE))
    loaded = SpeechEncoder.load(folder if encoder is None else encoder, device)
    _check_pair(loaded, predictor)
    return loaded, predictor


def _check_pair(encoder: SpeechEncoder, predictor: ExpressionPredictor) -> None:
    if predictor.config.encoder_sha256 != encoder.sha256:
        raise CheckpointError(
            f"The expression predictor belongs to the speech encoder {predictor.config.encoder}, not to "
            f"{encoder.name}; teach one: python -m talkinghead.training.speech predictor CLIPS.tsv "
            f"--encoder {encoder.name} -o FOLDER/{PREDICTOR_FILE}, FOLDER being the encoder's."
        )
    if max(predictor.config.layers) > encoder.layer_count or predictor.config.features != encoder.width:
        raise CheckpointError("The expression predictor is damaged: it names another shape than its encoder has.")


@dataclass(frozen=True)
class PredictedExpression:
    """What a mouth does at some times while it says something."""

    values: FloatArray
    """(T, K) normalised expression."""
    closure: FloatArray
    """(T,) probability that the sound comes through closed lips: p, b or m."""


def predict_expression(
    encoder: SpeechEncoder, predictor: ExpressionPredictor, audio: Recording, times_s: NDArray[np.float64]
) -> PredictedExpression:
    """Normalised expression and closure of the lips at the wanted times, (T,), which rise.

    Times beyond the recording take what is predicted at its end.

    Raises:
        CheckpointError: the predictor was taught on another encoder.
        SpeechTooShortError: under 0.2 s of speech.
    """
    parts = list(predicted_parts(encoder, predictor, audio, times_s))
    return PredictedExpression(
        np.concatenate([part.values for part in parts]), np.concatenate([part.closure for part in parts])
    )


def predicted_parts(
    encoder: SpeechEncoder, predictor: ExpressionPredictor, audio: Recording, times_s: NDArray[np.float64]
) -> Iterator[PredictedExpression]:
    """What `predict_expression` gives, part by part as the recording is heard."""
    _check_pair(encoder, predictor)
    config = predictor.config
    given, heard, last = 0, 0, np.zeros((0, config.expressions + 1), np.float32)
    for piece in encoder.pieces(audio, config.layers, config.reach / encoder.rate_hz):
        curves = np.concatenate([last, _predict(predictor, piece)])
        first, heard = heard - len(last), heard - len(last) + len(curves)
        own_times_s = encoder.first_s + np.arange(first, heard) / encoder.rate_hz
        reached = int(np.searchsorted(times_s, own_times_s[-1]))
        yield _spoken(np.stack([np.interp(times_s[given:reached], own_times_s, curve) for curve in curves.T], 1))
        given, last = reached, curves[-1:]
    yield _spoken(np.repeat(last, len(times_s) - given, axis=0))


def _spoken(curves: NDArray[Any]) -> PredictedExpression:
    """(T, K + 1) expression and closure beside each other."""
    return PredictedExpression(curves[:, :-1].astype(np.float32), curves[:, -1].astype(np.float32))


@torch.inference_mode()
def _predict(predictor: ExpressionPredictor, piece: Piece) -> FloatArray:
    """(S, K + 1): expression and closure of the frames that are kept."""
    values = torch.from_numpy(piece.values).to(predictor.projection.device)
    inputs = predictor.components(values[None])
    both = torch.cat([predictor.expression(inputs), predictor.closure(inputs)[..., None]], 2)
    return np.asarray(both[0, piece.kept].cpu().numpy(), np.float32)
