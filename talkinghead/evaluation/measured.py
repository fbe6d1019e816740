"""Scores as they are measured: whatever goes wrong in one metric, the others are measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LONGEST_REASON = 120
"""Characters of an error that a reason quotes."""


@dataclass
class Measured:
    """Scores by metric, NaN for what could not be measured, and the reason for each of those."""

    scores: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a score is NaN, by metric."""

    def take(self, name: str, compute: Callable[[], float], undefined: str) -> float:
        """Compute a score; NaN, with the reason, where that fails or gives no finite number.

        Args:
            name: of the metric.
            compute: the computation.
            undefined: the reason where it gives no finite number.

        Returns:
            The score.
        """
        try:
            value, reason = float(compute()), undefined
        except Exception as error:
            # A metric may run any library on any clip. None of its errors is worth the scores of the other metrics;
            # the reason names it, and the tests of all metrics take a failed computation for a fault.
            value, reason = math.nan, failure(error)
        if not math.isfinite(value):
            value = math.nan
            self.reasons[name] = reason
        self.scores[name] = value
        return value

    def __or__(self, other: Measured) -> Measured:
        """Both; where both have a metric, the other's."""
        return Measured({**self.scores, **other.scores}, {**self.reasons, **other.reasons})

    def unless(self, known: Mapping[str, str]) -> dict[str, str]:
        """All reasons, with those that were known beforehand in place of these."""
        return {**self.reasons, **known}


def failure(error: Exception) -> str:
    """Why a metric is not measured whose computation raised an error, on one line."""
    text = " ".join(str(error).split())[:LONGEST_REASON]
    return f"{FAILED} ({type(error).__name__}{': ' if text else ''}{text})"


FAILED = "could not be computed on this clip"
"""How the reason begins where a computation raised an error."""
