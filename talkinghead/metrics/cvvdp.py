"""ColorVideoVDP: how large viewers would find the difference of two videos (Mantiuk et al., ACM TOG 43, 2024).

It models contrast sensitivity and masking in space and time, for a given display, and was fitted to people's judgments.
Needs `pip install 'talkinghead[cvvdp]'`; the model's parameters are in that package, and nothing is fetched.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

import numpy as np
import torch

from talkinghead.errors import ModelUnavailableError
from talkinghead.structures import ByteArray

PACKAGE = "pycvvdp"
REQUIREMENT = "talkinghead[cvvdp]"
DISPLAY = "standard_fhd"
"""The display for which differences are predicted: 24 inches, 1920 x 1080, 200 cd/m^2, in an office, at 0.6 m."""


class ColorVideoVdp:
    """The published program, on the CPU."""

    def __init__(self) -> None:
        """Load the program.

        Raises:
            ModelUnavailableError: it is not installed, or a package that it needs is not.
        """
        if importlib.util.find_spec(PACKAGE) is None:
            raise ModelUnavailableError(f"ColorVideoVDP is not installed: pip install '{REQUIREMENT}'")
        path = list(sys.path)
        try:
            program: Any = importlib.import_module(PACKAGE)
        except ImportError as error:
            raise ModelUnavailableError(f"ColorVideoVDP lacks {error.name}: pip install '{REQUIREMENT}'") from error
        finally:
            sys.path[:] = path  # it adds its own folder, whose modules have names such as `utils`
        self._metric: Any = program.cvvdp(display_name=DISPLAY, quiet=True, device=torch.device("cpu"))

    @torch.inference_mode()
    def jod(self, output: ByteArray, reference: ByteArray, frame_rate_hz: float) -> float:
        """Quality of a video in just-objectionable differences: 10 is no visible difference, lower is worse.

        Args:
            output, reference: (T, H, W, 3) uint8, sRGB.
            frame_rate_hz: of both.
        """
        found, _ = self._metric.predict(
            np.ascontiguousarray(output), np.ascontiguousarray(reference), "FHWC", frame_rate_hz
        )
        return float(found)
