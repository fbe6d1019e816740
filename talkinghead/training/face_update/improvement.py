"""Whether a training still improves, by its course of PSNR on held-out frames."""

from __future__ import annotations

import json
import math

import numpy as np

LEAST_GAIN_DB = 0.1
"""Gain of PSNR, by twice as many steps, below which a training stands still. While a training is worth its time it is
several times as much: 0.5 dB on the news anchor's clip of docs/renderer.md, up to 1500 steps."""
FEWEST_STEPS = 500
"""Steps before which nothing is said: the moving average of the weights (decay 0.998) remembers as many."""
FEWEST_MEASUREMENTS = 8
"""Measurements in the second half of the steps that are needed."""
CERTAINTY = 2.0
"""Standard errors by which the gain has to lie below the limit: a noisy course is trained on for longer."""


class Improvement:
    """The course of PSNR on held-out frames over the steps of a training, and what it says.

    Errors of a network fall with the logarithm of its steps, roughly, until it has learned what it can. So a line is
    fitted to PSNR over log2(step), through the measurements in the second half of the steps: its slope is what twice as
    many steps would gain.
    """

    def __init__(self) -> None:
        """Nothing is measured yet."""
        self._steps: list[int] = []
        self._psnr_db: list[float] = []

    def add(self, step: int, psnr_db: float) -> None:
        """Note the PSNR after a step; steps rise. One that is no number is left out."""
        if step > 0 and math.isfinite(psnr_db):
            self._steps.append(step)
            self._psnr_db.append(psnr_db)

    def gain_db(self) -> tuple[float, float] | None:
        """What twice as many steps would gain, and the standard error of that; None where too little is known."""
        steps, psnr_db = np.array(self._steps, np.float64), np.array(self._psnr_db)
        if not len(steps) or steps[-1] < FEWEST_STEPS:
            return None
        late = steps >= steps[-1] / 2
        if late.sum() < FEWEST_MEASUREMENTS:
            return None
        x, y = np.log2(steps[late]), psnr_db[late]
        x, y = x - x.mean(), y - y.mean()
        slope = float(x @ y / (x @ x))
        error = math.sqrt(float(((y - slope * x) ** 2).sum()) / (len(x) - 2) / float(x @ x))
        return slope, error

    def stands_still(self) -> bool:
        """Whether further training would certainly gain next to nothing."""
        gain = self.gain_db()
        return gain is not None and gain[0] + CERTAINTY * gain[1] < LEAST_GAIN_DB

    def as_text(self) -> str:
        """The course, for the file of a training's state."""
        return json.dumps([self._steps, self._psnr_db])

    @classmethod
    def from_text(cls, text: str) -> Improvement:
        """What `as_text` wrote.

        Raises:
            ValueError: it is something else.
        """
        course = cls()
        try:
            steps, psnr_db = json.loads(text)
            for step, value in zip(steps, psnr_db, strict=True):
                course.add(int(step), float(value))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"not a course of PSNR: {error}") from error
        return course
