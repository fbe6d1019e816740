"""An evaluation for the terminal and for machines: tables, JSON, CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from rich.table import Table

from talkinghead.evaluation import Evaluation
from talkinghead.scores import BY_FIELD, METRICS, NAMES, Scores

BLIND = "†"
"""Beside a number that does not fall when the truth comes late."""
NOT_MEASURED = "not measured"


def columns(evaluation: Evaluation) -> dict[str, Scores]:
    """What is set side by side: each system's mean, then the rows that set the scale."""
    return {**{system: evaluation.mean(system) for system in evaluation.systems}, **evaluation.rows}


def heading(evaluation: Evaluation, name: str) -> str:
    """A column's name, with the clips it is the mean of."""
    count = len(evaluation.of(name)) if name in evaluation.systems else 0
    return f"{name}, mean of {count}" if count > 1 else name


def scores_table(evaluation: Evaluation) -> Table:
    """One line a metric, one column a system and a row that sets the scale."""
    shown = columns(evaluation)
    intervals = {system: evaluation.intervals(system) for system in evaluation.systems}
    table = Table("metric", "best", title="Output against reference")
    for name in shown:
        table.add_column(heading(evaluation, name), justify="right")
    for metric in METRICS:
        mark = BLIND if metric.field in evaluation.blind_to_sync else ""
        cells = []
        for name, row in shown.items():
            low_high = intervals.get(name, {}).get(metric.field) if metric.source != "count" else None
            spread = f" [{metric.text(low_high[0])}, {metric.text(low_high[1])}]" if low_high else ""
            cells.append(metric.text(getattr(row, metric.field)) + spread)
        if metric.field in evaluation.missing:
            cells[: len(evaluation.systems)] = [NOT_MEASURED] * len(evaluation.systems)
        table.add_row(metric.label + mark, metric.best, *cells)
    return table


def pairs_table(evaluation: Evaluation) -> Table:
    """One line a clip, the numbers that tell the most."""
    chosen = [metric for metric in METRICS if metric.heading and metric.field not in evaluation.missing]
    table = Table("system", "output", title="Clip by clip")
    for metric in chosen:
        table.add_column(metric.heading, justify="right")
    for scored in evaluation.pairs:
        cells = (metric.text(getattr(scored.scores, metric.field)) for metric in chosen)
        table.add_row(scored.pair.system, scored.pair.output.name, *cells)
    return table


def differences_table(evaluation: Evaluation) -> Table:
    """The first system less each of the others, over the clips that both have, with where the difference lies."""
    first, *others = evaluation.systems
    table = Table("metric", title=f"{first} less the others, clip by clip")
    found = [evaluation.difference(first, other) for other in others]
    for other in others:
        table.add_column(other, justify="right")
    for metric in METRICS:
        if metric.field in evaluation.missing or metric.source in ("count", "set"):
            continue
        cells = []
        for apart, intervals in found:
            low_high = intervals.get(metric.field)
            spread = f" [{metric.text(low_high[0])}, {metric.text(low_high[1])}]" if low_high else ""
            cells.append(metric.text(getattr(apart, metric.field)) + spread)
        table.add_row(metric.label, *cells)
    return table


def remarks(evaluation: Evaluation) -> list[str]:
    """What has to be said beside the numbers, one line each."""
    given = len(evaluation.pairs) + len(evaluation.left_out)
    lines = [f"{len(evaluation.pairs)} of {given} clips scored"]
    lines += [f"left out: {left.output} ({left.system}): {left.reason}" for left in evaluation.left_out]
    if any(metric in evaluation.blind_to_sync for metric in BY_FIELD):
        lines.append(f"{BLIND} blind to sync here: no worse when the truth comes 5 frames late")
    reasons: dict[str, list[str]] = {}
    for name, reason in evaluation.missing.items():
        reasons.setdefault(reason, []).append(name)
    lines += [f"{', '.join(names)}: {NOT_MEASURED}: {reason}" for reason, names in reasons.items()]
    lines += [f"{scored.pair.output.name}: {note}" for scored in evaluation.pairs for note in scored.notes]
    return lines


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Everything, ready for `json.dumps`; what was not measured is None, and `not_measured` says why."""
    return {
        "clips_given": len(evaluation.pairs) + len(evaluation.left_out),
        "clips_scored": len(evaluation.pairs),
        "left_out": [
            {"output": str(left.output), "system": left.system, "reason": left.reason} for left in evaluation.left_out
        ],
        "pairs": [
            {
                "system": scored.pair.system,
                "output": str(scored.pair.output),
                "reference": None if scored.pair.reference is None else str(scored.pair.reference),
                **scored.scores.as_json(),
                "notes": list(scored.notes),
                "sha256": dict(scored.sha256),
            }
            for scored in evaluation.pairs
        ],
        "mean": evaluation.mean().as_json(),
        "systems": {
            system: {"mean": evaluation.mean(system).as_json(), "interval_95": _lists(evaluation.intervals(system))}
            for system in evaluation.systems
        },
        "differences": {
            f"{evaluation.systems[0]} - {other}": {
                "mean": evaluation.difference(evaluation.systems[0], other)[0].as_json(),
                "interval_95": _lists(evaluation.difference(evaluation.systems[0], other)[1]),
            }
            for other in evaluation.systems[1:]
        },
        "rows": {name.replace(" ", "_"): row.as_json() for name, row in evaluation.rows.items()},
        "blind_to_sync": list(evaluation.blind_to_sync),
        "not_measured": dict(evaluation.missing),
        "judges_sha256": dict(evaluation.judges_sha256 or {}),
    }


def as_csv(evaluation: Evaluation) -> str:
    """One line a clip, then the means and the rows that set the scale; empty where a number was not measured."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["system", "output", "reference", *NAMES])
    for scored in evaluation.pairs:
        pair = scored.pair
        writer.writerow([pair.system, pair.output, pair.reference or "", *_cells(scored.scores)])
    for name, row in columns(evaluation).items():
        writer.writerow([name, "mean", "", *_cells(row)])
    return text.getvalue()


def _lists(intervals: dict[str, tuple[float, float]]) -> dict[str, list[float]]:
    return {name: list(low_high) for name, low_high in intervals.items()}


def _cells(row: Scores) -> list[str]:
    return ["" if value is None else repr(value) for value in row.as_json().values()]
