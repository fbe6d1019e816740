"""Reading the tensors of files that torch.save wrote, without running what is written in them.

Such a file is a pickle, which may name any function to be called. torch.load with `weights_only` refuses every name but
those that make tensors; sizes, which it does not bound, are bounded here. A file made to that end can still take time
without end, so convert only what the maker published. It is for converting published weights once; everything else is
safetensors.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from talkinghead.errors import CheckpointError, MissingFileError

Arrays = dict[str, NDArray[Any]]

PUBLISHED_SHA256 = {
    "alexnet-owt-7be5be79.pth": "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    "pt_inception-2015-12-05-6726825d.pth": "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
}
"""sha256 by the name under which a file is published; its first eight digits are part of the name, as torch.hub has it.

The makers of SyncNet (syncnet_v2.model) and of LPIPS (alex.pth) publish no hash of their files.
"""

LARGEST_BYTES = 512 << 20
"""Larger files are not read; the largest of those that are published, AlexNet, has 244 MB."""
LARGEST_DEPTH = 16
"""Dicts within dicts."""
LARGEST_COUNT = 100_000
"""Entries of all dicts together; a dict that holds another one many times, and so on downwards, has no end."""

_UNREADABLE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError),
    *(TypeError, ValueError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""What torch and zipfile raise over bytes that make no sense."""


def read_tensors(path: Path, *, sha256_prefix: str = "") -> Arrays:
    """All tensors of a state dict by name; those inside a dict of a dict by both names with a dot between.

    Args:
        path: a file that torch.save wrote, in the form of an archive (since torch 1.6) or of a stream (before).
        sha256_prefix: first hexadecimal digits of the sha256 that the file must have, or all of them. A file with a
            name of `PUBLISHED_SHA256` must have the hash given there.

    Raises:
        MissingFileError: there is no such file.
        CheckpointError: it has another hash, is not of torch's making, is damaged or too large, or holds what a state
            dict does not.
    """
    content = _checked_content(path, (sha256_prefix, PUBLISHED_SHA256.get(path.name, "")))
    try:
        _check_archive(content)
        with warnings.catch_warnings():
            # Torch warns that it may not know all of a later protocol, and raises where it does not.
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            # From memory, so that what was hashed is what is read.
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        arrays = {name: tensor.detach().numpy() for name, tensor in _tensors(state)}
    except _UNREADABLE as error:
        raise CheckpointError(
            f"{path} is not a file of tensors alone, as torch.save writes: {_reason(error)}"
        ) from error
    if not arrays:
        raise CheckpointError(f"{path} holds no tensors.")
    return arrays


def _checked_content(path: Path, prefixes: tuple[str, ...]) -> bytes:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise CheckpointError(f"{path} is larger than {LARGEST_BYTES >> 20} MiB, which no published file is.")
        content = path.read_bytes()
    except OSError as error:
        raise MissingFileError(f"Cannot read {path}: {error.strerror}.") from error
    found = hashlib.sha256(content).hexdigest()
    for prefix in prefixes:
        if not found.startswith(prefix.lower()):
            raise CheckpointError(
                f"{path} is not the published file: its sha256 is {found}, not {prefix}; fetch it again."
            )
    return content


def _check_archive(content: bytes) -> None:
    """Refuse archives that would be larger in memory than they are; torch itself never compresses."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
    if sum(member.file_size for member in members) > len(content):
        raise ValueError("its parts claim to be larger than the file")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("it is compressed, which torch never does")


def _tensors(state: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a dict of dicts with their dotted names; other values are left out."""
    following = [("", 0, state)]
    count = size = 0
    while following:
        prefix, depth, part = following.pop()
        if not isinstance(part, dict) or depth > LARGEST_DEPTH:
            raise ValueError("it does not hold a dict of tensors")
        count += len(part)
        if count > LARGEST_COUNT:
            raise ValueError(f"it holds more than {LARGEST_COUNT} entries")
        for key, value in part.items():
            name = f"{prefix}{key}"
            if isinstance(value, dict):
                following.append((f"{name}.", depth + 1, value))
            elif isinstance(value, Tensor):
                # A stride of 0 lets one number stand for any count of them, which a copy would write out.
                if value.nbytes > value.untyped_storage().nbytes():
                    raise ValueError("a tensor is larger than its storage")
                size += value.nbytes
                if size > LARGEST_BYTES:
                    raise ValueError(f"its tensors together are larger than {LARGEST_BYTES >> 20} MiB")
                yield name, value


def _reason(error: BaseException) -> str:
    """The first sentence of an error, without torch's advice on how to switch off its protection."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "weights_only" not in line]
    first = lines[0] if lines else type(error).__name__
    return first.removeprefix("WeightsUnpickler error: ").split(". ")[0].rstrip(".")[:200]
