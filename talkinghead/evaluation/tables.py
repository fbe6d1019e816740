"""An evaluation for the terminal and for machines: tables, JSON, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from talkinghead.evaluation.evaluate import Evaluation
from talkinghead.evaluation.scores import BY_FIELD, METRICS, NAMES, Metric, Scores

BLIND = "†"
"""Beside a number that does not fall when the truth comes late."""
NOT_MEASURED = "not measured"
MEAN_OF = ", mean of "
LONGEST_TEXT = 36
"""Characters of a name that stand on one line; longer ones are folded where there is no room."""


def columns(evaluation: Evaluation) -> dict[str, Scores]:
    """What is set side by side: each system's mean, then the rows that set the scale."""
    return {**{system: evaluation.mean(system) for system in evaluation.systems}, **evaluation.rows}


def heading(evaluation: Evaluation, name: str) -> str:
    """A column's name, with the clips it is the mean of."""
    count = len(evaluation.of(name)) if name in evaluation.systems else 0
    return f"{name}{MEAN_OF}{count}" if count > 1 else name


def headline_table(evaluation: Evaluation) -> Table:
    """One line a system and a row that sets the scale, one column a metric of the headline (`Metric.heading`)."""
    chosen = headline(evaluation)
    rows = [
        [heading(evaluation, name), *(metric.text(getattr(row, metric.field)) for metric in chosen)]
        for name, row in columns(evaluation).items()
    ]
    rows.append(["best", *(metric.best for metric in chosen)])
    return _table("Headline", ["", *(metric.heading for metric in chosen)], rows)


def headline(evaluation: Evaluation) -> list[Metric]:
    """The metrics that tell the most, less those that were measured for no clip."""
    return [metric for metric in METRICS if metric.heading and metric.field not in evaluation.missing]


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> Table:
    """Numbers to the right; only headings are broken, between words, and nothing is left out."""
    lines = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False, padding=0)
    for number, name in enumerate(headings):
        if number < text_columns:
            width = max((len(line[number]) for line in lines), default=0)
            table.add_column(name, overflow="fold", min_width=min(width, LONGEST_TEXT))
        else:
            broken = name.replace(MEAN_OF, f",\n{MEAN_OF[2:]}") if MEAN_OF in name else name.replace(" ", "\n")
            width = max(len(cell) for cell in (*broken.split("\n"), *(line[number] for line in lines)))
            table.add_column(broken, justify="right", min_width=width)
    for line in lines:
        table.add_row(*line)
    return table


def scores_table(evaluation: Evaluation) -> Table:
    """One line a metric, one column a system and a row that sets the scale."""
    names = [heading(evaluation, name) for name in columns(evaluation)]
    return _table("All metrics", ["metric", "best", *names], score_rows(evaluation, with_intervals=False), 2)


def intervals_table(evaluation: Evaluation) -> Table:
    """The means of more than one clip, and where each lies."""
    systems = evaluation.systems
    rows = [[row[0], *row[2 : 2 + len(systems)]] for row in score_rows(evaluation)]
    kept = [row for row in rows if any("[" in cell for cell in row)]
    names = [heading(evaluation, name) for name in systems]
    return _table("Means and their 95 % intervals (bootstrap over clips)", ["metric", *names], kept)


def score_rows(evaluation: Evaluation, *, with_intervals: bool = True) -> Iterator[list[str]]:
    """Metric, best, and a cell for each of `columns`: the mean, and where it lies."""
    shown = columns(evaluation)
    intervals = {system: evaluation.intervals(system) for system in evaluation.systems} if with_intervals else {}
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
    rows = []
    for scored in evaluation.pairs:
        cells = (metric.text(getattr(scored.scores, metric.field)) for metric in chosen)
        frames = "/".join(metric.text(getattr(scored.scores, metric.field)) for metric in counted)
        rows.append([scored.pair.system, scored.pair.output.name, *cells, frames])
    return _table("Clip by clip", ["system", "output", *(metric.heading for metric in chosen), "frames"], rows, 2)


def differences_table(evaluation: Evaluation) -> Table:
    """The first system less each of the others, over the clips that both have, with where the difference lies."""
    first, *others = evaluation.systems
    title = f"{first} less the others, clip by clip, and its 95 % interval (paired bootstrap)"
    return _table(title, ["metric", *others], difference_rows(evaluation))


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
