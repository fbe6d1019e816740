"""Reading and writing arrays as safetensors: no pickle, written whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from talkinghead.errors import (
    CheckpointError,
    MissingFileError,
    OutputError,
    OutputExistsError,
)

Arrays = dict[str, NDArray[Any]]


_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise OutputError where `path` cannot be written: no permission, no space."""
    try:
        yield
    except OSError as error:
        if error.errno in _UNWRITABLE:
            raise OutputError(f"Cannot write {path}: {error.strerror}.") from error
        raise


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
        with writing(path):
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; an output gets the usual mode
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from working on `path` at the same time, by a lock file beside it.

    The system lifts the lock when the process ends, however it ends.

    Raises:
        OutputExistsError: another process holds the lock.
        OutputError: the folder cannot be written.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        handle = _take_lock(lock)
    except BlockingIOError as error:
        raise OutputExistsError(f"Another process is working on {path}; wait for it or give another name.") from error
    except OSError as error:
        raise OutputError(f"Cannot write in {path.parent}: {error.strerror}.") from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _take_lock(lock: Path) -> int:
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before may have removed the file since it was opened here; then it locks nothing.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), lock.stat()):
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


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


VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov")


def check_output_path(path: Path, *, overwrite: bool, suffixes: tuple[str, ...] = VIDEO_SUFFIXES) -> None:
    """Whether a video (or what else ends in `suffixes`) may be written there; to be asked before hours go into it.

    Raises OutputExistsError, OutputError.
    """
    if path.suffix.lower() not in suffixes:
        raise OutputError(f"{path}: the name must end in {', '.join(suffixes)}")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no such folder; make it first")
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder; name a file")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists; choose another name or ask for overwriting")
