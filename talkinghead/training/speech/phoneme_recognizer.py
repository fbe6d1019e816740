"""The second teacher: a phoneme recogniser, for what is said as opposed to how it sounds.

The recogniser is `hama`'s (Apache-2.0), which hears 191 phonemes and signs of many languages and gives their log
posteriors every 20 ms. It is used for teaching and measuring only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.weights.registry import packaged_file

REQUIREMENT = "hama==1.7.0"
MODEL_FILE = Path("assets/asr_waveform.hama")
MODEL_SHA256 = "a9fcfe73e179ca48e399cd76a90a6b3e1887bf5037ecc52b778d13a149563328"
HOP = 320
CHUNK_S = 24
"""The recogniser hears no more than 30 s at once."""
CONTEXT_S = 2
FLOOR = -12.0
"""Least log posterior that is told apart."""


class PhonemeRecognizer:
    """Log posteriors of phonemes at 50 Hz."""

    def __init__(self) -> None:
        """Load the recogniser.

        Raises:
            ModelUnavailableError: the package hama is not installed, or its weights are others.
        """
        packaged_file("hama", MODEL_FILE, MODEL_SHA256, REQUIREMENT)
        from hama.asr import ASRModel

        model = ASRModel()
        self._session = model.session
        self.tokens = tuple(model.decoder_tokens)

    def log_posteriors(self, audio: Tensor) -> Tensor:
        """(N,) at 16 kHz -> (N // 320, tokens), not below `FLOOR`."""
        samples = audio.clamp(-1, 1).numpy()
        chunk, context = CHUNK_S * RATE_HZ, CONTEXT_S * RATE_HZ
        parts = []
        for begin in range(0, len(samples), chunk):
            first = max(0, begin - context)
            heard = samples[first : begin + chunk + context]
            given = {"waveform": heard[None], "waveform_lengths": np.array([len(heard)])}
            found = np.asarray(self._session.run(["log_probs"], given)[0][0], np.float32)[(begin - first) // HOP :]
            parts.append(found[: chunk // HOP] if begin + chunk < len(samples) else found)
        joined = torch.from_numpy(np.concatenate(parts)).clamp(min=FLOOR)
        count = len(audio) // HOP
        # The recogniser's count may differ by a frame.
        return torch.cat([joined, joined[-1:].expand(max(0, count - len(joined)), -1)])[:count]
