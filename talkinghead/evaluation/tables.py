"""An evaluation as tables for the terminal, and as JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from talkinghead.evaluation.registry import BY_NAME, METRICS, NAMES, FromAllClips, Metric
from talkinghead.evaluation.results import SHIFT_FRAMES, Evaluation
from talkinghead.evaluation.scores import Scores

BLIND = "†"
"""Beside a metric that is no worse when the reference comes late."""
NOT_MEASURED = "not measured"
MEAN_OF = ", mean of "
LONGEST_TEXT = 36
"""Characters of a name that are kept on one line; longer names are folded where there is no room."""


def columns(evaluation: Evaluation) -> dict[str, Scores]:
    """The columns of a table of all metrics: each system's mean, then the scale rows."""
    return {**{system: evaluation.mean(system) for system in evaluation.systems}, **evaluation.rows}


def column_heading(evaluation: Evaluation, name: str) -> str:
    """A column's name, with the number of clips it is the mean of."""
    count = len(evaluation.of(name)) if name in evaluation.systems else 0
    return f"{name}{MEAN_OF}{count}" if count > 1 else name


def headline_table(evaluation: Evaluation) -> Table:
    """The headline: one line for each system and scale row, one column for each of the most telling metrics."""
    return _table("Headline", ["", *(metric.heading for metric in headline(evaluation))], headline_rows(evaluation))


def headline(evaluation: Evaluation) -> list[Metric]:
    """The metrics of the headline that were measured for at least one clip."""
    return [metric for metric in METRICS if metric.heading and metric.name not in evaluation.empty]


def headline_rows(evaluation: Evaluation) -> list[list[str]]:
    """Name and a cell for each metric of the headline; one row for each of `columns`, then the best values."""
    chosen = headline(evaluation)
    rows = [
        [column_heading(evaluation, name), *(metric.text(getattr(row, metric.name)) for metric in chosen)]
        for name, row in columns(evaluation).items()
    ]
    return [*rows, ["best", *(metric.best for metric in chosen)]]


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> Table:
    """A table with numbers aligned right; only headings are broken, between words, and no cell is cut."""
    lines = [list(row) for row in rows]
    # As `Text`, whatever is in brackets, such as a name, is printed and not taken for markup.
    table = Table(title=Text(title), title_justify="left", box=SIMPLE, pad_edge=False, padding=0)
    for number, name in enumerate(headings):
        if number < text_columns:
            width = max((len(line[number]) for line in lines), default=0)
            table.add_column(Text(name), overflow="fold", min_width=min(width, LONGEST_TEXT))
        else:
            broken = name.replace(MEAN_OF, f",\n{MEAN_OF[2:]}") if MEAN_OF in name else name.replace(" ", "\n")
            width = max(len(cell) for cell in (*broken.split("\n"), *(line[number] for line in lines)))
            table.add_column(Text(broken), justify="right", min_width=width)
    for line in lines:
        table.add_row(*map(Text, line))
    return table


def scores_table(evaluation: Evaluation) -> Table:
    """All metrics: one line for each metric, one column for each system and scale row."""
    names = [column_heading(evaluation, name) for name in columns(evaluation)]
    return _table("All metrics", ["metric", "best", *names], score_rows(evaluation, with_intervals=False), 2)


def intervals_table(evaluation: Evaluation) -> Table:
    """Means over more than one clip and their confidence intervals."""
    systems = evaluation.systems
    rows = [[row[0], *row[2 : 2 + len(systems)]] for row in score_rows(evaluation)]
    kept = [row for row in rows if any("[" in cell for cell in row)]
    names = [column_heading(evaluation, name) for name in systems]
    return _table("Means and their 95 % intervals (bootstrap over clips)", ["metric", *names], kept)


def score_rows(evaluation: Evaluation, *, with_intervals: bool = True) -> Iterator[list[str]]:
    """Metric, best value, and a cell for each of `columns`: mean and interval; without metrics that are empty."""
    shown = columns(evaluation)
    intervals = {system: evaluation.intervals(system) for system in evaluation.systems} if with_intervals else {}
    for metric in METRICS:
        if metric.name in evaluation.empty:
            continue
        mark = BLIND if metric.name in evaluation.blind_to_sync else ""
        cells = []
        for name, row in shown.items():
            low_high = intervals.get(name, {}).get(metric.name) if not metric.is_count else None
            cells.append(metric.text(getattr(row, metric.name)) + _interval(metric, low_high))
        yield [metric.title + mark, metric.best, *cells]


def not_measured_line(evaluation: Evaluation) -> str:
    """One line that names every metric that was measured for no output; empty where there is none."""
    return f"{NOT_MEASURED}: {', '.join(evaluation.empty)}" if evaluation.empty else ""


def not_measured_reasons(evaluation: Evaluation) -> list[tuple[str, list[str]]]:
    """Each reason why metrics were measured for no output, and their names."""
    reasons: dict[str, list[str]] = {}
    for name, reason in evaluation.missing.items():
        reasons.setdefault(reason, []).append(name)
    return list(reasons.items())


def _interval(metric: Metric, low_high: tuple[float, float] | None) -> str:
    return f" [{metric.text(low_high[0])}, {metric.text(low_high[1])}]" if low_high else ""


def pairs_table(evaluation: Evaluation) -> Table:
    """One line for each clip: the metrics of the headline, and frames scored of all frames."""
    counts = (BY_NAME["frames_scored"], BY_NAME["frames_total"])
    chosen = headline(evaluation)
    rows = []
    for scored in evaluation.pairs:
        cells = (metric.text(getattr(scored.scores, metric.name)) for metric in chosen)
        frames = "/".join(metric.text(getattr(scored.scores, metric.name)) for metric in counts)
        rows.append([scored.pair.system, scored.pair.output.name, *cells, frames])
    return _table("Clip by clip", ["system", "output", *(metric.heading for metric in chosen), "frames"], rows, 2)


def differences_table(evaluation: Evaluation) -> Table:
    """Differences of the first system to each other one over the clips that both have, and their intervals."""
    first, *others = evaluation.systems
    title = f"{first} minus the others, clip by clip, and its 95 % interval (paired bootstrap)"
    return _table(title, ["metric", *others], difference_rows(evaluation))


def difference_rows(evaluation: Evaluation) -> Iterator[list[str]]:
    """Metric, and a cell for each system after the first."""
    first, *others = evaluation.systems
    found = [evaluation.difference(first, other) for other in others]
    for metric in METRICS:
        of_one_clip = not metric.is_count and not isinstance(metric.computed, FromAllClips)
        if metric.name in evaluation.empty or not of_one_clip:
            continue
        cells = [
            metric.text(getattr(difference, metric.name)) + _interval(metric, intervals.get(metric.name))
            for difference, intervals in found
        ]
        yield [metric.title, *cells]


def remarks(evaluation: Evaluation) -> list[str]:
    """Lines to show beside the scores: clips scored and left out, notes on clips, what marks mean."""
    given = len(evaluation.pairs) + len(evaluation.left_out)
    lines = [f"{len(evaluation.pairs)} of {given} clips scored"]
    lines += [f"left out: {left.output} ({left.system}): {left.reason}" for left in evaluation.left_out]
    lines += [f"{scored.pair.output.name}: {note}" for scored in evaluation.pairs for note in scored.notes]
    if evaluation.blind_to_sync:
        lines.append(f"{BLIND} blind to sync here: no worse when the reference comes {SHIFT_FRAMES} frames late")
    return lines


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Everything found, ready for `json.dumps`; scores that were not measured are None, `not_measured` says why."""
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
                "not_measured": dict(scored.missing),
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
        "metric_networks_sha256": dict(evaluation.metric_networks_sha256),
    }


def as_csv(evaluation: Evaluation) -> str:
    """One line for each clip, then for each of `columns`; cells of scores that were not measured are empty."""
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
