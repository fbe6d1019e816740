"""Person segmentation: MediaPipe's selfie segmentation network, run by LiteRT on single images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from talkinghead.errors import MissingFileError, ModelUnavailableError
from talkinghead.face.native_messages import without_notices
from talkinghead.structures import ByteArray, FloatArray
from talkinghead.weights import registry

SIDE_PX = 256
"""Width and height of the network's input and output; images of any ratio are squeezed into it."""


class PersonSegmenter:
    """Says of each cell of a coarse grid how likely it is to show a person. Not safe for two threads at once."""

    def __init__(self, network: bytes) -> None:
        """Load the network from the content of its .tflite file.

        Raises:
            ModelUnavailableError: it is not a network of the expected shape.
        """
        from ai_edge_litert.interpreter import Interpreter  # a clip that has its matte needs none

        try:
            with without_notices():
                self._interpreter: Any = Interpreter(model_content=network, num_threads=1)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelUnavailableError(f"The network of the person segmentation does not load: {error}") from error
        found, made = self._interpreter.get_input_details()[0], self._interpreter.get_output_details()[0]
        if tuple(found["shape"]) != (1, SIDE_PX, SIDE_PX, 3) or tuple(made["shape"]) != (1, SIDE_PX, SIDE_PX, 1):
            raise ModelUnavailableError("The network of the person segmentation is of another version; fetch it again.")
        self._input, self._output = found["index"], made["index"]

    @classmethod
    def load(cls, path: Path | None = None) -> PersonSegmenter:
        """Load the network from its file; None takes the registered one, which is fetched on first need.

        Raises:
            MissingFileError: there is no such file.
            ModelUnavailableError: the network cannot be fetched, or is none.
        """
        path = path or registry.locate(registry.SELFIE_SEGMENTATION.name)
        try:
            return cls(path.read_bytes())
        except OSError as error:
            raise MissingFileError(f"Cannot read {path}: {error.strerror}.") from error

    def probability(self, image: ByteArray) -> FloatArray:
        """Probability of a person in an image (H, W, 3) uint8 RGB: (256, 256) float32 in [0, 1]."""
        squeezed = cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
        self._interpreter.set_tensor(self._input, squeezed[None].astype(np.float32) / 255)
        self._interpreter.invoke()
        found = self._interpreter.get_tensor(self._output)[0, ..., 0]
        return np.asarray(np.clip(np.nan_to_num(found), 0, 1), np.float32)
