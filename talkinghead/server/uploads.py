"""Files that clients send: written as they arrive, under names of ours, and found by their keys."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request

from talkinghead.errors import MissingFileError

MEGABYTE = 1_000_000
KEY = re.compile(r"[0-9a-f]{16}")
KINDS = {"clips": "clip", "recordings": "recording", "backgrounds": "background"}
"""Folders of uploads, and the name of the file in each upload's own folder."""


def uploaded(folder: Path, kind: str, key: str) -> Path:
    """The file of an upload.

    Args:
        folder: the server's.
        kind: clips or recordings.
        key: as the client got it.

    Raises:
        MissingFileError: there is none of that key.
    """
    if kind in KINDS and KEY.fullmatch(key) is not None:
        path = folder / kind / key / KINDS[kind]
        if path.is_file():
            return path
    raise MissingFileError("There is no such upload; it may have been removed.")


def shown_name(name: str) -> str:
    """A name to show to people, without control characters and folders."""
    last = re.split(r"[\\/]", name)[-1]
    kept = "".join(one for one in last if not unicodedata.category(one).startswith("C"))
    return kept[:120] or "upload"


async def receive_body(request: Request, path: Path, most_mb: int) -> Path:
    """Write the body of a request to a file, which is removed again where it is not complete.

    Raises:
        HTTPException: 413 for a body that is too large, 400 for an empty one.
    """
    size = 0
    try:
        async with await anyio.open_file(path, "xb") as file:
            async for block in request.stream():
                size += len(block)
                if size > most_mb * MEGABYTE:
                    raise HTTPException(413, f"A file has at most {most_mb} MB.")
                await file.write(block)
        if size == 0:
            raise HTTPException(400, "The file is empty.")
    except BaseException:  # a client that went away leaves nothing behind either
        path.unlink(missing_ok=True)
        raise
    return path
