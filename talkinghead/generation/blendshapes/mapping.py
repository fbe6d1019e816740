"""The map between ARKit's blendshapes and the expression of an anchor, in both directions.

From weights to expression it is linear: every shape moves the coefficients by what it moves on the ICT-FaceKit head,
projected to the face model. The way back has no single answer (27 shapes of the mouth, 20 coefficients, and landmarks
that follow lips imperfectly), so a small network gives the weights to be expected. `talkinghead.training.arkit`
learns both.

Zero of the expression is an anchor's mouth at rest (`Anchor.rest_expression`), while all weights are 0 for a face that
no muscle moves: lips that just touch. People rest with lips pressed a little; `resting` holds those weights.

Shape letters beside those of `structures`: N networks, H hidden units, S shapes that the networks give.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.anchor import REST_QUANTILE, Anchor
from talkinghead.errors import CheckpointError
from talkinghead.files import load_arrays, save_arrays
from talkinghead.generation.blendshapes.names import ARKIT_SHAPES
from talkinghead.structures import FloatArray
from talkinghead.weights.bundled import checkpoint_path

FORMAT = "talkinghead/arkit-map/1"
"""Format of the file, stored in its metadata."""
FILE = "arkit_map.safetensors"
"""Name of the file among the checkpoints."""
LARGEST_NUMBER = 1e3
"""Largest number in a usable file."""
SURE_SHARE = 0.5
"""Share of a speaker's weights at rest, in the least open frames, from which on they are taken for a speaker's."""
JAW_OPEN, MOUTH_CLOSE = ARKIT_SHAPES.index("jawOpen"), ARKIT_SHAPES.index("mouthClose")


@dataclass(frozen=True)
class BlendshapeMap:
    """From ARKit's weights to an expression, and back. The order of the shapes is that of `ARKIT_SHAPES`."""

    movement: FloatArray
    """(52, K) float32, coefficients that a shape adds at the weight 1; 0 for shapes that do not move the mouth."""
    resting: FloatArray
    """(52,) float32, weights of a speaker's mouth at rest."""
    shapes: NDArray[np.int64]
    """(S,) positions of the shapes that the networks give."""
    enter: FloatArray
    """(N, H, K + 1) first layer of each network, its bias last."""
    hidden: FloatArray
    """(N, H, H + 1) second layer."""
    leave: FloatArray
    """(N, S, H + 1) third layer."""

    def weights_of(self, expression: FloatArray, rest: FloatArray) -> FloatArray:
        """Weights of an expression.

        Args:
            expression: (T, K) in standard deviations of the face model.
            rest: (K,) the same of the anchor's mouth at rest.

        Returns:
            (T, 52) float32 in [0, 1]; 0 for what an expression does not know, such as eyes and brows.
        """
        own = np.asarray(expression - rest, np.float32)
        given = np.mean([self._network(number, own) for number in range(len(self.enter))], axis=0)
        weights = np.zeros((len(own), len(ARKIT_SHAPES)), np.float32)
        weights[:, self.shapes] = np.clip(given, 0, 1)
        return weights

    def expression_of(self, weights: FloatArray, rest: FloatArray) -> FloatArray:
        """Expression of weights; all of them 0 are an anchor's mouth at rest, as are the weights of a speaker at rest.

        Args:
            weights: (T, 52).
            rest: (K,) expression of the anchor's mouth at rest.

        Returns:
            (T, K) float32 in standard deviations of the face model.
        """
        return np.asarray(rest + (weights - self.resting_in(weights)) @ self.movement, np.float32)

    def resting_in(self, weights: FloatArray) -> FloatArray:
        """(52,) weights with which the mouth rests in (T, 52) weights: a share of `resting`, from none to all of it.

        The frames with the least open jaw tell: a `SURE_SHARE` of it is taken for all, none for none. More is not taken
        for rest: a recording in which the mouth never closes is not one of a closed mouth.
        """
        opening = weights[:, JAW_OPEN] - weights[:, MOUTH_CLOSE]
        least = np.median(weights[opening <= np.quantile(opening, REST_QUANTILE)], axis=0)
        share = float(least @ self.resting) / max(SURE_SHARE * float(self.resting @ self.resting), 1e-9)
        return np.asarray(min(max(share, 0.0), 1.0) * self.resting, np.float32)

    def _network(self, number: int, own: FloatArray) -> FloatArray:
        """(T, K) distance from rest -> (T, S) weights, before their bounds."""
        first = _swish(_layer(self.enter[number], own))
        return _layer(self.leave[number], _swish(_layer(self.hidden[number], first)))


def _layer(weights: FloatArray, values: FloatArray) -> FloatArray:
    return np.asarray(values @ weights[:, :-1].T + weights[:, -1], np.float32)


def _swish(values: FloatArray) -> FloatArray:
    """x * sigmoid(x), the networks' nonlinearity."""
    return np.asarray(values * 0.5 * (1 + np.tanh(values / 2)), np.float32)


def save_map(path: Path, blendshapes: BlendshapeMap, face_model_sha256: str) -> None:
    """Write the map, with the hash of the face model that it belongs to.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays = {field.name: getattr(blendshapes, field.name) for field in fields(BlendshapeMap)}
    save_arrays(path, arrays, {"format": FORMAT, "face_model_sha256": face_model_sha256})


def load_map(path: Path) -> tuple[BlendshapeMap, str]:
    """Read a map that `save_map` wrote, and the hash of its face model.

    Raises:
        MissingFileError, CheckpointError: no such file; damaged, or no map of this version.
    """
    arrays, metadata = load_arrays(path)
    names = {field.name for field in fields(BlendshapeMap)}
    if metadata.get("format") != FORMAT or set(arrays) != names:
        raise CheckpointError(f"{path} is not a map of ARKit's shapes of this version ({FORMAT}).")
    found = BlendshapeMap(**arrays)
    if not _fits(found):
        raise CheckpointError(f"{path} holds arrays that do not fit together; install talkinghead again.")
    return found, metadata.get("face_model_sha256", "")


def _fits(found: BlendshapeMap) -> bool:
    """Whether the shapes, types and ranges of the arrays are those of a map."""
    if found.movement.ndim != 2 or found.enter.ndim != 3 or found.shapes.ndim != 1 or not len(found.enter):
        return False
    networks, hidden = found.enter.shape[:2]
    sizes = {
        "movement": (len(ARKIT_SHAPES), found.movement.shape[1]),
        "resting": (len(ARKIT_SHAPES),),
        "enter": (networks, hidden, found.movement.shape[1] + 1),
        "hidden": (networks, hidden, hidden + 1),
        "leave": (networks, len(found.shapes), hidden + 1),
    }
    numbers = found.shapes
    return (
        numbers.dtype == np.int64
        and len(np.unique(numbers)) == len(numbers) > 0
        and bool((numbers >= 0).all() and (numbers < len(ARKIT_SHAPES)).all())
        and all(getattr(found, name).shape == size for name, size in sizes.items())
        and all(getattr(found, name).dtype == np.float32 for name in sizes)
        and all(bool((np.abs(getattr(found, name)) <= LARGEST_NUMBER).all()) for name in sizes)
    )


@functools.cache
def _bundled() -> tuple[BlendshapeMap, str]:
    return load_map(checkpoint_path(FILE))


def map_for(anchor: Anchor) -> BlendshapeMap:
    """The map that is shipped, if it belongs to the anchor's face model.

    Raises:
        CheckpointError: it belongs to another one.
    """
    found, face_model_sha256 = _bundled()
    if anchor.face_model_sha256 != face_model_sha256:
        raise CheckpointError(
            f"{anchor.folder} has another face model than the map of ARKit's shapes; train the anchor again, "
            "or a map for it (python -m talkinghead.training.arkit)."
        )
    return found
