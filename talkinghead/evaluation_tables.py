"""An evaluation for the terminal and for machines: tables, JSON, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from talkinghead.evaluation import Evaluation
from talkinghead.scores import BY_FIELD, METRICS, NAMES, Metric, Scores

BLIND = "†"
"""Beside a number that does not fall when the truth comes late."""
NOT_MEASURED = "not measured"
LONGEST_NAME = 24
"""Characters of a clip's name that stand on one line."""


def columns(evaluation: Evaluation) -> dict[str, Scores]:
    """What is set side by side: each system's mean, then the rows that set the scale."""
    return {**{system: evaluation.mean(system) for system in evaluation.systems}, **evaluation.rows}


def heading(evaluation: Evaluation, name: str) -> str:
    """A column's name, with the clips it is the mean of."""
    count = len(evaluation.of(name)) if name in evaluation.systems else 0
    return f"{name}, mean of {count}" if count > 1 else name


def headline_table(evaluation: Evaluation) -> Table:
    """One line a system and a row that sets the scale, one column a metric of the headline (`Metric.heading`)."""
    table = _table("Headline, mean of the clips")
    table.add_column("", no_wrap=True)
    chosen = headline(evaluation)
    for metric in chosen:
        table.add_column(metric.heading, justify="right")
    for name, row in columns(evaluation).items():
        table.add_row(heading(evaluation, name), *(metric.text(getattr(row, metric.field)) for metric in chosen))
    table.add_section()
    table.add_row("[dim]best[/]", *(f"[dim]{metric.best}[/]" for metric in chosen))
    return table


def headline(evaluation: Evaluation) -> list[Metric]:
    """The metrics that tell the most, less those that were measured for no clip."""
    return [metric for metric in METRICS if metric.heading and metric.field not in evaluation.missing]


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False, padding=(0, 1))


def scores_table(evaluation: Evaluation) -> Table:
    """One line a metric, one column a system and a row that sets the scale."""
    table = _table("All metrics")
    table.add_column("metric", no_wrap=True)
    table.add_column("best")
    width = len(NOT_MEASURED) if evaluation.missing else None
    for name in columns(evaluation):
        table.add_column(
            heading(evaluation, name), justify="right", min_width=width if name in evaluation.systems else None
        )
    for cells in score_rows(evaluation):
        table.add_row(*cells)
    return table


def score_rows(evaluation: Evaluation) -> Iterator[list[str]]:
    """Metric, best, and a cell for each of `columns`: the mean, and where it lies."""
    shown = columns(evaluation)
    intervals = {system: evaluation.intervals(system) for system in evaluation.systems}
    for metric in METRICS:
        mark = BLIND if metric.field in evaluation.blind_to_sync else ""
        cells = []
        for name, row in shown.items():
            low_high = intervals.get(name, {}).get(metric.field) if metric.source != "count" else None
            cells.append(metric.text(getattr(row, metric.field)) + _spread(metric, low_high))
        if metric.field in evaluation.missing:
            cells[: len(evaluation.systems)] = [NOT_MEASURED] * len(evaluation.systems)
        yield [metric.label + mark, metric.best, *cells]


def _spread(metric: Metric, low_high: tuple[float, float] | None) -> str:
    return f" [{metric.text(low_high[0])}, {metric.text(low_high[1])}]" if low_high else ""


def pairs_table(evaluation: Evaluation) -> Table:
    """One line a clip, the metrics of the headline and the frames."""
    counted = (BY_FIELD["frames_scored"], BY_FIELD["frames_total"])
    chosen = headline(evaluation)
    table = _table("Clip by clip")
    table.add_column("system")
    longest = max((len(scored.pair.output.name) for scored in evaluation.pairs), default=0)
    table.add_column("output", overflow="fold", min_width=min(longest, LONGEST_NAME))
    for metric in chosen:
        table.add_column(metric.heading, justify="right")
    table.add_column("frames", justify="right")
    for scored in evaluation.pairs:
        cells = (metric.text(getattr(scored.scores, metric.field)) for metric in chosen)
        frames = "/".join(metric.text(getattr(scored.scores, metric.field)) for metric in counted)
        table.add_row(scored.pair.system, scored.pair.output.name, *cells, frames)
    return table


def differences_table(evaluation: Evaluation) -> Table:
    """The first system less each of the others, over the clips that both have, with where the difference lies."""
    table = _table(f"{evaluation.systems[0]} less the others, clip by clip")
    table.add_column("metric", no_wrap=True)
    for other in evaluation.systems[1:]:
        table.add_column(other, justify="right")
    for cells in difference_rows(evaluation):
        table.add_row(*cells)
    return table


def difference_rows(evaluation: Evaluation) -> Iterator[list[str]]:
    """Metric, and a cell for each system after the first."""
    first, *others = evaluation.systems
    found = [evaluation.difference(first, other) for other in others]
    for metric in METRICS:
        if metric.field in evaluation.missing or metric.source in ("count", "set"):
            continue
        cells = [
            metric.text(getattr(apart, metric.field)) + _spread(metric, intervals.get(metric.field))
            for apart, intervals in found
        ]
        yield [metric.label, *cells]


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
