"""An evaluation as one HTML page that needs no other file: drawings are SVG, images PNG inside the page.

The page's text and layout are in templates/report.html.j2.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import jinja2
import numpy as np
from numpy.typing import NDArray

from talkinghead import __version__, metrics
from talkinghead.evaluation import drawings
from talkinghead.evaluation.clip import side_by_side
from talkinghead.evaluation.image_scorer import SAMPLED_FRAMES
from talkinghead.evaluation.results import SHIFT_FRAMES, Curves, Evaluation, PairScores
from talkinghead.evaluation.summary import scale_line, summary
from talkinghead.evaluation.tables import (
    column_heading,
    columns,
    difference_rows,
    headline,
    headline_rows,
    not_measured_reasons,
    remarks,
    score_rows,
)
from talkinghead.media.images import GAP_PX, encode_png
from talkinghead.structures import ByteArray

WORST, MEDIAN = 4, 4
"""Frames shown of either kind."""
WORST_FRAMES, MEDIAN_FRAMES = "Worst frames", "Median frames"
FRAME_PX = 220
"""Width that a frame is shown at."""
OPEN_CLIPS = 3
"""Clips that are shown unfolded; a click unfolds each of the others."""
ROW_NAMES = ("output", "reference", "output's mouth", "reference's mouth")
"""What the rows of a strip of frames show."""


@dataclass(frozen=True)
class Image:
    """A PNG inside the page."""

    name: str
    width: int
    height: int
    base64: str


@dataclass(frozen=True)
class Strip:
    """Frames side by side, in rows of output, reference and the mouths of both."""

    title: str
    times_s: tuple[float, ...]
    rows: tuple[Image, ...]


@dataclass(frozen=True)
class ClipDrawings:
    """What is drawn of one clip."""

    opening: drawings.Drawing
    lag: drawings.Drawing
    lag_ms: float
    """NaN where no lag could be measured."""
    error: drawings.Drawing
    trajectories: drawings.Drawing
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class ClipSection:
    """The part of the page about one clip."""

    system: str
    name: str
    unfolded: bool
    drawn: ClipDrawings | None
    """None without a reference."""


def report(evaluation: Evaluation) -> str:
    """The page of an evaluation.

    Raises:
        MediaError: a clip that was scored cannot be read again.
    """
    shown = columns(evaluation)
    chosen = headline(evaluation)
    return _template().render(
        evaluation=evaluation,
        not_measured="-",
        summary=summary(evaluation),
        scale_line=scale_line(evaluation),
        empty=not_measured_reasons(evaluation),
        colors=drawings,
        headline_headings=["", *(metric.heading for metric in chosen)],
        headline_rows=headline_rows(evaluation),
        remarks=remarks(evaluation),
        score_headings=["metric", "best", *(column_heading(evaluation, name) for name in shown)],
        score_rows=list(score_rows(evaluation)),
        difference_rows=list(difference_rows(evaluation)),
        clips=list(_clip_sections(evaluation)),
        settings=json.dumps(_settings(evaluation), indent=1),
        files=[
            [scored.pair.system, scored.pair.output.name, role, digest]
            for scored in evaluation.pairs
            for role, digest in scored.sha256.items()
        ],
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("talkinghead.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _settings(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "talkinghead": __version__,
        "shift of the shifted truth, frames": SHIFT_FRAMES,
        "frames sampled for slow metrics": SAMPLED_FRAMES,
        "lag range, ms": metrics.LAG_RANGE_MS,
        "lag step, ms": metrics.LAG_STEP_MS,
        "mouth crop over face width": metrics.CROP_SHARE,
        "metric networks, sha256": dict(evaluation.metric_networks_sha256),
    }


def _clip_sections(evaluation: Evaluation) -> Iterator[ClipSection]:
    for number, scored in enumerate(evaluation.pairs):
        drawn = None if scored.curves is None else _draw(scored, scored.curves)
        yield ClipSection(scored.pair.system, scored.pair.output.name, number < OPEN_CLIPS, drawn)


def _draw(scored: PairScores, curves: Curves) -> ClipDrawings:
    chosen = _chosen_frames(curves)
    return ClipDrawings(
        opening=drawings.opening_drawing(curves),
        lag=drawings.lag_drawing(curves, scored.scores.lag_ms),
        lag_ms=scored.scores.lag_ms,
        error=drawings.error_drawing(curves, chosen.get(WORST_FRAMES, [])),
        trajectories=drawings.trajectories_drawing(curves),
        strips=tuple(_strips(scored, curves, chosen)),
    )


def _chosen_frames(curves: Curves) -> dict[str, list[int]]:
    """Frames to show: the worst ones, and those nearest to the median; each at least half a second apart."""
    error = curves.landmarks.lmd_px
    if not np.isfinite(error).any():
        error = -curves.psnr_mouth_db
    usable = np.flatnonzero(np.isfinite(error) & (curves.partners >= 0))
    if not len(usable):
        return {}
    worst = usable[np.argsort(-error[usable])]
    median = usable[np.argsort(np.abs(error[usable] - np.median(error[usable])))]
    return {WORST_FRAMES: _apart(worst, curves, WORST), MEDIAN_FRAMES: _apart(median, curves, MEDIAN)}


def _apart(order: NDArray[np.intp], curves: Curves, count: int) -> list[int]:
    """The first `count` of the frames in this order that are half a second from one another, sorted."""
    kept: list[int] = []
    for frame in order.tolist():
        if len(kept) < count and all(abs(curves.times_s[frame] - curves.times_s[other]) >= 0.5 for other in kept):
            kept.append(frame)
    return sorted(kept)


def _strips(scored: PairScores, curves: Curves, chosen: dict[str, list[int]]) -> Iterator[Strip]:
    images = _frame_images(scored, curves, [frame for frames in chosen.values() for frame in frames])
    for title, frames in chosen.items():
        times_s = tuple(float(curves.times_s[frame]) for frame in frames)
        yield Strip(title, times_s, tuple(_strip_images([images[frame] for frame in frames])))


def _frame_images(scored: PairScores, curves: Curves, frames: Sequence[int]) -> dict[int, list[ByteArray]]:
    """For each frame given: output, reference, and the mouths of both; both clips are read once."""
    assert scored.pair.reference is not None
    partners = np.where(np.isin(np.arange(len(curves.partners)), frames), curves.partners, -1)
    found = {}
    for frame, output, reference in side_by_side(scored.pair.output, scored.pair.reference, partners):
        height = round(output.shape[0] * FRAME_PX / output.shape[1])
        whole = [cv2.resize(image, (FRAME_PX, height), interpolation=cv2.INTER_AREA) for image in (output, reference)]
        mouths = [
            cv2.resize(curves.crop.of(image, frame), (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_CUBIC)
            for image in (output, reference)
        ]
        found[frame] = [np.asarray(image, np.uint8) for image in (*whole, *mouths)]
        if len(found) == len(set(frames)):
            break
    return found


def _strip_images(frames: Sequence[Sequence[ByteArray]]) -> Iterator[Image]:
    """One image for each row of a strip, from a column of images for each frame."""
    for row, name in enumerate(ROW_NAMES):
        gap = ((0, 0), (0, GAP_PX), (0, 0))
        image = np.hstack([np.pad(column[row], gap, constant_values=255) for column in frames])
        yield Image(name, image.shape[1], image.shape[0], base64.b64encode(encode_png(image)).decode())
