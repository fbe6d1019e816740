"""An evaluation as one page of HTML that needs nothing beside it: drawings are SVG, pictures PNG inside the page."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead import __version__, metrics
from talkinghead.evaluation.clip import SAMPLED_FRAMES, side_by_side
from talkinghead.evaluation.evaluate import ENVELOPE_S, SHIFT_FRAMES, Curves, Evaluation, PairScores
from talkinghead.evaluation.tables import NOT_MEASURED, columns, difference_rows, heading, headline, remarks, score_rows
from talkinghead.media.images import GAP_PX, encode_png
from talkinghead.structures import ByteArray

Values = NDArray[np.float64]

WIDTH, HEIGHT = 960, 190
"""Of a drawing, in its own units."""
LEFT, RIGHT, TOP, BOTTOM = 46, 954, 8, 168
"""Of the field in it that curves are drawn in; numbers stand outside."""
WORST, MIDDLE = 4, 4
"""Frames shown of either kind."""
WORST_FRAMES = "Worst frames"
FRAME_PX = 220
OPEN_CLIPS = 3
"""So many clips are shown at once; the others unfold when clicked."""
OUTPUT, TRUTH, SOUND, SILENCE = "#c0392b", "#1f6fb2", "#ddd5c6", "#e3ecf5"
MARK = "#888"

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em; color: #222; }
body { background: #fff; } h2 { margin-top: 2em; } h3 { margin: 1.6em 0 .2em; font-size: 1em; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; font-size: 90%; }
td, th { padding: .2em .7em; border-bottom: 1px solid #ddd; text-align: right; }
td { white-space: nowrap; } th { vertical-align: bottom; }
td:first-child, th:first-child { text-align: left; white-space: pre; } tr:hover td { background: #f6f6f3; }
td.none { color: #999; } table.files td { text-align: left; } table.files th { text-align: left; }
svg, img { max-width: 100%; height: auto; display: block; background: #fff; } figure { margin: .4em 0; }
svg { font-family: system-ui, sans-serif; } p, li, figcaption { color: #444; } figcaption { font-size: 90%; }
i.key { display: inline-block; width: 1.2em; height: .7em; margin: 0 .3em 0 .9em; } figcaption i.key:first-child
{ margin-left: 0; } code { overflow-wrap: anywhere; font-size: 85%; } .scroll { overflow-x: auto; }
.strip { display: grid; grid-template-columns: 5.5em 1fr; gap: 2px .6em; align-items: center; margin-bottom: 1em; }
.strip span { color: #444; font-size: 90%; text-align: right; } summary { cursor: pointer; font-weight: 600; }
"""


def report(evaluation: Evaluation) -> str:
    """The page.

    Raises:
        MediaError: a clip that was measured cannot be read any more.
    """
    parts = [
        "<h1>Output against reference</h1>",
        f"<p>{html.escape(_what(evaluation))}</p>",
        _headline(evaluation),
        "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in remarks(evaluation)) + "</ul>",
        "<h2>All metrics</h2>",
        _table(
            ["metric", "best", *(heading(evaluation, name) for name in columns(evaluation))], score_rows(evaluation)
        ),
        *_differences(evaluation),
        *(_folded(scored, number) for number, scored in enumerate(evaluation.pairs)),
        _settings(evaluation),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Evaluation</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head><body>\n' + "\n".join(
        [*parts, "</body></html>\n"]
    )


def _what(evaluation: Evaluation) -> str:
    names = ", ".join(evaluation.systems)
    several = " Square brackets hold 95 % intervals (bootstrap over clips)." if len(evaluation.pairs) > 1 else ""
    return (
        f"Systems: {names}. The other rows set the scale: the truth against itself, with its mouth frozen, and "
        f"{SHIFT_FRAMES} frames late.{several} Definitions: docs/evaluation.md of talkinghead."
    )


def _headline(evaluation: Evaluation) -> str:
    chosen = headline(evaluation)
    rows = [
        [heading(evaluation, name), *(metric.text(getattr(row, metric.field)) for metric in chosen)]
        for name, row in columns(evaluation).items()
    ]
    return _table(["", *(metric.heading for metric in chosen)], [*rows, ["best", *(metric.best for metric in chosen)]])


def _differences(evaluation: Evaluation) -> Iterator[str]:
    """The first system less each of the others."""
    if len(evaluation.systems) > 1:
        first, *others = evaluation.systems
        yield f"<h2>{html.escape(first)} less the others, clip by clip</h2>"
        yield _table(["metric", *others], difference_rows(evaluation))


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in headings)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table class="{kind}">{table}</table></div>'


def _cell(text: str) -> str:
    is_empty = text in ("-", NOT_MEASURED)
    return f'<td class="{"none" if is_empty else "number"}">{html.escape(text)}</td>'


def _folded(scored: PairScores, number: int) -> str:
    """Everything about one clip; from some number on folded up, which a click opens."""
    title = f"{html.escape(scored.pair.system)}: {html.escape(scored.pair.output.name)}"
    content = "".join(_clip(scored))
    if number < OPEN_CLIPS:
        return f"<h2>{title}</h2>{content}"
    return f"<details><summary>{title}</summary>{content}</details>"


def _clip(scored: PairScores) -> Iterator[str]:
    curves = scored.curves
    if curves is None:
        yield "<p>There is no reference to draw it against.</p>"
        return
    chosen = _chosen(curves)
    yield _figure(
        "Opening of the mouth, over face width",
        _opening(curves),
        _keys({TRUTH: "true", OUTPUT: "output", SOUND: "level of the sound", SILENCE: "nobody speaks"}),
    )
    lag = scored.scores.lag_ms
    told = "no lag could be measured" if np.isnan(lag) else f"best at {lag:g} ms (dashed)"
    yield _figure(
        "Correlation of the two openings, by the lag of the output", _lag(curves, lag), f"r against ms; {told}."
    )
    yield _figure(
        "Mouth landmark distance of each frame, px at 512",
        _error(curves, chosen.get(WORST_FRAMES, [])),
        "Dashed: the median. Dots: the worst frames, shown below.",
    )
    yield _figure("Ways of the mouth's landmarks", _trajectories(curves), _keys({TRUTH: "true", OUTPUT: "output"}))
    strips = _strips(scored, curves, [frame for frames in chosen.values() for frame in frames])
    for title, frames in chosen.items():
        if frames:
            at = ", ".join(f"{curves.times_s[frame]:.2f} s" for frame in frames)
            yield f"<h3>{title}, at {at}</h3>" + _grid([strips[frame] for frame in frames])


def _figure(title: str, content: str, caption: str) -> str:
    return f"<h3>{html.escape(title)}</h3><figure>{content}<figcaption>{caption}</figcaption></figure>"


def _keys(colors: Mapping[str, str]) -> str:
    return "".join(f'<i class="key" style="background:{color}"></i>{what}' for color, what in colors.items())


def _svg(content: Iterable[str], height: float = HEIGHT) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}">{"".join(content)}</svg>'


def _polyline(x: Values, y: Values, color: str) -> str:
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
    return "".join(f'<polyline points="{run}" fill="none" stroke="{color}" stroke-width="1.4"/>' for run in runs)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}" fill="#555">{html.escape(text)}</text>'


def _line(x: tuple[float, float], y: tuple[float, float], color: str = "#ddd", dashes: str = "") -> str:
    ends = f'x1="{x[0]:.1f}" x2="{x[1]:.1f}" y1="{y[0]:.1f}" y2="{y[1]:.1f}"'
    return f'<line {ends} stroke="{color}" stroke-dasharray="{dashes or "none"}"/>'


def _across(values: Values, low: float, high: float) -> Values:
    return np.asarray(LEFT + (values - low) / max(high - low, 1e-9) * (RIGHT - LEFT))


def _up(values: Values, low: float, high: float) -> Values:
    return np.asarray(BOTTOM - (values - low) / max(high - low, 1e-9) * (BOTTOM - TOP))


def _levels(low: float, high: float, decimals: int) -> Iterator[str]:
    """Lines across the field with their numbers, from its bottom to its top."""
    for level in np.linspace(low, high, 5):
        y = float(_up(np.array([level]), low, high)[0])
        yield _line((LEFT, RIGHT), (y, y))
        yield _text(LEFT - 6, y + 4, f"{level:.{decimals}f}", "end")


def _time_marks(end_s: float) -> Iterator[str]:
    step = next((step for step in (1, 2, 5, 10, 30, 60, 300) if end_s / step <= 12), 600)
    for time_s in np.arange(0, end_s, step):
        x = float(_across(np.array([time_s]), 0, end_s)[0])
        yield _line((x, x), (BOTTOM, BOTTOM + 4), MARK)
        yield _text(min(x, RIGHT - 14), HEIGHT - 5, f"{time_s:g} s", "middle")


def _top_of(*curves: Values) -> float:
    """The largest finite value, or next to nothing where there is none."""
    every = np.concatenate(curves)
    return max(float(np.max(every, initial=0, where=np.isfinite(every))), 1e-3)


def _silence(curves: Curves, x: Values) -> str:
    """The times at which nobody speaks, a rectangle each."""
    edges = np.flatnonzero(np.diff(curves.silent.astype(np.int8), prepend=0, append=0))
    ends = np.append(x, RIGHT)
    return "".join(
        f'<rect x="{ends[begin]:.1f}" y="{TOP}" width="{ends[end] - ends[begin]:.1f}" height="{BOTTOM - TOP}" '
        f'fill="{SILENCE}"/>'
        for begin, end in zip(edges[::2], edges[1::2], strict=True)
    )


def _opening(curves: Curves) -> str:
    end_s = _end_s(curves)
    top = _top_of(curves.true_opening, curves.landmarks.opening)
    x = _across(curves.times_s, 0, end_s)
    heard = _across(np.arange(len(curves.envelope), dtype=np.float64) * ENVELOPE_S, 0, end_s)
    inside = heard <= RIGHT
    level = _up(curves.envelope[inside], 0, 1)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(heard[inside], level, strict=True))
    end = heard[inside].max(initial=LEFT)
    audio = f'<polygon points="{LEFT},{BOTTOM} {points} {end:.1f},{BOTTOM}" fill="{SOUND}"/>' if points else ""
    lines = (
        _polyline(x, _up(curves.true_opening, 0, top), TRUTH),
        _polyline(x, _up(curves.landmarks.opening, 0, top), OUTPUT),
    )
    return _svg([_silence(curves, x), audio, *_levels(0, top, 3), *lines, *_time_marks(end_s)])


def _end_s(curves: Curves) -> float:
    return max(float(curves.times_s[-1]) + metrics.frame_period_s(curves.times_s), 1e-3)


def _lag(curves: Curves, best_ms: float) -> str:
    lags = curves.landmarks.lags_ms
    low, high = float(lags[0]), float(lags[-1])
    finite = curves.landmarks.lag_r[np.isfinite(curves.landmarks.lag_r)]
    bottom = min(0.0, float(np.floor(4 * finite.min(initial=0)) / 4))
    x = _across(lags, low, high)
    marks = [
        _text(min(float(a), RIGHT - 18), HEIGHT - 5, f"{lag:g} ms", "middle")
        for a, lag in zip(x[::10], lags[::10], strict=True)
    ]
    upright = []
    for lag, color, dashes in ((0.0, MARK, ""), (best_ms, OUTPUT, "4 3")):
        if np.isfinite(lag):
            at = float(_across(np.array([lag]), low, high)[0])
            upright.append(_line((at, at), (TOP, BOTTOM), color, dashes))
    curve = _polyline(x, _up(curves.landmarks.lag_r, bottom, 1), OUTPUT)
    return _svg([*_levels(bottom, 1, 2), *upright, curve, *marks])


def _error(curves: Curves, worst: Sequence[int]) -> str:
    error = curves.landmarks.lmd_px
    top, end_s = _top_of(error), _end_s(curves)
    x, y = _across(curves.times_s, 0, end_s), _up(error, 0, top)
    middle = np.median(y[np.isfinite(y)]) if np.isfinite(y).any() else None
    median = "" if middle is None else _line((LEFT, RIGHT), (float(middle), float(middle)), "#333", "4 3")
    dots = (
        f'<circle cx="{x[frame]:.1f}" cy="{y[frame]:.1f}" r="4" fill="none" stroke="#333"/>'
        for frame in worst
        if np.isfinite(y[frame])
    )
    curve = _polyline(x, y, OUTPUT)
    return _svg([_silence(curves, x), *_levels(0, top, 2), curve, median, *dots, *_time_marks(end_s)])


def _trajectories(curves: Curves) -> str:
    places = np.concatenate([curves.true_mouth_px, curves.landmarks.mouth_px])
    if not np.isfinite(places).any():
        return _svg([])
    low, high = np.nanmin(places, (0, 1)), np.nanmax(places, (0, 1))
    zoom = min((WIDTH / 2 - 16) / max(high[0] - low[0], 1e-9), 360 / max(high[1] - low[1], 1e-9)) * 0.96
    drawn = []
    for mouth, color in ((curves.true_mouth_px, TRUTH), (curves.landmarks.mouth_px, OUTPUT)):
        shift = 8 if color == TRUTH else WIDTH / 2 + 8
        at = (mouth - low) * zoom + (shift, 8)
        drawn += [_polyline(at[:, point, 0], at[:, point, 1], color) for point in range(mouth.shape[1])]
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
    return {WORST_FRAMES: _apart(order, curves, WORST), "Median frames": _apart(middle, curves, MIDDLE)}


def _apart(order: NDArray[np.intp], curves: Curves, count: int) -> list[int]:
    kept: list[int] = []
    for frame in order.tolist():
        if len(kept) < count and all(abs(curves.times_s[frame] - curves.times_s[other]) >= 0.5 for other in kept):
            kept.append(frame)
    return sorted(kept)


def _strips(scored: PairScores, curves: Curves, frames: Sequence[int]) -> dict[int, list[ByteArray]]:
    """Output, truth, and the mouths of both, of the frames named; both clips are read once."""
    assert scored.pair.reference is not None
    partners = np.where(np.isin(np.arange(len(curves.partners)), frames), curves.partners, -1)
    found = {}
    for frame, made, true in side_by_side(scored.pair.output, scored.pair.reference, partners):
        height = round(made.shape[0] * FRAME_PX / made.shape[1])
        whole = [cv2.resize(image, (FRAME_PX, height), interpolation=cv2.INTER_AREA) for image in (made, true)]
        mouths = [
            cv2.resize(curves.crop.of(image, frame), (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_CUBIC)
            for image in (made, true)
        ]
        found[frame] = [np.asarray(image, np.uint8) for image in (*whole, *mouths)]
        if len(found) == len(set(frames)):
            break
    return found


def _grid(columns_of_images: Sequence[Sequence[ByteArray]]) -> str:
    """Rows of pictures, each with what it is before it."""
    parts = []
    for row, name in enumerate(("output", "truth", "output's mouth", "true mouth")):
        gap = ((0, 0), (0, GAP_PX), (0, 0))
        picture = np.hstack([np.pad(images[row], gap, constant_values=255) for images in columns_of_images])
        data = base64.b64encode(encode_png(picture)).decode()
        size = f'width="{picture.shape[1]}" height="{picture.shape[0]}"'
        parts.append(f'<span>{name}</span><img alt="{name}" {size} src="data:image/png;base64,{data}">')
    return f'<div class="strip">{"".join(parts)}</div>'


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
        ["system", "clip", "file", "sha256"], rows, "files"
    )
