"""How the person stands in one frame of a performance."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from head import Array
from tongue import RESTING_BACK


@dataclass(frozen=True)
class Frame:
    """How everything stands in one frame; at rest unless given."""

    weights: Array
    """(E,) of the expressions."""
    rotation_rad: Array = field(default_factory=lambda: np.zeros(3))
    """(3,) pitch, yaw, roll of the head."""
    translation_cm: Array = field(default_factory=lambda: np.zeros(3))
    """(3,) of the head."""
    tongue: Array = field(default_factory=lambda: np.array([0.0, 0.0, RESTING_BACK]))
    """(3,) movements of the tongue, `tongue.MOVEMENTS`."""
    torso_rotation_rad: Array = field(default_factory=lambda: np.zeros(3))
    """(3,) of the torso, as in `torso.torso_moved`."""
    torso_translation_cm: Array = field(default_factory=lambda: np.zeros(3))
    """(3,) of the torso."""
    breath: float = 0.0
    """How full the chest is, 0 to 1."""

    @classmethod
    def of(cls, performance: dict[str, Array], index: int) -> Frame:
        """Frame `index` of the arrays of a performance; what a performance lacks stays at rest."""
        moving = {each.name for each in fields(cls)} - {"weights", "breath"}
        given = {key: values[index].astype(np.float64) for key, values in performance.items() if key in moving}
        breath = float(performance["breath"][index]) if "breath" in performance else 0.0
        return cls(performance["expression"][index].astype(np.float64), **given, breath=breath)
