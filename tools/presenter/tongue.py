"""The tongue: three movements of the part of the head model's mouth that is the tongue, which no shape of it moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from head import Array, Head

MOUTH_FLOOR = slice(14062, 17039)
"""Vertices of gums, tongue and the floor of the mouth, one surface."""
HALF_WIDTH_CM = ((3.5, 1.6), (7.0, 1.9), (8.0, 1.65), (8.5, 1.5), (9.0, 1.15), (9.5, 0.72), (9.75, 0.35))
"""Depth in the mean person's head, and how wide half of the tongue is there, cm."""
TOP_CM = ((3.5, -4.6), (4.6, -3.4), (6.0, -3.1), (7.7, -3.07), (8.5, -3.2), (9.0, -3.4), (9.5, -3.65), (9.8, -3.9))
"""Depth, and the height of the tongue's upper side."""
THICKNESS_CM = (0.7, 1.5)
"""What is so far below the upper side moves with it, and what is so far below does not."""
LIFTS_CM = {"tip": (1.00, 0.30), "fore": (0.45, 0.50), "back": (0.95, 0.0)}
"""How far up, and how far to the front, the tongue goes where it moves most."""
JAW_DROP_CM = 1.45
"""How far an open jaw (jawOpen at 1) takes the tip down: the tip makes up for it."""
SINKS_CM = 0.6
"""How far a tongue sinks that is low."""
BROADER = 0.6
"""How much broader the tip becomes between the teeth, of its width."""
RESTING_BACK = 0.35
"""Back of the tongue at rest; below, it sinks, and the rest of the tongue with it, so that one sees into the mouth."""
MOVEMENTS = tuple(LIFTS_CM)
"""tip: tip at the ridge behind the upper teeth; fore: tip at the edges of the teeth, where it is seen between them;
back: back of the tongue from low, as in ah, to the palate. 0 to 1."""


@dataclass(frozen=True)
class Tongue:
    """How much each vertex of the mouth's floor takes part."""

    part: Array
    """(M, 3) in each of `MOVEMENTS`, 0 to 1."""

    @classmethod
    def of(cls, head: Head) -> Tongue:
        """Of a head model, for every person alike."""
        across, up, towards = head.generic[MOUTH_FLOOR].T
        inside = 1 - _eased((np.abs(across) / np.interp(towards, *np.transpose(HALF_WIDTH_CM)) - 0.85) / 0.3)
        below = np.interp(towards, *np.transpose(TOP_CM)) - up
        inside *= 1 - _eased((below - THICKNESS_CM[0]) / (THICKNESS_CM[1] - THICKNESS_CM[0]))
        inside[below < -0.35] = 0  # the palate
        tip, fore = (inside * _eased((towards - 6.9) / length) for length in (2.6, 1.9))
        back = inside * _eased((towards - 3.6) / 2.2) * (1 - _eased((towards - 7.2) / 2.2))
        return cls(np.stack([tip, fore, back], 1))

    def moved(self, vertices: Array, tongue: Array, jaw_open: float) -> Array:
        """`vertices` (V, 3) of `head.Head.deformed` with the tongue (3,) moved; `jaw_open` is the weight of jawOpen."""
        lifts = np.array([(0.0, *lift) for lift in LIFTS_CM.values()])
        lifts[:2, 1] += JAW_DROP_CM * jaw_open
        moved = vertices.copy()
        tip, fore, back = tongue
        # It cannot be at the ridge and at the teeth.
        shares = np.array([tip * (1 - fore), fore, max(back - RESTING_BACK, 0.0) / (1 - RESTING_BACK)])
        moved[MOUTH_FLOOR] += self.part @ (shares[:, None] * lifts)
        sunk = max(RESTING_BACK - back, 0.0) / RESTING_BACK * (1 - max(shares[:2]))
        moved[MOUTH_FLOOR, 1] -= SINKS_CM * sunk * self.part.max(1)
        moved[MOUTH_FLOOR, 0] *= 1 + BROADER * fore * self.part[:, 1]
        return moved


def _eased(share: Array) -> Array:
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)
