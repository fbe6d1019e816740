"""A phoneme recognizer, the second teacher of the speech encoder: for what is said as opposed to how it sounds.

It is that of the package hama (Apache-2.0), which gives log posteriors of 191 phonemes and signs of many languages
every 20 ms. It is used in training and measuring only.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.text_to_speech import Phone
from talkinghead.weights.registry import packaged_file

REQUIREMENT = "hama==1.7.0"
"""The package, for pip."""
MODEL_FILE = Path("assets/asr_waveform.hama")
"""Its weights, in the package's folder."""
MODEL_SHA256 = "a9fcfe73e179ca48e399cd76a90a6b3e1887bf5037ecc52b778d13a149563328"
HOP = 320
"""Samples from one frame of posteriors to the next."""
CHUNK_S = 24
"""Audio that is recognized at a time, without its context; the recognizer takes no more than 30 s."""
CONTEXT_S = 2
"""Audio on either side that a chunk is recognized with."""
SILENT_TOKENS = frozenset(["<pad>", "<sos>", "<eos>", "<unk>", "<wb>", "<blank>", " "])
"""Tokens that are no phones."""
LONGEST_HALF_S = 0.1
"""A phone ends at most this long after the moment it was recognized, and begins at most as long before."""
FLOOR = -12.0
"""Smaller log posteriors are set to this: they mean the same, absent."""


class PhonemeRecognizer:
    """Log posteriors of phonemes at 50 Hz."""

    def __init__(self) -> None:
        """Load the recognizer.

        Raises:
            ModelUnavailableError: the package hama is not installed, or has other weights.
        """
        packaged_file("hama", MODEL_FILE, MODEL_SHA256, REQUIREMENT)
        from hama.asr import ASRModel

        model = ASRModel()
        self._session = model.session
        self.tokens = tuple(model.decoder_tokens)

    def phones(self, audio: Tensor) -> list[Phone]:
        """Phones heard in audio, (N,) at 16 kHz; see `phones_of`."""
        return phones_of(self.log_posteriors(audio), self.tokens)

    def log_posteriors(self, audio: Tensor) -> Tensor:
        """(N,) at 16 kHz -> (N // 320, tokens), not below `FLOOR`."""
        samples = audio.clamp(-1, 1).numpy()
        chunk, context = CHUNK_S * RATE_HZ, CONTEXT_S * RATE_HZ
        parts = []
        for begin in range(0, len(samples), chunk):
            first = max(0, begin - context)
            part = samples[first : begin + chunk + context]
            inputs = {"waveform": part[None], "waveform_lengths": np.array([len(part)])}
            found = np.asarray(self._session.run(["log_probs"], inputs)[0][0], np.float32)[(begin - first) // HOP :]
            parts.append(found[: chunk // HOP] if begin + chunk < len(samples) else found)
        joined = torch.from_numpy(np.concatenate(parts)).clamp(min=FLOOR)
        count = len(audio) // HOP
        # The recognizer's count may differ by a frame.
        return torch.cat([joined, joined[-1:].expand(max(0, count - len(joined)), -1)])[:count]


def phones_of(log_posteriors: Tensor, tokens: Sequence[str]) -> list[Phone]:
    """Phones by the best token of every frame: (S, tokens) at 50 Hz -> phones in the order of time.

    Such a recognizer (CTC: Graves et al. 2006) names a phone for a frame or two, somewhere within it. Two neighbors
    meet halfway; where that is further than `LONGEST_HALF_S`, there is a pause between them.
    """
    spans, first = [], 0
    for token, frames in groupby(log_posteriors.argmax(1).tolist()):
        count = len(list(frames))
        if tokens[token] not in SILENT_TOKENS:
            spans.append((tokens[token], (first + (count - 1) / 2) * HOP / RATE_HZ))
        first += count
    phones = []
    for number, (symbol, center_s) in enumerate(spans):
        before_s = spans[number - 1][1] if number else -np.inf
        after_s = spans[number + 1][1] if number + 1 < len(spans) else np.inf
        begin_s = max((before_s + center_s) / 2, center_s - LONGEST_HALF_S, 0.0)
        phones.append(Phone(symbol, begin_s, min((center_s + after_s) / 2, center_s + LONGEST_HALF_S)))
    return phones
