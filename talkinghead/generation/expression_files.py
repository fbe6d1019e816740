"""Files of expression coefficients: safetensors or CSV."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import CoefficientError, MissingFileError
from talkinghead.files import load_arrays, read_text, save_arrays, write_text
from talkinghead.structures import FloatArray

FORMAT = "talkinghead/expression/1"
"""Format of the safetensors file, stored in its metadata."""
LARGEST_BYTES = 512 * 1024 * 1024
"""Largest file that is read."""
LARGEST_SIGMA = 20.0
"""Largest coefficient, standard deviations: no face has a larger one, so it is a mistake of units."""
SUFFIXES = (".safetensors", ".csv")
"""Endings of files of expression coefficients."""
DECIMALS = 9
"""Significant digits of coefficients in a CSV file: enough to give the same float32 back."""


def save_expression(path: Path, expression: FloatArray, times_s: NDArray[np.float64]) -> None:
    """Write expression coefficients as safetensors.

    Args:
        path: the file.
        expression: (T, K) in standard deviations.
        times_s: (T,) seconds.

    Raises:
        OutputError: the file cannot be written.
    """
    save_arrays(path, {"expression": expression, "times_s": times_s}, {"format": FORMAT})


def save_expression_table(path: Path, expression: FloatArray, times_s: NDArray[np.float64]) -> None:
    """Write expression coefficients as CSV: a column of times, then one for each coefficient.

    Args:
        path: the file.
        expression: (T, K) in standard deviations.
        times_s: (T,) seconds.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = [",".join(["time_s", *(f"e{number}" for number in range(expression.shape[1]))])]
    for time, row in zip(times_s.tolist(), expression.tolist(), strict=True):
        lines.append(",".join([f"{time:.6f}", *(f"{value:.{DECIMALS}g}" for value in row)]))
    write_text(path, "\n".join(lines) + "\n")


def load_expression(path: Path, expressions: int) -> tuple[FloatArray, NDArray[np.float64] | None]:
    """Read expression coefficients.

    A .safetensors file holds `expression` (T, K) and optionally `times_s` (T,). A .csv file has a header line and K
    columns in order, optionally with a column `time_s` before them. Without times, there is one row for each output
    frame.

    Args:
        path: the file.
        expressions: K, the number of coefficients that the anchor has.

    Returns:
        Coefficients (T, K) float32 and times (T,) float64 in seconds; None for the times where the file has none.

    Raises:
        MissingFileError: there is no such file.
        CheckpointError: the safetensors file is damaged.
        CoefficientError: the coefficients have the wrong shape, are not finite, out of range, or not readable.
    """
    if not path.is_file():
        raise MissingFileError(f"There is no file {path}.")
    if path.stat().st_size > LARGEST_BYTES:
        raise CoefficientError(
            f"{path} is larger than {LARGEST_BYTES >> 20} MB, the limit for expression coefficients."
        )
    if path.suffix.lower() == ".csv":
        values, times_s = _read_csv(path)
    else:
        arrays, _ = load_arrays(path)
        if "expression" not in arrays:
            raise CoefficientError(f"{path} has no array named 'expression'.")
        values, times_s = arrays["expression"], arrays.get("times_s")
    return checked_expression(path, values, expressions), _checked_times(path, times_s, len(values))


def _read_csv(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Coefficients and times of a .csv file, whatever their number."""
    text = read_text(path, error=CoefficientError, largest_bytes=LARGEST_BYTES)
    try:
        rows = list(csv.reader(text.splitlines()))
        header, body = [name.strip() for name in rows[0]], [row for row in rows[1:] if row]
        table = np.array([[float(cell) for cell in row] for row in body])
    except (ValueError, IndexError, csv.Error) as error:
        raise CoefficientError(f"{path} is not a table of numbers with a header line: {error}.") from error
    if table.ndim != 2 or table.shape[1] != len(header):
        raise CoefficientError(f"{path} has no rows, or rows of different lengths.")
    if header[0] == "time_s":
        return table[:, 1:], table[:, 0]
    return table, None


def checked_expression(path: Path, values: NDArray[np.floating], expressions: int) -> FloatArray:
    """The coefficients of a file as float32, after their shape and range were checked.

    Raises:
        CoefficientError: they have the wrong shape, are not finite or out of range.
    """
    if values.ndim != 2 or values.shape[1] != expressions or not len(values):
        raise CoefficientError(
            f"{path} has coefficients of shape {values.shape}; the anchor needs (frames, {expressions})."
        )
    if not np.issubdtype(values.dtype, np.floating) or not np.isfinite(values).all():
        raise CoefficientError(f"{path} has coefficients that are not finite numbers.")
    if np.abs(values).max() > LARGEST_SIGMA:
        raise CoefficientError(
            f"{path} has coefficients above {LARGEST_SIGMA:g} standard deviations; check their unit."
        )
    return values.astype(np.float32)


def _checked_times(path: Path, times_s: NDArray[np.floating] | None, rows: int) -> NDArray[np.float64] | None:
    """The times as float64, after their number and order were checked."""
    if times_s is None:
        return None
    times = np.asarray(times_s, np.float64)
    if times.shape != (rows,) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise CoefficientError(f"{path} must have {rows} times in seconds, one for each row, that rise.")
    return times
