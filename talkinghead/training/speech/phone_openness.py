"""How far open the mouth is for each phone, by the phone's class: targets for speech whose phones are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from talkinghead.speech.articulation import OPENNESS
from talkinghead.text_to_speech import PAUSE, Phone

SMOOTHING_S = 0.1
"""Length of the window that smooths openness over time, as coarticulation does."""
STEP_S = 0.005
"""Step of the grid on which openness is smoothed."""


def openness_of(phones: Sequence[Phone], times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Openness of the mouth over time: (T,) in [0, 1].

    Args:
        phones: in the order of time, at least one; marks of length, tone and the like have no openness of their own.
        times_s: (T,) times at which it is wanted.
    """
    grid_s = np.arange(0, phones[-1].end_s, STEP_S)
    openness = np.zeros(len(grid_s))
    for phone in phones:
        classes = [value for symbol in phone.symbol for value, members in OPENNESS.items() if symbol in members]
        if classes and phone.symbol != PAUSE:
            openness[(grid_s >= phone.start_s) & (grid_s < phone.end_s)] = np.mean(classes)
    window = np.hanning(round(SMOOTHING_S / STEP_S) + 2)
    return np.interp(times_s, grid_s, np.convolve(openness, window / window.sum(), "same"))
