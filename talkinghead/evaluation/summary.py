"""What the scores of a system mean, in a sentence or two, beside the rows that set the scale."""

from __future__ import annotations

import math
from collections.abc import Iterator

from talkinghead.evaluation.registry import BY_NAME
from talkinghead.evaluation.results import FROZEN_MOUTH, GROUND_TRUTH, Evaluation
from talkinghead.evaluation.scores import Scores

RELATED_R = 0.5
"""Correlation of the openings below which the mouth hardly follows the reference's."""


def summary(evaluation: Evaluation) -> list[str]:
    """A line for each system: how near its mouth comes to the reference's, whether it follows it, and when."""
    return [_of_system(evaluation, system) for system in evaluation.systems if evaluation.of(system)]


def _of_system(evaluation: Evaluation, system: str) -> str:
    row, rows = evaluation.mean(system), evaluation.rows
    if any(scored.rows for scored in evaluation.of(system)):
        parts = [*_distance(row, rows[FROZEN_MOUTH]), *_motion(row)]
        if not parts:
            parts = ["no frame shows a face in both clips, so that only images were compared"]
    else:
        parts = ["there is no reference to compare with", *_alone(row)]
    return f"{system}: {'; '.join(parts)}."


def _distance(row: Scores, frozen: Scores) -> Iterator[str]:
    """How far the mouth is from the reference's, beside one that never moves."""
    if math.isnan(row.lmd_px):
        return
    found = f"the mouth is {_text(row, 'lmd_px')} px from the reference's (0: the reference itself"
    if math.isnan(frozen.lmd_px):
        yield f"{found})"
        return
    metric = BY_NAME["lmd_px"]
    if metric.text(row.lmd_px) == metric.text(frozen.lmd_px):
        verdict = "no nearer than"
    else:
        verdict = "nearer than" if row.lmd_px < frozen.lmd_px else "farther than"
    yield f"{found}; {_text(frozen, 'lmd_px')}: a mouth that never moves), {verdict} a still mouth"


def _motion(row: Scores) -> Iterator[str]:
    """Whether the mouth opens when the reference's does, how much, and how late."""
    if math.isnan(row.opening_r):
        return
    follows = "follows" if row.opening_r >= RELATED_R else "hardly follows"
    amount = "" if math.isnan(row.opening_std_ratio) else f", with {_text(row, 'opening_std_ratio')} times its movement"
    yield f"its opening {follows} the reference's (r {_text(row, 'opening_r')}; 1 is best){amount}"
    # Where the openings are hardly related at the best lag, that lag is chance.
    if row.lag_r >= RELATED_R:
        late = row.lag_ms
        yield "in time" if round(late) == 0 else f"{abs(late):.0f} ms {'late' if late > 0 else 'early'}"


def _alone(row: Scores) -> Iterator[str]:
    """What the output shows by itself."""
    if not math.isnan(row.silence_motion):
        yield (
            f"in silence the mouth moves {_text(row, 'silence_motion')} times as much as in speech (0: it rests; "
            "1: it does not know silence)"
        )
    if not math.isnan(row.plosive_offset_ms):
        late = row.plosive_offset_ms
        when = "with" if round(late) == 0 else f"{abs(late):.0f} ms {'after' if late > 0 else 'before'}"
        yield f"the lips part {when} the bursts of p and b"
    if math.isnan(row.silence_motion) and math.isnan(row.plosive_offset_ms):
        yield "give --reference, or --driving for the scores of mouth and audio"


def _text(row: Scores, name: str) -> str:
    return BY_NAME[name].text(getattr(row, name))


def scale_line(evaluation: Evaluation) -> str:
    """What the other rows are; empty without a reference."""
    if GROUND_TRUTH not in evaluation.rows:
        return ""
    return (
        "The other rows set the scale: the reference against itself, with its mouth frozen, and late. An output should "
        "lie between the first two, near the first."
    )
