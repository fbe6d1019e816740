"""Files of what drives an anchor, of any format: expression coefficients, or ARKit weights that are mapped to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from talkinghead.anchor import Anchor
from talkinghead.errors import CoefficientError, OptionError
from talkinghead.files import read_text
from talkinghead.generation import expression_files
from talkinghead.generation.blendshapes import files as weight_files
from talkinghead.generation.blendshapes.mapping import map_for
from talkinghead.generation.blendshapes.own_manner import in_own_manner
from talkinghead.structures import FloatArray

TABLE_SUFFIXES = (*expression_files.SUFFIXES, ".json")
"""Endings of files of coefficients; a file of another name is a video or a recording."""
Format = Literal["expression", "live-link-face", "audio2face", "lam"]
SUFFIXES_OF: dict[Format, tuple[str, ...]] = {
    "expression": expression_files.SUFFIXES,
    "live-link-face": (".csv",),
    "audio2face": (".csv",),
    "lam": (".json",),
}
"""Endings that a file of each format has."""
_WRITERS: dict[Format, Callable[[Path, FloatArray, NDArray[np.float64]], None]] = {
    "live-link-face": weight_files.write_live_link,
    "audio2face": weight_files.write_audio2face,
    "lam": weight_files.write_lam,
}


def is_table(path: Path) -> bool:
    """Whether a file is of coefficients, by its name."""
    return path.suffix.lower() in TABLE_SUFFIXES


def read_coefficients(anchor: Anchor, path: Path) -> tuple[FloatArray, NDArray[np.float64] | None]:
    """Read a file of expression coefficients or ARKit weights, as what drives an anchor.

    Returns:
        Coefficients (T, K) float32 in standard deviations, and their times (T,) in seconds; None for the times where
        the file has none: row i is then of output frame i.

    Raises:
        MissingFileError, CoefficientError, CheckpointError: the file cannot be used; weights are of another face model
            than the anchor's.
    """
    if not _holds_weights(path):
        return expression_files.load_expression(path, anchor.model.expressions)
    weights, times_s = weight_files.read_weights(path)
    expression = map_for(anchor).expression_of(weights, anchor.rest_expression())
    own = anchor.trained.expression[anchor.trained.valid]
    expression = in_own_manner(expression, own, anchor.model)
    return expression_files.checked_expression(path, expression, anchor.model.expressions), times_s


def _holds_weights(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix != ".csv":
        return suffix == ".json"
    limit = expression_files.LARGEST_BYTES
    return weight_files.is_table_of_weights(read_text(path, error=CoefficientError, largest_bytes=limit))


def format_of(path: Path, wanted: Format | None) -> Format:
    """The format that a file is to be written in: the one that is wanted, else that of its name.

    Raises:
        OptionError: the name does not go with the format, or with any.
    """
    found = wanted or ("lam" if path.suffix.lower() == ".json" else "expression")
    if path.suffix.lower() not in SUFFIXES_OF[found]:
        what = f"A file of the format {found}" if wanted else "A file of coefficients"
        endings = SUFFIXES_OF[found] if wanted else TABLE_SUFFIXES
        raise OptionError(f"{what} has to end in {' or '.join(endings)}, not as {path} does.")
    return found


def write_coefficients(
    anchor: Anchor, path: Path, expression: FloatArray, times_s: NDArray[np.float64], format_: Format
) -> None:
    """Write what drives an anchor.

    Args:
        anchor: whose coefficients these are.
        path: the file.
        expression: (T, K) in standard deviations.
        times_s: (T,) seconds, rising.
        format_: of the file; the name has to go with it, see `format_of`.

    Raises:
        OutputError: the file cannot be written.
        CheckpointError: the map to ARKit weights is of another face model than the anchor's.
    """
    if format_ != "expression":
        weights = map_for(anchor).weights_of(expression, anchor.rest_expression())
        _WRITERS[format_](path, weights, times_s)
    elif path.suffix.lower() == ".csv":
        expression_files.save_expression_table(path, expression, times_s)
    else:
        expression_files.save_expression(path, expression, times_s)
