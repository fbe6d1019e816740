"""An evaluation as one page of HTML that needs nothing beside it: drawings are SVG, pictures PNG inside the page."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead import __version__, metrics
from talkinghead.evaluation import ENVELOPE_S, SHIFT_FRAMES, Curves, Evaluation, PairScores
from talkinghead.evaluation_measures import SAMPLED_FRAMES, side_by_side
from talkinghead.evaluation_tables import BLIND, NOT_MEASURED, columns, heading, remarks
from talkinghead.pictures import contact_sheet, encode_png
from talkinghead.scores import METRICS
from talkinghead.structures import ByteArray

Values = NDArray[np.float64]

WIDTH, HEIGHT = 900, 160
"""Of a drawing, in its own units."""
WORST, MIDDLE = 4, 4
"""Frames shown of either kind."""
FRAME_PX = 220
OUTPUT, TRUTH, SOUND, SILENCE = "#c0392b", "#1f6fb2", "#d9d2c5", "#eef3ea"

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; } td, th { padding: .2em .7em; border-bottom: 1px solid #ddd; }
td { text-align: right; } td:first-child, th:first-child { text-align: left; white-space: pre; }
svg, img { max-width: 100%; height: auto; display: block; background: #fff; } figure { margin: 1.2em 0; }
figcaption { color: #555; } code { overflow-wrap: anywhere; font-size: 85%; } .scroll { overflow-x: auto; }
"""


def report(evaluation: Evaluation) -> str:
    """The page.

    Raises:
        MediaError: a clip that was measured cannot be read any more.
    """
    parts = [
        "<h1>Output against reference</h1>",
        _scores(evaluation),
        "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in remarks(evaluation)) + "</ul>",
        *(part for scored in evaluation.pairs for part in _clip(scored)),
        _settings(evaluation),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Evaluation</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head><body>\n' + "\n".join(
        [*parts, "</body></html>\n"]
    )


def _scores(evaluation: Evaluation) -> str:
    shown = columns(evaluation)
    headings = ["metric", "best", *(heading(evaluation, name) for name in shown)]
    rows = []
    for metric in METRICS:
        mark = BLIND if metric.field in evaluation.blind_to_sync else ""
        cells = [metric.text(getattr(row, metric.field)) for row in shown.values()]
        if metric.field in evaluation.missing:
            cells[: len(evaluation.systems)] = [NOT_MEASURED] * len(evaluation.systems)
        rows.append([metric.label + mark, metric.best, *cells])
    return _table(headings, rows)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in headings)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _clip(scored: PairScores) -> Iterator[str]:
    """Everything about one clip."""
    yield f"<h2>{html.escape(scored.pair.system)}: {html.escape(scored.pair.output.name)}</h2>"
    curves = scored.curves
    if curves is None:
        yield "<p>There is no reference to draw it against.</p>"
        return
    yield _figure(_opening(curves), "Opening of the mouth over face width: true (blue), output (red); sound, silence.")
    lag = scored.scores.lag_ms
    yield _figure(_lag(curves), f"Correlation of the openings against the output's lag; best at {lag:g} ms.")
    yield _figure(_error(curves), "Mouth landmark distance of each frame, px at 512.")
    yield _figure(_trajectories(curves), "Ways of the mouth's landmarks: true (blue), output (red).")
    for title, frames in _chosen(curves).items():
        if frames:
            numbers = ", ".join(f"{curves.times_s[frame]:.2f} s" for frame in frames)
            yield _figure(_strip(scored, curves, frames), f"{title}, output above truth, then both mouths: {numbers}.")


def _figure(content: str, caption: str) -> str:
    return f"<figure>{content}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _svg(content: Iterable[str], height: float = HEIGHT) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}">{"".join(content)}</svg>'


def _polyline(x: Values, y: Values, colour: str) -> str:
    """A line with gaps where it is not finite."""
    seen = np.isfinite(y)
    if not seen.any():
        return ""
    starts = np.flatnonzero(seen & ~np.append(False, seen[:-1]))
    ends = np.flatnonzero(seen & ~np.append(seen[1:], False)) + 1
    runs = (
        " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[s:e], y[s:e], strict=True))
        for s, e in zip(starts, ends, strict=True)
    )
    return "".join(f'<polyline points="{run}" fill="none" stroke="{colour}" stroke-width="1.4"/>' for run in runs)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}" fill="#555">{html.escape(text)}</text>'


def _across(values: Values, low: float, high: float) -> Values:
    return np.asarray((values - low) / max(high - low, 1e-9) * WIDTH)


def _up(values: Values, low: float, high: float) -> Values:
    """Values from low to high, from the bottom of the drawing to just below its top."""
    return np.asarray(HEIGHT - 16 - (values - low) / max(high - low, 1e-9) * (HEIGHT - 24))


def _time_marks(end_s: float) -> Iterator[str]:
    step = next((step for step in (1, 2, 5, 10, 30, 60, 300) if end_s / step <= 12), 600)
    for time_s in np.arange(0, end_s, step):
        yield _text(time_s / end_s * WIDTH, HEIGHT - 3, f"{time_s:g} s")


def _opening(curves: Curves) -> str:
    end_s = _end_s(curves)
    both = np.concatenate([curves.true_opening, curves.landmarks.opening])
    top = max(float(np.nanmax(both, initial=0, where=np.isfinite(both))), 1e-3)
    x = _across(curves.times_s, 0, end_s)
    step = WIDTH / max(len(x), 1)
    silent = (
        f'<rect x="{left:.1f}" y="0" width="{step:.2f}" height="{HEIGHT - 16}" fill="{SILENCE}"/>'
        for left in x[curves.silent]
    )
    heard = _across(np.arange(len(curves.envelope), dtype=np.float64) * ENVELOPE_S, 0, end_s)
    inside = heard <= WIDTH
    level = _up(curves.envelope[inside], 0, 1)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(heard[inside], level, strict=True))
    sound = (
        f'<polygon points="0,{HEIGHT - 16} {points} {heard[inside].max(initial=0):.1f},{HEIGHT - 16}" fill="{SOUND}"/>'
    )
    lines = (
        _polyline(x, _up(curves.true_opening, 0, top), TRUTH),
        _polyline(x, _up(curves.landmarks.opening, 0, top), OUTPUT),
    )
    return _svg([*silent, sound if len(points) else "", *lines, _text(2, 11, f"{top:.3f}"), *_time_marks(end_s)])


def _end_s(curves: Curves) -> float:
    return max(float(curves.times_s[-1]) + metrics.frame_period_s(curves.times_s), 1e-3)


def _lag(curves: Curves) -> str:
    lags = curves.landmarks.lags_ms
    x = _across(lags, float(lags[0]), float(lags[-1]))
    marks = (
        _text(min(max(float(at), 14), WIDTH - 20), HEIGHT - 3, f"{lag:g} ms", "middle")
        for at, lag in zip(x[::10], lags[::10], strict=True)
    )
    level = _up(np.zeros(1), -1, 1)[0]
    zero = f'<line x1="0" x2="{WIDTH}" y1="{level:.1f}" y2="{level:.1f}" stroke="#ccc"/>'
    return _svg([zero, _polyline(x, _up(curves.landmarks.lag_r, -1, 1), OUTPUT), _text(2, 11, "r = 1"), *marks])


def _error(curves: Curves) -> str:
    error = curves.landmarks.lmd_px
    top = max(float(np.nanmax(error, initial=0, where=np.isfinite(error))), 1e-3)
    x, end_s = _across(curves.times_s, 0, _end_s(curves)), _end_s(curves)
    return _svg([_polyline(x, _up(error, 0, top), OUTPUT), _text(2, 11, f"{top:.2f} px"), *_time_marks(end_s)])


def _trajectories(curves: Curves) -> str:
    places = np.concatenate([curves.true_mouth_px, curves.landmarks.mouth_px])
    if not np.isfinite(places).any():
        return _svg([])
    low, high = np.nanmin(places, (0, 1)), np.nanmax(places, (0, 1))
    zoom = min(WIDTH / 2 / max(high[0] - low[0], 1e-9), 360 / max(high[1] - low[1], 1e-9)) * 0.96
    drawn = []
    for mouth, colour in ((curves.true_mouth_px, TRUTH), (curves.landmarks.mouth_px, OUTPUT)):
        shift = 8 if colour == TRUTH else WIDTH / 2 + 8
        at = (mouth - low) * zoom + (shift, 8)
        drawn += [_polyline(at[:, point, 0], at[:, point, 1], colour) for point in range(mouth.shape[1])]
    return _svg(drawn, float((high[1] - low[1]) * zoom + 16))


def _chosen(curves: Curves) -> dict[str, list[int]]:
    """Frames to look at: the worst, at least half a second apart, and those nearest to the median."""
    error = curves.landmarks.lmd_px
    if not np.isfinite(error).any():
        error = -curves.psnr_mouth_db
    usable = np.flatnonzero(np.isfinite(error) & (curves.partners >= 0))
    if not len(usable):
        return {}
    order = usable[np.argsort(-error[usable])]
    middle = usable[np.argsort(np.abs(error[usable] - np.median(error[usable])))]
    return {"Worst frames": _apart(order, curves, WORST), "Median frames": _apart(middle, curves, MIDDLE)}


def _apart(order: NDArray[np.intp], curves: Curves, count: int) -> list[int]:
    kept: list[int] = []
    for frame in order.tolist():
        if len(kept) < count and all(abs(curves.times_s[frame] - curves.times_s[other]) >= 0.5 for other in kept):
            kept.append(frame)
    return sorted(kept)


def _strip(scored: PairScores, curves: Curves, frames: Sequence[int]) -> str:
    assert scored.pair.reference is not None
    partners = np.where(np.isin(np.arange(len(curves.partners)), frames), curves.partners, -1)
    rows: list[list[ByteArray]] = [[], [], [], []]
    for frame, made, true in side_by_side(scored.pair.output, scored.pair.reference, partners):
        height = round(made.shape[0] * FRAME_PX / made.shape[1])
        for row, image in zip(rows[:2], (made, true), strict=True):
            row.append(np.asarray(cv2.resize(image, (FRAME_PX, height), interpolation=cv2.INTER_AREA)))
        for row, image in zip(rows[2:], (made, true), strict=True):
            mouth = curves.crop.of(image, frame)
            row.append(np.asarray(cv2.resize(mouth, (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_CUBIC)))
    sheet = np.vstack([contact_sheet(rows[:2]), contact_sheet(rows[2:])])
    data = base64.b64encode(encode_png(sheet)).decode()
    return f'<img alt="frames" width="{sheet.shape[1]}" height="{sheet.shape[0]}" src="data:image/png;base64,{data}">'


def _settings(evaluation: Evaluation) -> str:
    settings = {
        "talkinghead": __version__,
        "shift of the shifted truth, frames": SHIFT_FRAMES,
        "frames sampled for slow metrics": SAMPLED_FRAMES,
        "lag range, ms": metrics.LAG_RANGE_MS,
        "lag step, ms": metrics.LAG_STEP_MS,
        "mouth crop over face width": metrics.CROP_SHARE,
        "weights of others, sha256": dict(evaluation.judges_sha256 or {}),
    }
    rows = [
        [scored.pair.system, scored.pair.output.name, what, digest]
        for scored in evaluation.pairs
        for what, digest in scored.sha256.items()
    ]
    return f"<h2>Settings and files</h2><pre><code>{html.escape(json.dumps(settings, indent=1))}</code></pre>" + _table(
        ["system", "clip", "file", "sha256"], rows
    )
