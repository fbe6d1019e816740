"""The speech model: a speech encoder and the expression predictor that was trained on its features."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError
from talkinghead.speech.articulation import KnownPhones, articulate, closure_at
from talkinghead.speech.encoder import Piece, SpeechEncoder
from talkinghead.speech.encoder_files import local_folder
from talkinghead.speech.loudness import Level
from talkinghead.speech.predictor import ExpressionPredictor
from talkinghead.structures import FloatArray, Recording
from talkinghead.weights.bundled import checkpoint_path

PREDICTOR_FILE = "expression_predictor.safetensors"
"""File of the predictor, searched in the encoder's folder first, then among the bundled checkpoints."""


@dataclass(frozen=True)
class PredictedExpression:
    """Expression predicted from speech at T times."""

    values: FloatArray
    """(T, K) float32, normalized expression: mean 0 and standard deviation 1 over a speaker's clip."""
    closure: FloatArray
    """(T,) float32, probability of p, b or m, which are spoken with closed lips."""


@dataclass(frozen=True)
class SpeechModel:
    """A speech encoder and the expression predictor that was trained on its features.

    Raises:
        CheckpointError: the predictor was trained on another encoder, or its shape is not that of this encoder.
    """

    encoder: SpeechEncoder
    """From audio to features."""
    predictor: ExpressionPredictor
    """From features to normalized expression."""

    def __post_init__(self) -> None:
        config = self.predictor.config
        if config.encoder_sha256 != self.encoder.sha256:
            raise CheckpointError(
                f"The expression predictor was trained on the speech encoder {config.encoder}, not on "
                f"{self.encoder.name}; train one: python -m talkinghead.training.speech predictor CLIPS.tsv "
                f"--encoder {self.encoder.name} -o FOLDER/{PREDICTOR_FILE}, FOLDER being the encoder's."
            )
        if max(config.layers) > self.encoder.layer_count or config.features != self.encoder.width:
            raise CheckpointError(
                "The expression predictor is damaged: its shape does not fit its encoder; fetch or train it again."
            )

    @classmethod
    def load(cls, encoder: str | None = None, device: torch.device | str = "cpu") -> SpeechModel:
        """Load an encoder and the predictor that was trained on its features.

        Args:
            encoder: a folder, or a hub name that is in the local cache; None takes the project's own.
            device: where the encoder runs.

        Raises:
            MissingFileError: there is no predictor.
            ModelUnavailableError: there is no usable encoder.
            CheckpointError: the predictor is damaged, or was trained on another encoder.
        """
        folder = checkpoint_path("speech_encoder") if encoder is None else local_folder(encoder)
        own = folder / PREDICTOR_FILE
        predictor = ExpressionPredictor.load(own if own.is_file() else checkpoint_path(PREDICTOR_FILE))
        return cls(SpeechEncoder.load(folder if encoder is None else encoder, device), predictor)

    @cached_property
    def predictor_sha256(self) -> str:
        """Hash of the predictor, computed once: what is loaded does not change."""
        return self.predictor.sha256()

    @property
    def sha256(self) -> str:
        """One hash over encoder and predictor."""
        return hashlib.sha256(f"{self.encoder.sha256} {self.predictor_sha256}".encode()).hexdigest()

    def predict(
        self, audio: Recording, times_s: NDArray[np.float64], phones: KnownPhones | None = None
    ) -> PredictedExpression:
        """Predict normalized expression at given times; beyond the end of the recording, that at its end.

        Args:
            audio: speech at any sample rate.
            times_s: (T,) seconds, rising.
            phones: that are spoken, with their times, where they are known.

        Raises:
            SpeechTooShortError: the recording is shorter than 0.2 s.
            ModelUnavailableError: the encoder's output is not finite.
        """
        parts = list(self.predict_parts(audio, times_s, phones=phones))
        return PredictedExpression(
            np.concatenate([part.values for part in parts]), np.concatenate([part.closure for part in parts])
        )

    def predict_parts(
        self,
        audio: Recording,
        times_s: NDArray[np.float64],
        level: Level | None = None,
        phones: KnownPhones | None = None,
    ) -> Iterator[PredictedExpression]:
        """Predict as `predict` does, but yield the parts in order while the recording is encoded.

        Args:
            audio: speech at any sample rate.
            times_s: (T,) seconds, rising.
            level: of the recording, see `SpeechEncoder.pieces`.
            phones: as in `predict`.
        """
        encoder, config = self.encoder, self.predictor.config
        # `curves` are predicted at the encoder's frame times, and interpolated at the requested times up to their end.
        # The last frame of each piece is put before the next one, for requested times that lie between two pieces.
        yielded, encoded, last = 0, 0, np.zeros((0, self.predictor.outputs + 1), np.float32)
        for piece in encoder.pieces(
            audio, config.layers, config.reach / encoder.rate_hz, level=level, begins_soon=True
        ):
            first_s = encoder.first_s + (encoded - piece.kept.start) / encoder.rate_hz
            curves = np.concatenate([last, self._predict_piece(piece, first_s, phones)])
            first, encoded = encoded - len(last), encoded - len(last) + len(curves)
            frame_times_s = encoder.first_s + np.arange(first, encoded) / encoder.rate_hz
            end = int(np.searchsorted(times_s, frame_times_s[-1]))
            part_s = times_s[yielded:end]
            yield _split(np.stack([np.interp(part_s, frame_times_s, curve) for curve in curves.T], 1), part_s, phones)
            yielded, last = end, curves[-1:]
        yield _split(np.repeat(last, len(times_s) - yielded, axis=0), times_s[yielded:], phones)

    @torch.inference_mode()
    def _predict_piece(self, piece: Piece, first_s: float, phones: KnownPhones | None) -> FloatArray:
        """Expression and closure of the frames that a piece keeps: (S, K + 1), the closure last.

        Args:
            piece: of a recording.
            first_s: time of its first frame, seconds.
            phones: of the recording, where known.
        """
        predictor = self.predictor
        values = torch.from_numpy(piece.values).to(predictor.projection.device)
        inputs, articulation, exact = predictor.components(values[None]), None, False
        if phones is not None:
            exact = phones.is_synthetic
            times_s = first_s + np.arange(len(piece.values)) / self.encoder.rate_hz
            articulation = torch.from_numpy(articulate(phones.phones, times_s)).to(values.device)[None]
        both = torch.cat(
            [predictor.expression(inputs, articulation, exact=exact), predictor.closure(inputs)[..., None]], 2
        )
        return np.asarray(both[0, piece.kept].cpu().numpy(), np.float32)


def _split(curves: NDArray[Any], times_s: NDArray[np.float64], phones: KnownPhones | None) -> PredictedExpression:
    """Separate expression and closure: (T, K + 1), the closure last, which known phones tell better."""
    closure = curves[:, -1].astype(np.float32) if phones is None else closure_at(phones.phones, times_s)
    return PredictedExpression(curves[:, :-1].astype(np.float32), closure)
