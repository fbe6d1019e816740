"""Outputs judged against the truth: the metrics of docs/metrics.md over whole clips, beside rows that set the scale.

Each clip is read twice, once for its landmarks and once for its pixels, one frame at a time: apart from the landmarks
nothing grows with the length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from talkinghead import metrics
from talkinghead.errors import NoFaceError
from talkinghead.landmarks import FaceLandmarker, track_clip
from talkinghead.media import VideoReader
from talkinghead.structures import BoolArray, ByteArray, Track

GROUND_TRUTH = "ground truth"
"""Row: the reference judged against itself, the best that there is."""
FROZEN_MOUTH = "frozen mouth"
"""Row: the reference with its median mouth in every frame. Landmarks only: what does not beat it does not speak."""
RENDERER_CEILING = "renderer ceiling"
"""Row: another output, made with the true coefficients. What is lost there, no better speech can win back."""

JITTER_LANDMARKS = metrics.MOUTH_LANDMARKS + metrics.JAW_LANDMARKS
"""What is made anew in an output, and so what may tremble."""


@dataclass(frozen=True)
class Scores:
    """One row of numbers; NaN where a number was not, or could not be, measured."""

    lmd_px: float
    """Mouth landmark distance, pixels of a 512 px picture; smaller is better."""
    lmd_iod: float
    """The same over the inter-ocular distance."""
    opening_r: float
    """Correlation of the opening of the mouth, at lag 0; 1 is best."""
    opening_ccc: float
    """Concordance of the opening; 1 is best."""
    width_r: float
    """Correlation of the width of the mouth; 1 is best."""
    opening_std_ratio: float
    """Standard deviation of the opening, output over reference; 1 is best."""
    lag_ms: float
    """How late the output's mouth opens; 0 is best."""
    lag_r: float
    """Correlation of the opening at that lag."""
    psnr_full_db: float
    """Peak signal-to-noise ratio of whole frames, mean over frames, at most 100; larger is better."""
    psnr_mouth_db: float
    """The same of the mouth crop."""
    ssim_mouth: float
    """Structural similarity of the mouth crop; 1 is best."""
    jitter_ratio: float
    """Second difference of the points of mouth and jaw, output over reference; 1 is best."""
    sharpness_ratio: float
    """Laplacian energy of the mouth crop, output over reference; 1 is best."""
    frames_scored: float
    """Frames of the reference where both clips show a face."""
    frames_total: float
    """Frames of the reference."""


@dataclass(frozen=True)
class Pair:
    """What to compare with what."""

    output: Path
    reference: Path
    ceiling: Path | None = None
    """An output made for the same reference from its true coefficients."""


@dataclass(frozen=True)
class PairScores:
    """One output against its reference."""

    pair: Pair
    scores: Scores
    rows: Mapping[str, Scores]
    """The rows that set the scale, by name."""
    notes: tuple[str, ...]
    """What one has to know to read the numbers: clips that differ in rate, size or length, frames without a face."""


@dataclass(frozen=True)
class Evaluation:
    """All pairs, and their mean."""

    pairs: tuple[PairScores, ...]

    @property
    def mean(self) -> Scores:
        """Each number's mean over the pairs where it was measured; every pair counts the same."""
        return _mean([pair.scores for pair in self.pairs])

    @property
    def rows(self) -> dict[str, Scores]:
        """The mean of each row that sets the scale, over the pairs that have it."""
        names = dict.fromkeys(name for pair in self.pairs for name in pair.rows)
        return {name: _mean([pair.rows[name] for pair in self.pairs if name in pair.rows]) for name in names}

    def as_json(self) -> dict[str, Any]:
        """{"pairs": [...], "mean": {...}, "rows": {...}} ready for `json.dumps`; what was not measured is None."""
        return {
            "pairs": [
                {
                    "output": str(pair.pair.output),
                    "reference": str(pair.pair.reference),
                    **_as_json(pair.scores),
                    "notes": list(pair.notes),
                }
                for pair in self.pairs
            ],
            "mean": _as_json(self.mean),
            "rows": {name.replace(" ", "_"): _as_json(scores) for name, scores in self.rows.items()},
        }


def evaluate(pairs: Iterable[Pair], landmarker: FaceLandmarker) -> Evaluation:
    """Every output against its reference. Raises what `evaluate_pair` raises, at the first pair that fails."""
    return Evaluation(
        tuple(evaluate_pair(pair.output, pair.reference, landmarker, ceiling_path=pair.ceiling) for pair in pairs)
    )


def evaluate_pair(
    output_path: Path, reference_path: Path, landmarker: FaceLandmarker, *, ceiling_path: Path | None = None
) -> PairScores:
    """One output against its reference, frame by frame of the reference, at the reference's times and size.

    An output in which no face is found is judged all the same: its landmark scores are NaN.

    Raises:
        MissingFileError, MediaError, NoVideoError: a file cannot be read as a video.
        NoFaceError: no frame of the reference shows a face.
    """
    reference = _read(reference_path, landmarker)
    if not reference.track.valid.any():
        raise NoFaceError(f"{reference_path} shows no face, so there is nothing to compare with")
    output = _read(output_path, landmarker)
    scores = _score(output, reference)
    rows = _scale_rows(output, reference)
    if ceiling_path is not None:
        rows[RENDERER_CEILING] = _score(_read(ceiling_path, landmarker), reference)
    return PairScores(Pair(output_path, reference_path, ceiling_path), scores, rows, tuple(_notes(output, reference)))


def scores_table(evaluation: Evaluation) -> Table:
    """For the terminal: one line a metric, one column for the outputs' mean and for each row that sets the scale."""
    count = len(evaluation.pairs)
    columns = {"output" if count == 1 else f"mean of {count}": evaluation.mean, **evaluation.rows}
    table = Table("metric", "best", title="Output against reference")
    for heading in columns:
        table.add_column(heading, justify="right")
    for kind in _KINDS:
        table.add_row(kind.label, kind.best, *(kind.text(scores) for scores in columns.values()))
    return table


def pairs_table(evaluation: Evaluation) -> Table:
    """For the terminal: one line a pair, the numbers that tell the most."""
    chosen = [kind for kind in _KINDS if kind.short]
    table = Table("output", title="Pair by pair")
    for kind in chosen:
        table.add_column(kind.short, justify="right")
    for pair in evaluation.pairs:
        table.add_row(pair.pair.output.name, *(kind.text(pair.scores) for kind in chosen))
    return table


@dataclass(frozen=True)
class _Kind:
    """How a number is shown."""

    field: str
    label: str
    best: str
    decimals: int
    short: str = ""
    """Heading in the table of pairs; empty where it is not in there."""

    def text(self, scores: Scores) -> str:
        value = getattr(scores, self.field)
        return "-" if math.isnan(value) else f"{value:.{self.decimals}f}"


_KINDS = (
    _Kind("lmd_px", "mouth landmark distance, px at 512", "0", 2, "LMD px"),
    _Kind("lmd_iod", "  over the eyes' distance", "0", 4),
    _Kind("opening_r", "opening: r", "1", 3, "opening r"),
    _Kind("opening_ccc", "  concordance", "1", 3),
    _Kind("opening_std_ratio", "  std, output / reference", "1", 2, "std ratio"),
    _Kind("lag_ms", "  lag, ms (+: output late)", "0", 0, "lag ms"),
    _Kind("lag_r", "  r at that lag", "1", 3),
    _Kind("width_r", "width of the mouth: r", "1", 3),
    _Kind("psnr_full_db", "PSNR, whole frame, dB", "high", 2),
    _Kind("psnr_mouth_db", "PSNR, mouth crop, dB", "high", 2, "mouth dB"),
    _Kind("ssim_mouth", "SSIM, mouth crop", "1", 3, "mouth SSIM"),
    _Kind("jitter_ratio", "jitter, output / reference", "1", 2),
    _Kind("sharpness_ratio", "sharpness, output / reference", "1", 2),
    _Kind("frames_scored", "frames scored", "all", 0, "scored"),
    _Kind("frames_total", "frames of the reference", "", 0, "of"),
)


@dataclass(frozen=True)
class _Clip:
    """A video file after its first reading."""

    path: Path
    frame_rate: Fraction
    track: Track


def _read(path: Path, landmarker: FaceLandmarker) -> _Clip:
    with VideoReader(path) as reader:
        track = track_clip(reader, landmarker, reader.info.width, reader.info.height)
        return _Clip(path, reader.info.frame_rate, track)


def _score(output: _Clip, reference: _Clip) -> Scores:
    return Scores(**_landmark_scores(output.track, reference.track), **_pixel_scores(output, reference))


def _scale_rows(output: _Clip, reference: _Clip) -> dict[str, Scores]:
    """Ground truth and frozen mouth, over the frames on which the output was scored."""
    scored = metrics.align(output.track, reference.track).valid & reference.track.valid
    perfect = {"psnr_full_db": metrics.PSNR_CAP_DB, "psnr_mouth_db": metrics.PSNR_CAP_DB}
    perfect |= {"ssim_mouth": 1.0, "sharpness_ratio": 1.0}
    frozen = metrics.freeze_mouth(reference.track)
    return {
        GROUND_TRUTH: Scores(**_landmark_scores(replace(reference.track, valid=scored), reference.track), **perfect),
        FROZEN_MOUTH: Scores(
            **_landmark_scores(replace(frozen, valid=scored), reference.track), **dict.fromkeys(perfect, math.nan)
        ),
    }


def _landmark_scores(output: Track, reference: Track) -> dict[str, float]:
    aligned = metrics.align(output, reference)
    scored = aligned.valid & reference.valid
    aligned, truth = replace(aligned, valid=scored), replace(reference, valid=scored)
    opening, true_opening = metrics.opening(aligned), metrics.opening(truth)
    lag = metrics.best_lag(metrics.opening(output), output.times_s, metrics.opening(reference), reference.times_s)
    return {
        "lmd_px": metrics.finite_mean(metrics.lmd(aligned, truth)),
        "lmd_iod": metrics.finite_mean(metrics.lmd_iod(aligned, truth)),
        "opening_r": metrics.pearson_r(opening, true_opening),
        "opening_ccc": metrics.concordance(opening, true_opening),
        "width_r": metrics.pearson_r(metrics.mouth_width(aligned), metrics.mouth_width(truth)),
        "opening_std_ratio": metrics.std_ratio(opening, true_opening),
        "lag_ms": lag.lag_ms,
        "lag_r": lag.r,
        "jitter_ratio": _ratio(
            metrics.jitter(metrics.points(aligned, JITTER_LANDMARKS)),
            metrics.jitter(metrics.points(truth, JITTER_LANDMARKS)),
        ),
        "frames_scored": int(scored.sum()),
        "frames_total": len(reference),
    }


def _pixel_scores(output: _Clip, reference: _Clip) -> dict[str, float]:
    """Over all frames where the reference shows a face, even if none is found in the output: that must not help it."""
    partners = metrics.nearest_frames(output.track.times_s, reference.track.times_s)
    partners[~reference.track.valid] = -1
    crop = metrics.mouth_crop(reference.track)
    measured = [
        _frame_scores(made, true, crop.of(made, frame), crop.of(true, frame))
        for frame, made, true in _side_by_side(output.path, reference.path, partners)
    ]
    columns = np.array(measured, np.float64).reshape(-1, 5)
    psnr_full_db, psnr_mouth_db, ssim_mouth, sharpness, true_sharpness = map(metrics.finite_mean, columns.T)
    return {
        "psnr_full_db": psnr_full_db,
        "psnr_mouth_db": psnr_mouth_db,
        "ssim_mouth": ssim_mouth,
        "sharpness_ratio": _ratio(sharpness, true_sharpness),
    }


def _frame_scores(made: ByteArray, true: ByteArray, made_mouth: ByteArray, true_mouth: ByteArray) -> list[float]:
    return [
        metrics.psnr(made, true),
        metrics.psnr(made_mouth, true_mouth),
        metrics.ssim(made_mouth, true_mouth),
        metrics.sharpness(made_mouth),
        metrics.sharpness(true_mouth),
    ]


def _side_by_side(
    output_path: Path, reference_path: Path, partners: NDArray[np.intp]
) -> Iterator[tuple[int, ByteArray, ByteArray]]:
    """(number, output, reference) of each frame of the reference that has a partner in the output, of one size."""
    with VideoReader(output_path) as outputs, VideoReader(reference_path) as references:
        numbered = enumerate(outputs)
        number, made = next(numbered)
        for frame, (true, partner) in enumerate(zip(references, partners, strict=True)):
            if partner >= 0:
                while number < partner:
                    number, made = next(numbered)
                yield frame, _resized(made.image, references.info.width, references.info.height), true.image


def _resized(image: ByteArray, width: int, height: int) -> ByteArray:
    if metrics.is_padded(image.shape[1], width):
        image = image[:, :width]
    if metrics.is_padded(image.shape[0], height):
        image = image[:height]
    if image.shape[:2] == (height, width):
        return image
    interpolation = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)


def _notes(output: _Clip, reference: _Clip) -> Iterator[str]:
    made, true = output.track, reference.track
    if output.frame_rate != reference.frame_rate:
        yield (
            f"{float(output.frame_rate):.3f} frames a second against {float(reference.frame_rate):.3f}: "
            "compared at the reference's times"
        )
    if (made.width, made.height) != (true.width, true.height):
        yield f"{made.width}x{made.height} px against {true.width}x{true.height}: the output was scaled"
    partners = metrics.nearest_frames(made.times_s, true.times_s)
    yield from _counted(np.asarray(partners < 0), "of the reference come when the output has none")
    surplus = metrics.nearest_frames(true.times_s, made.times_s) < 0
    yield from _counted(np.asarray(surplus), "of the output come when the reference has none")
    yield from _counted(~true.valid, "of the reference show no face")
    yield from _counted(~made.valid, "of the output show no face")


def _counted(chosen: BoolArray, what: str) -> Iterator[str]:
    if chosen.any():
        yield f"{int(chosen.sum())} of {len(chosen)} frames {what}"


def _mean(rows: Sequence[Scores]) -> Scores:
    columns = {field.name: np.array([getattr(row, field.name) for row in rows], np.float64) for field in fields(Scores)}
    return Scores(**{name: metrics.finite_mean(column) for name, column in columns.items()})


def _as_json(scores: Scores) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in asdict(scores).items()}


def _ratio(output: float, reference: float) -> float:
    return output / reference if reference > 0 else math.nan
