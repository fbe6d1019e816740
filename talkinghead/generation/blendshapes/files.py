"""Files of ARKit weights: Live Link Face's CSV, Audio2Face-3D's CSV, and the JSON of LAM.

Live Link Face (Epic): `Timecode,BlendShapeCount,` the 52 shapes and nine rotations in columns; the time code is
HH:MM:SS:FF.fff, FF frames and a fraction of one. Audio2Face-3D (NVIDIA's samples): `timeCode,` in seconds, then the
shapes, each after `blendShapes.`. LAM: `names`, `metadata` and `frames` of `weights`, `time` and `rotation`.
Names are compared without regard to case, columns may stand in any order.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import CoefficientError
from talkinghead.files import read_text, write_text
from talkinghead.generation.blendshapes.names import ARKIT_SHAPES, MOUTH_SHAPES, ROTATIONS
from talkinghead.structures import FloatArray

LARGEST_BYTES = 256 << 20
"""Largest file that is read."""
LIVE_LINK_HZ = 60
"""Frame rate of the Live Link Face files that are written, that of the app."""
WEIGHT_RANGE = (-0.5, 2.0)
"""Least and largest weight that is read: beyond, it is in another unit, such as percent."""
_TIMECODE = re.compile(r"^(\d{1,2}):(\d{1,2}):(\d{1,2})[:;](\d{1,3}(?:\.\d{1,6})?)$")
_RATES_HZ = (24, 25, 30, 48, 50, 60, 100, 120)
_PREFIX = "blendshapes."
_DAY_S = 24 * 3600

Weights = tuple[FloatArray, NDArray[np.float64]]
"""(T, 52) weights in the order of ARKIT_SHAPES, and their (T,) times in seconds, rising."""


def is_table_of_weights(text: str) -> bool:
    """Whether a CSV text is of ARKit weights: one of its columns is the time code."""
    headings = text.lstrip("\ufeff").partition("\n")[0].lower().split(",")
    return "timecode" in [heading.strip().strip('"') for heading in headings]


def read_weights(path: Path) -> Weights:
    """Read a file of ARKit weights; one that ends in .json is LAM's, in others the columns tell.

    Returns:
        Weights, and their times: seconds from the first frame in Live Link Face's files, whose time codes are those of
        a clock, and as they are written in the others. A column that is missing is 0, unless it is one of the mouth.

    Raises:
        MissingFileError: there is no such file.
        CoefficientError: it cannot be read, lacks shapes of the mouth, or its numbers are no weights.
    """
    text = read_text(path, error=CoefficientError, largest_bytes=LARGEST_BYTES)
    weights, times_s = _from_json(path, text) if path.suffix.lower() == ".json" else _from_csv(path, text)
    if not np.isfinite(weights).all() or not np.isfinite(times_s).all():
        raise CoefficientError(f"{path} has weights or times that are not finite numbers.")
    low, high = WEIGHT_RANGE
    if weights.min() < low or weights.max() > high:
        raise CoefficientError(
            f"{path} has weights from {weights.min():g} to {weights.max():g}; ARKit's go from 0 to 1: check their unit."
        )
    if (np.diff(times_s) <= 0).any():
        raise CoefficientError(f"{path} must have times that rise from row to row.")
    return weights.astype(np.float32), times_s


def _from_csv(path: Path, text: str) -> Weights:
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise CoefficientError(f"{path} is not a table: {error}.") from error
    headings = [cell.strip().lower().removeprefix(_PREFIX) for cell in rows[0]] if rows else []
    if "timecode" not in headings:
        raise CoefficientError(f"{path} has no column of time codes.")
    columns = _columns(path, headings)
    clock = headings.index("timecode")
    counted = headings.index("blendshapecount") if "blendshapecount" in headings else None
    found, codes = [], []
    for line, row in enumerate(rows[1:], 2):
        if len(row) != len(headings):
            raise CoefficientError(f"{path}, row {line}: {len(row)} cells under {len(headings)} headings.")
        if counted is not None and row[counted].strip() == "0":
            continue  # no face in this frame: Live Link Face writes no weights
        codes.append(row[clock].strip())
        try:
            found.append([0.0 if at is None else float(row[at]) for at in columns])
        except ValueError as error:
            raise CoefficientError(f"{path}, row {line}: {str(error)[:80]}.") from error
    if not found:
        raise CoefficientError(f"{path} has no rows of weights.")
    return np.array(found), _seconds(path, codes)


def _columns(path: Path, headings: Sequence[str]) -> list[int | None]:
    """Where each of the 52 shapes stands; None where it does not.

    Raises:
        CoefficientError: a shape of the mouth is missing, or one is there twice.
    """
    at = {name: number for number, name in enumerate(headings)}
    lacking = [name for name in MOUTH_SHAPES if name.lower() not in at]
    if lacking:
        shown = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
        raise CoefficientError(f"{path} lacks {len(lacking)} of ARKit's {len(MOUTH_SHAPES)} mouth shapes: {shown}.")
    twice = [name for name in ARKIT_SHAPES if list(headings).count(name.lower()) > 1]
    if twice:
        raise CoefficientError(f"{path} has {twice[0]} twice.")
    return [at.get(name.lower()) for name in ARKIT_SHAPES]


def _seconds(path: Path, codes: Sequence[str]) -> NDArray[np.float64]:
    """Times of time codes: plain numbers are seconds, the others HH:MM:SS:FF.fff, counted from the first.

    Raises:
        CoefficientError: a code is neither, or the frame rate of the codes does not show.
    """
    if not any(":" in code for code in codes):
        try:
            return np.array([float(code) for code in codes])
        except ValueError as error:
            raise CoefficientError(f"{path} has a time code that is no number: {str(error)[:80]}.") from error
    parts = [_TIMECODE.match(code) for code in codes]
    if not all(parts):
        wrong = next(code for code, part in zip(codes, parts, strict=True) if part is None)
        raise CoefficientError(f"{path} has the time code {wrong[:40]!r}; HH:MM:SS:FF.fff is expected.")
    numbers = np.array([[float(value) for value in part.groups()] for part in parts if part])
    whole_s, frames = numbers[:, :3] @ (3600, 60, 1), numbers[:, 3]
    times_s = whole_s + frames / _rate(path, whole_s, frames)
    times_s += _DAY_S * np.cumsum(np.r_[False, np.diff(times_s) < -_DAY_S / 2])  # past midnight
    return np.asarray(times_s - times_s[0], np.float64)


def _rate(path: Path, whole_s: NDArray[np.float64], frames: NDArray[np.float64]) -> int:
    """Frames per second of time codes: the lowest usual rate that has frames of these numbers.

    A recording that does not go on into the next second may not show its last frames, and has the rate only if that of
    the app is the lowest that is possible.
    """
    largest = math.floor(frames.max())
    possible = [rate for rate in _RATES_HZ if rate > largest]
    is_certain = bool((np.diff(whole_s) != 0).any()) or possible[:1] == [LIVE_LINK_HZ]
    if not possible or not is_certain:
        raise CoefficientError(
            f"The frame rate of the time codes in {path} does not show (frames up to {largest} of a second); "
            "give a recording of more than one second."
        )
    return possible[0]


def _from_json(path: Path, text: str) -> Weights:
    try:
        content = json.loads(text)
        names = content["names"] if "names" in content else content["metadata"]["blendshape_names"]
        columns = _columns(path, [str(name).lower() for name in names])
        frames = content["frames"]
        times_s = np.array([_number(frame["time"]) for frame in frames])
        rows = [[_number(weight) for weight in frame["weights"]] for frame in frames]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise CoefficientError(
            f"{path} is not JSON of names and frames with weights and times: {type(error).__name__} {str(error)[:80]}."
        ) from error
    if not rows or any(len(row) != len(names) for row in rows):
        raise CoefficientError(f"{path} has no frames, or frames with another number of weights than names.")
    return np.array([[0.0 if at is None else row[at] for at in columns] for row in rows]), times_s


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{str(value)[:40]!r} is no number")
    return float(value)


def write_live_link(path: Path, weights: FloatArray, times_s: NDArray[np.float64]) -> None:
    """Write Live Link Face's CSV at 60 frames per second, from 0 on; head and eyes do not rotate.

    The rate is that of the app: time codes do not tell theirs, and readers take it for granted.

    Raises:
        OutputError: the file cannot be written.
    """
    count = math.floor(times_s[-1] * LIVE_LINK_HZ + 1e-6) + 1
    moments_s = np.arange(count) / LIVE_LINK_HZ
    at_moments = np.stack([np.interp(moments_s, times_s, column) for column in weights.T], 1)
    headings = ["Timecode", "BlendShapeCount", *map(_pascal, ARKIT_SHAPES), *map(_pascal, ROTATIONS)]
    shapes = str(len(ARKIT_SHAPES) + len(ROTATIONS))
    still = ["0.000000"] * len(ROTATIONS)
    _write_csv(path, headings, ([_code(n), shapes, *_cells(row), *still] for n, row in enumerate(at_moments)))


def write_audio2face(path: Path, weights: FloatArray, times_s: NDArray[np.float64]) -> None:
    """Write the CSV of Audio2Face-3D's samples.

    Raises:
        OutputError: the file cannot be written.
    """
    headings = ["timeCode", *(f"blendShapes.{_pascal(name)}" for name in ARKIT_SHAPES)]
    rows = ([f"{time:.6f}", *_cells(row)] for time, row in zip(times_s.tolist(), weights, strict=True))
    _write_csv(path, headings, rows)


def write_lam(path: Path, weights: FloatArray, times_s: NDArray[np.float64]) -> None:
    """Write the JSON of LAM (Audio2Expression).

    Raises:
        OutputError: the file cannot be written.
    """
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1 / LIVE_LINK_HZ
    frames = [
        {"weights": [round(weight, 6) for weight in row], "time": round(time, 6), "rotation": []}
        for time, row in zip(times_s.tolist(), weights.tolist(), strict=True)
    ]
    metadata: Mapping[str, Any] = {
        "fps": round(1 / step_s, 6),
        "frame_count": len(frames),
        "blendshape_names": list(ARKIT_SHAPES),
    }
    content = {"names": list(ARKIT_SHAPES), "metadata": metadata, "frames": frames}
    write_text(path, json.dumps(content) + "\n")


def _code(frame: int) -> str:
    seconds, rest = divmod(frame, LIVE_LINK_HZ)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{rest:02d}.000"


def _pascal(name: str) -> str:
    return name[0].upper() + name[1:]


def _cells(row: NDArray[np.floating]) -> list[str]:
    return [f"{value:.6f}" for value in row]


def _write_csv(path: Path, headings: Sequence[str], rows: Any) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(rows)
    write_text(path, text.getvalue())
