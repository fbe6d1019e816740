"""Whisper's encoder (Radford et al. 2022), the teacher of the speech encoder, read from a CTranslate2 file.

Two things differ from Whisper as published. Its table of absolute positions is replaced by one constant row, and
attention reaches only so many frames to either side: features then do not depend on where in a recording a word
stands, nor on what is said seconds away. A predictor of mouth shapes does as well on them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from talkinghead.errors import CheckpointError, MissingFileError

POSITION_ROW = 250
"""The row of the position table that is used for all frames: 5 s into Whisper's 30 s. Zeros do not work."""
HEAD_WIDTH = 64
"""Width of an attention head, in every Whisper."""

_TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)


def read_ctranslate2(path: Path) -> dict[str, NDArray[np.generic]]:
    """Every variable of a CTranslate2 model.bin (format version 6), by name.

    The format, little-endian: version (uint32), name and revision of the model (text, uint32), number of variables;
    then for each its name, rank (uint8) and shape (uint32 each), type (uint8, see `_TYPES`), bytes (uint32) and values.
    A text is its length (uint16), its bytes, and a zero. Source: CTranslate2's python/ctranslate2/specs/model_spec.py.

    Raises:
        MissingFileError: there is no such file.
        CheckpointError: it is damaged, or not of that kind.
    """
    if not path.is_file():
        raise MissingFileError(f"There is no file {path}.")
    content = path.read_bytes()
    at = 0

    def number(code: str) -> int:
        nonlocal at
        value: int = struct.unpack_from(f"<{code}", content, at)[0]
        at += struct.calcsize(code)
        return value

    def text() -> str:
        nonlocal at
        length = number("H")
        at += length
        return content[at - length : at].rstrip(b"\0").decode()

    try:
        version = number("I")
        if version != 6:
            raise CheckpointError(f"{path} is not a CTranslate2 model of format version 6.")
        text()
        number("I")
        variables = {}
        for _ in range(number("I")):
            name = text()
            shape = [number("I") for _ in range(number("B"))]
            kind = np.dtype(_TYPES[number("B")])
            size = number("I")
            variables[name] = np.frombuffer(content, kind, size // kind.itemsize, at).reshape(shape)
            at += size
    except (struct.error, IndexError, ValueError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is damaged or not a CTranslate2 model.") from error
    return variables


class WhisperTeacher:
    """The first layers of a Whisper encoder with attention of limited reach.

    Letters: B batch, S frames of 20 ms, D the encoder's width.
    """

    def __init__(self, path: Path, reaches: Sequence[int]) -> None:
        """Read the weights.

        Args:
            path: Whisper as a CTranslate2 model.bin.
            reaches: for each layer to read, the first ones, how many frames to either side are attended to.

        Raises:
            MissingFileError: there is no such file.
            CheckpointError: it does not hold a Whisper encoder of so many layers.
        """
        variables = read_ctranslate2(path)
        self.weights = {
            name.removeprefix("encoder/"): torch.from_numpy(value.astype(np.float32))
            for name, value in variables.items()
            if name.startswith("encoder/") and value.ndim
        }
        layers = len(reaches)
        if "conv1/weight" not in self.weights or f"layer_{layers - 1}/ffn/linear_0/weight" not in self.weights:
            raise CheckpointError(f"{path} does not hold a Whisper encoder of at least {layers} layers.")
        self.layers = layers
        self.reaches = tuple(reaches)
        self.width = len(self.weights["conv1/bias"])

    def stem(self, spectra: Tensor) -> Tensor:
        """The input of the first layer: log-mel spectra (B, 80, 2 S) -> (B, S, D)."""
        w = self.weights
        hidden = functional.gelu(functional.conv1d(spectra, w["conv1/weight"], w["conv1/bias"], padding=1))
        hidden = functional.gelu(functional.conv1d(hidden, w["conv2/weight"], w["conv2/bias"], padding=1, stride=2))
        return hidden.transpose(1, 2) + w["position_encodings/encodings"][POSITION_ROW]

    def attend(self, hidden: Tensor, layer: int) -> Tensor:
        """The hidden states behind a layer's attention: (B, S, D) -> (B, S, D)."""
        name = f"layer_{layer}/self_attention/"
        joint = self._linear(self._norm(hidden, name), f"{name}linear_0")
        query, key, value = joint.unflatten(2, (3, -1, HEAD_WIDTH)).permute(2, 0, 3, 1, 4)
        position = torch.arange(hidden.shape[1])
        near = (position[:, None] - position).abs() <= self.reaches[layer]
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=near)
        return hidden + self._linear(mixed.transpose(1, 2).flatten(2), f"{name}linear_1")

    def units(self, attended: Tensor, layer: int) -> Tensor:
        """Activations of a layer's feed-forward units: (B, S, D) -> (B, S, 4 D)."""
        name = f"layer_{layer}/ffn/"
        return functional.gelu(self._linear(self._norm(attended, name), f"{name}linear_0"))

    def streams(self, spectra: Tensor, early_units: list[Tensor]) -> list[Tensor]:
        """Targets for the output of each of the student's layers: (B, 80, 2 S) -> layers x (B, S, D), layer-normed.

        A student's layer holds half of a feed-forward block, its early units; the other half follows in the next.
        So all targets but the last are taken half way through the block.

        Args:
            spectra: log-mel spectra.
            early_units: for each layer the numbers of its early units.
        """
        hidden = self.stem(spectra)
        streams = []
        for layer in range(self.layers):
            hidden = self.attend(hidden, layer)
            units = self.units(hidden, layer)
            output = self.weights[f"layer_{layer}/ffn/linear_1/weight"]
            early = early_units[layer]
            bias = self.weights[f"layer_{layer}/ffn/linear_1/bias"]
            half = hidden + functional.linear(units[..., early], output[:, early], bias)
            hidden = hidden + functional.linear(units, output, bias)
            streams.append(functional.layer_norm(half if layer < self.layers - 1 else hidden, (self.width,)))
        return streams

    def _linear(self, hidden: Tensor, name: str) -> Tensor:
        return functional.linear(hidden, self.weights[f"{name}/weight"], self.weights[f"{name}/bias"])

    def _norm(self, hidden: Tensor, name: str) -> Tensor:
        gamma, beta = self.weights[f"{name}layer_norm/gamma"], self.weights[f"{name}layer_norm/beta"]
        return functional.layer_norm(hidden, (self.width,), gamma, beta)
