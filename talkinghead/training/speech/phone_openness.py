"""How far open a mouth is while each phone is said, by the phone's class: for speech whose phones are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from talkinghead.text_to_speech import PAUSE, Phone

OPENNESS = {
    # By the height of the vowel; a consonant by how far the jaw can be open while it is said.
    0.0: "pbmɸ",
    0.15: "fv",
    0.25: "szʃʒɕʑʂʐʧʤʦʨtdnlθðjɥ",
    0.35: "kɡgŋxhɹrɾɻwɰuʊɯyʏiɪɨᵻ",
    0.55: "eɘəɵøoɤɚɝɜʌEO",
    0.75: "ɛœɔɐæAIWY",
    1.0: "aɑɒäɶ",
}
"""From 0, closed, to 1."""
JOINED_S = 0.1
STEP_S = 0.005


def openness_of(phones: Sequence[Phone], times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the phones ask for, from 0 to 1: (T,). Marks of length, tone and the like ask for nothing of their own."""
    grid_s = np.arange(0, phones[-1].end_s, STEP_S)
    asked = np.zeros(len(grid_s))
    for phone in phones:
        classes = [value for symbol in phone.symbol for value, members in OPENNESS.items() if symbol in members]
        if classes and phone.symbol != PAUSE:
            asked[(grid_s >= phone.start_s) & (grid_s < phone.end_s)] = np.mean(classes)
    window = np.hanning(round(JOINED_S / STEP_S) + 2)
    return np.interp(times_s, grid_s, np.convolve(asked, window / window.sum(), "same"))
