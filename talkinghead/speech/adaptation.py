"""The expression predictor adapted to one person: how its networks changed by fine-tuning on the anchor's clip.

Fully adapted networks predict the anchor's own voice best. For another voice half of the change is applied: what is
particular to the anchor's voice is not to be expected of it. Either is used together with the predictor as it was:
their errors differ, and on sentences unlike the clip's the mean of both is rarely far behind the better one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from talkinghead.errors import CheckpointError
from talkinghead.files import load_arrays, save_arrays
from talkinghead.speech.lip_closure import CLOSING_LEVELS, levels_as_text, levels_from_text
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.predictor import ExpressionPredictor
from talkinghead.structures import FloatArray

FORMAT = "talkinghead/speech-adaptation/2"
OWN_VOICE, OTHER_VOICE = 1.0, 0.5
"""Share of the change that is applied for the anchor's own voice and for any other."""
LARGEST_CHANGE = 10.0
"""No weight changes by more."""


class AdaptedPredictor(ExpressionPredictor):
    """A predictor and its adapted networks, whose predictions it gives side by side: (B, S, 2 K), the adapted first."""

    def __init__(self, base: ExpressionPredictor, networks: nn.ModuleList) -> None:
        """Args: the predictor; the adapted networks."""
        super().__init__(base.config)
        self.load_state_dict(base.state_dict())
        self.adapted = networks

    @property
    def outputs(self) -> int:
        """2 K."""
        return 2 * self.config.expressions

    def expression(self, inputs: Tensor, articulation: Tensor | None = None, *, exact: bool = False) -> Tensor:
        """As in the base class, but (B, S, 2 K)."""
        adapted = self.mean_of(self.adapted, inputs, articulation, exact=exact)
        return torch.cat([adapted, super().expression(inputs, articulation, exact=exact)], 2)


@dataclass(frozen=True)
class SpeechAdaptation:
    """What fine-tuning changed in a predictor's networks, for one speech model."""

    changes: Mapping[str, NDArray[np.float16]]
    """By the name of the parameter in `ExpressionPredictor.networks`: adapted minus base."""
    matrix: FloatArray
    """(2 K, K) float32, from what an `AdaptedPredictor` gives (rows) to the person's expression (columns)."""
    offset: FloatArray
    """(K,) float32, in standard deviations of the face model."""
    held_out_r: float
    """Correlation of predicted and measured mouth opening on held-out blocks of the clip, adapted on the rest."""
    calibrated_r: float
    """The same of the calibrated predictor, which the adaptation has to exceed."""
    encoder_sha256: str
    predictor_sha256: str
    closing: tuple[float, float] | None = CLOSING_LEVELS[0]
    """As in `SpeechCalibration`, for the adapted networks."""

    def is_for(self, speech_model: SpeechModel) -> bool:
        """Whether it was made with this speech model."""
        own = (self.encoder_sha256, self.predictor_sha256)
        return own == (speech_model.encoder.sha256, speech_model.predictor_sha256)

    def applied(self, speech_model: SpeechModel, share: float) -> SpeechModel:
        """The speech model with a share of the change, `OWN_VOICE` or `OTHER_VOICE`; the given one stays as it is.

        Raises:
            CheckpointError: the changes do not fit the networks.
        """
        base = speech_model.predictor
        networks = copy.deepcopy(base.networks)
        parameters = dict(networks.named_parameters())
        shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
        if shapes != {name: change.shape for name, change in self.changes.items()}:
            raise CheckpointError(
                "The speech adaptation does not fit the expression predictor; train the anchor again."
            )
        with torch.no_grad():
            for name, change in self.changes.items():
                difference = torch.from_numpy(change.astype(np.float32)).to(parameters[name].device)
                parameters[name].add_(difference, alpha=share)
        return SpeechModel(speech_model.encoder, AdaptedPredictor(base, networks).to(base.projection.device).eval())

    def apply(self, predicted: FloatArray) -> FloatArray:
        """(T, 2 K) by an `AdaptedPredictor` -> (T, K) in standard deviations of the face model."""
        return np.asarray(predicted @ self.matrix + self.offset, np.float32)

    def describe(self) -> dict[str, float]:
        """Both correlations, for anchor.json."""
        return {"held_out_r": round(self.held_out_r, 3), "calibrated_r": round(self.calibrated_r, 3)}


def save_adaptation(path: Path, adaptation: SpeechAdaptation) -> None:
    """Write an adaptation as safetensors, about 1 MB.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {f"changes.{name}": change for name, change in adaptation.changes.items()}
    metadata = {
        "format": FORMAT,
        "encoder_sha256": adaptation.encoder_sha256,
        "predictor_sha256": adaptation.predictor_sha256,
        "closing": levels_as_text(adaptation.closing),
        "held_out_r": repr(adaptation.held_out_r),
        "calibrated_r": repr(adaptation.calibrated_r),
    }
    save_arrays(path, {**arrays, "matrix": adaptation.matrix, "offset": adaptation.offset}, metadata)


def load_adaptation(path: Path, expressions: int) -> SpeechAdaptation:
    """Read what `save_adaptation` wrote.

    Args:
        path: the file.
        expressions: K that is wanted.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged, or of another shape.
    """
    arrays, metadata = load_arrays(path)
    changes = {name.removeprefix("changes."): array for name, array in arrays.items() if name.startswith("changes.")}
    try:
        scores = float(metadata["held_out_r"]), float(metadata["calibrated_r"])
        hashes = metadata["encoder_sha256"], metadata["predictor_sha256"]
        matrix, offset = arrays["matrix"], arrays["offset"]
        closing = levels_from_text(metadata["closing"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is not a speech adaptation: {error}.") from error
    fits = metadata.get("format") == FORMAT and bool(changes)
    fits = fits and matrix.shape == (2 * expressions, expressions) and offset.shape == (expressions,)
    fits = fits and matrix.dtype == offset.dtype == np.float32
    fits = fits and all(array.dtype == np.float16 for array in changes.values())
    # Compared in this way, NaN is refused too.
    small = all(np.abs(array).max(initial=0) <= LARGEST_CHANGE for array in (*changes.values(), matrix, offset))
    if not fits or not small or not all(abs(score) <= 1 for score in scores):
        raise CheckpointError(f"{path} is not a speech adaptation of this version ({FORMAT}).")
    return SpeechAdaptation(changes, matrix, offset, *scores, *hashes, closing)
