"""Drawings of a report as SVG: curves of one clip over time.

Points are in the drawing's own units, `WIDTH` across; the page scales it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.evaluation.results import ENVELOPE_S, Curves

Values = NDArray[np.float64]

WIDTH, HEIGHT = 960, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 954, 8, 168
"""Edges of the plot area; axis labels stand outside."""
OUTPUT, REFERENCE, AUDIO, SILENCE = "#c0392b", "#1f6fb2", "#ddd5c6", "#e3ecf5"
AXIS, GRID, TEXT, EMPHASIS = "#888", "#ddd", "#555", "#333"
DASHES = "4 3"


@dataclass(frozen=True)
class Element:
    """One element of an SVG."""

    tag: str
    attributes: dict[str, str | float]
    text: str = ""


@dataclass(frozen=True)
class Drawing:
    """An SVG, painted in the order of its elements."""

    elements: tuple[Element, ...]
    height: float = HEIGHT
    width: float = WIDTH


def opening_drawing(curves: Curves) -> Drawing:
    """Mouth opening of output and reference over the level of the audio, with silence shaded."""
    end_s = _end_s(curves)
    top = _maximum(curves.reference_opening, curves.landmarks.opening)
    x = _to_x(curves.times_s, 0, end_s)
    return Drawing(
        (
            *_silence(curves, x),
            *_audio_level(curves, end_s),
            *_levels(0, top, decimals=3),
            *_polyline(x, _to_y(curves.reference_opening, 0, top), REFERENCE),
            *_polyline(x, _to_y(curves.landmarks.opening, 0, top), OUTPUT),
            *_time_axis(end_s),
        )
    )


def lag_drawing(curves: Curves, best_ms: float) -> Drawing:
    """Correlation of the two openings by the lag of the output; `best_ms` is marked unless NaN."""
    lags, r = curves.landmarks.lags_ms, curves.landmarks.lag_r
    low, high = float(lags[0]), float(lags[-1])
    bottom = min(0.0, float(np.floor(4 * r[np.isfinite(r)].min(initial=0)) / 4))
    x = _to_x(lags, low, high)
    marks = []
    for lag, color, dashes in ((0.0, AXIS, "none"), (best_ms, OUTPUT, DASHES)):
        if np.isfinite(lag):
            at = float(_to_x(np.array([lag]), low, high)[0])
            marks.append(_line((at, at), (TOP, BOTTOM), color, dashes))
    labels = [
        _text(min(float(at), RIGHT - 18), HEIGHT - 5, f"{lag:g} ms", "middle")
        for at, lag in zip(x[::10], lags[::10], strict=True)
    ]
    return Drawing(
        (*_levels(bottom, 1, decimals=2), *marks, *_polyline(x, _to_y(r, bottom, 1), OUTPUT), *labels),
    )


def error_drawing(curves: Curves, worst: Sequence[int]) -> Drawing:
    """Mouth landmark distance of each frame, its median, and circles at the frames `worst`."""
    error = curves.landmarks.lmd_px
    top, end_s = _maximum(error), _end_s(curves)
    x, y = _to_x(curves.times_s, 0, end_s), _to_y(error, 0, top)
    finite = y[np.isfinite(y)]
    median = [_line((LEFT, RIGHT), (float(np.median(finite)),) * 2, EMPHASIS, DASHES)] if len(finite) else []
    circles = [
        Element("circle", {"cx": _round(x[frame]), "cy": _round(y[frame]), "r": 4, "fill": "none", "stroke": EMPHASIS})
        for frame in worst
        if np.isfinite(y[frame])
    ]
    return Drawing(
        (
            *_silence(curves, x),
            *_levels(0, top, decimals=2),
            *_polyline(x, y, OUTPUT),
            *median,
            *circles,
            *_time_axis(end_s),
        )
    )


def trajectories_drawing(curves: Curves) -> Drawing:
    """Trajectories of the mouth's landmarks: the reference on the left, the output on the right."""
    places = np.concatenate([curves.reference_mouth_px, curves.landmarks.mouth_px])
    if not np.isfinite(places).any():
        return Drawing(())
    low, high = np.nanmin(places, (0, 1)), np.nanmax(places, (0, 1))
    zoom = min((WIDTH / 2 - 16) / max(high[0] - low[0], 1e-9), 360 / max(high[1] - low[1], 1e-9)) * 0.96
    lines: list[Element] = []
    halves = ((curves.reference_mouth_px, REFERENCE, 8), (curves.landmarks.mouth_px, OUTPUT, WIDTH / 2 + 8))
    for mouth, color, left in halves:
        at = (mouth - low) * zoom + (left, 8)
        for point in range(mouth.shape[1]):
            lines += _polyline(at[:, point, 0], at[:, point, 1], color)
    return Drawing(tuple(lines), _round((high[1] - low[1]) * zoom + 16))


def _to_x(values: Values, low: float, high: float) -> Values:
    """Horizontal positions in the plot area, `low` at its left edge and `high` at its right one."""
    return np.asarray(LEFT + (values - low) / max(high - low, 1e-9) * (RIGHT - LEFT))


def _to_y(values: Values, low: float, high: float) -> Values:
    """Vertical positions in the plot area, `low` at its bottom and `high` at its top."""
    return np.asarray(BOTTOM - (values - low) / max(high - low, 1e-9) * (BOTTOM - TOP))


def _round(value: float) -> float:
    return round(float(value), 1)


def _line(x: tuple[float, float], y: tuple[float, float], color: str = GRID, dashes: str = "none") -> Element:
    ends = {"x1": _round(x[0]), "x2": _round(x[1]), "y1": _round(y[0]), "y2": _round(y[1])}
    return Element("line", {**ends, "stroke": color, "stroke-dasharray": dashes})


def _text(x: float, y: float, text: str, anchor: str) -> Element:
    place: dict[str, str | float] = {"x": _round(x), "y": _round(y), "text-anchor": anchor}
    return Element("text", {**place, "font-size": 11, "fill": TEXT}, text)


def _points(x: Values, y: Values) -> str:
    return " ".join(f"{one:.1f},{other:.1f}" for one, other in zip(x, y, strict=True))


def _polyline(x: Values, y: Values, color: str) -> Iterator[Element]:
    """A line with gaps where it is not finite."""
    finite = np.isfinite(y)
    starts = np.flatnonzero(finite & ~np.append(False, finite[:-1]))
    ends = np.flatnonzero(finite & ~np.append(finite[1:], False)) + 1
    for start, end in zip(starts, ends, strict=True):
        points = _points(x[start:end], y[start:end])
        yield Element("polyline", {"points": points, "fill": "none", "stroke": color, "stroke-width": 1.4})


def _levels(low: float, high: float, *, decimals: int) -> Iterator[Element]:
    """Horizontal grid lines with their values, from the bottom of the plot area to its top."""
    for level in np.linspace(low, high, 5):
        y = float(_to_y(np.array([level]), low, high)[0])
        yield _line((LEFT, RIGHT), (y, y))
        yield _text(LEFT - 6, y + 4, f"{level:.{decimals}f}", "end")


def _time_axis(end_s: float) -> Iterator[Element]:
    step = next((step for step in (1, 2, 5, 10, 30, 60, 300) if end_s / step <= 12), 600)
    for time_s in np.arange(0, end_s, step):
        x = float(_to_x(np.array([time_s]), 0, end_s)[0])
        yield _line((x, x), (BOTTOM, BOTTOM + 4), AXIS)
        yield _text(min(x, RIGHT - 14), HEIGHT - 5, f"{time_s:g} s", "middle")


def _silence(curves: Curves, x: Values) -> Iterator[Element]:
    """A rectangle for each stretch of frames without speech."""
    edges = np.flatnonzero(np.diff(curves.silent.astype(np.int8), prepend=0, append=0))
    ends = np.append(x, RIGHT)
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        across: dict[str, str | float] = {"x": _round(ends[begin]), "width": _round(ends[end] - ends[begin])}
        yield Element("rect", {**across, "y": TOP, "height": BOTTOM - TOP, "fill": SILENCE})


def _audio_level(curves: Curves, end_s: float) -> Iterator[Element]:
    """The level of the audio as a filled area; nothing without audio."""
    x = _to_x(np.arange(len(curves.envelope), dtype=np.float64) * ENVELOPE_S, 0, end_s)
    inside = x <= RIGHT
    if inside.any():
        outline = _points(x[inside], _to_y(curves.envelope[inside], 0, 1))
        points = f"{LEFT},{BOTTOM} {outline} {x[inside].max():.1f},{BOTTOM}"
        yield Element("polygon", {"points": points, "fill": AUDIO})


def _end_s(curves: Curves) -> float:
    return max(float(curves.times_s[-1]) + metrics.frame_period_s(curves.times_s), 1e-3)


def _maximum(*curves: Values) -> float:
    """The largest finite value of all curves; a small positive number where there is none."""
    values = np.concatenate(curves)
    return max(float(np.max(values, initial=0, where=np.isfinite(values))), 1e-3)
