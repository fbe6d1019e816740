"""Lead-in and lead-out: time before and after the speech in which the anchor is seen at rest and nothing is heard.

Times are those of the speech: 0 is its beginning, so those of the lead-in are negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkinghead.structures import FloatArray

LEAD_S = 0.3
"""Length of each where nothing else is asked for, seconds: a player that starts late cuts off no word."""
LONGEST_LEAD_S = 60.0
"""Greatest length of each, seconds."""
MOVING_SHARE = 2 / 3
"""Greatest share of a lead in which the mouth leaves its rest, or comes to it; the remainder is at rest."""


@dataclass(frozen=True)
class Leads:
    """Lengths of lead-in and lead-out, seconds."""

    before_s: float = 0.0
    after_s: float = 0.0

    def weights(self, times_s: NDArray[np.float64], duration_s: float, attack_s: float, release_s: float) -> FloatArray:
        """Weight of the speech's movement at each time: (T,) float32, 1 during the speech, 0 at rest, with ramps.

        Args:
            times_s: (T,) seconds from the beginning of the speech.
            duration_s: of the speech.
            attack_s: time from rest to full movement; less where the lead-in is short.
            release_s: time from full movement to rest; less where the lead-out is short.
        """
        before = _nearness(-times_s, min(attack_s, MOVING_SHARE * self.before_s))
        after = _nearness(times_s - duration_s, min(release_s, MOVING_SHARE * self.after_s))
        return (0.5 - 0.5 * np.cos(np.pi * np.minimum(before, after))).astype(np.float32)


NO_LEADS = Leads()
"""Neither of the two."""


def _nearness(beyond_s: NDArray[np.float64], ramp_s: float) -> NDArray[np.float64]:
    """From 1 up to an edge of the speech to 0 at the length of a ramp beyond it; without a ramp, 1 everywhere."""
    return np.ones(len(beyond_s)) if ramp_s <= 0 else np.clip(1 - beyond_s / ramp_s, 0, 1)
