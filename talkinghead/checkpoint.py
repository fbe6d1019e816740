"""Reading and writing arrays as safetensors: no pickle, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from talkinghead.errors import CheckpointError, MissingFileError, OutputError

Arrays = dict[str, NDArray[Any]]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it takes that name when the block ends well, and goes when not.

    Raises:
        OutputError: the folder cannot be written, or its disk is full.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f"{path.suffix}.part", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise OutputError(f"Cannot write in {path.parent}: {error.strerror}.") from error
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; an output gets the usual mode
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO):
            raise OutputError(f"Cannot write {path}: {error.strerror}.") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write arrays and text metadata to one safetensors file.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as temporary:
        try:
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary, dict(metadata))
        except SafetensorError as error:  # it reports a full disk this way
            raise OutputError(f"Cannot write {path}: {error}.") from error


def load_arrays(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Read a safetensors file: arrays by name, and its metadata.

    Raises:
        MissingFileError: there is no such file.
        CheckpointError: it is damaged or no safetensors file.
    """
    if not path.is_file():
        raise MissingFileError(f"There is no file {path}.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file: {error}.") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, as hex.

    Raises:
        MissingFileError: there is no such file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MissingFileError(f"Cannot read {path}: {error.strerror}.") from error
