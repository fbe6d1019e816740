"""Files of the project: written whole or not at all, read with one clear error, locked, and cached.

Arrays are stored as safetensors, never as pickles.
"""

from __future__ import annotations

import codecs
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import filelock
import numpy as np
import platformdirs
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from talkinghead.errors import (
    CheckpointError,
    MissingFileError,
    OutputError,
    OutputExistsError,
    TalkingHeadError,
)

T = TypeVar("T")
Arrays = dict[str, NDArray[Any]]

_ADDRESS = re.compile(r"^([a-z][a-z0-9+.-]+):/+(?=[^/])", re.IGNORECASE)
"""A web address, also after `Path` has made one slash of two; a drive's letter is none."""
LARGEST_TEXT_BYTES = 64 << 20
"""Text files beyond this size are refused unless the caller allows more."""

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)
"""What the system answers where the user's folder or disk is the cause; other OSErrors are faults of the program."""


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
    """Give a temporary path in the folder of `path`, which replaces `path` at once when the block ends well.

    Where the block raises, the temporary file is removed and `path` stays as it was. The temporary name has the suffix
    of `path`, as libraries choose a file's format by it.

    Raises:
        OutputError: the folder cannot be written, or its disk is full.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
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
        with suppress(PermissionError):  # Windows removes no file that is still open; the error that comes counts
            temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes and threads from working on `path` at the same time, by a lock file beside it.

    The system lifts the lock when the process ends, however it ends; a lock file that is left over locks nothing.

    Raises:
        OutputExistsError: someone else holds the lock.
        OutputError: the folder cannot be written.
    """
    if not path.parent.is_dir():  # the library would make it
        raise OutputError(f"There is no folder {path.parent}; make it first.")
    name = path.with_name(f".{path.name}.lock")
    # The library's fallback for file systems without locks would outlive a killed process, so it is not used.
    lock = filelock.FileLock(name, blocking=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise OutputExistsError(f"Another process is working on {path}; wait for it or give another name.") from error
    except OSError as error:
        raise OutputError(f"Cannot write in {path.parent}: {error.strerror}.") from error
    try:
        yield
    finally:
        # On Unix the file is removed while it is still locked: whoever opened it meanwhile sees, once it has the lock,
        # that the file has no name any more. Windows removes no open file; there the release does it.
        with suppress(OSError):
            name.unlink(missing_ok=True)
        lock.release()


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
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON in UTF-8, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_text(path: Path, *, error: type[TalkingHeadError], largest_bytes: int = LARGEST_TEXT_BYTES) -> str:
    """Read a text file in UTF-8, or in UTF-16 with a byte order mark; line ends stay as they are.

    Args:
        path: the file.
        error: class of the error for a file that is too large or in another encoding.
        largest_bytes: more are not read.

    Raises:
        MissingFileError: there is no such file, or it cannot be opened.
        `error`: it is larger than `largest_bytes`, or not text in UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(largest_bytes + 1)
    except (OSError, ValueError) as cause:  # a name with a zero byte is a ValueError
        raise MissingFileError(f"Cannot read {path}: {getattr(cause, 'strerror', None) or cause}.") from cause
    if len(content) > largest_bytes:
        raise error(f"{path} is larger than {largest_bytes / 1e6:g} MB, the most that is read of such a file.")
    return decode_text(content, str(path), error=error)


def decode_text(content: bytes, name: str, *, error: type[TalkingHeadError]) -> str:
    """Decode UTF-8, with or without a byte order mark, or UTF-16 with one.

    Other encodings are refused, not guessed: bytes of GBK are valid in several of them, with another meaning in each.

    Args:
        content: the encoded text.
        name: what the message calls it.
        error: class of the error for what is in another encoding.

    Raises:
        `error`: it is not UTF-8.
    """
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as cause:
        found = "is damaged UTF-16" if is_utf16 else f"is not text in UTF-8 (byte {cause.start}){_guess(content)}"
        raise error(f"{name} {found}; save it as UTF-8, in Excel as 'CSV UTF-8'.") from cause
    if "\0" in text:
        raise error(f"{name} has zero bytes, as UTF-16 without a mark has and no text does; save it as UTF-8.")
    return text


def _guess(content: bytes) -> str:
    """The encoding that a text which is not UTF-8 may be in, for a message; empty where nothing is likely."""
    if b"\0" in content:
        return ""
    try:
        content.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    return ", but perhaps in GBK"


def cached(
    folder_name: str, key: str, make: Callable[[], T], load: Callable[[Path], T], save: Callable[[Path, T], None]
) -> T:
    """A value from the user's cache, or made anew and put there.

    An entry that is missing or damaged is made anew. A cache that cannot be written costs time, not the result.

    Args:
        folder_name: the cache's own folder inside the user's cache of talkinghead.
        key: names the entry; a hash of everything that the value depends on.
        make: computes the value.
        load: reads the value from a .safetensors file; raises MissingFileError or CheckpointError where it cannot.
        save: writes the value to such a file.

    Raises:
        Whatever `make` raises.
    """
    path = platformdirs.user_cache_path("talkinghead") / folder_name / f"{key}.safetensors"
    with suppress(MissingFileError, CheckpointError):
        return load(path)
    value = make()
    with suppress(OSError, OutputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, value)
    return value


PathLike = str | os.PathLike[str]
"""A path as a text or as an object, which public functions take."""


def missing_file(path: Path) -> MissingFileError:
    """The error for an input file that is not there; it knows a web address that was given in its place."""
    if _ADDRESS.match(str(path)):
        address = _ADDRESS.sub(r"\1://", str(path), count=1)  # a Path has but one of the slashes
        return MissingFileError(f"{address} is a web address, and nothing is downloaded: save the file, and name that.")
    return MissingFileError(f"{path}: no such file")


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, as hex.

    Raises:
        MissingFileError: there is no such file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise missing_file(path) from error
    except OSError as error:
        raise MissingFileError(f"Cannot read {path}: {error.strerror}.") from error


VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".webm")


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
